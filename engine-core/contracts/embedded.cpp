// Look-up over the table that embed.cmake generates.
#include "engine-core/contracts/embedded.h"

namespace lockstep::contracts {

std::string_view EmbeddedText(std::string_view name) {
  for (size_t i = 0; i < kEmbeddedFileCount; ++i) {
    if (kEmbeddedFiles[i].name == name) return kEmbeddedFiles[i].text;
  }
  return {};
}

}  // namespace lockstep::contracts
