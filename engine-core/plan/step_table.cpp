// Writing and reading stand side by side, member by member. The reader trusts nothing: a history may be damaged or
// foreign.
#include "engine-core/plan/step_table.h"

#include <algorithm>
#include <set>

#include "engine-core/base/bytes.h"
#include "engine-core/base/ids.h"
#include "engine-core/plan/graph.h"
#include "engine-core/plan/kinds.h"

namespace lockstep::plan {
namespace {

// --- Writing ---

Json TextsJson(const std::vector<std::string>& texts) {
  Json out = Json::MakeArray();
  for (const std::string& text : texts) out.Push(text);
  return out;
}

Json RetryJson(const RetryPolicy& retry) {
  return Json::MakeObject({{"initialIntervalMs", retry.initial_interval_ms},
                           {"maxIntervalMs", retry.max_interval_ms},
                           {"backoffHundredths", retry.backoff_hundredths},
                           {"maxAttempts", retry.max_attempts},
                           {"nonRetryableCodes", TextsJson(retry.non_retryable_codes)}});
}

Json TimeoutsJson(const Timeouts& timeouts) {
  Json out = Json::MakeObject({{"attemptMs", timeouts.attempt_ms}, {"totalMs", timeouts.total_ms}});
  if (timeouts.heartbeat_ms) out.Set("heartbeatMs", *timeouts.heartbeat_ms);
  if (timeouts.queue_ms) out.Set("queueMs", *timeouts.queue_ms);
  return out;
}

Json SignalJson(const CustomSignal& signal) {
  Json out = Json::MakeObject({{"name", signal.name}});
  if (signal.required_role != Role::kOperator) out.Set("requiredRole", Name(signal.required_role));
  if (signal.destructive) out.Set("destructive", true);
  if (!signal.allowed_running) out.Set("allowedRunning", false);
  if (signal.allowed_paused) out.Set("allowedPaused", true);
  if (signal.scope != SignalScope::kRun) out.Set("scope", Name(signal.scope));
  if (signal.effect != SignalEffect::kRecord) out.Set("effect", Name(signal.effect));
  if (signal.max_per_run != 100) out.Set("maxPerRun", signal.max_per_run);
  return out;
}

Json SecretsJson(const std::vector<SecretRef>& refs) {
  Json list = Json::MakeArray();
  for (const SecretRef& ref : refs) {
    Json one = Json::MakeObject({{"name", ref.name}, {"secretId", ref.secret_id}, {"key", ref.key}});
    if (ref.version) one.Set("version", *ref.version);
    list.Push(std::move(one));
  }
  return list;
}

Json ConditionsJson(const std::vector<Predicate>& predicates) {
  Json list = Json::MakeArray();
  for (const Predicate& predicate : predicates) {
    Json one = Json::MakeObject(
        {{"step", static_cast<int64_t>(predicate.step)}, {"path", predicate.path}, {"op", Name(predicate.op)}});
    if (predicate.op != CompareOp::kExists) one.Set("value", predicate.value);
    list.Push(std::move(one));
  }
  return list;
}

Json GateJson(const WaitForSignal& gate) {
  Json out = Json::MakeObject({{"name", gate.name}});
  if (gate.count != 1) out.Set("count", gate.count);
  if (gate.timeout_ms) out.Set("timeoutMs", *gate.timeout_ms);
  if (gate.on_timeout != GateTimeout::kFail) out.Set("onTimeout", Name(gate.on_timeout));
  return out;
}

Json PluginJson(const PluginRef& plugin) {
  Json out = Json::MakeObject({{"pluginId", plugin.plugin_id}, {"version", plugin.version}});
  if (plugin.digest) out.Set("digest", *plugin.digest);
  return out;
}

// What most steps of the table share and therefore do not repeat.
struct Shared {
  RetryPolicy retry;
  Timeouts timeouts;
  bool sequential = false;
};

Json StepJson(const Step& step, const Shared& shared) {
  Json out = Json::MakeObject({{"stepId", step.step_id}, {"kind", step.kind}});
  if (!shared.sequential && !step.depends_on.empty()) {
    Json list = Json::MakeArray();
    for (const uint32_t above : step.depends_on) list.Push(static_cast<int64_t>(above));
    out.Set("dependsOn", std::move(list));
  }
  if (!step.params.AsObject().empty()) out.Set("params", step.params);
  for (const auto& [key, value] : step.target) {
    if (out.Find("target") == nullptr) out.Set("target", Json::MakeObject());
    out.Find("target")->Set(key, value);
  }
  if (!step.secret_refs.empty()) out.Set("secretRefs", SecretsJson(step.secret_refs));
  if (!step.run_if.empty()) out.Set("runIf", ConditionsJson(step.run_if));
  if (step.retry != shared.retry) out.Set("retryPolicy", RetryJson(step.retry));
  if (step.logical_retries != 0) out.Set("logicalRetries", step.logical_retries);
  if (step.timeouts != shared.timeouts) out.Set("timeouts", TimeoutsJson(step.timeouts));
  if (step.worker_class != WorkerClass::kControl) out.Set("workerClass", Name(step.worker_class));
  if (step.task_queue) out.Set("taskQueue", *step.task_queue);
  if (step.plugin) out.Set("plugin", PluginJson(*step.plugin));
  if (!step.plugin_policy.is_null()) out.Set("pluginPolicy", step.plugin_policy);
  if (step.wait_for_signal) out.Set("waitForSignal", GateJson(*step.wait_for_signal));
  return out;
}

Json HeadJson(const StepTable& table) {
  const RunFacts& facts = table.facts;
  Json out = Json::MakeObject({{"planSha256", table.plan_sha256},
                               {"planId", table.plan_id},
                               {"planVersion", table.plan_version},
                               {"stepCount", Json::Size(table.steps.size())}});
  if (facts.on_step_failure != OnStepFailure::kFailRun) out.Set("onStepFailure", Name(facts.on_step_failure));
  if (facts.max_parallelism != kDefaultMaxParallelism) out.Set("maxParallelism", facts.max_parallelism);
  if (facts.hold_timeout_ms != kDefaultHoldTimeoutMs) out.Set("holdTimeoutMs", facts.hold_timeout_ms);
  if (facts.run_timeout_ms) out.Set("runTimeoutMs", *facts.run_timeout_ms);
  if (facts.requires_approval) out.Set("requiresApproval", true);
  if (facts.sequential) out.Set("sequential", true);
  if (!table.params.AsObject().empty()) out.Set("params", table.params);
  if (!table.custom_signals.empty()) {
    Json list = Json::MakeArray();
    for (const CustomSignal& signal : table.custom_signals) list.Push(SignalJson(signal));
    out.Set("customSignals", std::move(list));
  }
  return out;
}

Shared SharedOf(const StepTable& table) { return {RetryPolicy{}, Timeouts{}, table.facts.sequential}; }

// --- Reading ---

// Reads members of one object; the first thing that is wrong is kept, and every later read yields a default.
class Reader {
 public:
  Reader(const Json& json, std::string path) : json_(json), path_(std::move(path)) {
    if (!json.is_object()) Bad("", "an object");
  }

  std::string Text(std::string_view key, std::string_view fallback, bool required = false) {
    const Json* value = Member(key, required);
    if (value == nullptr) return std::string(fallback);
    if (value->is_string()) return value->AsString();
    Bad(key, "a string");
    return {};
  }
  int64_t Int(std::string_view key, int64_t fallback, int64_t low, int64_t high, bool required = false) {
    const Json* value = Member(key, required);
    if (value == nullptr) return fallback;
    if (value->is_int() && value->AsInt() >= low && value->AsInt() <= high) return value->AsInt();
    Bad(key, "an integer from " + std::to_string(low) + " to " + std::to_string(high));
    return low;
  }
  bool Bool(std::string_view key, bool fallback) {
    const Json* value = Member(key, false);
    if (value == nullptr) return fallback;
    if (value->is_bool()) return value->AsBool();
    Bad(key, "a boolean");
    return false;
  }
  template <typename Enum>
  Enum OneOf(std::string_view key, Enum fallback, bool required = false) {
    const Json* value = Member(key, required);
    if (value == nullptr) return fallback;
    const auto found = value->is_string() ? FromName<Enum>(value->AsString()) : std::nullopt;
    if (!found) Bad(key, "a known name");
    return found.value_or(fallback);
  }
  std::optional<std::string> OptionalText(std::string_view key) {
    if (Member(key, false) == nullptr) return std::nullopt;
    return Text(key, "");
  }
  std::optional<int64_t> OptionalInt(std::string_view key) {
    if (Member(key, false) == nullptr) return std::nullopt;
    return Int(key, 0, 1, kLongestMs);
  }
  Json Object(std::string_view key) {
    const Json* value = Member(key, false);
    if (value == nullptr) return Json::MakeObject();
    if (value->is_object()) return *value;
    Bad(key, "an object");
    return Json::MakeObject();
  }
  const Json::Array& List(std::string_view key, size_t most) {
    static const Json::Array kNone;
    const Json* value = Member(key, false);
    if (value == nullptr) return kNone;
    if (value->is_array() && value->AsArray().size() <= most) return value->AsArray();
    Bad(key, "an array of at most " + std::to_string(most) + " items");
    return kNone;
  }
  bool Has(std::string_view key) const { return json_.Find(key) != nullptr; }
  void Bad(std::string_view key, const std::string& expected) {
    if (!error_.empty()) return;
    error_ = path_ + (key.empty() ? "" : "." + std::string(key)) + ": expected " + expected;
  }
  void Adopt(const Reader& child) {
    if (error_.empty()) error_ = child.error_;
  }
  const std::string& error() const { return error_; }
  const std::string& path() const { return path_; }

  static constexpr int64_t kLongestMs = int64_t{1} << 53;

 private:
  const Json* Member(std::string_view key, bool required) {
    const Json* value = json_.Find(key);
    if (value == nullptr && required) Bad(key, "a value, found nothing");
    return value;
  }

  const Json& json_;
  std::string path_;
  std::string error_;
};

std::vector<std::string> ReadTexts(Reader* reader, std::string_view key, size_t most) {
  std::vector<std::string> out;
  for (const Json& text : reader->List(key, most)) {
    if (!text.is_string()) reader->Bad(key, "strings");
    out.push_back(text.is_string() ? text.AsString() : "");
  }
  return out;
}

RetryPolicy ReadRetry(Reader* parent, const Json& json) {
  Reader in(json, parent->path() + ".retryPolicy");
  RetryPolicy out;
  out.initial_interval_ms = in.Int("initialIntervalMs", 0, 1, 3'600'000, true);
  out.max_interval_ms = in.Int("maxIntervalMs", 0, 1, 3'600'000, true);
  out.backoff_hundredths = static_cast<int32_t>(in.Int("backoffHundredths", 0, 100, 1'000, true));
  out.max_attempts = static_cast<int32_t>(in.Int("maxAttempts", 0, 1, kMaxEngineAttempts, true));
  out.non_retryable_codes = ReadTexts(&in, "nonRetryableCodes", 32);
  parent->Adopt(in);
  return out;
}

Timeouts ReadTimeouts(Reader* parent, const Json& json) {
  Reader in(json, parent->path() + ".timeouts");
  Timeouts out;
  out.attempt_ms = in.Int("attemptMs", 0, 1, Reader::kLongestMs, true);
  out.total_ms = in.Int("totalMs", 0, 1, Reader::kLongestMs, true);
  out.heartbeat_ms = in.OptionalInt("heartbeatMs");
  out.queue_ms = in.OptionalInt("queueMs");
  parent->Adopt(in);
  return out;
}

CustomSignal ReadSignal(Reader* parent, const Json& json) {
  Reader in(json, parent->path() + ".customSignals[]");
  CustomSignal out;
  out.name = in.Text("name", "", true);
  out.required_role = in.OneOf("requiredRole", Role::kOperator);
  out.destructive = in.Bool("destructive", false);
  out.allowed_running = in.Bool("allowedRunning", true);
  out.allowed_paused = in.Bool("allowedPaused", false);
  out.scope = in.OneOf("scope", SignalScope::kRun);
  out.effect = in.OneOf("effect", SignalEffect::kRecord);
  out.max_per_run = static_cast<int32_t>(in.Int("maxPerRun", 100, 1, 1'000));
  parent->Adopt(in);
  return out;
}

std::vector<uint32_t> ReadIndices(Reader* in, std::string_view key, size_t step_count) {
  std::vector<uint32_t> out;
  for (const Json& index : in->List(key, kMaxSteps)) {
    if (!index.is_int() || index.AsInt() < 0 || static_cast<size_t>(index.AsInt()) >= step_count) {
      in->Bad(key, "indices of steps");
      return {};
    }
    out.push_back(static_cast<uint32_t>(index.AsInt()));
  }
  if (std::ranges::adjacent_find(out, std::greater_equal<>()) != out.end()) in->Bad(key, "ascending indices");
  return out;
}

Predicate ReadPredicate(Reader* parent, const Json& json, size_t step_count) {
  Reader in(json, parent->path() + ".runIf[]");
  Predicate out;
  out.step = static_cast<uint32_t>(in.Int("step", 0, 0, static_cast<int64_t>(step_count) - 1, true));
  out.path = in.Text("path", "", true);
  out.op = in.OneOf("op", CompareOp::kExists, true);
  if (const Json* value = json.Find("value"); value != nullptr) out.value = *value;
  parent->Adopt(in);
  return out;
}

void ReadExtras(Reader* in, const Json& json, Step* out) {
  if (const Json* plugin = json.Find("plugin"); plugin != nullptr) {
    Reader inner(*plugin, in->path() + ".plugin");
    out->plugin =
        PluginRef{inner.Text("pluginId", "", true), inner.Text("version", "", true), inner.OptionalText("digest")};
    in->Adopt(inner);
  }
  if (in->Has("pluginPolicy")) out->plugin_policy = in->Object("pluginPolicy");
  if (const Json* gate = json.Find("waitForSignal"); gate != nullptr) {
    Reader inner(*gate, in->path() + ".waitForSignal");
    out->wait_for_signal =
        WaitForSignal{inner.Text("name", "", true), static_cast<int32_t>(inner.Int("count", 1, 1, 100)),
                      inner.OptionalInt("timeoutMs"), inner.OneOf("onTimeout", GateTimeout::kFail)};
    in->Adopt(inner);
  }
}

Step ReadStep(Reader* parent, const Json& json, uint32_t index, size_t step_count, const Shared& shared) {
  Reader in(json, "steps[" + std::to_string(index) + "]");
  Step out;
  out.index = index;
  out.step_id = in.Text("stepId", "", true);
  if (!IsStepId(out.step_id)) in.Bad("stepId", "a stepId");
  out.kind = in.Text("kind", "", true);
  out.depends_on = ReadIndices(&in, "dependsOn", step_count);
  if (shared.sequential && index > 0) out.depends_on = {index - 1};
  out.params = in.Object("params");
  const Json target = in.Object("target");
  for (const auto& [key, value] : target.AsObject()) {
    if (!value.is_string()) in.Bad("target", "strings");
    out.target.emplace(key, value.is_string() ? value.AsString() : "");
  }
  for (const Json& ref : in.List("secretRefs", 32)) {
    Reader inner(ref, in.path() + ".secretRefs[]");
    out.secret_refs.push_back({inner.Text("name", "", true), inner.Text("secretId", "", true),
                               inner.Text("key", "", true), inner.OptionalText("version")});
    in.Adopt(inner);
  }
  for (const Json& entry : in.List("runIf", 8)) out.run_if.push_back(ReadPredicate(&in, entry, step_count));
  out.retry = in.Has("retryPolicy") ? ReadRetry(&in, *json.Find("retryPolicy")) : shared.retry;
  out.logical_retries = static_cast<int32_t>(in.Int("logicalRetries", 0, 0, 10));
  out.timeouts = in.Has("timeouts") ? ReadTimeouts(&in, *json.Find("timeouts")) : shared.timeouts;
  out.worker_class = in.OneOf("workerClass", WorkerClass::kControl);
  out.task_queue = in.OptionalText("taskQueue");
  ReadExtras(&in, json, &out);
  parent->Adopt(in);
  return out;
}

std::unexpected<Error> Broken(const std::string& what) { return Fail("INVALID_WORKFLOW_STATE", "step table: " + what); }

Result<StepTable> ReadHead(const Json& json, size_t* step_count) {
  Reader in(json, "$");
  StepTable out;
  out.plan_sha256 = in.Text("planSha256", "", true);
  if (!IsLowerHex(out.plan_sha256, 64)) in.Bad("planSha256", "64 hex digits");
  out.plan_id = in.Text("planId", "", true);
  out.plan_version = in.Text("planVersion", "", true);
  *step_count = static_cast<size_t>(in.Int("stepCount", 0, 1, kMaxSteps, true));
  out.facts.on_step_failure = in.OneOf("onStepFailure", OnStepFailure::kFailRun);
  out.facts.max_parallelism = static_cast<int32_t>(in.Int("maxParallelism", kDefaultMaxParallelism, 1, 256));
  out.facts.hold_timeout_ms = in.Int("holdTimeoutMs", kDefaultHoldTimeoutMs, 1'000, 2'592'000'000);
  out.facts.run_timeout_ms = in.OptionalInt("runTimeoutMs");
  out.facts.requires_approval = in.Bool("requiresApproval", false);
  out.facts.sequential = in.Bool("sequential", false);
  out.params = in.Object("params");
  for (const Json& signal : in.List("customSignals", 32)) out.custom_signals.push_back(ReadSignal(&in, signal));
  if (!in.error().empty()) return Broken(in.error());
  return out;
}

Status ReadSteps(const Json::Array& steps, size_t step_count, StepTable* table) {
  const Json nothing = Json::MakeObject();
  Reader in(nothing, "$");
  const Shared shared = SharedOf(*table);
  for (const Json& step : steps) {
    if (table->steps.size() >= step_count)
      return Broken("$.steps: expected " + std::to_string(step_count) + " steps, found more");
    table->steps.push_back(ReadStep(&in, step, static_cast<uint32_t>(table->steps.size()), step_count, shared));
    if (!in.error().empty()) return Broken(in.error());
  }
  return {};
}

// What holds for every table that a loader made.
Result<StepTable> Finish(StepTable table, size_t step_count) {
  if (table.steps.size() != step_count) {
    return Broken("$.steps: expected " + std::to_string(step_count) + " steps, found " +
                  std::to_string(table.steps.size()));
  }
  std::set<std::string_view> ids;
  std::vector<std::vector<uint32_t>> depends_on;
  for (const Step& step : table.steps) {
    if (!ids.insert(step.step_id).second) return Broken("$.steps: stepId \"" + step.step_id + "\" stands twice");
    depends_on.push_back(step.depends_on);
  }
  if (TopologicalOrder(depends_on).size() != step_count) return Broken("$.steps: the dependencies have a cycle");
  return table;
}

}  // namespace

Json StepTableJson(const StepTable& table) {
  Json out = HeadJson(table);
  Json steps = Json::MakeArray();
  const Shared shared = SharedOf(table);
  for (const Step& step : table.steps) steps.Push(StepJson(step, shared));
  out.Set("steps", std::move(steps));
  return out;
}

Result<StepTable> ParseStepTable(const Json& json) {
  size_t step_count = 0;
  LOCKSTEP_ASSIGN(StepTable table, ReadHead(json, &step_count));
  const Json* steps = json.Find("steps");
  if (steps == nullptr || !steps->is_array()) return Broken("$.steps: expected an array");
  LOCKSTEP_TRY(ReadSteps(steps->AsArray(), step_count, &table));
  return Finish(std::move(table), step_count);
}

Result<std::vector<Json>> StepTablePages(const StepTable& table, size_t max_bytes) {
  // Room for the members that every page has, with numbers at their longest.
  const auto page_start = [&](size_t number, size_t first) {
    Json page = number == 0 ? HeadJson(table) : Json::MakeObject({{"planSha256", table.plan_sha256}});
    page.Set("page", Json::Size(number))
        .Set("firstStep", Json::Size(first))
        .Set("pageCount", Json::Size(kMaxSteps))
        .Set("steps", Json::MakeArray());
    return page;
  };
  std::vector<Json> pages = {page_start(0, 0)};
  size_t used = CanonicalJson(pages.back()).size();
  const auto too_large = [&](const std::string& what) {
    return Fail("PLAN_TOO_LARGE",
                what + ": expected at most " + std::to_string(max_bytes) + " bytes for one page of the step table");
  };
  if (used > max_bytes) return too_large("the head of the plan");
  const Shared shared = SharedOf(table);
  for (const Step& step : table.steps) {
    Json json = StepJson(step, shared);
    const size_t size = CanonicalJson(json).size() + 1;
    if (used + size > max_bytes) {
      pages.push_back(page_start(pages.size(), step.index));
      used = CanonicalJson(pages.back()).size();
      if (used + size > max_bytes) return too_large("step " + step.step_id);
    }
    used += size;
    pages.back().Find("steps")->Push(std::move(json));
  }
  for (Json& page : pages) page.Set("pageCount", Json::Size(pages.size()));
  return pages;
}

Result<Json> StepTablePage(const StepTable& table, size_t page, size_t max_bytes) {
  LOCKSTEP_ASSIGN(std::vector<Json> pages, StepTablePages(table, max_bytes));
  if (page >= pages.size())
    return Broken("expected a page below " + std::to_string(pages.size()) + ", found " + std::to_string(page));
  return std::move(pages[page]);
}

Result<StepTable> AssembleStepTable(const std::vector<Json>& pages) {
  if (pages.empty()) return Broken("expected at least one page, found none");
  size_t step_count = 0;
  LOCKSTEP_ASSIGN(StepTable table, ReadHead(pages[0], &step_count));
  for (size_t i = 0; i < pages.size(); ++i) {
    const Json& page = pages[i];
    const std::string where = "page " + std::to_string(i);
    if (page.GetString("planSha256") != table.plan_sha256) return Broken(where + ": belongs to another plan");
    if (page.GetInt("page", -1) != static_cast<int64_t>(i))
      return Broken(where + ": expected page " + std::to_string(i));
    if (page.GetInt("pageCount", -1) != static_cast<int64_t>(pages.size()))
      return Broken(where + ": expected pageCount " + std::to_string(pages.size()));
    if (page.GetInt("firstStep", -1) != static_cast<int64_t>(table.steps.size()))
      return Broken(where + ": steps are missing");
    const Json* steps = page.Find("steps");
    if (steps == nullptr || !steps->is_array()) return Broken(where + ": expected an array `steps`");
    LOCKSTEP_TRY(ReadSteps(steps->AsArray(), step_count, &table));
  }
  return Finish(std::move(table), step_count);
}

}  // namespace lockstep::plan
