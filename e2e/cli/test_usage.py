"""Help, version and wrong usage of every command."""

import re
import unittest

import harness

COMMANDS = {
    (): ["replay", "record", "inspect", "worker", "plan"],
    ("replay",): ["--jobs", "--compare-snapshots", "--stop-at", "--strict", "--update", "--format", "--out"],
    ("record",): ["--out", "--temporal", "--dev-server", "--script", "--config", "--replace", "--as-of", "--format"],
    ("inspect",): ["--format", "--out"],
    ("worker",): ["--temporal", "--namespace", "--state", "--config", "--queue", "--drain"],
    ("plan",): ["validate", "pin", "migrate"],
    ("plan", "validate"): ["--target", "--format", "--out"],
    ("plan", "pin"): ["--format", "--out"],
    ("plan", "migrate"): ["--to", "--plan-version", "--out"],
}

# Words, and what the one line has to say.
WRONG = {
    "no command": ([], ""),
    "unknown command": (["nonsense"], "nonsense"),
    "replay without a path": (["replay"], "PATH"),
    "replay with an unknown option": (["replay", "--nope", "x"], "--nope"),
    "replay of nothing": (["replay", "does-not-exist"], "does-not-exist"),
    "replay of an empty folder": (["replay", "."], "."),
    "replay with no jobs": (["replay", "--jobs", "0", "x"], "--jobs"),
    "replay with jobs that are no number": (["replay", "--jobs", "many", "x"], "--jobs"),
    "replay that stops before the start": (["replay", "--stop-at", "-1", "x"], "--stop-at"),
    "replay in an unknown format": (["replay", "--format", "xml", "x"], "xml"),
    "inspect without a path": (["inspect"], "PATH"),
    "inspect of nothing": (["inspect", "does-not-exist"], "does-not-exist"),
    "inspect of an empty folder": (["inspect", "."], "."),
    "inspect in an unknown format": (["inspect", "--format", "sarif", "x"], "sarif"),
    "record without a plan": (["record"], "PLAN"),
    "record without a target": (["record", "plan.json"], "--out"),
    "record without a server": (["record", "plan.json", "--out", "rec"], "--dev-server"),
    "record with two servers": (
        ["record", "plan.json", "--out", "rec", "--dev-server", "--temporal", "127.0.0.1:1"],
        "--temporal",
    ),
    "record of a plan that is not there": (["record", "plan.json", "--out", "rec", "--dev-server"], "plan.json"),
    "record with a malformed version": (
        ["record", "plan.json", "--out", "rec", "--dev-server", "--as-of", "change"],
        "--as-of",
    ),
    "record with no time": (["record", "plan.json", "--out", "rec", "--dev-server", "--timeout", "0"], "--timeout"),
    "worker with an unknown fault": (["worker", "--fault", "melt"], "melt"),
    "plan without a verb": (["plan"], ""),
    "plan validate without a plan": (["plan", "validate"], "PLAN"),
    "plan validate of nothing": (["plan", "validate", "does-not-exist.json"], "does-not-exist.json"),
    "plan validate for an unknown adapter": (["plan", "validate", "--target", "cron", "x"], "cron"),
    "plan pin without a plan": (["plan", "pin"], "PLAN"),
    "plan pin of nothing": (["plan", "pin", "does-not-exist.json"], "does-not-exist.json"),
    "plan migrate without a version": (["plan", "migrate", "x"], "--to"),
    "plan migrate to something else": (["plan", "migrate", "x", "--to", "soon", "--plan-version", "2"], "soon"),
}


def examples_of(text):
    """What follows the heading, or nothing."""
    _, *found = re.split(r"(?m)^Examples?:\n", text)
    return "".join(found)


class Usage(harness.CliTest):
    def test_help_names_options_and_gives_examples(self):
        for command, words in COMMANDS.items():
            for flag in ("--help", "-h"):
                with self.subTest(command=command, flag=flag):
                    result = harness.lockstep(*command, flag)
                    self.assert_code(result, 0)
                    self.assertEqual(result.err, "")
                    for word in words:
                        self.assertIn(word, result.out)
                    examples = examples_of(result.out)
                    self.assertTrue(examples, result.out)
                    commands = [line.strip() for line in examples.splitlines() if "lockstep " in line]
                    self.assertTrue(
                        any(re.search("lockstep " + " ".join(command), line) for line in commands), examples
                    )

    def test_no_line_of_help_names_a_command_that_does_not_exist(self):
        for command in COMMANDS:
            examples = examples_of(harness.lockstep(*command, "--help").out)
            for name in re.findall(r"\blockstep ([a-z]+)", examples):
                self.assertEqual(harness.lockstep(name, "--help").code, 0, name)

    def test_version_is_printed(self):
        result = harness.lockstep("--version")
        self.assert_code(result, 0)
        self.assertRegex(result.out, r"^lockstep \d+\.\d+\.\d+\n$")

    def test_wrong_usage_is_two_and_one_line(self):
        for name, (words, part) in WRONG.items():
            with self.subTest(name):
                result = harness.lockstep(*words, cwd=self.folder)
                self.assert_one_line(result, 2, part)
                self.assertEqual(result.out, "")
                self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_file_that_is_no_history_by_its_name_is_not_found_in_a_folder(self):
        self.write("notes.txt", "nothing to replay")
        self.write(".hidden.json", "nothing to replay")
        self.assert_one_line(harness.lockstep("replay", self.folder), 2, self.folder)

    def test_one_path_that_matches_nothing_is_two_even_beside_a_good_one(self):
        result = harness.lockstep("replay", harness.HISTORIES / "chain", self.folder / "gone")
        self.assert_one_line(result, 2, "gone")
        self.assertEqual(result.out, "")


if __name__ == "__main__":
    unittest.main()
