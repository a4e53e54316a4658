// The embedded history and the real server's are equal in type, order and attributes, for every recorded run under
// fixtures/histories: the engine is driven with what came from outside (outcomes of activities, signals, timers, when a
// worker took a task and when it was lost), in the order and at the times of the record, and must write every event
// that the server wrote.
//
// Masked, because they are ids or times, or made of them: task ids, event times, request ids, identities, names of
// sticky queues, reset points' times, the rest of a back-off, and the size of the history so far (the server counts its
// own storage format). Everything else is compared, payloads byte for byte.
#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <temporal/api/enums/v1/event_type.pb.h>

#include <algorithm>
#include <deque>
#include <filesystem>

#include "engine-core/base/files.h"
#include "engine-core/interpreter/plan_run.h"
#include "engine-core/providers/embedded/engine.h"
#include "engine-core/providers/embedded/messages.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/registry.h"
#include "engine-core/workflow/slices.h"
#include "replay/history/reader.h"
#include "replay/record/record.h"

namespace lockstep::embedded {
namespace {

using namespace temporal::api::enums::v1;  // NOLINT: the enum values are this file's vocabulary

class RecordedIds final : public IIdGenerator {
 public:
  std::string NewUuid() override {
    if (given.empty()) return "00000000-0000-4000-8000-000000000000";
    std::string id = given.front();
    given.pop_front();
    return id;
  }
  std::deque<std::string> given;
};

int64_t Nanos(const HistoryEvent& event) {
  return event.event_time().seconds() * 1'000'000'000 + event.event_time().nanos();
}

// One recorded execution as the outside saw it.
class RecordWorld final : public World {
 public:
  RecordWorld() = default;
  void Use(const History* history, Engine* engine) {
    engine_ = engine;
    history_ = history;
    happenings_.clear();
    end_of_.clear();
    end_ = nullptr;
    if (now_ == 0) now_ = ToMillis(history->events(0).event_time());
    for (const HistoryEvent& event : history->events()) {
      if (!workflow::IsCommandEvent(event)) happenings_.push_back(&event);
      if (event.event_type() == EVENT_TYPE_WORKFLOW_TASK_SCHEDULED ||
          event.event_type() == EVENT_TYPE_WORKFLOW_TASK_STARTED)
        continue;
      const int64_t started = StartedOf(event);
      if (started > 0) end_of_[started] = &event;
    }
    std::stable_sort(happenings_.begin(), happenings_.end(),
                     [](const HistoryEvent* a, const HistoryEvent* b) { return Nanos(*a) < Nanos(*b); });
    next_ = 0;
  }

  UnixMillis Now() override { return now_; }
  bool Wait(UnixMillis) override { return false; }
  std::optional<News> TakeNews() override { return std::nullopt; }
  void StartAttempt(ActivityAttempt) override {}
  void CancelAttempt(AttemptToken) override {}
  void DropAttempt(AttemptToken) override {}
  Mishap NextMishap() override {
    return end_ != nullptr && end_->has_workflow_task_timed_out_event_attributes() ? Mishap::kWorkerLost
                                                                                   : Mishap::kNone;
  }

  // What happened until the task was answered is news for the task after it.
  void TaskStarted() override {
    while (next_ < happenings_.size() && happenings_[next_] != end_) Happen(*happenings_[next_++]);
    if (end_ != nullptr && end_->has_workflow_task_completed_event_attributes()) now_ = ToMillis(end_->event_time());
  }

  // The outcome is a fact of the record; that the code asked for the same thing is seen from the digest of its input.
  Result<Json> RunLocal(const workflow::LocalActivityRequest& request, int32_t) override {
    for (const HistoryEvent& event : history_->events()) {
      if (!event.has_marker_recorded_event_attributes()) continue;
      const auto& marker = event.marker_recorded_event_attributes();
      const auto data = marker.details().find("data");
      if (data == marker.details().end()) continue;
      const auto facts = workflow::ReadFirstJson(data->second);
      if (!facts || facts->GetString("ActivityID") != request.activity_id) continue;
      const auto result = marker.details().find("result");
      if (result != marker.details().end()) return workflow::ReadFirstJson(result->second);
      return Fail(workflow::FailureToError(marker.failure()));
    }
    return Fail("NOT_RECORDED", "the record has no outcome for " + request.activity_id);
  }

  // Nothing, or what went wrong.
  std::string Play() {
    while (next_ < happenings_.size() && problem_.empty()) Happen(*happenings_[next_++]);
    return problem_;
  }

 private:
  static int64_t StartedOf(const HistoryEvent& event) {
    if (event.has_workflow_task_completed_event_attributes())
      return event.workflow_task_completed_event_attributes().started_event_id();
    if (event.has_workflow_task_failed_event_attributes())
      return event.workflow_task_failed_event_attributes().started_event_id();
    if (event.has_workflow_task_timed_out_event_attributes())
      return event.workflow_task_timed_out_event_attributes().started_event_id();
    return 0;
  }

  std::string ActivityOf(int64_t scheduled) const {
    return history_->events(static_cast<int>(scheduled - 1)).activity_task_scheduled_event_attributes().activity_id();
  }

  // Numbers of the record are those of the engine, or the histories differ before this.
  AttemptToken Token(int64_t scheduled, int64_t started) const {
    const int32_t attempt =
        started == 0
            ? 1
            : history_->events(static_cast<int>(started - 1)).activity_task_started_event_attributes().attempt();
    return {engine_->run().start().execution, scheduled, attempt};
  }

  void StartActivity(const HistoryEvent& event) {
    const auto& started = event.activity_task_started_event_attributes();
    ServerRun& run = engine_->run();
    const int64_t scheduled = started.scheduled_event_id();
    for (int32_t attempt = 1; attempt <= started.attempt(); ++attempt) {
      if (!run.StartActivity(now_, ActivityOf(scheduled), "", 0)) return Problem(event, "no such activity waits");
      if (attempt == started.attempt()) return;
      // The record keeps the last failure only, and not its time; the policy counts them all.
      const Failure& failure = started.last_failure();
      const UnixMillis before = ToMillis(history_->events(static_cast<int>(scheduled - 1)).event_time());
      if (failure.has_timeout_failure_info()) {
        run.TimeOutActivity(before, scheduled, failure.timeout_failure_info().timeout_type());
      } else {
        run.FailActivity(before, {run.start().execution, scheduled, attempt}, failure, "");
      }
    }
  }

  void Happen(const HistoryEvent& event) {
    now_ = ToMillis(event.event_time());
    ServerRun& run = engine_->run();
    bool taken = true;
    switch (event.event_type()) {
      case EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
        if (!run.task_scheduled() && !run.task_started()) run.FireDue(now_);
        return;
      case EVENT_TYPE_WORKFLOW_TASK_STARTED: {
        const auto end = end_of_.find(event.event_id());
        end_ = end == end_of_.end() ? nullptr : end->second;
        if (!run.task_scheduled()) return Problem(event, "no task is scheduled");
        // Another worker took it: it knows nothing of the run yet.
        const std::string& worker = event.workflow_task_started_event_attributes().identity();
        if (std::exchange(worker_, worker) != worker) engine_->worker().Evict();
        const Status done = engine_->RunTask();
        if (!done) return Problem(event, done.error().ToString());
        if (engine_->failed_tasks() > 0 && !engine_->last_failure().empty()) Problem(event, engine_->last_failure());
        return;
      }
      case EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
        run.TimeOutTask(now_);
        return;
      case EVENT_TYPE_ACTIVITY_TASK_STARTED:
        StartActivity(event);
        return;
      case EVENT_TYPE_ACTIVITY_TASK_COMPLETED: {
        const auto& done = event.activity_task_completed_event_attributes();
        taken =
            run.CompleteActivity(now_, Token(done.scheduled_event_id(), done.started_event_id()), done.result(), "");
        break;
      }
      case EVENT_TYPE_ACTIVITY_TASK_FAILED: {
        const auto& failed = event.activity_task_failed_event_attributes();
        taken =
            run.FailActivity(now_, Token(failed.scheduled_event_id(), failed.started_event_id()), failed.failure(), "");
        break;
      }
      case EVENT_TYPE_ACTIVITY_TASK_CANCELED: {
        const auto& cancelled = event.activity_task_canceled_event_attributes();
        if (cancelled.started_event_id() == 0) return;  // the server's own doing
        taken = run.CancelActivity(now_, Token(cancelled.scheduled_event_id(), cancelled.started_event_id()),
                                   cancelled.details(), "");
        break;
      }
      case EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: {
        const auto& timed_out = event.activity_task_timed_out_event_attributes();
        const auto type = timed_out.failure().timeout_failure_info().timeout_type();
        taken = run.TimeOutActivity(now_, timed_out.scheduled_event_id(), type);
        break;
      }
      case EVENT_TYPE_TIMER_FIRED:
        taken = run.FireTimer(now_, event.timer_fired_event_attributes().timer_id());
        break;
      case EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: {
        const auto& signal = event.workflow_execution_signaled_event_attributes();
        taken = run.Signal(now_, signal.signal_name(), signal.input(), "", signal.request_id());
        break;
      }
      case EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
        taken = run.RequestCancel(now_, event.workflow_execution_cancel_requested_event_attributes().cause(), "");
        break;
      case EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
      case EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
        return;
      default:
        return Problem(event, "nothing this test knows");
    }
    if (!taken) Problem(event, "the engine does not wait for it");
  }

  void Problem(const HistoryEvent& event, const std::string& what) {
    if (problem_.empty())
      problem_ = "event " + std::to_string(event.event_id()) + " " + EventType_Name(event.event_type()) + ": " + what;
  }

  Engine* engine_ = nullptr;
  const History* history_ = nullptr;
  std::vector<const HistoryEvent*> happenings_;
  std::map<int64_t, const HistoryEvent*> end_of_;  // by started event
  const HistoryEvent* end_ = nullptr;              // of the open task
  size_t next_ = 0;
  std::string worker_;
  UnixMillis now_ = 0;
  std::string problem_;
};

// --- comparing
// -----------------------------------------------------------------------------------------------------------

template <typename Attributes>
void MaskIdentity(Attributes* attributes) {
  if constexpr (requires { attributes->clear_identity(); }) attributes->clear_identity();
  if constexpr (requires { attributes->clear_request_id(); }) attributes->clear_request_id();
}

HistoryEvent Masked(const HistoryEvent& event) {
  HistoryEvent copy = event;
  copy.clear_task_id();
  copy.clear_event_time();
  switch (event.event_type()) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: {
      auto* started = copy.mutable_workflow_execution_started_event_attributes();
      MaskIdentity(started);
      if (ToMillis(started->first_workflow_task_backoff()) > 0)
        SetMillis(1, started->mutable_first_workflow_task_backoff());
      for (auto& point : *started->mutable_prev_auto_reset_points()->mutable_points()) {
        point.mutable_create_time()->Clear();
        point.mutable_expire_time()->Clear();
      }
      if (started->prev_auto_reset_points().points().empty()) started->clear_prev_auto_reset_points();
      break;
    }
    case EVENT_TYPE_WORKFLOW_TASK_SCHEDULED: {
      auto* queue = copy.mutable_workflow_task_scheduled_event_attributes()->mutable_task_queue();
      if (queue->kind() == TASK_QUEUE_KIND_STICKY) queue->set_name("sticky");
      break;
    }
    case EVENT_TYPE_WORKFLOW_TASK_STARTED:
      MaskIdentity(copy.mutable_workflow_task_started_event_attributes());
      copy.mutable_workflow_task_started_event_attributes()->set_history_size_bytes(0);
      break;
    case EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
      MaskIdentity(copy.mutable_workflow_task_completed_event_attributes());
      break;
    case EVENT_TYPE_WORKFLOW_TASK_FAILED:
      MaskIdentity(copy.mutable_workflow_task_failed_event_attributes());
      break;
    case EVENT_TYPE_ACTIVITY_TASK_STARTED:
      MaskIdentity(copy.mutable_activity_task_started_event_attributes());
      break;
    case EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
      MaskIdentity(copy.mutable_activity_task_completed_event_attributes());
      break;
    case EVENT_TYPE_ACTIVITY_TASK_FAILED:
      MaskIdentity(copy.mutable_activity_task_failed_event_attributes());
      break;
    case EVENT_TYPE_ACTIVITY_TASK_CANCELED:
      MaskIdentity(copy.mutable_activity_task_canceled_event_attributes());
      break;
    case EVENT_TYPE_TIMER_CANCELED:
      MaskIdentity(copy.mutable_timer_canceled_event_attributes());
      break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
      MaskIdentity(copy.mutable_workflow_execution_signaled_event_attributes());
      break;
    case EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
      MaskIdentity(copy.mutable_workflow_execution_cancel_requested_event_attributes());
      break;
    default:
      break;
  }
  return copy;
}

std::string FirstDifference(const History& expected, const History& actual) {
  for (int i = 0; i < std::max(expected.events_size(), actual.events_size()); ++i) {
    if (i >= expected.events_size()) return "surplus " + actual.events(i).ShortDebugString().substr(0, 400);
    if (i >= actual.events_size()) return "missing " + expected.events(i).ShortDebugString().substr(0, 400);
    std::string report;
    google::protobuf::util::MessageDifferencer differencer;
    differencer.ReportDifferencesToString(&report);
    if (!differencer.Compare(Masked(expected.events(i)), Masked(actual.events(i)))) {
      return "event " + std::to_string(i + 1) + " " + EventType_Name(expected.events(i).event_type()) + " against " +
             EventType_Name(actual.events(i).event_type()) + ": " + report.substr(0, 800);
    }
  }
  return {};
}

std::string Compare(const std::filesystem::path& folder) {
  const auto record = replay::ReadRecord(folder);
  if (!record) return record.error().ToString();
  std::vector<History> recorded;
  RecordedIds run_ids;
  for (const std::string& text : record->histories) {
    auto history = history::ParseHistory(text, folder.string());
    if (!history) return history.error().ToString();
    recorded.push_back(*history->history);
    const HistoryEvent& last = recorded.back().events(recorded.back().events_size() - 1);
    if (last.has_workflow_execution_continued_as_new_event_attributes()) {
      run_ids.given.push_back(last.workflow_execution_continued_as_new_event_attributes().new_execution_run_id());
    }
  }
  workflow::WorkflowRegistry registry;
  interpreter::RegisterInterpreter(&registry);
  RecordedIds ids;
  RecordWorld world;
  EngineOptions options;
  options.worker.registry = &registry;
  if (const Json* pins = record->manifest.Find("asOf")) {
    for (const auto& [change, version] : pins->AsObject())
      options.worker.version_pins[change] = static_cast<int>(version.AsInt());
  }
  options.ids = &ids;
  options.run_ids = &run_ids;
  options.sticky_queue = "sticky";
  options.own_time = false;
  Engine engine(options, &world, nullptr);
  const auto& first = recorded.front().events(0).workflow_execution_started_event_attributes();
  ExecutionStart start;
  start.workflow_id = first.workflow_id();
  start.run_id = first.original_execution_run_id();
  start.workflow_type = first.workflow_type().name();
  start.task_queue = first.task_queue().name();
  start.input = first.input();
  start.search_attributes = first.search_attributes();
  for (size_t i = 0; i < recorded.size(); ++i) {
    world.Use(&recorded[i], &engine);
    if (i == 0 && !engine.Start(start)) return "the engine does not start";
    const std::string problem = world.Play();
    const std::string difference =
        engine.executions() <= i ? "no such execution" : FirstDifference(recorded[i], engine.execution(i).history());
    if (!difference.empty())
      return "execution " + std::to_string(i + 1) + ": " + difference + (problem.empty() ? "" : " (" + problem + ")");
    if (!problem.empty()) return problem;
  }
  return {};
}

class EmbeddedHistory : public ::testing::TestWithParam<std::string> {};

TEST_P(EmbeddedHistory, EqualsTheServersInTypeOrderAndAttributes) {
  EXPECT_EQ(Compare(std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "fixtures/histories" / GetParam()), "");
}

std::vector<std::string> Fixtures() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "fixtures/histories")) {
    if (replay::IsRecordDirectory(entry.path())) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Fixtures, EmbeddedHistory, ::testing::ValuesIn(Fixtures()), [](const auto& info) {
  std::string name = info.param;
  for (char& c : name) {
    if (c < '0' || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') || c > 'z') c = '_';
  }
  return name;
});

}  // namespace
}  // namespace lockstep::embedded
