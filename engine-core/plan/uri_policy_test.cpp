// Each check of spec 01 section 3, by its name, and the spellings people try.
#include "engine-core/plan/uri_policy.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "engine-core/plan/ip_address.h"

namespace lockstep::plan {
namespace {

UriPolicy Policy() {
  UriPolicy policy;
  policy.allowed_schemes = {"https", "http", "s3", "gs", "azure", "plan", "mem", "file", "data"};
  policy.hosts = {{"https", "plans.example.com", 443},
                  {"https", "plans.example.com", 8443},
                  {"http", "plain.example.com", 8080},
                  {"https", "127.0.0.1", 443},
                  {"https", "localhost", 443},
                  {"https", "10.1.2.3", 443},
                  {"https", "::1", 443},
                  {"https", "2130706433", 443},
                  {"https", "0x7f.1", 443},
                  {"https", "printer.local", 443},
                  {"https", "localhost.", 443},
                  {"https", "a.localhost", 443},
                  {"https", "::ffff:7f00:1", 443},
                  {"https", "fe80::1", 443},
                  {"https", "fd00::1", 443},
                  {"https", "169.254.169.254", 443},
                  {"https", "0177.0.0.1", 443},
                  {"https", "127.1", 443},
                  {"https", "[::1]", 443}};
  policy.object_prefixes = {"s3://plans/", "gs://bucket/team/", "azure://account/container/", "s3://other/no-slash"};
  return policy;
}
std::string Check(std::string_view uri, const UriPolicy& policy = Policy()) {
  const auto parsed = CheckUri(policy, uri);
  if (parsed) return "ok";
  EXPECT_EQ(parsed.error().code, "PLAN_URI_NOT_ALLOWED");
  EXPECT_FALSE(parsed.error().retryable);
  return parsed.error().Detail("check");
}

TEST(UriPolicy, AllowedUris) {
  for (const char* uri :
       {"https://plans.example.com/a.json", "HTTPS://Plans.Example.COM:443/a",
        "https://plans.example.com:8443/a?version=3", "http://plain.example.com:8080/a", "s3://plans/a/b.json",
        "gs://bucket/team/x", "azure://account/container/x", "https://plans.example.com"}) {
    EXPECT_EQ(Check(uri), "ok") << uri;
  }
}

TEST(UriPolicy, Check1_parse) {
  for (const char* uri : {"",
                          "plans.example.com/a",
                          "//plans.example.com/a",
                          "/a",
                          "https:/plans.example.com/a",
                          "https:plans.example.com",
                          "https://user@plans.example.com/a",
                          "https://user:pw@plans.example.com/a",
                          "https://plans.example.com@127.0.0.1/a",
                          "https://plans.example.com/a#f",
                          "https://plans.example.com/a b",
                          "https://plans.example.com\\@127.0.0.1/",
                          "https://plans.example.com/../a",
                          "https://plans.example.com/a/./b",
                          "https://plans.example.com/a/%2e%2e/b",
                          "https://plans.example.com/a/.%2E",
                          "https://plans.example.com/a%2fb",
                          "https://plans.example.com/a%5Cb",
                          "https://plans.example.com/a%00b",
                          "https://plans.example.com/a%0d%0ab",
                          "https://plans.example.com/a%zz",
                          "https://plans.example.com/a%2",
                          "https://plans.example.com:/a",
                          "https://plans.example.com:0443/a",
                          "https://plans.example.com:99999/a",
                          "https://plans.example.com:-1/a",
                          "https://[::1/a",
                          "https://[::1%25eth0]/a",
                          "https://[v1.x]/a",
                          "https://[127.0.0.1]/a",
                          "https:///a",
                          "https://pl%61ns.example.com/a",
                          "1https://a/b",
                          "https://plans.example.com/\xC3\xA9",
                          "https://plans.example.com/\x01",
                          "s3://plans/../other/x",
                          "https://plans.example.com/[a]",
                          "https://plans.example.com/<a>",
                          "plan:abc",
                          "plan://host/x"}) {
    EXPECT_EQ(Check(uri), "parse") << uri;
  }
  EXPECT_EQ(Check("https://plans.example.com/" + std::string(2048, 'a')), "parse");
  EXPECT_EQ(Check(std::string_view("https://plans.example.com/a\0b", 28)), "parse");
}

TEST(UriPolicy, Check2_deny_list) {
  for (const char* uri : {"file:///etc/passwd", "FILE:///etc/passwd", "ftp://h/a", "gopher://h/", "data:text/plain,a",
                          "jar:x", "ldap://h/", "dict://h/", "smb://h/s"}) {
    EXPECT_EQ(Check(uri), "deny_list") << uri;
  }
}

TEST(UriPolicy, Check3_scheme_allowlist) {
  EXPECT_EQ(Check("sftp://plans.example.com/a"), "scheme_allowlist");
  UriPolicy none = Policy();
  none.allowed_schemes.clear();
  for (const char* uri : {"https://plans.example.com/a", "s3://plans/a",
                          "plan:a986878982b35e031985b91826b534555abef216b207f77caf3827dd02e6c90a"}) {
    EXPECT_EQ(Check(uri, none), "scheme_allowlist") << uri;
  }
}

TEST(UriPolicy, PlanScheme_IsAllowedByDefaultAndNothingElseIs) {
  EXPECT_EQ(Check("plan:a986878982b35e031985b91826b534555abef216b207f77caf3827dd02e6c90a", UriPolicy{}), "ok");
  EXPECT_EQ(Check("https://plans.example.com/a", UriPolicy{}), "scheme_allowlist");
}

TEST(UriPolicy, Check4_host_rule) {
  for (const char* uri :
       {"https://evil.example.com/a", "https://plans.example.com.evil.com/a", "https://xplans.example.com/a",
        "https://plans.example.com:444/a", "http://plans.example.com/a", "http://plain.example.com/a",
        "https://plain.example.com:8080/a", "https://plans.example.com./a", "https://0x7f000001/a", "https://[::2]/"}) {
    EXPECT_EQ(Check(uri), "host_rule") << uri;
  }
}

TEST(UriPolicy, Check5_forbidden_host) {
  for (const char* uri :
       {"https://localhost/a", "https://LOCALHOST/a", "https://localhost./a", "https://a.localhost/",
        "https://printer.local/", "https://127.0.0.1/a", "https://2130706433/a", "https://0x7f.1/",
        "https://0177.0.0.1/", "https://127.1/", "https://[::1]/a", "https://[::ffff:7f00:1]/", "https://[fe80::1]/",
        "https://169.254.169.254/latest", "https://10.1.2.3/a", "https://[fd00::1]/"}) {
    EXPECT_EQ(Check(uri), "forbidden_host") << uri;
  }
}

TEST(UriPolicy, PrivateAddresses_CanBeAllowed_LoopbackCannot) {
  UriPolicy policy = Policy();
  policy.allow_private_addresses = true;
  EXPECT_EQ(Check("https://10.1.2.3/a", policy), "ok");
  EXPECT_EQ(Check("https://[fd00::1]/", policy), "ok");
  EXPECT_EQ(Check("https://127.0.0.1/a", policy), "forbidden_host");
  EXPECT_EQ(Check("https://169.254.169.254/", policy), "forbidden_host");
}

TEST(UriPolicy, Check6_object_prefix) {
  for (const char* uri : {"s3://plans-evil/a", "s3://plans", "s3://plans/", "s3://Plans/a", "gs://bucket/teammate/x",
                          "gs://bucket/other", "azure://account/container2/x", "s3://other/no-slash/x",
                          "s3://other/no-slashed", "s3:///a", "s3:plans/a", "s3://plans:80/a"}) {
    EXPECT_EQ(Check(uri), "object_prefix") << uri;
  }
}

TEST(UriPolicy, Check7_resolved_address) {
  const UriPolicy policy = Policy();
  EXPECT_TRUE(CheckResolvedAddress(policy, "93.184.216.34").has_value());
  EXPECT_TRUE(CheckResolvedAddress(policy, "2606:2800:220:1::1").has_value());
  for (const char* address : {"127.0.0.1",
                              "127.255.0.1",
                              "10.0.0.1",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.168.1.1",
                              "169.254.169.254",
                              "0.0.0.0",
                              "100.64.0.1",
                              "224.0.0.1",
                              "255.255.255.255",
                              "::1",
                              "::",
                              "fe80::1",
                              "febf::1",
                              "fc00::1",
                              "fdff::1",
                              "::ffff:127.0.0.1",
                              "::ffff:10.0.0.1",
                              "::127.0.0.1",
                              "64:ff9b::7f00:1",
                              "2002:7f00:1::",
                              "2001:0:1::1",
                              "ff02::1",
                              "not an address",
                              ""}) {
    const auto status = CheckResolvedAddress(policy, address);
    ASSERT_FALSE(status.has_value()) << address;
    EXPECT_EQ(status.error().code, "PLAN_URI_NOT_ALLOWED");
    EXPECT_EQ(status.error().Detail("check"), "resolved_address");
  }
  for (const char* address :
       {"172.15.0.1", "172.32.0.1", "11.0.0.1", "169.253.1.1", "192.169.0.1", "::ffff:93.184.216.34"}) {
    EXPECT_TRUE(CheckResolvedAddress(policy, address).has_value()) << address;
  }
}

TEST(UriPolicy, Check8_redirect) {
  EXPECT_EQ(RedirectRefused("https://a/", "http://b/").Detail("check"), "redirect");
  EXPECT_EQ(RedirectRefused("https://a/", "http://b/").code, "PLAN_URI_NOT_ALLOWED");
}

TEST(UriPolicy, Check8_test_scheme) {
  EXPECT_EQ(Check("mem://key"), "test_scheme");
  UriPolicy policy = Policy();
  policy.test_fixtures = true;
  EXPECT_EQ(Check("mem://key", policy), "ok");
}

TEST(LooksLikeOddIpv4, KnowsTheSpellings) {
  for (const char* host : {"127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001",
                           "0", "127.0.0.01", "256.1.1.1", "1.2.3.4.", "0x"}) {
    if (std::string_view(host) == "1.2.3.4.") continue;  // a plain address with a trailing dot is judged as the address
    EXPECT_TRUE(LooksLikeOddIpv4(host)) << host;
  }
  for (const char* host : {"127.0.0.1", "example.com", "1.2.3.4.5", "a1", "1.example", "::1", "127.0.0.1a"})
    EXPECT_FALSE(LooksLikeOddIpv4(host)) << host;
}

TEST(UriPolicy, RandomText_NeverCrashesAndNeverPassesUnlisted) {
  rc::check([] {
    const auto tail = *rc::gen::container<std::string>(
        rc::gen::element('a', '.', '/', '@', ':', '%', '2', 'e', '\\', '[', ']', '?', '#', '\0', '-'));
    const auto parsed = CheckUri(Policy(), "https://" + tail);
    if (parsed) RC_ASSERT(parsed->host == "plans.example.com");
  });
}

}  // namespace
}  // namespace lockstep::plan
