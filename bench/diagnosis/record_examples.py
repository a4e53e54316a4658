"""Records the histories of bench/diagnosis/histories: runs of examples/workflows on a real development server, each with what happens to it
while it runs. Needed again only where those workflows change.

    python3 bench/diagnosis/record_examples.py --build build
"""

import argparse
import asyncio
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.testing import WorkflowEnvironment

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))
import orders_library  # noqa: E402
import workflow_defects as defects  # noqa: E402

ORDER = {"id": "o-17", "cents": 4250, "address": "Main Street 1"}


async def shipped(client, queue):
    handle = await client.start_workflow("order", ORDER, id="order-shipped", task_queue=queue)
    await asyncio.sleep(0.4)
    await handle.signal("changeAddress", "Side Street 2")
    await asyncio.sleep(0.2)
    await handle.signal("confirm")
    return handle


async def waited(client, queue):
    return await client.start_workflow("order", {**ORDER, "id": "o-18"}, id="order-waited", task_queue=queue)


async def refunded(client, queue):
    handle = await client.start_workflow("order", {**ORDER, "id": "o-19", "address": "nowhere"}, id="order-refunded", task_queue=queue)
    await handle.signal("confirm")
    return handle


async def cancelled(client, queue):
    handle = await client.start_workflow("order", {**ORDER, "id": "o-20"}, id="order-cancelled", task_queue=queue)
    await asyncio.sleep(0.5)
    await handle.cancel()
    return handle


async def warehouse(client, queue):
    handle = await client.start_workflow("warehouse", [{"item": "apple", "count": 5}, {"item": "pear", "count": 2}], id="warehouse", task_queue=queue)
    await asyncio.sleep(0.5)  # the stock is known once it has started
    await asyncio.gather(*[handle.execute_update("take", args=["apple", 1]) for _ in range(3)])
    await handle.signal("deliver", {"item": "pear", "count": 4})
    await handle.execute_update("take", args=["pear", 6])
    try:
        await handle.execute_update("take", args=["pear", 1])
    except WorkflowUpdateFailedError:
        pass
    await handle.signal("close")
    return handle


async def compared(client, queue):
    return await client.start_workflow("comparison", args=["Kettle", ["near", "far", "empty", "corner"]], id="comparison", task_queue=queue)


async def hurried(client, queue):
    return await client.start_workflow("comparison", args=["Kettle", ["near", "slow"]], id="comparison-hurried", task_queue=queue)


# The name of the history, what is done, and the edits of the example that was recorded (none: as it is).
RUNS = (
    ("order-shipped", shipped, ()),
    ("order-waited", waited, ()),
    ("order-refunded", refunded, ()),
    ("order-cancelled", cancelled, ()),
    ("order-insured", shipped, defects.INSURED),
    ("warehouse", warehouse, ()),
    ("comparison", compared, ()),
    ("comparison-hurried", hurried, ()),
)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    args = parser.parse_args()
    build = args.build.resolve()
    target = HERE / "histories"
    target.mkdir(exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-examples-"))
    library = orders_library.Library(build, work / "plain")
    order = (ROOT / defects.ORDER).read_text(encoding="utf-8")
    server = pathlib.Path(sys.executable).parent / "temporal"
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=str(server), dev_server_log_level="never") as environment:
        client: Client = environment.client
        for name, script, edits in RUNS:
            if args.only and name not in args.only:
                continue
            text = order
            for before, after in edits:
                assert text.count(before) == 1, before
                text = text.replace(before, after)
            built = library.build(work / name, defects.ORDER if edits else "", text)
            worker = subprocess.Popen(
                [build / "bin" / "lockstep", "worker", "--temporal", client.service_client.config.target_host, "--workflows", built, "--queue", name, "--state", work / "state"],
                stderr=subprocess.DEVNULL,
            )
            try:
                handle = await script(client, name)
                try:
                    await asyncio.wait_for(handle.result(), 60)
                except WorkflowFailureError as error:
                    print(f"{name}: ended with {error.cause}")
                # The first execution of the chain.
                history = await handle.fetch_history()
                (target / f"{name}.json").write_text(json.dumps(json.loads(history.to_json()), indent=1) + "\n", encoding="utf-8")
                print(f"{name}: {len(history.events)} events")
            finally:
                worker.terminate()
                worker.wait()
    shutil.rmtree(work)


if __name__ == "__main__":
    asyncio.run(main())
