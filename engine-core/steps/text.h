// Foreign bytes as text that may stand in a message or in JSON: valid UTF-8, no control characters but line feed and
// tab.
#pragma once

#include <string>
#include <string_view>

namespace lockstep::steps {

// Bytes that are no UTF-8 and control characters become `?`.
std::string PrintableText(std::string_view bytes);
// The same, on one line and at most 200 bytes: for a value that a message quotes.
std::string ShortText(std::string_view bytes);

}  // namespace lockstep::steps
