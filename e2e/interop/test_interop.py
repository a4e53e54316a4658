"""Two implementations of the same workflows, one in Python on the official SDK and one in C++ on this runtime, are run by the
same client script against one server. Both sides must come to the same outcomes; each side's histories must replay on the
other; and each calls the other's activities and child workflows."""

import asyncio
import contextlib
import datetime
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.nexus.v1 import EndpointSpec, EndpointTarget
from temporalio.api.operatorservice.v1 import CreateNexusEndpointRequest
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowHistory, WorkflowHistoryEventFilterType, WorkflowUpdateFailedError
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError
from temporalio.worker import Replayer, Worker

import workflows

LOCKSTEP = os.environ["LOCKSTEP_BIN"]
LIBRARY = os.environ["LOCKSTEP_INTEROP_LIBRARY"]
CLIENT = os.environ["LOCKSTEP_INTEROP_CLIENT"]
TEMPORAL = os.environ["LOCKSTEP_TEMPORAL_BIN"]
KEEP = os.environ.get("LOCKSTEP_INTEROP_KEEP")  # a folder that keeps the histories, for people

SIDES = ("py", "cpp")  # names of the queues, and of who serves them


def other(side):
    return "cpp" if side == "py" else "py"


def cause_of(error):
    """What an error says, without where it was raised."""
    chain = []
    while error is not None:
        if isinstance(error, FailureError):
            chain.append([type(error).__name__, str(error.message), getattr(error, "type", None)])
        error = error.cause if isinstance(error, (FailureError, WorkflowFailureError, WorkflowUpdateFailedError)) else None
    return chain


# --- client scripts: what the world does to each workflow while it runs -----------------------------------------------------
async def updated(handle, name, argument):
    try:
        return await handle.execute_update(name, argument)
    except WorkflowUpdateFailedError as error:
        return cause_of(error)


async def until(ask, expected):
    for _ in range(400):
        with contextlib.suppress(Exception):
            if await ask() == expected:
                return
        await asyncio.sleep(0.02)
    raise AssertionError(f"never became {expected}")


async def open_late(run, handle):
    await until(lambda: handle.query("waiting"), True)
    await handle.signal("open")


async def send_mail(run, handle):
    await handle.signal("letter", args=["one", 1])
    await handle.signal("work", 4)
    await handle.signal("letter", args=["two", 2])
    run.said.append(await handle.query("count"))
    run.said.append(await handle.query("nth", 1))
    with contextlib.suppress(Exception):
        run.said.append(["unexpected", await handle.query("nth", 9)])
    with contextlib.suppress(Exception):
        run.said.append(["unexpected", await handle.query("nothing")])
    await handle.signal("work", 3)
    await handle.signal("close")


async def use_account(run, handle):
    run.said.append(await updated(handle, "deposit", 100))
    run.said.append(await updated(handle, "deposit", -5))
    run.said.append(await updated(handle, "invest", 10))
    run.said.append(await updated(handle, "invest", 10))
    await handle.signal("fee", 2)
    run.said.append(await updated(handle, "deposit", 1))
    run.said.append(await updated(handle, "invest", 100_000))
    run.said.append(await handle.query("current"))
    await handle.signal("close")


async def many_messages(run, handle):
    """Signals and updates at the same time, in whatever order the server brings them."""
    await asyncio.gather(*[updated(handle, "deposit", i + 1) for i in range(6)], *[handle.signal("fee", 1) for _ in range(6)],
                         updated(handle, "deposit", 0), updated(handle, "deposit", -1))
    run.said.append(await handle.query("current"))
    await handle.signal("close")


async def cancel_it(run, handle):
    await until(lambda: pending(handle), 1)
    await handle.cancel()


async def pending(handle):
    return len((await handle.describe()).raw_description.pending_activities)


class Run:
    """One workflow on one side."""

    def __init__(self, suite, case, side):
        self.suite, self.case, self.side = suite, case, side
        self.id = f"{case.key}-{side}"
        self.said = []
        self.outcome = None

    async def go(self):
        args = [value(self) if callable(value) else value for value in self.case.args]
        handle = await self.suite.client.start_workflow(
            self.case.workflow, args=args, id=self.id, task_queue=self.side, run_timeout=datetime.timedelta(seconds=60), **self.case.options)
        if self.case.script:
            await self.case.script(self, handle)
        try:
            self.outcome = await asyncio.wait_for(handle.result(), 40)
        except WorkflowFailureError as error:
            self.outcome = cause_of(error)


class Case:
    def __init__(self, workflow, *args, script=None, expect=None, key=None, **options):
        self.workflow, self.args, self.script, self.expect, self.options = workflow, args, script, expect, options
        self.key = key or workflow.replace("_", "-")


def queue(run):
    return run.side


FAILED_ACTIVITY = ["ActivityError", "Activity task failed", None]
CASES = [
    Case("greet", "you", expect="Hello, you!"),
    Case("fan_out", 4, expect=[0, 2, 4, 6, 2]),
    Case("fails_by_activity", "no", expect=[FAILED_ACTIVITY, ["ApplicationError", "refused: no", "REFUSED"]]),
    Case("fails_by_itself", True, expect=[["ApplicationError", "gave up after REFUSED", "GAVE_UP"], FAILED_ACTIVITY,
                                          ["ApplicationError", "refused: caught", "REFUSED"]]),
    Case("timers", script=open_late, expect=["slept", "timed out", "opened"]),
    Case("mailbox", script=send_mail, expect={"letters": ["one:1", "two:2"], "doubled": [6, 8]}),
    Case("account", script=use_account, expect=119),
    Case("account", key="account-storm", script=many_messages, expect=15),
    Case("parent", queue, expect=["HELLO", "CHILD_FAILED", "already started"]),
    Case("steering_parent", queue, expect=["well done", "CancelledError"]),
    Case("messenger", lambda run: f"friend-{run.side}", lambda run: f"foe-{run.side}", expect=["signalled", "cancelled", "nobody there"]),
    Case("counter", 2, 0, expect=3),
    Case("labelled", "tea", expect="tea"),
    Case("patched_flow", expect=["New, way!", "True"]),
    Case("local_work", expect=["Near, by!", 2, 4, "REFUSED", 2]),
    Case("nexus_caller", "calculator", expect=[42, "ApplicationError", "CancelledError"]),
    Case("cancellable", script=cancel_it, expect=[["CancelledError", "Workflow cancelled", None]]),
    Case("stopwatch", expect="CancelledError"),
    Case("second_chance", expect=2, retry_policy=RetryPolicy(initial_interval=datetime.timedelta(milliseconds=50))),
    Case("relay", lambda run: other(run.side), expect=[10, "OVER THERE"]),
]


class Suite:
    """Runs everything once; the tests look at what came of it."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-interop-"))
        self.processes = []
        self.runs = []
        self.histories = {side: {} for side in SIDES}  # by workflow id and run id
        self.errors = []
        self.schedule_outcomes = {}

    def start(self, name, *command):
        log = open(self.folder / f"{name}.log", "w")
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT, text=True)
        self.processes.append((process, log))
        return process

    def stop(self):
        for process, log in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def connect(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self.start("server", TEMPORAL, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", port, "--log-level", "error",
                   "--search-attribute", "CustomKeywordField=Keyword", "--search-attribute", "CustomIntField=Int")
        for _ in range(300):
            try:
                self.client = await Client.connect(self.address)
                break
            except Exception:
                await asyncio.sleep(0.1)
        target = EndpointTarget()
        target.worker.namespace, target.worker.task_queue = "default", "py"
        await self.client.operator_service.create_nexus_endpoint(
            CreateNexusEndpointRequest(spec=EndpointSpec(name="calculator", target=target)))

    def python_worker(self):
        return Worker(self.client, task_queue="py", workflows=workflows.WORKFLOWS, activities=workflows.ACTIVITIES,
                      nexus_service_handlers=[workflows.CalculatorHandler()])

    def client_program(self, *words):
        done = subprocess.run([CLIENT, self.address, *[str(word) for word in words]], capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f"client {words}: {done.stderr}")
        return json.loads(done.stdout)

    async def run(self):
        await self.connect()
        self.start("worker", LOCKSTEP, "worker", "--temporal", self.address, "--state", self.folder / "state", "--queue", "cpp",
                   "--workflows", LIBRARY)
        async with self.python_worker():
            for side in SIDES:
                for name in ("friend", "foe"):
                    await self.client.start_workflow("patient_child", id=f"{name}-{side}", task_queue=side)
            self.runs = [Run(self, case, side) for case in CASES for side in SIDES]
            await asyncio.gather(*[self.guard(run.go(), run.id) for run in self.runs], self.guard(self.reset(), "reset"),
                                 self.guard(self.serve_cpp_client(), "client"), *[self.guard(self.schedule(side), "schedule") for side in SIDES])
            for side in SIDES:
                await self.client.get_workflow_handle(f"steering-parent-{side}/left").signal("stop", "end")
            await self.fetch()

    async def guard(self, work, name):
        try:
            await work
        except Exception as error:  # the tests tell; the others go on
            self.errors.append(f"{name}: {type(error).__name__}: {error}")

    # A run goes back to before its close signal and ends again; updates that it had accepted are applied again.
    async def reset(self):
        self.reset_results = {}
        for side in SIDES:
            handle = await self.client.start_workflow("account", id=f"reset-{side}", task_queue=side)
            await handle.execute_update("deposit", 10)
            await handle.signal("fee", 1)
            await until(lambda: handle.query("current"), 9)
            await handle.execute_update("invest", 4)
            await handle.signal("close")
            first = await handle.result()
            history = await handle.fetch_history()
            point = next(e.event_id for e in history.events if e.HasField("workflow_task_completed_event_attributes"))
            response = await self.client.workflow_service.reset_workflow_execution(ResetWorkflowExecutionRequest(
                namespace="default", workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=handle.result_run_id),
                reason="try again", workflow_task_finish_event_id=point, request_id=f"again-{side}"))
            again = await asyncio.wait_for(self.client.get_workflow_handle(handle.id, run_id=response.run_id).result(), 30)
            self.reset_results[side] = [first, again]

    # A chain of four runs by a cron schedule, the third of which fails.
    async def schedule(self, side):
        handle = await self.client.start_workflow("tally", id=f"tally-{side}", task_queue=side, cron_schedule="@every 1s",
                                                  run_timeout=datetime.timedelta(seconds=60))
        run_id, outcomes = handle.first_execution_run_id, []
        while len(outcomes) < 4:
            run = self.client.get_workflow_handle(handle.id, run_id=run_id)
            events = run.fetch_history_events(wait_new_event=True, event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT)
            last = [event async for event in events][-1]
            closed = last.workflow_execution_continued_as_new_event_attributes
            if closed.HasField("failure"):
                outcomes.append(closed.failure.application_failure_info.type)
            else:
                outcomes.append(json.loads(closed.last_completion_result.payloads[0].data))
            run_id = closed.new_execution_run_id
        await self.client.get_workflow_handle(handle.id, run_id=run_id).terminate()
        self.schedule_outcomes[side] = outcomes

    # The other direction: a C++ program steers workflows that a Python worker serves.
    async def serve_cpp_client(self):
        def steer():
            said = [self.client_program("start", "mailbox", "by-cpp-mail", "py")]
            self.client_program("signal", "by-cpp-mail", "letter", "a", 1)
            self.client_program("signal", "by-cpp-mail", "letter", "b", 2)
            said.append(self.client_program("query", "by-cpp-mail", "count"))
            self.client_program("signal", "by-cpp-mail", "close")
            said.append(self.client_program("result", "by-cpp-mail"))
            self.client_program("start", "account", "by-cpp-account", "py")
            said.append(self.client_program("update", "by-cpp-account", "deposit", 7))
            said.append(self.client_program("update", "by-cpp-account", "deposit", -7))
            self.client_program("signal", "by-cpp-account", "close")
            said.append(self.client_program("result", "by-cpp-account"))
            said.append(self.client_program("reset", "by-cpp-account", 4))
            self.client_program("start", "patient_child", "by-cpp-patient", "py")
            self.client_program("cancel", "by-cpp-patient")
            said.append(self.client_program("result", "by-cpp-patient"))
            return said

        self.client_said = await asyncio.to_thread(steer)

    async def fetch(self):
        for _ in range(100):
            found = [execution async for execution in self.client.list_workflows()]
            if all(execution.close_time for execution in found) and len(found) >= 2 * len(CASES):
                break
            await asyncio.sleep(0.1)
        for execution in found:
            history = await self.client.get_workflow_handle(execution.id, run_id=execution.run_id).fetch_history()
            if not any(event.HasField("workflow_task_completed_event_attributes") for event in history.events):
                continue  # the last of a schedule, terminated before its time came
            side = history.events[0].workflow_execution_started_event_attributes.task_queue.name
            self.histories[side][f"{execution.id}@{execution.run_id}"] = history
            for folder in filter(None, (self.folder, KEEP)):
                path = pathlib.Path(folder) / "histories" / side / f"{execution.id.replace('/', '-')}-{execution.run_id[-6:]}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(history.to_json())


def setUpModule():
    global suite
    suite = Suite()
    try:
        asyncio.run(asyncio.wait_for(suite.run(), 150))
    except BaseException as error:
        logs = "".join(path.read_text()[-3000:] for path in suite.folder.glob("*.log"))
        suite.stop()
        raise AssertionError(f"the suite did not run: {type(error).__name__} {error}\n{suite.errors}\n{logs}") from error
    finally:
        pass


def tearDownModule():
    suite.stop()


# Every command a Python workflow can issue shows as one of these events.
COMMAND_EVENTS = {
    "activity_task_scheduled", "activity_task_cancel_requested", "timer_started", "timer_canceled", "marker_recorded",
    "start_child_workflow_execution_initiated", "signal_external_workflow_execution_initiated",
    "request_cancel_external_workflow_execution_initiated", "upsert_workflow_search_attributes", "workflow_properties_modified",
    "workflow_execution_update_accepted", "workflow_execution_update_completed", "nexus_operation_scheduled",
    "nexus_operation_cancel_requested",
    "workflow_execution_completed", "workflow_execution_failed", "workflow_execution_canceled", "workflow_execution_continued_as_new",
}


class InteropTest(unittest.TestCase):
    maxDiff = None

    def test_nothing_went_wrong_on_the_way(self):
        self.assertEqual(suite.errors, [])

    def test_both_sides_come_to_the_expected_outcome(self):
        for run in suite.runs:
            with self.subTest(run=run.id):
                self.assertEqual(run.outcome, run.case.expect)

    def test_both_sides_answer_the_client_alike(self):
        for py, cpp in zip(suite.runs[::2], suite.runs[1::2]):
            with self.subTest(case=py.case.key):
                self.assertEqual(py.said, cpp.said)

    def test_both_sides_used_every_command(self):
        for side in SIDES:
            seen = {event.WhichOneof("attributes").removesuffix("_event_attributes")
                    for history in suite.histories[side].values() for event in history.events}
            self.assertEqual(COMMAND_EVENTS - seen, set(), side)

    def test_reset_runs_end_alike(self):
        self.assertEqual(suite.reset_results["py"], suite.reset_results["cpp"])

    def test_scheduled_runs_see_what_the_run_before_came_to(self):
        for side in SIDES:
            self.assertEqual(suite.schedule_outcomes.get(side), [1, 2, "TIRED", 12], side)

    def test_a_cpp_client_steers_python_workflows(self):
        self.assertEqual(suite.client_said[1:5], [2, {"letters": ["a:1", "b:2"], "doubled": []}, 7, {"failed": "BAD_AMOUNT"}])
        self.assertEqual(suite.client_said[5], 7)
        self.assertEqual(suite.client_said[7], {"cancelled": True})

    def test_python_histories_replay_in_cpp(self):
        self.replay_in_cpp("py")

    def test_cpp_histories_replay_in_cpp(self):
        self.replay_in_cpp("cpp")

    def replay_in_cpp(self, side):
        self.assertGreaterEqual(len(suite.histories[side]), len(CASES))
        done = subprocess.run([LOCKSTEP, "replay", str(suite.folder / "histories" / side), "--workflows", LIBRARY, "--strict",
                               "--format", "json"], capture_output=True, text=True, timeout=60)
        report = json.loads(done.stdout)
        for history in report["histories"]:
            with self.subTest(history=pathlib.Path(history["path"]).name):
                self.assertEqual(history["verdict"], "IDENTICAL", json.dumps(history.get("divergences", history.get("error")), indent=1))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_cpp_histories_replay_in_python(self):
        asyncio.run(self.replay_in_python("cpp"))

    def test_python_histories_replay_in_python(self):
        asyncio.run(self.replay_in_python("py"))

    async def replay_in_python(self, side):
        replayer = Replayer(workflows=workflows.WORKFLOWS)
        for key, history in suite.histories[side].items():
            with self.subTest(history=key):
                result = await replayer.replay_workflow(WorkflowHistory(key.split("@")[0], history.events), raise_on_replay_failure=False)
                self.assertIsNone(result.replay_failure)

    # The comparison is not blind: what another argument would have done is found, on the other side's histories too.
    def test_a_changed_history_does_not_replay_in_cpp(self):
        # Runs come in the order in which the server lists them: any relay that has handed an argument to an activity will do.
        def arguments(history):
            return [e["activityTaskScheduledEventAttributes"]["input"]["payloads"][0] for e in history["events"]
                    if e.get("activityTaskScheduledEventAttributes", {}).get("input")]

        relays = [json.loads(value.to_json()) for key, value in suite.histories["py"].items() if key.startswith("relay")]
        changed = next(history for history in relays if arguments(history))
        arguments(changed)[0]["data"] = "Njc="  # 67
        path = suite.folder / "changed.json"
        path.write_text(json.dumps(changed))
        done = subprocess.run([LOCKSTEP, "replay", str(path), "--workflows", LIBRARY, "--format", "json"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stderr)
        divergence = json.loads(done.stdout)["histories"][0]["divergences"][0]
        self.assertTrue(divergence["field"].startswith("input"), divergence)


if __name__ == "__main__":
    unittest.main()
