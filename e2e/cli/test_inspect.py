"""`lockstep inspect`: any SDK's history, as a time line and as one JSON object a file."""

import collections
import json
import unittest

import harness

MEMBERS = {"path", "events", "eventTypes", "workflowType", "status", "problems", "growth", "pending"}


class Inspect(harness.CliTest):
    def test_json_has_exactly_the_members_asked_for(self):
        for path in sorted(harness.TESTDATA.glob("*.json")) + [harness.HISTORIES / "chain" / "history.json"]:
            with self.subTest(path.name):
                result = harness.lockstep("inspect", "--format", "json", path)
                self.assert_code(result, 0)
                self.assertEqual(set(result.json), MEMBERS)
                self.assertEqual(result.json["path"], str(path))
                self.assertEqual(result.json["problems"], [])
                self.assertIsInstance(result.json["workflowType"], str)
                self.assertEqual(sum(result.json["eventTypes"].values()), result.json["events"])

    def test_json_counts_what_is_there(self):
        history = self.history("retries")
        expected = collections.Counter()
        for event in history["events"]:
            expected[
                "".join(word.capitalize() for word in event["eventType"].removeprefix("EVENT_TYPE_").split("_"))
            ] += 1
        shown = harness.lockstep("inspect", "--format", "json", harness.HISTORIES / "retries" / "history.json").json
        self.assertEqual(shown["events"], len(history["events"]))
        self.assertEqual(shown["eventTypes"], dict(expected))
        self.assertEqual(shown["workflowType"], "runPlanWorkflow")

    def test_status_says_how_the_execution_ended(self):
        expected = {
            "failed": "FAILED",
            "canceled": "CANCELED",
            "terminated": "TERMINATED",
            "timed_out": "TIMED_OUT",
            "continued_as_new": "CONTINUED_AS_NEW",
            "running": "RUNNING",
        }
        for name, status in expected.items():
            shown = harness.lockstep("inspect", "--format", "json", harness.TESTDATA / f"{name}.cli.json").json
            self.assertEqual(shown["status"], status, name)

    def test_tools_that_write_the_same_history_differently_are_read_alike(self):
        def shown(name):
            value = harness.lockstep("inspect", "--format", "json", harness.TESTDATA / name).json
            del value["path"]
            return value

        for name in ("everything", "failed"):
            expected = shown(f"{name}.cli.json")
            for other in (f"{name}.cli.jsonl", f"{name}.python.json", f"{name}.pb"):
                self.assertEqual(shown(other), expected, other)

    def test_several_files_are_a_list_in_order(self):
        paths = [harness.TESTDATA / "failed.cli.json", harness.TESTDATA / "canceled.cli.json"]
        result = harness.lockstep("inspect", "--format", "json", *paths)
        self.assert_code(result, 0)
        self.assertEqual([entry["path"] for entry in result.json], [str(path) for path in paths])

    def test_standard_input(self):
        data = (harness.TESTDATA / "failed.pb").read_bytes()
        result = harness.lockstep("inspect", "--format", "json", "-", stdin=data)
        self.assert_code(result, 0)
        self.assertEqual(result.json["path"], "-")
        self.assertEqual(result.json["status"], "FAILED")

    def test_a_record_is_inspected_by_its_histories(self):
        result = harness.lockstep("inspect", "--format", "json", harness.HISTORIES / "rotation-250")
        self.assert_code(result, 0)
        self.assertGreater(len(result.json), 1)
        self.assertEqual(
            [entry["status"] for entry in result.json], ["CONTINUED_AS_NEW"] * (len(result.json) - 1) + ["COMPLETED"]
        )

    def test_the_time_line_has_a_line_an_event(self):
        history = self.history()
        result = harness.lockstep("inspect", harness.HISTORIES / "chain" / "history.json")
        self.assert_code(result, 0)
        for event in history["events"]:
            name = "".join(word.capitalize() for word in event["eventType"].removeprefix("EVENT_TYPE_").split("_"))
            self.assertRegex(result.out, rf"(?m)^ *{event['eventId']} .*{name}")

    def test_problems_name_the_event_and_the_code(self):
        history = self.history()
        del history["events"][4]
        path = self.write_json("gap.json", history)
        result = harness.lockstep("inspect", "--format", "json", path)
        self.assert_code(result, 3)
        self.assertEqual(set(result.json), MEMBERS)
        self.assertIn("EVENT_ID_NOT_CONTIGUOUS", json.dumps(result.json["problems"]))
        shown = harness.lockstep("inspect", path)
        self.assert_code(shown, 3)
        self.assertIn("EVENT_ID_NOT_CONTIGUOUS", shown.out)

    def test_out_writes_the_file(self):
        target = self.folder / "shown.json"
        result = harness.lockstep("inspect", "--format", "json", "--out", target, harness.TESTDATA / "failed.pb")
        self.assert_code(result, 0)
        self.assertEqual(result.out, "")
        self.assertEqual(json.loads(target.read_text())["status"], "FAILED")


if __name__ == "__main__":
    unittest.main()
