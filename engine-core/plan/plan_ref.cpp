// Shape check and conversion of references. The pattern work is done by the embedded schema; what it cannot say
// follows.
#include "engine-core/plan/plan_ref.h"

#include "engine-core/contracts/json_schema.h"
#include "engine-core/plan/issues.h"

namespace lockstep::plan {
namespace {

constexpr std::string_view kPlanScheme = "plan:";

std::vector<Issue> ShapeIssues(const Json& json) {
  std::vector<Issue> issues;
  const auto& schema = contracts::JsonSchema::Embedded("schemas/plan-ref.schema.json");
  for (const auto& violation : schema.Check(json)) {
    issues.push_back({PathFromPointer(violation.pointer), violation.keyword, violation.message});
  }
  if (!issues.empty()) return issues;
  const std::string uri = json.GetString("uri");
  if (uri.size() > kMaxUriBytes) {
    issues.push_back({"uri", "maxLength", "expected at most 2048 bytes, found " + std::to_string(uri.size())});
  }
  if (const Json* expires = json.Find("expiresAt"); expires != nullptr && !ParseUtcMillis(expires->AsString())) {
    issues.push_back(
        {"expiresAt", "pattern", "expected a time YYYY-MM-DDThh:mm:ss.mmmZ, found \"" + expires->AsString() + "\""});
  }
  // A content-addressed URI repeats the digest; two different ones would only surface as a false integrity alarm.
  if (uri.starts_with(kPlanScheme) && uri.substr(kPlanScheme.size()) != json.GetString("sha256")) {
    issues.push_back({"uri", "digest",
                      "expected plan:" + json.GetString("sha256") + " to agree with `sha256`, found \"" + uri + "\""});
  }
  return issues;
}

}  // namespace

Result<PlanRef> ParsePlanRef(const Json& json) {
  constexpr std::string_view kWhat = "malformed plan reference";
  if (const size_t size = CanonicalJson(json).size(); size > kMaxPlanRefBytes) {
    const std::string found = "expected at most 8192 bytes, found " + std::to_string(size);
    return Fail(IssueError("PLAN_REF_INVALID", kWhat, {{"$", "maxLength", found}}));
  }
  if (auto issues = ShapeIssues(json); !issues.empty())
    return Fail(IssueError("PLAN_REF_INVALID", kWhat, std::move(issues)));
  PlanRef ref;
  ref.uri = json.GetString("uri");
  ref.sha256 = json.GetString("sha256");
  ref.schema_version = json.GetString("schemaVersion");
  ref.plan_id = json.GetString("planId");
  ref.plan_version = json.GetString("planVersion");
  if (const Json* size = json.Find("sizeBytes"); size != nullptr) ref.size_bytes = size->AsInt();
  if (const Json* expires = json.Find("expiresAt"); expires != nullptr)
    ref.expires_at = ParseUtcMillis(expires->AsString());
  if (json.GetString("compression") == "gzip") ref.compression = Compression::kGzip;
  return ref;
}

Result<PlanRef> ParsePlanRefText(std::string_view text) {
  if (text.size() > 2 * kMaxPlanRefBytes) {
    return Fail("PLAN_REF_INVALID",
                "malformed plan reference: expected at most 8192 bytes, found " + std::to_string(text.size()));
  }
  const auto json = ParseJson(text);
  if (!json) return Fail("PLAN_REF_INVALID", "malformed plan reference: " + json.error().message);
  return ParsePlanRef(*json);
}

Json ToJson(const PlanRef& ref) {
  Json out = Json::MakeObject({{"uri", ref.uri},
                               {"sha256", ref.sha256},
                               {"schemaVersion", ref.schema_version},
                               {"planId", ref.plan_id},
                               {"planVersion", ref.plan_version}});
  if (ref.size_bytes) out.Set("sizeBytes", *ref.size_bytes);
  if (ref.expires_at) out.Set("expiresAt", FormatUtcMillis(*ref.expires_at));
  if (ref.compression == Compression::kGzip) out.Set("compression", "gzip");
  return out;
}

Status CheckVersionConflict(const std::optional<std::string>& known_sha256, const PlanRef& ref) {
  if (!known_sha256 || *known_sha256 == ref.sha256) return {};
  return Fail(Error("PLAN_VERSION_CONFLICT", "plan " + ref.plan_id + " version " + ref.plan_version +
                                                 " is known with digest " + *known_sha256 + ", found " + ref.sha256)
                  .With("knownSha256", *known_sha256)
                  .With("sha256", ref.sha256)
                  .With("planId", ref.plan_id)
                  .With("planVersion", ref.plan_version));
}

}  // namespace lockstep::plan
