"""`lockstep replay`: forms of input, results, exit codes, and what surrounds them."""

import gzip
import hashlib
import json
import os
import pty
import re
import select
import subprocess
import unittest

import harness

HASH = re.compile(r"^[0-9a-f]{64}$")


def without_path(entry):
    return {name: value for name, value in entry.items() if name != "path"}


class Forms(harness.CliTest):
    def replayed(self, path, stdin=b""):
        result = harness.lockstep("replay", "--format", "json", path, stdin=stdin)
        self.assert_code(result, 0)
        self.assertEqual(result.err, "")
        (entry,) = result.json["histories"]
        return without_path(entry)

    def test_every_form_of_a_history_gives_the_same_result(self):
        for name in ("chain", "cancel-running", "gate-timeout-skip", "unicode"):
            source = harness.HISTORIES / name / "history.json"
            expected = self.replayed(source)
            self.assertEqual(expected["verdict"], "IDENTICAL")
            self.assertGreater(expected["commands"], 0)
            forms = {
                "plain.json": (),
                "packed.json": ("--compact",),
                "older.json": ("--camel",),
                "older-packed.json": ("--camel", "--compact"),
                "binary.pb": (),
                "plain.json.gz": (),
                "plain.json.zst": (),
                "binary.pb.gz": (),
                "binary.pb.zst": (),
                "older.json.gz": ("--camel",),
            }
            for form, flags in forms.items():
                with self.subTest(history=name, form=form):
                    path = self.convert(source, f"{name}-{form}", *flags)
                    self.assertEqual(self.replayed(path), expected)
                    self.assertEqual(self.replayed("-", stdin=path.read_bytes()), expected)

    def test_the_forms_do_differ(self):
        source = harness.HISTORIES / "chain" / "history.json"
        self.assertIn(b'"ActivityTaskScheduled"', self.convert(source, "a.json", "--camel").read_bytes())
        self.assertIn(b'"EVENT_TYPE_ACTIVITY_TASK_SCHEDULED"', self.convert(source, "b.json").read_bytes())
        self.assertEqual(self.convert(source, "c.json.gz").read_bytes()[:2], b"\x1f\x8b")
        self.assertEqual(self.convert(source, "d.json.zst").read_bytes()[:4], b"\x28\xb5\x2f\xfd")
        self.assertNotIn(b"EVENT_TYPE", self.convert(source, "e.pb").read_bytes())

    def test_numbers_instead_of_texts_and_unknown_members_change_nothing(self):
        source = harness.HISTORIES / "chain" / "history.json"
        history = json.loads(source.read_text(encoding="utf-8"))
        for event in history["events"]:
            event["eventId"] = int(event["eventId"])
            event["fromTheFuture"] = {"list": [1, 2.5, None, "x"]}
        self.assertEqual(self.replayed(self.write_json("numbers.json", history)), self.replayed(source))

    def test_a_bare_list_and_a_wrapped_history_change_nothing(self):
        source = harness.HISTORIES / "chain" / "history.json"
        history = json.loads(source.read_text(encoding="utf-8"))
        expected = self.replayed(source)
        self.assertEqual(self.replayed(self.write_json("list.json", history["events"])), expected)
        self.assertEqual(self.replayed(self.write_json("wrapped.json", {"history": history})), expected)

    def test_tools_of_the_system_can_pack_it(self):
        data = (harness.HISTORIES / "chain" / "history.json").read_bytes()
        expected = self.replayed(harness.HISTORIES / "chain" / "history.json")
        self.assertEqual(self.replayed(self.write("gzip.json.gz", gzip.compress(data))), expected)
        packed = subprocess.run(["zstd", "-q", "-c", "-19"], input=data, capture_output=True, check=True).stdout
        self.assertEqual(self.replayed(self.write("zstd.json.zst", packed)), expected)
        # What a file is does not depend on its name.
        self.assertEqual(self.replayed(self.write("no-name", packed)), expected)

    def test_a_history_that_ends_in_the_middle_is_replayed_as_far_as_it_goes(self):
        history = self.history()
        started = [
            number
            for number, event in enumerate(history["events"])
            if event["eventType"] == "EVENT_TYPE_WORKFLOW_TASK_STARTED"
        ]
        history["events"] = history["events"][: started[-1] + 1]
        result = harness.lockstep("replay", "--format", "json", self.write_json("open.json", history))
        self.assert_code(result, 0)
        self.assertTrue(result.json["histories"][0]["openTask"])
        history["events"] = history["events"][: started[-1]]
        result = harness.lockstep("replay", "--format", "json", self.write_json("running.json", history))
        self.assert_code(result, 0)


class Results(harness.CliTest):
    def test_the_json_result_has_its_members(self):
        result = harness.lockstep(
            "replay", "--format", "json", harness.HISTORIES / "chain", harness.HISTORIES / "chain" / "history.json"
        )
        self.assert_code(result, 0)
        self.assertEqual(set(result.json), {"format", "toolVersion", "verdict", "strict", "totals", "histories"})
        self.assertEqual(result.json["format"], "lockstep.replay/1")
        self.assertEqual(result.json["verdict"], "IN_STEP")
        self.assertIs(result.json["strict"], False)
        self.assertEqual(
            result.json["totals"], {"histories": 2, "identical": 2, "drift": 0, "diverged": 0, "unreadable": 0}
        )
        record, bare = result.json["histories"]
        self.assertEqual((record["kind"], bare["kind"]), ("record", "history"))
        for entry in (record, bare):
            self.assertEqual(entry["verdict"], "IDENTICAL")
            self.assertEqual(entry["workflowType"], "runPlanWorkflow")
            self.assertEqual(entry["status"], "COMPLETED")
            self.assertEqual(entry["executions"], 1)
            self.assertEqual(entry["divergences"], [])
            self.assertRegex(entry["snapshotHash"], HASH)
            self.assertRegex(entry["outcomeHash"], HASH)
            for name in ("events", "workflowTasks", "commands", "engineEvents"):
                self.assertGreater(entry[name], 0, name)
        manifest = json.loads((harness.HISTORIES / "chain" / "manifest.json").read_text())
        self.assertEqual(record["snapshotHash"], manifest["snapshotHash"])
        self.assertEqual(record["outcomeHash"], manifest["outcomeHash"])
        self.assertEqual(record["workflowId"], manifest["workflowId"])

    def test_a_divergence_shows_all_that_is_known(self):
        result = harness.lockstep("replay", "--format", "json", self.altered_timer())
        self.assert_code(result, 1)
        self.assertEqual(result.err, "")
        self.assertEqual(result.json["verdict"], "DIVERGED")
        (entry,) = result.json["histories"]
        self.assertEqual((entry["verdict"], entry["grade"]), ("DIVERGED", "payload-only"))
        (divergence,) = entry["divergences"]
        self.assertEqual(divergence["kind"], "field-changed")
        self.assertEqual(divergence["field"], "startToFireTimeout")
        self.assertEqual(divergence["expected"], "7777s")
        self.assertRegex(divergence["actual"], r"^\d+(\.\d+)?s$")
        self.assertGreater(divergence["eventId"], divergence["workflowTaskStartedEventId"])
        self.assertEqual(divergence["source"]["file"], "engine-core/interpreter/plan_run.cpp")
        text = (harness.SOURCE / divergence["source"]["file"]).read_text().splitlines()
        self.assertIn("wf::", text[divergence["source"]["line"] - 1])
        for part in ("payload-only", str(divergence["eventId"]), "startToFireTimeout", "7777s"):
            self.assertIn(part, divergence["summary"])
        shown = harness.lockstep("replay", self.altered_timer())
        self.assert_code(shown, 1)
        for part in (
            "DIVERGED",
            "payload-only",
            f"event {divergence['eventId']}",
            "7777s",
            f"plan_run.cpp:{divergence['source']['line']}",
            "NOT in step",
        ):
            self.assertIn(part, shown.out)

    def altered_timer(self):
        history = self.history("sleep")
        (timer,) = [event for event in history["events"] if event["eventType"] == "EVENT_TYPE_TIMER_STARTED"]
        timer["timerStartedEventAttributes"]["startToFireTimeout"] = "7777s"
        return self.write_json("altered-timer.json", history)

    def altered_retry(self):
        history = self.history("retries")
        scheduled = [event for event in history["events"] if event["eventType"] == "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED"]
        scheduled[-1]["activityTaskScheduledEventAttributes"]["retryPolicy"]["maximumAttempts"] = 77
        return self.write_json("altered-retry.json", history)

    def test_drift_fails_only_a_strict_replay(self):
        path = self.altered_retry()
        lenient = harness.lockstep("replay", "--format", "json", path)
        self.assert_code(lenient, 0)
        self.assertEqual(lenient.json["histories"][0]["verdict"], "DRIFT")
        self.assertEqual(lenient.json["totals"]["drift"], 1)
        self.assertEqual(lenient.json["verdict"], "IN_STEP")
        (divergence,) = lenient.json["histories"][0]["divergences"]
        self.assertEqual(
            (divergence["grade"], divergence["field"], divergence["expected"]),
            ("drift", "retryPolicy.maximumAttempts", "77"),
        )
        strict = harness.lockstep("replay", "--format", "json", "--strict", path)
        self.assert_code(strict, 1)
        self.assertIs(strict.json["strict"], True)
        self.assertEqual(strict.json["verdict"], "DIVERGED")
        self.assertIn("drift", harness.lockstep("replay", path).out)

    def test_a_divergence_outweighs_unreadable_input(self):
        self.write("bad.json", "{")
        result = harness.lockstep("replay", self.folder / "bad.json", self.altered_timer(), "--format", "json")
        self.assert_one_line(result, 1, "bad.json")
        self.assertEqual(result.json["totals"]["unreadable"], 1)
        self.assertEqual(result.json["totals"]["diverged"], 1)

    def test_stop_at_ends_with_the_event_asked_for(self):
        record = harness.HISTORIES / "chain"
        whole = harness.lockstep("replay", "--format", "json", record).json["histories"][0]
        previous = 0
        for seq in (2, 5, whole["engineEvents"]):
            result = harness.lockstep("replay", "--format", "json", "--stop-at", seq, record)
            self.assert_code(result, 0)
            entry = result.json["histories"][0]
            self.assertEqual(entry["verdict"], "IDENTICAL")
            self.assertGreaterEqual(entry["engineEvents"], min(seq, whole["engineEvents"]))
            self.assertGreaterEqual(entry["workflowTasks"], previous)
            previous = entry["workflowTasks"]
        self.assertLess(
            harness.lockstep("replay", "--format", "json", "--stop-at", 2, record).json["histories"][0][
                "workflowTasks"
            ],
            whole["workflowTasks"],
        )

    def test_stop_at_hides_what_comes_later(self):
        history = self.history("chain")
        history["events"][-1]["workflowExecutionCompletedEventAttributes"]["result"]["payloads"][0]["data"] = "e30="
        path = self.write_json("other-result.json", history)
        self.assert_code(harness.lockstep("replay", path), 1)
        self.assert_code(harness.lockstep("replay", "--stop-at", 3, path), 0)

    def test_the_number_of_jobs_changes_no_byte(self):
        one = harness.lockstep("replay", "--format", "json", "--jobs", 1, harness.HISTORIES)
        four = harness.lockstep("replay", "--format", "json", "--jobs", 4, harness.HISTORIES)
        self.assert_code(one, 0)
        self.assertEqual(one.out, four.out)
        text = harness.lockstep("replay", "-j", 1, harness.HISTORIES)
        self.assertEqual(text.out, harness.lockstep("replay", "-j", 4, harness.HISTORIES).out)
        paths = [entry["path"] for entry in one.json["histories"]]
        self.assertEqual(paths, sorted(paths))
        self.assertEqual(len(paths), len([path for path in harness.HISTORIES.iterdir() if path.is_dir()]))

    def test_a_path_named_twice_is_replayed_once(self):
        record = harness.HISTORIES / "chain"
        self.assertEqual(harness.lockstep("replay", "--format", "json", record, record).json["totals"]["histories"], 1)

    def test_the_text_has_a_table_and_a_verdict(self):
        result = harness.lockstep("replay", harness.HISTORIES / "chain", harness.HISTORIES / "diamond")
        self.assert_code(result, 0)
        lines = result.out.splitlines()
        self.assertRegex(lines[0], r"^history +workflow +events +tasks +commands +snapshot +verdict$")
        self.assertRegex(lines[1], r"chain +runPlanWorkflow +\d+ +\d+ +\d+ +[0-9a-f]{8} +IDENTICAL$")
        self.assertEqual(lines[-1], "2 histories: 2 identical. In step.")

    def test_update_takes_over_lines_and_nothing_else(self):
        record = self.copy_record("chain")
        rows = [json.loads(line) for line in (record / "commands.jsonl").read_text().splitlines()]
        moved = "".join(json.dumps({**row, "line": row["line"] + 1000}) + "\n" for row in rows)
        sums = (record / "SHA256SUMS").read_text()
        old = hashlib.sha256((record / "commands.jsonl").read_bytes()).hexdigest()
        (record / "commands.jsonl").write_text(moved)
        (record / "SHA256SUMS").write_text(sums.replace(old, hashlib.sha256(moved.encode()).hexdigest()))
        before = self.files(record)
        self.assert_code(harness.lockstep("replay", "--update", record), 0)
        after = self.files(record)
        self.assertEqual({name for name in before if before[name] != after.get(name)}, {"commands.jsonl", "SHA256SUMS"})
        self.assertEqual(set(after), set(before))
        updated = [json.loads(line) for line in after["commands.jsonl"].splitlines()]
        self.assertEqual([row["command"] for row in updated], [row["command"] for row in rows])
        self.assertTrue(all(row["line"] < 1000 for row in updated), updated)
        self.assert_code(harness.lockstep("replay", record), 0)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["chain"])

    def test_update_leaves_a_record_alone_that_does_not_replay(self):
        record = self.copy_record("diamond", "other")
        history = json.loads((record / "history.json").read_text(encoding="utf-8"))
        scheduled = [event for event in history["events"] if event["eventType"] == "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED"]
        scheduled[-1]["activityTaskScheduledEventAttributes"]["activityType"]["name"] = "somethingElse"
        old = hashlib.sha256((record / "history.json").read_bytes()).hexdigest()
        text = json.dumps(history)
        (record / "history.json").write_text(text)
        sums = (record / "SHA256SUMS").read_text()
        (record / "SHA256SUMS").write_text(sums.replace(old, hashlib.sha256(text.encode()).hexdigest()))
        before = self.files(record)
        self.assert_code(harness.lockstep("replay", "--update", record), 1)
        self.assertEqual(self.files(record), before)

    @staticmethod
    def files(record):
        return {path.relative_to(record).as_posix(): path.read_bytes() for path in record.rglob("*") if path.is_file()}


class Output(harness.CliTest):
    def test_out_writes_the_file_and_nothing_else(self):
        target = self.folder / "result.json"
        result = harness.lockstep("replay", "--format", "json", "--out", target, harness.HISTORIES / "chain")
        self.assert_code(result, 0)
        self.assertEqual((result.out, result.err), ("", ""))
        self.assertEqual(
            target.read_text(), harness.lockstep("replay", "--format", "json", harness.HISTORIES / "chain").out
        )
        self.assertEqual([path.name for path in self.folder.iterdir()], ["result.json"])

    def test_out_replaces_an_older_file_as_a_whole(self):
        target = self.write("result.txt", "old\n" * 100_000)
        os.link(target, self.folder / "still-old.txt")
        self.assert_code(harness.lockstep("replay", "--out", target, harness.HISTORIES / "chain"), 0)
        self.assertTrue(target.read_text().endswith("In step.\n"))
        # Renamed into place: whoever had the old file open still reads the old one.
        self.assertEqual((self.folder / "still-old.txt").read_text(), "old\n" * 100_000)

    def test_out_keeps_the_exit_code_of_the_replay(self):
        bad = self.write("bad.json", "{")
        self.assert_code(harness.lockstep("replay", "--out", self.folder / "result.txt", bad), 3)
        self.assertIn("bad.json", (self.folder / "result.txt").read_text())

    def test_out_that_cannot_be_written_is_one_line(self):
        for target in (self.folder / "no" / "folder" / "x.json", self.folder):
            result = harness.lockstep("replay", "--out", target, harness.HISTORIES / "chain")
            self.assertEqual(len(result.err_lines), 1, str(result))
            self.assertIn(result.code, (2, 4), str(result))
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_no_colour_and_no_progress_in_a_pipe(self):
        result = harness.lockstep("replay", harness.HISTORIES)
        self.assertNotIn("\x1b", result.out)
        self.assertEqual(result.err, "")
        self.assertNotIn("\x1b", harness.lockstep("inspect", harness.HISTORIES / "chain").out)

    def on_terminal(self, *words, env=None):
        """Standard output and error of a run whose both ends are a terminal."""
        parent, child = pty.openpty()
        full = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        full.update(env or {}, TERM="xterm")
        process = subprocess.Popen(
            [harness.PROGRAM, *map(str, words)], stdin=subprocess.DEVNULL, stdout=child, stderr=child, env=full
        )
        os.close(child)
        data = b""
        while True:
            ready, _, _ = select.select([parent], [], [], harness.TIMEOUT_S)
            self.assertTrue(ready, "no output")
            try:
                block = os.read(parent, 65536)
            except OSError:  # the other end is closed
                break
            if not block:
                break
            data += block
        os.close(parent)
        return process.wait(harness.TIMEOUT_S), data.decode("utf-8")

    def test_colour_and_progress_on_a_terminal(self):
        code, text = self.on_terminal("replay", harness.HISTORIES / "chain")
        self.assertEqual(code, 0)
        self.assertRegex(text, "\x1b\\[[0-9;]*m")
        self.assertIn("replayed 1 of 1", text)

    def test_no_color_is_honoured_on_a_terminal(self):
        for command in ("replay", "inspect"):
            _, text = self.on_terminal(command, harness.HISTORIES / "chain", env={"NO_COLOR": "1"})
            self.assertNotRegex(text, "\x1b\\[[0-9;]*m")
            self.assertIn("runPlanWorkflow", text)

    def test_json_has_no_colour_even_on_a_terminal(self):
        _, text = self.on_terminal("replay", "--format", "json", harness.HISTORIES / "chain")
        self.assertNotRegex(text, "\x1b\\[[0-9;]*m")

    def test_a_closed_pipe_is_no_crash(self):
        process = subprocess.Popen(
            [harness.PROGRAM, "replay", "--format", "json", str(harness.HISTORIES)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        process.stdout.close()
        error = process.stderr.read()
        process.stderr.close()
        self.assertIn(process.wait(harness.TIMEOUT_S), (0, 4, -13))
        self.assertLessEqual(error.count(b"\n"), 1)


if __name__ == "__main__":
    unittest.main()
