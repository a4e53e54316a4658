// Reading whole files, and writing them so that a reader sees the old content or the new, never half of it: temporary name
// in the same folder, fsync, rename, fsync of the folder (spec 00 section 3, bad input).
// Edge code: not to be called from anything deterministic. Errors: FILE_NOT_FOUND, FILE_NOT_REGULAR (a folder), FILE_TOO_LARGE, FILE_IO.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "engine-core/base/result.h"

namespace lockstep {

inline constexpr uint64_t kNoSizeLimit = UINT64_MAX;

// A path `-` reads standard input.
Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t max_bytes = kNoSizeLimit);
Status WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes);
Status CreateDirectories(const std::filesystem::path& path);

// A fresh folder under the system's temporary one; removed with everything in it when the object dies.
class TemporaryDirectory {
 public:
  static Result<TemporaryDirectory> Create(std::string_view prefix = "lockstep");
  ~TemporaryDirectory();
  TemporaryDirectory(TemporaryDirectory&& other) noexcept;
  TemporaryDirectory& operator=(TemporaryDirectory&& other) noexcept;
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace lockstep
