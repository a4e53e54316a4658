// SARIF 2.1.0 as GitHub's code scanning takes it: one run, rules of the registry that are used, code flows from root to
// site, fingerprints, fixes, and each divergence as a result at the line that issued the command. What exceeds GitHub's
// limits is cut from the end (notes before warnings before errors) and a notification says so.
#include <algorithm>
#include <map>

#include "engine-core/base/bytes.h"
#include "engine-core/base/json.h"
#include "engine-core/base/sha256.h"
#include "reports/render/tables.h"

namespace lockstep::reports {
namespace {

std::string Uri(const std::string& path) {
  std::string uri;
  for (const char c : path) {
    constexpr char kHex[] = "0123456789ABCDEF";
    const bool plain = IsAsciiAlnum(c) || c == '/' || c == '.' || c == '-' || c == '_' || c == '~' || c == '+';
    if (plain)
      uri += c;
    else
      uri += {'%', kHex[static_cast<unsigned char>(c) >> 4], kHex[static_cast<unsigned char>(c) & 15]};
  }
  return path.starts_with("/") ? "file://" + uri : uri;
}

Json Text(const std::string& text) { return Json::MakeObject({{"text", text}}); }

Json PhysicalLocation(const std::string& file, int line, int column, const RenderOptions& options) {
  const std::string shown = Shown(file, options);
  Json artifact = Json::MakeObject({{"uri", Uri(shown)}});
  if (!shown.starts_with("/")) artifact.Set("uriBaseId", "SRCROOT");
  Json physical = Json::MakeObject({{"artifactLocation", std::move(artifact)}});
  if (line > 0) {
    Json region = Json::MakeObject({{"startLine", line}});
    if (column > 0) region.Set("startColumn", column);
    physical.Set("region", std::move(region));
  }
  return physical;
}

Json LocationOf(const std::string& file, int line, int column, const RenderOptions& options,
                const std::string& message = {}) {
  Json location = Json::MakeObject({{"physicalLocation", PhysicalLocation(file, line, column, options)}});
  if (!message.empty()) location.Set("message", Text(message));
  return location;
}

// Rules by id, in order of first use.
class Rules {
 public:
  int64_t IndexOf(const std::string& id, const std::string& title = {}, const std::string& text = {}) {
    const auto [it, fresh] = index_.emplace(id, static_cast<int64_t>(list_.AsArray().size()));
    if (fresh) list_.Push(Describe(id, title, text));
    return it->second;
  }
  Json Take() { return std::move(list_); }

 private:
  static Json Describe(const std::string& id, const std::string& title, const std::string& text) {
    const RuleFacts facts = FactsOf(id);
    const std::string short_text = facts.title.empty() ? (title.empty() ? id : title) : facts.title;
    Json rule = Json::MakeObject({{"id", id},
                                  {"shortDescription", Text(short_text)},
                                  {"fullDescription", Text(facts.why.empty() ? (text.empty() ? short_text : text)
                                                                             : facts.title + ": " + facts.why + ".")}});
    if (!facts.number.empty()) rule.Set("name", facts.number);
    Json help =
        Text(facts.replacement.empty() ? (text.empty() ? short_text : text) : "Use instead: " + facts.replacement);
    if (!facts.page.empty()) help.Set("markdown", facts.page);
    rule.Set("help", std::move(help));
    if (!facts.severity.empty()) rule.Set("defaultConfiguration", Json::MakeObject({{"level", facts.severity}}));
    return rule.Set("properties",
                    Json::MakeObject({{"tags", Json(Json::Array{Json("determinism")})}, {"precision", "high"}}));
  }

  Json list_ = Json::MakeArray();
  std::map<std::string, int64_t> index_;
};

Json FixesOf(const v1::Finding& f, const RenderOptions& options) {
  std::map<std::string, Json> by_file;
  for (const auto& edit : f.fixes()) {
    by_file.emplace(Shown(edit.file(), options), Json::MakeArray())
        .first->second.Push(Json::MakeObject(
            {{"deletedRegion", Json::MakeObject({{"byteOffset", edit.offset()}, {"byteLength", edit.length()}})},
             {"insertedContent", Text(edit.text())}}));
  }
  Json changes = Json::MakeArray();
  for (auto& [file, replacements] : by_file)
    changes.Push(Json::MakeObject(
        {{"artifactLocation", Json::MakeObject({{"uri", Uri(file)}})}, {"replacements", std::move(replacements)}}));
  return Json(Json::Array{
      Json::MakeObject({{"description", Text("Use " + f.replacement())}, {"artifactChanges", std::move(changes)}})});
}

Json FindingResult(const v1::Finding& f, bool suppressed, Rules* rules, const RenderOptions& options) {
  Json location = LocationOf(f.file(), std::max(1, f.line()), std::max(1, f.column()), options);
  if (!f.pointer().empty()) {
    location.Set("logicalLocations",
                 Json(Json::Array{Json::MakeObject({{"fullyQualifiedName", f.pointer()}, {"kind", "member"}})}));
  } else if (!f.function().empty()) {
    location.Set("logicalLocations",
                 Json(Json::Array{Json::MakeObject({{"fullyQualifiedName", f.function()}, {"kind", "function"}})}));
  }
  Json entry = Json::MakeObject({{"ruleId", f.id()},
                                 {"ruleIndex", rules->IndexOf(f.id())},
                                 {"level", f.severity().empty() ? std::string("warning") : f.severity()},
                                 {"message", Text(f.message())},
                                 {"locations", Json(Json::Array{std::move(location)})}});
  if (f.chain_size() > 0) {
    Json steps = Json::MakeArray();
    const int shown = std::min<int>(f.chain_size(), static_cast<int>(kMaxSarifLocations));
    for (int i = 0; i < shown; ++i) {
      const bool last = i + 1 == f.chain_size();
      const std::string text = last ? (f.what().empty() ? f.message() : f.what())
                                    : f.chain(i).function() + " calls " + f.chain(i + 1).function();
      steps.Push(Json::MakeObject({{"location", LocationOf(f.chain(i).file(), std::max(1, f.chain(i).line()),
                                                           std::max(1, f.chain(i).column()), options, text)}}));
    }
    entry.Set("codeFlows",
              Json(Json::Array{Json::MakeObject(
                  {{"threadFlows", Json(Json::Array{Json::MakeObject({{"locations", std::move(steps)}})})}})}));
  }
  if (!f.fingerprint().empty()) entry.Set("partialFingerprints", Json::MakeObject({{"lockstep/v1", f.fingerprint()}}));
  Json properties = Json::MakeObject();
  const std::pair<const char*, const std::string*> facts[] = {{"verdict", &f.verdict()}, {"root", &f.root()},
                                                              {"scope", &f.scope()},     {"pointer", &f.pointer()},
                                                              {"stepId", &f.step_id()},  {"planId", &f.plan_id()}};
  for (const auto& [name, value] : facts) {
    if (!value->empty()) properties.Set(name, *value);
  }
  entry.Set("properties", std::move(properties));
  if (f.fixes_size() > 0) entry.Set("fixes", FixesOf(f, options));
  if (suppressed) {
    Json suppression = Json::MakeObject({{"kind", "inSource"}});
    const std::string words = SuppressionWords({&f, false, false, 0});
    if (!words.empty()) suppression.Set("justification", words);
    entry.Set("suppressions", Json(Json::Array{std::move(suppression)}));
  }
  return entry;
}

Json DivergenceResult(const v1::History& h, const v1::Divergence& d, bool strict, Rules* rules,
                      const RenderOptions& options) {
  const std::string id = "replay-" + (d.grade().empty() ? std::string("divergence") : d.grade());
  const bool drift = d.grade() == "drift" && !strict;
  std::string text = h.path() + ": " + d.grade() + " " + d.kind() + WhereInRun(d) +
                     (StepOf(d).empty() ? "" : ", step " + StepOf(d));
  if (!d.command().empty()) text += ", command " + d.command();
  if (!d.field().empty()) text += ", field " + d.field();
  text += ": expected " + Clip(d.expected().empty() ? "nothing" : d.expected(), 500) + ", found " +
          Clip(d.actual().empty() ? "nothing" : d.actual(), 500) + ". " +
          (d.has_recorded_source() ? "Recorded at " + At(d.recorded_source().file(), d.recorded_source().line(), 0, options) + ". "
                                   : std::string()) +
          (d.cause().empty() ? std::string() : "Cause: " + d.cause() + ". ") + RemedyFor(d) +
          " Reproduce: " + ReproduceCommand(h);
  const bool own = d.has_source() && !Shown(d.source().file(), options).starts_with("/");
  Json location = own ? LocationOf(d.source().file(), std::max(1, d.source().line()), 0, options)
                      : LocationOf(h.path(), 1, 0, options);
  Json entry = Json::MakeObject(
      {{"ruleId", id},
       {"ruleIndex",
        rules->IndexOf(id, "Replay: " + d.grade(),
                       "A recorded history replays differently: " + std::string(GradeMeaning(d.grade())) + ".")},
       {"level", drift ? "warning" : "error"},
       {"message", Text(text)},
       {"locations", Json(Json::Array{std::move(location)})},
       {"partialFingerprints", Json::MakeObject({{"lockstep/v1", Sha256Hex(id + "\n" + h.path() + "\n" + d.kind() +
                                                                           "\n" + d.command() + "\n" + d.field())
                                                                     .substr(0, 32)}})}});
  if (d.has_recorded_source() && !d.recorded_source().file().empty() &&
      !Shown(d.recorded_source().file(), options).starts_with("/")) {
    Json related = LocationOf(d.recorded_source().file(), std::max(1, d.recorded_source().line()), 0, options,
                              "issued here when the history was recorded");
    entry.Set("relatedLocations", Json(Json::Array{std::move(related.Set("id", 1))}));
  }
  return entry.Set(
      "properties",
      Json::MakeObject(
          {{"history", h.path()}, {"grade", d.grade()}, {"eventId", d.event_id()}, {"stepId", StepOf(d)}}));
}

// What belongs to no result.
Json FactProperties(const std::vector<v1::Result>& results, const RenderOptions& options) {
  Json facts = Json::MakeArray();
  for (const std::string& line : FactLines(results, options)) facts.Push(line);
  return Json::MakeObject(
      {{"verdict", OverallVerdict(results)}, {"summary", Summary(results)}, {"facts", std::move(facts)}});
}

int LevelRank(const Json& result) {
  const std::string level = result.GetString("level");
  return level == "error" ? 0 : level == "warning" ? 1 : 2;
}

}  // namespace

std::string RenderSarif(const std::vector<v1::Result>& results, const RenderOptions& options) {
  Rules rules;
  std::vector<Json> all;
  Json notifications = Json::MakeArray();
  bool complete = true;
  const auto notify = [&](const char* level, const std::string& text) {
    notifications.Push(Json::MakeObject({{"level", level}, {"message", Text(text)}}));
  };
  for (const v1::Result& result : results) {
    for (const auto& h : result.histories()) {
      for (const auto& d : h.divergences()) all.push_back(DivergenceResult(h, d, result.strict(), &rules, options));
      if (h.has_error()) notify("error", h.error().code() + ": " + h.error().message());
      complete &= !h.has_error();
    }
    for (const auto& f : result.findings()) all.push_back(FindingResult(f, false, &rules, options));
    for (const auto& f : result.suppressed()) all.push_back(FindingResult(f, true, &rules, options));
    for (const auto& problem : result.problems()) notify(problem.fatal() ? "error" : "warning", problem.message());
    for (const auto& problem : result.problems()) complete &= !problem.fatal();
  }
  if (all.size() > kShownSarifResults) {
    std::stable_sort(all.begin(), all.end(), [](const Json& a, const Json& b) { return LevelRank(a) < LevelRank(b); });
    notify("warning", std::to_string(all.size()) + " results; code scanning shows the first " +
                          std::to_string(kShownSarifResults) + ", errors first");
  }
  if (all.size() > kMaxSarifResults) {
    notify("warning", "cut: " + std::to_string(all.size() - kMaxSarifResults) + " of " + std::to_string(all.size()) +
                          " results left out, since code scanning takes " + std::to_string(kMaxSarifResults));
    all.resize(kMaxSarifResults);
  }
  Json driver = Json::MakeObject({{"name", "lockstep"}, {"rules", rules.Take()}});
  if (!options.tool_version.empty()) driver.Set("semanticVersion", options.tool_version);
  Json run = Json::MakeObject(
      {{"tool", Json::MakeObject({{"driver", std::move(driver)}})},
       {"invocations", Json(Json::Array{Json::MakeObject({{"executionSuccessful", complete},
                                                          {"toolExecutionNotifications", std::move(notifications)}})})},
       {"columnKind", "utf16CodeUnits"},
       {"properties", FactProperties(results, options)},
       {"results", Json(Json::Array(std::make_move_iterator(all.begin()), std::make_move_iterator(all.end())))}});
  if (!options.base.empty())
    run.Set("originalUriBaseIds",
            Json::MakeObject({{"SRCROOT", Json::MakeObject({{"uri", Uri(options.base) + "/"}})}}));
  if (!options.commit.empty() && !options.repository.empty()) {
    run.Set(
        "versionControlProvenance",
        Json(Json::Array{Json::MakeObject({{"repositoryUri", options.repository}, {"revisionId", options.commit}})}));
  }
  return PrettyJson(Json::MakeObject({{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
                                      {"version", "2.1.0"},
                                      {"runs", Json(Json::Array{std::move(run)})}}));
}

}  // namespace lockstep::reports
