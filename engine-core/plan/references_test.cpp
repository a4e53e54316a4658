// References and predicates of spec 01 section 5.7, each form and each operator.
#include "engine-core/plan/references.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "engine-core/plan/test_support/plans.h"

namespace lockstep::plan {
namespace {

Reference One(std::string_view text) {
  const auto parts = ParseTemplate(text);
  EXPECT_TRUE(parts.has_value() && parts->IsExactlyOne()) << text << (parts ? "" : parts.error().message);
  return parts && !parts->references.empty() ? parts->references[0] : Reference{};
}

TEST(ParseTemplate, EachForm) {
  EXPECT_EQ(One("${params.cutoff}").pointer, "/cutoff");
  EXPECT_EQ(One("${params.a.b[2]['x/y'].c-d}").pointer, "/a/b/2/x~1y/c-d");
  EXPECT_EQ(One("${params['odd name']}").pointer, "/odd name");
  EXPECT_EQ(One("${run.id}").source, ReferenceSource::kRunId);
  EXPECT_EQ(One("${run.startedAt}").source, ReferenceSource::kRunStartedAt);
  const Reference step = One("${steps['extract.orders'].result.rows[0].n}");
  EXPECT_EQ(step.source, ReferenceSource::kStepResult);
  EXPECT_EQ(step.name, "extract.orders");
  EXPECT_EQ(step.pointer, "/rows/0/n");
  EXPECT_EQ(One("${steps['a'].result}").pointer, "");
  const Reference signal = One("${signals['GO'][3].ticket}");
  EXPECT_EQ(signal.source, ReferenceSource::kSignal);
  EXPECT_EQ(signal.name, "GO");
  EXPECT_EQ(signal.signal_index, 3U);
  EXPECT_EQ(signal.pointer, "/ticket");
}

TEST(ParseTemplate, NothingElseIsAnExpression) {
  for (const char* text : {"${now()}",
                           "${env.HOME}",
                           "${params}",
                           "${params.}",
                           "${params.a+1}",
                           "${params.a }",
                           "${ params.a}",
                           "${run.tenant}",
                           "${run.id.x}",
                           "${}",
                           "${steps.a.result.x}",
                           "${steps['a'].error}",
                           "${steps['a b'].result.x}",
                           "${steps['RUN'].result.x}",
                           "${steps['a'].resultx}",
                           "${signals['GO'].x}",
                           "${signals['GO'][-1]}",
                           "${signals['GO'][01]}",
                           "${signals['GO'][99999999]}",
                           "${signals[''][0]}",
                           "${params.a",
                           "x ${",
                           "${params.a[b]}",
                           "${params..a}",
                           "${paramsx.a}"}) {
    const auto parts = ParseTemplate(text);
    ASSERT_FALSE(parts.has_value()) << text;
    EXPECT_EQ(parts.error().code, "REFERENCE_INVALID");
  }
}

TEST(ParseTemplate, LiteralsAndEscape) {
  EXPECT_TRUE(ParseTemplate("costs $5, {x} and $ alone$")->IsLiteral());
  const auto escaped = ParseTemplate("a $${params.x} b");
  EXPECT_TRUE(escaped->IsLiteral());
  EXPECT_EQ(escaped->literals[0], "a ${params.x} b");
  const auto mixed = ParseTemplate("x${run.id}y${run.id}");
  EXPECT_EQ(mixed->literals, (std::vector<std::string>{"x", "y", ""}));
  EXPECT_FALSE(mixed->IsExactlyOne());
}

struct Values {
  Json params = J(R"({"n":7,"flag":true,"list":[1,"a"],"text":"hi","none":null,"real":1.5})");
  Json result = J(R"({"rows":[{"n":3}]})");
  Json payload = J(R"({"ticket":"T-1"})");
  ReferenceContext Context() const {
    ReferenceContext context;
    context.params = &params;
    context.run_id = "run-1";
    context.run_started_at = "2026-02-12T00:00:00.000Z";
    context.step_result = [this](const std::string& step, const std::string& pointer) {
      return step == "a" ? result.At(pointer) : nullptr;
    };
    context.signal = [this](const std::string& name, uint32_t i) {
      return name == "GO" && i == 0 ? &payload : nullptr;
    };
    return context;
  }
};

TEST(Resolve, ExactlyOneReference_KeepsItsType) {
  const Values values;
  const auto out = Resolve(J(R"({"n":"${params.n}","l":["${params.list}"],"b":"${params.flag}","z":"${params.none}",)"
                             R"("s":"${steps['a'].result.rows[0].n}","t":"${signals['GO'][0].ticket}",
                             "r":"${run.id}","at":"${run.startedAt}","k":4})"),
                           values.Context());
  ASSERT_TRUE(out.has_value()) << out.error().ToString();
  EXPECT_EQ(*out,
            J(R"({"n":7,"l":[[1,"a"]],"b":true,"z":null,"s":3,"t":"T-1","r":"run-1","at":"2026-02-12T00:00:00.000Z",)"
              R"("k":4})"));
}

TEST(Resolve, EmbeddedReferences_AreRenderedAsText) {
  const Values values;
  EXPECT_EQ(*ResolveText("n=${params.n} f=${params.flag} l=${params.list} t=${params.text} r=${params.real}",
                         values.Context()),
            "n=7 f=true l=[1,\"a\"] t=hi r=1.5");
  EXPECT_EQ(*ResolveText("$${params.n} is ${params.n}", values.Context()), "${params.n} is 7");
}

TEST(Resolve, ResolvedTextIsNotResolvedAgain) {
  const Json params = J(R"({"a":"${params.b}","b":"secret"})");
  ReferenceContext context;
  context.params = &params;
  EXPECT_EQ(*ResolveText("${params.a}", context), "${params.b}");
}

TEST(Resolve, UnknownValue_REFERENCE_UNRESOLVED) {
  const Values values;
  for (const char* text : {"${params.ghost}", "${params.n.x}", "${steps['b'].result.x}", "${steps['a'].result.rows[1]}",
                           "${signals['GO'][1].ticket}", "${signals['GO'][0].x}"}) {
    const auto out = Resolve(Json(text), values.Context());
    ASSERT_FALSE(out.has_value()) << text;
    EXPECT_EQ(out.error().code, "REFERENCE_UNRESOLVED");
    EXPECT_EQ(out.error().Detail("reference"), text);
  }
  EXPECT_FALSE(Resolve(Json("${params.n}"), {}).has_value());
}

bool Holds(CompareOp op, std::string_view probe, std::string_view value) {
  const Json found = J(probe);
  Predicate predicate;
  predicate.op = op;
  predicate.value = J(value);
  return EvaluateRunIf(predicate, &found);
}

TEST(EvaluateRunIf, eq_ne) {
  EXPECT_TRUE(Holds(CompareOp::kEq, "1", "1.0"));
  EXPECT_TRUE(Holds(CompareOp::kEq, "\"a\"", "\"a\""));
  EXPECT_TRUE(Holds(CompareOp::kEq, "null", "null"));
  EXPECT_FALSE(Holds(CompareOp::kEq, "1", "\"1\""));
  EXPECT_FALSE(Holds(CompareOp::kEq, "true", "1"));
  EXPECT_TRUE(Holds(CompareOp::kNe, "1", "\"1\""));
  EXPECT_FALSE(Holds(CompareOp::kNe, "2", "2"));
  EXPECT_FALSE(Holds(CompareOp::kEq, "9007199254740993", "9007199254740992.0"));
}
TEST(EvaluateRunIf, lt_le_gt_ge) {
  EXPECT_TRUE(Holds(CompareOp::kLt, "1", "1.5"));
  EXPECT_FALSE(Holds(CompareOp::kLt, "2", "2"));
  EXPECT_TRUE(Holds(CompareOp::kLe, "2", "2"));
  EXPECT_TRUE(Holds(CompareOp::kGt, "2.5", "2"));
  EXPECT_TRUE(Holds(CompareOp::kGe, "\"b\"", "\"b\""));
  EXPECT_TRUE(Holds(CompareOp::kLt, "\"a\"", "\"b\""));
  EXPECT_TRUE(Holds(CompareOp::kGt, "-1.5", "-2"));
}
TEST(EvaluateRunIf, OrderOfUnlikeTypes_IsFalse) {
  for (const auto op : {CompareOp::kLt, CompareOp::kLe, CompareOp::kGt, CompareOp::kGe}) {
    EXPECT_FALSE(Holds(op, "1", "\"1\""));
    EXPECT_FALSE(Holds(op, "true", "false"));
    EXPECT_FALSE(Holds(op, "null", "null"));
  }
}
TEST(EvaluateRunIf, exists) { EXPECT_TRUE(Holds(CompareOp::kExists, "null", "null")); }
TEST(EvaluateRunIf, MissingPath_IsFalseExceptForNe) {
  for (const auto op : {CompareOp::kEq, CompareOp::kNe, CompareOp::kLt, CompareOp::kLe, CompareOp::kGt, CompareOp::kGe,
                        CompareOp::kExists}) {
    Predicate predicate;
    predicate.op = op;
    predicate.value = 1;
    EXPECT_EQ(EvaluateRunIf(predicate, nullptr), op == CompareOp::kNe);
  }
}
TEST(EvaluateRunIf, ExactlyOneOfLtEqGt_ForNumbers) {
  rc::check([](int64_t a, double b) {
    const Json left(a), right(b);
    const auto holds = [&](CompareOp op) {
      Predicate predicate;
      predicate.op = op;
      predicate.value = right;
      return EvaluateRunIf(predicate, &left);
    };
    RC_ASSERT(holds(CompareOp::kLt) + holds(CompareOp::kEq) + holds(CompareOp::kGt) == 1);
    RC_ASSERT(holds(CompareOp::kLe) == (holds(CompareOp::kLt) || holds(CompareOp::kEq)));
    RC_ASSERT(holds(CompareOp::kNe) != holds(CompareOp::kEq));
  });
}

TEST(ProbePaths, CollectPredicatesAndReferencesOfOtherSteps) {
  const Plan plan = MustParse(PlanText(R"([{"stepId":"a","kind":"noop"},{"stepId":"b","kind":"echo",)"
                                       R"("params":{"message":"${steps['a'].result.x} ${steps['a'].result.y[0]}"}},
    {"stepId":"c","kind":"noop","runIf":[{"step":"a","path":"/x","op":"exists"},{"step":"b","path":"","op":"eq",)"
                                       R"("value":1}],"target":{"schema":"${steps['a'].result.z}"}}])"));
  EXPECT_EQ(ProbePaths(plan.table, 0), (std::vector<std::string>{"/x", "/y/0", "/z"}));
  EXPECT_EQ(ProbePaths(plan.table, 1), std::vector<std::string>{""});
  EXPECT_TRUE(ProbePaths(plan.table, 2).empty());
}

TEST(ExtractProbes, KeepsSmallScalarsOnly) {
  Json result = J(R"({"a":1,"b":"x","c":null,"d":[1],"e":{"f":true}})");
  result.Set("long", std::string(300, 'x'));
  const auto probes = ExtractProbes(result, {"/a", "/b", "/c", "/d", "/e", "/e/f", "/long", "/ghost"});
  ASSERT_EQ(probes.size(), 4U);
  EXPECT_EQ(probes.at("/e/f"), Json(true));
  EXPECT_EQ(probes.at("/c"), Json());
}

TEST(ParseTemplate, RandomText_NeverCrashes) {
  rc::check([] {
    const auto text =
        *rc::gen::container<std::string>(rc::gen::element('$', '{', '}', '[', ']', '\'', '.', 'a', '0', 's'));
    const auto prefix = *rc::gen::element<std::string>("", "${params", "${steps['a']", "${signals['G'][0]");
    const auto parts = ParseTemplate(prefix + text);
    if (parts) RC_ASSERT(parts->literals.size() == parts->references.size() + 1);
  });
}

}  // namespace
}  // namespace lockstep::plan
