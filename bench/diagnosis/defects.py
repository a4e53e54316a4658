"""Seeded defects beyond the mutants of e2e/mutants: one wrong edit of the interpreter each, of the kinds that workflow code goes wrong by.

`edits` are pairs of text; the first of a pair stands in the source exactly once. The right line of a defect is a line that an edit
changed; where an edit only removes, the line before or after it. `record` is a folder of fixtures/histories that the defect must
make diverge.
"""

import dataclasses

PLAN_RUN = "engine-core/interpreter/plan_run.cpp"
CONTROL = "engine-core/interpreter/control.cpp"
EMITTER = "engine-core/interpreter/emitter.cpp"
STEP_BOARD = "engine-core/interpreter/step_board.cpp"


@dataclasses.dataclass(frozen=True)
class Defect:
    name: str
    kind: str  # one of KINDS
    what: str
    file: str
    edits: tuple
    record: str
    includes: tuple = ()
    base: tuple = ()  # edits that make the text that was in step, where that is not the file as it stands


DISPATCH_INPUT = '{"logicalAttemptId", state.attempt},'
STEP_KIND = 'Json payload = Json::MakeObject({{"kind", board_->step(index).kind}});'

DEFECTS = [
    Defect(
        "hash-order-of-dependencies",
        "hash order",
        "artifacts of dependencies are gathered in the order of a hash table, and so is the pass",
        PLAN_RUN,
        (
            (
                "  for (const uint32_t index : std::vector<uint32_t>(board_->gated().begin(), board_->gated().end())) {\n",
                "  std::unordered_set<std::string> names;\n"
                "  for (const uint32_t index : board_->ready()) names.insert(board_->step(index).step_id);\n"
                "  for (const std::string& name : names) {\n"
                "    if (board_->in_flight().size() < static_cast<size_t>(table_.facts.max_parallelism)) Announce(*board_->IndexOf(name));\n"
                "  }\n"
                "  for (const uint32_t index : std::vector<uint32_t>(board_->gated().begin(), board_->gated().end())) {\n",
            ),
            (
                "  while (!board_->eligible().empty() && !StartsNothing()) Judge(*board_->eligible().begin());\n",
                "  while (!board_->eligible().empty() && !StartsNothing()) Judge(*board_->eligible().begin());\n"
                "  std::unordered_set<std::string> ready_names;\n"
                "  for (const uint32_t index : board_->ready()) ready_names.insert(board_->step(index).step_id);\n"
                "  for (const std::string& name : ready_names) {\n"
                "    if (board_->in_flight().size() < static_cast<size_t>(table_.facts.max_parallelism)) Announce(*board_->IndexOf(name));\n"
                "  }\n",
            ),
        ),
        "fan-out-64",
        ("<unordered_set>",),
    ),
    Defect(
        "pointer-order",
        "hash order",
        "ready steps start in the order of their addresses, the highest first",
        PLAN_RUN,
        (
            (
                "    Announce(*board_->ready().begin());",
                "    const plan::Step* last = nullptr;\n"
                "    for (const uint32_t index : board_->ready()) last = std::max(last, &board_->step(index));\n"
                "    Announce(*board_->IndexOf(last->step_id));",
            ),
        ),
        "diamond",
    ),
    Defect(
        "clock-in-timer",
        "time",
        "a sleep step takes the clock of the machine into account",
        PLAN_RUN,
        (
            (
                'wf::timer(announced.params.GetInt("durationMs"))',
                'wf::timer(announced.params.GetInt("durationMs") + std::time(nullptr) % 50 + 1)',
            ),
        ),
        "sleep",
        ("<ctime>",),
    ),
    Defect(
        "clock-in-input",
        "time",
        "a step's input says when the machine dispatched it",
        PLAN_RUN,
        (
            (
                DISPATCH_INPUT,
                DISPATCH_INPUT
                + '\n                           {"sentAt", std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count()},',
            ),
        ),
        "chain",
        ("<chrono>",),
    ),
    Defect(
        "clock-decides",
        "time",
        "a gate that has waited too long by the machine's clock is open",
        PLAN_RUN,
        (
            (
                "  const Json* accepted = signals_.Find(step.wait_for_signal->name);\n  return accepted",
                "  const Json* accepted = signals_.Find(step.wait_for_signal->name);\n"
                "  if (std::time(nullptr) * 1000 > wf::now() + 60'000) return true;\n  return accepted",
            ),
        ),
        "gate-met",
        ("<ctime>",),
    ),
    Defect(
        "random-in-input",
        "random",
        "a step's input carries a number of the operating system's generator",
        PLAN_RUN,
        (
            (
                DISPATCH_INPUT,
                DISPATCH_INPUT
                + '\n                           {"nonce", static_cast<int64_t>(std::random_device{}() & 0xffff)},',
            ),
        ),
        "chain",
        ("<random>",),
    ),
    Defect(
        "random-backoff",
        "random",
        "the retry interval is spread by rand()",
        PLAN_RUN,
        (
            (
                "  retry.initial_interval_ms = step.retry.initial_interval_ms;",
                "  retry.initial_interval_ms = step.retry.initial_interval_ms + 1 + std::rand() % 100;",
            ),
        ),
        "retries",
        ("<cstdlib>",),
    ),
    Defect(
        "global-counter",
        "global",
        "a counter of the process numbers the attempts",
        PLAN_RUN,
        (
            (
                'options.activity_id = "step/" + step.step_id + "/" + std::to_string(state.attempt);',
                "static int dispatched = 0;\n"
                '  options.activity_id = "step/" + step.step_id + "/" + std::to_string(state.attempt + dispatched++);',
            ),
        ),
        "chain",
    ),
    Defect(
        "global-cache",
        "global",
        "an answer kept for the process stands in for the first step's queue",
        PLAN_RUN,
        (
            (
                "  options.task_queue = announced.queue;",
                "  static const std::string kept = announced.queue + \"-\" + step.step_id;\n  options.task_queue = kept;",
            ),
        ),
        "chain",
    ),
    Defect(
        "thread-result",
        "thread",
        "a thread of its own computes how long a step may wait for a worker",
        PLAN_RUN,
        (
            (
                "  options.schedule_to_start_ms = step.timeouts.queue_ms.value_or(0);",
                "  std::thread worker([&] { options.schedule_to_start_ms = 1 + static_cast<int64_t>(std::hash<std::thread::id>()(std::this_thread::get_id()) % 1000); });\n"
                "  worker.join();",
            ),
        ),
        "chain",
        ("<thread>",),
    ),
    Defect(
        "environment-variable",
        "environment",
        "the queue of steps can be set in the environment",
        PLAN_RUN,
        (
            (
                "  options.task_queue = announced.queue;",
                '  const char* zone = std::getenv("TZ");\n'
                '  options.task_queue = announced.queue + (zone != nullptr ? zone : "-utc");',
            ),
        ),
        "chain",
        ("<cstdlib>",),
    ),
    Defect(
        "locale-dependent-text",
        "locale",
        "numbers in ids are written as the locale of the machine writes them",
        PLAN_RUN,
        (
            (
                'options.activity_id = "step/" + step.step_id + "/" + std::to_string(state.attempt);',
                "char number[32];\n"
                '  std::snprintf(number, sizeof(number), "%.1f", static_cast<double>(state.attempt));\n'
                '  options.activity_id = "step/" + step.step_id + "/" + number;',
            ),
        ),
        "chain",
        ("<cstdio>",),
    ),
    Defect(
        "float-arithmetic",
        "float",
        "a sleep is computed in floating point and cut",
        PLAN_RUN,
        (
            (
                'wf::timer(announced.params.GetInt("durationMs"))',
                'wf::timer(static_cast<int64_t>(static_cast<float>(announced.params.GetInt("durationMs")) * 0.7F / 0.7F * 0.999F))',
            ),
        ),
        "sleep",
    ),
    Defect(
        "swallowed-cancellation",
        "swallowed cancellation",
        "a cancelled run is not noticed",
        PLAN_RUN,
        (
            (
                "    cancelled = true;  // the one place where it is caught (section 7.2)\n",
                "    cancelled = false;\n",
            ),
        ),
        "cancel-running",
    ),
    Defect(
        "cancellation-as-failure",
        "swallowed cancellation",
        "cancellation is caught with all other exceptions",
        PLAN_RUN,
        (
            (
                "  } catch (const wf::Cancelled&) {\n    cancelled = true;  // the one place where it is caught (section 7.2)\n  } catch (const std::exception& error) {",
                "  } catch (const std::exception& error) {",
            ),
        ),
        "cancel-running",
    ),
    Defect(
        "lost-signal",
        "lost signal",
        "only the newest request of a task is kept",
        CONTROL,
        (
            (
                "  control_.push_back({std::move(kind), std::move(*body)});\n",
                "  control_.clear();\n  if (control_.empty() && kind != kCustomSignal) control_.push_back({std::move(kind), std::move(*body)});\n",
            ),
        ),
        "gate-met",
    ),
    Defect(
        "resume-ignored",
        "lost signal",
        "a resume that comes while the pause is under way is dropped",
        CONTROL,
        (("    if (!pause_requested_) return;\n    pause_requested_ = false;\n", "    if (pause_requested_) return;\n    pause_requested_ = false;\n"),),
        "pause-and-resume-at-once",
    ),
    Defect(
        "signal-order",
        "order",
        "requests are applied newest first",
        CONTROL,
        (
            (
                "    const Control request = std::move(control_.front());\n    control_.pop_front();\n",
                "    const Control request = std::move(control_.back());\n    control_.pop_back();\n",
            ),
        ),
        "pause-and-resume-at-once",
    ),
    Defect(
        "gate-of-a-new-command",
        "missing gate",
        "a new marker at the start of every run, without a gate",
        PLAN_RUN,
        (
            (
                "    EmitRunStarted();\n",
                '    wf::upsert_attributes({{"runOwner", "engine"}});\n    EmitRunStarted();\n',
            ),
        ),
        "chain",
    ),
    Defect(
        "gate-of-a-new-wait",
        "missing gate",
        "a new pause before the first step, without a gate",
        PLAN_RUN,
        (
            (
                "  steps_scope_.emplace();\n",
                "  co_await wf::sleep(5);\n  steps_scope_.emplace();\n",
            ),
        ),
        "chain",
    ),
    Defect(
        "gate-id-renamed",
        "retired gate",
        "the change id of a gate has another name",
        PLAN_RUN,
        (
            (
                "  if (wf::get_version(\"snapshot-on-every-end\"",
                "  if (wf::get_version(\"snapshot-at-every-end\"",
            ),
        ),
        "cancel-running",
    ),
    Defect(
        "uninitialized-value",
        "undefined behaviour",
        "an attempt number is read from memory that nobody wrote",
        PLAN_RUN,
        (
            (
                DISPATCH_INPUT,
                '{"logicalAttemptId", static_cast<int64_t>(*std::make_unique_for_overwrite<volatile unsigned char[]>(24).get()) + 100},',
            ),
        ),
        "chain",
    ),
    Defect(
        "null-dereference",
        "undefined behaviour",
        "the first failure of a step reads through a null pointer",
        PLAN_RUN,
        (
            (
                "  state.message = error.message;\n",
                "  const volatile int* nothing = nullptr;\n  state.message = error.message + std::to_string(*nothing);\n",
            ),
        ),
        "retry-step",
    ),
    Defect(
        "step-never-settles",
        "result",
        "a successful step does not open those that depend on it",
        STEP_BOARD,
        (("    if (--waiting.open_dependencies == 0 && waiting.phase == Phase::kWaiting) MoveTo(dependent, Phase::kEligible);", "    if (--waiting.open_dependencies < 0 && waiting.phase == Phase::kWaiting) MoveTo(dependent, Phase::kEligible);"),),
        "chain",
    ),
    Defect(
        "batch-of-events-smaller",
        "order",
        "events are appended one at a time",
        EMITTER,
        (("    while (!queue_.empty() && count < kMaxBatch) {", "    while (!queue_.empty() && count < std::min<uint64_t>(1, kMaxBatch)) {"),),
        "fan-out-64",
    ),
]

# What kind of defect each mutant of e2e/mutants is.
KIND_OF_MUTANT = {
    "swapped-commands": "order",
    "unordered-map": "hash order",
    "dispatch-reversed": "order",
    "dispatch-before-append": "order",
    "never-completes": "result",
    "version-gate-removed": "retired gate",
    "version-gate-old-side-removed": "retired gate",
    "version-gate-new-side-removed": "retired gate",
    "wall-clock": "time",
    "random-drawn-twice": "random",
    "signal-handler-renamed": "lost signal",
    "pause-ignored": "lost signal",
    "activity-type-renamed": "type",
    "local-activity-type-renamed": "type",
    "wrong-attempt-number": "type",
    "activity-input-altered": "input",
    "task-queue-changed": "input",
    "cursor-altered": "input",
    "timer-altered": "timer",
    "gate-timer-altered": "timer",
    "hold-timer-altered": "timer",
    "result-altered": "result",
    "retry-number-altered": "time-out",
    "retry-codes-altered": "time-out",
    "total-timeout-altered": "time-out",
    "validate-timeout-altered": "time-out",
    "projector-altered": "snapshot",
    "spins": "endless loop",
}
