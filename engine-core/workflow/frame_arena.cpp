#include "engine-core/workflow/frame_arena.h"

#include <new>

namespace lockstep::workflow::internal {

#ifdef LOCKSTEP_SANITIZED
constexpr bool kHeapOnly = true;  // each frame a heap block of its own, so that the sanitizers see its life
#else
constexpr bool kHeapOnly = false;
#endif

void* FrameArena::Allocate(size_t size) {
  const size_t index = (size + kGranule - 1) / kGranule;
  if (kHeapOnly || index >= kClasses) return ::operator new(size);
  if (FreeBlock* block = free_[index]; block != nullptr) {
    free_[index] = block->next;
    return block;
  }
  const size_t rounded = index * kGranule;
  if (left_ < rounded) {
    chunks_.push_back(std::make_unique_for_overwrite<std::byte[]>(kChunk));
    cursor_ = chunks_.back().get();
    left_ = kChunk;
    reserved_ += kChunk;
  }
  void* block = cursor_;
  cursor_ += rounded;
  left_ -= rounded;
  return block;
}

void FrameArena::Free(void* block, size_t size) noexcept {
  const size_t index = (size + kGranule - 1) / kGranule;
  if (kHeapOnly || index >= kClasses) {
    ::operator delete(block);
    return;
  }
  free_[index] = new (block) FreeBlock{free_[index]};
}

}  // namespace lockstep::workflow::internal
