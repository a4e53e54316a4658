#include "engine-core/base/base64.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "engine-core/base/bytes.h"

namespace lockstep {
namespace {

TEST(Base64, Encode_MatchesRfc4648Vectors) {
  EXPECT_EQ(Base64Encode(""), "");
  EXPECT_EQ(Base64Encode("f"), "Zg==");
  EXPECT_EQ(Base64Encode("fo"), "Zm8=");
  EXPECT_EQ(Base64Encode("foobar"), "Zm9vYmFy");
}

TEST(Base64, Decode_TakesUrlAlphabetAndMissingPadding) {
  EXPECT_EQ(Base64Decode("-_8"), "\xFB\xFF");
  EXPECT_EQ(Base64Decode("Zg"), "f");
}

TEST(Base64, Decode_RefusesWrongLengthDigitsAndLooseBits) {
  for (const char* text : {"Z", "Zg=", "Zm9v=", "Zm9$", "Zh==", "Z=g=", "===="}) {
    EXPECT_FALSE(Base64Decode(text).has_value()) << text;
  }
}

TEST(Base64, Property_RoundTrips) {
  EXPECT_TRUE(rc::check([](const std::string& bytes) { RC_ASSERT(Base64Decode(Base64Encode(bytes)) == bytes); }));
}

TEST(Bytes, Hex_RoundTripsAndRefusesOddLength) {
  EXPECT_TRUE(rc::check([](const std::string& bytes) { RC_ASSERT(HexDecode(HexEncode(bytes)) == bytes); }));
  EXPECT_FALSE(HexDecode("abc").has_value());
  EXPECT_FALSE(HexDecode("zz").has_value());
}

TEST(Bytes, Utf8_KnowsOverlongSurrogateAndTruncatedForms) {
  EXPECT_TRUE(IsValidUtf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
  for (const char* text : {"\xC0\xAF", "\xED\xA0\x80", "\xE2\x82", "\xF5\x80\x80\x80", "\x80"}) {
    EXPECT_FALSE(IsValidUtf8(text)) << HexEncode(text);
  }
  EXPECT_EQ(TruncateUtf8("a\xE2\x82\xAC", 2), "a");
}

TEST(Bytes, Printable_EscapesControlsAndBrokenUtf8AndKeepsTheRest) {
  EXPECT_EQ(PrintableUtf8("a\x1b[31m\n\xC3\xA9\xFF\xC2\x9B"), "a\\x1b[31m\\x0a\xC3\xA9\\xff\\xc2\\x9b");
  EXPECT_TRUE(rc::check([](const std::string& bytes) { RC_ASSERT(IsValidUtf8(PrintableUtf8(bytes))); }));
}

TEST(Bytes, ParseInt64_RefusesOverflowSignsAndSpace) {
  EXPECT_EQ(ParseInt64("-9223372036854775808"), INT64_MIN);
  for (const char* text : {"", "+1", " 1", "1 ", "9223372036854775808", "0x1"}) {
    EXPECT_FALSE(ParseInt64(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace lockstep
