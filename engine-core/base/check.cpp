#include "engine-core/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace lockstep {

void CheckFailed(const char* expression, const std::string& message, std::source_location where) {
  std::fprintf(stderr, "lockstep: broken invariant at %s:%u: %s%s%s\n", where.file_name(),
               static_cast<unsigned>(where.line()), expression, message.empty() ? "" : ": ", message.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace lockstep
