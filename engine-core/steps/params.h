// Reads the parameters of a step kind once, into types. The first wrong member is INVALID_STEP_SCHEMA with its place,
// what was expected and what was found; a member nobody asked for is `field_not_allowed`. Resolved references may have
// put any JSON where the plan had a placeholder, so the plan's own schema check does not make this one superfluous.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"

namespace lockstep::steps {

// Usage: read every member, then `Finish`. After a finding the readers return defaults.
class ParamReader {
 public:
  explicit ParamReader(const Json& params);

  std::string RequiredString(std::string_view name);
  std::optional<std::string> OptionalString(std::string_view name);
  std::vector<std::string> Strings(std::string_view name);  // empty when absent
  std::map<std::string, std::string> StringMap(std::string_view name);
  std::vector<int64_t> Integers(std::string_view name, std::vector<int64_t> fallback, int64_t min, int64_t max);
  std::optional<int64_t> OptionalInteger(std::string_view name, int64_t min, int64_t max);
  // nullptr when absent; any kind.
  const Json* Any(std::string_view name);
  const Json::Array* OptionalArray(std::string_view name);
  const Json::Object* OptionalObject(std::string_view name);

  // Adds a finding of the caller's own about `params.<name>`.
  void Reject(std::string_view name, std::string expectation);
  Status Finish();

 private:
  const Json* Member(std::string_view name);
  void Mismatch(const std::string& path, std::string_view expected, const Json& found);

  const Json& params_;
  std::set<std::string, std::less<>> known_;
  std::optional<Error> error_;
};

}  // namespace lockstep::steps
