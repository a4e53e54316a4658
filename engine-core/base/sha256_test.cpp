#include "engine-core/base/sha256.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(Sha256, Hex_MatchesFips180Vectors) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, Hex_MatchesTheDigestVectorOfSpec01Section12) {
  const std::string plan =
      R"({"metadata":{"planId":"plan-minimal","planVersion":"1.0.0","schemaVersion":"v1.2"},"steps":[{"stepId":"s1","kind":"noop"}]})";
  ASSERT_EQ(plan.size(), 123U);
  EXPECT_EQ(Sha256Hex(plan), "a986878982b35e031985b91826b534555abef216b207f77caf3827dd02e6c90a");
}

TEST(Sha256, Stream_EqualsWholeInAnySplit) {
  const std::string text(1000, 'q');
  for (const size_t cut : {0, 1, 63, 64, 65, 999}) {
    Sha256Stream stream;
    stream.Update(std::string_view(text).substr(0, cut));
    stream.Update(std::string_view(text).substr(cut));
    EXPECT_EQ(ToHex(stream.Finish()), Sha256Hex(text));
  }
}

}  // namespace
}  // namespace lockstep
