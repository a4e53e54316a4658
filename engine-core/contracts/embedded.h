// The contract files (capability data and JSON Schemas) as they stand in this folder, embedded at build time so that
// every program judges by the same text and none depends on where it was installed.
#pragma once

#include <cstddef>
#include <string_view>

namespace lockstep::contracts {

struct EmbeddedFile {
  // Relative to engine-core/contracts, for instance `schemas/plan.v1.2.schema.json`.
  std::string_view name;
  std::string_view text;
};

extern const EmbeddedFile kEmbeddedFiles[];
extern const size_t kEmbeddedFileCount;

// The text of a file; an empty view when no file has this name.
std::string_view EmbeddedText(std::string_view name);

}  // namespace lockstep::contracts
