#include "engine-core/steps/redactor.h"

#include <algorithm>

namespace lockstep::steps {
namespace {

constexpr size_t kShortestSecret = 4;
constexpr std::string_view kMask = "***";

}  // namespace

Redactor::Redactor(std::vector<std::string> values) {
  // A secret read from a file often ends in a line feed that its user strips: look for the stripped form as well.
  const size_t count = values.size();
  for (size_t i = 0; i < count; ++i) {
    const size_t end = values[i].find_last_not_of(" \t\r\n");
    if (end != std::string::npos && end + 1 < values[i].size()) values.push_back(values[i].substr(0, end + 1));
  }
  std::erase_if(values, [](const std::string& value) { return value.size() < kShortestSecret; });
  std::sort(values.begin(), values.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
  values.erase(std::unique(values.begin(), values.end()), values.end());
  values_ = std::move(values);
  longest_ = values_.empty() ? 0 : values_.front().size();
}

size_t Redactor::MatchAt(std::string_view text, size_t at) const {
  for (const std::string& value : values_) {
    if (text.substr(at).starts_with(value)) return value.size();
  }
  return 0;
}

bool Redactor::Finds(std::string_view text) const {
  return std::any_of(values_.begin(), values_.end(),
                     [text](const std::string& value) { return text.find(value) != std::string_view::npos; });
}

std::string Redactor::Redact(std::string_view text) const {
  if (!Finds(text)) return std::string(text);
  StreamRedactor stream(*this);
  std::string out = stream.Feed(text);
  return out + stream.Finish();
}

Json Redactor::RedactJson(const Json& value) const {
  if (values_.empty()) return value;
  if (value.is_string()) return Redact(value.AsString());
  if (value.is_array()) {
    Json out = Json::MakeArray();
    for (const Json& element : value.AsArray()) out.Push(RedactJson(element));
    return out;
  }
  if (value.is_object()) {
    Json out = Json::MakeObject();
    for (const auto& [name, member] : value.AsObject()) out.Set(Redact(name), RedactJson(member));
    return out;
  }
  return value;
}

std::string StreamRedactor::Feed(std::string_view bytes) {
  held_ += bytes;
  return Take(false);
}

std::string StreamRedactor::Finish() { return Take(true); }

std::string StreamRedactor::Take(bool at_end) {
  if (redactor_->empty()) return std::exchange(held_, {});
  std::string out;
  size_t at = 0;
  // A position is decided once the longest value would fit behind it.
  while (at < held_.size() && (at_end || held_.size() - at >= redactor_->longest())) {
    if (const size_t length = redactor_->MatchAt(held_, at)) {
      out += kMask;
      at += length;
    } else {
      out += held_[at++];
    }
  }
  held_.erase(0, at);
  return out;
}

bool StreamSearch::Feed(std::string_view bytes) {
  if (found_ || redactor_->empty()) return found_;
  tail_ += bytes;
  found_ = redactor_->Finds(tail_);
  const size_t keep = std::min(tail_.size(), redactor_->longest() - 1);
  tail_.erase(0, tail_.size() - keep);
  return found_;
}

}  // namespace lockstep::steps
