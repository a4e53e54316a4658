"""Records and replays the benchmark's workflow with the official Python SDK; see go/main.go for the workflow.

    bench_replay.py record ADDRESS ROUNDS FILE
    bench_replay.py replay SECONDS FILE...    one JSON line a file: events, events/s from JSON and from parsed messages
"""

import asyncio
import json
import os
import pathlib
import statistics
import sys
import time
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer, Worker


@activity.defn
async def load(part: dict) -> dict:
    return {"rows": 1000 + part["part"], "table": part["table"]}


@workflow.defn(name="rounds")
class Rounds:
    @workflow.run
    async def run(self, count: int) -> int:
        rows = 0
        for number in range(count):
            answers = await asyncio.gather(
                *(
                    workflow.execute_activity(
                        "load",
                        {"table": "orders", "round": number, "part": part},
                        start_to_close_timeout=timedelta(minutes=1),
                    )
                    for part in range(10)
                )
            )
            rows += sum(answer["rows"] for answer in answers)
            if number % 5 == 4:
                await asyncio.sleep(0.001)
        return rows


async def record(address, count, out):
    client = await Client.connect(address)
    queue = f"python-bench-{os.getpid()}"
    async with Worker(client, task_queue=queue, workflows=[Rounds], activities=[load]):
        handle = await client.start_workflow("rounds", count, id=f"{queue}-{count}", task_queue=queue)
        await handle.result()
        history = await handle.fetch_history()
    pathlib.Path(out).write_text(history.to_json(), encoding="utf-8")


async def median_seconds(seconds, once):
    times = []
    start = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        await once()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


async def measure(path, seconds):
    replayer = Replayer(workflows=[Rounds])
    text = pathlib.Path(path).read_text(encoding="utf-8")
    parsed = WorkflowHistory.from_json("bench", text)

    async def from_json():
        await replayer.replay_workflow(WorkflowHistory.from_json("bench", pathlib.Path(path).read_text(encoding="utf-8")))

    async def from_parsed():
        await replayer.replay_workflow(parsed)

    events = len(parsed.events)
    rates = {"json": from_json, "parsed": from_parsed}
    rates = {name: round(events / await median_seconds(seconds, once)) for name, once in rates.items()}
    print(json.dumps({"file": path, "events": events, **rates}), flush=True)


async def main(words):
    if len(words) == 4 and words[0] == "record":
        await record(words[1], int(words[2]), words[3])
    elif len(words) >= 3 and words[0] == "replay":
        for path in words[2:]:
            await measure(path, float(words[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
