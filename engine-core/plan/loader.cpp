// The stages are rows of one table; a run of the table stops at the first that fails. Digest errors carry both digests,
// because they are an alarm and not a typing mistake.
#include "engine-core/plan/loader.h"

#include <algorithm>
#include <set>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"
#include "engine-core/base/sha256.h"
#include "engine-core/plan/build_plan.h"
#include "engine-core/plan/custom_signals.h"
#include "engine-core/plan/graph.h"
#include "engine-core/plan/gzip.h"
#include "engine-core/plan/issues.h"
#include "engine-core/plan/schema_version.h"
#include "engine-core/plan/structure.h"

namespace lockstep::plan {

// State of one load, handed from stage to stage.
class Loading {
 public:
  explicit Loading(const VerifyContext& context) : context_(context) {}

  using Stage = Status (Loading::*)();
  struct StageRow {
    int number;
    Stage run;
  };

  void SetReference(const PlanRef& ref) {
    ref_ = ref;
    has_ref_ = true;
  }
  void SetBytes(std::string bytes) { bytes_ = std::move(bytes); }
  // The bytes come from the cache: they are uncompressed and their digest was just checked.
  void SetCachedBytes(std::string bytes) {
    bytes_ = std::move(bytes);
    ref_.compression = Compression::kNone;
  }

  template <size_t N>
  Status Run(const StageRow (&rows)[N]) {
    for (const StageRow& row : rows) {
      if (row.number <= context_.last_stage) LOCKSTEP_TRY((this->*row.run)());
    }
    return {};
  }

  VerifiedPlan TakeVerified(const PlanRef& original_ref) && {
    return VerifiedPlan(std::make_shared<const VerifiedPlan::State>(
        VerifiedPlan::State{original_ref, std::move(bytes_), std::move(plan_), std::move(report_)}));
  }
  ParsedPlan TakeParsed() && {
    return ParsedPlan{std::move(plan_), std::move(upgraded_.document), contracts::MinorVersion(version_).ToString()};
  }
  const std::string& bytes() const { return bytes_; }

  // --- Stages ---

  Status CheckReferenceVersion() {  // 3
    const auto version = CheckSchemaVersion(ref_.schema_version);
    return version ? Status() : Fail(About(version.error()));
  }
  Status CheckExpiry() {  // 4
    if (!ref_.expires_at || *ref_.expires_at > context_.now) return {};
    return Fail(About(Error("PLAN_REF_EXPIRED", "expected a reference that is still valid, found one that expired at " +
                                                    FormatUtcMillis(*ref_.expires_at))));
  }
  Status CheckStoredSize() {  // 5
    if (static_cast<int64_t>(bytes_.size()) <= context_.max_plan_bytes) return {};
    return Fail(About(Error("PLAN_TOO_LARGE", "expected at most " + std::to_string(context_.max_plan_bytes) +
                                                  " bytes, found " + std::to_string(bytes_.size()))));
  }
  Status Decompress() {  // 6
    if (ref_.compression == Compression::kNone) return {};
    auto plain = GunzipBounded(bytes_, context_.max_plan_bytes);
    if (!plain) return Fail(About(std::move(plain).error()));
    bytes_ = std::move(*plain);
    return {};
  }
  Status CheckDigest() {  // 7
    const std::string actual = Sha256Hex(bytes_);
    if (actual == ref_.sha256) return {};
    return Fail(About(Error("PLAN_INTEGRITY_VALIDATION_FAILED",
                            "expected plan bytes with SHA-256 " + ref_.sha256 + ", found " + actual)
                          .With("category", "VALIDATION_ERROR")
                          .With("expectedSha256", ref_.sha256)
                          .With("actualSha256", actual)));
  }
  Status CheckSize() {  // 8
    if (!ref_.size_bytes || *ref_.size_bytes == static_cast<int64_t>(bytes_.size())) return {};
    return Fail(About(Error("PLAN_SIZE_MISMATCH", "expected " + std::to_string(*ref_.size_bytes) + " bytes, found " +
                                                      std::to_string(bytes_.size()))));
  }
  Status ParseStructure() {  // 9
    LOCKSTEP_TRY(ParseText());
    LOCKSTEP_TRY(ChooseVersion());
    StructureFindings findings = CheckStructure(document_, version_);
    if (!findings.plan.empty()) {
      findings.plan.insert(findings.plan.end(), findings.step.begin(), findings.step.end());
      return Fail(About(IssueError("INVALID_PLAN_SCHEMA", "the plan is not valid", std::move(findings.plan))));
    }
    if (!findings.step.empty())
      return Fail(About(IssueError("INVALID_STEP_SCHEMA", "a step is not valid", std::move(findings.step))));
    return {};
  }
  Status CheckBodyVersion() {  // 10
    const std::string body = document_.Find("metadata")->GetString("schemaVersion", ref_.schema_version);
    if (body == ref_.schema_version) return {};
    return Fail(
        About(Error("PLAN_SCHEMA_VERSION_MISMATCH", "metadata.schemaVersion: expected \"" + ref_.schema_version +
                                                        "\" as in the reference, found \"" + body + "\"")));
  }
  Status CheckIdentity() {  // 11
    const Json& metadata = *document_.Find("metadata");
    std::vector<Issue> issues;
    const auto compare = [&](const char* member, const std::string& wanted) {
      const std::string found = metadata.GetString(member);
      if (found == wanted) return;
      issues.push_back({std::string("metadata.") + member, "mismatch",
                        "expected \"" + wanted + "\" as in the reference, found \"" + found + "\""});
    };
    compare("planId", ref_.plan_id);
    compare("planVersion", ref_.plan_version);
    if (issues.empty()) return {};
    return Fail(
        About(IssueError("PLAN_REF_MISMATCH", "the plan is another one than the reference says", std::move(issues))));
  }
  Status CheckGraph() {  // 12
    Json document = std::move(document_);
    if (document.Find("metadata")->Find("schemaVersion") == nullptr)
      document.Find("metadata")->Set("schemaVersion", version_.ToString());
    upgraded_ = Upgrade(std::move(document), version_);
    auto graph = BuildGraph(DeclaredSteps(upgraded_.document));
    if (!graph) return Fail(About(std::move(graph).error()));
    graph_ = std::move(*graph);
    return {};
  }
  Status CheckStepSchemas() {  // 13
    std::vector<Issue> issues = CheckSteps(upgraded_.document, graph_, context_.allow_test_kinds);
    std::set<std::pair<size_t, std::string>> moved;
    for (const auto& [step, key] : upgraded_.moved) moved.emplace(step, JsonPointerToken(key));
    for (Issue& issue : issues) NameAsWritten(moved, &issue);
    for (const auto& [step, key] : upgraded_.collisions) {
      issues.push_back({PathFromPointer("/steps/" + std::to_string(step) + "/" + JsonPointerToken(key)),
                        "field_not_allowed", "the parameter \"" + key + "\" stands in `params` already"});
    }
    CheckMovedSizes(&issues);
    if (!issues.empty())
      return Fail(About(IssueError("INVALID_STEP_SCHEMA", "a step is not valid", std::move(issues))));
    plan_ = BuildPlan(upgraded_.document, graph_);
    plan_.schema_version = version_.ToString();
    plan_.table.plan_sha256 = has_ref_ ? ref_.sha256 : Sha256Hex(bytes_);
    // The declarations are judged in stage 16; a worker that stops at 13 still needs those that are in order.
    if (const Json* signals = upgraded_.document.Find("customSignals"); signals != nullptr) {
      if (auto parsed = ParseCustomSignals(*signals); parsed) plan_.table.custom_signals = std::move(*parsed);
    }
    return {};
  }
  Status CheckTarget() {  // 14
    if (contracts::CapabilityMatrix::Embedded().FindAdapter(context_.target_adapter) == nullptr) {
      return Fail(About(Error("INVALID_TARGET_ADAPTER", "expected the adapter temporal, conductor or mock, found \"" +
                                                            context_.target_adapter + "\"")));
    }
    if (plan_.target_adapter == "any" || plan_.target_adapter == context_.target_adapter) return {};
    return Fail(About(Error("TARGET_ADAPTER_MISMATCH", "metadata.targetAdapter: expected \"" + context_.target_adapter +
                                                           "\" as in the run context, or \"any\", found \"" +
                                                           plan_.target_adapter + "\"")));
  }
  Status CheckCapabilities() {  // 15
    report_ = ValidateCapabilities(
        plan_, {context_.target_adapter, context_.adapter_version, context_.allow_experimental, context_.now});
    if (report_.status != ReportStatus::kErrors) return {};
    std::vector<Issue> issues;
    for (const ReportItem& item : report_.errors)
      issues.push_back({item.path.empty() ? "$" : item.path, item.code, item.message});
    Error error = IssueError("CAPABILITIES_NOT_SUPPORTED", "the adapter lacks what the plan needs", std::move(issues));
    return Fail(About(std::move(error).With("report", CanonicalJson(ToJson(report_)))));
  }
  Status CheckPolicies() {  // 16
    if (has_ref_) LOCKSTEP_TRY(Named(CheckQueues(plan_.table, context_.scope)));
    LOCKSTEP_TRY(Named(CheckPluginPolicies(plan_, context_.plugin_platform)));
    if (const Json* signals = upgraded_.document.Find("customSignals"); signals != nullptr) {
      if (auto parsed = ParseCustomSignals(*signals); !parsed) return Fail(About(std::move(parsed).error()));
    }
    return Named(CheckGates(plan_.table));
  }

 private:
  // Every error of a load tells which plan it is about.
  Error About(Error error) const {
    if (!has_ref_) return error;
    error.details.emplace_back("planUri", ref_.uri);
    error.details.emplace_back("planId", ref_.plan_id);
    error.details.emplace_back("planVersion", ref_.plan_version);
    return error;
  }
  Status Named(Status status) const { return status ? status : Fail(About(std::move(status).error())); }

  Status ParseText() {
    JsonLimits limits;
    limits.safe_integers_only = true;
    // A raw NUL is never JSON; the parser underneath would take it for the end of the text.
    const bool nul = bytes_.find('\0') != std::string::npos;
    auto parsed =
        nul ? Result<Json>(Fail("JSON_INVALID", "expected JSON, found a NUL byte")) : ParseJson(bytes_, limits);
    if (parsed && parsed->is_object()) {
      document_ = std::move(*parsed);
      return {};
    }
    const std::string what =
        parsed ? "expected an object, found " + std::string(parsed->KindName()) : parsed.error().message;
    Error error =
        IssueError("INVALID_PLAN_SCHEMA", "the plan is not valid", {{"$", parsed ? "type" : "json_invalid", what}});
    if (!parsed)
      error.details.insert(error.details.end(), parsed.error().details.begin(), parsed.error().details.end());
    return Fail(About(std::move(error)));
  }

  // The structure is judged by the version the body itself names, so that a mismatch with the reference is told as
  // such; a body that names none, or none we know, by that of the reference.
  Status ChooseVersion() {
    const Json* metadata = document_.Find("metadata");
    const std::string own = metadata == nullptr ? "" : metadata->GetString("schemaVersion");
    const auto own_version = CheckSchemaVersion(own);
    if (own_version) {
      version_ = *own_version;
      return {};
    }
    if (has_ref_) {
      const auto version = CheckSchemaVersion(ref_.schema_version);
      if (!version) return Fail(About(version.error()));
      version_ = *version;
      return {};
    }
    if (metadata != nullptr && metadata->Find("schemaVersion") != nullptr) return Fail(own_version.error());
    version_ = {kCurrentSchema.major, 0};
    return {};
  }

  // An issue inside a key that moved into `params` names the place where the author wrote it.
  void NameAsWritten(const std::set<std::pair<size_t, std::string>>& moved, Issue* issue) const {
    const std::string pointer = PointerFromPath(issue->path);
    const auto tokens = Split(pointer, '/');  // "", "steps", "3", "params", "key", ...
    if (tokens.size() < 5 || tokens[1] != "steps" || tokens[3] != "params") return;
    const auto step = ParseInt64(tokens[2]);
    const std::string base = "/steps/" + std::string(tokens[2]) + "/";
    if (!step || !moved.contains({static_cast<size_t>(*step), std::string(tokens[4])})) return;
    issue->path = PathFromPointer(base + pointer.substr(base.size() + std::string_view("params/").size()));
  }

  // Parameters that came from step keys count against the limit like others.
  void CheckMovedSizes(std::vector<Issue>* issues) const {
    const Json::Array& steps = upgraded_.document.Find("steps")->AsArray();
    size_t last = SIZE_MAX;
    for (const auto& [step, key] : upgraded_.moved) {
      if (step == last) continue;
      last = step;
      const Json* params = steps[step].Find("params");
      const size_t size = params == nullptr ? 0 : CanonicalJson(*params).size();
      if (size <= kMaxParamsBytes) continue;
      issues->push_back({"steps[" + std::to_string(step) + "].params", "param_invalid",
                         "expected at most 65536 bytes, found " + std::to_string(size)});
    }
  }

  const VerifyContext& context_;
  PlanRef ref_;
  bool has_ref_ = false;
  std::string bytes_;
  contracts::MinorVersion version_ = kCurrentSchema;
  Json document_;
  UpgradedDocument upgraded_;
  Graph graph_;
  Plan plan_;
  ValidationReport report_;
};

namespace {

constexpr Loading::StageRow kBeforeFetch[] = {{3, &Loading::CheckReferenceVersion}, {4, &Loading::CheckExpiry}};
constexpr Loading::StageRow kOverBytes[] = {
    {5, &Loading::CheckStoredSize}, {6, &Loading::Decompress},         {7, &Loading::CheckDigest},
    {8, &Loading::CheckSize},       {9, &Loading::ParseStructure},     {10, &Loading::CheckBodyVersion},
    {11, &Loading::CheckIdentity},  {12, &Loading::CheckGraph},        {13, &Loading::CheckStepSchemas},
    {14, &Loading::CheckTarget},    {15, &Loading::CheckCapabilities}, {16, &Loading::CheckPolicies}};
// Without a reference there is nothing to compare with, and without a run no adapter and no queues.
constexpr Loading::StageRow kOverDocument[] = {{5, &Loading::CheckStoredSize},
                                               {9, &Loading::ParseStructure},
                                               {12, &Loading::CheckGraph},
                                               {13, &Loading::CheckStepSchemas},
                                               {16, &Loading::CheckPolicies}};

}  // namespace

Result<VerifiedPlan> Verify(const PlanRef& ref, std::string bytes, const VerifyContext& context) {
  LOCKSTEP_CHECK(context.last_stage >= 13, "a plan exists from stage 13 on");
  Loading loading(context);
  loading.SetReference(ref);
  loading.SetBytes(std::move(bytes));
  LOCKSTEP_TRY(loading.Run(kOverBytes));
  return std::move(loading).TakeVerified(ref);
}

Result<VerifiedPlan> Admit(const Json& ref_json, const VerifyContext& context, const AdmitEnvironment& environment) {
  LOCKSTEP_CHECK(environment.fetcher != nullptr, "Admit needs a fetcher");
  LOCKSTEP_CHECK(context.last_stage >= 13, "a plan exists from stage 13 on");
  LOCKSTEP_ASSIGN(const PlanRef ref, ParsePlanRef(ref_json));                // 1
  if (auto allowed = CheckUri(environment.uri_policy, ref.uri); !allowed) {  // 2
    return Fail(std::move(allowed)
                    .error()
                    .With("planUri", ref.uri)
                    .With("planId", ref.plan_id)
                    .With("planVersion", ref.plan_version));
  }
  Loading loading(context);
  loading.SetReference(ref);
  LOCKSTEP_TRY(loading.Run(kBeforeFetch));
  std::optional<std::string> cached;
  if (environment.cache != nullptr) cached = environment.cache->Get(context.scope.tenant_id, ref.sha256);
  const bool hit = cached.has_value();
  if (hit) {
    loading.SetCachedBytes(std::move(*cached));
  } else {
    FetchLimits limits = environment.fetch_limits;
    limits.max_bytes = std::min(limits.max_bytes, context.max_plan_bytes);
    auto bytes = environment.fetcher->Fetch(ref, limits);  // 5
    if (!bytes) {
      return Fail(std::move(bytes)
                      .error()
                      .With("planUri", ref.uri)
                      .With("planId", ref.plan_id)
                      .With("planVersion", ref.plan_version));
    }
    loading.SetBytes(std::move(*bytes));
  }
  LOCKSTEP_TRY(loading.Run(kOverBytes));
  if (!hit && environment.cache != nullptr)
    environment.cache->Put(context.scope.tenant_id, ref.sha256, loading.bytes());
  return std::move(loading).TakeVerified(ref);
}

Result<ParsedPlan> ParsePlanDocument(std::string_view bytes, bool allow_test_kinds) {
  VerifyContext context;
  context.allow_test_kinds = allow_test_kinds;
  Loading loading(context);
  loading.SetBytes(std::string(bytes));
  LOCKSTEP_TRY(loading.Run(kOverDocument));
  return std::move(loading).TakeParsed();
}

Result<PlanRef> PinPlan(std::string_view bytes, bool allow_test_kinds) {
  LOCKSTEP_ASSIGN(const ParsedPlan parsed, ParsePlanDocument(bytes, allow_test_kinds));
  PlanRef ref;
  ref.sha256 = Sha256Hex(bytes);
  ref.uri = "plan:" + ref.sha256;
  ref.schema_version = parsed.schema_version;
  ref.plan_id = parsed.plan.table.plan_id;
  ref.plan_version = parsed.plan.table.plan_version;
  ref.size_bytes = static_cast<int64_t>(bytes.size());
  return ref;
}

}  // namespace lockstep::plan
