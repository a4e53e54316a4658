#include "engine-core/state/consumer.h"

#include <algorithm>

#include "engine-core/base/ids.h"
#include "engine-core/state/projector.h"

namespace lockstep::state {

bool Watermark::Covers(int64_t run_seq) const {
  const auto above = std::ranges::upper_bound(applied, run_seq, {}, [](const auto& range) { return range.first; });
  return above != applied.begin() && run_seq <= std::prev(above)->second;
}

void Watermark::Advance(int64_t run_seq) {
  value = run_seq;
  if (!applied.empty() && applied.back().second + 1 == run_seq) {
    applied.back().second = run_seq;
  } else {
    applied.emplace_back(run_seq, run_seq);
  }
}

Json ToJson(const Watermark& watermark) {
  Json ranges = Json::MakeArray();
  for (const auto& [first, last] : watermark.applied) ranges.Push(Json(Json::Array{Json(first), Json(last)}));
  return Json::MakeObject({{"consumer", watermark.consumer},
                           {"runId", watermark.run_id},
                           {"value", watermark.value},
                           {"stale", watermark.stale},
                           {"applied", std::move(ranges)}});
}

Result<Watermark> ParseWatermark(const Json& json) {
  const auto invalid = [](std::string_view what) {
    return Fail("WATERMARK_INVALID", "watermark: expected " + std::string(what));
  };
  Watermark watermark;
  watermark.consumer = json.GetString("consumer");
  watermark.run_id = json.GetString("runId");
  watermark.stale = json.GetBool("stale");
  if (watermark.consumer.empty() || !IsIdentifier(watermark.run_id)) return invalid("consumer and runId");
  const Json* ranges = json.Find("applied");
  if (ranges == nullptr || !ranges->is_array()) return invalid("a list of applied ranges");
  for (const Json& range : ranges->AsArray()) {
    const bool pair =
        range.is_array() && range.AsArray().size() == 2 && range.AsArray()[0].is_int() && range.AsArray()[1].is_int();
    if (!pair) return invalid("pairs of integers");
    const int64_t first = range.AsArray()[0].AsInt(), last = range.AsArray()[1].AsInt();
    if (first > last || first < 1 || (!watermark.applied.empty() && first <= watermark.applied.back().second + 1)) {
      return invalid("ascending ranges that do not touch");
    }
    watermark.applied.emplace_back(first, last);
  }
  watermark.value = watermark.applied.empty() ? 0 : watermark.applied.back().second;
  if (json.GetInt("value", -1) != watermark.value) return invalid("value to be the highest applied number");
  return watermark;
}

Consumer::Consumer(std::string name, std::string run_id) {
  watermark_.consumer = std::move(name);
  watermark_.run_id = std::move(run_id);
}

Result<Consumer> Consumer::Restore(Watermark watermark, Snapshot snapshot) {
  const bool empty = snapshot.last_event_seq == 0;
  if (watermark.value != snapshot.last_event_seq || (!empty && snapshot.run_id != watermark.run_id)) {
    return Fail("SNAPSHOT_INVALID", "consumer " + watermark.consumer + ": expected a snapshot of run " +
                                        watermark.run_id + " at " + std::to_string(watermark.value) +
                                        ", found one of run " + snapshot.run_id + " at " +
                                        std::to_string(snapshot.last_event_seq));
  }
  Consumer consumer(watermark.consumer, watermark.run_id);
  consumer.watermark_ = std::move(watermark);
  consumer.snapshot_ = std::move(snapshot);
  return consumer;
}

Alert Consumer::RunAlert(std::string_view code, Severity severity, std::string detail) const {
  Alert alert;
  alert.code = code;
  alert.severity = severity;
  alert.run_id = watermark_.run_id;
  alert.tenant_id = snapshot_.tenant_id;
  alert.project_id = snapshot_.project_id;
  alert.environment_id = snapshot_.environment_id;
  alert.detail = std::move(detail);
  return alert;
}

void Consumer::ApplyRecord(const EventRecord& record, std::vector<Alert>* alerts) {
  ApplyOutcome outcome = Project(&snapshot_, record);
  watermark_.Advance(record.run_seq);
  if (outcome.kind != ApplyOutcome::Kind::kRejected || !alerted_.insert(record.event_id).second) return;
  alerts->push_back(std::move(*outcome.alert));
  if (outcome.causal_inversion) alerts->push_back(AlertAbout(kAlertCausalViolation, Severity::kP3, record));
}

Consumer::Answer Consumer::Feed(const EventRecord& record) {
  Answer answer;
  if (record.run_seq <= watermark_.value) {
    if (watermark_.Covers(record.run_seq)) {
      answer.verdict = Verdict::kRepeat;
      return answer;
    }
    watermark_.stale = true;
    answer.verdict = Verdict::kNeedsRebuild;
    answer.alerts.push_back(AlertAbout(kAlertSeqRegression, Severity::kP1, record));
    answer.alerts.back().detail = "never applied, and below the watermark " + std::to_string(watermark_.value);
    return answer;
  }
  if (watermark_.stale || record.run_seq != watermark_.value + 1) {
    const bool already_stale = watermark_.stale;
    watermark_.stale = true;
    answer.verdict = Verdict::kNeedsResync;
    if (!already_stale) {
      answer.alerts.push_back(AlertAbout(kAlertNonContiguousFetch, Severity::kP2, record));
      answer.alerts.back().detail = "expected runSeq " + std::to_string(watermark_.value + 1);
    }
    return answer;
  }
  ApplyRecord(record, &answer.alerts);
  return answer;
}

Consumer::ResyncOutcome Consumer::Resync(Snapshot start, std::span<const EventRecord> records, int64_t head) {
  ResyncOutcome outcome;
  if (head < watermark_.value) {
    outcome.alerts.push_back(
        RunAlert(kAlertSeqRegression, Severity::kP1,
                 "head " + std::to_string(head) + " is below the watermark " + std::to_string(watermark_.value)));
  }
  snapshot_ = std::move(start);
  watermark_.applied.clear();
  watermark_.value = 0;
  if (snapshot_.last_event_seq > 0) {
    watermark_.applied.emplace_back(1, snapshot_.last_event_seq);
    watermark_.value = snapshot_.last_event_seq;
  }
  for (const EventRecord& record : records) {
    if (record.run_seq > watermark_.value) ApplyRecord(record, &outcome.alerts);
  }
  outcome.complete = snapshot_.last_event_seq >= head;
  watermark_.stale = !outcome.complete;
  return outcome;
}

}  // namespace lockstep::state
