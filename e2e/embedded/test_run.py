"""`lockstep run` and its companions: plans without a server, as a user runs them."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
from harness import PROGRAM, CliTest, lockstep  # noqa: E402

CONFIG = "processes:\n  programs: [sh, sleep]\n"


def plan(steps, **metadata):
    return {"metadata": {"planId": "p", "planVersion": "1", "schemaVersion": "v1.2", **metadata}, "steps": steps}


def echo(step_id, message="x", **members):
    return {"stepId": step_id, "kind": "echo", "params": {"message": message}, **members}


def work(step_id, seconds, **members):
    return {"stepId": step_id, "kind": "process.run", "params": {"argv": ["sleep", str(seconds)]}, **members}


class RunTest(CliTest):
    def setUp(self):
        super().setUp()
        self.store = self.folder / "home"
        self.config = self.write("worker.yaml", CONFIG)

    def start(self, document, *flags):
        """The program in the background; the run id, from its first line."""
        path = self.write_json("plan.json", document)
        process = subprocess.Popen(
            [PROGRAM, "run", str(path), "--store", str(self.store), "--config", str(self.config), *map(str, flags)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        line = process.stderr.readline()
        self.assertRegex(line, r"^run [0-9a-f-]{36}: \d+ steps")
        return process, line.split()[1].rstrip(":")

    def events(self, run):
        return [event["eventType"] for event in lockstep("events", run, "--store", self.store, "--format", "json").json]

    def wait_for(self, run, event, count=1):
        deadline = time.monotonic() + 60
        while self.events(run).count(event) < count:
            self.assertLess(time.monotonic(), deadline, self.events(run))
            time.sleep(0.05)

    def test_a_plan_runs_without_a_server(self):
        path = self.write_json("plan.json", plan([echo("a", {"text": "${params.who}"}), echo("b", "${steps['a'].result.text}")]))
        done = lockstep("run", path, "--store", self.store, "--input", '{"who": "you"}', "--format", "json")
        self.assert_code(done, 0)
        self.assertEqual(done.json["status"], "COMPLETED")
        self.assertEqual({step: row["status"] for step, row in done.json["steps"].items()}, {"a": "SUCCESS", "b": "SUCCESS"})
        self.assertIn("StepCompleted b", done.err)  # a line an event where there is no terminal
        quiet = lockstep("run", path, "--store", self.store, "--quiet", "--input", '{"who": "me"}')
        self.assert_code(quiet, 0)
        self.assertEqual(quiet.err, "")
        self.assertIn("COMPLETED", quiet.out)
        listed = lockstep("status", "--store", self.store, "--format", "json").json
        self.assertEqual([row["status"] for row in listed], ["COMPLETED", "COMPLETED"])
        one = lockstep("status", listed[0]["runId"], "--store", self.store)
        self.assertIn("2 SUCCESS", one.out)

    def test_a_failed_run_is_exit_code_1(self):
        path = self.write_json("plan.json", plan([{"stepId": "f", "kind": "fail", "params": {"mode": "permanent"}}]))
        done = lockstep("run", path, "--store", self.store, "--test-kinds", "--format", "json")
        self.assert_code(done, 1)
        self.assertEqual(done.json["steps"]["f"]["errorCode"], "PERMANENT_STEP_ERROR")

    def test_script_of_signals(self):
        # The step in the middle takes long enough for the signal to find the run.
        path = self.write_json("plan.json", plan([echo("a"), work("b", 1), echo("c")]))
        script = self.write_json("script.json", [
            {"when": {"event": "StepCompleted", "stepId": "a"}, "do": {"signal": "PAUSE"}},
            {"when": {"event": "RunPaused"}, "do": {"wait": 50}}, {"do": {"signal": "RESUME"}}])
        done = lockstep("run", path, "--store", self.store, "--signals", script, "--config", self.config, "--format", "json")
        self.assert_code(done, 0)
        events = self.events(done.json["runId"])
        self.assertLess(events.index("RunPaused"), events.index("RunResumed"))
        refused = self.write_json("refused.json", [{"do": {"killWorker": True}}])
        self.assert_one_line(lockstep("run", path, "--store", self.store, "--signals", refused), 3, "SCRIPT_INVALID", "killWorker")

    def test_ctrl_c_cancels(self):
        process, run = self.start(plan([work("long", 60), echo("after")]))
        self.wait_for(run, "StepStarted")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertIn("CANCELLED", out)
        self.assertEqual(self.events(run)[-1], "RunCancelled")

    def test_signals_from_another_process(self):
        process, run = self.start(plan([work("s1", 1), echo("s2")]))
        self.wait_for(run, "StepStarted")
        self.assert_code(lockstep("signal", run, "PAUSE", "--store", self.store, "--reason", "deploy"), 0)
        self.wait_for(run, "StepCompleted")
        self.assertIn("PAUSED", lockstep("status", run, "--store", self.store).out)
        self.assertNotIn("s2", lockstep("events", run, "--store", self.store).out.replace("StepStarted s1", ""))
        self.assert_code(lockstep("signal", run, "RESUME", "--store", self.store), 0)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)
        late = lockstep("signal", run, "PAUSE", "--store", self.store)
        self.assert_one_line(late, 2, "SIGNAL_REJECTED", "COMPLETED")

    def test_a_run_survives_its_process(self):
        process, run = self.start(plan([echo("first"), work("long", 1, retryPolicy={"initialIntervalMs": 100, "maxAttempts": 3}), echo("last")]))
        self.wait_for(run, "StepStarted", 2)
        busy = lockstep("run", "--resume", run, "--store", self.store, "--config", self.config)
        self.assert_one_line(busy, 4, "RUN_BUSY")
        process.kill()
        process.communicate(timeout=60)
        done = lockstep("run", "--resume", run, "--store", self.store, "--config", self.config, "--format", "json")
        self.assert_code(done, 0)
        self.assertEqual(done.json["status"], "COMPLETED")
        events = self.events(run)
        self.assertEqual(events.count("StepStarted"), 3)
        self.assertEqual(events.count("StepCompleted"), 3)
        again = lockstep("run", "--resume", run, "--store", self.store, "--config", self.config)
        self.assert_code(again, 0)  # it is over: its end is shown

    def test_embedded_records_replay(self):
        path = self.write_json("plan.json", plan([echo(f"s{i}") for i in range(6)]))
        script = self.write_json("script.json", {"policy": {"continueSteps": 2}, "script": [
            {"when": {"event": "StepCompleted", "stepId": "s1"}, "do": {"signal": "UPDATE_PARAMS", "payload": {"params": {"a": 1}}, "reason": "late data"}}]})
        self.assert_code(lockstep("record", path, "--out", self.folder / "rec", "--embedded", "--script", script), 0)
        manifest = json.loads((self.folder / "rec" / "manifest.json").read_text())
        self.assertEqual(manifest["adapter"], "mock")
        self.assertGreater(len(manifest["histories"]), 1)
        self.assert_code(lockstep("replay", self.folder / "rec", "--strict"), 0)
        self.assert_code(lockstep("inspect", self.folder / "rec" / "history.json"), 0)

    def test_bad_input(self):
        path = self.write_json("plan.json", plan([echo("a")]))
        self.assert_one_line(lockstep("run", self.folder / "none.json", "--store", self.store), 2, "FILE_NOT_FOUND")
        self.assert_one_line(lockstep("run", path, "--store", self.store, "--input", "[1]"), 2, "FILE_NOT_FOUND")
        self.assert_one_line(lockstep("run", path, "--store", self.store, "--input", "{"), 3, "INVALID_INPUT")
        self.assert_one_line(lockstep("run", "--store", self.store), 2, "USAGE")
        self.assert_one_line(lockstep("run", "--resume", "no-such-run", "--store", self.store), 2, "EMBEDDED_RUN_UNKNOWN")
        self.assert_one_line(lockstep("status", "--store", self.folder / "nowhere"), 2, "INPUT_NOT_FOUND")
        self.assertFalse((self.folder / "nowhere").exists())
        self.assert_one_line(lockstep("events", "no-such-run", "--store", self.store), 2, "RUN_NOT_FOUND")
        bad = self.write("bad.json", '{"metadata": {}}')
        refused = lockstep("run", bad, "--store", self.store)
        self.assert_code(refused, 3)
        self.assertIn("bad.json", refused.err)


if __name__ == "__main__":
    os.environ.setdefault("LOCKSTEP_BIN", "lockstep")
