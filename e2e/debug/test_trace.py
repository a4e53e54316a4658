"""`lockstep trace`: the first difference, its cause, its repair, and what of it is written where."""

import json
import subprocess
import unittest

from debug_harness import HISTORIES, SOURCE, TESTDATA, CliTest, lockstep


class Trace(CliTest):
    def changed(self, name, change):
        """A bare history with one event changed; the event's id."""
        history = self.history(name)
        for event in history["events"]:
            if change(event):
                return self.write_json("changed.json", history), int(event["eventId"])
        self.fail("nothing to change")

    def other_queue(self, event):
        attributes = event.get("activityTaskScheduledEventAttributes")
        if attributes is None or not attributes["activityId"].startswith("step/"):
            return False
        attributes["taskQueue"]["name"] = "another"
        return True

    def trace(self, *words):
        return lockstep("trace", *words, "--source", SOURCE)

    def test_run_in_step(self):
        result = self.trace(HISTORIES / "chain", "--format", "json")
        self.assert_code(result, 0)
        report = result.json
        self.assertEqual((report["format"], report["verdict"]), ("lockstep.divergence/1", "IDENTICAL"))
        self.assertLessEqual(report["search"]["replays"], report["search"]["most"])
        self.assertIn("in step to the end", self.trace(HISTORIES / "chain").out)

    def test_first_difference_with_field_line_and_command(self):
        path, event_id = self.changed("diamond", self.other_queue)
        result = self.trace(path, "--format", "json", "--out", self.folder / "divergence.json")
        self.assert_code(result, 1)
        report = json.loads((self.folder / "divergence.json").read_text(encoding="utf-8"))
        self.assertEqual(report["first"]["eventId"], event_id)
        self.assertEqual(report["first"]["field"], "taskQueue")
        self.assertEqual(report["first"]["source"]["file"], "engine-core/interpreter/plan_run.cpp")
        self.assertEqual(report["expectedCommand"]["attributes"]["taskQueue"]["name"], "another")
        self.assertNotEqual(report["expectedDigest"], report["actualDigest"])
        self.assertLess(report["identicalUpTo"]["eventId"], event_id)
        tasks = report["workflowTasks"] + 1
        self.assertLessEqual(report["search"]["replays"], tasks.bit_length())
        self.assertEqual(len(report["probes"]), report["search"]["replays"])
        self.assertEqual([probe["condition"] for probe in report["experiments"]], ["again, later", "another environment", "disturbed memory"])
        top = report["causes"][:3]
        self.assertEqual(top[0]["cause"], "ungated-change")
        # The line that sets the queue, found by its name.
        lines = (SOURCE / "engine-core/interpreter/plan_run.cpp").read_text(encoding="utf-8").splitlines()
        self.assertTrue(any("task_queue" in lines[cause["source"]["line"] - 1] for cause in top if "source" in cause), top)

    def test_text_shows_both_sides_and_ends_with_what_to_do(self):
        path, event_id = self.changed("diamond", self.other_queue)
        result = self.trace(path)
        self.assert_code(result, 1)
        for part in ("in step up to event", "of at most", f"at event {event_id}", "expected", "actual", "causes, most likely first", "version gate", f"lockstep replay {path}"):
            self.assertIn(part, result.out)
        self.assertTrue(result.out.rstrip().splitlines()[-1].strip().startswith("lockstep debug"), result.out)
        self.assertNotIn("\x1b", result.out)

    def test_known_change_is_the_first_cause_and_gets_a_gate(self):
        path, _ = self.changed("diamond", self.other_queue)
        text = (SOURCE / "engine-core/interpreter/plan_run.cpp").read_text(encoding="utf-8")
        new = "  options.task_queue = announced.queue;"
        line = text[: text.index(new)].count("\n") + 1
        diff = self.write("change.diff", f"--- a/engine-core/interpreter/plan_run.cpp\n+++ b/engine-core/interpreter/plan_run.cpp\n@@ -{line} +{line} @@\n-  options.task_queue = \"another\";\n+{new}\n")
        result = self.trace(path, "--diff", diff, "--format", "json")
        self.assert_code(result, 1)
        self.assertEqual(result.json["causes"][0]["source"]["line"], line)
        patch = result.json["repair"]["patch"]
        self.assertIn('+  options.task_queue = wf::get_version("dispatch-task-queue", wf::kDefaultVersion, 1) == wf::kDefaultVersion ? "another" : announced.queue;', patch)

    def test_last_commit_of_the_record_is_what_changes_are_counted_from(self):
        path, _ = self.changed("diamond", self.other_queue)
        source = self.folder / "engine-core" / "interpreter" / "plan_run.cpp"
        source.parent.mkdir(parents=True)
        text = (SOURCE / "engine-core/interpreter/plan_run.cpp").read_text(encoding="utf-8")
        new = "  options.task_queue = announced.queue;"
        source.write_text(text.replace(new, '  options.task_queue = "another";'), encoding="utf-8")

        def git(*words):
            subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *words], cwd=self.folder, check=True, capture_output=True)

        git("init", "--quiet")
        git("add", ".")
        git("commit", "--quiet", "-m", "in step")
        source.write_text(text, encoding="utf-8")
        result = lockstep("trace", path, "--format", "json", cwd=self.folder)
        self.assert_code(result, 1)
        self.assertIn("the last commit of the record", result.json["changedSince"])
        self.assertEqual(result.json["causes"][0]["source"]["line"], text[: text.index(new)].count("\n") + 1)
        self.assertIn('"another" : announced.queue;', result.json["repair"]["patch"])
        self.assertNotIn("changedSince", lockstep("trace", path, "--format", "json", "--no-changes", cwd=self.folder).json)

    def test_record_against_a_bare_history_gives_events(self):
        record = HISTORIES / "chain"
        result = self.trace(record / "history.json", "--against", record, "--format", "json")
        self.assert_code(result, 0)

    def test_two_runs_are_compared_without_code(self):
        result = self.trace(HISTORIES / "condition-true", "--against", HISTORIES / "condition-false", "--format", "json")
        self.assert_code(result, 1)
        self.assertTrue(result.json["against"].endswith("condition-false"))
        self.assertTrue(result.json["fields"] or result.json["first"]["kind"] != "event-changed")

    def test_foreign_history_is_told_from_its_events(self):
        foreign = 0
        for path in sorted(TESTDATA.glob("*.json")):
            inspected = lockstep("inspect", path, "--format", "json")
            if inspected.code != 0 or inspected.json["workflowType"] == "runPlanWorkflow":
                continue
            foreign += 1
            self.assertIn("growth", inspected.json)
            result = self.trace(path, "--format", "json")
            self.assert_code(result, 0)
            self.assertEqual(result.json["verdict"], "NO_CODE")
            self.assertGreater(result.json["growth"]["events"], 0)
        self.assertGreater(foreign, 0)

    def test_damaged_record_is_a_cause_of_its_own(self):
        record = self.copy_record("chain")
        (record / "input.json").write_text("{}\n", encoding="utf-8")
        result = self.trace(record, "--format", "json")
        self.assert_code(result, 3)
        self.assertEqual(result.json["causes"][0]["cause"], "corrupt-record")

    def test_wrong_usage(self):
        self.assert_one_line(self.trace(self.folder / "none"), 2, "none")
        bad = self.write("bad.diff", "+++ b/x\n@@ nonsense\n")
        self.assert_one_line(self.trace(HISTORIES / "chain", "--diff", bad), 2, "DIFF_INVALID")
        self.assert_one_line(self.trace(HISTORIES / "chain", "--findings", bad), 2, "FINDINGS_INVALID")
        self.assert_code(self.trace(HISTORIES / "chain", "-p", self.folder / "no-build"), 4)
        self.assert_one_line(self.trace(HISTORIES / "chain", "--against", HISTORIES / "chain" / "history.json"), 2, "expected a record")

    def test_findings_on_the_way_are_evidence(self):
        path, _ = self.changed("diamond", self.other_queue)
        text = (SOURCE / "engine-core/interpreter/plan_run.cpp").read_text(encoding="utf-8")
        line = text[: text.index("options.task_queue = announced.queue;")].count("\n") + 1
        finding = {"id": "determinism-env-read", "message": "reads the environment", "file": "engine-core/interpreter/plan_run.cpp", "line": line, "function": "Dispatch", "chain": []}
        findings = self.write_json("findings.json", {"findings": [finding]})
        result = self.trace(path, "--findings", findings, "--format", "json")
        named = [cause for cause in result.json["causes"] if cause.get("finding") == "determinism-env-read"]
        self.assertEqual(named[0]["cause"], "environment")

    def test_inspect_shows_growth(self):
        result = lockstep("inspect", HISTORIES / "fan-out-64")
        self.assert_code(result, 0)
        self.assertIn("growth:", result.out)
        self.assertIn("activity executeStep", result.out)


if __name__ == "__main__":
    unittest.main()
