"""The mutants: one wrong edit each, and what the replay of a recorded history has to say about it.

`edits` are pairs of text; the first of a pair stands in the source exactly once. `at` is a text of the mutated source
that stands there exactly once: the line where it begins is the line that the first divergence of the worst grade has to
name, the line that issues the command at fault (for a command that is no longer issued: the one issued just before it).
Grades are those of spec 00 section 6; `record` is a folder of fixtures/histories.
"""

import dataclasses

CHANGING = "command-changing"
PAYLOAD = "payload-only"
DRIFT = "drift"
SNAPSHOT = "snapshot-only"

PLAN_RUN = "engine-core/interpreter/plan_run.cpp"
CONTROL = "engine-core/interpreter/control.cpp"
EMITTER = "engine-core/interpreter/emitter.cpp"
ERRORS = "engine-core/interpreter/errors.cpp"
STEP_BOARD = "engine-core/interpreter/step_board.cpp"
PROJECTOR = "engine-core/state/projector.cpp"

# Lines that issue commands.
SCHEDULES_STEP = 'wf::execute_activity("executeStep"'
STARTS_SLEEP = "wf::timer(announced.params"
EMITS_STARTED = 'emitter_->Emit(\n      {.type = "StepStarted"'
EMITS_COMPLETED = "emitter_->Emit(std::move(completed))"
EMITS_FAILED = "emitter_->Emit(std::move(failed))"
EMITS_RUN_STARTED = 'emitter_->Emit({.type = "RunStarted"'
EMITS_RUN_COMPLETED = 'emitter_->Emit({.type = "RunCompleted"'
EMITS_RUN_FAILED = 'emitter_->Emit({.type = "RunFailed"'
ASKS_FOR_SNAPSHOT = 'co_await wf::local_activity(\n      "compileRunSnapshot"'
GATE_TIMER = "wf::wait_until([this, index]"
HOLD_TIMER = "wf::sleep(millis);\n  hold_expired_ = true"
ENDS_WELL = "return wf::completed("


@dataclasses.dataclass(frozen=True)
class Expect:
    record: str
    grade: str  # of the history: the worst of all differences
    kind: str  # this and the rest: of the first divergence of that grade
    at: str
    at_file: str | None = None  # None: the mutated file
    step: str | None = None  # "" asks for none
    field: str | None = None


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str
    what: str
    file: str
    edits: tuple
    expect: tuple
    includes: tuple = ()


FAILED_GATE = """  // Runs recorded before this change end without a snapshot when they fail (interpreter-changes.json).
  if (wf::get_version("snapshot-on-every-end", wf::kDefaultVersion, 1) == 1) co_await Snapshot();
"""

MUTANTS = [
    # --- order and number of commands -------------------------------------------------------------------------------
    Mutant(
        "swapped-commands",
        "two steps of one pass are dispatched the wrong way round",
        PLAN_RUN,
        (
            (
                "      const Announced step = std::move(announced_.front());\n",
                "      const bool both = announced_.size() > 1 && emitter_->Durable(announced_[1].ticket);\n"
                "      if (both) std::swap(announced_[0], announced_[1]);\n"
                "      const Announced step = std::move(announced_.front());\n",
            ),
        ),
        (Expect("diamond", CHANGING, "order-changed", SCHEDULES_STEP, step="left"),),
    ),
    Mutant(
        "unordered-map",
        "the steps of a pass start in the order of a hash table",
        PLAN_RUN,
        (
            (
                """  while (!board_->ready().empty() && board_->in_flight().size() < slots && !StartsNothing()) {
    Announce(*board_->ready().begin());
  }
""",
                """  std::unordered_map<std::string, uint32_t> ready;
  for (const uint32_t index : board_->ready()) ready.emplace(board_->step(index).step_id, index);
  for (const auto& [id, index] : ready) {
    if (board_->in_flight().size() >= slots || StartsNothing()) break;
    Announce(index);
  }
""",
            ),
        ),
        (
            Expect("fan-out-64", CHANGING, "order-changed", SCHEDULES_STEP),
            Expect("rotation-250", CHANGING, "surplus-command", EMITS_STARTED),
        ),
        includes=("<unordered_map>",),
    ),
    Mutant(
        "dispatch-reversed",
        "ready steps start with the highest index",
        PLAN_RUN,
        (("    Announce(*board_->ready().begin());", "    Announce(*board_->ready().rbegin());"),),
        (
            Expect("diamond", CHANGING, "order-changed", SCHEDULES_STEP, step="left"),
            Expect("max-parallelism-2", CHANGING, "surplus-command", EMITS_STARTED, step="s7"),
        ),
    ),
    Mutant(
        "never-completes",
        "the last command of the run is not issued",
        PLAN_RUN,
        (("  co_return Output();\n", "  co_await wf::wait_until([] { return false; });\n  co_return Output();\n"),),
        (Expect("chain", CHANGING, "missing-command", EMITS_RUN_COMPLETED, step=""),),
    ),
    Mutant(
        "run-completed-dropped",
        "RunCompleted is not appended",
        PLAN_RUN,
        (
            (
                'emitter_->Emit({.type = "RunCompleted",',
                'if (false)\n    emitter_->Emit({.type = "RunCompleted",',
            ),
        ),
        (
            Expect(
                "chain",
                CHANGING,
                "missing-command",
                'wf::upsert_attributes({{"runStatus", std::string(StatusName())}})',
                step="",
            ),
        ),
    ),
    Mutant(
        "step-started-dropped",
        "steps are dispatched without StepStarted",
        PLAN_RUN,
        (
            (
                """  const uint64_t ticket = emitter_->Emit(
      {.type = "StepStarted", .step_id = step.step_id, .attempt = state.attempt, .payload = StartPayload(index)});
""",
                "  const uint64_t ticket = 0;\n",
            ),
        ),
        (Expect("chain", CHANGING, "missing-command", SCHEDULES_STEP, step="s1"),),
    ),
    Mutant(
        "status-attribute-dropped",
        "the search attribute of the start is not set",
        PLAN_RUN,
        (('    if (input_.policy.status_attribute) wf::upsert_attributes({{"runStatus", "RUNNING"}});\n', ""),),
        (Expect("chain", CHANGING, "missing-command", EMITS_RUN_STARTED, step=""),),
    ),
    # --- waits, gates, decisions ------------------------------------------------------------------------------------
    Mutant(
        "version-gate-removed",
        "a failing run always ends with a snapshot, without asking for the version",
        PLAN_RUN,
        ((FAILED_GATE, "  co_await Snapshot();\n"),),
        (
            Expect("version-gate-on", CHANGING, "missing-command", EMITS_FAILED, step=""),
            Expect("version-gate-off", CHANGING, "surplus-command", ASKS_FOR_SNAPSHOT, step=""),
        ),
    ),
    Mutant(
        "version-gate-old-side-removed",
        "runs from before the change are no longer supported",
        PLAN_RUN,
        ((FAILED_GATE, FAILED_GATE.replace("wf::kDefaultVersion, 1)", "1, 1)")),),
        (
            Expect(
                "version-gate-off", CHANGING, "version-range", 'wf::get_version("snapshot-on-every-end", 1, 1)', step=""
            ),
        ),
    ),
    Mutant(
        "version-gate-new-side-removed",
        "a run of a newer build is replayed by an older one",
        PLAN_RUN,
        ((FAILED_GATE, FAILED_GATE.replace("wf::kDefaultVersion, 1)", "wf::kDefaultVersion, 0)")),),
        (
            Expect(
                "version-gate-on",
                CHANGING,
                "version-range",
                'wf::get_version("snapshot-on-every-end", wf::kDefaultVersion, 0)',
                step="",
            ),
        ),
    ),
    Mutant(
        "signal-gate-removed",
        "steps no longer wait for their signal",
        PLAN_RUN,
        (("  if (step.wait_for_signal && !GateOpen(step)) return ArmGate(index);\n", ""),),
        (Expect("gate-met", CHANGING, "missing-command", EMITS_COMPLETED, step=""),),
    ),
    Mutant(
        "gate-opens-too-early",
        "one signal less is enough",
        PLAN_RUN,
        (
            (
                "static_cast<int64_t>(accepted->AsArray().size()) >= step.wait_for_signal->count;",
                "static_cast<int64_t>(accepted->AsArray().size()) + 1 >= step.wait_for_signal->count;",
            ),
        ),
        (Expect("gate-met", CHANGING, "other-task", GATE_TIMER, step=""),),
    ),
    Mutant(
        "sleep-not-awaited",
        "a sleep step is over as soon as its timer has started",
        PLAN_RUN,
        (("  if (co_await timer) {\n", "  if (co_await wf::yield(), true) {\n"),),
        (Expect("sleep", CHANGING, "other-task", EMITS_COMPLETED, step="nap"),),
    ),
    Mutant(
        "dispatch-before-append",
        "steps are dispatched before StepStarted is durable",
        PLAN_RUN,
        (
            (
                "return !announced_.empty() && emitter_->Durable(announced_.front().ticket);",
                "return !announced_.empty();",
            ),
            (
                "while (!announced_.empty() && emitter_->Durable(announced_.front().ticket))",
                "while (!announced_.empty())",
            ),
        ),
        (Expect("chain", CHANGING, "order-changed", EMITS_STARTED, step="s1"),),
    ),
    Mutant(
        "condition-inverted",
        "runIf is taken the wrong way round",
        PLAN_RUN,
        (("  if (!ConditionsHold(step)) return", "  if (!step.run_if.empty() && ConditionsHold(step)) return"),),
        (Expect("condition-true", CHANGING, "missing-command", EMITS_COMPLETED, step="then"),),
    ),
    Mutant(
        "failure-mode-ignored",
        "any failed step stops the run",
        PLAN_RUN,
        (
            (
                "  return table_.facts.on_step_failure == plan::OnStepFailure::kFailRun && board_->count",
                "  return board_->count",
            ),
        ),
        (Expect("continue", CHANGING, "missing-command", EMITS_COMPLETED, step="more"),),
    ),
    Mutant(
        "gate-timeout-fails",
        "a gate that asks to skip its step fails it",
        PLAN_RUN,
        (
            (
                '    case plan::GateTimeout::kSkip: Skip(index, "GATE_TIMEOUT"); return;\n',
                "    case plan::GateTimeout::kSkip:\n",
            ),
        ),
        (
            Expect(
                "gate-timeout-skip",
                CHANGING,
                "surplus-command",
                'emitter_->Emit({.type = "StepStarted",\n                  .step_id = board_',
                step="s2",
            ),
        ),
    ),
    Mutant(
        "signal-handler-renamed",
        "the control signal pause is called halt",
        CONTROL,
        (('{"pause", &PlanRun::ApplyPause}', '{"halt", &PlanRun::ApplyPause}'),),
        (Expect("pause-twice", CHANGING, "missing-command", SCHEDULES_STEP, at_file=PLAN_RUN, step=""),),
    ),
    Mutant(
        "pause-ignored",
        "a paused run goes on starting steps",
        PLAN_RUN,
        (("    if (!paused_ && !failure_ && !rotating_) Pass();", "    if (!failure_ && !rotating_) Pass();"),),
        (Expect("pause-inside-step", CHANGING, "missing-command", EMITS_COMPLETED, step=""),),
    ),
    Mutant(
        "retry-without-new-attempt",
        "a retried step keeps its logical attempt",
        STEP_BOARD,
        (("  ++state.attempt;\n  MoveTo(index, Phase::kReady);", "  MoveTo(index, Phase::kReady);"),),
        (Expect("retry-step", CHANGING, "surplus-command", EMITS_STARTED, at_file=PLAN_RUN, step="flaky"),),
    ),
    Mutant(
        "retry-refused",
        "an operator's retry of a held step is dropped",
        CONTROL,
        (("  if (!state.reported_failed) return;\n", "  if (state.reported_failed) return;\n"),),
        (Expect("retry-step", CHANGING, "missing-command", EMITS_FAILED, at_file=PLAN_RUN),),
    ),
    Mutant(
        "continue-as-new-later",
        "rotation happens one step later",
        PLAN_RUN,
        (("settled >= policy.continue_steps", "settled > policy.continue_steps"),),
        (Expect("rotation-250", CHANGING, "surplus-command", SCHEDULES_STEP),),
    ),
    Mutant(
        "spins",
        "a pass never ends",
        PLAN_RUN,
        (("  ++passes_;\n", "  for (volatile bool on = true; on;) ++passes_;\n"),),
        (Expect("chain", CHANGING, "spinning", "co_await wf::yield();", step=""),),
    ),
    # --- identities of commands -------------------------------------------------------------------------------------
    Mutant(
        "activity-type-renamed",
        "steps are executed by another activity",
        PLAN_RUN,
        (('wf::execute_activity("executeStep"', 'wf::execute_activity("runStep"'),),
        (
            Expect(
                "chain", CHANGING, "field-changed", 'wf::execute_activity("runStep"', step="s1", field="activityType"
            ),
        ),
    ),
    Mutant(
        "local-activity-type-renamed",
        "events are appended by another local activity",
        EMITTER,
        (('wf::local_activity("emitEvents"', 'wf::local_activity("appendEvents"'),),
        (
            Expect(
                "chain", CHANGING, "field-changed", EMITS_RUN_STARTED, at_file=PLAN_RUN, step="", field="activityType"
            ),
        ),
    ),
    Mutant(
        "wrong-attempt-number",
        "the activity id counts attempts from 0",
        PLAN_RUN,
        (
            (
                '"step/" + step.step_id + "/" + std::to_string(state.attempt)',
                '"step/" + step.step_id + "/" + std::to_string(state.attempt - 1)',
            ),
        ),
        (Expect("chain", CHANGING, "command-changed", SCHEDULES_STEP, step="s1"),),
    ),
    # --- what the commands carry ------------------------------------------------------------------------------------
    Mutant(
        "activity-input-altered",
        "a step is told another attempt than its own",
        PLAN_RUN,
        (('{"logicalAttemptId", state.attempt},', '{"logicalAttemptId", state.attempt + 1},'),),
        (Expect("chain", PAYLOAD, "field-changed", SCHEDULES_STEP, step="s1", field="input"),),
    ),
    Mutant(
        "timer-altered",
        "a sleep takes a millisecond longer",
        PLAN_RUN,
        (('wf::timer(announced.params.GetInt("durationMs"))', 'wf::timer(announced.params.GetInt("durationMs") + 1)'),),
        (Expect("sleep", PAYLOAD, "field-changed", STARTS_SLEEP, field="startToFireTimeout"),),
    ),
    Mutant(
        "gate-timer-altered",
        "a gate waits a millisecond longer",
        PLAN_RUN,
        (
            (
                "state.gate_deadline = wf::now() + *gate.timeout_ms;",
                "state.gate_deadline = wf::now() + *gate.timeout_ms + 1;",
            ),
        ),
        (
            Expect("gate-timeout-skip", PAYLOAD, "field-changed", GATE_TIMER, field="startToFireTimeout"),
            Expect("gate-met", PAYLOAD, "field-changed", GATE_TIMER, field="startToFireTimeout"),
        ),
    ),
    Mutant(
        "hold-timer-altered",
        "held steps wait a millisecond longer",
        PLAN_RUN,
        (
            (
                "hold_deadline_ = wf::now() + table_.facts.hold_timeout_ms;",
                "hold_deadline_ = wf::now() + table_.facts.hold_timeout_ms + 1;",
            ),
        ),
        (Expect("hold-expired", PAYLOAD, "field-changed", HOLD_TIMER, field="startToFireTimeout"),),
    ),
    Mutant(
        "result-altered",
        "the result of the run counts one rotation too many",
        PLAN_RUN,
        (
            (
                '{"continuedAsNewCount", continued_as_new_count_}}));',
                '{"continuedAsNewCount", continued_as_new_count_ + 1}}));',
            ),
        ),
        (
            Expect("chain", PAYLOAD, "field-changed", ENDS_WELL, step="", field="result"),
            Expect("rotation-250", PAYLOAD, "field-changed", ENDS_WELL, step="", field="result"),
        ),
    ),
    Mutant(
        "task-queue-changed",
        "steps go to another task queue",
        PLAN_RUN,
        (("options.task_queue = announced.queue;", 'options.task_queue = announced.queue + "-v2";'),),
        (Expect("chain", PAYLOAD, "field-changed", SCHEDULES_STEP, step="s1", field="taskQueue"),),
    ),
    Mutant(
        "search-attribute-altered",
        "the status attribute has another word for running",
        PLAN_RUN,
        (('wf::upsert_attributes({{"runStatus", "RUNNING"}})', 'wf::upsert_attributes({{"runStatus", "STARTED"}})'),),
        (Expect("chain", PAYLOAD, "field-changed", 'wf::upsert_attributes({{"runStatus", "STARTED"}})', step=""),),
    ),
    Mutant(
        "cursor-altered",
        "a rotation hands on the wrong count",
        PLAN_RUN,
        (
            (
                "cursor.continued_as_new_count = continued_as_new_count_ + 1;",
                "cursor.continued_as_new_count = continued_as_new_count_ + 2;",
            ),
        ),
        (Expect("rotation-250", PAYLOAD, "field-changed", "wf::continue_as_new(", step="", field="input"),),
    ),
    Mutant(
        "event-payload-changed",
        "StepStarted names the step instead of its kind",
        PLAN_RUN,
        (
            (
                'Json payload = Json::MakeObject({{"kind", board_->step(index).kind}});',
                'Json payload = Json::MakeObject({{"kind", board_->step(index).step_id}});',
            ),
        ),
        (Expect("chain", PAYLOAD, "event-changed", EMITS_STARTED, step="s1", field="payload.kind"),),
    ),
    Mutant(
        "error-category-changed",
        "errors without a category are the platform's",
        ERRORS,
        (('  return "USER";\n', '  return "PLATFORM";\n'),),
        (
            Expect(
                "non-retryable-failure",
                PAYLOAD,
                "event-changed",
                EMITS_RUN_FAILED,
                at_file=PLAN_RUN,
                step="",
                field="payload.error.category",
            ),
        ),
    ),
    Mutant(
        "random-drawn-twice",
        "every event takes two random numbers",
        EMITTER,
        (("  const state::EventWrite event = Build(", "  (void)wf::uuid4();\n  const state::EventWrite event = Build("),),
        (Expect("chain", PAYLOAD, "event-changed", EMITS_RUN_STARTED, at_file=PLAN_RUN, step="", field="eventId"),),
    ),
    Mutant(
        "wall-clock",
        "events are stamped by the clock of the machine",
        EMITTER,
        (("FormatUtcMillis(wf::now())", "FormatUtcMillis(std::time(nullptr) * UnixMillis{1000})"),),
        (Expect("chain", PAYLOAD, "event-changed", EMITS_RUN_STARTED, at_file=PLAN_RUN, step="", field="emittedAt"),),
        includes=("<ctime>",),
    ),
    # --- numbers that only drift ------------------------------------------------------------------------------------
    Mutant(
        "retry-number-altered",
        "steps get one attempt more",
        PLAN_RUN,
        (("retry.max_attempts = step.retry.max_attempts;", "retry.max_attempts = step.retry.max_attempts + 1;"),),
        (
            Expect(
                "retries", DRIFT, "field-changed", SCHEDULES_STEP, step="before", field="retryPolicy.maximumAttempts"
            ),
        ),
    ),
    Mutant(
        "retry-codes-altered",
        "an error that was never retried may be retried",
        PLAN_RUN,
        (('                                    "PLAN_URI_NOT_ALLOWED",\n', ""),),
        (
            Expect(
                "chain",
                DRIFT,
                "field-changed",
                'wf::execute_activity("fetchPlan"',
                step="",
                field="retryPolicy.nonRetryableErrorTypes",
            ),
        ),
    ),
    Mutant(
        "total-timeout-altered",
        "steps get a second more in total",
        PLAN_RUN,
        (
            (
                "options.schedule_to_close_ms = step.timeouts.total_ms;",
                "options.schedule_to_close_ms = step.timeouts.total_ms + 1'000;",
            ),
        ),
        (Expect("chain", DRIFT, "field-changed", SCHEDULES_STEP, step="s1", field="scheduleToCloseTimeout"),),
    ),
    Mutant(
        "validate-timeout-altered",
        "the check of the plan gets a second more",
        PLAN_RUN,
        (("kValidateStartToCloseMs = 10'000;", "kValidateStartToCloseMs = 11'000;"),),
        (
            Expect(
                "chain",
                DRIFT,
                "field-changed",
                'wf::execute_activity(\n      "validatePlan"',
                step="",
                field="startToCloseTimeout",
            ),
        ),
    ),
    # --- the projector behind the interpreter -----------------------------------------------------------------------
    Mutant(
        "projector-altered",
        "the snapshot does not take over how often the engine tried",
        PROJECTOR,
        (("  attempt.engine_attempt_id = record.engine_attempt_id;\n", "  attempt.engine_attempt_id = 1;\n"),),
        (Expect("retries", SNAPSHOT, "snapshot-changed", EMITS_COMPLETED, at_file=PLAN_RUN),),
    ),
]
