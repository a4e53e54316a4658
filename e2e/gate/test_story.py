"""The story of the gate, from scratch: a repository with workflow code in C++, a plan, a recorded history, the hook and the
action. A good commit passes; a bad commit is stopped by the hook; pushed anyway it is stopped by the gate, with a comment that
names step, grade, file and line; repaired with a version gate, the next run is green.

The workflow code is the interpreter's own source file: the repository has it at its usual place, and the build of the "CI" is
that of e2e/mutants: the file is compiled with the flags of the build tree and put into a second `lockstep`.
"""

import json
import pathlib
import re
import shutil
import sys
import unittest

import support

sys.path.insert(0, str(support.SOURCE / "e2e" / "mutants"))
import run_mutants  # noqa: E402

FILE = "engine-core/interpreter/plan_run.cpp"
BEFORE = '{"maxAttempts", step.retry.max_attempts}});\n'
BAD = BEFORE + '  definition.Set("stampedAt", static_cast<int64_t>(std::time(nullptr)));\n'
GATED = BEFORE + '  if (wf::get_version("stamped-steps", wf::kDefaultVersion, 1) == 1) definition.Set("stampedAt", wf::now());\n'


class StoryTest(support.GateTest):
    def write(self, replacement):
        text = (support.SOURCE / FILE).read_text(encoding="utf-8")
        self.assertEqual(text.count(BEFORE), 1, f"{FILE} no longer has the line that this story changes")
        text = text.replace(BEFORE, replacement)
        if "std::time" in replacement:
            text = text.replace("#include <algorithm>", "#include <algorithm>\n#include <ctime>", 1)
        self.put(self.root, FILE, text)
        return text

    def build(self):
        """What the team's CI does before the gate: a program with the workflow code of this checkout."""
        text = (self.root / FILE).read_text(encoding="utf-8")
        if text == (support.SOURCE / FILE).read_text(encoding="utf-8"):
            return support.PROGRAM
        tree = run_mutants.BuildTree(support.BUILD)
        source = support.SOURCE / FILE
        made, archive = tree.object_and_archive(source)
        folder = self.folder / "program"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        copy = folder / source.name
        copy.write_text(f'#line 1 "{tree.spelling_of(source)}"\n{text}', encoding="utf-8")
        tree.compile_as(source, copy, folder / made.name)
        replacement = folder / pathlib.PurePosixPath(archive).name
        shutil.copyfile(tree.folder / archive, replacement)
        support.run([tree.archiver, "r", replacement, folder / made.name], folder)
        tree.link_with(archive, replacement, folder / "lockstep")
        shutil.copy(pathlib.Path(support.PROGRAM).parent / "lockstep-tidy", folder)
        return str(folder / "lockstep")

    def database(self):
        """compile_commands.json of the repository: the one file, with the headers of the build tree."""
        tree = run_mutants.BuildTree(support.BUILD)
        entry = tree.compile[str((support.SOURCE / FILE).resolve())]
        command = re.sub(r"(?<=\s)-o\s+\S+", "", entry["command"]).replace(str(support.SOURCE / FILE), str(self.root / FILE))
        self.put(self.root, "build/compile_commands.json", [{"directory": entry["directory"], "file": str(self.root / FILE), "command": command}])

    def gate(self, head):
        folder = self.folder / "runner"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.rmtree(self.root / "lockstep-report", ignore_errors=True)
        runner = support.Runner(self.root, folder, {"lockstep": self.build(), "lint": f"plans {FILE}", "build": "build", "changed-since": self.base, "baseline": "lint-baseline.json"}, {
            "sha": head, "event": {"pull_request": {"number": 7, "head": {"sha": head}}}}, {"GITHUB_REPOSITORY": "acme/pipelines", "GITHUB_SERVER_URL": "https://github.com"}).run()
        with_token = {"GITHUB_TOKEN": "t0ken", "GITHUB_API_URL": self.github.url, "GITHUB_REPOSITORY": "acme/pipelines"}
        self.github.head_sha = head
        support.run([support.PROGRAM, "report", "--comment", "--pull-request", "7", "--head-sha", head, "--body", "lockstep-report/report.md"], self.root, **with_token)
        return runner

    def head(self):
        return support.run(["git", "rev-parse", "HEAD"], self.root).stdout.strip()

    def test_story(self):
        self.root = self.repository()
        support.run([support.SOURCE / "hooks" / "install"], self.root)
        self.put(self.root, ".gitignore", "build/\nlockstep-report/\n")
        self.write(BEFORE)
        self.copy_record(self.root, "diamond")
        self.copy_plan(self.root, "current-time", "good_bound_start", "plans/orders.json")
        self.commit(self.root, "Workflow, plan and a recorded history")
        self.database()
        # What the analyzer says about this file alone is known; only what comes on top stops anybody.
        support.run([support.PROGRAM, "lint", "-p", "build", "--no-plans", "--write-baseline", "lint-baseline.json"], self.root)
        support.run(["git", "config", "lockstep.baseline", "lint-baseline.json"], self.root)
        self.commit(self.root, "Known findings")
        self.base = self.head()
        with support.GitHub() as self.github:
            # A good commit: another plan.
            self.copy_plan(self.root, "uuid", "good_stable_id", "plans/register.json")
            self.commit(self.root, "Register devices")
            runner = self.gate(self.head())
            self.assertFalse(runner.failed, runner.log)
            self.assertEqual(list(self.github.comments), [1000])
            self.assertIn(": PASSED", self.github.comments[1000])

            # A bad commit: a clock in workflow code. The hook stops it.
            text = self.write(BAD)
            done = self.commit(self.root, "Stamp the steps", check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("determinism-wall-clock", done.stderr)
            self.assertRegex(done.stderr, re.escape(FILE) + r":\d+:\d+: error")

            # Committed and pushed anyway: the gate stops it.
            self.commit(self.root, "Stamp the steps", "--no-verify")
            bad = self.head()
            runner = self.gate(bad)
            self.assertTrue(runner.failed)
            self.assertEqual(runner.outputs["verdict"], "FAILED")
            self.assertEqual(list(self.github.comments), [1000], "updated in place")
            comment = self.github.comments[1000]
            replay = json.loads((self.root / "lockstep-report/replay.json").read_text(encoding="utf-8"))
            first = replay["histories"][0]["divergences"][0]
            self.assertEqual(first["source"]["file"].removeprefix("../"), FILE)
            line = first["source"]["line"]
            self.assertIn("execute_activity", text.splitlines()[line - 1])
            for fact in (": FAILED", f"`{first['stepId']}`", "payload-only", f"https://github.com/acme/pipelines/blob/{bad}/{FILE}#L{line}", "lockstep replay fixtures/histories/diamond",
                         "determinism-wall-clock"):
                self.assertIn(fact, comment)

            # Repaired with a version gate: recorded runs take the old path.
            self.write(GATED)
            self.commit(self.root, "Stamp the steps of new runs")
            runner = self.gate(self.head())
            self.assertFalse(runner.failed, runner.log)
            self.assertIn(": PASSED", self.github.comments[1000])
            self.assertEqual(list(self.github.comments), [1000])
            self.assertEqual(self.github.violations, [])


if __name__ == "__main__":
    unittest.main()
