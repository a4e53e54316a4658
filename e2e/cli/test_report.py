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

    def test_every_command_that_judges_writes_the_model(self):
        """replay, lint of C++, lint of plans, simulate, trace: `--result` is the model itself (reading and writing it again changes
        no byte, so no member is unknown to it), and `lockstep report` renders each in every format."""
        (self.folder / "plans").mkdir()
        bad = harness.SOURCE / "fixtures/lint/plan/determinism-plan-current-time/bad_cutoff_by_now.json"
        (self.folder / "plans/late.json").write_bytes(bad.read_bytes())
        (self.folder / "flow.cpp").write_text(
            '#include <ctime>\n[[clang::annotate("lockstep::activity")]] void Act(long);\n'
            '[[clang::annotate("lockstep::workflow")]] void Flow() { Act(std::time(nullptr)); }\n',
            encoding="utf-8",
        )
        (self.folder / "compile_commands.json").write_text(
            json.dumps([{"directory": str(self.folder), "file": "flow.cpp", "arguments": ["clang++", "-std=c++20", "-c", "flow.cpp"]}]),
            encoding="utf-8",
        )
        diamond = harness.HISTORIES / "diamond"
        cases = {
            "replay": (["replay", diamond], 0, "replay", ["diamond", "IDENTICAL"]),
            "perturbed": (["replay", diamond, "--perturb", "workers"], 0, "replay", ["diamond", "4 at once"]),
            "trace": (["trace", diamond, "--no-changes"], 0, "trace", ["diamond", "IDENTICAL"]),
            "simulate": (["simulate", "--seeds", "1..3"], 0, "simulate", ["3 simulated runs"]),
            "plans": (["lint", "plans"], 1, "lint", ["determinism-plan-current-time", "plans/late.json"]),
            "cpp": (["lint", "-p", ".", "flow.cpp"], 1, "lint", ["determinism-wall-clock", "flow.cpp:3", "Flow"]),
        }
        for name, (words, code, tool, facts) in cases.items():
            with self.subTest(command=name):
                file = self.folder / f"{name}.json"
                done = harness.lockstep(*words, "--result", file, cwd=self.folder)
                self.assert_code(done, code)
                text = file.read_text(encoding="utf-8")
                result = json.loads(text)
                self.assertEqual((result["format"], result["tool"]), ("lockstep.result/1", tool))
                self.assertEqual(result["verdict"], "FAILED" if code else "PASSED")
                self.assertTrue(result["command"].startswith(f"lockstep {words[0]} "), result["command"])
                self.assertRegex(result["toolVersion"], r"^\d+\.\d+\.\d+$")
                self.assertEqual(self.report(file.name, "--format", "json").out, text)
                for format in ("text", "md", "html", "sarif", "junit", "github"):
                    rendered = self.report(file.name, "--format", format)
                    self.assert_code(rendered, 0)
                    for fact in facts if format in ("text", "html") else facts[:1] if code else []:
                        self.assertIn(fact, rendered.out, format)

    def test_a_result_that_cannot_be_written_is_no_success(self):
        self.assert_one_line(harness.lockstep("replay", harness.HISTORIES / "chain", "--result", self.folder / "no/such/result.json"), 2, "result.json")

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
