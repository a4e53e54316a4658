#include "engine-core/steps/params.h"

#include "engine-core/steps/step_error.h"

namespace lockstep::steps {
namespace {

std::string Path(std::string_view name) { return "params." + std::string(name); }
std::string ElementPath(std::string_view name, size_t index) { return Path(name) + "[" + std::to_string(index) + "]"; }

}  // namespace

ParamReader::ParamReader(const Json& params) : params_(params) {
  if (!params.is_object()) Mismatch("params", "an object", params);
}

const Json* ParamReader::Member(std::string_view name) {
  known_.emplace(name);
  return error_ ? nullptr : params_.Find(name);
}

void ParamReader::Mismatch(const std::string& path, std::string_view expected, const Json& found) {
  if (!error_)
    error_ = ParamError(path, "expected " + std::string(expected) + ", found " + std::string(found.KindName()));
}

void ParamReader::Reject(std::string_view name, std::string expectation) {
  if (!error_) error_ = ParamError(Path(name), std::move(expectation));
}

std::string ParamReader::RequiredString(std::string_view name) {
  const Json* member = Member(name);
  if (member == nullptr) {
    Reject(name, "expected a string, found nothing");
    return {};
  }
  if (!member->is_string()) {
    Mismatch(Path(name), "a string", *member);
    return {};
  }
  if (member->AsString().empty()) Reject(name, "expected a string that is not empty");
  return member->AsString();
}

std::optional<std::string> ParamReader::OptionalString(std::string_view name) {
  const Json* member = Member(name);
  if (member == nullptr) return std::nullopt;
  if (member->is_string()) return member->AsString();
  Mismatch(Path(name), "a string", *member);
  return std::nullopt;
}

std::vector<std::string> ParamReader::Strings(std::string_view name) {
  std::vector<std::string> out;
  const Json::Array* array = OptionalArray(name);
  if (array == nullptr) return out;
  for (size_t i = 0; i < array->size(); ++i) {
    const Json& element = (*array)[i];
    if (!element.is_string()) {
      Mismatch(ElementPath(name, i), "a string", element);
      return {};
    }
    out.push_back(element.AsString());
  }
  return out;
}

std::map<std::string, std::string> ParamReader::StringMap(std::string_view name) {
  std::map<std::string, std::string> out;
  const Json::Object* object = OptionalObject(name);
  if (object == nullptr) return out;
  for (const auto& [key, value] : *object) {
    if (!value.is_string()) {
      Mismatch(Path(name) + "." + key, "a string", value);
      return {};
    }
    out.emplace(key, value.AsString());
  }
  return out;
}

std::vector<int64_t> ParamReader::Integers(std::string_view name, std::vector<int64_t> fallback, int64_t min,
                                           int64_t max) {
  const Json::Array* array = OptionalArray(name);
  if (array == nullptr) return fallback;
  std::vector<int64_t> out;
  for (size_t i = 0; i < array->size(); ++i) {
    const Json& element = (*array)[i];
    if (!element.is_int() || element.AsInt() < min || element.AsInt() > max) {
      if (!error_) {
        error_ = ParamError(ElementPath(name, i), "expected an integer from " + std::to_string(min) + " to " +
                                                      std::to_string(max) + ", found " +
                                                      CanonicalJson(element).substr(0, 80));
      }
      return fallback;
    }
    out.push_back(element.AsInt());
  }
  if (out.empty()) Reject(name, "expected at least one element");
  return out;
}

std::optional<int64_t> ParamReader::OptionalInteger(std::string_view name, int64_t min, int64_t max) {
  const Json* member = Member(name);
  if (member == nullptr) return std::nullopt;
  if (member->is_int() && member->AsInt() >= min && member->AsInt() <= max) return member->AsInt();
  Reject(name, "expected an integer from " + std::to_string(min) + " to " + std::to_string(max) + ", found " +
                   CanonicalJson(*member).substr(0, 80));
  return std::nullopt;
}

const Json* ParamReader::Any(std::string_view name) { return Member(name); }

const Json::Array* ParamReader::OptionalArray(std::string_view name) {
  const Json* member = Member(name);
  if (member == nullptr) return nullptr;
  if (member->is_array()) return &member->AsArray();
  Mismatch(Path(name), "an array", *member);
  return nullptr;
}

const Json::Object* ParamReader::OptionalObject(std::string_view name) {
  const Json* member = Member(name);
  if (member == nullptr) return nullptr;
  if (member->is_object()) return &member->AsObject();
  Mismatch(Path(name), "an object", *member);
  return nullptr;
}

Status ParamReader::Finish() {
  if (error_) return Fail(*error_);
  for (const auto& [name, value] : params_.AsObject()) {
    if (known_.contains(name)) continue;
    Error error = ParamError(Path(name), "this kind has no such parameter");
    error.issues.front().code = "field_not_allowed";
    return Fail(std::move(error));
  }
  return {};
}

}  // namespace lockstep::steps
