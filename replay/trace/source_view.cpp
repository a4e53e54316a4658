#include "replay/trace/source_view.h"

#include <algorithm>
#include <deque>
#include <set>

#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"
#include "replay/trace/cpp_text.h"
#include "replay/trace/run_program.h"

namespace lockstep::replay {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxSourceBytes = uint64_t{8} << 20;

bool IsName(char c) { return IsAsciiAlnum(c) || c == '_'; }

std::vector<std::string> LinesOf(std::string_view text) {
  std::vector<std::string> lines;
  for (std::string_view line : Split(text, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
  }
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

// `@@ -12,3 +14,2 @@`: the numbers after the sign.
bool ReadRange(std::string_view text, char sign, uint32_t* start, uint32_t* count) {
  const size_t at = text.find(sign);
  if (at == std::string_view::npos) return false;
  const std::string_view range = text.substr(at + 1, text.find(' ', at) - at - 1);
  const size_t comma = range.find(',');
  const auto first = ParseInt64(range.substr(0, comma));
  const auto length = comma == std::string_view::npos ? std::optional<int64_t>(1) : ParseInt64(range.substr(comma + 1));
  if (!first || !length || *first < 0 || *length < 0 || *first > INT32_MAX || *length > INT32_MAX) return false;
  *start = static_cast<uint32_t>(*first);
  *count = static_cast<uint32_t>(*length);
  return true;
}

// Cuts one hunk of a diff into runs of changed lines.
class HunkReader {
 public:
  HunkReader(std::string file, uint32_t old_start, uint32_t new_start, std::vector<Hunk>* hunks)
      : file_(std::move(file)), old_(old_start), new_(new_start), hunks_(hunks) {}

  void Take(std::string_view line) {
    if (line.starts_with('-')) {
      Current().old_lines.emplace_back(line.substr(1));
      ++old_;
    } else if (line.starts_with('+')) {
      Current().new_lines.emplace_back(line.substr(1));
      ++new_;
    } else {
      open_ = false;
      ++old_;
      ++new_;
    }
  }

 private:
  Hunk& Current() {
    if (!open_) hunks_->push_back({file_, old_, new_, {}, {}});
    open_ = true;
    return hunks_->back();
  }

  std::string file_;
  uint32_t old_;
  uint32_t new_;
  std::vector<Hunk>* hunks_;
  bool open_ = false;
};

}  // namespace

Result<std::vector<Hunk>> ParseDiff(std::string_view text) {
  std::vector<Hunk> hunks;
  std::string file;
  std::optional<HunkReader> reader;
  uint32_t old_left = 0, new_left = 0;
  size_t number = 0;
  for (const std::string_view line : Split(text, '\n')) {
    ++number;
    if (reader && (old_left > 0 || new_left > 0)) {
      if (line.starts_with('\\')) continue;
      if (!line.starts_with('+') && old_left > 0) --old_left;
      if (!line.starts_with('-') && new_left > 0) --new_left;
      reader->Take(line);
      continue;
    }
    if (line.starts_with("+++ ")) {
      file = std::string(line.substr(4));
      if (const size_t tab = file.find('\t'); tab != std::string::npos) file.resize(tab);
      if (file.starts_with("b/")) file.erase(0, 2);
      reader.reset();
    } else if (line.starts_with("@@ ")) {
      uint32_t old_start = 0, new_start = 0;
      if (file.empty() || !ReadRange(line, '-', &old_start, &old_left) ||
          !ReadRange(line, '+', &new_start, &new_left)) {
        return Fail("DIFF_INVALID", "line " + std::to_string(number) + ": expected a hunk of a unified diff, found " +
                                        PrintableUtf8(line.substr(0, 80)));
      }
      // Of no lines, the number is that of the line before.
      reader.emplace(file, old_left == 0 ? old_start + 1 : old_start, new_left == 0 ? new_start + 1 : new_start,
                     &hunks);
    }
  }
  std::erase_if(hunks, [](const Hunk& hunk) { return hunk.file == "/dev/null"; });
  return hunks;
}

Result<std::vector<Hunk>> ChangesSince(const std::string& directory, const std::string& revision) {
  if (revision.starts_with('-')) return Fail("USAGE", "expected a revision, found " + revision);
  LOCKSTEP_ASSIGN(const ProgramResult git, RunProgram({"git", "diff", "--no-color", "--no-ext-diff", "--no-renames",
                                                       "--unified=0", revision, "--", "."},
                                                      {.directory = directory, .timeout_ms = 60'000}));
  if (git.exit_code != 0) {
    const std::string_view first = std::string_view(git.errors).substr(0, git.errors.find('\n'));
    return Fail("GIT_FAILED", "git diff " + revision + ": " + PrintableUtf8(first));
  }
  return ParseDiff(git.output);
}

Result<std::vector<Finding>> ParseFindings(std::string_view text) {
  const auto json = ParseJson(text, {.max_depth = 64, .max_string_bytes = size_t{1} << 24});
  const Json* list = json ? json->Find("findings") : nullptr;
  if (list == nullptr || !list->is_array())
    return Fail("FINDINGS_INVALID", "expected the JSON of lockstep-tidy with a list `findings`" +
                                        (json ? std::string() : ": " + json.error().message));
  const auto place = [](const Json& entry) {
    return workflow::SourceLine{entry.GetString("file"),
                                static_cast<uint32_t>(std::max<int64_t>(0, entry.GetInt("line"))),
                                entry.GetString("function")};
  };
  std::vector<Finding> findings;
  for (const Json& entry : list->AsArray()) {
    Finding finding{entry.GetString("id"), entry.GetString("message"), {}};
    if (const Json* chain = entry.Find("chain"); chain != nullptr && chain->is_array()) {
      for (const Json& step : chain->AsArray()) finding.chain.push_back(place(step));
    }
    if (const auto own = place(entry); own.known()) finding.chain.push_back(own);
    if (!finding.chain.empty() && finding.site().known()) findings.push_back(std::move(finding));
  }
  return findings;
}

const std::string& SourceTree::Relative(const std::string& file) {
  const auto known = relative_.find(file);
  if (known != relative_.end()) return known->second;
  std::string& name = relative_[file];
  name = file;
  std::vector<fs::path> parts;
  const fs::path path(file);
  for (const fs::path& part : path.relative_path()) {
    if (part == "..")
      parts.clear();
    else if (part != ".")
      parts.push_back(part);
  }
  // What lies above the tree is unknown: the longest end that exists below it.
  for (size_t from = 0; from < parts.size(); ++from) {
    fs::path rest;
    for (size_t i = from; i < parts.size(); ++i) rest /= parts[i];
    for (const fs::path& root : roots_) {
      std::error_code error;
      if (!fs::is_regular_file(root / rest, error)) continue;
      name = rest.generic_string();
      return name;
    }
    // A file that is said to be of the tree is not looked for elsewhere in it.
    if (path.is_relative() && *path.begin() != "..") break;
  }
  return name;
}

const std::vector<std::string>* SourceTree::Lines(const std::string& file) {
  const auto known = lines_.find(file);
  if (known != lines_.end()) return known->second ? &*known->second : nullptr;
  auto& entry = lines_[file];
  const fs::path relative(file);
  if (file.empty() || relative.is_absolute() || std::find(relative.begin(), relative.end(), "..") != relative.end())
    return nullptr;
  for (const fs::path& root : roots_) {
    if (const auto text = ReadFile(root / relative, kMaxSourceBytes)) {
      entry = LinesOf(*text);
      return &*entry;
    }
  }
  return nullptr;
}

const std::vector<FunctionText>& SourceTree::Functions(const std::string& file) {
  const auto known = functions_.find(file);
  if (known != functions_.end()) return known->second;
  std::vector<FunctionText>& functions = functions_[file];
  const std::vector<std::string>* lines = Lines(file);
  if (lines == nullptr) return functions;
  for (Item& item : ItemsOf(Words(file)))
    functions.push_back({std::move(item.name), file, item.first, item.last, item.kind, std::move(item.scope),
                         std::move(item.calls), std::move(item.names), std::move(item.locals), std::move(item.writes)});
  return functions;
}

const std::vector<Token>& SourceTree::Words(const std::string& file) {
  const auto known = words_.find(file);
  if (known != words_.end()) return known->second;
  const std::vector<std::string>* lines = Lines(file);
  return words_[file] = lines != nullptr ? Tokens(*lines) : std::vector<Token>();
}

const FunctionText* SourceTree::FunctionAt(const std::string& file, uint32_t line) {
  for (const FunctionText& function : Functions(file)) {
    if (line >= function.first && line <= function.last) return &function;
  }
  return nullptr;
}

std::vector<std::string> SourceTree::Neighbours(const std::vector<std::string>& files) {
  std::set<std::string> folders, found(files.begin(), files.end());
  for (const std::string& file : files) folders.insert(fs::path(file).parent_path().generic_string());
  for (const std::string& folder : folders) {
    for (const fs::path& root : roots_) {
      std::error_code error;
      for (const auto& entry : fs::directory_iterator(root / folder, error)) {
        const std::string name = entry.path().filename().string();
        const bool source =
            name.ends_with(".cpp") || name.ends_with(".cc") || name.ends_with(".h") || name.ends_with(".hpp");
        if (source && !name.ends_with("_test.cpp") && !name.ends_with("_bench.cpp"))
          found.insert((fs::path(folder) / name).generic_string());
      }
    }
  }
  return {found.begin(), found.end()};
}

std::map<std::string, int> CallDistances(SourceTree* tree, const std::vector<std::string>& files,
                                         const std::vector<workflow::SourceLine>& from, int limit) {
  std::multimap<std::string_view, const FunctionText*> by_name, by_class, by_write;
  for (const std::string& file : files) {
    for (const FunctionText& function : tree->Functions(file)) {
      by_name.emplace(function.name, &function);
      if (!function.scope.empty()) by_class.emplace(function.scope, &function);
      for (const std::string& name : function.writes) {
        if (!HasName(function.locals, name)) by_write.emplace(name, &function);
      }
    }
  }
  std::map<const FunctionText*, int> distances;
  std::vector<std::vector<const FunctionText*>> rounds(static_cast<size_t>(limit) + 1);
  const auto visit = [&](const FunctionText* function, int distance) {
    if (distance > limit) return;
    const auto [entry, fresh] = distances.emplace(function, distance);
    if (!fresh && entry->second <= distance) return;
    entry->second = distance;
    rounds[static_cast<size_t>(distance)].push_back(function);
  };
  for (const workflow::SourceLine& line : from) {
    if (const FunctionText* function = tree->FunctionAt(line.file, line.line)) visit(function, 0);
  }
  for (int distance = 0; distance <= limit; ++distance) {
    for (size_t i = 0; i < rounds[static_cast<size_t>(distance)].size(); ++i) {
      const FunctionText* function = rounds[static_cast<size_t>(distance)][i];
      if (distances[function] != distance) continue;
      for (const std::string& name : function->names) {
        const bool call = HasName(function->calls, name);
        for (auto [it, end] = by_name.equal_range(name); it != end; ++it) {
          if (call || it->second->kind == ItemKind::kDeclaration) visit(it->second, distance + 1);
        }
        // A macro that registers a class leads to what is in it.
        for (auto [it, end] = by_class.equal_range(name); function->kind == ItemKind::kMacro && it != end; ++it)
          visit(it->second, distance + 1);
        if (call || HasName(function->locals, name)) continue;
        for (auto [it, end] = by_write.equal_range(name); it != end; ++it) visit(it->second, distance + 2);
      }
    }
  }
  std::map<std::string, int> by_place;
  for (const auto& [function, distance] : distances)
    by_place[function->file + ":" + std::to_string(function->first)] = distance;
  return by_place;
}

std::vector<workflow::SourceLine> CallPath(SourceTree* tree, const std::vector<std::string>& files,
                                           const std::vector<workflow::SourceLine>& from,
                                           const workflow::SourceLine& to) {
  const FunctionText* target = tree->FunctionAt(to.file, to.line);
  if (target == nullptr) return {};
  // Backwards from the target: who calls it, who calls those.
  std::map<const FunctionText*, const FunctionText*> callee_of{{target, nullptr}};
  std::deque<const FunctionText*> queue{target};
  std::set<const FunctionText*> starts;
  for (const workflow::SourceLine& line : from) {
    if (const FunctionText* function = tree->FunctionAt(line.file, line.line)) starts.insert(function);
  }
  const FunctionText* reached = nullptr;
  while (!queue.empty() && reached == nullptr && callee_of.size() < 200) {
    const FunctionText* function = queue.front();
    queue.pop_front();
    for (const std::string& file : files) {
      for (const FunctionText& caller : tree->Functions(file)) {
        if (!std::binary_search(caller.calls.begin(), caller.calls.end(), function->name) ||
            callee_of.contains(&caller))
          continue;
        callee_of[&caller] = function;
        queue.push_back(&caller);
        if (starts.contains(&caller)) reached = &caller;
      }
    }
  }
  std::vector<workflow::SourceLine> path;
  for (const FunctionText* caller = reached; caller != nullptr && callee_of[caller] != nullptr;
       caller = callee_of[caller]) {
    const std::string call = callee_of[caller]->name + "(";
    const std::vector<std::string>& lines = *tree->Lines(caller->file);
    for (uint32_t line = caller->first + 1; line <= caller->last; ++line) {
      const size_t at = lines[line - 1].find(call);
      if (at == std::string::npos || (at > 0 && IsName(lines[line - 1][at - 1]))) continue;
      path.push_back({caller->file, line, caller->name});
      break;
    }
  }
  std::reverse(path.begin(), path.end());
  return path;
}

fs::path TreeAround(const fs::path& directory) {
  std::error_code error;
  fs::path absolute = fs::absolute(directory, error);
  for (fs::path folder = absolute;; folder = folder.parent_path()) {
    if (fs::exists(folder / ".git", error)) return folder;
    if (!folder.has_relative_path()) return absolute;
  }
}

}  // namespace lockstep::replay
