// Internal. The fast way through a JSON text.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

namespace lockstep::history {

class JsonHandler;

// Hands the tokens of a text to a handler. The texts it hands out live in the text itself or here: keep both until the
// handler is done with them.
class JsonTokens {
 public:
  // False when the text is not one whole JSON value, when the handler refuses it, and for a few odd spellings (an exponent
  // of three digits) that are left to the other reader; the handler may then have seen some of it. kParsePadding bytes
  // after `text` must be readable. Not changed.
  bool Read(std::string_view text, JsonHandler* handler);

 private:
  std::unique_ptr<uint8_t[]> unescaped_;
};

}  // namespace lockstep::history
