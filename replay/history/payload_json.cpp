#include "replay/history/payload_json.h"

#include <temporal/api/common/v1/message.pb.h>

#include <optional>

#include "engine-core/base/base64.h"
#include "engine-core/base/bytes.h"
#include "engine-core/base/json.h"

namespace lockstep::history {
namespace {

constexpr std::string_view kMessageTypeKey = "_protoMessageType";

bool Opens(Token::Kind kind) { return kind == Token::kObject || kind == Token::kArray; }
bool Closes(Token::Kind kind) { return kind == Token::kEndObject || kind == Token::kEndArray; }

// Index just past the value that starts at `at`.
size_t ValueEnd(const std::vector<Token>& tokens, size_t at) {
  size_t depth = 0;
  do {
    if (Opens(tokens[at].kind)) ++depth;
    if (Closes(tokens[at].kind)) --depth;
    ++at;
  } while (depth > 0);
  return at;
}

// Compact JSON of tokens [first, last), leaving out the member [skip_first, skip_last).
std::string WriteTokens(const std::vector<Token>& tokens, size_t first, size_t last, size_t skip_first,
                        size_t skip_last) {
  std::string out;
  bool comma = false;
  for (size_t i = first; i < last; ++i) {
    if (i == skip_first && skip_first != skip_last) {
      i = skip_last - 1;
      continue;
    }
    const Token& token = tokens[i];
    if (comma && !Closes(token.kind)) out.push_back(',');
    comma = true;
    switch (token.kind) {
      case Token::kObject:
        out.push_back('{');
        comma = false;
        break;
      case Token::kArray:
        out.push_back('[');
        comma = false;
        break;
      case Token::kEndObject:
        out.push_back('}');
        break;
      case Token::kEndArray:
        out.push_back(']');
        break;
      case Token::kKey:
        AppendJsonString(token.view(), &out);
        out.push_back(':');
        comma = false;
        break;
      case Token::kString:
        AppendJsonString(token.view(), &out);
        break;
      case Token::kNumber:
        out += token.view();
        break;
      case Token::kTrue:
        out += "true";
        break;
      case Token::kFalse:
        out += "false";
        break;
      case Token::kNull:
        out += "null";
        break;
    }
  }
  return out;
}

std::optional<uint8_t> ByteValue(const Token& token) {
  if (token.kind != Token::kNumber) return std::nullopt;
  const auto value = ParseInt64(token.view());
  if (!value || *value < 0 || *value > 255) return std::nullopt;
  return static_cast<uint8_t>(*value);
}

bool DecodeByteList(const std::vector<Token>& tokens, size_t first, size_t last, std::string* out) {
  for (size_t i = first; i < last; ++i) {
    const auto byte = ByteValue(tokens[i]);
    if (!byte) return false;
    out->push_back(static_cast<char>(*byte));
  }
  return true;
}

// Bytes as base64, or as JavaScript prints byte arrays: [1,2], {"type":"Buffer","data":[1,2]}, {"0":1,"1":2}.
bool DecodeBytes(const std::vector<Token>& tokens, size_t first, size_t last, std::string* out) {
  out->clear();
  switch (tokens[first].kind) {
    case Token::kNull:
      return true;
    case Token::kString:
      return Base64DecodeTo(tokens[first].view(), out);
    case Token::kArray:
      return DecodeByteList(tokens, first + 1, last - 1, out);
    case Token::kObject:
      break;
    default:
      return false;
  }
  if (last - first >= 7 && tokens[first + 1].view() == "type" && tokens[first + 2].view() == "Buffer" &&
      tokens[first + 3].view() == "data" && tokens[first + 4].kind == Token::kArray) {
    return DecodeByteList(tokens, first + 5, last - 2, out);
  }
  for (size_t i = first + 1; i + 1 < last; i += 2) {
    const auto byte = ByteValue(tokens[i + 1]);
    if (!byte || tokens[i].view() != std::to_string((i - first - 1) / 2)) return false;
    out->push_back(static_cast<char>(*byte));
  }
  return true;
}

std::string Describe(const Token& token) {
  switch (token.kind) {
    case Token::kObject:
      return "an object";
    case Token::kArray:
      return "an array";
    case Token::kString:
      return "\"" + Excerpt(token.view()) + "\"";
    case Token::kNumber:
      return Excerpt(token.view());
    case Token::kTrue:
      return "true";
    case Token::kFalse:
      return "false";
    default:
      return "null";
  }
}

// What the members of an object say about it being a payload.
struct Shape {
  bool only_payload_fields = true;
  bool metadata_fine = true, data_fine = true, external_fine = true;
  bool has_encoding = false, has_metadata = false;
  uint64_t unknown = 0;
  PayloadFault fault;
};

void NoteFault(Shape* shape, std::string pointer, std::string_view expected, const Token& found) {
  if (shape->fault.expected.empty()) shape->fault = {std::move(pointer), std::string(expected), Describe(found)};
}

void ReadMetadata(const std::vector<Token>& tokens, size_t first, size_t last,
                  temporal::api::common::v1::Payload* payload, Shape* shape) {
  if (tokens[first].kind == Token::kNull) return;
  if (tokens[first].kind != Token::kObject) {
    shape->metadata_fine = false;
    NoteFault(shape, "/metadata", "an object", tokens[first]);
    return;
  }
  shape->has_metadata = true;
  auto& metadata = *payload->mutable_metadata();
  for (size_t i = first + 1; i + 1 < last;) {
    const Token& key = tokens[i];
    const size_t end = ValueEnd(tokens, i + 1);
    if (key.view() == "encoding") shape->has_encoding = true;
    if (metadata.contains(std::string(key.view()))) {
      shape->metadata_fine = false;
      NoteFault(shape, "/metadata/" + JsonPointerToken(key.view()), "each key once", tokens[i + 1]);
    } else if (tokens[i + 1].kind == Token::kNull ||
               !DecodeBytes(tokens, i + 1, end, &metadata[std::string(key.view())])) {
      shape->metadata_fine = false;
      NoteFault(shape, "/metadata/" + JsonPointerToken(key.view()), "base64", tokens[i + 1]);
    }
    i = end;
  }
}

Shape ReadMembers(const std::vector<Token>& tokens, temporal::api::common::v1::Payload* payload,
                  PayloadReading* reading) {
  Shape shape;
  bool seen_metadata = false, seen_data = false;
  for (size_t i = 1; i + 1 < tokens.size();) {
    const std::string_view key = tokens[i].view();
    const size_t end = ValueEnd(tokens, i + 1);
    if (key == "metadata" && !seen_metadata) {
      seen_metadata = true;
      ReadMetadata(tokens, i + 1, end, payload, &shape);
    } else if (key == "data" && !seen_data) {
      seen_data = true;
      if (!DecodeBytes(tokens, i + 1, end, payload->mutable_data())) {
        shape.data_fine = false;
        NoteFault(&shape, "/data", "base64", tokens[i + 1]);
      }
    } else if ((key == "externalPayloads" || key == "external_payloads") && reading->external_last == 0) {
      if (tokens[i + 1].kind == Token::kArray) {
        reading->external_first = i;
        reading->external_last = end;
      } else if (tokens[i + 1].kind != Token::kNull) {
        shape.external_fine = false;
        NoteFault(&shape, "/externalPayloads", "an array", tokens[i + 1]);
      }
    } else {
      shape.only_payload_fields = false;
      ++shape.unknown;
    }
    i = end;
  }
  return shape;
}

}  // namespace

void ReadShorthandPayload(const std::vector<Token>& tokens, temporal::api::common::v1::Payload* payload) {
  payload->Clear();
  auto& metadata = *payload->mutable_metadata();
  if (tokens[0].kind == Token::kNull) {
    metadata["encoding"] = "binary/null";
    return;
  }
  size_t skip_first = 0, skip_last = 0;
  if (tokens[0].kind == Token::kObject) {
    for (size_t i = 1; i + 1 < tokens.size();) {
      const size_t end = ValueEnd(tokens, i + 1);
      if (tokens[i].view() == kMessageTypeKey && tokens[i + 1].kind == Token::kString && tokens[i + 1].size > 0) {
        metadata["messageType"] = std::string(tokens[i + 1].view());
        skip_first = i;
        skip_last = end;
      }
      i = end;
    }
  }
  metadata["encoding"] = skip_last != 0 ? "json/protobuf" : "json/plain";
  payload->set_data(WriteTokens(tokens, 0, tokens.size(), skip_first, skip_last));
}

bool ReadPayload(const std::vector<Token>& tokens, bool in_shorthand_list, temporal::api::common::v1::Payload* payload,
                 PayloadReading* reading, PayloadFault* fault) {
  *reading = {};
  if (tokens[0].kind != Token::kObject) {
    ReadShorthandPayload(tokens, payload);
    return true;
  }
  Shape shape = ReadMembers(tokens, payload, reading);
  const bool fine = shape.metadata_fine && shape.data_fine && shape.external_fine;
  bool real = false;
  if (in_shorthand_list) {
    const auto encoding = payload->metadata().find("encoding");
    const bool null = encoding != payload->metadata().end() && encoding->second == "binary/null";
    real = fine && shape.only_payload_fields && !payload->metadata().empty() && (!payload->data().empty() || null);
  } else if (shape.only_payload_fields || (shape.has_encoding && fine)) {
    real = fine || shape.has_encoding;
  }
  if (!real) {
    *reading = {};
    ReadShorthandPayload(tokens, payload);
    return true;
  }
  if (!fine) {
    *fault = std::move(shape.fault);
    return false;
  }
  reading->unknown_fields = shape.unknown;
  return true;
}

}  // namespace lockstep::history
