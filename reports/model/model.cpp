#include "reports/model/model.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <tuple>

#include "engine-core/base/files.h"
#include "engine-core/base/json.h"

namespace lockstep::reports {
namespace {

namespace pbutil = google::protobuf::util;

// A step's input may be long; results of replays quote it.
constexpr JsonLimits kLimits{.max_depth = 48, .max_string_bytes = 64 << 20};

Error Invalid(const std::string& file, const std::string& expected, const std::string& found) {
  return Error("RESULT_INVALID", file + ": expected " + expected + ", found " + found);
}

// `broken` of lockstep-tidy are problems of the model.
void AdoptTidy(Json* document) {
  document->Set("tool", "lint");
  for (const char* list : {"findings", "suppressed"}) {
    Json* findings = document->Find(list);
    if (findings == nullptr || !findings->is_array()) continue;
    for (Json& finding : findings->AsArray()) {
      if (Json* sink = finding.Find("sink"); sink != nullptr && sink->is_object()) sink->Set("function", sink->GetString("what"));
    }
  }
  const Json* broken = document->Find("broken");
  if (broken == nullptr || !broken->is_array()) return;
  Json problems = Json::MakeArray();
  for (const Json& entry : broken->AsArray()) {
    problems.Push(Json::MakeObject({{"file", entry.GetString("file")},
                                    {"code", "DOES_NOT_COMPILE"},
                                    {"message", entry.GetString("message")},
                                    {"fatal", false}}));
  }
  document->Set("problems", std::move(problems));
}

// `lockstep trace` tells about one history, with the causes beside the divergences.
void AdoptTrace(Json* document) {
  Json history = Json::MakeObject({{"kind", "history"}});
  for (const char* name :
       {"path", "workflowType", "workflowId", "runId", "events", "workflowTasks", "divergences", "error"}) {
    if (const Json* value = document->Find(name); value != nullptr && !value->is_null()) history.Set(name, *value);
  }
  std::string verdict = document->GetString("verdict");
  if (verdict == "NO_CODE") {
    verdict = "UNREADABLE";
    history.Set("error", Json::MakeObject({{"code", "WORKFLOW_UNKNOWN"},
                                           {"message", document->GetString("path") + ": expected a workflow that this build has, found " +
                                                           document->GetString("workflowType")}}));
  }
  history.Set("verdict",
              verdict == "IDENTICAL" || verdict == "UNREADABLE" || verdict == "DRIFT" ? verdict : "DIVERGED");
  Json list = Json::MakeArray();
  const Json* first = document->Find("first");
  if (first != nullptr && first->is_object()) {
    Json leading = *first;
    if (const std::string cause = TopCause(*document); !cause.empty()) leading.Set("cause", cause);
    if (leading.Find("grade") != nullptr) history.Set("grade", *leading.Find("grade"));
    list.Push(std::move(leading));
    if (const Json* all = document->Find("divergences"); all != nullptr && all->is_array()) {
      for (const Json& other : all->AsArray()) {
        if (!(other == *first)) list.Push(other);
      }
    }
  }
  history.Set("divergences", std::move(list));
  if (const Json* command = document->At("/reproduce/0"); command != nullptr && command->is_string())
    history.Set("reproduce", *command);
  for (const char* name : {"divergences", "events", "workflowTasks", "path", "error", "workflowType", "workflowId", "runId"})
    document->AsObject().erase(name);
  document->Set("tool", "trace");
  document->Set("histories", Json(Json::Array{std::move(history)}));
}

// `lockstep simulate` tells about many runs: one row for those that held, one for each that did not.
void AdoptSimulation(Json* document) {
  Json histories = Json::MakeArray();
  const Json* failures = document->Find("failures");
  if (failures != nullptr && failures->is_array()) {
    for (const Json& failure : failures->AsArray()) {
      const Json* plan = failure.Find("plan");
      Json divergence = Json::MakeObject({{"kind", failure.GetString("invariant")},
                                          {"grade", "command-changing"},
                                          {"actual", failure.GetString("message")},
                                          {"summary", failure.GetString("message")}});
      histories.Push(Json::MakeObject(
          {{"path", "seed " + std::to_string(failure.GetInt("seed")) +
                        (plan != nullptr && plan->is_string() ? " of " + plan->AsString() : std::string())},
           {"kind", "simulation"},
           {"verdict", "DIVERGED"},
           {"grade", "command-changing"},
           {"reproduce", failure.GetString("command")},
           {"divergences", Json(Json::Array{std::move(divergence)})}}));
    }
  }
  const int64_t held = document->GetInt("runs") - static_cast<int64_t>(histories.AsArray().size());
  if (held > 0) {
    histories.Push(
        Json::MakeObject({{"path", std::to_string(held) + (held == 1 ? " simulated run" : " simulated runs")},
                          {"kind", "simulation"},
                          {"verdict", "IDENTICAL"},
                          {"events", document->GetInt("historyEvents")},
                          {"workflowTasks", document->GetInt("workflowTasks")},
                          {"executions", document->GetInt("executions")}}));
  }
  document->Set("tool", "simulate");
  document->Set("histories", std::move(histories));
  for (const char* name : {"runs", "workflowTasks", "executions", "decisions", "statuses", "verdict"})
    document->AsObject().erase(name);
}

bool IsResult(const Json& document) {
  return document.is_object() && (document.Find("findings") != nullptr || document.Find("histories") != nullptr ||
                                  document.Find("problems") != nullptr);
}

}  // namespace

std::string TopCause(const Json& trace) {
  const Json* cause = trace.At("/causes/0");
  if (cause == nullptr || !cause->is_object()) return {};
  std::string text = cause->GetString("cause");
  if (const std::string meaning = cause->GetString("meaning"); !meaning.empty()) text += ": " + meaning;
  if (const Json* evidence = cause->At("/evidence/0"); evidence != nullptr && evidence->is_string()) text += " (" + evidence->AsString() + ")";
  return text;
}

void JoinTraces(std::vector<v1::Result>* results) {
  for (v1::Result& trace : *results) {
    if (trace.tool() != "trace") continue;
    auto* rows = trace.mutable_histories();
    for (int i = rows->size() - 1; i >= 0; --i) {
      v1::History* known = nullptr;
      for (v1::Result& other : *results) {
        if (other.tool() == "trace") continue;
        for (auto& history : *other.mutable_histories()) {
          if (history.path() == rows->Get(i).path() && history.divergences_size() > 0) known = &history;
        }
      }
      if (known == nullptr) continue;
      if (rows->Get(i).divergences_size() > 0 && known->divergences(0).cause().empty())
        known->mutable_divergences(0)->set_cause(rows->Get(i).divergences(0).cause());
      if (known->reproduce().empty()) known->set_reproduce(rows->Get(i).reproduce());
      rows->DeleteSubrange(i, 1);
    }
    if (rows->empty()) trace.clear_totals();
  }
  std::erase_if(*results, [](const v1::Result& one) {
    return one.tool() == "trace" && one.histories().empty() && one.problems().empty();
  });
}

Result<v1::Result> ParseResult(std::string_view json, const std::string& file) {
  auto document = ParseJson(json, kLimits);
  if (!document) return Fail(Error("RESULT_INVALID", file + ": " + document.error().message));
  const Json* format = document->Find("format");
  const std::string known = "a result of lockstep lint, replay, simulate or trace";
  if (!document->is_object() || format == nullptr)
    return Fail(
        Invalid(file, known, document->is_object() ? "an object without `format`" : std::string(document->KindName())));
  if (format->is_int() && document->GetString("tool") == "lockstep-tidy") {
    AdoptTidy(&*document);
  } else if (format->is_string() && format->AsString() == "lockstep.divergence/1") {
    AdoptTrace(&*document);
  } else if (format->is_string() &&
             (format->AsString() == "lockstep-simulation/1" || format->AsString() == "lockstep.simulation/1")) {
    AdoptSimulation(&*document);
  } else if (!format->is_string() || !format->AsString().starts_with("lockstep.")) {
    return Fail(Invalid(file, known, "format " + CanonicalJson(*format)));
  } else if (!format->AsString().ends_with("/1")) {
    return Fail(Invalid(file, "format " + std::string(kResultFormat),
                        "format " + format->AsString() + " (written by a newer version?)"));
  } else if (document->Find("tool") == nullptr) {
    const std::string name = format->AsString().substr(9, format->AsString().size() - 11);
    document->Set("tool", name == "result" ? "" : name);
  }
  if (!IsResult(*document)) return Fail(Invalid(file, known, "neither findings nor histories"));
  document->Set("format", kResultFormat);
  // Named differently by the tools; it follows from the contents.
  document->AsObject().erase("verdict");
  v1::Result result;
  pbutil::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto status = pbutil::JsonStringToMessage(CanonicalJson(*document), &result, options);
  if (!status.ok()) return Fail(Error("RESULT_INVALID", file + ": " + std::string(status.message())));
  Normalize(&result);
  return result;
}

Result<v1::Result> ReadResult(const std::string& file) {
  LOCKSTEP_ASSIGN(const std::string text, ReadFile(file, 512 << 20));
  return ParseResult(text, file == "-" ? "standard input" : file);
}

namespace {

Json AsJson(const v1::Result& result) {
  std::string text;
  pbutil::JsonPrintOptions options;
  const auto status = pbutil::MessageToJsonString(result, &text, options);
  auto json = status.ok() ? ParseJson(text, kLimits) : Result<Json>(Json::MakeObject());
  Json document = json ? std::move(*json) : Json::MakeObject();
  // Empty lists are left out by protobuf; readers of results like them there.
  if (result.tool() == "lint" && document.Find("findings") == nullptr) document.Set("findings", Json::MakeArray());
  if (result.tool() != "lint" && document.Find("histories") == nullptr) document.Set("histories", Json::MakeArray());
  return document;
}

}  // namespace

std::string ToJson(const v1::Result& result) { return PrettyJson(AsJson(result)); }

std::string ToJson(const std::vector<v1::Result>& results) {
  if (results.size() == 1) return ToJson(results.front());
  Json list = Json::MakeArray();
  for (const auto& result : results) list.Push(AsJson(result));
  return PrettyJson(Json::MakeObject(
      {{"format", "lockstep.report/1"}, {"verdict", OverallVerdict(results)}, {"results", std::move(list)}}));
}

void Normalize(v1::Result* result) {
  result->set_format(std::string(kResultFormat));
  if (result->tool().empty()) result->set_tool(result->histories_size() > 0 ? "replay" : "lint");
  bool failed = false, warned = false, incomplete = false;
  if (result->findings_size() > 0 || result->tool() == "lint") {
    int counts[3] = {0, 0, 0};
    for (const auto& finding : result->findings())
      ++counts[finding.severity() == "error" ? 0 : finding.severity() == "warning" ? 1 : 2];
    result->mutable_summary()->set_errors(counts[0]);
    result->mutable_summary()->set_warnings(counts[1]);
    result->mutable_summary()->set_notes(counts[2]);
    failed |= counts[0] > 0;
    warned |= counts[1] > 0;
  }
  for (const auto& problem : result->problems()) (problem.fatal() ? incomplete : warned) = true;
  if (result->histories_size() > 0) {
    auto* totals = result->mutable_totals();
    totals->Clear();
    totals->set_histories(result->histories_size());
    for (const auto& history : result->histories()) {
      if (history.verdict() == "IDENTICAL")
        totals->set_identical(totals->identical() + 1);
      else if (history.verdict() == "DRIFT")
        totals->set_drift(totals->drift() + 1);
      else if (history.verdict() == "UNREADABLE")
        totals->set_unreadable(totals->unreadable() + 1);
      else
        totals->set_diverged(totals->diverged() + 1);
    }
    for (const auto& row : result->perturbations()) failed |= !row.identical();
    failed |= totals->diverged() > 0 || (result->strict() && totals->drift() > 0);
    warned |= totals->drift() > 0;
    incomplete |= totals->unreadable() > 0;
  } else if (result->tool() != "lint" && result->findings_size() == 0) {
    incomplete = true;  // a replay of nothing proves nothing
  }
  result->set_verdict(std::string(failed       ? kFailed
                                  : incomplete ? kIncomplete
                                  : warned     ? kPassedWithWarnings
                                               : kPassed));
}

std::string_view OverallVerdict(const std::vector<v1::Result>& results) {
  if (results.empty()) return kIncomplete;
  for (const std::string_view verdict : {kFailed, kIncomplete, kPassedWithWarnings}) {
    if (std::any_of(results.begin(), results.end(),
                    [&](const v1::Result& result) { return result.verdict() == verdict; }))
      return verdict;
  }
  return kPassed;
}

int ExitCodeFor(std::string_view verdict) { return verdict == kFailed ? 1 : verdict == kIncomplete ? 3 : 0; }

void SortFindings(v1::Result* result) {
  const auto key = [](const v1::Finding& f) { return std::tie(f.file(), f.id(), f.root(), f.pointer(), f.what()); };
  std::sort(result->mutable_findings()->begin(), result->mutable_findings()->end(),
            [&](const v1::Finding& a, const v1::Finding& b) {
              const auto place = [](const v1::Finding& f) {
                return std::make_tuple(std::string_view(f.file()), f.line(), f.column());
              };
              return std::make_tuple(place(a), key(a)) < std::make_tuple(place(b), key(b));
            });
}

}  // namespace lockstep::reports
