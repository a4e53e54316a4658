// simdjson in front of JsonHandler: its first stage has checked the encoding, control characters and quotes, and listed where
// every token begins, before the first is asked for. What is left is the grammar, and to look at each scalar. The list is
// taken as it is: the library's own ways through it visit values on demand, and here every value is wanted, at a third of the
// time. Invariant: every token is looked at, so that nothing in the text goes unchecked.
#include "replay/history/json_tokens.h"

#include <simdjson.h>

#include <cstring>

#include "engine-core/base/bytes.h"
#include "replay/history/decode_target.h"
#include "replay/history/json_handler.h"

namespace lockstep::history {
namespace {

using Tokenizer = simdjson::internal::dom_parser_implementation;

static_assert(kParsePadding >= simdjson::SIMDJSON_PADDING);

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

size_t SkipDigits(std::string_view text, size_t at) {
  while (at < text.size() && IsAsciiDigit(text[at])) ++at;
  return at;
}

// A number by JSON's grammar. Numbers so large that the other reader looks at their size are left to it.
bool IsNumber(std::string_view text) {
  constexpr size_t kLongest = 100, kLongestExponent = 2;
  if (text.size() > kLongest) return false;
  size_t at = !text.empty() && text[0] == '-' ? 1 : 0;
  const size_t whole = at;
  at = SkipDigits(text, at);
  if (at == whole || (text[whole] == '0' && at > whole + 1)) return false;
  if (at < text.size() && text[at] == '.') {
    const size_t fraction = ++at;
    at = SkipDigits(text, at);
    if (at == fraction) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const size_t exponent = at;
    at = SkipDigits(text, at);
    if (at == exponent || at > exponent + kLongestExponent) return false;
  }
  return at == text.size();
}

class Walk {
 public:
  Walk(std::string_view text, const Tokenizer& tokenizer, JsonHandler* handler)
      : text_(text),
        tokenizer_(tokenizer),
        next_(tokenizer.structural_indexes.get()),
        end_(next_ + tokenizer.n_structural_indexes),
        handler_(handler),
        escapes_(std::memchr(text.data(), '\\', text.size()) != nullptr) {}

  // The whole text is one object or array.
  bool Run() {
    const char first = Peek();
    return (first == '{' || first == '[') && Value() && next_ == end_;
  }

  // Unescaped texts; views into it have been handed out.
  std::unique_ptr<uint8_t[]> TakeUnescaped() { return std::move(unescaped_); }

 private:
  // The first character of the next token; 0 at the end.
  char Peek() const { return next_ < end_ ? text_[*next_] : '\0'; }
  bool Take(char c) {
    if (Peek() != c) return false;
    ++next_;
    return true;
  }

  // Depth is bounded by what the handler lets in.
  bool Value() {
    switch (Peek()) {
      case '{':
        return Object();
      case '[':
        return Array();
      case '"': {
        std::string_view text;
        return Text(&text) && handler_->Scalar(Token::kString, text);
      }
      case '\0':
        return false;
      default:
        return Bare(TakeToken());
    }
  }

  bool Object() {
    ++next_;
    if (!handler_->Enter(Token::kObject)) return false;
    if (Take('}')) return handler_->Leave(Token::kEndObject);
    do {
      std::string_view key;
      if (Peek() != '"' || !Text(&key) || !Take(':') || !handler_->Key(key) || !Value()) return false;
    } while (Take(','));
    return Take('}') && handler_->Leave(Token::kEndObject);
  }

  bool Array() {
    ++next_;
    if (!handler_->Enter(Token::kArray)) return false;
    if (Take(']')) return handler_->Leave(Token::kEndArray);
    do {
      if (!Value()) return false;
    } while (Take(','));
    return Take(']') && handler_->Leave(Token::kEndArray);
  }

  // Up to the next token, without the white space before it.
  std::string_view TakeToken() {
    const size_t begin = *next_++;
    size_t end = next_ < end_ ? *next_ : text_.size();
    while (IsSpace(text_[end - 1])) --end;
    return text_.substr(begin, end - begin);
  }

  bool Text(std::string_view* out) {
    const std::string_view quoted = TakeToken();
    if (quoted.size() < 2 || quoted.back() != '"') return false;
    *out = quoted.substr(1, quoted.size() - 2);
    return !escapes_ || std::memchr(out->data(), '\\', out->size()) == nullptr || Unescape(out);
  }

  // No text grows by it, so all fit into one buffer of the text's size.
  bool Unescape(std::string_view* text) {
    if (unescaped_ == nullptr) {
      unescaped_ = std::make_unique_for_overwrite<uint8_t[]>(text_.size() + kParsePadding);
      free_ = unescaped_.get();
    }
    const uint8_t* end = tokenizer_.parse_string(reinterpret_cast<const uint8_t*>(text->data()), free_);
    if (end == nullptr) return false;
    *text = {reinterpret_cast<const char*>(free_), static_cast<size_t>(end - free_)};
    free_ += text->size();
    return IsValidUtf8(*text);
  }

  bool Bare(std::string_view text) {
    if (IsNumber(text)) return handler_->Scalar(Token::kNumber, text);
    if (text == "true") return handler_->Scalar(Token::kTrue, {});
    if (text == "false") return handler_->Scalar(Token::kFalse, {});
    return text == "null" && handler_->Scalar(Token::kNull, {});
  }

  const std::string_view text_;
  const Tokenizer& tokenizer_;
  const uint32_t* next_;
  const uint32_t* const end_;
  JsonHandler* const handler_;
  const bool escapes_;  // there are some
  std::unique_ptr<uint8_t[]> unescaped_;
  uint8_t* free_ = nullptr;
};

// Of this thread, kept from text to text. The list has four bytes for each byte of the text, of which few are ever touched;
// for large texts it is made anew.
Tokenizer* TokenizerFor(size_t size, std::unique_ptr<Tokenizer>* own) {
  constexpr size_t kKept = size_t{4} << 20;
  thread_local std::unique_ptr<Tokenizer> kept;
  std::unique_ptr<Tokenizer>* place = size <= kKept ? &kept : own;
  if (*place != nullptr) return place->get();
  // The depth is that of the library's own parser, which is not used.
  const auto error = simdjson::get_active_implementation()->create_dom_parser_implementation(
      size <= kKept ? kKept : size, 1, *place);
  return error == simdjson::SUCCESS ? place->get() : nullptr;
}

}  // namespace

bool JsonTokens::Read(std::string_view text, JsonHandler* handler) {
  std::unique_ptr<Tokenizer> own;
  Tokenizer* tokenizer = TokenizerFor(text.size(), &own);
  if (tokenizer == nullptr) return false;
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  if (tokenizer->stage1(bytes, text.size(), simdjson::stage1_mode::regular) != simdjson::SUCCESS) return false;
  Walk walk(text, *tokenizer, handler);
  const bool whole = walk.Run();
  unescaped_ = walk.TakeUnescaped();
  return whole;
}

}  // namespace lockstep::history
