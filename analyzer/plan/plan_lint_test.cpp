// The rules on plans over fixtures/lint/plan: one folder a rule, with at least five plans that break it (bad_*) and
// five that do not (good_*). Every finding of every rule is listed in the folder's expected.json, so that a fixture of
// one rule is a negative for the others.
#include "analyzer/plan/plan_lint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "engine-core/base/files.h"
#include "engine-core/base/json.h"

namespace lockstep::analyzer {
namespace {

namespace fs = std::filesystem;
const fs::path kFixtures = fs::path(LOCKSTEP_SOURCE_DIR) / "fixtures/lint/plan";

std::string Describe(const PlanFinding& finding) {
  return std::string(SeverityName(finding.severity)) + " " + finding.rule->id + " " + finding.pointer + " " +
         std::to_string(finding.line) + ":" + std::to_string(finding.column);
}

PlanReport Lint(const std::string& text) { return LintPlan("plan.json", text, {}); }

std::vector<std::string> Ids(const PlanReport& report) {
  std::vector<std::string> ids;
  for (const auto& finding : report.findings) ids.push_back(finding.rule->id.substr(17));
  return ids;
}

// A v1.2 plan around some steps.
std::string Plan(const std::string& steps, const std::string& more = "") {
  return R"({"metadata":{"planId":"p","planVersion":"1","schemaVersion":"v1.2"},)" + more +
         R"("defaults":{"retryPolicy":{"maxAttempts":2},"timeouts":{"attemptMs":1000}},"steps":[)" + steps + "]}";
}
std::string Query(const std::string& sql, const std::string& more = "") {
  std::string text;
  AppendJsonString(sql, &text);
  return Plan(R"({"stepId":"q","kind":"sql.query","params":{"connection":"db","query":)" + text + more + "}}");
}

class PlanFixture : public testing::TestWithParam<std::string> {};

TEST_P(PlanFixture, FindsExactlyWhatIsExpected) {
  const fs::path folder = kFixtures / GetParam();
  const auto text = ReadFile(folder / "expected.json");
  ASSERT_TRUE(text.has_value()) << "no expected.json in " << folder;
  const auto expected = ParseJson(*text, {.max_depth = 4, .max_string_bytes = 4096});
  ASSERT_TRUE(expected.has_value()) << expected.error().ToString();
  size_t bad = 0, good = 0;
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename().string());
  names.erase("expected.json");
  for (const std::string& name : names) {
    const auto bytes = ReadFile(folder / name);
    ASSERT_TRUE(bytes.has_value());
    const PlanReport report = LintPlan(name, *bytes, {});
    EXPECT_TRUE(report.problems.empty() || !report.problems.front().corrupt)
        << name << ": " << (report.problems.empty() ? "" : report.problems.front().message);
    std::vector<std::string> found, wanted;
    bool own = false;
    for (const auto& finding : report.findings) {
      found.push_back(Describe(finding));
      own |= finding.rule->id == GetParam();
      EXPECT_FALSE(finding.fingerprint.empty());
    }
    const Json* list = expected->Find(name);
    ASSERT_NE(list, nullptr) << name << " is not in expected.json";
    for (const Json& line : list->AsArray()) wanted.push_back(line.AsString());
    EXPECT_EQ(found, wanted) << folder / name;
    const bool is_bad = name.starts_with("bad_");
    EXPECT_EQ(own, is_bad) << folder / name;
    (is_bad ? bad : good) += 1;
  }
  EXPECT_EQ(expected->AsObject().size(), names.size());
  EXPECT_GE(bad, 5U);
  EXPECT_GE(good, 5U);
}

std::vector<std::string> PlanRules() {
  std::vector<std::string> ids;
  for (const auto& rule : Registry::Get().rules()) {
    if (rule.family == "plan") ids.push_back(rule.id);
  }
  return ids;
}

std::string TestName(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Rules, PlanFixture, testing::ValuesIn(PlanRules()), TestName);

TEST(PlanLint, NamesPointerLineAndColumn) {
  const std::string text =
      "{\n  \"metadata\": {\"planId\": \"p\", \"planVersion\": \"1\", \"schemaVersion\": \"v1.2\"},\n  \"steps\": [\n  "
      "  {\"stepId\": \"q\", \"kind\": \"sql.query\",\n"
      "     \"params\": {\"connection\": \"db\",\n       \"query\": \"select now()\"}}]}";
  const PlanReport report = Lint(text);
  const auto it = std::find_if(report.findings.begin(), report.findings.end(),
                               [](const PlanFinding& f) { return f.rule->id == "determinism-plan-current-time"; });
  ASSERT_NE(it, report.findings.end());
  EXPECT_EQ(it->pointer, "/steps/0/params/query");
  EXPECT_EQ(it->line, 6U);
  EXPECT_EQ(it->column, 17U);
  EXPECT_EQ(it->step_id, "q");
  EXPECT_NE(it->Message().find("NOW()"), std::string::npos);
  EXPECT_NE(it->Message().find("${run.startedAt}"), std::string::npos);
}

TEST(PlanLint, FingerprintSurvivesAMovedStep_AndAnotherFileName) {
  const std::string q =
      R"J({"stepId":"q","kind":"sql.query","dependsOn":[],"params":{"connection":"db","query":"select now()"}})J";
  const std::string n = R"({"stepId":"n","kind":"noop","dependsOn":[]})";
  const auto one = LintPlan("a.json", Plan(q + "," + n), {});
  const auto two = LintPlan("b.json", Plan(n + "," + q), {});
  ASSERT_EQ(one.findings.size(), 1U);
  ASSERT_EQ(two.findings.size(), 1U);
  EXPECT_NE(one.findings[0].pointer, two.findings[0].pointer);
  EXPECT_EQ(one.findings[0].fingerprint, two.findings[0].fingerprint);
}

TEST(PlanLint, ParametersBesideTheStepMembersCount_AsInVersion1_0) {
  const auto report = Lint(
      R"J({"metadata":{"planId":"p","planVersion":"1"},"steps":[{"stepId":"q","kind":"sql.query","connection":"db","query":"select now()"}]})J");
  const auto ids = Ids(report);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), "current-time"), 1);
}

TEST(PlanLint, ADocumentThatIsNoPlanIsAProblem_NotAFinding) {
  for (const char* text : {"[]", "{", "{\"steps\": 1}", "\"steps\""}) {
    const auto report = Lint(text);
    EXPECT_TRUE(report.findings.empty());
    ASSERT_EQ(report.problems.size(), 1U) << text;
    EXPECT_TRUE(report.problems[0].corrupt);
  }
}

TEST(PlanLint, RulesRunOnPlansThatTheLoaderRefuses) {
  const auto report = Lint(Plan(
      R"J({"stepId":"q","kind":"sql.query","dependsOn":["nobody"],"params":{"connection":"db","query":"select now()"}})J"));
  EXPECT_EQ(Ids(report), std::vector<std::string>{"current-time"});
  ASSERT_FALSE(report.problems.empty());
  EXPECT_TRUE(report.problems[0].corrupt);
}

struct SqlCase {
  const char* sql;
  const char* ids;  // separated by blanks, sorted
};

class PlanSql : public testing::TestWithParam<SqlCase> {};
TEST_P(PlanSql, IsJudgedAsCode) {
  auto ids = Ids(Lint(Query(GetParam().sql)));
  std::sort(ids.begin(), ids.end());
  std::string found;
  for (const auto& id : ids) found += (found.empty() ? "" : " ") + id;
  EXPECT_EQ(found, GetParam().ids) << GetParam().sql;
}
INSTANTIATE_TEST_SUITE_P(
    Cases, PlanSql,
    testing::ValuesIn(std::vector<SqlCase>{
        // comments, literals, quoted names and columns are not code
        {"select 1 -- now()", ""},
        {"select 1 /* rand() /* nested */ uuid() */", ""},
        {"select 'now()' as text, \"now\"", ""},
        {"select o.now, o.uuid, o.random from o order by o.id", ""},
        {"select 'it''s now()'", ""},
        {"select $$ now() $$", ""},
        {"select 'it\\'s now()' as x", ""},
        {"select now() ", "current-time"},
        {"select NOW ( )", "current-time"},
        {"select pg_catalog.now()", "current-time"},
        {"do $$ begin perform now(); end $$", "current-time"},
        {"select date('now', '-1 day')", "current-time"},
        {"select 'today'::date", "current-time"},
        {"select timestamp 'now'", "current-time"},
        {"select current timestamp from sysibm.sysdummy1", "current-time"},
        {"select date(?)", ""},
        {"select * from t where day >= current_date - 1", "current-time"},
        {"select random(), id from t", "random"},
        {"select rand(42)", ""},
        {"select setseed(0.5); select random()", ""},
        {"select id from t tablesample bernoulli (10)", "random"},
        {"select id from t tablesample bernoulli (10) repeatable (7)", ""},
        {"select id from t sample (5)", "random"},
        {"select id from t sample (5) seed (3)", ""},
        {"select sample, size from lab order by id", ""},
        {"select uuid_generate_v5(?, ?)", ""},
        {"select newid()", "uuid"},
        {"select uuid('6ba7b810-9dad-11d1-80b4-00c04fd430c8')", ""},
        {"update c set n = n + 1 where id = ?", "non-idempotent-state"},
        {"update c set n = n + 1, version = version + 1 where id = ? and version = ? and n = ?", ""},
        {"update c set name = trim(name)", ""},
        {"update c set n = coalesce(n, 0)", ""},
        {"update c set n = ? where id = ?", ""},
        {"update c set a = b, b = a", "non-idempotent-state"},
        {"insert into t (id) values (?)", "non-idempotent-state"},
        {"insert into t (id) values (?) on conflict (id) do nothing", ""},
        {"insert into t (id, n) values (?, ?) on conflict (id) do update set n = excluded.n", ""},
        {"insert into t (id, n) values (?, ?) on conflict (id) do update set n = t.n + excluded.n",
         "non-idempotent-state"},
        {"insert or replace into t values (?, ?)", ""},
        {"delete from t where day = ?; insert into t select * from s where day = ?", ""},
        {"merge into t using s on t.id = s.id when matched then update set n = s.n when not matched then insert (id, "
         "n) values (s.id, s.n)",
         ""},
        {"merge into t using s on t.id = s.id when matched then update set n = t.n + s.n", "non-idempotent-state"},
        {"create table x as select id from t", ""},
        {"select nextval('s')", "non-idempotent-state"},
        {"insert into x select id from t limit 10", "non-idempotent-state unordered-result"},
        {"select md5(string_agg(name, ',')) from t", "unordered-result"},
        {"select md5(string_agg(name, ',' order by id)) from t", ""},
        {"copy (select id, n from t order by id) to '/out/t.csv'", ""},
        {"copy (select id, n from t) to '/out/t.csv'", "unordered-result"},
        {"execute immediate 'select * from ' || ?", "dynamic-string"},
        {"select '%' || ? || '%'", ""},
        {"select date_trunc('day', created_at) from t", "session-settings"},
        {"select date_trunc('day', created_at at time zone 'UTC') from t", ""},
        {"set time zone 'UTC'; select date_trunc('day', created_at) from t", ""},
        {"select to_char(d, 'Month') from t", "session-settings"},
        {"select id, name from t order by name, id", "session-settings"},
        {"select id, name from t order by name collate \"C\", id", ""},
        {"select getenv('HOME')", "env-reference"},
    }));

}  // namespace
}  // namespace lockstep::analyzer
