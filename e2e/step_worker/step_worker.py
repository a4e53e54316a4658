"""A step worker written with the official Python SDK: serves `executeStep` on one task queue of a Lockstep deployment.

    step_worker.py HOST:PORT TASK_QUEUE

It runs two kinds of its own, `sql.query` (answered from a table in memory) and `process.run` (word count of its standard input),
to show that a queue can be served by another language: the contract is JSON in, JSON out (docs/steps.md, "Activities").
"""

import asyncio
import sys

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

TABLE = {"orders": [[1, "book"], [2, "pen"]]}


@activity.defn(name="executeStep")
async def execute_step(request: dict) -> dict:
    step = request["step"]
    params = step["params"]
    if step["kind"] == "sql.query":
        name = params["query"].split()[-1]
        if name not in TABLE:
            raise ApplicationError(f"no table {name}", type="PERMANENT_STEP_ERROR", non_retryable=True)
        rows = TABLE[name]
        result = {"columns": ["id", "name"], "rows": rows, "rowCount": len(rows)}
    elif step["kind"] == "process.run":
        if activity.info().attempt == 1:
            raise ApplicationError("the first try fails", type="TRANSIENT_STEP_ERROR")
        result = {"words": len(params.get("stdin", "").split())}
    else:
        raise ApplicationError(f"kind {step['kind']} is not served here", type="STEP_KIND_NOT_ALLOWED", non_retryable=True)
    probes = {}
    for pointer in request.get("probes", []):
        value = result
        for token in pointer.split("/")[1:]:
            value = value[int(token)] if isinstance(value, list) else value.get(token) if isinstance(value, dict) else None
        if isinstance(value, (str, int, float, bool)):
            probes[pointer] = value
    return {"status": "SUCCESS", "result": result, "artifactRefs": [], "probes": probes, "engineAttemptId": activity.info().attempt}


async def main():
    client = await Client.connect(sys.argv[1])
    async with Worker(client, task_queue=sys.argv[2], activities=[execute_step]):
        print("ready", flush=True)
        await asyncio.Event().wait()


asyncio.run(main())
