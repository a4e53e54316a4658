"""`lockstep report`: results in, reports out."""

import json
import unittest

import harness

DATA = harness.SOURCE / "reports" / "testdata"


class ReportTest(harness.CliTest):
    def report(self, *words, **more):
        env = {"GITHUB_SHA": "", "GITHUB_REPOSITORY": "", "GITHUB_TOKEN": "", "GH_TOKEN": "", "GITHUB_API_URL": "", **more.pop("env", {})}
        return harness.lockstep("report", *words, cwd=self.folder, env=env, **more)

    def test_reads_what_replay_prints(self):
        replay = harness.lockstep("replay", harness.HISTORIES / "chain", "--format", "json", "--out", self.folder / "replay.json")
        self.assert_code(replay, 0)
        result = self.report("replay.json")
        self.assert_code(result, 0)
        self.assertTrue(result.out.startswith("<!-- lockstep-determinism -->\n## "))
        self.assertIn("PASSED", result.out)
        piped = self.report("-", "--format", "text", stdin=(self.folder / "replay.json").read_bytes())
        self.assertIn("1 history: 1 identical. PASSED", piped.out)

    def test_every_format_and_out(self):
        for name, start in {"md": "<!--", "html": "<!DOCTYPE html>", "sarif": "{", "junit": "<?xml", "json": "{", "github": "::error", "text": ""}.items():
            result = self.report(DATA / "replay.json", DATA / "lint.json", "--format", name, "--out", f"report.{name}")
            self.assert_code(result, 0)
            self.assertEqual(result.out, "")
            self.assertTrue((self.folder / f"report.{name}").read_text(encoding="utf-8").startswith(start), name)
        self.assertEqual(json.loads((self.folder / "report.json").read_text(encoding="utf-8"))["verdict"], "FAILED")

    def test_bad_input(self):
        self.assert_one_line(self.report(), 2, "expected at least one result")
        self.assert_one_line(self.report("missing.json"), 2, "FILE_NOT_FOUND", "missing.json")
        (self.folder / "x.json").write_text('{"format": "lockstep.result/9", "findings": []}', encoding="utf-8")
        self.assert_one_line(self.report("x.json"), 3, "RESULT_INVALID", "x.json", "lockstep.result/9")
        self.assert_one_line(self.report("x.json", "--comment"), 2, "--pull-request")

    def test_without_a_token_the_report_stays_as_a_file(self):
        result = self.report(DATA / "lint.json", "--comment", "--pull-request", "3", "--repository", "o/r")
        self.assert_code(result, 4)
        self.assertIn("COMMENT_TOKEN_MISSING", result.err)
        self.assertTrue((self.folder / "lockstep-report.md").read_text(encoding="utf-8").startswith("<!-- lockstep-determinism -->"))


if __name__ == "__main__":
    unittest.main()
