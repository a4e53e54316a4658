#include "engine-core/workflow/machines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <temporal/api/enums/v1/command_type.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <map>
#include <set>

namespace lockstep::workflow {
namespace {

using S = MachineState;
using I = MachineInput;
using M = CancelMode;

constexpr S kStates[] = {S::kCreated,      S::kIssued,         S::kRecorded,   S::kStarted,
                         S::kCancelIssued, S::kCancelRecorded, S::kBackingOff, S::kClosed};
constexpr I kInputs[] = {I::kIssue,    I::kCancel,    I::kRecorded,  I::kStarted,        I::kSucceeded, I::kFailed, I::kTimedOut,
                         I::kCancelled, I::kTerminated, I::kCancelRecorded, I::kOutcome, I::kBackOff, I::kRetry};
constexpr M kModes[] = {M::kTryCancel, M::kWaitForCompletion, M::kAbandon};

// The rows written out again, independently of the tables, as `state input [mode] -> state effects`.
struct Row {
  S from;
  I on;
  S to;
  int effects = kNoEffect;
  M only = M::kAny;
  auto operator<=>(const Row&) const = default;
};

constexpr int kCancelNow = kEmitCancel | kResolveCancelled;

std::vector<Row> Resolves(S from, std::initializer_list<I> inputs) {
  std::vector<Row> rows;
  for (const I input : inputs) rows.push_back({from, input, S::kClosed, kResolve});
  return rows;
}

std::vector<Row> Concat(std::initializer_list<std::vector<Row>> parts) {
  std::vector<Row> rows;
  for (const auto& part : parts) rows.insert(rows.end(), part.begin(), part.end());
  return rows;
}

const std::vector<Row> kOpening = {{S::kCreated, I::kIssue, S::kIssued, kEmitCommand},
                                   {S::kIssued, I::kRecorded, S::kRecorded, kBind},
                                   {S::kIssued, I::kCancel, S::kClosed, kWithdraw | kResolveCancelled}};

std::map<CommandKind, std::vector<Row>> Expected() {
  const auto activity_ends = {I::kSucceeded, I::kFailed, I::kTimedOut, I::kCancelled};
  const std::vector<Row> activity = Concat(
      {kOpening,
       {{S::kRecorded, I::kStarted, S::kStarted}},
       Resolves(S::kRecorded, activity_ends),
       Resolves(S::kStarted, activity_ends),
       Resolves(S::kCancelRecorded, activity_ends),
       {{S::kRecorded, I::kCancel, S::kCancelIssued, kCancelNow, M::kTryCancel},
        {S::kStarted, I::kCancel, S::kCancelIssued, kCancelNow, M::kTryCancel},
        {S::kRecorded, I::kCancel, S::kCancelIssued, kEmitCancel, M::kWaitForCompletion},
        {S::kStarted, I::kCancel, S::kCancelIssued, kEmitCancel, M::kWaitForCompletion},
        {S::kRecorded, I::kCancel, S::kRecorded, kResolveCancelled, M::kAbandon},
        {S::kStarted, I::kCancel, S::kStarted, kResolveCancelled, M::kAbandon},
        {S::kCancelIssued, I::kCancelRecorded, S::kCancelRecorded},
        {S::kCancelIssued, I::kCancel, S::kCancelIssued},
        {S::kCancelIssued, I::kStarted, S::kCancelIssued},
        {S::kCancelIssued, I::kSucceeded, S::kClosed, kWithdrawCancel | kResolve},
        {S::kCancelIssued, I::kFailed, S::kClosed, kWithdrawCancel | kResolve},
        {S::kCancelIssued, I::kTimedOut, S::kClosed, kWithdrawCancel | kResolve},
        {S::kCancelIssued, I::kCancelled, S::kClosed, kWithdrawCancel | kResolve},
        {S::kCancelRecorded, I::kCancel, S::kCancelRecorded},
        {S::kCancelRecorded, I::kStarted, S::kCancelRecorded}}});
  const std::vector<Row> local = {{S::kCreated, I::kIssue, S::kIssued, kRequestLocal},
                                  {S::kIssued, I::kOutcome, S::kClosed, kEmitMarker | kResolve},
                                  {S::kIssued, I::kBackOff, S::kBackingOff, kEmitMarker | kStartBackOff},
                                  {S::kBackingOff, I::kRetry, S::kIssued, kRequestLocal},
                                  {S::kIssued, I::kCancel, S::kClosed, kDropLocal | kResolveCancelled},
                                  {S::kBackingOff, I::kCancel, S::kClosed, kResolveCancelled}};
  const std::vector<Row> timer = Concat({kOpening,
                                         Resolves(S::kRecorded, {I::kSucceeded}),
                                         {{S::kRecorded, I::kCancel, S::kCancelIssued, kCancelNow},
                                          {S::kCancelIssued, I::kCancelRecorded, S::kClosed},
                                          {S::kCancelIssued, I::kSucceeded, S::kClosed, kWithdrawCancel}}});
  const std::vector<Row> confirmed = {{S::kCreated, I::kIssue, S::kIssued, kEmitCommand}, {S::kIssued, I::kRecorded, S::kClosed}};
  const std::vector<Row> child =
      Concat({kOpening,
              {{S::kRecorded, I::kStarted, S::kStarted}},
              Resolves(S::kRecorded, {I::kFailed}),
              Resolves(S::kStarted, {I::kSucceeded, I::kFailed, I::kTimedOut, I::kCancelled, I::kTerminated})});
  const std::vector<Row> external = Concat({kOpening, Resolves(S::kRecorded, {I::kSucceeded, I::kFailed})});
  using K = CommandKind;
  return {{K::kActivity, activity},        {K::kLocalActivity, local},        {K::kTimer, timer},
          {K::kMarker, confirmed},         {K::kSearchAttributes, confirmed}, {K::kMemo, confirmed},
          {K::kChildWorkflow, child},      {K::kSignalExternal, external},    {K::kCancelExternal, external},
          {K::kCompleteWorkflow, confirmed}, {K::kFailWorkflow, confirmed},   {K::kCancelWorkflow, confirmed},
          {K::kContinueAsNew, confirmed}};
}

Row ToRow(const Transition& row) { return {row.from, row.on, row.to, row.effects, row.only}; }

TEST(Machines, EveryKind_HasExactlyItsRows) {
  const auto expected = Expected();
  ASSERT_EQ(expected.size(), static_cast<size_t>(CommandKind::kCount_));
  for (const CommandKindSpec& spec : AllCommandKinds()) {
    std::vector<Row> actual, wanted = expected.at(spec.kind);
    for (const Transition& row : spec.table) actual.push_back(ToRow(row));
    std::sort(actual.begin(), actual.end());
    std::sort(wanted.begin(), wanted.end());
    EXPECT_TRUE(actual == wanted) << spec.name;
  }
}

// Every row is taken by the look-up and every other combination refused; the counter shows that nothing was left out.
TEST(Machines, FindTransition_TakesEveryRow_AndRefusesEveryOtherCombination) {
  for (const CommandKindSpec& spec : AllCommandKinds()) {
    std::map<const Transition*, int> taken;
    int refused = 0;
    for (const S state : kStates) {
      for (const I input : kInputs) {
        for (const M mode : kModes) {
          const Transition* found = FindTransition(spec, state, input, mode);
          std::vector<const Transition*> matching;
          for (const Transition& row : spec.table) {
            if (row.from == state && row.on == input && (row.only == M::kAny || row.only == mode)) matching.push_back(&row);
          }
          ASSERT_LE(matching.size(), 1u) << spec.name << ": two rows for " << MachineStateName(state) << ", " << MachineInputName(input);
          EXPECT_EQ(found, matching.empty() ? nullptr : matching.front());
          found != nullptr ? ++taken[found] : ++refused;
        }
      }
    }
    EXPECT_EQ(taken.size(), spec.table.size()) << spec.name << ": rows never taken";
    EXPECT_GT(refused, 0);
  }
}

TEST(Machines, ClosedMachine_RefusesEverything) {
  for (const CommandKindSpec& spec : AllCommandKinds()) {
    for (const I input : kInputs) EXPECT_EQ(FindTransition(spec, S::kClosed, input, M::kTryCancel), nullptr) << spec.name;
  }
}

TEST(Machines, EveryStateOfATable_IsReached_AndLeadsToTheEnd) {
  for (const CommandKindSpec& spec : AllCommandKinds()) {
    std::set<S> reached = {S::kCreated};
    for (size_t i = 0; i < spec.table.size(); ++i) {
      for (const Transition& row : spec.table) {
        if (reached.contains(row.from)) reached.insert(row.to);
      }
    }
    for (const Transition& row : spec.table) EXPECT_TRUE(reached.contains(row.from)) << spec.name << " " << MachineStateName(row.from);
    EXPECT_TRUE(reached.contains(S::kClosed)) << spec.name;
  }
}

TEST(Machines, CancelRows_ExistOnlyWhereTheServerHasACommandForThem) {
  for (const CommandKindSpec& spec : AllCommandKinds()) {
    for (const Transition& row : spec.table) {
      if (row.effects & kEmitCancel) {
        EXPECT_NE(spec.cancel_command_type, 0) << spec.name;
      }
    }
    EXPECT_EQ(spec.cancel_command_type == 0, spec.cancel_recorded_event_type == 0) << spec.name;
  }
}

// What resolves the code must do so once: no row both withdraws and resolves with an outcome.
TEST(Machines, Effects_DoNotContradictEachOther) {
  for (const CommandKindSpec& spec : AllCommandKinds()) {
    for (const Transition& row : spec.table) {
      EXPECT_FALSE((row.effects & kResolve) && (row.effects & kResolveCancelled)) << spec.name;
      EXPECT_FALSE((row.effects & kWithdraw) && (row.effects & kEmitCancel)) << spec.name;
      if (row.effects & kWithdrawCancel) {
        EXPECT_EQ(row.from, S::kCancelIssued) << spec.name;
      }
      if (row.effects & kBind) {
        EXPECT_EQ(row.on, I::kRecorded);
      }
    }
  }
}

TEST(Machines, Kinds_AreFoundByTheirEnum_AndMapToTheirTypes) {
  using namespace temporal::api::enums::v1;  // NOLINT
  for (const CommandKindSpec& spec : AllCommandKinds()) {
    EXPECT_EQ(&SpecOf(spec.kind), &spec);
    EXPECT_TRUE(CommandType_IsValid(spec.command_type));
    EXPECT_TRUE(EventType_IsValid(spec.recorded_event_type));
    EXPECT_FALSE(spec.name.empty());
  }
  EXPECT_EQ(SpecOf(CommandKind::kActivity).cancel_command_type, COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK);
  EXPECT_EQ(SpecOf(CommandKind::kTimer).cancel_recorded_event_type, EVENT_TYPE_TIMER_CANCELED);
}

TEST(EventRoutes, EveryRoute_IsFoundByItsType_AndHasARowToTake) {
  std::set<int> types;
  for (const EventRoute& route : AllEventRoutes()) {
    EXPECT_EQ(FindRoute(route.event_type), &route);
    EXPECT_TRUE(types.insert(route.event_type).second) << route.event_type;
    const auto table = SpecOf(route.kind).table;
    EXPECT_TRUE(std::any_of(table.begin(), table.end(), [&](const Transition& row) { return row.on == route.input; }))
        << route.event_type;
  }
}

TEST(EventRoutes, Reference_ReadsTheCommandEventsId_OfEveryRoute) {
  for (const EventRoute& route : AllEventRoutes()) {
    // Every int64 field set to its own number: the reference must be the scheduled, started or initiated event's.
    HistoryEvent event;
    event.set_event_type(static_cast<temporal::api::enums::v1::EventType>(route.event_type));
    const auto* oneof = HistoryEvent::descriptor()->FindOneofByName("attributes");
    bool found = false;
    for (int i = 0; i < oneof->field_count() && !found; ++i) {
      HistoryEvent candidate;
      auto* attributes = candidate.GetReflection()->MutableMessage(&candidate, oneof->field(i));
      for (const char* name : {"scheduled_event_id", "started_event_id", "initiated_event_id"}) {
        const auto* field = attributes->GetDescriptor()->FindFieldByName(name);
        if (field == nullptr) continue;
        attributes->GetReflection()->SetInt64(attributes, field, 77);
        if (route.reference(candidate) == 77) found = true;
        attributes->GetReflection()->ClearField(attributes, field);
      }
    }
    EXPECT_TRUE(found) << route.event_type;
  }
}

TEST(EventRoutes, UnknownAndOutOfRangeTypes_HaveNoRoute) {
  for (const int type : {-1, 0, 1, 10, 25, 26, 63, 64, 100'000, INT32_MAX, INT32_MIN}) EXPECT_EQ(FindRoute(type), nullptr) << type;
}

TEST(Machines, Names_AreDistinct) {
  std::set<std::string_view> names;
  for (const S state : kStates) names.insert(MachineStateName(state));
  EXPECT_EQ(names.size(), std::size(kStates));
  names.clear();
  for (const I input : kInputs) names.insert(MachineInputName(input));
  EXPECT_EQ(names.size(), std::size(kInputs));
}

}  // namespace
}  // namespace lockstep::workflow
