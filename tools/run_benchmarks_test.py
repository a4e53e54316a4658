#!/usr/bin/env python3
"""Tests of run-benchmarks with programs that stand in for Google Benchmark's."""

import json
import pathlib
import stat
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parent / "run-benchmarks"
REPORT = {"context": {"num_cpus": 2, "mhz_per_cpu": 3000, "date": "a day"},
          "benchmarks": [{"name": "BM_Read/64", "run_type": "iteration", "iterations": 5, "real_time": 1500.0, "cpu_time": 1400.0, "time_unit": "us",
                          "bytes_per_second": 3.0 * 1024 * 1024, "items_per_second": 2500.0, "events": 12.0},
                         {"name": "BM_Broken", "error_occurred": True, "error_message": "no file"}]}


class RunBenchmarksTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def add(self, name, body):
        path = self.root / name
        path.write_text(f"#!{sys.executable}\nimport sys\nout = [a.split('=', 1)[1] for a in sys.argv if a.startswith('--benchmark_out=')][0]\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run_tool(self, *names):
        return subprocess.run([sys.executable, str(TOOL), "--programs", str(self.root), *names], capture_output=True, text=True)

    def test_tables_are_shown_and_saved(self):
        self.add("one_bench", f"open(out, 'w').write({json.dumps(json.dumps(REPORT))})")
        (self.root / "notes.txt").write_text("no program")
        done = self.run_tool()
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in ["BM_Read/64", "1.5 ms", "1.4 ms", "3MiB/s", "2.5k/s", "events=12", "error: no file", "1 of 1 programs ran"]:
            self.assertIn(text, done.stdout)
        self.assertIn("BM_Read/64", (self.root / "results/summary.md").read_text())
        self.assertEqual(json.loads((self.root / "results/one_bench.json").read_text()), REPORT)

    def test_failing_program_fails_the_whole_but_not_the_others(self):
        self.add("a_bench", "sys.exit(3)")
        self.add("b_bench", f"open(out, 'w').write({json.dumps(json.dumps(REPORT))})")
        done = self.run_tool()
        self.assertEqual(done.returncode, 1)
        self.assertIn("a_bench: failed with exit code 3", done.stderr)
        self.assertIn("BM_Read/64", done.stdout)

    def test_names_choose(self):
        self.add("a_bench", "sys.exit(3)")
        self.add("b_bench", f"open(out, 'w').write({json.dumps(json.dumps(REPORT))})")
        self.assertEqual(self.run_tool("b_").returncode, 0)

    def test_nothing_to_run_is_wrong_usage(self):
        self.assertEqual(self.run_tool().returncode, 2)
        self.add("a_bench", "")
        self.assertEqual(self.run_tool("zzz").returncode, 2)

    def test_report_that_is_none_is_a_failure(self):
        self.add("a_bench", "open(out, 'w').write('{')")
        self.assertEqual(self.run_tool().returncode, 1)


if __name__ == "__main__":
    unittest.main()
