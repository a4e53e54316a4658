// RapidJSON reports a value after having read it; its start is the first byte after the previous token that is neither
// space, comma nor colon.
#include "engine-core/plan/source_map.h"

#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/plan/issues.h"

namespace lockstep::plan {
namespace {

constexpr size_t kMaxDepth = 64;

class Recorder : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Recorder> {
 public:
  Recorder(std::string_view text, const rapidjson::MemoryStream& stream,
           std::map<std::string, SourcePosition, std::less<>>* out)
      : text_(text), stream_(stream), out_(out) {}

  bool Default() { return Value(); }
  bool String(const char*, rapidjson::SizeType, bool) { return Value(); }
  bool Key(const char* name, rapidjson::SizeType length, bool) {
    levels_.back().token = JsonPointerToken(std::string_view(name, length));
    token_end_ = stream_.Tell();
    return true;
  }
  bool StartObject() { return Open(false); }
  bool StartArray() { return Open(true); }
  bool EndObject(rapidjson::SizeType) { return Close(); }
  bool EndArray(rapidjson::SizeType) { return Close(); }

 private:
  struct Level {
    bool is_array = false;
    size_t index = 0;
    std::string token;
    size_t parent_length = 0;
  };

  bool Value() {
    const size_t length = pointer_.size();
    Enter();
    Record();
    pointer_.resize(length);
    return true;
  }
  bool Open(bool is_array) {
    if (levels_.size() >= kMaxDepth) return false;
    const size_t length = pointer_.size();
    Enter();
    Record();
    // The parser reports an opening bracket before it has moved past it.
    token_end_ = counted_ + 1;
    levels_.push_back({is_array, 0, {}, length});
    return true;
  }
  bool Close() {
    pointer_.resize(levels_.back().parent_length);
    levels_.pop_back();
    token_end_ = stream_.Tell();
    return true;
  }
  void Enter() {
    if (levels_.empty()) return;
    Level& level = levels_.back();
    pointer_ += "/" + (level.is_array ? std::to_string(level.index++) : level.token);
  }
  void Record() {
    size_t start = token_end_;
    while (start < text_.size() && (text_[start] == ' ' || text_[start] == '\t' || text_[start] == '\n' ||
                                    text_[start] == '\r' || text_[start] == ',' || text_[start] == ':')) {
      ++start;
    }
    for (; counted_ < start; ++counted_) {
      if (text_[counted_] != '\n') continue;
      ++line_;
      line_start_ = counted_ + 1;
    }
    out_->emplace(pointer_, SourcePosition{line_, start - line_start_ + 1, start});
    token_end_ = stream_.Tell();
  }

  std::string_view text_;
  const rapidjson::MemoryStream& stream_;
  std::map<std::string, SourcePosition, std::less<>>* out_;
  std::vector<Level> levels_;
  std::string pointer_;
  size_t token_end_ = 0;
  size_t counted_ = 0;
  size_t line_ = 1;
  size_t line_start_ = 0;
};

}  // namespace

Result<SourceMap> SourceMap::Build(std::string_view json) {
  SourceMap out;
  rapidjson::MemoryStream stream(json.data(), json.size());
  Recorder recorder(json, stream, &out.positions_);
  rapidjson::Reader reader;
  const auto result =
      reader.Parse < rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag > (stream, recorder);
  if (result.IsError()) return Fail("JSON_INVALID", "offset " + std::to_string(result.Offset()) + ": expected JSON");
  return out;
}

std::optional<SourcePosition> SourceMap::Find(std::string_view pointer) const {
  const auto it = positions_.find(pointer);
  if (it == positions_.end()) return std::nullopt;
  return it->second;
}

SourcePosition SourceMap::Nearest(std::string_view pointer) const {
  while (true) {
    if (const auto found = Find(pointer); found) return *found;
    const size_t slash = pointer.rfind('/');
    if (slash == std::string_view::npos) return {};
    pointer = pointer.substr(0, slash);
  }
}

std::string DescribePosition(const SourceMap& map, std::string_view issue_path) {
  const SourcePosition position = map.Nearest(PointerFromPath(issue_path));
  return "line " + std::to_string(position.line) + ", column " + std::to_string(position.column);
}

}  // namespace lockstep::plan
