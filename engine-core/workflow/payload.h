// Payloads as the default data converter of every Temporal SDK writes them: `json/plain`, `binary/null`, `binary/plain`;
// and failures between the wire form and `Error`.
#pragma once

#include <string_view>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"

namespace temporal::api::common::v1 {
class Payload;
class Payloads;
}  // namespace temporal::api::common::v1
namespace temporal::api::failure::v1 {
class Failure;
}

namespace lockstep::workflow {

using Payload = temporal::api::common::v1::Payload;
using Payloads = temporal::api::common::v1::Payloads;

// `json/plain` with canonical text; null becomes `binary/null`.
void SetJson(const Json& value, Payload* payload);
void AddJson(const Json& value, Payloads* payloads);
Payloads JsonPayloads(const Json& value);
// json/plain, json/protobuf (as JSON) and binary/null. Error: PAYLOAD_UNREADABLE, naming the encoding.
Result<Json> ReadJson(const Payload& payload);
Result<Json::Array> ReadJson(const Payloads& payloads);
// The first payload, or null when there is none.
Result<Json> ReadFirstJson(const Payloads& payloads);

// Encoding, type and whatever else stands beside the data.
bool SameMetadata(const Payload& a, const Payload& b);
// Same meaning: equal bytes and metadata, or equal canonical JSON when both are json/plain.
bool SamePayload(const Payload& a, const Payload& b);
bool SamePayloads(const Payloads& a, const Payloads& b);
// Short text for people: the JSON itself when it is short, else size and digest.
std::string Describe(const Payloads& payloads, size_t max_bytes = 200);

// Application failure with type = code; details[0] holds {details, issues} when the error has any.
void ErrorToFailure(const Error& error, temporal::api::failure::v1::Failure* failure);
// The innermost cause decides: activity and child wrappers are looked through. Time-outs become STEP_TIMEOUT
// (schedule-to-start: WORKER_UNAVAILABLE), cancellation CANCELLED, termination PROVIDER_TERMINATED, an application failure
// its type; an application failure without a type becomes TRANSIENT_STEP_ERROR.
Error FailureToError(const temporal::api::failure::v1::Failure& failure);

}  // namespace lockstep::workflow
