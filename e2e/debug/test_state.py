"""`lockstep state`: what is under way at any event."""

import unittest

from debug_harness import HISTORIES, TESTDATA, CliTest, lockstep


class State(CliTest):
    def test_record_names_lines_and_waits(self):
        result = lockstep("state", HISTORIES / "diamond", "--at", 20, "--format", "json")
        self.assert_code(result, 0)
        point = result.json["points"][0]
        self.assertEqual(result.json["format"], "lockstep.state/1")
        self.assertEqual(point["source"], "code")
        (item,) = point["pending"]["items"]
        self.assertEqual((item["kind"], item["id"]), ("activity", "step/top/1"))
        self.assertEqual(item["source"]["file"], "engine-core/interpreter/plan_run.cpp")
        waits = {view["waitsFor"] for view in point["awaits"]}
        self.assertIn("activity step/top/1", waits)
        self.assertEqual([view["main"] for view in point["awaits"]].count(True), 1)
        self.assertEqual(point["snapshot"]["status"], "RUNNING")

    def test_bare_history_is_enough(self):
        result = lockstep("state", HISTORIES / "chain" / "history.json", "--at-every-task", "--format", "json")
        self.assert_code(result, 0)
        points = result.json["points"]
        self.assertEqual(points[-1]["pending"]["status"], "COMPLETED")
        self.assertEqual([point["eventId"] for point in points], sorted(point["eventId"] for point in points))

    def test_text_is_for_people(self):
        result = lockstep("state", HISTORIES / "sleep", "--at", 30)
        self.assert_code(result, 0)
        for part in ("pending", "waiting", "snapshot at runSeq", "plan_run.cpp:"):
            self.assertIn(part, result.out)
        self.assertNotIn("\x1b", result.out)

    def test_history_of_another_sdk_is_told_from_its_events(self):
        for path in sorted(TESTDATA.glob("*.json")):
            result = lockstep("inspect", path, "--format", "json")
            if result.code != 0 or result.json["events"] == 0:
                continue
            result = lockstep("state", path, "--at", 1, "--format", "json")
            self.assert_code(result, 0)
            if result.json["workflowType"] != "runPlanWorkflow":
                self.assertEqual(result.json["points"][0]["source"], "events")
                self.assertIn("this build has no workflow", result.json["points"][0]["note"])

    def test_wrong_usage(self):
        self.assert_one_line(lockstep("state", HISTORIES / "chain"), 2, "--at N", "--at-every-task")
        self.assert_one_line(lockstep("state", HISTORIES / "chain", "--at", 5000), 2, "expected an event from 1 to")
        self.assert_one_line(lockstep("state", HISTORIES / "chain", "--at", 1, "--execution", 9), 2, "expected an execution")
        self.assert_one_line(lockstep("state", self.folder / "none.json", "--at", 1), 2, "none.json")

    def test_damaged_record_is_refused(self):
        record = self.copy_record("chain")
        (record / "events.jsonl").write_text("{}\n", encoding="utf-8")
        self.assert_one_line(lockstep("state", record, "--at", 3), 3, "RECORD_CORRUPT", "events.jsonl")


if __name__ == "__main__":
    unittest.main()
