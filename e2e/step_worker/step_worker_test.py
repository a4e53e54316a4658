"""One task queue of a run is served by a worker in another language, written with the official SDK; the run is recorded and
replays. Arguments: the `lockstep` program, the Python of the virtual environment, the Temporal program."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

LOCKSTEP, PYTHON, TEMPORAL = sys.argv[1:4]
HERE = pathlib.Path(__file__).resolve().parent

PLAN = {
    "metadata": {"planId": "two-languages", "planVersion": "1", "schemaVersion": "v1.2"},
    "steps": [
        {"stepId": "read", "kind": "sql.query", "dependsOn": [], "params": {"connection": "any", "query": "select * from orders"}},
        {"stepId": "count", "kind": "process.run", "dependsOn": ["read"], "retryPolicy": {"initialIntervalMs": 50, "maxAttempts": 3},
         "params": {"argv": ["wc"], "stdin": "one two ${steps['read'].result.rows[0][1]}"}},
        {"stepId": "show", "kind": "echo", "dependsOn": ["count"], "params": {"message": "${steps['count'].result.words} words"}},
        {"stepId": "missing", "kind": "sql.query", "dependsOn": ["show"], "params": {"connection": "any", "query": "select * from nothing"}},
    ],
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class StepWorkerTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="lockstep-e2e-")
        self.home = pathlib.Path(self.folder.name)
        self.processes = []

    def tearDown(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self.folder.cleanup()

    def start(self, *command, **kwargs):
        with open(self.home / f"log{len(self.processes)}.txt", "w") as log:
            process = subprocess.Popen([str(word) for word in command], stdout=kwargs.get("stdout", log), stderr=log, text=True)
        self.processes.append(process)
        return process

    def start_server(self):
        port = free_port()
        self.start(TEMPORAL, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", port, "--log-level", "error")
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return f"127.0.0.1:{port}"
            time.sleep(0.1)
        self.fail("the server did not start")

    def test_queue_served_by_another_sdk_is_recorded_and_replays(self):
        address = self.start_server()
        python_worker = self.start(PYTHON, HERE / "step_worker.py", address, "tq-data-dev", stdout=subprocess.PIPE)
        self.assertEqual(python_worker.stdout.readline().strip(), "ready")
        self.start(LOCKSTEP, "worker", "--temporal", address, "--state", self.home / "home", "--queue", "tq-control-dev")
        plan = self.home / "plan.json"
        plan.write_text(json.dumps(PLAN))
        record = self.home / "record"
        done = subprocess.run([LOCKSTEP, "record", str(plan), "--out", str(record), "--temporal", address, "--external-worker",
                               "--state", str(self.home / "home"), "--timeout", "120"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        events = [json.loads(line) for line in (record / "events.jsonl").read_text().splitlines()]
        outcome = {event["stepId"]: event for event in events if event["eventType"] in ("StepCompleted", "StepFailed")}
        self.assertEqual(outcome["read"]["payload"]["result"]["rowCount"], 2)
        self.assertEqual(outcome["count"]["engineAttemptId"], 2)
        self.assertEqual(outcome["show"]["payload"]["result"], "3 words")
        self.assertEqual(outcome["missing"]["payload"]["error"]["code"], "PERMANENT_STEP_ERROR")
        replay = subprocess.run([LOCKSTEP, "replay", str(record), "--format", "json"], capture_output=True, text=True)
        self.assertEqual(replay.returncode, 0, replay.stdout + replay.stderr)
        self.assertEqual(json.loads(replay.stdout)["histories"][0]["verdict"], "IDENTICAL")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
