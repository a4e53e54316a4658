// Every built-in kind (spec 01 section 5.8, spec 00 section 5): class, parameters, refusals.
#include "engine-core/plan/kinds.h"

#include <gtest/gtest.h>

#include "engine-core/plan/test_support/plans.h"

namespace lockstep::plan {
namespace {

std::string Check(std::string_view kind, std::string_view params, References references = References::kResolved) {
  const StepKind* found = FindKind(kind, true);
  EXPECT_NE(found, nullptr) << kind;
  const auto issues = CheckParams(*found, J(params), "", references);
  return issues.empty() ? "ok" : issues[0].code + " " + issues[0].path;
}

TEST(Kinds, ClassOfEachKind) {
  const std::pair<const char*, WorkerClass> expected[] = {
      {"noop", WorkerClass::kControl},     {"echo", WorkerClass::kControl},         {"sleep", WorkerClass::kControl},
      {"fail", WorkerClass::kControl},     {"http.request", WorkerClass::kControl}, {"sql.query", WorkerClass::kData},
      {"dbt.compile", WorkerClass::kData}, {"dbt.run", WorkerClass::kData},         {"dbt.test", WorkerClass::kData},
      {"process.run", WorkerClass::kData}, {"plugin", WorkerClass::kIsolation}};
  EXPECT_EQ(BuiltInKinds().size(), std::size(expected));
  for (const auto& [name, worker_class] : expected) EXPECT_EQ(FindKind(name, true)->worker_class, worker_class) << name;
}

TEST(Kinds, FailExistsInTestBuildsOnly) {
  EXPECT_EQ(FindKind("fail"), nullptr);
  EXPECT_NE(FindKind("fail", true), nullptr);
}
TEST(Kinds, OnlySleepIsATimer) {
  for (const StepKind& kind : BuiltInKinds()) EXPECT_EQ(kind.is_timer, kind.name == "sleep");
}
TEST(Kinds, UnknownKind) {
  for (const char* name : {"", "Noop", "noop2", "dbt", "sql", "zzz", "wait-for-signal"})
    EXPECT_EQ(FindKind(name, true), nullptr) << name;
}

TEST(Kinds, noop) {
  EXPECT_EQ(Check("noop", "{}"), "ok");
  EXPECT_EQ(Check("noop", R"({"a":1})"), "field_not_allowed a");
}
TEST(Kinds, echo) {
  EXPECT_EQ(Check("echo", R"({"message":"x"})"), "ok");
  EXPECT_EQ(Check("echo", R"({"message":{"a":[1]}})"), "ok");
  EXPECT_EQ(Check("echo", "{}"), "param_invalid message");
}
TEST(Kinds, sleep) {
  EXPECT_EQ(Check("sleep", R"({"durationMs":1})"), "ok");
  for (const char* bad : {R"({"durationMs":0})", R"({"durationMs":"1"})", R"({"durationMs":1.5})",
                          R"({"durationMs":2592000001})", "{}"}) {
    EXPECT_EQ(Check("sleep", bad), "param_invalid durationMs") << bad;
  }
}
TEST(Kinds, fail) {
  EXPECT_EQ(Check("fail", R"({"mode":"transient","failAttempts":2})"), "ok");
  EXPECT_EQ(Check("fail", R"({"mode":"permanent"})"), "ok");
  EXPECT_EQ(Check("fail", R"({"mode":"sometimes"})"), "param_invalid mode");
  EXPECT_EQ(Check("fail", R"({"mode":"transient","failAttempts":-1})"), "param_invalid failAttempts");
}
TEST(Kinds, http_request) {
  EXPECT_EQ(Check("http.request", R"({"method":"GET","url":"https://a.example/"})"), "ok");
  EXPECT_EQ(Check("http.request", R"({"method":"POST","url":"https://a.example/","headers":{"A":"b"},"body":{"x":1},)"
                                  R"("expectStatus":[200,204]})"),
            "ok");
  EXPECT_EQ(Check("http.request", R"({"method":"get","url":"x"})"), "param_invalid method");
  EXPECT_EQ(Check("http.request", R"({"method":"GET"})"), "param_invalid url");
  EXPECT_EQ(Check("http.request", R"({"method":"GET","url":"x","expectStatus":[20]})"),
            "param_invalid expectStatus[0]");
  EXPECT_EQ(Check("http.request", R"({"method":"GET","url":"x","headers":{"A":1}})"), "param_invalid headers.A");
  EXPECT_EQ(Check("http.request", R"({"method":"GET","url":"x","retries":3})"), "field_not_allowed retries");
}
TEST(Kinds, sql_query) {
  EXPECT_EQ(Check("sql.query", R"({"connection":"dsn","query":"select 1","args":[1,"a",null,true,1.5]})"), "ok");
  EXPECT_EQ(Check("sql.query", R"({"connection":"dsn","query":"select 1","args":[[1]]})"), "param_invalid args[0]");
  EXPECT_EQ(Check("sql.query", R"({"query":"select 1"})"), "param_invalid connection");
}
TEST(Kinds, dbt) {
  for (const char* kind : {"dbt.compile", "dbt.run", "dbt.test"}) {
    EXPECT_EQ(Check(kind, R"({"select":["a"],"exclude":["b"],"vars":{"x":1}})"), "ok");
    EXPECT_EQ(Check(kind, "{}"), "ok");
    EXPECT_EQ(Check(kind, R"({"select":"a"})"), "param_invalid select");
    EXPECT_EQ(Check(kind, R"({"threads":4})"), "field_not_allowed threads");
  }
}
TEST(Kinds, plugin_TakesAnything) { EXPECT_EQ(Check("plugin", R"({"any":{"thing":[1]}})"), "ok"); }
TEST(Kinds, process_run) {
  EXPECT_EQ(
      Check("process.run", R"({"argv":["tool","-v"],"env":{"LANG":"C"},"cwd":"work","stdin":"x","expectExit":[0,2],)"
                           R"("artifacts":["out/**/*.csv"]})"),
      "ok");
  const std::pair<const char*, const char*> bad[] = {
      {"{}", "param_invalid argv"},
      {R"({"argv":[]})", "param_invalid argv"},
      {R"({"argv":[""]})", "param_invalid argv[0]"},
      {R"({"argv":"ls -l"})", "param_invalid argv"},
      {R"({"argv":["a\u0000b"]})", "param_invalid argv[0]"},
      {R"({"argv":["a"],"env":{"A-B":"x"}})", "param_invalid env"},
      {R"({"argv":["a"],"env":{"A":1}})", "param_invalid env.A"},
      {R"({"argv":["a"],"expectExit":[256]})", "param_invalid expectExit[0]"},
      {R"({"argv":["a"],"expectExit":[]})", "param_invalid expectExit"},
      {R"({"argv":["a"],"artifacts":["/etc/*"]})", "param_invalid artifacts[0]"},
      {R"({"argv":["a"],"artifacts":["ok","../x"]})", "param_invalid artifacts[1]"},
      {R"({"argv":["a"],"artifacts":["a/../../x"]})", "param_invalid artifacts[0]"},
      {R"({"argv":["a"],"shell":true})", "field_not_allowed shell"}};
  for (const auto& [params, expected] : bad) EXPECT_EQ(Check("process.run", params), expected) << params;
}

TEST(CheckParams, UnresolvedReferences_AreNotJudgedYet) {
  EXPECT_EQ(Check("sleep", R"({"durationMs":"${params.wait}"})", References::kUnresolved), "ok");
  EXPECT_EQ(Check("sleep", R"({"durationMs":"${params.wait}"})", References::kResolved), "param_invalid durationMs");
  EXPECT_EQ(Check("process.run", R"({"argv":"${params.argv}"})", References::kUnresolved), "ok");
  EXPECT_EQ(
      Check("process.run", R"({"argv":["${params.program}"],"artifacts":["${params.glob}"]})", References::kUnresolved),
      "ok");
  EXPECT_EQ(Check("http.request", R"({"method":"${params.m}","url":"x"})", References::kUnresolved), "ok");
  EXPECT_EQ(Check("noop", R"({"a":"${params.x}"})", References::kUnresolved), "field_not_allowed a");
}

}  // namespace
}  // namespace lockstep::plan
