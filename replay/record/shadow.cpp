#include "replay/record/shadow.h"

#include <google/protobuf/message.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "engine-core/base/bytes.h"
#include "engine-core/base/files.h"
#include "engine-core/base/sha256.h"
#include "engine-core/providers/temporal/client.h"
#include "replay/history/writer.h"
#include "replay/record/coverage.h"
#include "replay/session/input.h"

namespace lockstep::replay {
namespace {

namespace fs = std::filesystem;
using temporal::api::history::v1::History;

constexpr int32_t kPage = 500;
constexpr size_t kRound = 64;  // fetched, replayed and noted before the next

// The same execution is drawn or not, whatever else is listed.
bool Drawn(const std::string& run_id, double sample, uint64_t seed) {
  if (sample >= 1) return true;
  const std::string digest = Sha256Hex(std::to_string(seed) + "|" + run_id);
  const uint64_t number = std::stoull(digest.substr(0, 13), nullptr, 16);  // 52 bits
  return static_cast<double>(number) < sample * static_cast<double>(uint64_t{1} << 52);
}

// A name for a file, from ids that may hold anything.
std::string FileName(const provider::WorkflowSummary& workflow) {
  std::string name;
  for (const char c : workflow.workflow_id.substr(0, 80)) name += IsAsciiAlnum(c) || c == '-' || c == '_' ? c : '_';
  return name + "." + Sha256Hex(workflow.workflow_id + "/" + workflow.run_id).substr(0, 12) + ".json.zst";
}

std::string NameOf(const provider::WorkflowSummary& workflow) {
  return PrintableUtf8(workflow.workflow_id) + "/" + PrintableUtf8(workflow.run_id);
}

struct Fetched {
  provider::WorkflowSummary workflow;
  std::unique_ptr<History> history;  // null: gone
  std::optional<Error> error;        // the server's trouble, not the execution's
};

class Shadower {
 public:
  explicit Shadower(const ShadowOptions& options)
      : options_(options), client_(options.connection), started_(std::chrono::steady_clock::now()) {}

  Result<ShadowReport> Run() {
    LOCKSTEP_TRY(client_.Connect());
    LOCKSTEP_TRY(ReadState());
    LOCKSTEP_TRY(ReadCorpus());
    LOCKSTEP_ASSIGN(auto chosen, Choose());
    while (!chosen.empty() && report_.stopped_by.empty()) {
      const size_t left = static_cast<size_t>(options_.limit) - report_.result.reports.size();
      const size_t count = std::min({chosen.size(), kRound, left});
      std::vector<provider::WorkflowSummary> round(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(count));
      chosen.erase(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(count));
      LOCKSTEP_TRY(DoRound(round));
      CheckExit();
    }
    report_.transitions = static_cast<int64_t>(exercised_.size());
    report_.corpus_transitions = static_cast<int64_t>(corpus_.size());
    return std::move(report_);
  }

 private:
  bool Interrupted() const { return options_.interrupt != nullptr && options_.interrupt->load(); }

  void CheckExit() {
    if (options_.stop_after_divergences > 0 &&
        static_cast<int64_t>(report_.result.Count(Verdict::kDiverged)) >= options_.stop_after_divergences)
      report_.stopped_by = "divergences";
    const auto spent =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_).count();
    if (options_.max_seconds > 0 && spent >= options_.max_seconds) report_.stopped_by = "time";
    if (static_cast<int64_t>(report_.result.reports.size()) >= options_.limit) report_.stopped_by = "limit";
    // Code that never yields has kept a thread: more of it would keep them all.
    if (report_.result.abandoned_threads) report_.stopped_by = "code that never yields";
  }

  // --- what is known
  Status ReadState() {
    if (options_.state.empty()) return {};
    const auto text = ReadFile(options_.state);
    if (!text && text.error().code == "FILE_NOT_FOUND") return {};
    if (!text) return Fail(text.error());
    const auto json = ParseJson(*text, {.max_string_bytes = size_t{1} << 20});
    const Json* seen = json ? json->Find("seen") : nullptr;
    if (seen == nullptr || !seen->is_object() || json->GetString("format") != "lockstep.shadow/1") {
      return Fail("SHADOW_STATE_INVALID",
                  options_.state.string() + ": expected the state of an earlier run, found something else");
    }
    for (const auto& [run_id, length] : seen->AsObject()) seen_[run_id] = length.is_int() ? length.AsInt() : 0;
    return {};
  }

  Status WriteState() const {
    if (options_.state.empty()) return {};
    Json seen = Json::MakeObject();
    for (const auto& [run_id, length] : seen_) seen.Set(run_id, length);
    return WriteFileAtomically(
        options_.state, PrettyJson(Json::MakeObject({{"format", "lockstep.shadow/1"}, {"seen", std::move(seen)}})));
  }

  Status ReadCorpus() {
    if (options_.save.empty()) return {};
    LOCKSTEP_TRY(CreateDirectories(options_.save));
    const auto files = FindHistories({options_.save.string()});
    if (!files) return {};  // still empty
    for (const std::string& file : *files) {
      const auto input = LoadInput(file);
      if (!input) continue;  // the replay of the corpus reports it
      for (const auto& loaded : input->histories) corpus_.merge(TransitionsOf(*loaded.history));
    }
    return {};
  }

  // --- what to look at
  Result<std::vector<provider::WorkflowSummary>> Choose() {
    const int64_t scan = options_.scan > 0 ? options_.scan : std::min<int64_t>(options_.limit * 10, 100'000);
    // One heap each of type, status and order of magnitude of the length; dealt out in turn.
    std::map<std::tuple<std::string, int, int>, std::deque<provider::WorkflowSummary>> heaps;
    std::string token;
    do {
      LOCKSTEP_ASSIGN(auto page, client_.List(options_.query, kPage, token));
      for (provider::WorkflowSummary& workflow : page.workflows) {
        if (report_.listed >= scan) break;
        ++report_.listed;
        const auto seen = seen_.find(workflow.run_id);
        // An open execution that has grown since is looked at again.
        if (seen != seen_.end() && (workflow.close_ms != 0 || workflow.history_length <= seen->second)) {
          ++report_.seen_before;
        } else if (!Drawn(workflow.run_id, options_.sample, options_.seed)) {
          ++report_.sampled_out;
        } else {
          const int size = std::bit_width(static_cast<uint64_t>(std::max<int64_t>(1, workflow.history_length)));
          heaps[{workflow.workflow_type, static_cast<int>(workflow.status), size}].push_back(std::move(workflow));
        }
      }
      token = page.next_page_token;
      if (options_.progress) options_.progress("listed " + std::to_string(report_.listed));
      if (Interrupted()) return Fail("INTERRUPTED", "stopped by a signal");
    } while (!token.empty() && report_.listed < scan);
    std::vector<provider::WorkflowSummary> chosen;
    while (!heaps.empty()) {
      for (auto heap = heaps.begin(); heap != heaps.end();) {
        chosen.push_back(std::move(heap->second.front()));
        heap->second.pop_front();
        heap = heap->second.empty() ? heaps.erase(heap) : std::next(heap);
      }
    }
    return chosen;
  }

  // --- a round
  std::vector<Fetched> FetchAll(const std::vector<provider::WorkflowSummary>& round) {
    std::vector<Fetched> fetched(round.size());
    std::atomic<size_t> next{0};
    const auto work = [&] {
      for (size_t i = next++; i < round.size() && !Interrupted(); i = next++) {
        fetched[i].workflow = round[i];
        auto history = client_.GetHistory(round[i].workflow_id, round[i].run_id);
        if (history && (*history)->events_size() > 0) fetched[i].history = std::move(*history);
        // Retention may have taken it since it was listed.
        if (!history && history.error().code != "ADAPTER_INVALID_RUN_REF") fetched[i].error = history.error();
      }
    };
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < std::clamp(options_.parallel, 1U, 64U); ++i) threads.emplace_back(work);
    for (std::thread& thread : threads) thread.join();
    return fetched;
  }

  Status DoRound(const std::vector<provider::WorkflowSummary>& round) {
    std::vector<Fetched> fetched = FetchAll(round);
    if (Interrupted()) return Fail("INTERRUPTED", "stopped by a signal");
    LOCKSTEP_ASSIGN(const TemporaryDirectory folder, TemporaryDirectory::Create("lockstep-shadow"));
    std::vector<std::string> inputs;
    std::vector<size_t> which;
    for (size_t i = 0; i < fetched.size(); ++i) {
      if (fetched[i].error) return Fail(*fetched[i].error);
      if (fetched[i].history == nullptr) {
        ++report_.vanished;
        continue;
      }
      const fs::path file = folder.path() / FileName(fetched[i].workflow);
      LOCKSTEP_TRY(history::WriteHistory(file.string(), *fetched[i].history, history::OptionsForPath(file.string())));
      inputs.push_back(file.string());
      which.push_back(i);
      exercised_.merge(TransitionsOf(*fetched[i].history));
    }
    if (options_.progress)
      options_.progress("replaying " + std::to_string(report_.result.reports.size() + inputs.size()));
    BatchResult result = RunBatch(inputs, options_.batch);
    for (size_t k = 0; k < result.reports.size(); ++k) {
      Fetched& one = fetched[which[k]];
      ReplayReport& report = result.reports[k];
      if (report.verdict == Verdict::kIdentical || report.verdict == Verdict::kDrift)
        LOCKSTEP_TRY(Keep(one, folder.path()));
      // The file is gone with the round; people know an execution by its ids.
      if (report.error) report.error->message = Replaced(report.error->message, inputs[k], NameOf(one.workflow));
      report.path = NameOf(one.workflow);
      seen_[one.workflow.run_id] = one.history->events_size();
      report_.result.reports.push_back(std::move(report));
    }
    report_.result.abandoned_threads = report_.result.abandoned_threads || result.abandoned_threads;
    return WriteState();
  }

  static std::string Replaced(std::string text, const std::string& from, const std::string& to) {
    if (const size_t at = text.find(from); at != std::string::npos) text.replace(at, from.size(), to);
    return text;
  }

  // --- the corpus
  Status Keep(Fetched& one, const fs::path& folder) {
    if (options_.save.empty()) return {};
    std::set<std::string> own = TransitionsOf(*one.history);
    const bool news =
        std::any_of(own.begin(), own.end(), [&](const std::string& name) { return !corpus_.contains(name); });
    if (!news) {
      ++report_.without_news;
      return {};
    }
    const std::string name = FileName(one.workflow);
    if (options_.redact) {
      Redact(*options_.redact, one.history.get());
      const fs::path trial = folder / ("redacted-" + name);
      LOCKSTEP_TRY(history::WriteHistory(trial.string(), *one.history, history::OptionsForPath(trial.string())));
      const Verdict verdict = ReplayOne(trial.string(), options_.batch).verdict;
      if (verdict != Verdict::kIdentical && verdict != Verdict::kDrift) {
        ++report_.broken_by_redaction;
        return {};
      }
    }
    LOCKSTEP_TRY(history::WriteHistory((options_.save / name).string(), *one.history, history::OptionsForPath(name)));
    corpus_.merge(own);
    ++report_.saved;
    return {};
  }

  const ShadowOptions& options_;
  provider::Client client_;
  std::chrono::steady_clock::time_point started_;
  ShadowReport report_;
  std::map<std::string, int64_t> seen_;  // run id -> events when it was replayed
  std::set<std::string> exercised_, corpus_;
};

}  // namespace

Result<ShadowReport> Shadow(const ShadowOptions& options) { return Shadower(options).Run(); }

Json ToJson(const ShadowReport& report, bool strict) {
  Json json = ToJson(report.result, strict);
  return json.Set("shadow",
                  Json::MakeObject({{"listed", report.listed},
                                    {"sampledOut", report.sampled_out},
                                    {"seenBefore", report.seen_before},
                                    {"vanished", report.vanished},
                                    {"saved", report.saved},
                                    {"withoutNews", report.without_news},
                                    {"brokenByRedaction", report.broken_by_redaction},
                                    {"transitions", report.transitions},
                                    {"corpusTransitions", report.corpus_transitions},
                                    {"stoppedBy", report.stopped_by.empty() ? Json() : Json(report.stopped_by)}}));
}

std::string RenderShadow(const ShadowReport& report, bool strict, bool color) {
  // A table of hundreds of lines that are all the same helps nobody: only what is not in step, then the sums.
  BatchResult shown;
  for (const ReplayReport& one : report.result.reports) {
    if (one.verdict != Verdict::kIdentical) shown.reports.push_back(one);
  }
  std::string text;
  if (!shown.reports.empty()) {
    text = RenderText(shown, strict, color);
    text.resize(text.rfind("\n\n") + 2);
  }
  text += std::to_string(report.result.reports.size()) +
          " executions replayed: " + std::to_string(report.result.Count(Verdict::kIdentical)) + " identical, " +
          std::to_string(report.result.Count(Verdict::kDrift)) + " drift, " +
          std::to_string(report.result.Count(Verdict::kDiverged)) + " diverged, " +
          std::to_string(report.result.Count(Verdict::kUnreadable)) + " unreadable\n";
  text += std::to_string(report.listed) + " listed, " + std::to_string(report.seen_before) + " seen before, " +
          std::to_string(report.sampled_out) + " not drawn, " + std::to_string(report.vanished) + " gone; " +
          std::to_string(report.transitions) + " transitions exercised";
  if (!report.stopped_by.empty()) text += "; stopped by " + report.stopped_by;
  text += "\n";
  if (report.saved + report.without_news + report.broken_by_redaction > 0) {
    text += std::to_string(report.saved) + " saved, " + std::to_string(report.without_news) +
            " without news to the corpus, " + std::to_string(report.broken_by_redaction) +
            " not in step once redacted; the corpus exercises " + std::to_string(report.corpus_transitions) +
            " transitions\n";
  }
  const int code = ExitCode(report.result, strict);
  return text + (code == 0 ? "In step." : code == 1 ? "NOT in step." : "Unreadable input.") + "\n";
}

}  // namespace lockstep::replay
