#include "engine-core/workflow/frame_arena.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

namespace lockstep::workflow::internal {
namespace {

TEST(FrameArena, Blocks_AreAlignedAndDisjoint) {
  FrameArena arena;
  std::vector<std::pair<std::byte*, size_t>> blocks;
  for (size_t size = 1; size < 6'000; size += 97) {
    auto* block = static_cast<std::byte*>(arena.Allocate(size));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % alignof(std::max_align_t), 0u) << size;
    std::memset(block, static_cast<int>(blocks.size()), size);
    blocks.emplace_back(block, size);
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    const auto [block, size] = blocks[i];
    EXPECT_EQ(block[0], static_cast<std::byte>(i));
    EXPECT_EQ(block[size - 1], static_cast<std::byte>(i));
    arena.Free(block, size);
  }
}

#ifndef LOCKSTEP_SANITIZED
TEST(FrameArena, FreedBlock_IsReusedForTheSameSize) {
  FrameArena arena;
  void* first = arena.Allocate(200);
  arena.Free(first, 200);
  EXPECT_EQ(arena.Allocate(250), first);
  EXPECT_NE(arena.Allocate(200), first);
}

TEST(FrameArena, SteadyWork_ReservesNoMore) {
  FrameArena arena;
  for (int i = 0; i < 10; ++i) arena.Free(arena.Allocate(500), 500);
  const size_t reserved = arena.bytes_reserved();
  for (int i = 0; i < 100'000; ++i) arena.Free(arena.Allocate(500), 500);
  EXPECT_EQ(arena.bytes_reserved(), reserved);
}

TEST(FrameArena, BlocksBeyond4KiB_ComeFromTheHeap) {
  FrameArena arena;
  void* large = arena.Allocate(1 << 20);
  EXPECT_EQ(arena.bytes_reserved(), 0u);
  arena.Free(large, 1 << 20);
}

TEST(FrameArena, ManyBlocks_GrowByChunks) {
  FrameArena arena;
  std::set<void*> blocks;
  for (int i = 0; i < 1'000; ++i) blocks.insert(arena.Allocate(1'000));
  EXPECT_EQ(blocks.size(), 1'000u);
  EXPECT_GE(arena.bytes_reserved(), 1'000u * 1'000u);
  EXPECT_LE(arena.bytes_reserved(), 2'000u * 1'000u);
  for (void* block : blocks) arena.Free(block, 1'000);
}
#endif

}  // namespace
}  // namespace lockstep::workflow::internal
