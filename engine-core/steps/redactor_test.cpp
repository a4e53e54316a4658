#include "engine-core/steps/redactor.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace lockstep::steps {
namespace {

TEST(Redactor, MasksEveryOccurrence) {
  const Redactor redactor({"secret", "other-value"});
  EXPECT_EQ(redactor.Redact("a secret and secretsecret, other-value"), "a *** and ******, ***");
  EXPECT_EQ(redactor.Redact("nothing here"), "nothing here");
}

TEST(Redactor, LongerValueWins) { EXPECT_EQ(Redactor({"pass", "password"}).Redact("password pass"), "*** ***"); }

TEST(Redactor, ShortValuesAreLeftAlone) {
  const Redactor redactor({"", "abc"});
  EXPECT_TRUE(redactor.empty());
  EXPECT_EQ(redactor.Redact("abc"), "abc");
}

TEST(Redactor, ValueWithALineFeedAtItsEnd_IsMaskedWithoutItToo) {
  EXPECT_EQ(Redactor({"secret\n"}).Redact("<secret>"), "<***>");
}

TEST(Redactor, MasksJsonAtEveryDepth) {
  const Redactor redactor({"secret"});
  const Json value = ParseJson(R"({"a":["x secret",{"secret":1}],"b":2})").value();
  EXPECT_EQ(CanonicalJson(redactor.RedactJson(value)), R"({"a":["x ***",{"***":1}],"b":2})");
}

TEST(StreamRedactor, Property_ChunksDoNotMatter) {
  rc::check("a stream is masked like the whole text",
            [](const std::vector<std::string>& noise, const std::vector<uint8_t>& cuts) {
              const Redactor redactor({"secret", "secret-2", "aaaa"});
              std::string text;
              for (size_t i = 0; i < noise.size(); ++i)
                text += noise[i] + (i % 3 == 0 ? "secret" : i % 3 == 1 ? "aaaaa" : "secret-");
              StreamRedactor stream(redactor);
              std::string out;
              size_t at = 0;
              for (const uint8_t cut : cuts) {
                const size_t length = std::min<size_t>(cut % 9, text.size() - at);
                out += stream.Feed(std::string_view(text).substr(at, length));
                at += length;
              }
              out += stream.Feed(std::string_view(text).substr(at));
              out += stream.Finish();
              RC_ASSERT(out == redactor.Redact(text));
              RC_ASSERT(!redactor.Finds(out));
            });
}

TEST(StreamSearch, FindsAValueThatIsCut) {
  const Redactor redactor({"secret"});
  StreamSearch search(redactor);
  EXPECT_FALSE(search.Feed("xxsec"));
  EXPECT_TRUE(search.Feed("retyy"));
  EXPECT_TRUE(search.Feed("more"));
  StreamSearch other(redactor);
  EXPECT_FALSE(other.Feed("sec"));
  EXPECT_FALSE(other.Feed("ond"));
}

}  // namespace
}  // namespace lockstep::steps
