"""The hooks: plain git hooks, and under the real pre-commit framework. Judged is what is staged, not what lies in the folder."""

import json
import unittest

import support

HOOKS = support.SOURCE / "hooks"
FLOW = """#include <ctime>
[[clang::annotate("lockstep::activity")]] void Act(long);
[[clang::annotate("lockstep::workflow")]] void Flow() { Act(%s); }
"""


class PlainHookTest(support.GateTest):
    def setUp(self):
        super().setUp()
        self.root = self.repository()
        support.run([HOOKS / "install"], self.root)

    def test_a_clean_plan_passes_and_a_bad_one_is_stopped(self):
        self.copy_plan(self.root, "current-time", "good_bound_start", "plans/orders.json")
        self.commit(self.root, "good")
        self.copy_plan(self.root, "current-time", "bad_cutoff_by_now", "plans/orders.json")
        done = self.commit(self.root, "bad", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("plans/orders.json:", done.stderr)
        self.assertIn("determinism-plan-current-time", done.stderr)
        self.commit(self.root, "bad all the same", "--no-verify")

    def test_partially_staged_files_are_judged_as_staged(self):
        self.copy_plan(self.root, "current-time", "good_bound_start", "plans/orders.json")
        support.run(["git", "add", "-A"], self.root)
        # The folder is bad, the index good.
        self.copy_plan(self.root, "current-time", "bad_cutoff_by_now", "plans/orders.json")
        support.run(["git", "commit", "-q", "-m", "index is good"], self.root)
        # The index is bad, the folder good.
        support.run(["git", "add", "-A"], self.root)
        self.copy_plan(self.root, "current-time", "good_bound_start", "plans/orders.json")
        done = support.run(["git", "commit", "-q", "-m", "index is bad"], self.root, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("determinism-plan-current-time", done.stderr)

    def test_other_json_is_not_judged(self):
        self.put(self.root, "package.json", {"name": "x", "steps": []})
        self.commit(self.root, "no plan")

    def test_configuration_and_names_with_blanks(self):
        self.put(self.root, ".lockstep.yaml", "rules: {determinism-plan-current-time: off}\n")
        self.copy_plan(self.root, "current-time", "bad_cutoff_by_now", "plans/late orders.json")
        self.commit(self.root, "allowed by configuration")
        self.copy_plan(self.root, "random", "bad_sample_rows", "plans/la te.json")
        self.assertIn("plans/la te.json", self.commit(self.root, "random", check=False).stderr)

    def test_cpp_is_judged_as_staged(self):
        self.put(self.root, ".gitignore", "build/\n")
        self.put(self.root, "build/compile_commands.json", [{"directory": str(self.root), "file": "src/flow.cpp", "arguments": ["clang++", "-std=c++20", "-c", "src/flow.cpp"]}])
        self.put(self.root, "src/flow.cpp", FLOW % "1")
        self.commit(self.root, "start", "--no-verify")
        self.put(self.root, "src/flow.cpp", FLOW % "std::time(nullptr)")
        done = self.commit(self.root, "clock", check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("src/flow.cpp:3", done.stderr)
        self.assertIn("determinism-wall-clock", done.stderr)
        # The clock is staged, the folder no longer has it: the staged text counts.
        self.put(self.root, "src/flow.cpp", FLOW % "2")
        done = support.run(["git", "commit", "-q", "-m", "still staged"], self.root, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("determinism-wall-clock", done.stderr)
        support.run(["git", "add", "-A"], self.root)
        self.put(self.root, "src/flow.cpp", FLOW % "std::time(nullptr)")
        support.run(["git", "commit", "-q", "-m", "good is staged"], self.root)

    def test_cpp_of_the_very_first_commit_is_judged(self):
        self.put(self.root, ".gitignore", "build/\n")
        self.put(self.root, "build/compile_commands.json", [{"directory": str(self.root), "file": "src/flow.cpp", "arguments": ["clang++", "-std=c++20", "-c", "src/flow.cpp"]}])
        self.put(self.root, "src/flow.cpp", FLOW % "std::time(nullptr)")
        done = self.commit(self.root, "clock", check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("src/flow.cpp:3", done.stderr)
        self.put(self.root, "src/flow.cpp", FLOW % "1")
        self.commit(self.root, "start")

    def test_without_the_program_the_commit_is_stopped_with_advice(self):
        self.put(self.root, "plan.json", "{}")
        done = self.commit(self.root, "x", check=False, PATH="/usr/bin:/bin", LOCKSTEP="")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--no-verify", done.stderr)

    def test_pre_push_replays_the_records_of_touched_plans(self):
        remote = self.folder / "remote.git"
        support.run(["git", "init", "-q", "--bare", remote], self.folder)
        support.run(["git", "remote", "add", "origin", remote], self.root)
        self.copy_record(self.root, "chain")
        self.commit(self.root, "record")
        support.run(["git", "push", "-q", "origin", "main"], self.root)
        # A record that was tampered with: its sums no longer hold.
        history = self.root / "fixtures/histories/chain/history.json"
        history.write_text(history.read_text(encoding="utf-8").replace("executeStep", "executeStop", 1), encoding="utf-8")
        self.commit(self.root, "tamper", "--no-verify")
        done = support.run(["git", "push", "-q", "origin", "main"], self.root, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("the push was stopped", done.stderr)
        support.run(["git", "revert", "--no-edit", "HEAD"], self.root)
        support.run(["git", "push", "-q", "origin", "main"], self.root)

    def test_a_foreign_hook_is_left_alone(self):
        other = self.repository("other")
        self.put(other, ".git/hooks/pre-commit", "#!/bin/sh\n")
        done = support.run([HOOKS / "install"], other, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual((other / ".git/hooks/pre-commit").read_text(), "#!/bin/sh\n")


class FrameworkTest(support.GateTest):
    """`pre-commit try-repo` with a repository that has our hooks file."""

    def setUp(self):
        super().setUp()
        self.hooks = self.repository("lockstep-hooks")
        for name in ("hooks/pre-commit", "hooks/pre-push", ".pre-commit-hooks.yaml"):
            path = self.put(self.hooks, name, (support.SOURCE / name).read_text(encoding="utf-8"))
            path.chmod(0o755)
        self.commit(self.hooks, "hooks")
        self.root = self.repository()

    def try_repo(self, hook, *words):
        return support.run([support.TOOLS / "venv/bin/pre-commit", "try-repo", self.hooks, hook, "--verbose", *words], self.root, check=False, PRE_COMMIT_HOME=str(self.folder / "cache"))

    def test_lint(self):
        self.copy_plan(self.root, "current-time", "good_bound_start", "plans/orders.json")
        support.run(["git", "add", "-A"], self.root)
        done = self.try_repo("lockstep-lint")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("Passed", done.stdout)
        self.copy_plan(self.root, "current-time", "bad_cutoff_by_now", "plans/orders.json")
        support.run(["git", "add", "-A"], self.root)
        # What is only in the folder does not count.
        self.copy_plan(self.root, "random", "bad_sample_rows", "plans/orders.json")
        done = self.try_repo("lockstep-lint")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("determinism-plan-current-time", done.stdout)
        self.assertNotIn("determinism-plan-random", done.stdout)

    def test_replay_before_a_push(self):
        self.copy_record(self.root, "chain")
        self.commit(self.root, "record")
        first = support.run(["git", "rev-parse", "HEAD"], self.root).stdout.strip()
        manifest = self.root / "fixtures/histories/chain/manifest.json"
        document = json.loads(manifest.read_text(encoding="utf-8"))
        manifest.write_text(json.dumps({**document, "snapshotHash": "0" * 64}), encoding="utf-8")
        self.commit(self.root, "tamper")
        done = self.try_repo("lockstep-replay", "--hook-stage", "pre-push", "--from-ref", first, "--to-ref", "HEAD")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        done = self.try_repo("lockstep-replay", "--hook-stage", "pre-push", "--from-ref", first, "--to-ref", first)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
