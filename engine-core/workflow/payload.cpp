#include "engine-core/workflow/payload.h"

#include <temporal/api/common/v1/message.pb.h>
#include <temporal/api/failure/v1/message.pb.h>

#include "engine-core/base/bytes.h"
#include "engine-core/base/sha256.h"

namespace lockstep::workflow {
namespace {

constexpr char kEncoding[] = "encoding";
constexpr JsonLimits kPayloadLimits{.max_depth = 128, .max_string_bytes = 64 * 1024 * 1024};

std::string_view Encoding(const Payload& payload) {
  const auto it = payload.metadata().find(kEncoding);
  return it == payload.metadata().end() ? std::string_view() : std::string_view(it->second);
}

bool IsJson(std::string_view encoding) { return encoding == "json/plain" || encoding == "json/protobuf"; }

Json IssuesJson(const std::vector<Issue>& issues) {
  Json array = Json::MakeArray();
  for (const Issue& issue : issues) {
    array.Push(Json::MakeObject({{"path", issue.path}, {"code", issue.code}, {"message", issue.message}}));
  }
  return array;
}

// Application failures carry what `Error` has beside code and message as one JSON payload.
void ReadDetails(const temporal::api::failure::v1::ApplicationFailureInfo& info, Error* error) {
  if (!info.has_details() || info.details().payloads_size() == 0) return;
  const auto json = ReadJson(info.details().payloads(0));
  if (!json || !json->is_object()) return;
  if (const Json* details = json->Find("details"); details != nullptr && details->is_object()) {
    for (const auto& [key, value] : details->AsObject()) {
      error->details.emplace_back(key, value.is_string() ? value.AsString() : CanonicalJson(value));
    }
  }
  if (const Json* issues = json->Find("issues"); issues != nullptr && issues->is_array()) {
    for (const Json& issue : issues->AsArray()) {
      error->issues.push_back({issue.GetString("path"), issue.GetString("code"), issue.GetString("message")});
    }
  }
}

Error TimeoutError(const temporal::api::failure::v1::Failure& failure) {
  const auto type = failure.timeout_failure_info().timeout_type();
  const bool queue = type == temporal::api::enums::v1::TIMEOUT_TYPE_SCHEDULE_TO_START;
  constexpr const char* kNames[] = {"unspecified", "start-to-close", "schedule-to-start", "schedule-to-close", "heartbeat"};
  const char* name = type >= 0 && type <= 4 ? kNames[type] : "unknown";
  return Error(queue ? "WORKER_UNAVAILABLE" : "STEP_TIMEOUT", std::string(name) + " time-out", true).With("timeoutType", name);
}

}  // namespace

void SetJson(const Json& value, Payload* payload) {
  payload->Clear();
  if (value.is_null()) {
    (*payload->mutable_metadata())[kEncoding] = "binary/null";
    return;
  }
  (*payload->mutable_metadata())[kEncoding] = "json/plain";
  AppendCanonicalJson(value, payload->mutable_data());
}

void AddJson(const Json& value, Payloads* payloads) { SetJson(value, payloads->add_payloads()); }

Payloads JsonPayloads(const Json& value) {
  Payloads payloads;
  AddJson(value, &payloads);
  return payloads;
}

Result<Json> ReadJson(const Payload& payload) {
  const std::string_view encoding = Encoding(payload);
  if (encoding == "binary/null") return Json();
  if (!IsJson(encoding)) {
    return Fail("PAYLOAD_UNREADABLE", "expected a payload with encoding json/plain, found " +
                                          (encoding.empty() ? std::string("none") : std::string(encoding)));
  }
  auto json = ParseJson(payload.data(), kPayloadLimits);
  if (!json) return Fail("PAYLOAD_UNREADABLE", "payload is not JSON: " + json.error().message);
  return json;
}

Result<Json::Array> ReadJson(const Payloads& payloads) {
  Json::Array values;
  for (const Payload& payload : payloads.payloads()) {
    LOCKSTEP_ASSIGN(Json value, ReadJson(payload));
    values.push_back(std::move(value));
  }
  return values;
}

Result<Json> ReadFirstJson(const Payloads& payloads) {
  if (payloads.payloads_size() == 0) return Json();
  return ReadJson(payloads.payloads(0));
}

bool SameMetadata(const Payload& a, const Payload& b) {
  if (a.metadata_size() != b.metadata_size()) return false;
  for (const auto& [key, value] : a.metadata()) {
    const auto it = b.metadata().find(key);
    if (it == b.metadata().end() || it->second != value) return false;
  }
  return true;
}

bool SamePayload(const Payload& a, const Payload& b) {
  if (!SameMetadata(a, b)) return false;
  if (a.data() == b.data()) return true;
  if (!IsJson(Encoding(a))) return false;
  const auto left = ParseJson(a.data(), kPayloadLimits), right = ParseJson(b.data(), kPayloadLimits);
  return left && right && *left == *right;
}

bool SamePayloads(const Payloads& a, const Payloads& b) {
  if (a.payloads_size() != b.payloads_size()) return false;
  for (int i = 0; i < a.payloads_size(); ++i) {
    if (!SamePayload(a.payloads(i), b.payloads(i))) return false;
  }
  return true;
}

std::string Describe(const Payloads& payloads, size_t max_bytes) {
  std::string text = "[";
  for (const Payload& payload : payloads.payloads()) {
    if (text.size() > 1) text += ",";
    const std::string_view encoding = Encoding(payload);
    if (encoding == "binary/null") {
      text += "null";
    } else if (IsJson(encoding)) {
      text += payload.data();
    } else {
      text += "<" + std::string(encoding) + " " + std::to_string(payload.data().size()) + " bytes sha256 " +
              Sha256Hex(payload.data()).substr(0, 12) + ">";
    }
  }
  text += "]";
  if (text.size() <= max_bytes) return text;
  const std::string digest = Sha256Hex(text).substr(0, 12);
  return std::string(TruncateUtf8(text, max_bytes)) + "... (" + std::to_string(text.size()) + " bytes, sha256 " + digest + ")";
}

void ErrorToFailure(const Error& error, temporal::api::failure::v1::Failure* failure) {
  failure->set_message(error.message);
  failure->set_source("LockstepCpp");
  if (error.code == "CANCELLED") {
    failure->mutable_canceled_failure_info();
    return;
  }
  auto* info = failure->mutable_application_failure_info();
  info->set_type(error.code);
  info->set_non_retryable(!error.retryable);
  if (error.details.empty() && error.issues.empty()) return;
  Json extra = Json::MakeObject();
  if (!error.details.empty()) {
    Json details = Json::MakeObject();
    for (const auto& [key, value] : error.details) details.Set(key, value);
    extra.Set("details", std::move(details));
  }
  if (!error.issues.empty()) extra.Set("issues", IssuesJson(error.issues));
  AddJson(extra, info->mutable_details());
}

Error FailureToError(const temporal::api::failure::v1::Failure& failure) {
  using Failure = temporal::api::failure::v1::Failure;
  switch (failure.failure_info_case()) {
    case Failure::kActivityFailureInfo:
    case Failure::kChildWorkflowExecutionFailureInfo:
      if (failure.has_cause()) return FailureToError(failure.cause());
      break;
    case Failure::kTimeoutFailureInfo: return TimeoutError(failure);
    case Failure::kCanceledFailureInfo: return Error("CANCELLED", failure.message().empty() ? "cancelled" : failure.message());
    case Failure::kTerminatedFailureInfo: return Error("PROVIDER_TERMINATED", failure.message());
    case Failure::kApplicationFailureInfo: {
      const auto& info = failure.application_failure_info();
      Error error(info.type().empty() ? "TRANSIENT_STEP_ERROR" : info.type(), failure.message(), !info.non_retryable());
      ReadDetails(info, &error);
      return error;
    }
    default: break;
  }
  return Error("PROVIDER_FAILED", failure.message().empty() ? "failed without a reason" : failure.message(), true);
}

}  // namespace lockstep::workflow
