#include "engine-core/authoring/payloads.h"

#include <google/protobuf/util/json_util.h>

namespace lockstep::workflow::internal {
namespace {

constexpr const char* kEncoding = "encoding";
constexpr JsonLimits kLimits = {.max_depth = 256, .max_string_bytes = 64 * 1024 * 1024, .safe_integers_only = false};

std::string EncodingOf(const Payload& payload) {
  const auto it = payload.metadata().find(kEncoding);
  return it == payload.metadata().end() ? std::string() : it->second;
}

}  // namespace

Error Unreadable(const std::string& pointer, std::string_view expected, std::string_view found) {
  return Error("PAYLOAD_UNREADABLE", (pointer.empty() ? std::string() : pointer + ": ") + "expected " + std::string(expected) +
                                         ", found " + std::string(found));
}

// Protobuf's printer gives maps in no fixed order; sorting its members makes the text canonical.
Payload EncodeMessage(const google::protobuf::Message& message) {
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text);
  LOCKSTEP_CHECK(status.ok(), message.GetTypeName() + " has no JSON form: " + status.ToString());
  const auto json = ParseJson(text, kLimits);
  LOCKSTEP_CHECK(json.has_value(), message.GetTypeName() + ": " + (json ? "" : json.error().message));
  Payload payload;
  (*payload.mutable_metadata())[kEncoding] = "json/protobuf";
  (*payload.mutable_metadata())["messageType"] = message.GetTypeName();
  payload.set_data(CanonicalJson(*json));
  return payload;
}

Status DecodeMessage(const Payload& payload, google::protobuf::Message* message) {
  const std::string encoding = EncodingOf(payload);
  const auto type = payload.metadata().find("messageType");
  if (type != payload.metadata().end() && type->second != message->GetTypeName()) {
    return std::unexpected(Unreadable({}, message->GetTypeName(), type->second));
  }
  if (encoding == "binary/protobuf") {
    if (message->ParseFromString(payload.data())) return {};
    return std::unexpected(Unreadable({}, "bytes of " + message->GetTypeName(), "others"));
  }
  if (encoding == "json/protobuf" || encoding == "json/plain") {
    google::protobuf::util::JsonParseOptions options;
    options.ignore_unknown_fields = true;
    const auto status = google::protobuf::util::JsonStringToMessage(payload.data(), message, options);
    if (status.ok()) return {};
    return std::unexpected(Unreadable({}, message->GetTypeName(), std::string(status.message())));
  }
  return std::unexpected(Unreadable({}, "a protobuf payload", encoding.empty() ? "no encoding" : encoding));
}

}  // namespace lockstep::workflow::internal
