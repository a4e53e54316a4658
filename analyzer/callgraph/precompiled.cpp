// Builds and hands out precompiled system headers.
#include "analyzer/callgraph/precompiled.h"

#include <atomic>
#include <filesystem>
#include <set>
#include <thread>

#include <clang/Frontend/FrontendActions.h>
#include <clang/Tooling/Tooling.h>
#include <llvm/Support/CrashRecoveryContext.h>

#include "analyzer/callgraph/clang_pch.h"
#include "engine-core/base/files.h"
#include "engine-core/base/sha256.h"

namespace lockstep::analyzer {

using namespace clang;

namespace {

class SilentConsumer : public DiagnosticConsumer {};

class PrecompileAction : public GeneratePCHAction {
 public:
  PrecompileAction(std::string path, std::vector<Dependency>* dependencies, bool* usable) : path_(std::move(path)), dependencies_(dependencies), usable_(usable) {}

 protected:
  bool BeginInvocation(CompilerInstance& compiler) override {
    compiler.getFrontendOpts().OutputFile = path_;
    return GeneratePCHAction::BeginInvocation(compiler);
  }
  void EndSourceFileAction() override {
    *dependencies_ = DependenciesOf(getCompilerInstance().getSourceManager());
    std::erase_if(*dependencies_, [&](const Dependency& one) { return one.path == PreludeOf(path_); });
    *usable_ = !getCompilerInstance().getDiagnostics().hasErrorOccurred() &&
               std::all_of(dependencies_->begin(), dependencies_->end(), [](const Dependency& one) { return one.system; });
    GeneratePCHAction::EndSourceFileAction();
  }

 private:
  std::string path_;
  std::vector<Dependency>* dependencies_;
  bool* usable_;
};

// Lines at the beginning of a header that include something by angle brackets. Where the first other include stands, the rest depends on
// what came before and stays out.
std::string LeadingSystemIncludes(const std::string& text) {
  std::string lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const llvm::StringRef line = llvm::StringRef(text).substr(begin, end - begin).trim();
    begin = end + 1;
    llvm::StringRef rest = line;
    if (!rest.consume_front("#")) continue;
    rest = rest.ltrim();
    if (!rest.consume_front("include")) continue;
    if (!rest.ltrim().starts_with("<")) break;
    lines += line.str() + "\n";
  }
  return lines;
}

bool NamesFile(const CompileCommand& command, const std::string& argument) {
  return argument == command.file || (std::filesystem::path(command.directory) / argument).lexically_normal() == command.file;
}

// Commands of one group differ in nothing but their file.
std::string GroupOf(const CompileCommand& command) {
  const std::vector<std::string> arguments = AdjustArguments(command, nullptr);
  if (ForcedHeader(arguments, command.directory).empty()) return {};
  std::string key = command.directory;
  for (const auto& argument : arguments) {
    if (!NamesFile(command, argument)) key += "\n" + argument;
  }
  return key;
}

}  // namespace

std::string PreludeOf(const std::string& path) { return path + ".h"; }

std::string ForcedHeader(const std::vector<std::string>& arguments, const std::string& directory) {
  std::vector<std::string> plain;
  for (const auto& argument : arguments) {
    if (argument != "-Xclang") plain.push_back(argument);
  }
  for (size_t i = 0; i + 1 < plain.size(); ++i) {
    if (plain[i] != "-include") continue;
    const std::string name = std::filesystem::path(plain[i + 1]).filename().string();
    if (name.rfind("cmake_pch.h", 0) == 0) return (std::filesystem::path(directory) / plain[i + 1]).lexically_normal().string();
  }
  return {};
}

std::optional<std::string> ForcedHeaderText(const std::string& header) {
  auto text = ReadFile(header);
  if (!text) return std::nullopt;
  std::string kept;
  for (size_t begin = 0; begin < text->size();) {
    const size_t end = std::min(text->find('\n', begin), text->size());
    const llvm::StringRef line = llvm::StringRef(*text).substr(begin, end - begin);
    if (!(line.trim().starts_with("#pragma") && line.contains("system_header"))) kept += line.str();
    kept += '\n';
    begin = end + 1;
  }
  return kept;
}

std::optional<Precompiled> Precompile(const CompileCommand& command, const std::string& includes, const std::string& path) {
  std::vector<std::string> arguments = AdjustArguments(command, nullptr);
  const std::string prelude = PreludeOf(path);
  if (!WriteFileAtomically(prelude, includes)) return std::nullopt;
  for (size_t i = 0; i < arguments.size();) {
    if (arguments[i] == "-Xclang" && i + 3 < arguments.size() && arguments[i + 1] == "-include") {
      arguments.erase(arguments.begin() + static_cast<long>(i), arguments.begin() + static_cast<long>(i) + 4);
    } else if (arguments[i] == "-include" && i + 1 < arguments.size()) {
      arguments.erase(arguments.begin() + static_cast<long>(i), arguments.begin() + static_cast<long>(i) + 2);
    } else if (NamesFile(command, arguments[i])) {
      arguments.erase(arguments.begin() + static_cast<long>(i));
    } else {
      ++i;
    }
  }
  arguments.insert(arguments.end(), {"-x", "c++-header", prelude});
  Precompiled result{.path = path, .dependencies = {}};
  bool usable = false;
  const auto run = [&] {
    llvm::IntrusiveRefCntPtr<llvm::vfs::FileSystem> files(llvm::vfs::createPhysicalFileSystem());
    if (files->setCurrentWorkingDirectory(command.directory)) return;
    llvm::IntrusiveRefCntPtr<FileManager> manager(new FileManager(FileSystemOptions(), files));
    SilentConsumer quiet;
    tooling::ToolInvocation invocation(arguments, std::make_unique<PrecompileAction>(path, &result.dependencies, &usable), manager.get());
    invocation.setDiagnosticConsumer(&quiet);
    invocation.run();
  };
  llvm::CrashRecoveryContext recovery;
  if (!recovery.RunSafelyOnThread(run, 64 << 20) || !usable) return std::nullopt;
  return result;
}

PrecompiledHeaders::~PrecompiledHeaders() {
  std::error_code ignored;
  for (const auto& [key, header] : built_) {
    if (!header) continue;
    std::filesystem::remove(header->path, ignored);
    std::filesystem::remove(PreludeOf(header->path), ignored);
  }
}

void PrecompiledHeaders::Build(const std::vector<const CompileCommand*>& commands, unsigned jobs) {
  if (directory_.empty()) return;
  std::map<std::string, std::vector<const CompileCommand*>> groups;
  for (const auto* command : commands) {
    if (const std::string key = GroupOf(*command); !key.empty()) groups[key].push_back(command);
  }
  std::vector<std::pair<const CompileCommand*, std::optional<Precompiled>*>> work;
  for (const auto& [key, members] : groups) {
    if (members.size() >= kWorthwhile) work.emplace_back(members.front(), &built_[key]);
  }
  std::atomic<size_t> next{0};
  const auto build = [&] {
    for (size_t i = next++; i < work.size(); i = next++) {
      const auto [command, slot] = work[i];
      const auto text = ForcedHeaderText(ForcedHeader(AdjustArguments(*command, nullptr), command->directory));
      const std::string includes = text ? LeadingSystemIncludes(*text) : std::string();
      if (includes.empty()) continue;
      const std::string name = "headers-" + Sha256Hex(GroupOf(*command)).substr(0, 16) + "-" + std::to_string(getpid()) + ".pch";
      *slot = Precompile(*command, includes, (std::filesystem::path(directory_) / name).string());
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min<size_t>(jobs, work.size()); ++i) threads.emplace_back(build);
  build();
  for (auto& thread : threads) thread.join();
}

const Precompiled* PrecompiledHeaders::For(const CompileCommand& command) const {
  if (built_.empty()) return nullptr;
  const auto it = built_.find(GroupOf(command));
  return it == built_.end() || !it->second ? nullptr : &*it->second;
}

}  // namespace lockstep::analyzer
