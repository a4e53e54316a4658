"""`lockstep record` on a real Temporal development server: what is written, and that nothing stays when it goes wrong.

Every run gets a mark in its environment, which its worker and its server inherit: what still carries the mark later on
was left behind. The temporary folder is the test's own for the same reason.
"""

import hashlib
import json
import os
import pathlib
import signal
import subprocess
import time
import unittest
import uuid

import harness

MARK = "LOCKSTEP_E2E_MARK"


def plan(name, steps):
    return {"metadata": {"planId": name, "planVersion": "1.0.0", "schemaVersion": "v1.2"}, "steps": steps}


GREETING = plan(
    "greeting", [{"stepId": "say", "kind": "echo", "params": {"message": "hello"}}, {"stepId": "done", "kind": "noop"}]
)
ENDLESS = plan("endless", [{"stepId": "nap", "kind": "sleep", "params": {"durationMs": 600_000}}])


class Record(harness.CliTest):
    def setUp(self):
        super().setUp()
        self.mark = uuid.uuid4().hex
        self.scratch = self.folder / "tmp"
        self.scratch.mkdir()
        self.env = {MARK: self.mark, "TMPDIR": str(self.scratch)}

    def record(self, *words, stdin=b""):
        return harness.lockstep("record", *words, env=self.env)

    def running(self):
        """Command lines of processes that carry the mark."""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (
                        (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                    )
            except (OSError, ProcessLookupError):
                continue
        return {pid: line for pid, line in found.items() if line}

    def assert_nothing_left(self):
        self.assertEqual(self.running(), {})
        self.assertEqual(list(self.scratch.iterdir()), [])

    def test_a_record_is_complete_and_replays(self):
        target = self.folder / "records" / "greeting"
        result = self.record(
            self.write_json("greeting.json", GREETING), "--out", target, "--dev-server", "--format", "json"
        )
        self.assert_code(result, 0)
        self.assertEqual(result.err, "")
        (summary,) = result.json
        self.assertEqual(summary["status"], "COMPLETED")
        self.assertEqual(summary["record"], str(target))
        names = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
        self.assertLessEqual(
            {
                "manifest.json",
                "plan.json",
                "input.json",
                "history.json",
                "events.jsonl",
                "commands.jsonl",
                "SHA256SUMS",
            },
            names,
        )
        self.assertTrue(any(name.startswith("snapshots/") for name in names), names)
        sums = dict(reversed(line.split("  ", 1)) for line in (target / "SHA256SUMS").read_text().splitlines())
        self.assertEqual(
            sums, {name: hashlib.sha256((target / name).read_bytes()).hexdigest() for name in names - {"SHA256SUMS"}}
        )
        self.assertEqual((target / "plan.json").read_bytes(), (self.folder / "greeting.json").read_bytes())
        manifest = json.loads((target / "manifest.json").read_text())
        self.assertEqual(manifest["planSha256"], hashlib.sha256((target / "plan.json").read_bytes()).hexdigest())
        self.assertEqual(manifest["snapshotHash"], summary["snapshotHash"])
        self.assertEqual([path.name for path in target.parent.iterdir()], ["greeting"])
        replayed = harness.lockstep("replay", "--strict", "--format", "json", target)
        self.assert_code(replayed, 0)
        self.assertEqual(replayed.json["histories"][0]["snapshotHash"], summary["snapshotHash"])
        # The same in text: the history alone is enough.
        self.assert_code(harness.lockstep("replay", target / "history.json"), 0)
        self.assert_nothing_left()

    def test_several_plans_get_a_folder_each(self):
        target = self.folder / "records"
        plans = [
            self.write_json(f"{name}.json", plan(name, [{"stepId": "a", "kind": "noop"}])) for name in ("one", "two")
        ]
        result = self.record(*plans, "--out", target, "--dev-server")
        self.assert_code(result, 0)
        self.assertEqual(sorted(path.name for path in target.iterdir()), ["one", "two"])
        self.assertEqual(len(result.out.splitlines()), 2)
        self.assert_code(harness.lockstep("replay", target), 0)
        self.assert_nothing_left()

    def test_a_script_sends_its_signals(self):
        steps = [{"stepId": f"s{number}", "kind": "sleep", "params": {"durationMs": 300}} for number in range(3)]
        script = [
            {
                "when": {"event": "StepStarted", "stepId": "s0"},
                "do": {"signal": "PAUSE", "payload": {"reason": "look first"}},
            },
            {"when": {"event": "RunPaused"}, "do": {"signal": "RESUME"}},
        ]
        target = self.folder / "paused"
        result = self.record(
            self.write_json("p.json", plan("paused", steps)),
            "--out",
            target,
            "--dev-server",
            "--script",
            self.write_json("s.json", script),
        )
        self.assert_code(result, 0)
        types = [json.loads(line)["eventType"] for line in (target / "events.jsonl").read_text().splitlines()]
        self.assertIn("RunPaused", types)
        self.assertIn("RunResumed", types)
        self.assert_code(harness.lockstep("replay", "--strict", target), 0)
        self.assert_nothing_left()

    def test_what_looks_like_a_credential_is_not_kept(self):
        secret = "Bearer " + "abcdefghijklmnop0123456789"
        target = self.folder / "scrubbed"
        document = plan("scrubbed", [{"stepId": "say", "kind": "echo", "params": {"message": secret}}])
        result = self.record(self.write_json("p.json", document), "--out", target, "--dev-server")
        self.assertEqual(result.err.count("\n"), 0 if result.code == 0 else 1, str(result))
        if target.exists():
            for path in target.rglob("*"):
                if path.is_file():
                    self.assertNotIn(secret.encode(), path.read_bytes(), path.name)
            self.assert_code(harness.lockstep("replay", target), 0)
        else:
            # Refusing is the other safe answer; it has to say why.
            self.assertNotEqual(result.code, 0)
            self.assertRegex(result.err, "credential|secret")
        self.assert_nothing_left()

    def test_an_existing_folder_is_wrong_usage_and_stays_as_it_was(self):
        target = self.folder / "mine"
        target.mkdir()
        (target / "note.txt").write_text("keep me")
        result = self.record(self.write_json("p.json", GREETING), "--out", target, "--dev-server")
        self.assert_one_line(result, 2, target)
        self.assertEqual([path.name for path in target.iterdir()], ["note.txt"])
        self.assert_nothing_left()

    def test_a_plan_that_is_not_valid_is_refused_and_nothing_is_written(self):
        bad = self.write_json("bad.json", plan("bad", [{"stepId": "a", "kind": "no-such-kind"}]))
        result = self.record(bad, "--out", self.folder / "out", "--dev-server")
        self.assert_code(result, 3)
        self.assertIn("INVALID_STEP_SCHEMA", result.err_lines[0])
        self.assertFalse((self.folder / "out").exists())
        self.assert_nothing_left()

    def test_a_script_that_is_not_valid_is_refused_before_anything_starts(self):
        good = self.write_json("p.json", GREETING)
        for name, script, place in (
            ("list", {"script": 7}, "/script"),
            ("action", [{"do": {"dance": True}}], "/0/do"),
            ("when", [{"when": {}, "do": {"wait": 1}}], "/0/when"),
        ):
            path = self.write_json(f"{name}.script", script)
            with self.subTest(name):
                self.assert_one_line(
                    self.record(good, "--out", self.folder / "out", "--dev-server", "--script", path),
                    3,
                    path.name,
                    place,
                )
        self.assertFalse((self.folder / "out").exists())
        self.assert_nothing_left()

    def test_no_server_is_four(self):
        result = self.record(
            self.write_json("p.json", GREETING), "--out", self.folder / "out", "--temporal", "127.0.0.1:1"
        )
        self.assert_one_line(result, 4, "127.0.0.1:1")
        self.assertFalse((self.folder / "out").exists())
        self.assert_nothing_left()

    def test_a_run_that_takes_too_long_is_given_up(self):
        result = self.record(
            self.write_json("p.json", ENDLESS), "--out", self.folder / "out", "--dev-server", "--timeout", "2"
        )
        self.assert_code(result, 4)
        self.assertIn("RUN_TIMEOUT_WAITING", result.err_lines[0])
        self.assertFalse((self.folder / "out").exists())
        self.assert_nothing_left()

    # --- Ctrl-C -----------------------------------------------------------------------------------------------------

    def interrupted(self, send, ready, words=()):
        """Starts recording a run that never ends, sends a signal once `ready` says so, and looks at what is left."""
        target = self.folder / "records" / "endless"
        process = subprocess.Popen(
            [
                harness.PROGRAM,
                "record",
                str(self.write_json("p.json", ENDLESS)),
                "--out",
                str(target),
                "--dev-server",
                *words,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **self.env},
            start_new_session=True,
        )
        deadline = time.monotonic() + harness.TIMEOUT_S
        while not ready(self.running()):
            self.assertIsNone(process.poll(), "ended before the signal")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        send(process)
        out, err = process.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(process.returncode, 4, err)
        self.assertEqual(out, b"")
        self.assertEqual(err.count(b"\n"), 1, err)
        self.assertIn(b"INTERRUPTED", err)
        self.assertFalse(target.exists())
        if target.parent.exists():
            self.assertEqual(list(target.parent.iterdir()), [])
        self.assert_nothing_left()

    @staticmethod
    def worker_runs(running):
        return any(" worker " in line for line in running.values())

    @staticmethod
    def server_runs(running):
        return any(" server start-dev" in line for line in running.values())

    def run_started(self, running):
        """The worker has written the first event: the run is on its way."""
        return self.worker_runs(running) and any(path.stat().st_size > 0 for path in self.scratch.glob("*/home/*.db*"))

    def test_interrupt_of_the_program(self):
        self.interrupted(lambda process: process.send_signal(signal.SIGINT), self.run_started)

    def test_interrupt_as_a_terminal_sends_it(self):
        """Ctrl-C reaches the whole process group: the worker and the server as well."""
        self.interrupted(lambda process: os.killpg(process.pid, signal.SIGINT), self.run_started)

    def test_interrupt_while_the_server_starts(self):
        self.interrupted(lambda process: process.send_signal(signal.SIGINT), self.server_runs)

    def test_termination(self):
        self.interrupted(lambda process: process.send_signal(signal.SIGTERM), self.worker_runs)


if __name__ == "__main__":
    unittest.main()
