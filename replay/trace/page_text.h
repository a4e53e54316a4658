// The files of replay/trace/page/, as the build put them into the program.
#pragma once

#include <string_view>

namespace lockstep::replay {

extern const std::string_view kPageHtml;
extern const std::string_view kPageStyle;
extern const std::string_view kPageScript;

}  // namespace lockstep::replay
