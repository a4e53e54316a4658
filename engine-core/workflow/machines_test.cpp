#include "engine-core/workflow/machines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <temporal/api/enums/v1/command_type.pb.h>
#include <temporal/api/enums/v1/event_type.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "engine-core/workflow/testing/diagrams.h"

namespace lockstep::workflow {
namespace {

using S = MachineState;
using I = MachineInput;
using M = CancelMode;

constexpr S kStates[] = {S::kCreated,      S::kIssued,         S::kRecorded,   S::kStarted,       S::kCancelIssued,
                         S::kCancelRecorded, S::kBackingOff, S::kAnsweredEarly, S::kAnswerIssued, S::kClosed};
constexpr I kInputs[] = {I::kIssue,     I::kCancel,     I::kRecorded,       I::kStarted,            I::kSucceeded,     I::kFailed,
                         I::kTimedOut,  I::kCancelled,  I::kTerminated,     I::kCancelRecorded,     I::kCancelAcknowledged,
                         I::kCancelRefused, I::kOutcome, I::kBackOff,       I::kRetry,              I::kReject,        I::kAnswer,
                         I::kAnswerRecorded};
constexpr M kModes[] = {M::kTryCancel, M::kWaitForCompletion, M::kWaitForRequest, M::kAbandon};

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

// What cancelling does to work that the history knows of, before and after it began.
std::vector<Row> CancelsOfRunning() {
  std::vector<Row> rows;
  for (const S from : {S::kRecorded, S::kStarted}) {
    rows.push_back({from, I::kCancel, S::kCancelIssued, kCancelNow, M::kTryCancel});
    rows.push_back({from, I::kCancel, S::kCancelIssued, kEmitCancel, M::kWaitForCompletion});
    rows.push_back({from, I::kCancel, S::kCancelIssued, kEmitCancel, M::kWaitForRequest});
    rows.push_back({from, I::kCancel, from, kResolveCancelled, M::kAbandon});
  }
  return rows;
}

std::vector<Row> EndsBeforeItsCancellation(std::initializer_list<I> inputs) {
  std::vector<Row> rows;
  for (const I input : inputs) rows.push_back({S::kCancelIssued, input, S::kClosed, kWithdrawCancel | kResolve});
  return rows;
}

// Only who waits for the answer to the request hears of it.
std::vector<Row> Acknowledged(S from, I input, int effect) {
  return {{from, input, S::kCancelRecorded, effect, M::kWaitForRequest},
          {from, input, S::kCancelRecorded, kNoEffect, M::kTryCancel},
          {from, input, S::kCancelRecorded, kNoEffect, M::kWaitForCompletion}};
}

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
        {S::kCancelIssued, I::kStarted, S::kCancelIssued},
        {S::kCancelIssued, I::kSucceeded, S::kClosed, kWithdrawCancel | kResolve},
        {S::kCancelIssued, I::kFailed, S::kClosed, kWithdrawCancel | kResolve},
        {S::kCancelIssued, I::kTimedOut, S::kClosed, kWithdrawCancel | kResolve},
        {S::kCancelIssued, I::kCancelled, S::kClosed, kWithdrawCancel | kResolve},
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
  const auto child_ends = {I::kSucceeded, I::kFailed, I::kTimedOut, I::kCancelled, I::kTerminated};
  const std::vector<Row> child = Concat({kOpening,
                                         {{S::kRecorded, I::kStarted, S::kStarted, kTellStarted}},
                                         Resolves(S::kRecorded, {I::kFailed}),
                                         Resolves(S::kStarted, child_ends),
                                         Resolves(S::kCancelRecorded, child_ends),
                                         EndsBeforeItsCancellation(child_ends),
                                         CancelsOfRunning(),
                                         {
                                                                            {S::kCancelIssued, I::kStarted, S::kCancelIssued, kTellStarted},
                                          {S::kCancelRecorded, I::kStarted, S::kCancelRecorded, kTellStarted},
                                          {S::kCancelIssued, I::kCancelRefused, S::kCancelRecorded}},
                                         Acknowledged(S::kCancelIssued, I::kCancelAcknowledged, kResolveCancelled)});
  const auto nexus_ends = {I::kSucceeded, I::kFailed, I::kTimedOut, I::kCancelled};
  const std::vector<Row> nexus = Concat({kOpening,
                                         {{S::kRecorded, I::kStarted, S::kStarted, kTellStarted}},
                                         Resolves(S::kRecorded, nexus_ends),
                                         Resolves(S::kStarted, nexus_ends),
                                         Resolves(S::kCancelRecorded, nexus_ends),
                                         EndsBeforeItsCancellation(nexus_ends),
                                         CancelsOfRunning(),
                                         {{S::kCancelIssued, I::kCancelRecorded, S::kCancelRecorded},
                                                                                                              {S::kCancelIssued, I::kStarted, S::kCancelIssued, kTellStarted},
                                          {S::kCancelRecorded, I::kStarted, S::kCancelRecorded, kTellStarted},
                                          {S::kClosed, I::kCancelAcknowledged, S::kClosed},
                                          {S::kClosed, I::kCancelRefused, S::kClosed}},
                                         Acknowledged(S::kCancelRecorded, I::kCancelAcknowledged, kResolveCancelled),
                                         Acknowledged(S::kCancelRecorded, I::kCancelRefused, kResolve)});
  const std::vector<Row> update = {{S::kCreated, I::kReject, S::kClosed, kEmitRejection},
                                   {S::kCreated, I::kIssue, S::kIssued, kEmitCommand},
                                   {S::kIssued, I::kRecorded, S::kRecorded, kBind},
                                   {S::kIssued, I::kAnswer, S::kAnsweredEarly, kEmitAnswer},
                                   {S::kRecorded, I::kAnswer, S::kAnswerIssued, kEmitAnswer},
                                   {S::kAnsweredEarly, I::kRecorded, S::kAnswerIssued, kBind},
                                   {S::kAnswerIssued, I::kAnswerRecorded, S::kClosed}};
  const std::vector<Row> external = Concat({kOpening, Resolves(S::kRecorded, {I::kSucceeded, I::kFailed})});
  using K = CommandKind;
  return {{K::kActivity, activity},        {K::kLocalActivity, local},        {K::kTimer, timer},
          {K::kMarker, confirmed},         {K::kSearchAttributes, confirmed}, {K::kMemo, confirmed},
          {K::kChildWorkflow, child},      {K::kSignalExternal, external},    {K::kCancelExternal, external},
          {K::kCompleteWorkflow, confirmed}, {K::kFailWorkflow, confirmed},   {K::kCancelWorkflow, confirmed},
          {K::kContinueAsNew, confirmed},   {K::kUpdate, update},             {K::kNexusOperation, nexus}};
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
    for (const I input : kInputs) {
      // What became of a request to cancel a Nexus operation may be known only after the operation's end.
      const bool late = input == I::kCancelAcknowledged || input == I::kCancelRefused;
      if (spec.kind == CommandKind::kNexusOperation && late) continue;
      EXPECT_EQ(FindTransition(spec, S::kClosed, input, M::kTryCancel), nullptr) << spec.name;
    }
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
      // A child is cancelled by the command of another machine.
      if ((row.effects & (kEmitCancel | kEmitAnswer)) && spec.kind != CommandKind::kChildWorkflow) {
        EXPECT_NE(spec.second_command_type, 0) << spec.name;
      }
    }
    EXPECT_EQ(spec.second_command_type == 0, spec.second_recorded_event_type == 0) << spec.name;
    if (spec.second_command_type == 0) continue;
    EXPECT_TRUE(std::any_of(spec.table.begin(), spec.table.end(), [&](const Transition& row) { return row.on == spec.second_recorded; }))
        << spec.name;
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
  EXPECT_EQ(SpecOf(CommandKind::kActivity).second_command_type, COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK);
  EXPECT_EQ(SpecOf(CommandKind::kTimer).second_recorded_event_type, EVENT_TYPE_TIMER_CANCELED);
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
  EXPECT_EQ(CancelModeName(M::kWaitForRequest), "wait for request");
  EXPECT_EQ(EffectNames(kEmitCancel | kResolveCancelled), "emit cancel, resolve as cancelled");
  EXPECT_EQ(EffectNames(kNoEffect), "");
  EXPECT_EQ(EffectNames(kEmitRejection), "emit rejection");
}

// All 17 command types of the API have a machine.
TEST(Machines, EveryCommandTypeOfTheApi_IsIssuedBySomeKind) {
  using namespace temporal::api::enums::v1;  // NOLINT
  std::set<int> types;
  for (const CommandKindSpec& spec : AllCommandKinds()) {
    types.insert(spec.command_type);
    if (spec.second_command_type != 0) types.insert(spec.second_command_type);
  }
  EXPECT_EQ(types.size(), 17u);
  for (int type = CommandType_MIN; type <= CommandType_MAX; ++type) {
    if (CommandType_IsValid(type) && type != COMMAND_TYPE_UNSPECIFIED) EXPECT_TRUE(types.contains(type)) << type;
  }
}

TEST(Machines, DiagramsInTheDocs_AreCurrent) {
  std::ifstream file(LOCKSTEP_SOURCE_DIR "/docs/machines.md");
  const std::string page((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_EQ(page, testing::MachinesPage()) << "write it again: machine_diagrams > docs/machines.md";
}

}  // namespace
}  // namespace lockstep::workflow
