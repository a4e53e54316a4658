"""`lockstep bisect`: a small repository whose builds are a moment's work, with commits that break the replay, do not build, or both."""

import json
import os
import pathlib
import subprocess
import unittest

from debug_harness import HISTORIES, PROGRAM, CliTest, lockstep


class Bisect(CliTest):
    """Each commit has a file `value`; the program it builds replays truly, and says `diverged` where the value is at least 10."""

    def setUp(self):
        super().setUp()
        self.repo = self.folder / "repo"
        self.repo.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.revisions = []
        self.environment = {"XDG_CACHE_HOME": str(self.folder / "cache")}

    def git(self, *words):
        done = subprocess.run(
            ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", *words], cwd=self.repo, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, value, builds=True):
        (self.repo / "value").write_text(f"{value}\n")
        (self.repo / "builds").write_text("yes\n" if builds else "no\n")
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", f"value {value}" + ("" if builds else ", does not build"))
        self.revisions.append(self.git("rev-parse", "HEAD"))
        return self.revisions[-1]

    BUILD = 'echo build >>"$BUILDS" && grep -q yes builds && mkdir -p out && cp value out/value'
    REPLAY = f'if [ "$(cat out/value)" -ge 10 ]; then exit 1; fi; exec "{PROGRAM}" replay --strict "$LOCKSTEP_HISTORY"'

    def bisect(self, good, bad, *words, **kwargs):
        environment = {**self.environment, "BUILDS": str(self.folder / "builds.log")}
        return lockstep(
            "bisect", HISTORIES / "chain", "--repository", self.repo, "--good", good, "--bad", bad, "--build-command", self.BUILD,
            "--replay-command", self.REPLAY, "--format", "json", *words, env=environment, **kwargs,
        )

    def builds(self):
        log = self.folder / "builds.log"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def test_names_the_commit(self):
        for value in [1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15]:
            self.commit(value)
        (self.repo / "value").write_text("work in progress\n")
        before = self.git("status", "--porcelain") + self.git("rev-parse", "HEAD")
        result = self.bisect(self.revisions[0], "main")
        self.assert_code(result, 1)
        self.assertEqual(result.json["verdict"], "FOUND")
        self.assertEqual(result.json["suspects"], [self.revisions[6]])
        self.assertEqual((result.json["subject"], result.json["files"]), ("value 10", ["value"]))
        self.assertLessEqual(self.builds(), 2 + 4)
        # The user's tree, index and branches are as they were.
        self.assertEqual(self.git("status", "--porcelain") + self.git("rev-parse", "HEAD"), before)
        self.assertEqual((self.repo / "value").read_text(), "work in progress\n")
        self.assertEqual(self.git("worktree", "list", "--porcelain").count("worktree "), 1)

    def test_goes_on_where_it_stopped(self):
        for value in [1, 2, 3, 10, 11]:
            self.commit(value)
        self.bisect(self.revisions[0], self.revisions[-1])
        once = self.builds()
        result = self.bisect(self.revisions[0], self.revisions[-1])
        self.assert_code(result, 1)
        self.assertEqual(self.builds(), once)
        self.assertTrue(all(entry["known"] for entry in result.json["tried"]))
        self.assertEqual(result.json["suspects"], [self.revisions[3]])
        self.bisect(self.revisions[0], self.revisions[-1], "--fresh")
        self.assertGreater(self.builds(), once)
        # A state file of something else is not believed.
        state = pathlib.Path(result.json["work"]) / "state.json"
        kept = json.loads(state.read_text())
        kept["key"] = "0" * 64
        state.write_text(json.dumps(kept))
        self.assertFalse(any(entry["known"] for entry in self.bisect(self.revisions[0], self.revisions[-1]).json["tried"]))

    def test_skips_what_does_not_build(self):
        self.commit(1)
        self.commit(2)
        self.commit(3, builds=False)
        self.commit(4)
        self.commit(10)
        self.commit(11)
        result = self.bisect(self.revisions[0], self.revisions[-1])
        self.assertEqual(result.json["suspects"], [self.revisions[4]])

    def test_says_so_when_skipped_ones_hide_the_commit(self):
        self.commit(1)
        self.commit(2, builds=False)
        self.commit(10, builds=False)
        self.commit(11)
        result = self.bisect(self.revisions[0], self.revisions[-1])
        self.assert_code(result, 1)
        self.assertEqual(result.json["verdict"], "AMBIGUOUS")
        self.assertEqual(sorted(result.json["suspects"]), sorted(self.revisions[1:]))

    def test_merged_branch(self):
        self.commit(1)
        self.git("checkout", "--quiet", "-b", "side")
        (self.repo / "other").write_text("a\n")
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", "beside")
        self.git("checkout", "--quiet", "main")
        culprit = self.commit(10)
        self.git("merge", "--quiet", "--no-ff", "-m", "join", "side")
        result = self.bisect(self.revisions[0], "main")
        self.assertEqual(result.json["suspects"], [culprit])

    def test_bad_revision_in_step_is_nothing_to_find(self):
        self.commit(1)
        self.commit(2)
        result = self.bisect(self.revisions[0], self.revisions[1])
        self.assert_code(result, 0)
        self.assertEqual(result.json["verdict"], "IN_STEP")

    def test_wrong_ends(self):
        self.commit(10)
        self.commit(11)
        self.assert_one_line(self.bisect(self.revisions[0], self.revisions[1]), 2, "BISECT_GOOD_DIVERGES")
        self.assert_one_line(self.bisect("no-such", "main"), 2, "GIT_REVISION_UNKNOWN")
        self.assert_one_line(self.bisect("--output=x", "main"), 2)
        self.assert_one_line(self.bisect(self.revisions[1], self.revisions[0]), 2, "GIT_NO_PATH")

    def test_nothing_builds(self):
        self.commit(1, builds=False)
        self.commit(2, builds=False)
        result = self.bisect(self.revisions[0], self.revisions[1])
        self.assert_one_line(result, 4, "BISECT_NOTHING_BUILDS", "exit code 1")


if __name__ == "__main__":
    unittest.main()
