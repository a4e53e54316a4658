#include "engine-core/steps/http_origin.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace lockstep::steps {
namespace {

TEST(ParseHttpUrl, SplitsAbsoluteUrls) {
  const auto url = ParseHttpUrl("HTTPS://API.Example.com/a?b=c");
  ASSERT_TRUE(url.has_value());
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->host, "api.example.com");
  EXPECT_EQ(url->port, 443);
  EXPECT_EQ(url->target, "/a?b=c");
  EXPECT_EQ(ParseHttpUrl("http://h")->target, "/");
  EXPECT_EQ(ParseHttpUrl("http://h?q")->target, "/?q");
  EXPECT_EQ(ParseHttpUrl("http://[::1]:81/")->host, "::1");
  EXPECT_EQ(ParseHttpUrl("http://[::1]:81/")->port, 81);
}

TEST(ParseHttpUrl, RefusesWhatTwoReadersCouldReadDifferently) {
  for (const char* url : {"",
                          "h",
                          "//h/",
                          "ftp://h/",
                          "file:///etc/passwd",
                          "http://",
                          "http:///x",
                          "http://u@h/",
                          "http://u:p@h/",
                          "http://h:/",
                          "http://h:0/",
                          "http://h:65536/",
                          "http://h:8a/",
                          "http://h:*/",
                          "http://h#f",
                          "http://h/\\x",
                          "http://h\\@other/",
                          "http://h /",
                          "http://h/\n",
                          "http://.h/",
                          "http://h./",
                          "http://[::1/",
                          "http://[zz]/",
                          "http://[::1]x/",
                          "http://\xc3\xa4/",
                          "http://h%2f/",
                          "https:/h/"}) {
    EXPECT_FALSE(ParseHttpUrl(url).has_value()) << url;
  }
}

TEST(ParseAllowedOrigin, DefaultsToHttpsAndItsPort) {
  EXPECT_EQ(ParseAllowedOrigin("API.example.com"), (HttpOrigin{"https", "api.example.com", 443}));
  EXPECT_EQ(ParseAllowedOrigin("api.example.com:8443"), (HttpOrigin{"https", "api.example.com", 8443}));
  EXPECT_EQ(ParseAllowedOrigin("http://127.0.0.1:*"), (HttpOrigin{"http", "127.0.0.1", std::nullopt}));
  EXPECT_EQ(ParseAllowedOrigin("http://h"), (HttpOrigin{"http", "h", 80}));
  for (const char* text : {"", "*", "*.example.com", "h/path", "https://h/", "u@h"})
    EXPECT_FALSE(ParseAllowedOrigin(text)) << text;
}

TEST(Allows, NeedsSchemeHostAndPort) {
  const HttpOrigin origin{"https", "h", 443};
  EXPECT_TRUE(Allows(origin, *ParseHttpUrl("https://h/x")));
  EXPECT_FALSE(Allows(origin, *ParseHttpUrl("http://h/x")));
  EXPECT_FALSE(Allows(origin, *ParseHttpUrl("https://h:444/x")));
  EXPECT_FALSE(Allows(origin, *ParseHttpUrl("https://h.evil.example/x")));
  EXPECT_TRUE(Allows(HttpOrigin{"https", "h", std::nullopt}, *ParseHttpUrl("https://h:444/x")));
}

TEST(ClassOf, SortsAddressesAsThePlanUriPolicyDoes) {
  for (const char* text : {"127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_EQ(ClassOf(text), AddressClass::kLoopback) << text;
  }
  for (const char* text :
       {"169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1",
        "::ffff:169.254.169.254", "localhost", "127.1", "", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"}) {
    EXPECT_EQ(ClassOf(text), AddressClass::kForbidden) << text;
  }
  for (const char* text : {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd00::1",
                           "fc00::1", "::ffff:10.0.0.1"}) {
    EXPECT_EQ(ClassOf(text), AddressClass::kPrivate) << text;
  }
  for (const char* text : {"8.8.8.8", "172.32.0.1", "11.0.0.1", "2606:4700::1111", "64:ff9b::808:808"}) {
    EXPECT_EQ(ClassOf(text), AddressClass::kPublic) << text;
  }
}

TEST(ParseHttpUrl, Property_AcceptedUrlsHoldOnlyPlainCharacters) {
  rc::check("an accepted URL names a plain host", [](const std::string& noise) {
    const auto url = ParseHttpUrl("http://h" + noise);
    if (!url) return;
    for (const char c : url->host + url->target) RC_ASSERT(c > 0x20 && c < 0x7f && c != '\\' && c != '#');
    RC_ASSERT(url->host.find('@') == std::string::npos);
  });
}

}  // namespace
}  // namespace lockstep::steps
