#include "replay/history/compression.h"

#include "replay/history/history_testing.h"

namespace lockstep::history {
namespace {

std::string Repetitive(size_t size) {
  std::string out;
  while (out.size() < size) out += "event " + std::to_string(out.size() / 7);
  return out;
}

TEST(Compression, RoundTripsEverySize) {
  for (const Compression compression : {Compression::kGzip, Compression::kZstd}) {
    for (const size_t size : {0U, 1U, 1000U, 262'143U, 262'144U, 1'000'000U}) {
      const std::string plain = Repetitive(size);
      const std::string packed = Compress(plain, compression);
      EXPECT_EQ(DetectCompression(packed), compression);
      const auto unpacked = Decompress(packed, "f", 2'000'000);
      ASSERT_TRUE(unpacked.has_value()) << unpacked.error().ToString();
      EXPECT_EQ(*unpacked, plain);
      EXPECT_EQ(Compress(plain, compression), packed) << "the same bytes in, the same bytes out";
    }
  }
}

TEST(Compression, ReadsConcatenatedMembers) {
  for (const Compression compression : {Compression::kGzip, Compression::kZstd}) {
    const auto unpacked = Decompress(Compress("one, ", compression) + Compress("two", compression), "f", 100);
    ASSERT_TRUE(unpacked.has_value()) << unpacked.error().ToString();
    EXPECT_EQ(*unpacked, "one, two");
  }
}

TEST(Compression, SkipsSkippableZstdFrames) {
  const std::string skippable("\x51\x2A\x4D\x18\x02\x00\x00\x00hi", 10);
  EXPECT_EQ(*Decompress(skippable + Compress("x", Compression::kZstd), "f", 100), "x");
}

TEST(Compression, RefusesBombs) {
  for (const Compression compression : {Compression::kGzip, Compression::kZstd}) {
    const std::string bomb = Compress(std::string(50'000'000, 'x'), compression);
    ASSERT_LT(bomb.size(), 100'000U);
    const auto unpacked = Decompress(bomb, "bomb", 1'000'000);
    ASSERT_FALSE(unpacked.has_value());
    EXPECT_EQ(unpacked.error().code, "FILE_TOO_LARGE");
    EXPECT_EQ(unpacked.error().message, "bomb: expected at most 1000000 bytes after decompression, found more");
  }
}

TEST(Compression, AcceptsExactlyTheLimit) {
  for (const Compression compression : {Compression::kGzip, Compression::kZstd}) {
    const std::string packed = Compress(std::string(1000, 'x'), compression);
    EXPECT_TRUE(Decompress(packed, "f", 1000).has_value());
    EXPECT_FALSE(Decompress(packed, "f", 999).has_value());
  }
}

TEST(Compression, NamesTheByteOfADamageOrATruncation) {
  for (const Compression compression : {Compression::kGzip, Compression::kZstd}) {
    const std::string packed = Compress(Repetitive(5000), compression);
    for (size_t size = 4; size < packed.size(); ++size) {
      const auto cut = Decompress(packed.substr(0, size), "f", 10'000);
      ASSERT_FALSE(cut.has_value()) << size;
      EXPECT_EQ(cut.error().code, "HISTORY_CORRUPT");
      EXPECT_EQ(cut.error().Detail("offset"), std::to_string(size));
    }
    EXPECT_FALSE(Decompress(packed + "trailing", "f", 10'000).has_value());
  }
}

TEST(Compression, NeverCrashesOnAFlippedBit) {
  for (const Compression compression : {Compression::kGzip, Compression::kZstd}) {
    const std::string packed = Compress(Repetitive(300), compression);
    for (size_t bit = 32; bit < packed.size() * 8; ++bit) {
      std::string damaged = packed;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      const auto unpacked = Decompress(damaged, "f", 100'000);
      if (!unpacked) {
        EXPECT_FALSE(unpacked.error().message.empty());
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::history
