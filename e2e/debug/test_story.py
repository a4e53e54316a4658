"""The whole story of a broken change: record a run, break the code, see it in the replay, trace it to the line, find the commit, repair it
with the gate that was proposed, and be in step again. docs/debugging.md tells it with pictures."""

import json
import pathlib
import subprocess
import sys
import unittest

from debug_harness import PROGRAM, SOURCE, CliTest, lockstep

sys.path.insert(0, str(SOURCE / "e2e" / "mutants"))
import mutants  # noqa: E402
import run_mutants  # noqa: E402

PLAN = {
    "metadata": {"planId": "story", "planVersion": "1", "schemaVersion": "v1.2"},
    "steps": [
        {"stepId": "greet", "kind": "echo", "params": {"message": {"text": "hello"}}},
        {"stepId": "show", "kind": "echo", "params": {"message": "${steps['greet'].result.text} again"}},
    ],
}
FILE = "engine-core/interpreter/plan_run.cpp"
BEFORE = '{"logicalAttemptId", state.attempt},'
AFTER = '{"logicalAttemptId", state.attempt + 1},'
BUILD = pathlib.Path(PROGRAM).resolve().parent.parent


def run(program, *words):
    return subprocess.run([str(program), *map(str, words)], capture_output=True, text=True, timeout=300)


class Story(CliTest):
    def build(self, name, edits):
        """The program with these edits of the interpreter."""
        broken = mutants.Mutant(name, "the story's change", FILE, edits, ())
        program, text = run_mutants.build(broken, run_mutants.BuildTree(BUILD), self.folder / name)
        overlay = self.folder / name / "source"
        (overlay / FILE).parent.mkdir(parents=True)
        (overlay / FILE).write_text(text, encoding="utf-8")
        return program, overlay

    def test_record_break_trace_bisect_repair(self):
        # Record.
        record = self.folder / "record"
        recorded = lockstep("record", self.write_json("plan.json", PLAN), "--out", record, "--dev-server", timeout=300)
        self.assert_code(recorded, 0)
        self.assert_code(lockstep("replay", record), 0)

        # Break.
        broken, source = self.build("broken", ((BEFORE, AFTER),))
        self.assertEqual(run(broken, "replay", record).returncode, 1)

        # Trace: which line, and what would repair it.
        text = (SOURCE / FILE).read_text(encoding="utf-8")
        line = text[: text.index(BEFORE)].count("\n") + 1
        original = text.splitlines()[line - 1]
        diff = self.write("change.diff", f"--- a/{FILE}\n+++ b/{FILE}\n@@ -{line} +{line} @@\n-{original}\n+{original.replace(BEFORE, AFTER)}\n")
        traced = run(broken, "trace", record, "--source", source, "--source", SOURCE, "--diff", diff, "--format", "json", "--html", self.folder / "timeline.html")
        self.assertEqual(traced.returncode, 1, traced.stderr)
        report = json.loads(traced.stdout)
        self.assertEqual(report["first"]["stepId"], "greet")
        self.assertEqual(report["fields"][0]["path"], "/input/0/logicalAttemptId")
        self.assertEqual((report["fields"][0]["expected"], report["fields"][0]["actual"]), ("1", "2"))
        first = report["causes"][0]
        self.assertEqual((first["cause"], first["source"]["file"], first["source"]["line"]), ("ungated-change", FILE, line))
        # Without the change at hand the line is still among the first three.
        alone = json.loads(run(broken, "trace", record, "--source", source, "--source", SOURCE, "--no-changes", "--format", "json").stdout)
        self.assertIn(line, [cause.get("source", {}).get("line") for cause in alone["causes"][:3]])

        # Bisect: which commit.
        repository = self.folder / "repository"
        repository.mkdir()

        def git(*words):
            done = subprocess.run(
                ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", *words], cwd=repository, capture_output=True, text=True, check=True
            )
            return done.stdout.strip()

        git("init", "--quiet", "--initial-branch=main")
        revisions = []
        for number, program in enumerate([PROGRAM, PROGRAM, PROGRAM, broken, broken]):
            (repository / "program").write_text(f"{program}\n")
            (repository / "number").write_text(f"{number}\n")
            git("add", ".")
            git("commit", "--quiet", "-m", f"change {number}")
            revisions.append(git("rev-parse", "HEAD"))
        found = lockstep(
            "bisect", record, "--repository", repository, "--good", revisions[0], "--bad", "main", "--work", self.folder / "bisect", "--format", "json",
            "--build-command", 'cp "$(cat program)" program.bin', "--replay-command", './program.bin replay --strict "$LOCKSTEP_HISTORY"',
        )
        self.assert_code(found, 1)
        self.assertEqual(found.json["suspects"], [revisions[3]])

        # Repair with the gate that was proposed: old runs go the old way.
        patch = self.write("gate.patch", report["repair"]["patch"])
        applied = subprocess.run(["git", "apply", "-p1", str(patch)], cwd=source, capture_output=True, text=True)
        self.assertEqual(applied.returncode, 0, applied.stderr + report["repair"]["patch"])
        repaired_line = (source / FILE).read_text(encoding="utf-8").splitlines()[line - 1]
        self.assertIn("wf::get_version(", repaired_line)
        repaired, _ = self.build("repaired", ((original, repaired_line),))
        replayed = run(repaired, "replay", "--strict", record)
        self.assertEqual(replayed.returncode, 0, replayed.stdout + replayed.stderr)


if __name__ == "__main__":
    unittest.main()
