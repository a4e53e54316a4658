"""`lockstep replay --perturb`: the recorded histories under conditions that must not matter."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
from harness import HISTORIES, CliTest, lockstep  # noqa: E402


class PerturbTest(CliTest):
    def test_fixtures_are_the_same_everywhere(self):
        done = lockstep("replay", HISTORIES, "--perturb", "all", "--format", "json", timeout=600)
        self.assert_code(done, 0)
        rows = done.json["perturbations"]
        self.assertEqual({row["perturbation"] for row in rows},
                         {"workers", "eviction", "allocator", "hash", "timezone", "locale", "environment", "host", "clock"})
        for row in rows:
            self.assertTrue(row["identical"], row)
            self.assertGreaterEqual(row["histories"], 64)

    def test_text_names_every_variant(self):
        done = lockstep("replay", HISTORIES / "chain", "--perturb", "timezone,hash")
        self.assert_code(done, 0)
        self.assertIn("TZ=Pacific/Kiritimati", done.out)
        self.assertIn("Nothing that must not matter does.", done.out)

    def test_wrong_usage(self):
        self.assert_one_line(lockstep("replay", HISTORIES / "chain", "--perturb", "moon"), 2, "USAGE", "moon")
        self.assert_one_line(lockstep("replay", "-", "--perturb", "all"), 2, "USAGE")

    def test_page_names_every_perturbation(self):
        page = (pathlib.Path(os.environ["LOCKSTEP_SOURCE_DIR"]) / "docs" / "perturb.md").read_text(encoding="utf-8")
        for name in ("workers", "eviction", "allocator", "hash", "timezone", "locale", "environment", "host", "clock"):
            self.assertIn(f"`{name}`", page)
