// Clang as a library: arguments, preprocessor callbacks, diagnostics, dependencies.
#include "analyzer/callgraph/frontend.h"

#include "analyzer/callgraph/precompiled.h"

#include <clang/Driver/Options.h>
#include <clang/Frontend/FrontendActions.h>
#include <clang/Lex/PreprocessorOptions.h>
#include <clang/Tooling/ArgumentsAdjusters.h>
#include <clang/Tooling/Tooling.h>
#include <llvm/Option/ArgList.h>
#include <llvm/Option/OptTable.h>
#include <llvm/Support/CrashRecoveryContext.h>
#include <llvm/Support/FileSystem.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/Path.h>
#include <llvm/Support/VirtualFileSystem.h>

#include <map>
#include <set>

#include "analyzer/callgraph/unit_builder.h"
#include "engine-core/base/files.h"
#include "engine-core/base/json.h"
#include "engine-core/base/sha256.h"

namespace lockstep::analyzer {
namespace {

using namespace clang;

// Warnings that prove a hazard on their own.
constexpr std::pair<std::string_view, std::string_view> kWarningRules[] = {
    {"uninitialized", "determinism-uninitialized-read"},
    {"sometimes-uninitialized", "determinism-uninitialized-read"},
    {"conditional-uninitialized", "determinism-uninitialized-read"},
    {"array-bounds", "determinism-undefined-behavior"},
    {"array-bounds-pointer-arithmetic", "determinism-undefined-behavior"},
    {"shift-count-overflow", "determinism-undefined-behavior"},
    {"shift-count-negative", "determinism-undefined-behavior"},
    {"shift-negative-value", "determinism-undefined-behavior"},
    {"division-by-zero", "determinism-undefined-behavior"},
    {"integer-overflow", "determinism-undefined-behavior"},
    {"null-dereference", "determinism-undefined-behavior"},
    {"nonnull", "determinism-undefined-behavior"},
    {"unsequenced", "determinism-undefined-behavior"},
    {"return-type", "determinism-undefined-behavior"},
    {"return-stack-address", "determinism-undefined-behavior"},
    {"dangling", "determinism-undefined-behavior"},
    {"dangling-gsl", "determinism-undefined-behavior"},
    {"string-compare", "determinism-pointer-value"},
    {"enum-constexpr-conversion", "determinism-undefined-behavior"},
    {"string-plus-int", "determinism-undefined-behavior"},
    {"undefined-reinterpret-cast", "determinism-undefined-behavior"},
    {"literal-conversion", "determinism-undefined-behavior"},
};

class Diagnostics : public DiagnosticConsumer {
 public:
  void BeginSourceFile(const LangOptions& options, const Preprocessor*) override { options_ = options; }
  void HandleDiagnostic(DiagnosticsEngine::Level level, const Diagnostic& diagnostic) override {
    DiagnosticConsumer::HandleDiagnostic(level, diagnostic);
    llvm::SmallString<256> text;
    diagnostic.FormatDiagnostic(text);
    if (level >= DiagnosticsEngine::Error) {
      if (error_.empty()) error_ = Located(diagnostic) + "error: " + text.str().str();
      return;
    }
    if (level == DiagnosticsEngine::Note) {
      // Fixes hang on the note that follows the warning.
      if (last_was_rule_ && !warnings_.empty()) {
        for (const auto& fix : diagnostic.getFixItHints()) warnings_.back().fixes.push_back(fix);
        // The read is the place that matters, not the condition that skips the write.
        if (text.str().contains("uninitialized use occurs here")) warnings_.back().at = diagnostic.getLocation();
      }
      return;
    }
    last_was_rule_ = false;
    const llvm::StringRef group = diagnostic.getDiags()->getDiagnosticIDs()->getWarningOptionForDiag(diagnostic.getID());
    for (const auto& [name, rule] : kWarningRules) {
      if (group != llvm::StringRef(name.data(), name.size())) continue;
      CompilerWarning warning{diagnostic.getLocation(), std::string(rule), text.str().str(), {}, group.starts_with("conditional-")};
      for (const auto& fix : diagnostic.getFixItHints()) warning.fixes.push_back(fix);
      warnings_.push_back(std::move(warning));
      last_was_rule_ = true;
    }
  }
  const std::string& error() const { return error_; }
  std::vector<CompilerWarning> TakeWarnings() { return std::move(warnings_); }

 private:
  static std::string Located(const Diagnostic& diagnostic) {
    if (!diagnostic.hasSourceManager() || diagnostic.getLocation().isInvalid()) return {};
    const PresumedLoc at = diagnostic.getSourceManager().getPresumedLoc(diagnostic.getLocation());
    if (at.isInvalid()) return {};
    return std::string(at.getFilename()) + ":" + std::to_string(at.getLine()) + ":" + std::to_string(at.getColumn()) + ": ";
  }
  LangOptions options_;
  std::string error_;
  std::vector<CompilerWarning> warnings_;
  bool last_was_rule_ = false;
};

// Macros of the compiler, the platform and the kind of build. Whatever the command line defines is a build macro too.
bool IsBuildMacro(llvm::StringRef name, const MacroInfo* info, const SourceManager& sources) {
  static const std::set<std::string> kNames = {"NDEBUG", "DEBUG", "_DEBUG", "linux", "unix", "WIN32", "__OPTIMIZE__", "__NO_INLINE__", "RELEASE", "PRODUCTION"};
  if (kNames.count(name.str()) != 0) return true;
  if (name.starts_with("__cpp_") || name == "__cplusplus" || name.starts_with("__has_")) return false;
  static constexpr llvm::StringLiteral kParts[] = {"linux", "WIN32", "WIN64", "APPLE", "MACH", "unix", "ANDROID", "FreeBSD", "x86_64", "amd64",
                                                   "aarch64", "arm", "i386", "riscv", "MSC_VER", "GNUC", "clang", "MINGW", "CYGWIN", "SANITIZE",
                                                   "BYTE_ORDER", "SSE", "AVX", "LP64", "SIZEOF_", "GLIBC", "GLIBCXX", "LIBCPP"};
  if (name.starts_with("_")) {
    for (llvm::StringRef part : kParts) {
      if (name.contains_insensitive(part)) return true;
    }
  }
  if (info == nullptr) return true;  // Nobody defines it: a switch of some other build.
  if (info->isBuiltinMacro()) return true;
  const SourceLocation defined = info->getDefinitionLoc();
  return sources.isWrittenInCommandLineFile(defined) || sources.isWrittenInBuiltinFile(defined);
}

class Callbacks : public PPCallbacks {
 public:
  Callbacks(Preprocessor& preprocessor, PreprocessorFacts* facts) : preprocessor_(preprocessor), facts_(facts) {}

  void MacroExpands(const Token& name, const MacroDefinition& definition, SourceRange range, const MacroArgs*) override {
    (void)definition;
    const IdentifierInfo* identifier = name.getIdentifierInfo();
    if (identifier == nullptr) return;
    const llvm::StringRef text = identifier->getName();
    if (text == "__DATE__" || text == "__TIME__" || text == "__TIMESTAMP__" || text == "__COUNTER__") {
      if (!InSystem(name.getLocation())) facts_->stamps.push_back({name.getLocation(), text.str()});
    } else if (text == "assert" && !InSystem(name.getLocation())) {
      facts_->asserts.push_back(range);
    }
  }
  void MacroDefined(const Token& name, const MacroDirective*) override {
    if (conditions_.empty() || name.getIdentifierInfo() == nullptr) return;
    if (conditions_.back().negated && conditions_.back().macro == name.getIdentifierInfo()->getName()) conditions_.back().macro.clear();
  }
  void PragmaDirective(SourceLocation at, PragmaIntroducerKind) override {
    if (InSystem(at)) return;
    const SourceManager& sources = preprocessor_.getSourceManager();
    bool invalid = false;
    const llvm::StringRef buffer(sources.getCharacterData(sources.getExpansionLoc(at), &invalid));
    if (invalid) return;
    llvm::StringRef line = buffer.take_until([](char c) { return c == '\n'; }).trim();
    line.consume_front("#");
    line = line.ltrim();
    if (!line.consume_front("pragma")) return;
    line = line.ltrim();
    const bool openmp = line.starts_with("omp ") && (line.contains("parallel") || line.contains(" for") || line.contains("task") ||
                                                     line.contains("simd") || line.contains("sections"));
    const bool fast = (line.contains("float_control") && line.contains("precise") && line.contains("off")) ||
                      (line.starts_with("clang fp") && (line.contains("reassociate(on)") || line.contains("contract(fast)") || line.contains("reciprocal(on)"))) ||
                      (line.starts_with("GCC optimize") && (line.contains("fast-math") || line.contains("Ofast") || line.contains("unsafe-math") || line.contains("associative-math"))) ||
                      (line.starts_with("STDC FP_CONTRACT") && line.contains("ON")) || (line.starts_with("STDC FENV_ACCESS") && line.contains("ON")) ||
                      line.starts_with("fp_contract");
    if (openmp || fast) facts_->pragmas.emplace_back(at, line.str());
  }
  void If(SourceLocation at, SourceRange range, ConditionValueKind) override { Open(at, MacroIn(range), false); }
  void Ifdef(SourceLocation at, const Token& name, const MacroDefinition& definition) override {
    Open(at, Build(name.getIdentifierInfo(), definition.getMacroInfo()), false);
  }
  void Ifndef(SourceLocation at, const Token& name, const MacroDefinition& definition) override {
    Open(at, Build(name.getIdentifierInfo(), definition.getMacroInfo()), true);
  }
  void Elif(SourceLocation, SourceRange range, ConditionValueKind, SourceLocation) override {
    if (!conditions_.empty() && conditions_.back().macro.empty()) conditions_.back().macro = MacroIn(range);
  }
  void Endif(SourceLocation at, SourceLocation) override {
    if (conditions_.empty()) return;
    const Condition condition = conditions_.back();
    conditions_.pop_back();
    if (!condition.macro.empty() && !InSystem(condition.at)) facts_->regions.push_back({condition.at, at, condition.macro});
  }

 private:
  struct Condition {
    SourceLocation at;
    std::string macro;
    bool negated;
  };
  bool InSystem(SourceLocation at) const {
    const SourceManager& sources = preprocessor_.getSourceManager();
    return sources.isInSystemHeader(sources.getExpansionLoc(at));
  }
  std::string Build(const IdentifierInfo* name, const MacroInfo* info) const {
    if (name == nullptr || !IsBuildMacro(name->getName(), info, preprocessor_.getSourceManager())) return {};
    return name->getName().str();
  }
  // The first build macro of a condition.
  std::string MacroIn(SourceRange range) const {
    const llvm::StringRef text = Lexer::getSourceText(CharSourceRange::getCharRange(range), preprocessor_.getSourceManager(), preprocessor_.getLangOpts());
    size_t at = 0;
    while (at < text.size()) {
      if (!clang::isAsciiIdentifierStart(text[at])) {
        ++at;
        continue;
      }
      size_t end = at;
      while (end < text.size() && clang::isAsciiIdentifierContinue(text[end])) ++end;
      const llvm::StringRef word = text.substr(at, end - at);
      at = end;
      if (word == "defined" || word == "true" || word == "false" || word.starts_with("__has_") || word.starts_with("__cpp_")) continue;
      if (at > 0 && word.size() > 1 && !std::isdigit(static_cast<unsigned char>(word[0]))) {
        IdentifierInfo* name = preprocessor_.getIdentifierInfo(word);
        const std::string macro = Build(name, preprocessor_.getMacroInfo(name));
        if (!macro.empty()) return macro;
      }
    }
    return {};
  }
  void Open(SourceLocation at, std::string macro, bool negated) { conditions_.push_back({at, std::move(macro), negated}); }

  Preprocessor& preprocessor_;
  PreprocessorFacts* facts_;
  std::vector<Condition> conditions_;
};

class Consumer : public ASTConsumer {
 public:
  Consumer(CompilerInstance& compiler, const ModelSet& models, const AnalyzeOptions& options, Diagnostics* diagnostics, PreprocessorFacts* facts, Unit* unit)
      : compiler_(compiler), models_(models), options_(options), diagnostics_(diagnostics), facts_(facts), unit_(unit) {}
  void HandleTranslationUnit(ASTContext& context) override {
    if (compiler_.getDiagnostics().hasErrorOccurred()) return;
    UnitBuilder builder(context, compiler_.getPreprocessor(), models_, std::move(*facts_), diagnostics_->TakeWarnings(), unit_);
    builder.Run({.system_loaded = options_.headers != nullptr, .deadline = options_.deadline});
  }

 private:
  CompilerInstance& compiler_;
  const ModelSet& models_;
  const AnalyzeOptions& options_;
  Diagnostics* diagnostics_;
  PreprocessorFacts* facts_;
  Unit* unit_;
};

class Action : public ASTFrontendAction {
 public:
  Action(const ModelSet& models, const AnalyzeOptions& options, Diagnostics* diagnostics, Unit* unit)
      : models_(models), options_(options), diagnostics_(diagnostics), unit_(unit) {}
  std::unique_ptr<ASTConsumer> CreateASTConsumer(CompilerInstance& compiler, llvm::StringRef) override {
    compiler.getPreprocessor().addPPCallbacks(CollectFacts(compiler.getPreprocessor(), &facts_));
    return std::make_unique<Consumer>(compiler, models_, options_, diagnostics_, &facts_, unit_);
  }
  void EndSourceFileAction() override {
    std::map<std::string, Dependency> found;
    for (auto& one : DependenciesOf(getCompilerInstance().getSourceManager())) found.emplace(one.path, std::move(one));
    if (const auto* headers = options_.headers) {
      std::erase_if(found, [&](const auto& entry) { return entry.first == headers->path || entry.first == PreludeOf(headers->path); });
      for (const auto& one : headers->dependencies) found.emplace(one.path, one);
    }
    for (auto& [path, dependency] : found) unit_->dependencies.push_back(std::move(dependency));
  }

 private:
  const ModelSet& models_;
  const AnalyzeOptions& options_;
  Diagnostics* diagnostics_;
  Unit* unit_;
  PreprocessorFacts facts_;
};

}  // namespace

// Everything that was read, by path, with what tells whether it has changed since.
std::vector<Dependency> DependenciesOf(const SourceManager& sources) {
  // Looking a file up may load further entries of a precompiled header.
  std::vector<FileEntryRef> files;
  for (auto it = sources.fileinfo_begin(); it != sources.fileinfo_end(); ++it) files.push_back(it->first);
  std::map<std::string, Dependency> found;
  for (const FileEntryRef& entry : files) {
    llvm::SmallString<256> path(entry.getName());
    sources.getFileManager().makeAbsolutePath(path);
    llvm::sys::path::remove_dots(path, true);
    Dependency dependency{.path = path.str().str(), .stamp = {}, .system = false};
    const FileID file = sources.translateFile(entry);
    dependency.system = file.isInvalid() || sources.isInSystemHeader(sources.getLocForStartOfFile(file));
    if (dependency.system) {
      dependency.stamp = StampOf(dependency.path, true);
    } else if (const auto buffer = sources.getBufferOrNone(file)) {
      dependency.stamp = Sha256Hex(std::string_view(buffer->getBufferStart(), buffer->getBufferSize()));
    }
    found.emplace(dependency.path, std::move(dependency));
  }
  std::vector<Dependency> result;
  for (auto& [path, dependency] : found) result.push_back(std::move(dependency));
  return result;
}

std::unique_ptr<PPCallbacks> CollectFacts(Preprocessor& preprocessor, PreprocessorFacts* facts) {
  return std::make_unique<Callbacks>(preprocessor, facts);
}

std::string StampOf(const std::string& path, bool system) {
  if (!system) {
    auto text = ReadFile(path);
    return text ? Sha256Hex(*text) : std::string("missing");
  }
  llvm::sys::fs::file_status status;
  if (llvm::sys::fs::status(path, status)) return "missing";
  return std::to_string(status.getSize()) + "/" + std::to_string(status.getLastModificationTime().time_since_epoch().count());
}

std::vector<std::string> AdjustArguments(const CompileCommand& command, std::vector<std::string>* notes) {
  auto adjust = tooling::combineAdjusters(tooling::getClangStripOutputAdjuster(), tooling::getClangStripDependencyFileAdjuster());
  adjust = tooling::combineAdjusters(std::move(adjust), tooling::getClangSyntaxOnlyAdjuster());
  adjust = tooling::combineAdjusters(std::move(adjust), tooling::getStripPluginsAdjuster());
  std::vector<std::string> given = command.arguments;
  // A launcher in front of the compiler is not part of the command.
  while (given.size() > 1 && !given[1].empty() && given[1][0] != '-') {
    const std::string name = llvm::sys::path::filename(given[0]).str();
    if (name != "ccache" && name != "sccache" && name != "distcc" && name != "icecc") break;
    given.erase(given.begin());
  }
  given = adjust(given, command.file);
  // Flags that this Clang does not know belong to another compiler.
  const llvm::opt::OptTable& table = driver::getDriverOptTable();
  std::vector<const char*> raw;
  for (size_t i = 1; i < given.size(); ++i) raw.push_back(given[i].c_str());
  unsigned missing_index = 0, missing_count = 0;
  const llvm::opt::InputArgList parsed = table.ParseArgs(raw, missing_index, missing_count, llvm::opt::Visibility(driver::options::ClangOption));
  std::set<unsigned> dropped;
  for (const llvm::opt::Arg* argument : parsed) {
    if (argument->getOption().getKind() == llvm::opt::Option::UnknownClass) {
      dropped.insert(argument->getIndex());
      if (notes != nullptr) notes->push_back("flag " + argument->getAsString(parsed) + " is unknown to Clang and was left out");
    }
  }
  std::vector<std::string> result;
  result.push_back(given.empty() ? std::string("clang++") : given[0]);
  for (size_t i = 1; i < given.size(); ++i) {
    const llvm::StringRef flag = given[i];
    if (dropped.count(static_cast<unsigned>(i - 1)) != 0) continue;
    if (flag.starts_with("-Werror") || flag == "-pedantic-errors" || flag == "-w" || flag == "-Weverything") continue;
    if (flag == "-include-pch") {
      ++i;
      continue;
    }
    // A precompiled header of another compiler run, as CMake passes it: `-Xclang -include-pch -Xclang file`.
    if (flag == "-Xclang" && i + 1 < given.size() && (given[i + 1] == "-include-pch" || llvm::StringRef(given[i + 1]).ends_with(".pch"))) {
      ++i;
      continue;
    }
    if (flag == "-Winvalid-pch" || flag.starts_with("-fpch")) continue;
    result.push_back(given[i]);
  }
  const auto end = std::find(result.begin(), result.end(), "--");
  std::vector<std::string> ours = {"-resource-dir", LOCKSTEP_CLANG_RESOURCE_DIR, "-Wno-everything", "-Wno-error", "-fno-caret-diagnostics"};
  for (const auto& [name, rule] : kWarningRules) ours.push_back("-W" + std::string(name));
  result.insert(end, ours.begin(), ours.end());
  return result;
}

Result<std::vector<CompileCommand>> ReadCompileCommands(const std::string& build_directory) {
  const std::string path = build_directory + "/compile_commands.json";
  LOCKSTEP_ASSIGN(const std::string text, ReadFile(path));
  auto json = ParseJson(text, {.max_depth = 8, .max_string_bytes = 4 * 1024 * 1024});
  if (!json) return Fail("COMPILE_COMMANDS_INVALID", path + ": " + json.error().message);
  if (!json->is_array()) return Fail("COMPILE_COMMANDS_INVALID", path + ": expected an array, found " + std::string(json->KindName()));
  std::map<std::string, CompileCommand> commands;
  size_t index = 0;
  for (const Json& entry : json->AsArray()) {
    const std::string where = path + ": /" + std::to_string(index++) + ": ";
    const Json* file = entry.Find("file");
    if (file == nullptr || !file->is_string()) return Fail("COMPILE_COMMANDS_INVALID", where + "expected a string member `file`");
    CompileCommand command;
    llvm::SmallString<256> directory(entry.GetString("directory", build_directory));
    if (!llvm::sys::path::is_absolute(directory)) {
      llvm::SmallString<256> base(build_directory);
      llvm::sys::fs::make_absolute(base);
      llvm::sys::path::append(base, directory);
      directory = base;
    }
    llvm::sys::path::remove_dots(directory, true);
    command.directory = directory.str().str();
    llvm::SmallString<256> full(file->AsString());
    if (!llvm::sys::path::is_absolute(full)) {
      full = directory;
      llvm::sys::path::append(full, file->AsString());
    }
    llvm::sys::path::remove_dots(full, true);
    command.file = full.str().str();
    if (const Json* arguments = entry.Find("arguments"); arguments != nullptr && arguments->is_array()) {
      for (const Json& argument : arguments->AsArray()) {
        if (argument.is_string()) command.arguments.push_back(argument.AsString());
      }
    } else if (const Json* line = entry.Find("command"); line != nullptr && line->is_string()) {
      // Shell quoting: double quotes, single quotes, backslashes.
      std::string current;
      bool open = false;
      char quote = 0;
      const std::string& source = line->AsString();
      for (size_t i = 0; i < source.size(); ++i) {
        const char c = source[i];
        if (quote == 0 && (c == ' ' || c == '\t' || c == '\n')) {
          if (open) command.arguments.push_back(current);
          current.clear();
          open = false;
        } else if (quote == 0 && (c == '"' || c == '\'')) {
          quote = c;
          open = true;
        } else if (c == quote) {
          quote = 0;
        } else if (c == '\\' && quote != '\'' && i + 1 < source.size()) {
          current.push_back(source[++i]);
          open = true;
        } else {
          current.push_back(c);
          open = true;
        }
      }
      if (open) command.arguments.push_back(current);
    }
    if (command.arguments.empty()) return Fail("COMPILE_COMMANDS_INVALID", where + "expected `arguments` or `command`");
    commands.emplace(command.file, std::move(command));
  }
  std::vector<CompileCommand> result;
  for (auto& [file, command] : commands) result.push_back(std::move(command));
  return result;
}

CompileCommand InferCommand(const std::vector<CompileCommand>& known, const std::string& file) {
  const auto common = [&](const std::string& other) {
    size_t length = 0;
    while (length < file.size() && length < other.size() && file[length] == other[length]) ++length;
    return length;
  };
  const CompileCommand* best = nullptr;
  for (const auto& command : known) {
    if (best == nullptr || common(command.file) > common(best->file)) best = &command;
  }
  CompileCommand result;
  if (best == nullptr) {
    result.directory = llvm::sys::path::parent_path(file).str();
    result.arguments = {"clang++", "-std=c++23", "-x", "c++", file};
  } else {
    result = *best;
    for (auto& argument : result.arguments) {
      llvm::SmallString<256> full(argument);
      if (!llvm::sys::path::is_absolute(full)) {
        full = result.directory;
        llvm::sys::path::append(full, argument);
        llvm::sys::path::remove_dots(full, true);
      }
      if (full.str() == best->file) argument = file;
    }
    result.arguments.insert(result.arguments.begin() + 1, {"-x", "c++"});
  }
  result.file = file;
  return result;
}

Unit AnalyzeFile(const CompileCommand& command, const ModelSet& models, const AnalyzeOptions& options) {
  const Precompiled* headers = options.headers;
  Unit unit;
  unit.main_file = command.file;
  std::vector<std::string> arguments = AdjustArguments(command, &unit.notes);
  const std::string forced = ForcedHeader(arguments, command.directory);
  const auto forced_text = forced.empty() ? std::nullopt : ForcedHeaderText(forced);
  if (headers != nullptr) {
    const std::vector<std::string> load = {"-Xclang", "-include-pch", "-Xclang", headers->path};
    arguments.insert(arguments.begin() + 1, load.begin(), load.end());
  }
  Diagnostics diagnostics;
  bool finished = false;
  const auto run = [&] {
    llvm::IntrusiveRefCntPtr<llvm::vfs::FileSystem> files(llvm::vfs::createPhysicalFileSystem());
    if (files->setCurrentWorkingDirectory(command.directory)) {
      unit.error = command.file + ": error: the directory " + command.directory + " of its compile command does not exist";
      return;
    }
    if (forced_text) {
      llvm::IntrusiveRefCntPtr<llvm::vfs::OverlayFileSystem> overlay(new llvm::vfs::OverlayFileSystem(files));
      llvm::IntrusiveRefCntPtr<llvm::vfs::InMemoryFileSystem> memory(new llvm::vfs::InMemoryFileSystem);
      memory->addFile(forced, 0, llvm::MemoryBuffer::getMemBuffer(*forced_text));
      overlay->pushOverlay(memory);
      files = overlay;
    }
    llvm::IntrusiveRefCntPtr<FileManager> manager(new FileManager(FileSystemOptions(), files));
    tooling::ToolInvocation invocation(arguments, std::make_unique<Action>(models, options, &diagnostics, &unit), manager.get());
    invocation.setDiagnosticConsumer(&diagnostics);
    invocation.run();
    finished = true;
  };
  llvm::CrashRecoveryContext recovery;
  if (!recovery.RunSafelyOnThread(run, 64 << 20)) {
    if (headers != nullptr) return AnalyzeFile(command, models, {.headers = nullptr, .deadline = options.deadline});
    std::vector<Dependency> dependencies = std::move(unit.dependencies);
    unit = Unit();
    unit.main_file = command.file;
    unit.error = command.file + ": error: the compiler stopped while it read this file";
    unit.strings.emplace_back();
    return unit;
  }
  if (!diagnostics.error().empty()) {
    if (headers != nullptr) return AnalyzeFile(command, models, {.headers = nullptr, .deadline = options.deadline});  // Whatever is wrong, it is told from the sources.
    unit.error = diagnostics.error();
    // Clang names the file as the command did, relative to the command's directory.
    const bool located = unit.error.find(": error: ") != std::string::npos;
    if (located && unit.error.front() != '/') unit.error = command.directory + "/" + unit.error;
  }
  if (!finished && unit.error.empty()) unit.error = command.file + ": error: not analysed";
  if (unit.strings.empty()) unit.strings.emplace_back();
  return unit;
}

}  // namespace lockstep::analyzer
