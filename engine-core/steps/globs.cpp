#include "engine-core/steps/globs.h"

#include <fnmatch.h>

#include <algorithm>
#include <set>

#include "engine-core/base/bytes.h"
#include "engine-core/steps/step_error.h"

namespace lockstep::steps {
namespace {

namespace fs = std::filesystem;

// More than this many directory entries looked at means a pattern that was not meant.
constexpr size_t kMaxEntries = 200'000;
constexpr int kMaxDepth = 64;

bool IsInside(const fs::path& root, const fs::path& path) {
  const auto [at_root, at_path] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  return at_root == root.end() && at_path != path.end();
}

class Walk {
 public:
  Walk(const fs::path& root, size_t max_files) : root_(root), max_files_(max_files) {}

  Status Add(const std::string& pattern) {
    elements_.clear();
    for (const std::string_view element : Split(pattern, '/')) elements_.emplace_back(element);
    const size_t before = found_.size();
    hit_ = false;
    LOCKSTEP_TRY(Descend(fs::path(), 0, 0));
    if (found_.size() == before && !hit_ && !HasWildcard(pattern)) {
      return Fail(
          StepError("ARTIFACT_MISSING", Category::kUser, false, "the program did not produce `" + pattern + "`"));
    }
    return {};
  }

  std::vector<std::string> Take() const { return {found_.begin(), found_.end()}; }

 private:
  // Matches elements from `at` on below the directory `relative`.
  Status Descend(const fs::path& relative, size_t at, int depth) {
    if (depth > kMaxDepth) return {};
    const std::string& element = elements_[at];
    const bool last = at + 1 == elements_.size();
    if (element == "**" && !last) LOCKSTEP_TRY(Descend(relative, at + 1, depth));
    if (element != "**" && !HasWildcard(element)) return Visit(relative / element, at, last, depth);
    std::error_code error;
    fs::directory_iterator entries(root_ / relative, error);
    // A directory that cannot be listed holds nothing for us, as with a shell.
    for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
      if (++looked_at_ > kMaxEntries) return TooMany("directory entries");
      const std::string name = entries->path().filename();
      const bool matches = element == "**" ? !name.starts_with('.')
                                           : ::fnmatch(element.c_str(), name.c_str(), FNM_PERIOD | FNM_NOESCAPE) == 0;
      if (matches) LOCKSTEP_TRY(Visit(relative / name, at, last, depth));
    }
    return {};
  }

  Status Visit(const fs::path& relative, size_t at, bool last, int depth) {
    std::error_code error;
    const fs::file_status status = fs::symlink_status(root_ / relative, error);
    const bool any_depth = elements_[at] == "**";
    if (fs::is_directory(status)) {
      if (any_depth) return Descend(relative, at, depth + 1);
      return last ? Status() : Descend(relative, at + 1, depth + 1);
    }
    return last ? Take(relative, status) : Status();
  }

  Status Take(const fs::path& relative, const fs::file_status& status) {
    if (fs::is_symlink(status)) {
      std::error_code error;
      const fs::path target = fs::canonical(root_ / relative, error);
      if (error || fs::is_directory(target, error)) return {};  // dangling, or a directory: not walked
      if (!IsInside(root_, target)) {
        return Fail(StepError("ARTIFACT_PATH_ESCAPES", Category::kUser, false,
                              "`" + relative.string() + "` is a link that leads out of the working directory"));
      }
      if (!fs::is_regular_file(target, error)) return {};
    } else if (!fs::is_regular_file(status)) {
      return {};
    }
    hit_ = true;
    found_.insert(relative.string());
    return found_.size() > max_files_ ? TooMany("files") : Status();
  }

  std::unexpected<Error> TooMany(std::string_view what) const {
    return Fail(StepError("ARTIFACT_LIMIT_EXCEEDED", Category::kUser, false,
                          "artifact patterns: expected at most " +
                              std::to_string(what == "files" ? max_files_ : kMaxEntries) + " " + std::string(what) +
                              ", found more"));
  }

  fs::path root_;
  size_t max_files_;
  std::vector<std::string> elements_;
  std::set<std::string> found_;
  size_t looked_at_ = 0;
  bool hit_ = false;
};

}  // namespace

bool HasWildcard(const std::string& pattern) { return pattern.find_first_of("*?[") != std::string::npos; }

Status CheckGlob(const std::string& pattern, const std::string& place) {
  if (pattern.size() > 1024) return Fail(ParamError(place, "expected at most 1024 bytes"));
  const bool control =
      std::any_of(pattern.begin(), pattern.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (control) return Fail(ParamError(place, "expected no control characters"));
  for (const std::string_view element : Split(pattern, '/')) {
    if (element.empty() || element == "." || element == "..") {
      return Fail(
          ParamError(place, "expected a relative path without empty elements, `.` and `..`, found `" + pattern + "`"));
    }
  }
  return {};
}

Result<std::vector<std::string>> ExpandGlobs(const fs::path& root, const std::vector<std::string>& patterns,
                                             size_t max_files) {
  std::error_code error;
  const fs::path canonical = fs::canonical(root, error);
  if (error) return Fail(TransientError(root.string() + ": " + error.message()));
  Walk walk(canonical, max_files);
  for (const std::string& pattern : patterns) LOCKSTEP_TRY(walk.Add(pattern));
  return walk.Take();
}

}  // namespace lockstep::steps
