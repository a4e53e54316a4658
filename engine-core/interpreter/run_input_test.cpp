#include "engine-core/interpreter/run_input.h"

#include <gmock/gmock.h>
#include <rapidcheck.h>

namespace lockstep::interpreter {
namespace {

using ::testing::HasSubstr;

Json Parsed(std::string_view text) { return ParseJson(text).value(); }

RunInput Sample() {
  RunInput input;
  input.plan_ref = Parsed(R"({"uri":"plan:x","sha256":"y"})");
  input.context = {"acme", "sales", "dev", "run-1", "temporal", Parsed(R"({"day":"mon"})")};
  input.policy = {.continue_steps = 7, .history_bytes = 9, .server_suggestion = false, .max_passes = 3, .pause_drain_timeout_ms = 11,
                  .append_retry_ms = 12, .append_pause_ms = 13, .provider_namespace = "default", .task_queue = "q", .allowed_queues = {"tq-data-x"},
                  .status_attribute = true};
  input.admission = {"abc", true, 5, Parsed(R"(["basic-execution"])")};
  Cursor cursor;
  cursor.plan_sha256 = std::string(64, 'a');
  cursor.run_started_at = "2026-02-12T00:00:00.000Z";
  cursor.settled = {{0, Outcome::kSuccess, "", 1, 2, false}, {2, Outcome::kFailed, "STEP_TIMEOUT", 3, 1, true}, {4, Outcome::kSkipped, "CONDITION_FALSE", 1, 1, false}};
  cursor.attempts = {{1, 2}, {3, 4}};
  cursor.reopened = {3};
  cursor.artifacts = {{0, Parsed(R"([{"uri":"u","kind":"k"}])")}};
  cursor.probes = {{0, Parsed(R"({"/rows":3})")}};
  cursor.params = Parsed(R"({"a":1})");
  cursor.step_overrides = {{1, Parsed(R"({"patch":{"x":1},"signalId":"s"})")}};
  cursor.step_targets = {{1, Parsed(R"({"schema":"mart"})")}};
  cursor.signals = Parsed(R"({"GO_NOW":[{}]})");
  cursor.gate_deadlines = {{5, 123}, {6, 0}};
  cursor.paused = true;
  cursor.pause_reason = "night";
  cursor.pause_ordinal = 2;
  cursor.cancel_signal_id = "c";
  cursor.cancel_reason = "why";
  cursor.hold_deadline = 77;
  cursor.run_deadline = 78;
  cursor.last_decision_seq = 9;
  cursor.continued_as_new_count = 4;
  input.cursor = std::move(cursor);
  return input;
}

TEST(RunInput, SurvivesTheRoundTrip) {
  const Json json = ToJson(Sample());
  const auto read = ParseRunInput(json);
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(CanonicalJson(ToJson(*read)), CanonicalJson(json));
  EXPECT_EQ(read->cursor->reopened, (std::set<uint32_t>{3}));
  EXPECT_EQ(read->cursor->cancel_reason, "why");
  EXPECT_EQ(read->policy.allowed_queues, (std::vector<std::string>{"tq-data-x"}));
}

TEST(RunInput, Cursor_HasTheFieldsOfTheTable) {
  const Json cursor = ToJson(*Sample().cursor);
  for (const char* member : {"cursorSchemaVersion", "planSha256", "settled", "artifacts", "probes", "overrides", "gates", "control", "lastDecisionSeq", "continuedAsNewCount"}) {
    EXPECT_NE(cursor.Find(member), nullptr) << member;
  }
  for (const char* member : {"paused", "pauseReason", "pauseOrdinal", "cancelRequested"}) EXPECT_NE(cursor.Find("control")->Find(member), nullptr) << member;
}

TEST(RunInput, Policy_DefaultsAreThoseOfTheSpecification) {
  const auto input = ParseRunInput(Parsed(R"({"planRef":{},"ctx":{"tenantId":"a","projectId":"b","environmentId":"c","runId":"d"},"admission":{}})"));
  ASSERT_TRUE(input.has_value()) << input.error().message;
  EXPECT_EQ(input->policy.continue_steps, 50);
  EXPECT_EQ(input->policy.history_bytes, 1'048'576);
  EXPECT_TRUE(input->policy.server_suggestion);
  EXPECT_EQ(input->policy.max_passes, 0);
  EXPECT_EQ(input->policy.pause_drain_timeout_ms, 300'000);
  EXPECT_EQ(input->policy.append_retry_ms, 600'000);
  EXPECT_EQ(input->policy.append_pause_ms, 60'000);
  EXPECT_EQ(input->context.target_adapter, "temporal");
}

TEST(RunInput, TenThousandSettledSteps_StayBelowTheProviderLimit) {
  Cursor cursor;
  cursor.plan_sha256 = std::string(64, 'a');
  for (uint32_t i = 0; i < 10'000; ++i) cursor.settled.push_back({i, Outcome::kSuccess, "", 1, 1, false});
  EXPECT_LT(CanonicalJson(ToJson(cursor)).size(), 2u * 1024 * 1024);
}

struct BadCursor {
  const char* pointer;  // parent of the member
  const char* member;
  const char* value;
};

TEST(RunInput, W12_MalformedCursor_IsInvalidWorkflowState_AndNamesTheMember) {
  const BadCursor cases[] = {
      {"", "cursorSchemaVersion", "2"},        {"", "cursorSchemaVersion", "\"1\""},
      {"", "planSha256", "\"xyz\""},           {"", "planSha256", "null"},
      {"", "settled", "{}"},                   {"", "settled", "[[0]]"},
      {"", "settled", R"([[-1,"SUCCESS","",1,1,false]])"}, {"", "settled", R"([[0,"DONE","",1,1,false]])"},
      {"", "settled", R"([[0,"SUCCESS","",0,1,false]])"},  {"", "settled", R"([[0,"SUCCESS","",1,-5,false]])"},
      {"", "settled", R"([[0,"SUCCESS","",4294967297,1,false]])"}, {"", "settled", R"([[0,"SUCCESS","",1,1,0]])"},
      {"", "attempts", "[]"},                  {"", "attempts", R"({"x":1})"},
      {"", "attempts", R"({"0":"1"})"},        {"", "attempts", R"({"0":0})"},
      {"", "attempts", R"({"-1":1})"},         {"", "reopened", "{}"},
      {"", "reopened", "[-1]"},                {"", "reopened", "[\"0\"]"},
      {"", "artifacts", R"({"0":{}})"},        {"", "artifacts", R"({"0":"x"})"},
      {"", "probes", R"({"0":[]})"},           {"", "probes", R"({"0":3})"},
      {"/overrides", "params", "[]"},          {"/overrides", "steps", R"({"0":{}})"},
      {"/overrides", "steps", R"({"0":{"patch":3}})"},     {"/overrides", "targets", R"({"0":"x"})"},
      {"/gates", "signals", "[]"},             {"/gates", "signals", R"({"GO_NOW":3})"},
      {"/gates", "deadlines", R"({"0":-1})"},  {"/gates", "deadlines", R"({"0":9223372036854775807})"},
      {"/control", "holdDeadline", "-9223372036854775808"}, {"/control", "runDeadline", "\"soon\""},
      {"/control", "pauseOrdinal", "-1"},      {"/control", "pauseOrdinal", "2147483647"},
      {"", "lastDecisionSeq", "-1"},           {"", "continuedAsNewCount", "99999999999"},
      {"", "overrides", "3"},                  {"", "gates", "null"},
      {"", "control", "[]"},
  };
  for (const BadCursor& each : cases) {
    Json json = ToJson(*Sample().cursor);
    Json* parent = each.pointer[0] == '\0' ? &json : json.Find(each.pointer + 1);
    parent->Set(each.member, Parsed(each.value));
    const auto read = ParseCursor(json);
    ASSERT_FALSE(read.has_value()) << each.pointer << "/" << each.member << " = " << each.value;
    EXPECT_EQ(read.error().code, "INVALID_WORKFLOW_STATE");
    EXPECT_THAT(read.error().message, HasSubstr("workflow input"));
  }
}

TEST(RunInput, MalformedInput_NamesTheMember) {
  const std::pair<const char*, const char*> cases[] = {
      {"[]", "$"},
      {R"({"planRef":3})", "planRef"},
      {R"({"planRef":{},"ctx":{"tenantId":"a b"}})", "ctx.tenantId"},
      {R"({"planRef":{},"ctx":{"tenantId":"a","projectId":"b","environmentId":"c","runId":"d","params":3}})", "ctx.params"},
      {R"({"planRef":{},"ctx":{"tenantId":"a","projectId":"b","environmentId":"c","runId":"d"},"policy":{"continueSteps":-1},"admission":{}})", "continueSteps"},
      {R"({"planRef":{},"ctx":{"tenantId":"a","projectId":"b","environmentId":"c","runId":"d"},"policy":{"appendPauseMs":"x"},"admission":{}})", "appendPauseMs"},
      {R"({"planRef":{},"ctx":{"tenantId":"a","projectId":"b","environmentId":"c","runId":"d"},"policy":{"allowedQueues":[1]},"admission":{}})", "allowedQueues"},
      {R"({"planRef":{},"ctx":{"tenantId":"a","projectId":"b","environmentId":"c","runId":"d"}})", "admission"},
  };
  for (const auto& [text, member] : cases) {
    const auto read = ParseRunInput(Parsed(text));
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_EQ(read.error().code, "INVALID_WORKFLOW_STATE");
    EXPECT_THAT(read.error().message, HasSubstr(member));
  }
}

// Whatever a member is replaced by: an error or a cursor, never an end of the process.
TEST(RunInput, AnyMemberReplacedByAnything_IsReadOrRefused) {
  EXPECT_TRUE(rc::check([] {
    Json json = ToJson(*Sample().cursor);
    Json* place = &json;
    for (int depth = *rc::gen::inRange(0, 4); depth >= 0 && (place->is_object() || place->is_array()); --depth) {
      if (place->is_object() && !place->AsObject().empty()) {
        auto it = place->AsObject().begin();
        std::advance(it, *rc::gen::inRange<size_t>(0, place->AsObject().size()));
        place = &it->second;
      } else if (place->is_array() && !place->AsArray().empty()) {
        place = &place->AsArray()[*rc::gen::inRange<size_t>(0, place->AsArray().size())];
      }
    }
    const Json values[] = {Json(), Json(true), Json(-1), Json(int64_t{INT64_MAX}), Json(1.5), Json("x"), Json::MakeArray(), Json::MakeObject(), Json::MakeObject({{"0", 1}})};
    *place = values[*rc::gen::inRange<size_t>(0, std::size(values))];
    const auto read = ParseCursor(json);
    if (read) RC_ASSERT(ParseCursor(ToJson(*read)).has_value());
    if (!read) RC_ASSERT(read.error().code == "INVALID_WORKFLOW_STATE");
  }));
}

}  // namespace
}  // namespace lockstep::interpreter
