// JSON: two readers of the text in front of one handler. simdjson finds the places of all tokens first and is several times
// faster; RapidJSON reads token by token and can say where a text goes wrong. Whatever the first does not like, be it the
// text or what the handler makes of it, is read once more by the second, whose verdict counts: so an input is judged by one
// reader only, and a good one is read by the fast one. Invariant: what the fast reader accepts, the other accepts with the
// same result (reader_test.cpp compares them).
#define RAPIDJSON_HAS_STDSTRING 1
#if defined(__SSE4_2__)
#define RAPIDJSON_SSE42
#elif defined(__SSE2__)
#define RAPIDJSON_SSE2
#elif defined(__ARM_NEON)
#define RAPIDJSON_NEON
#endif
#include <google/protobuf/arena.h>
#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "engine-core/base/bytes.h"
#include "replay/history/decode_target.h"
#include "replay/history/json_handler.h"
#include "replay/history/json_tokens.h"

namespace lockstep::history {
namespace {

struct Place {
  size_t line = 1, column = 1;
};

// Unescaping in place never makes or removes a line end outside of texts, and texts hold none.
Place PlaceOf(std::string_view text, size_t offset) {
  Place place;
  size_t start = 0;
  for (size_t i = 0; i < offset && i < text.size(); ++i) {
    if (text[i] != '\n') continue;
    ++place.line;
    start = i + 1;
  }
  place.column = offset - start + 1;
  return place;
}

std::string SyntaxExpectation(rapidjson::ParseErrorCode code) {
  switch (code) {
    case rapidjson::kParseErrorDocumentEmpty:
      return "JSON";
    case rapidjson::kParseErrorDocumentRootNotSingular:
      return "the end";
    case rapidjson::kParseErrorValueInvalid:
      return "a JSON value";
    case rapidjson::kParseErrorObjectMissName:
      return "the name of a member in quotes";
    case rapidjson::kParseErrorObjectMissColon:
      return "`:` after the name of a member";
    case rapidjson::kParseErrorObjectMissCommaOrCurlyBracket:
      return "`,` or `}` after a member";
    case rapidjson::kParseErrorArrayMissCommaOrSquareBracket:
      return "`,` or `]` after an element";
    case rapidjson::kParseErrorStringUnicodeEscapeInvalidHex:
      return "four hex digits after `\\u`";
    case rapidjson::kParseErrorStringUnicodeSurrogateInvalid:
      return "the other half of a surrogate pair";
    case rapidjson::kParseErrorStringEscapeInvalid:
      return "a JSON escape";
    case rapidjson::kParseErrorStringMissQuotationMark:
      return "a closing quotation mark";
    case rapidjson::kParseErrorStringInvalidEncoding:
      return "UTF-8 without control characters in a text";
    case rapidjson::kParseErrorNumberTooBig:
      return "a smaller number";
    case rapidjson::kParseErrorNumberMissFraction:
      return "a digit after the decimal point";
    case rapidjson::kParseErrorNumberMissExponent:
      return "a digit in the exponent";
    default:
      return "JSON";
  }
}

std::string FoundAt(std::string_view text, size_t offset) {
  if (offset >= text.size()) return "the end of the file (truncated)";
  return "\"" + Excerpt(text.substr(offset, 12)) + "\"";
}

Error SyntaxError(std::string_view name, std::string_view text, size_t offset, const std::string& expected,
                  const std::string& pointer) {
  const Place place = PlaceOf(text, offset);
  std::string message = std::string(name) + ": byte " + std::to_string(offset) + " (line " +
                        std::to_string(place.line) + ", column " + std::to_string(place.column);
  if (!pointer.empty()) message += ", in " + Excerpt(pointer);
  message += "): expected " + expected + ", found " + FoundAt(text, offset);
  return Error("HISTORY_CORRUPT", std::move(message)).With("offset", std::to_string(offset)).With("pointer", pointer);
}

Error HandlerError(std::string_view name, const JsonHandler& handler) {
  const std::string pointer = handler.Pointer();
  return Error("HISTORY_CORRUPT", std::string(name) + ": " + (pointer.empty() ? "the top" : pointer) + ": expected " +
                                      handler.expected() + ", found " + handler.found())
      .With("pointer", pointer);
}

size_t SkipSpace(std::string_view text, size_t at) {
  while (at < text.size() && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r')) ++at;
  return at;
}

Status DecodeRaw(const JsonHandler& handler, std::string_view name, DecodeTarget* target) {
  size_t index = 0;
  for (const auto* blob : handler.raw()) {
    const std::string where = std::string(name) + ": /rawHistory/" + std::to_string(index++) + "/data";
    if (blob->encoding_type() == api::enums::v1::ENCODING_TYPE_JSON) {
      return Fail(Error("HISTORY_CORRUPT", where + ": expected ENCODING_TYPE_PROTO3, found ENCODING_TYPE_JSON")
                      .With("pointer", "/rawHistory"));
    }
    api::history::v1::History* whole = target->history;
    target->history = pb::Arena::CreateMessage<api::history::v1::History>(target->arena);
    Status status = DecodeWire(blob->data(), where, target);
    if (status) whole->MergeFrom(*target->history);
    target->history = whole;
    LOCKSTEP_TRY(status);
  }
  return {};
}

// RapidJSON's events, as it names them.
class Sax : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Sax> {
 public:
  explicit Sax(JsonHandler* handler) : handler_(handler) {}
  bool Null() { return handler_->Scalar(Token::kNull, {}); }
  bool Bool(bool value) { return handler_->Scalar(value ? Token::kTrue : Token::kFalse, {}); }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) {
    return handler_->Scalar(Token::kNumber, {text, size});
  }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return CheckText({text, size}) && handler_->Scalar(Token::kString, {text, size});
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    return CheckText({text, size}) && handler_->Key({text, size});
  }
  bool StartObject() { return handler_->Enter(Token::kObject); }
  bool StartArray() { return handler_->Enter(Token::kArray); }
  bool EndObject(rapidjson::SizeType) { return handler_->Leave(Token::kEndObject); }
  bool EndArray(rapidjson::SizeType) { return handler_->Leave(Token::kEndArray); }

 private:
  bool CheckText(std::string_view text) { return IsValidUtf8(text) || handler_->Refuse("UTF-8", "other bytes"); }
  JsonHandler* handler_;
};

// Reads `buffer`, without its padding, in place: it is unescaped as it is read and is garbage afterwards.
Status ReadTokens(std::string_view name, std::string* buffer, size_t size, JsonHandler* handler) {
  const std::string_view text(buffer->data(), size);
  Sax sax(handler);
  constexpr unsigned kFlags =
      rapidjson::kParseInsituFlag | rapidjson::kParseNumbersAsStringsFlag | rapidjson::kParseStopWhenDoneFlag;
  size_t at = 0;
  do {
    rapidjson::InsituStringStream stream(buffer->data() + at);
    rapidjson::Reader reader;
    const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, sax);
    if (result.IsError()) {
      if (handler->refused()) return Fail(HandlerError(name, *handler));
      const size_t offset = std::min(at + result.Offset(), size);
      return Fail(SyntaxError(name, text, offset, SyntaxExpectation(result.Code()), handler->Pointer()));
    }
    at = SkipSpace(text, at + stream.Tell());
  } while (at < size && (text[at] == '{' || text[at] == '['));
  if (at < size) return Fail(SyntaxError(name, text, at, "the end of the file", ""));
  return {};
}

}  // namespace

std::string Excerpt(std::string_view found) {
  constexpr size_t kLongest = 60;
  std::string out;
  for (const char c : TruncateUtf8(found, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    out.push_back(byte < 0x20 || byte == 0x7F ? '?' : c);
  }
  if (!IsValidUtf8(out)) {
    for (char& c : out) {
      if (static_cast<unsigned char>(c) >= 0x80) c = '?';
    }
  }
  return found.size() > kLongest ? out + "..." : out;
}

Status DecodeJson(std::string* buffer, std::string_view name, DecodeTarget* target) {
  const size_t size = buffer->size();
  buffer->append(kParsePadding, '\0');
  const HistoryInfo info = *target->info;
  const uint64_t messages_left = target->messages_left;
  std::optional<JsonHandler> handler(std::in_place, target);
  JsonTokens tokens;
  if (target->plain_json || !tokens.Read({buffer->data(), size}, &*handler)) {
    // From the start, and for good.
    target->history->Clear();
    *target->info = info;
    target->messages_left = messages_left;
    handler.emplace(target);
    LOCKSTEP_TRY(ReadTokens(name, buffer, size, &*handler));
  }
  LOCKSTEP_TRY(DecodeRaw(*handler, name, target));
  if (!handler->found_events() && handler->raw().empty()) {
    return Fail(Error("HISTORY_CORRUPT",
                      std::string(name) + ": the top: expected a history with `events`, found an object without")
                    .With("pointer", ""));
  }
  return {};
}

}  // namespace lockstep::history
