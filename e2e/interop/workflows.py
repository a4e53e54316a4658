"""The workflows of the interop suite as a Python programmer writes them; workflows.cpp has the same ones in C++. Together
they use every command that the official SDK offers. What crosses the border (names, arguments, results, ids) is the
contract: the driver runs both against the same client script and compares the outcomes."""

import asyncio
from datetime import timedelta

from temporalio import activity, exceptions, nexus, workflow
from temporalio.common import Priority, RetryPolicy, SearchAttributeKey, WorkflowIDReusePolicy

with workflow.unsafe.imports_passed_through():
    import nexusrpc

SOON = timedelta(seconds=20)
ONCE = RetryPolicy(maximum_attempts=1)


# --- activities ----------------------------------------------------------------------------------------------------------
@activity.defn(name="compose")
async def compose(greeting: str, name: str) -> str:
    return f"{greeting}, {name}!"


@activity.defn(name="double")
async def double(value: int) -> int:
    return value * 2


@activity.defn(name="refuse")
async def refuse(reason: str) -> str:
    raise exceptions.ApplicationError(f"refused: {reason}", type="REFUSED", non_retryable=True)


@activity.defn(name="shaky")
async def shaky(until: int) -> int:
    attempt = activity.info().attempt
    if attempt < until:
        raise exceptions.ApplicationError(f"attempt {attempt}", type="SHAKY")
    return attempt


@activity.defn(name="linger")
async def linger() -> str:
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.05)


ACTIVITIES = [compose, double, refuse, shaky, linger]


# --- workflows -----------------------------------------------------------------------------------------------------------
@workflow.defn(name="greet")
class Greet:
    """One activity with every option that travels: retry rule, summary, priority."""

    @workflow.run
    async def run(self, name: str) -> str:
        return await workflow.execute_activity(
            "compose", args=["Hello", name], result_type=str, start_to_close_timeout=SOON, schedule_to_close_timeout=SOON,
            heartbeat_timeout=timedelta(seconds=5), retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=50),
                                                                           backoff_coefficient=1.5, maximum_attempts=4,
                                                                           non_retryable_error_types=["NEVER"]),
            summary="the only step", priority=Priority(priority_key=2))


@workflow.defn(name="fan_out")
class FanOut:
    """Activities side by side, then a race of two timers."""

    @workflow.run
    async def run(self, count: int) -> list[int]:
        doubles = await asyncio.gather(*[
            workflow.execute_activity("double", i, result_type=int, start_to_close_timeout=SOON) for i in range(count)])
        attempts = await workflow.execute_activity(
            "shaky", 2, result_type=int, start_to_close_timeout=SOON, retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=20)))
        return [*doubles, attempts]


@workflow.defn(name="fails_by_activity")
class FailsByActivity:
    @workflow.run
    async def run(self, reason: str) -> None:
        await workflow.execute_activity("refuse", reason, start_to_close_timeout=SOON)


@workflow.defn(name="fails_by_itself")
class FailsByItself:
    @workflow.run
    async def run(self, catch: bool) -> str:
        try:
            await workflow.execute_activity("refuse", "caught", start_to_close_timeout=SOON)
        except exceptions.ActivityError as error:
            assert isinstance(error.cause, exceptions.ApplicationError)
            raise exceptions.ApplicationError(f"gave up after {error.cause.type}", {"left": 3}, type="GAVE_UP", non_retryable=True)
        return "unreachable"


@workflow.defn(name="timers")
class Timers:
    """Timers that fire, and one that is cancelled because what it guarded came first."""

    def __init__(self) -> None:
        self.opened = False
        self.at_the_gate = False

    @workflow.signal
    def open(self) -> None:
        self.opened = True

    @workflow.query
    def waiting(self) -> bool:
        return self.at_the_gate

    @workflow.run
    async def run(self) -> list[str]:
        log: list[str] = []
        await asyncio.sleep(0.05)
        log.append("slept")
        try:
            await workflow.wait_condition(lambda: False, timeout=timedelta(milliseconds=80))
        except asyncio.TimeoutError:
            log.append("timed out")
        await workflow.sleep(timedelta(milliseconds=30), summary="a short one")
        self.at_the_gate = True
        await workflow.wait_condition(lambda: self.opened, timeout=SOON)
        log.append("opened")
        return log


@workflow.defn(name="mailbox")
class Mailbox:
    """Signals with payloads, in order, a handler that works on its own, queries."""

    def __init__(self) -> None:
        self.letters: list[str] = []
        self.doubled: list[int] = []
        self.closing = False

    @workflow.signal
    def letter(self, text: str, weight: int) -> None:
        self.letters.append(f"{text}:{weight}")

    @workflow.signal
    async def work(self, value: int) -> None:
        self.doubled.append(await workflow.execute_activity("double", value, result_type=int, start_to_close_timeout=SOON))

    @workflow.signal
    def close(self) -> None:
        self.closing = True

    @workflow.query
    def count(self) -> int:
        return len(self.letters)

    @workflow.query
    def nth(self, index: int) -> str:
        return self.letters[index]

    @workflow.run
    async def run(self) -> dict:
        await workflow.wait_condition(lambda: self.closing and workflow.all_handlers_finished())
        return {"letters": self.letters, "doubled": sorted(self.doubled)}


@workflow.defn(name="account")
class Account:
    """Updates: accepted, rejected, failing, at once and after work of their own."""

    def __init__(self) -> None:
        self.balance = 0
        self.closing = False

    @workflow.update
    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    @deposit.validator
    def check_deposit(self, amount: int) -> None:
        if amount <= 0:
            raise exceptions.ApplicationError(f"cannot deposit {amount}", type="BAD_AMOUNT")

    @workflow.update
    async def invest(self, amount: int) -> int:
        if amount > self.balance:
            raise exceptions.ApplicationError("too much", type="OVERDRAWN", non_retryable=True)
        self.balance -= amount
        gain = await workflow.execute_activity("double", amount, result_type=int, start_to_close_timeout=SOON)
        self.balance += gain
        return self.balance

    @workflow.signal
    def fee(self, amount: int) -> None:
        self.balance -= amount

    @workflow.signal
    def close(self) -> None:
        self.closing = True

    @workflow.query
    def current(self) -> int:
        return self.balance

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: self.closing and workflow.all_handlers_finished())
        return self.balance


@workflow.defn(name="echo_child")
class EchoChild:
    @workflow.run
    async def run(self, text: str) -> str:
        await asyncio.sleep(0.02)
        if text == "fail":
            raise exceptions.ApplicationError("child failed", type="CHILD_FAILED", non_retryable=True)
        return text.upper()


@workflow.defn(name="patient_child")
class PatientChild:
    """Waits until it is told to stop, or cancelled."""

    def __init__(self) -> None:
        self.word = ""

    @workflow.signal
    def stop(self, word: str) -> None:
        self.word = word

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.word != "")
        return self.word


# --- the service behind the Nexus operations ------------------------------------------------------------------------------
@nexusrpc.service(name="calculator")
class Calculator:
    triple: nexusrpc.Operation[int, int]
    wait: nexusrpc.Operation[str, str]


@nexusrpc.handler.service_handler(service=Calculator)
class CalculatorHandler:
    @nexusrpc.handler.sync_operation
    async def triple(self, ctx: nexusrpc.handler.StartOperationContext, value: int) -> int:
        if value < 0:
            raise nexusrpc.OperationError("negative", state=nexusrpc.OperationErrorState.FAILED)
        return value * 3

    # Goes on until somebody cancels it: a workflow stands behind it.
    @nexus.workflow_run_operation
    async def wait(self, ctx: nexus.WorkflowRunOperationContext, workflow_id: str) -> nexus.WorkflowHandle[str]:
        return await ctx.start_workflow(PatientChild.run, id=workflow_id)


# --- more workflows ----------------------------------------------------------------------------------------------------------
@workflow.defn(name="parent")
class Parent:
    """Children: one that succeeds, one that fails, and a start that is refused."""

    @workflow.run
    async def run(self, child_queue: str) -> list[str]:
        me = workflow.info().workflow_id
        log = [await workflow.execute_child_workflow("echo_child", "hello", id=me + "/a", task_queue=child_queue, result_type=str,
                                                     run_timeout=timedelta(minutes=1), static_summary="echoes", memo={"kept": 1})]
        try:
            await workflow.execute_child_workflow("echo_child", "fail", id=me + "/b", task_queue=child_queue, result_type=str)
        except exceptions.ChildWorkflowError as error:
            assert isinstance(error.cause, exceptions.ApplicationError)
            log.append(f"{error.cause.type}")
        try:
            await workflow.execute_child_workflow("echo_child", "again", id=me + "/a", task_queue=child_queue, result_type=str,
                                                  id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE)
        except exceptions.WorkflowAlreadyStartedError:
            log.append("already started")
        return log


@workflow.defn(name="steering_parent")
class SteeringParent:
    """Signals one child, cancels another and waits for its end, leaves a third to itself."""

    @workflow.run
    async def run(self, child_queue: str) -> list[str]:
        me = workflow.info().workflow_id
        log: list[str] = []
        told = await workflow.start_child_workflow("patient_child", id=me + "/told", task_queue=child_queue)
        await told.signal("stop", "well done")
        log.append(await told)
        stopped = await workflow.start_child_workflow(
            "patient_child", id=me + "/stopped", task_queue=child_queue,
            cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED)
        await asyncio.sleep(0.02)
        stopped.cancel()
        try:
            await stopped
        except exceptions.ChildWorkflowError as error:
            log.append(type(error.cause).__name__)
        await workflow.start_child_workflow("patient_child", id=me + "/left", task_queue=child_queue,
                                            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                                            cancellation_type=workflow.ChildWorkflowCancellationType.ABANDON)
        return log


@workflow.defn(name="messenger")
class Messenger:
    """Signals and cancels workflows that are no children of its own, also ones that do not exist."""

    @workflow.run
    async def run(self, friend: str, foe: str) -> list[str]:
        log: list[str] = []
        await workflow.get_external_workflow_handle(friend).signal("stop", "from outside")
        log.append("signalled")
        await workflow.get_external_workflow_handle(foe).cancel()
        log.append("cancelled")
        try:
            await workflow.get_external_workflow_handle("nobody-" + friend).signal("stop", "lost")
        except exceptions.ApplicationError:
            log.append("nobody there")
        return log


@workflow.defn(name="counter")
class Counter:
    """Continues as new until it has counted down."""

    @workflow.run
    async def run(self, left: int, total: int) -> int:
        await asyncio.sleep(0.01)
        if left > 0:
            workflow.continue_as_new(args=[left - 1, total + left], memo={"left": left})
        return total


TOPIC = SearchAttributeKey.for_keyword("CustomKeywordField")
SCORE = SearchAttributeKey.for_int("CustomIntField")


@workflow.defn(name="labelled")
class Labelled:
    """Search attributes and memo, changed while running."""

    @workflow.run
    async def run(self, topic: str) -> str:
        workflow.upsert_search_attributes([TOPIC.value_set(topic), SCORE.value_set(7)])
        workflow.upsert_memo({"note": "in work", "step": 1})
        await asyncio.sleep(0.02)
        workflow.upsert_search_attributes([SCORE.value_unset()])
        workflow.upsert_memo({"note": None})
        return topic


@workflow.defn(name="patched_flow")
class PatchedFlow:
    """Two gates: one in use, one on its way out."""

    @workflow.run
    async def run(self) -> list[str]:
        log: list[str] = []
        workflow.deprecate_patch("old-gate")
        if workflow.patched("new-gate"):
            log.append(await workflow.execute_activity("compose", args=["New", "way"], result_type=str, start_to_close_timeout=SOON))
        else:
            log.append("old way")
        log.append(str(workflow.patched("new-gate")))
        return log


@workflow.defn(name="local_work")
class LocalWork:
    """Local activities: one that succeeds, some side by side, one that fails for good, one that backs off by timer."""

    @workflow.run
    async def run(self) -> list:
        log: list = [await workflow.execute_local_activity("compose", args=["Near", "by"], result_type=str, start_to_close_timeout=SOON)]
        log += await asyncio.gather(*[
            workflow.execute_local_activity("double", i, result_type=int, start_to_close_timeout=SOON) for i in (1, 2)])
        try:
            await workflow.execute_local_activity("refuse", "near", start_to_close_timeout=SOON, retry_policy=ONCE)
        except exceptions.ApplicationError as error:
            log.append(str(error.type))
        log.append(await workflow.execute_local_activity(
            "shaky", 2, result_type=int, start_to_close_timeout=SOON, local_retry_threshold=timedelta(milliseconds=1),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100))))
        return log


@workflow.defn(name="nexus_caller")
class NexusCaller:
    @workflow.run
    async def run(self, endpoint: str) -> list:
        client = workflow.create_nexus_client(service=Calculator, endpoint=endpoint)
        log: list = [await client.execute_operation(Calculator.triple, 14, schedule_to_close_timeout=SOON)]
        try:
            await client.execute_operation(Calculator.triple, -1, schedule_to_close_timeout=SOON)
        except exceptions.NexusOperationError as error:
            log.append(type(error.cause).__name__)
        waiting = await client.start_operation(Calculator.wait, workflow.info().workflow_id + "/wait", schedule_to_close_timeout=SOON)
        await asyncio.sleep(0.02)
        waiting.cancel()
        try:
            await waiting
        except exceptions.NexusOperationError as error:
            log.append(type(error.cause).__name__)
        return log


@workflow.defn(name="cancellable")
class Cancellable:
    """Is cancelled while it waits, cleans up where no cancellation reaches, and ends as cancelled."""

    def __init__(self) -> None:
        self.cleaned = 0

    @workflow.query
    def cleaned_up(self) -> int:
        return self.cleaned

    @workflow.run
    async def run(self) -> None:
        try:
            await workflow.execute_activity("linger", start_to_close_timeout=SOON, heartbeat_timeout=timedelta(seconds=10),
                                            cancellation_type=workflow.ActivityCancellationType.TRY_CANCEL)
        finally:
            self.cleaned = await workflow.execute_activity("double", 21, result_type=int, start_to_close_timeout=SOON)


@workflow.defn(name="stopwatch")
class Stopwatch:
    """Cancels an activity of its own, waiting for it to end."""

    @workflow.run
    async def run(self) -> str:
        task = workflow.start_activity("linger", start_to_close_timeout=SOON, heartbeat_timeout=timedelta(seconds=2),
                                       cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED)
        await asyncio.sleep(0.3)
        task.cancel()
        try:
            await task
        except exceptions.ActivityError as error:
            return type(error.cause).__name__
        return "not cancelled"


@workflow.defn(name="second_chance")
class SecondChance:
    """Fails at first; the retry rule of its start brings it back."""

    @workflow.run
    async def run(self) -> int:
        await asyncio.sleep(0.01)
        if workflow.info().attempt < 2:
            raise exceptions.ApplicationError("not yet", type="NOT_YET")
        return workflow.info().attempt


@workflow.defn(name="tally")
class Tally:
    """Run again and again by a schedule: counts on from the run before, and sees when that failed."""

    @workflow.run
    async def run(self) -> int:
        count = workflow.get_last_completion_result(int) if workflow.has_last_completion_result() else 0
        failed = workflow.get_last_failure() is not None
        await asyncio.sleep(0.01)
        if count == 2 and not failed:
            raise exceptions.ApplicationError("two is enough", type="TIRED")
        return count + (10 if failed else 1)


@workflow.defn(name="relay")
class Relay:
    """Runs an activity and a child on the other side's queue."""

    @workflow.run
    async def run(self, queue: str) -> list:
        number = await workflow.execute_activity("double", 5, result_type=int, task_queue=queue, start_to_close_timeout=SOON)
        text = await workflow.execute_child_workflow("echo_child", "over there", id=workflow.info().workflow_id + "/c",
                                                     task_queue=queue, result_type=str)
        return [number, text]


WORKFLOWS = [Greet, FanOut, FailsByActivity, FailsByItself, Timers, Mailbox, Account, EchoChild, PatientChild, Parent, SteeringParent,
             Messenger, Counter, Labelled, PatchedFlow, LocalWork, NexusCaller, Cancellable, Stopwatch, SecondChance, Tally, Relay]
