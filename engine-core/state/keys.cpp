#include "engine-core/state/keys.h"

#include <initializer_list>

#include "engine-core/base/sha256.h"

namespace lockstep::state {
namespace {

std::string HashJoined(std::initializer_list<std::string_view> fields) {
  std::string preimage;
  bool first = true;
  for (const std::string_view field : fields) {
    if (!first) preimage.push_back('|');
    first = false;
    preimage.append(field);
  }
  return Sha256Hex(preimage);
}

std::string_view Scope(std::string_view step_id) { return step_id.empty() ? kRunScope : step_id; }

}  // namespace

std::string IdempotencyKey(std::string_view run_id, std::string_view step_id, int32_t logical_attempt,
                           std::string_view event_type, std::string_view plan_id, std::string_view plan_version) {
  return HashJoined({run_id, Scope(step_id), std::to_string(logical_attempt), event_type, plan_id, plan_version});
}

std::string LegacyIdempotencyKey(std::string_view run_id, std::string_view step_id, int32_t logical_attempt,
                                 std::string_view event_type, std::string_view plan_version) {
  return HashJoined({run_id, Scope(step_id), std::to_string(logical_attempt), event_type, plan_version});
}

std::string RunRequestKey(std::string_view tenant_id, std::string_view project_id, std::string_view environment_id,
                          std::string_view plan_id, std::string_view plan_version, std::string_view run_request_id) {
  return HashJoined({tenant_id, project_id, environment_id, plan_id, plan_version, run_request_id});
}

std::string SignalFingerprint(std::string_view signal_type, const Json& payload, std::string_view reason) {
  std::string preimage(signal_type);
  preimage.push_back('\n');
  AppendCanonicalJson(payload, &preimage);
  preimage.push_back('\n');
  preimage.append(reason);
  return Sha256Hex(preimage);
}

}  // namespace lockstep::state
