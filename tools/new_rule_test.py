#!/usr/bin/env python3
"""Tests of tools/new-rule: what it makes fits the registry, and what exists is left alone."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent
TREE = TOOLS.parent


class NewRuleTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        for folder in ("analyzer/rules/environment", "analyzer/models", "fixtures/lint/cpp"):
            (self.root / folder).mkdir(parents=True)
        shutil.copy(TREE / "analyzer/rules.json", self.root / "analyzer/rules.json")

    def tearDown(self):
        self.folder.cleanup()

    def run_tool(self, *arguments):
        command = [sys.executable, str(TOOLS / "new-rule"), *arguments, "--root", str(self.root)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def make(self, name, number, *more):
        return self.run_tool(
            name, "--number", number, "--family", "environment", "--title", "GPU asked", "--trigger", "cudaGetDeviceCount",
            "--why", "hosts have other devices", "--replacement", "workflow input", *more)  # fmt: skip

    def test_makes_entry_page_fixtures_and_model_row(self):
        result = self.make("determinism-gpu-probe", "H8", "--call", "gpu::device_count", "--carry", "value")
        self.assertEqual(result.returncode, 0, result.stderr)
        rules = json.loads((self.root / "analyzer/rules.json").read_text())["rules"]
        numbers = [rule["number"] for rule in rules]
        self.assertEqual(numbers.index("H8"), numbers.index("H7") + 1)
        self.assertEqual(numbers, sorted(numbers, key=lambda number: (number[0], int(number[1:]))))
        page = (self.root / "analyzer/rules/environment/gpu-probe.md").read_text()
        self.assertTrue(page.startswith("# determinism-gpu-probe (H8)\n"))
        self.assertIn("| error | R | no |", page)
        fixtures = self.root / "fixtures/lint/cpp/determinism-gpu-probe"
        self.assertIn("// expect: determinism-gpu-probe", (fixtures / "bad_gpu_probe.cpp").read_text())
        self.assertNotIn("determinism-gpu-probe", (fixtures / "good_gpu_probe.cpp").read_text())
        model = (self.root / "analyzer/models/further_rules.yaml").read_text()
        self.assertIn('{rule: determinism-gpu-probe, carry: value, names: ["gpu::device_count"]}', model)

    def test_last_number_of_all_and_first_of_a_family(self):
        self.assertEqual(self.make("determinism-last", "J15").returncode, 0)
        self.assertEqual(self.make("determinism-new-family", "K1").returncode, 0)
        json.loads((self.root / "analyzer/rules.json").read_text())

    def test_refuses_what_exists_and_what_is_malformed(self):
        before = (self.root / "analyzer/rules.json").read_text()
        self.assertEqual(self.make("determinism-wall-clock", "A9").returncode, 2)
        self.assertEqual(self.make("determinism-other", "A1").returncode, 2)
        self.assertEqual(self.make("wall-clock", "A9").returncode, 2)
        self.assertEqual(self.make("determinism-other", "99").returncode, 2)
        self.assertEqual((self.root / "analyzer/rules.json").read_text(), before)


if __name__ == "__main__":
    unittest.main()
