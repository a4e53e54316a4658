"""What the replayer of the official Python SDK says about defects like those of defects.py: one workflow is recorded on a real
development server, then a history of it is replayed with the workflow changed in one way each.

    python3 python_peer.py HOST:PORT OUT.json
"""

import asyncio
import importlib.metadata
import json
import pathlib
import re
import sys
import textwrap
import types
from collections.abc import Sequence

from temporalio import activity
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

SOURCE = '''
import asyncio
import locale
import os
import random
import threading
import time
import uuid
from datetime import timedelta
from temporalio import workflow
from temporalio.common import RetryPolicy

COUNTER = 0

@workflow.defn(name="Order")
class Order:
    def __init__(self):
        self.approved = False
        self.amount = 0

    @workflow.signal
    def approve(self, amount):
        self.approved = True
        self.amount = amount

    @workflow.run
    async def run(self, name):
        options = {"start_to_close_timeout": timedelta(seconds=10), "retry_policy": RetryPolicy(maximum_attempts=3)}
        first = await workflow.execute_activity("reserve", args=[name, 1], **options)
        both = [
            asyncio.create_task(workflow.execute_activity("pick", args=[first], **options)),
            asyncio.create_task(workflow.execute_activity("pack", args=[first], **options)),
        ]
        await asyncio.gather(*both)
        await asyncio.sleep(0.2)
        if workflow.patched("insured"):
            await workflow.execute_activity("insure", args=[first], **options)
        await workflow.wait_condition(lambda: self.approved)
        await workflow.execute_activity("ship", args=[first, self.amount], **options)
        return {"done": True, "name": name}
'''

PICK = 'asyncio.create_task(workflow.execute_activity("pick", args=[first], **options)),'
PACK = 'asyncio.create_task(workflow.execute_activity("pack", args=[first], **options)),'
RESERVE = 'workflow.execute_activity("reserve", args=[name, 1], **options)'

# (what, kind, before, after)
VARIANTS = [
    ("two activities of one task are swapped", "order", f"{PICK}\n            {PACK}", f"{PACK}\n            {PICK}"),
    ("an activity has another type", "type", '"ship"', '"send"'),
    ("an activity has another input", "input", "args=[name, 1]", "args=[name, 2]"),
    ("a timer takes longer", "timer", "asyncio.sleep(0.2)", "asyncio.sleep(0.3)"),
    ("the result is another one", "result", '"done": True', '"done": False'),
    ("time-outs are changed", "time-out", "timedelta(seconds=10)", "timedelta(seconds=11)"),
    ("retry numbers are changed", "time-out", "maximum_attempts=3", "maximum_attempts=4"),
    ("a new activity without a gate", "missing gate", "await asyncio.sleep(0.2)\n", 'await workflow.execute_activity("audit", args=[first], **options)\n        await asyncio.sleep(0.2)\n'),
    ("a gate is removed, its new side stays", "retired gate", 'if workflow.patched("insured"):', "if True:"),
    ("a gate is removed with what it guards", "retired gate", 'if workflow.patched("insured"):', "if False:"),
    ("order of a set of texts", "hash order", f"first = await {RESERVE}", f'for word in {{"b", "a", "c", "d", "e", "f"}}:\n            first = await workflow.execute_activity("reserve", args=[word, 1], **options)\n            break'),
    ("clock of the machine in an input", "time", "args=[name, 1]", "args=[name, time.time()]"),
    ("random number in an input", "random", "args=[name, 1]", "args=[name, random.SystemRandom().random()]"),
    ("generated id in an input", "random", "args=[name, 1]", "args=[name, str(uuid.uuid4())]"),
    ("counter of the process in an input", "global", f"first = await {RESERVE}", "global COUNTER\n        COUNTER += 7\n        first = await workflow.execute_activity(\"reserve\", args=[name, COUNTER], **options)"),
    ("a thread computes an input", "thread", "args=[name, 1]", "args=[name, threading.get_ident()]"),
    ("a variable of the environment in an input", "environment", "args=[name, 1]", 'args=[name, os.environ.get("HOME", "")]'),
    ("a number written by the locale", "locale", "args=[name, 1]", 'args=[name, locale.format_string("%.2f", 1.5)]'),
    ("floating point in a timer", "float", "asyncio.sleep(0.2)", "asyncio.sleep(0.1 + 0.2 - 0.1)"),
    ("a signal is lost", "lost signal", "        self.approved = True\n", "        pass\n"),
    ("a wait for a signal is dropped", "lost signal", "        await workflow.wait_condition(lambda: self.approved)\n", ""),
    ("a wait for a timer is dropped", "timer", "        await asyncio.sleep(0.2)\n", "        asyncio.create_task(asyncio.sleep(0.2))\n"),
]


@activity.defn(dynamic=True)
async def anything(args: Sequence[RawValue]) -> str:
    return "ok"


def workflow_of(source, name):
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, f"<{name}>", "exec"), module.__dict__)  # noqa: S102: the text above, with one edit
    return module.Order


async def record(client: Client):
    order = workflow_of(SOURCE, "order_original")
    async with Worker(
        client, task_queue="orders", workflows=[order], activities=[anything], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        handle = await client.start_workflow("Order", "n", id="order-1", task_queue="orders")
        await handle.signal("approve", 5)
        await handle.result()
        return await handle.fetch_history()


async def examine(history):
    results = []
    for number, (what, kind, before, after) in enumerate(VARIANTS):
        if SOURCE.count(before) != 1:
            raise SystemExit(f"{what}: expected the text once, found it {SOURCE.count(before)} times: {before}")
        order = workflow_of(SOURCE.replace(before, after), f"order_variant_{number}")
        replayer = Replayer(workflows=[order], workflow_runner=UnsandboxedWorkflowRunner())
        outcome = await replayer.replay_workflow(history, raise_on_replay_failure=False)
        failure = outcome.replay_failure
        said = re.search(r'message: "(.*?)", source', str(failure))
        message = "" if failure is None else textwrap.shorten(said.group(1) if said else str(failure), 140)
        results.append({"what": what, "kind": kind, "caught": failure is not None, "message": message})
    return results


async def main():
    original = Replayer(workflows=[workflow_of(SOURCE, "order_again")], workflow_runner=UnsandboxedWorkflowRunner())
    history = await record(await Client.connect(sys.argv[1]))
    await original.replay_workflow(history)
    results = await examine(history)
    report = {"sdk": f"temporalio {importlib.metadata.version('temporalio')}", "results": results}
    pathlib.Path(sys.argv[2]).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
