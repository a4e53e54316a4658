// Little workflow programs made of data, for property tests and fuzzing: a program is a list of operations, its workflow an
// interpreter of them, and `Drive` lets a scripted server answer what it asks for in an order taken from further bytes.
// Any list of operations is a legal program that ends once everything it waits for has come.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine-core/workflow/registry.h"
#include "engine-core/workflow/testing/history_script.h"

namespace lockstep::workflow::testing {

enum class Op : uint8_t {
  kStartActivity,    // keeps the future
  kAwaitOldest,      // waits for the oldest future kept
  kAwaitAny,         // waits for whichever is ready first
  kSleep,
  kWaitSignal,       // until one more signal came
  kWaitSignalOrTime,
  kVersion,
  kSideEffect,
  kLocalActivity,    // keeps the future
  kAwaitLocal,       // runs one and waits for it
  kSpawn,            // a task beside this one: activity, then timer
  kScoped,           // an activity in a scope that is cancelled after a signal or a second
  kDetached,
  kAttributes,
  kMemo,
  kRandom,           // a random number goes into an activity's input
  kChild,            // a child, waited for in a scope that a signal or a second cancels
  kTellOthers,       // signals one workflow and cancels another, waiting for both
  kNexus,            // an operation, waited for
  kPatch,
  kMutableValue,
  kCount_,
};
struct Instruction {
  Op op = Op::kSleep;
  uint8_t argument = 0;
};
std::string ToText(const std::vector<Instruction>& program);
std::vector<Instruction> ProgramFromBytes(std::span<const uint8_t> bytes, size_t max_length = 24);

// A registry with the one workflow `test`.
WorkflowRegistry OneWorkflow(WorkflowFunction function);
WorkflowRegistry ProgramRegistry(std::vector<Instruction> program);
// The scripted outcome of the programs' local activities: results, errors, back-offs and heartbeats by activity id.
LocalActivityScript ProgramLocalActivities();

// Runs a program to its end or for `max_tasks` tasks, taking each decision (which activity or timer next, fail or complete,
// signal, cancel, failed task, eviction) from `decisions`; zeros when they run out.
void Drive(HistoryScript* script, std::span<const uint8_t> decisions, int max_tasks = 60);

}  // namespace lockstep::workflow::testing
