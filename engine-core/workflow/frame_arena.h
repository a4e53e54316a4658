// Memory for coroutine frames: one arena per execution, freed frames reused by size. A workflow of ten thousand steps makes
// many frames of few sizes, so after the first tasks no frame costs an allocation.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace lockstep::workflow::internal {

class FrameArena {
 public:
  void* Allocate(size_t size);
  void Free(void* block, size_t size) noexcept;
  size_t bytes_reserved() const { return reserved_; }

 private:
  static constexpr size_t kGranule = 64;
  static constexpr size_t kClasses = 64;  // up to 4 KiB; larger frames come from the heap
  static constexpr size_t kChunk = 64 * 1024;
  struct FreeBlock {
    FreeBlock* next;
  };
  std::array<FreeBlock*, kClasses> free_{};
  std::vector<std::unique_ptr<std::byte[]>> chunks_;
  std::byte* cursor_ = nullptr;
  size_t left_ = 0;
  size_t reserved_ = 0;
};

}  // namespace lockstep::workflow::internal
