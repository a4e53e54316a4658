// Runs git without a shell; its output goes through a file.
#include "analyzer/lint/git.h"

#include <llvm/ADT/StringRef.h>
#include <llvm/Support/Program.h>

#include <filesystem>
#include <vector>

#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"

namespace lockstep::analyzer {
namespace {

Result<std::string> Git(const std::string& directory, std::vector<std::string> arguments) {
  const auto program = llvm::sys::findProgramByName("git");
  if (!program) return Fail("GIT_FAILED", "git: expected the program on PATH, found none");
  LOCKSTEP_ASSIGN(const TemporaryDirectory scratch, TemporaryDirectory::Create("lockstep-git"));
  const std::string out = (scratch.path() / "out").string();
  const std::string err = (scratch.path() / "err").string();
  std::vector<std::string> all = {"git", "-C", directory};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<llvm::StringRef> views(all.begin(), all.end());
  const std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(""), llvm::StringRef(out), llvm::StringRef(err)};
  std::string message;
  const int code = llvm::sys::ExecuteAndWait(*program, views, std::nullopt, redirects, 60, 0, &message);
  if (code != 0) {
    auto text = ReadFile(err);
    return Fail("GIT_FAILED", "git " + arguments.front() + " in " + directory + ": " + (text && !text->empty() ? text->substr(0, text->find('\n')) : message));
  }
  return ReadFile(out);
}

}  // namespace

Result<std::set<std::string>> ChangedFiles(const std::string& directory, const std::string& revision) {
  if (revision.empty() || revision.front() == '-') return Fail("GIT_FAILED", "expected a revision, found " + revision);
  LOCKSTEP_ASSIGN(std::string top, Git(directory, {"rev-parse", "--show-toplevel"}));
  while (!top.empty() && top.back() == '\n') top.pop_back();
  LOCKSTEP_ASSIGN(const std::string in_top, Git(top, {"diff", "--name-only", "-z", revision, "--"}));
  LOCKSTEP_ASSIGN(const std::string untracked, Git(top, {"ls-files", "--others", "--exclude-standard", "-z"}));
  std::set<std::string> files;
  for (const std::string& list : {in_top, untracked}) {
    for (std::string_view name : Split(list, '\0')) {
      if (!name.empty()) files.insert((std::filesystem::path(top) / name).lexically_normal().string());
    }
  }
  return files;
}

}  // namespace lockstep::analyzer
