"""`lockstep simulate`: many runs under virtual time and trouble, and what a failure looks like."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
from harness import CliTest, lockstep  # noqa: E402

# A sanitizer build or a loaded machine gets by with fewer.
SEEDS = int(os.environ.get("LOCKSTEP_SIMULATE_SEEDS", "20000"))


class SimulateTest(CliTest):
    def test_invariants_hold_for_many_seeds(self):
        done = lockstep("simulate", "--seeds", f"0..{SEEDS - 1}", "--format", "json", timeout=900)
        self.assert_code(done, 0)
        self.assertEqual(done.json["verdict"], "HELD")
        self.assertEqual(done.json["runs"], SEEDS)
        statuses = done.json["statuses"]
        # By the log: a run is left without a terminal status only where an orphaned event stands in the way, which is rare.
        self.assertLessEqual({"COMPLETED", "FAILED", "CANCELLED"}, set(statuses))
        self.assertLessEqual(statuses.get("RUNNING", 0) + statuses.get("PAUSED", 0), SEEDS // 1000)
        self.assertLessEqual(set(statuses), {"COMPLETED", "FAILED", "CANCELLED", "RUNNING", "PAUSED"})

    def test_given_plans(self):
        plan = self.write_json("plan.json", {"metadata": {"planId": "p", "planVersion": "1", "schemaVersion": "v1.2"}, "steps": [
            {"stepId": f"s{i}", "kind": "process.run", "params": {"argv": ["never-run"]}} for i in range(10)]})
        done = lockstep("simulate", plan, "--seeds", "1..200", "--jobs", "2")
        self.assert_code(done, 0)
        self.assertIn("200 runs", done.out)
        self.assertIn("All invariants held.", done.out)

    def test_same_seeds_same_result(self):
        once = lockstep("simulate", "--seeds", "7..60", "--format", "json")
        again = lockstep("simulate", "--seeds", "7..60", "--jobs", "2", "--format", "json")
        self.assertEqual(once.out, again.out)

    def test_one_seed_with_few_decisions(self):
        done = lockstep("simulate", "--seeds", "3..3", "--only", "task.2:lost", "--without", "s0")
        self.assert_code(done, 0)

    def test_list_of_invariants(self):
        listed = lockstep("simulate", "--invariants")
        self.assert_code(listed, 0)
        for name in ("durable-before-dispatch", "hashes-equal-at-every-task", "run-ends"):
            self.assertIn(name, listed.out)
        page = (pathlib.Path(os.environ["LOCKSTEP_SOURCE_DIR"]) / "docs" / "simulate.md").read_text(encoding="utf-8")
        for line in listed.out.splitlines():
            if not line.startswith(" "):
                self.assertIn(f"`{line.split()[0]}`", page)

    def test_wrong_usage(self):
        self.assert_one_line(lockstep("simulate", "--seeds", "9..3"), 2, "USAGE", "9..3")
        self.assert_one_line(lockstep("simulate", "--faults", "rain"), 2, "USAGE", "rain")
        self.assert_one_line(lockstep("simulate", self.folder / "none.json"), 2, "FILE_NOT_FOUND")
        broken = self.write("broken.json", "{}")
        refused = lockstep("simulate", broken, "--seeds", "1..2")
        self.assert_code(refused, 3)
        self.assertIn("broken.json", refused.err_lines[0])
