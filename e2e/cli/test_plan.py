"""`lockstep plan validate | pin | migrate`."""

import hashlib
import json
import unittest

import harness

PLANS = harness.SOURCE / "fixtures" / "plans"


class Plan(harness.CliTest):
    def test_good_plans_are_valid(self):
        for path in sorted((PLANS / "good").glob("*.json")):
            with self.subTest(path.name):
                result = harness.lockstep("plan", "validate", path)
                self.assert_code(result, 0)
                self.assertEqual(result.err, "")
                self.assertIn(hashlib.sha256(path.read_bytes()).hexdigest(), result.out)

    def test_json_of_a_good_plan(self):
        path = PLANS / "good" / "gate.json"
        result = harness.lockstep("plan", "validate", "--format", "json", path)
        self.assert_code(result, 0)
        (entry,) = result.json
        self.assertEqual(entry["path"], str(path))
        self.assertIs(entry["valid"], True)
        self.assertEqual(entry["sha256"], hashlib.sha256(path.read_bytes()).hexdigest())
        self.assertEqual(entry["report"]["errors"], [])

    def test_bad_plans_name_code_and_place(self):
        rows = [
            line.split()
            for line in (PLANS / "bad" / "expected.txt").read_text().splitlines()
            if line and not line.startswith("#")
        ]
        self.assertGreater(len(rows), 5)
        for name, code, issue, place in rows:
            with self.subTest(name):
                result = harness.lockstep("plan", "validate", "--format", "json", PLANS / "bad" / name)
                self.assert_code(result, 3)
                (entry,) = result.json
                self.assertIs(entry["valid"], False)
                self.assertEqual(entry["code"], code)
                if issue != "-":
                    self.assertEqual((entry["issues"][0]["code"], entry["issues"][0]["path"]), (issue, place))
                self.assert_one_line(harness.lockstep("plan", "pin", PLANS / "bad" / name), 3, name, code)

    def test_one_bad_plan_among_good_ones_decides(self):
        result = harness.lockstep(
            "plan", "validate", "--format", "json", PLANS / "good" / "gate.json", PLANS / "bad" / "cycle.json"
        )
        self.assert_code(result, 3)
        self.assertEqual([entry["valid"] for entry in result.json], [True, False])

    def test_what_is_no_plan_is_refused_by_one_line(self):
        cases = {
            "empty": b"",
            "cut": b'{"metadata": {"planId"',
            "deep": b"[" * 10_000,
            "list": b"[]",
            "bytes": bytes(range(256)),
            "latin": b'{"metadata": {"planId": "\xff"}}',
            "text": b'"plan"',
            "null": b"null",
            "steps": b'{"metadata": {"planId": "x", "planVersion": "1", "schemaVersion": "v1.2"}, "steps": 7}',
        }
        for name, data in cases.items():
            path = self.write(f"{name}.json", data)
            with self.subTest(name):
                self.assert_one_line(harness.lockstep("plan", "pin", path), 3, path.name)
                self.assert_code(harness.lockstep("plan", "validate", path), 3)

    def test_a_plan_that_is_far_too_large_is_refused(self):
        path = self.folder / "big.json"
        with open(path, "wb") as file:
            file.truncate(300 << 20)
        for verb in ("pin", "validate"):
            self.assert_one_line(harness.lockstep("plan", verb, path), 3, "big.json", "FILE_TOO_LARGE")

    def test_pin_gives_the_reference_by_digest(self):
        path = PLANS / "good" / "gate.json"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        result = harness.lockstep("plan", "pin", path)
        self.assert_code(result, 0)
        document = json.loads(path.read_text())
        self.assertEqual(result.json["uri"], f"plan:{digest}")
        self.assertEqual(result.json["sha256"], digest)
        self.assertEqual(result.json["sizeBytes"], path.stat().st_size)
        self.assertEqual(result.json["planId"], document["metadata"]["planId"])
        self.assertEqual(result.json["planVersion"], document["metadata"]["planVersion"])
        self.assertEqual(harness.lockstep("plan", "pin", "-", stdin=path.read_bytes()).json, result.json)

    def test_one_byte_makes_another_pin(self):
        path = PLANS / "good" / "gate.json"
        other = self.write("other.json", path.read_bytes() + b"\n")
        self.assertNotEqual(
            harness.lockstep("plan", "pin", other).json["sha256"], harness.lockstep("plan", "pin", path).json["sha256"]
        )

    def test_step_kinds_for_tests_need_a_flag(self):
        path = self.write_json(
            "fails.json",
            {
                "metadata": {"planId": "fails", "planVersion": "1", "schemaVersion": "v1.2"},
                "steps": [{"stepId": "a", "kind": "fail", "params": {"mode": "permanent"}}],
            },
        )
        self.assert_code(harness.lockstep("plan", "validate", path), 3)
        self.assert_code(harness.lockstep("plan", "validate", "--test-kinds", path), 0)

    def test_migrate_writes_an_older_document_with_a_new_version(self):
        path = PLANS / "good" / "sequential.v1.0.json"
        result = harness.lockstep("plan", "migrate", "--to", "v1.1", "--plan-version", "8.0.0", path)
        self.assert_code(result, 0)
        self.assertEqual(result.json["metadata"]["schemaVersion"], "v1.1")
        self.assertEqual(result.json["metadata"]["planVersion"], "8.0.0")
        migrated = self.write("migrated.json", result.out)
        self.assert_code(harness.lockstep("plan", "validate", migrated), 0)
        self.assertNotEqual(
            harness.lockstep("plan", "pin", migrated).json["sha256"],
            harness.lockstep("plan", "pin", path).json["sha256"],
        )

    def test_migrate_writes_to_a_file(self):
        target = self.folder / "older.json"
        result = harness.lockstep(
            "plan",
            "migrate",
            "--to",
            "v1.1",
            "--plan-version",
            "8",
            "--out",
            target,
            PLANS / "good" / "conditional.v1.1.json",
        )
        self.assert_code(result, 0)
        self.assertEqual(result.out, "")
        self.assert_code(harness.lockstep("plan", "validate", target), 0)

    def test_migrate_refuses_what_would_be_lost(self):
        result = harness.lockstep(
            "plan", "migrate", "--to", "v1.1", "--plan-version", "8", PLANS / "good" / "gate.json"
        )
        self.assert_code(result, 3)
        self.assertIn("DOWNGRADE_NOT_POSSIBLE", result.err_lines[0])
        self.assertIn("customSignals", result.err_lines[0])
        self.assertEqual(result.out, "")

    def test_migrate_takes_one_plan(self):
        good = PLANS / "good" / "sequential.v1.0.json"
        result = harness.lockstep(
            "plan", "migrate", "--to", "v1.1", "--plan-version", "8", good, PLANS / "good" / "conditional.v1.1.json"
        )
        self.assert_one_line(result, 2)
        self.assertEqual(result.out, "")


if __name__ == "__main__":
    unittest.main()
