// gzip and zstd, recognised by their first bytes, several members one after the other. The output is bounded while it
// grows, so that a small file cannot fill the memory; a truncated or damaged stream is an error, never a short result.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine-core/base/result.h"
#include "replay/history/reader.h"

namespace lockstep::history {

Compression DetectCompression(std::string_view bytes);
// Errors: HISTORY_CORRUPT with the offset in the compressed bytes, FILE_TOO_LARGE. `name` stands for the file in
// messages.
Result<std::string> Decompress(std::string_view bytes, std::string_view name, uint64_t max_bytes);
// The same bytes in give the same bytes out: no time stamp, no file name.
std::string Compress(std::string_view bytes, Compression compression);

}  // namespace lockstep::history
