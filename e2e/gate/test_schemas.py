"""SARIF and JUnit of the golden files and of a fresh run against their published schemas."""

import json
import sys
import unittest

import jsonschema
import support
import xmlschema

sys.path.insert(0, str(support.SOURCE / "e2e" / "support"))
import schemas  # noqa: E402

GOLDEN = support.SOURCE / "reports" / "testdata" / "golden"


class SchemaTest(support.GateTest):
    @classmethod
    def setUpClass(cls):
        schema = schemas.published(schemas.SARIF)
        cls.sarif = jsonschema.validators.validator_for(schema)(schema)
        cls.junit = xmlschema.XMLSchema(str(support.TOOLS / "junit-10.xsd"))

    def check_sarif(self, text):
        self.assertEqual([f"{'/'.join(map(str, error.path))}: {error.message[:200]}" for error in self.sarif.iter_errors(json.loads(text))], [])

    def test_golden_files(self):
        self.check_sarif((GOLDEN / "report.sarif").read_text(encoding="utf-8"))
        self.junit.validate(str(GOLDEN / "report.junit.xml"))

    def test_the_schemas_refuse_what_is_wrong(self):
        with self.assertRaises(AssertionError):
            self.check_sarif('{"version": "2.1.0", "runs": [{"tool": {}}]}')
        with self.assertRaises(xmlschema.XMLSchemaException):
            self.junit.validate("<testsuites><testcase/></testsuites>")

    def test_fresh_results(self):
        plans = support.PLANS / "determinism-plan-non-idempotent-state"
        (self.folder / "plans").mkdir()
        for file in plans.glob("*.json"):
            (self.folder / "plans" / file.name).write_bytes(file.read_bytes())
        done = support.run([support.PROGRAM, "lint", "plans", "--format", "sarif"], self.folder, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.check_sarif(done.stdout)
        support.run([support.PROGRAM, "lint", "plans", "--format", "json", "--out", "lint.json"], self.folder, check=False)
        support.run([support.PROGRAM, "replay", support.SOURCE / "fixtures/histories/chain", "--format", "json", "--out", "replay.json"], self.folder)
        support.run([support.PROGRAM, "report", "lint.json", "replay.json", "--format", "junit", "--out", "report.xml"], self.folder)
        self.junit.validate(str(self.folder / "report.xml"))
        self.check_sarif(support.run([support.PROGRAM, "report", "lint.json", "replay.json", "--format", "sarif"], self.folder).stdout)


if __name__ == "__main__":
    unittest.main()
