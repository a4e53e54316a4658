"""`lockstep lint`: C++ and plans in one run, formats, exit codes, baseline, changes, configuration."""

import json
import subprocess
import unittest

import harness

PLANS = harness.SOURCE / "fixtures" / "lint" / "plan"
BAD = PLANS / "determinism-plan-current-time" / "bad_cutoff_by_now.json"
GOOD = PLANS / "determinism-plan-current-time" / "good_bound_start.json"
WARNING = PLANS / "determinism-plan-external-call" / "bad_http_get.json"


class LintTest(harness.CliTest):
    def put(self, source, name):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes())
        return path

    def git(self, *words):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *words], cwd=self.folder, check=True, capture_output=True)

    def lint(self, *words, **more):
        return harness.lockstep("lint", *words, cwd=self.folder, **more)

    def cpp(self):
        (self.folder / "src").mkdir()
        (self.folder / "build").mkdir()
        (self.folder / "src" / "flow.cpp").write_text(
            '#include <ctime>\n[[clang::annotate("lockstep::activity")]] void Act(long);\n'
            "static long When() { return std::time(nullptr); }\n"
            '[[clang::annotate("lockstep::workflow")]] void Flow() { Act(When()); }\n', encoding="utf-8")
        (self.folder / "build" / "compile_commands.json").write_text(json.dumps([{
            "directory": str(self.folder), "file": "src/flow.cpp", "arguments": ["clang++", "-std=c++20", "-c", "src/flow.cpp"]}]), encoding="utf-8")

    def test_clean_is_0_error_is_1_warning_is_0(self):
        self.put(GOOD, "plans/good.json")
        self.assert_code(self.lint("plans"), 0)
        self.put(WARNING, "plans/warning.json")
        result = self.lint("plans")
        self.assert_code(result, 0)
        self.assertIn("[determinism-plan-external-call]", result.out)
        self.assert_code(self.lint("plans", "--max-warnings", "0"), 1)
        self.put(BAD, "plans/bad.json")
        result = self.lint("plans")
        self.assert_code(result, 1)
        self.assertRegex(result.out, r"plans/bad\.json:\d+:\d+: error: .*\[determinism-plan-current-time\]")

    def test_both_languages_in_one_run(self):
        self.cpp()
        self.put(BAD, "plans/bad.json")
        result = self.lint("-p", "build", "--format", "json")
        self.assert_code(result, 1)
        ids = {finding["id"] for finding in result.json["findings"]}
        self.assertLessEqual({"determinism-wall-clock", "determinism-plan-current-time"}, ids)
        places = [(f["file"], f["line"], f.get("column", 0)) for f in result.json["findings"]]
        self.assertEqual(places, sorted(places))
        clock = next(f for f in result.json["findings"] if f["id"] == "determinism-wall-clock")
        self.assertEqual([step["function"] for step in clock["chain"]], ["Flow", "When"])
        self.assertEqual(self.lint("-p", "build", "--format", "json", "--jobs", "1").out, result.out)
        only = self.lint("plans", "--format", "json")
        self.assertEqual({f["file"] for f in only.json["findings"]}, {"plans/bad.json"})

    def test_sarif_and_annotations(self):
        self.put(BAD, "bad.json")
        result = self.lint("bad.json", "--format", "sarif")
        self.assert_code(result, 1)
        entry = result.json["runs"][0]["results"][0]
        self.assertEqual(entry["ruleId"], "determinism-plan-current-time")
        self.assertEqual(entry["level"], "error")
        self.assertEqual(entry["locations"][0]["logicalLocations"][0]["fullyQualifiedName"], "/steps/0/params/query")
        self.assertTrue(self.lint("bad.json", "--format", "github").out.startswith("::error file=bad.json,line="))

    def test_nothing_to_lint_is_wrong_usage(self):
        (self.folder / "empty").mkdir()
        (self.folder / "data.json").write_text('{"a": 1}', encoding="utf-8")
        (self.folder / "notes.txt").write_text("x", encoding="utf-8")
        self.assert_one_line(self.lint("empty"), 2, "INPUT_EMPTY", "empty")
        self.assert_one_line(self.lint("missing"), 2, "INPUT_NOT_FOUND", "missing")
        self.assert_one_line(self.lint("notes.txt"), 2, "INPUT_INVALID")
        self.assert_one_line(self.lint("."), 2, "INPUT_EMPTY")
        self.assert_one_line(self.lint("--format", "xml"), 2, "xml")

    def test_a_broken_plan_is_3_and_says_where(self):
        (self.folder / "broken.json").write_text('{"metadata": {"planId": "p"},\n "steps": [{"stepId": "a", }]}', encoding="utf-8")
        result = self.lint("broken.json")
        self.assert_code(result, 3)
        self.assertIn("broken.json: line 2", result.err)
        (self.folder / "cycle.json").write_text(json.dumps({
            "metadata": {"planId": "p", "planVersion": "1", "schemaVersion": "v1.1"},
            "steps": [{"stepId": "a", "dependsOn": ["b"]}, {"stepId": "b", "dependsOn": ["a"]}]}), encoding="utf-8")
        self.assert_one_line(self.lint("cycle.json"), 3, "cyclic_dependencies_detected")

    def test_a_baseline_hides_what_is_known(self):
        self.put(BAD, "bad.json")
        self.assert_code(self.lint("bad.json", "--write-baseline", "base.json"), 0)
        result = self.lint("bad.json", "--baseline", "base.json")
        self.assert_code(result, 0)
        self.assertIn("1 finding in the baseline", result.out)
        (self.folder / "base.json").write_text("{}", encoding="utf-8")
        self.assert_one_line(self.lint("bad.json", "--baseline", "base.json"), 3, "BASELINE_INVALID", "base.json")

    def test_changed_since_reports_only_what_the_change_brought(self):
        self.put(BAD, "old.json")
        self.put(WARNING, "touched.json")
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-qm", "start")
        self.assert_code(self.lint("."), 1)
        plan = json.loads((self.folder / "touched.json").read_text(encoding="utf-8"))
        plan["steps"].append({"stepId": "q", "kind": "sql.query", "params": {"connection": "db", "query": "select random()"}})
        (self.folder / "touched.json").write_text(json.dumps(plan), encoding="utf-8")
        result = self.lint(".", "--changed-since", "HEAD", "--format", "json")
        self.assert_code(result, 1)
        self.assertEqual([f["id"] for f in result.json["findings"]], ["determinism-plan-random"])
        self.assert_one_line(self.lint(".", "--changed-since", "nowhere"), 2, "GIT_FAILED", "nowhere")

    def test_configuration_sets_levels(self):
        self.put(BAD, "plans/bad.json")
        (self.folder / "plans" / ".lockstep.yaml").write_text("rules: {determinism-plan-current-time: warning}\n", encoding="utf-8")
        self.assert_code(self.lint("plans"), 0)
        (self.folder / "plans" / ".lockstep.yaml").write_text('rules: {"determinism-plan-*": off}\n', encoding="utf-8")
        self.assertNotIn("determinism-plan", self.lint("plans").out)
        (self.folder / "plans" / ".lockstep.yaml").write_text("rules: [", encoding="utf-8")
        self.assert_one_line(self.lint("plans"), 3, "CONFIG_INVALID", ".lockstep.yaml")

    def test_a_folder_that_is_switched_off_is_not_judged(self):
        self.put(GOOD, "plans/good.json")
        self.put(BAD, "plans/drafts/bad.json")
        (self.folder / "plans" / "drafts" / "broken.json").write_text('{"metadata": {"planId": "p"}, "steps": [{"stepId": "a", }]}', encoding="utf-8")
        self.assert_code(self.lint("plans"), 1)
        (self.folder / "plans" / "drafts" / ".lockstep.yaml").write_text("scope: off\n", encoding="utf-8")
        self.assert_code(self.lint("plans"), 0)

    def test_rules_are_listed_and_explained(self):
        listing = self.lint("--list-rules")
        self.assert_code(listing, 0)
        self.assertEqual(len([line for line in listing.out.splitlines() if "determinism-plan-" in line]), 18)
        self.assertIn("${run.startedAt}", self.lint("--explain", "determinism-plan-current-time").out)

    def test_own_plans_and_records_are_clean(self):
        result = harness.lockstep("lint", harness.SOURCE / "fixtures" / "plans" / "golden", harness.SOURCE / "fixtures" / "plans" / "good")
        self.assert_code(result, 0)


if __name__ == "__main__":
    unittest.main()
