"""Records the histories of this folder from real runs: a Temporal development server, the official Python SDK, the CLI.

    build/venv/bin/python replay/history/testdata/record_histories.py [OUT]

Starts its own server on a free loopback port and stops it. For every run it keeps what `temporal workflow show
--output json` prints (NAME.cli.json); for some also `--output jsonl`, the Python SDK's
`WorkflowHistory.to_json()` and the messages as protobuf binary, so that tests can hold the forms against each other.
The failure converter keeps stack traces out, because they would name folders of the machine that recorded.
"""

import asyncio
import dataclasses
import pathlib
import socket
import subprocess
import sys
import uuid
from dataclasses import dataclass
from datetime import timedelta

import nexusrpc
import temporalio.api.common.v1 as common
import temporalio.api.enums.v1 as enums
import temporalio.api.failure.v1 as failure_messages
import temporalio.api.history.v1 as history_messages
import temporalio.api.nexus.v1 as nexus_messages
import temporalio.api.operatorservice.v1 as operator
import temporalio.api.workflowservice.v1 as service
from temporalio import activity, nexus, workflow
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.common import RetryPolicy, SearchAttributeKey, TypedSearchAttributes, SearchAttributePair
from temporalio.converter import DataConverter, DefaultFailureConverter
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

QUEUE = "recording"
KEYWORD = SearchAttributeKey.for_keyword("RecordedKeyword")


def drop_stack_traces(failure: failure_messages.Failure) -> None:
    failure.stack_trace = ""
    if failure.HasField("cause"):
        drop_stack_traces(failure.cause)


class PortableFailureConverter(DefaultFailureConverter):
    def to_failure(self, exception, payload_converter, failure) -> None:
        super().to_failure(exception, payload_converter, failure)
        drop_stack_traces(failure)


CONVERTER = dataclasses.replace(DataConverter.default, failure_converter_class=PortableFailureConverter)


@dataclass
class Parcel:
    name: str
    weight: float
    tags: list[str]
    raw: str | None = None


@activity.defn(name="weigh")
async def weigh(parcel: Parcel) -> Parcel:
    return Parcel(parcel.name, parcel.weight * 2, parcel.tags + ["weighed"], "ü€😀 \"quoted\" \\ / </script>")


@activity.defn(name="raw_bytes")
async def raw_bytes(data: bytes) -> bytes:
    return data[::-1]


@activity.defn(name="break_twice")
async def break_twice() -> str:
    if activity.info().attempt < 3:
        raise ApplicationError("not yet", {"attempt": activity.info().attempt}, type="NotYet")
    return "third time"


@activity.defn(name="always_broken")
async def always_broken() -> None:
    raise ApplicationError("broken for good", type="Broken", non_retryable=True)


@activity.defn(name="too_slow")
async def too_slow() -> None:
    await asyncio.sleep(5)


@activity.defn(name="beat_until_canceled")
async def beat_until_canceled() -> None:
    while True:
        activity.heartbeat("alive")
        await asyncio.sleep(0.1)


@workflow.defn(name="Everything")
class Everything:
    def __init__(self) -> None:
        self.signals: list[str] = []
        self.total = 0

    @workflow.signal
    def note(self, text: str) -> None:
        self.signals.append(text)

    @workflow.update
    async def add(self, amount: int) -> int:
        self.total += amount
        await workflow.sleep(0.01)
        return self.total

    @workflow.update
    async def refuse_late(self, amount: int) -> int:
        raise ApplicationError("refused after acceptance", type="Refused")

    @add.validator
    def check_add(self, amount: int) -> None:
        if amount < 0:
            raise ApplicationError("negative amount", type="Negative")

    @workflow.run
    async def run(self, parcel: Parcel, count: int, nothing: None) -> dict:
        short = timedelta(seconds=10)
        workflow.upsert_search_attributes([KEYWORD.value_set("seen")])
        workflow.upsert_memo({"stage": "started", "numbers": [1, 2.5, None, True]})
        if workflow.patched("new-step"):
            await workflow.sleep(0.25)
        weighed = await workflow.execute_activity(
            weigh, parcel, start_to_close_timeout=short, heartbeat_timeout=timedelta(milliseconds=2500)
        )
        reversed_bytes = await workflow.execute_activity(raw_bytes, b"\x00\xff\xfe bytes", start_to_close_timeout=short)
        late = await workflow.execute_activity(
            break_twice,
            start_to_close_timeout=short,
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=10), backoff_coefficient=1.5),
        )
        local = await workflow.execute_local_activity(weigh, parcel, start_to_close_timeout=short)
        try:
            await workflow.execute_activity(always_broken, start_to_close_timeout=short, summary="meant to fail")
        except Exception:
            pass
        try:
            await workflow.execute_activity(
                too_slow,
                start_to_close_timeout=timedelta(milliseconds=100),
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        except Exception:
            pass
        beating = workflow.start_activity(
            beat_until_canceled,
            start_to_close_timeout=short,
            heartbeat_timeout=timedelta(seconds=2),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        await workflow.sleep(0.3)
        beating.cancel()
        try:
            await beating
        except Exception:
            pass
        timer = asyncio.create_task(workflow.sleep(3600))
        await workflow.sleep(0.01)
        timer.cancel()
        await workflow.wait_condition(lambda: len(self.signals) >= count and self.total >= 7)
        return {
            "weighed": weighed.weight,
            "reversed": list(reversed_bytes),
            "late": late,
            "local": local.name,
            "signals": self.signals,
        }


@workflow.defn(name="Child")
class Child:
    @workflow.signal
    def note(self, text: str) -> None:
        self.text = text

    @workflow.run
    async def run(self, mood: str) -> str:
        if mood == "bad":
            raise ApplicationError("the child is bad", type="Bad")
        if mood == "long":
            await workflow.sleep(3600)
        await workflow.sleep(0.05)
        return mood


@workflow.defn(name="Family")
class Family:
    @workflow.run
    async def run(self) -> None:
        child = await workflow.start_child_workflow("Child", "good", id=workflow.info().workflow_id + "-child")
        await child.signal("note", "from the parent")
        await child
        try:
            await workflow.execute_child_workflow("Child", "bad", id=workflow.info().workflow_id + "-bad-child")
        except Exception:
            pass
        try:
            await workflow.get_external_workflow_handle("does-not-exist").signal("note", "nobody")
        except Exception:
            pass
        try:
            await workflow.get_external_workflow_handle("does-not-exist").cancel()
        except Exception:
            pass


@workflow.defn(name="Rolling")
class Rolling:
    @workflow.run
    async def run(self, left: int) -> int:
        await workflow.sleep(0.01)
        if left > 0:
            workflow.continue_as_new(left - 1)
        return left


@workflow.defn(name="Waiting")
class Waiting:
    @workflow.run
    async def run(self, mood: str) -> str:
        if mood == "fail":
            raise ApplicationError("failed as asked", {"code": 7}, type="Asked")
        if mood == "task failure" and not workflow.unsafe.is_replaying() and workflow.info().attempt >= 0:
            global broken_once
            if not broken_once:
                broken_once = True
                raise RuntimeError("a bug in the workflow")
        await workflow.sleep(0.01)
        if mood == "child":
            await workflow.execute_child_workflow("Child", "long", id=workflow.info().workflow_id + "-child")
        await workflow.wait_condition(lambda: mood in ("finish", "task failure"))
        return mood


broken_once = False


@workflow.defn(name="Mirror")
class Mirror:
    @workflow.run
    async def run(self, a: dict, b: dict, c: list, d: None, e: str, f: float) -> dict:
        workflow.upsert_memo({"empty": {}, "nothing": None})
        await workflow.execute_activity(
            raw_bytes, b"", start_to_close_timeout=timedelta(seconds=10)
        )
        return {"a": a, "b": b, "c": c, "e": e}


@nexusrpc.service
class Desk:
    greet: nexusrpc.Operation[str, str]
    refuse: nexusrpc.Operation[str, str]
    child: nexusrpc.Operation[str, str]


@nexusrpc.handler.service_handler(service=Desk)
class DeskHandler:
    @nexusrpc.handler.sync_operation
    async def greet(self, context: nexusrpc.handler.StartOperationContext, name: str) -> str:
        return "hello " + name

    @nexusrpc.handler.sync_operation
    async def refuse(self, context: nexusrpc.handler.StartOperationContext, name: str) -> str:
        raise nexusrpc.OperationError("refused", state=nexusrpc.OperationErrorState.FAILED)

    @nexus.workflow_run_operation
    async def child(self, context: nexus.WorkflowRunOperationContext, mood: str) -> nexus.WorkflowHandle[str]:
        return await context.start_workflow("Child", mood, id="nexus-child-" + mood, result_type=str)


@workflow.defn(name="Caller")
class Caller:
    @workflow.run
    async def run(self) -> str:
        client = workflow.create_nexus_client(service=Desk, endpoint="desk")
        answer = await client.execute_operation(Desk.greet, "you")
        try:
            await client.execute_operation(Desk.refuse, "you")
        except Exception:
            pass
        await client.execute_operation(Desk.child, "good")
        running = await client.start_operation(Desk.child, "long")
        await workflow.sleep(0.2)
        running.cancel()
        try:
            await running
        except (Exception, asyncio.CancelledError):
            pass
        return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Recorder:
    def __init__(self, client: Client, address: str, out: pathlib.Path):
        self.client, self.address, self.out = client, address, out

    def show(self, workflow_id: str, run_id: str | None, *flags: str) -> bytes:
        cli = str(pathlib.Path(sys.executable).parent / "temporal")
        command = [cli, "workflow", "show", "--address", self.address, "--workflow-id", workflow_id, *flags]
        if run_id:
            command += ["--run-id", run_id]
        return subprocess.run(command, check=True, capture_output=True).stdout

    async def keep(self, name: str, workflow_id: str, run_id: str | None = None, full: bool = False) -> None:
        (self.out / f"{name}.cli.json").write_bytes(self.show(workflow_id, run_id, "--output", "json"))
        if not full:
            return
        (self.out / f"{name}.cli.jsonl").write_bytes(self.show(workflow_id, run_id, "--output", "jsonl"))
        history = await self.client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        (self.out / f"{name}.python.json").write_text(history.to_json())
        (self.out / f"{name}.pb").write_bytes(history_messages.History(events=history.events).SerializeToString())


async def record(client: Client, recorder: Recorder) -> None:
    await client.operator_service.add_search_attributes(
        operator.AddSearchAttributesRequest(
            search_attributes={"RecordedKeyword": enums.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD},
            namespace="default",
        )
    )
    await client.operator_service.create_nexus_endpoint(
        operator.CreateNexusEndpointRequest(
            spec=nexus_messages.EndpointSpec(
                name="desk",
                target=nexus_messages.EndpointTarget(
                    worker=nexus_messages.EndpointTarget.Worker(namespace="default", task_queue=QUEUE)
                ),
            )
        )
    )
    await asyncio.sleep(2)

    async def start(name: str, *args, **options):
        return await client.start_workflow(
            name, args=args, id=f"{name.lower()}-{uuid.uuid4().hex[:8]}", task_queue=QUEUE, **options
        )

    everything = await start(
        "Everything", Parcel("box", 1.5, ["a", "b"]), 2, None, memo={"owner": "recorder"},
        search_attributes=TypedSearchAttributes([SearchAttributePair(KEYWORD, "begin")]),
        static_summary="one of each", execution_timeout=timedelta(minutes=5),
        retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=1),
    )
    await everything.signal("note", "first")
    for amount in (-1, 3, 4):
        try:
            await everything.execute_update("add", amount)
        except WorkflowUpdateFailedError:
            pass
    try:
        await everything.execute_update("refuse_late", 1)
    except WorkflowUpdateFailedError:
        pass
    await everything.signal("note", "second")
    await everything.result()
    await recorder.keep("everything", everything.id, full=True)

    family = await start("Family")
    await family.result()
    await recorder.keep("family", family.id)

    rolling = await start("Rolling", 1)
    await rolling.result()
    await recorder.keep("continued_as_new", rolling.id, rolling.first_execution_run_id)

    for name, mood, act in (
        ("failed", "fail", None),
        ("canceled", "wait", "cancel"),
        ("terminated", "wait", "terminate"),
        ("timed_out", "wait", None),
        ("running", "wait", None),
        ("task_failed", "task failure", None),
    ):
        options = {"execution_timeout": timedelta(seconds=2)} if name == "timed_out" else {}
        handle = await start("Waiting", mood, **options)
        if name in ("canceled", "terminated", "running"):
            await asyncio.sleep(2.5)
        if act == "cancel":
            await handle.cancel()
        if act == "terminate":
            await handle.terminate({"by": "recorder"}, reason="no longer wanted")
        if name != "running":
            try:
                await handle.result()
            except Exception:
                pass
        await recorder.keep(name, handle.id, full=name == "failed")

    handle = await start("Waiting", "finish")
    await handle.result()
    reset = await client.workflow_service.reset_workflow_execution(
        service.ResetWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=common.WorkflowExecution(workflow_id=handle.id, run_id=handle.first_execution_run_id),
            reason="recording a reset", workflow_task_finish_event_id=4, request_id=str(uuid.uuid4()),
        )
    )
    await client.get_workflow_handle(handle.id, run_id=reset.run_id).result()
    await recorder.keep("reset", handle.id, reset.run_id)

    for name, flags in (("executed.shorthand", ()), ("executed.plain", ("--no-json-shorthand-payloads",))):
        cli = str(pathlib.Path(sys.executable).parent / "temporal")
        command = [cli, "workflow", "execute", "--address", recorder.address, "--type", "Mirror", "--task-queue", QUEUE]
        command += ["--workflow-id", name, "--output", "json", "--detailed", "--identity", "recorder", *flags]
        inputs = ["{}", '{"metadata": {"size": 3}, "data": "aGk="}', '[1, 2.50, null, "x"]', "null", '"text"']
        for value in (*inputs, "12345678901234567890"):
            command += ["--input", value]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True)
        (recorder.out / f"{name}.json").write_bytes(done.stdout)
        if name == "executed.shorthand":
            await recorder.keep("executed", name)

    caller = await start("Caller")
    await caller.result()
    await recorder.keep("nexus", caller.id)


async def main() -> None:
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    port = free_port()
    address = f"127.0.0.1:{port}"
    cli = str(pathlib.Path(sys.executable).parent / "temporal")
    server = subprocess.Popen(
        [cli, "server", "start-dev", "--headless", "--port", str(port), "--ip", "127.0.0.1", "--log-level", "error"],
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            try:
                client = await Client.connect(address, data_converter=CONVERTER, identity="recorder")
                break
            except RuntimeError:
                await asyncio.sleep(0.2)
        async with Worker(
            client, task_queue=QUEUE, workflows=[Everything, Child, Rolling, Waiting, Mirror, Family, Caller],
            activities=[weigh, raw_bytes, break_twice, always_broken, too_slow, beat_until_canceled],
            nexus_service_handlers=[DeskHandler()], workflow_runner=UnsandboxedWorkflowRunner(),
        ):
            await record(client, Recorder(client, address, out))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    asyncio.run(main())
