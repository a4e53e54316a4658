"""What the command-line tests share: the program as a user runs it, a folder of its own for each test, and copies of
recorded histories to damage. Paths come from the environment, which CMakeLists.txt sets:

LOCKSTEP_BIN            the program under test
LOCKSTEP_CONVERT        the test tool that writes a history in another form
LOCKSTEP_SOURCE_DIR     the source tree
LOCKSTEP_TEMPORAL_BIN   a Temporal command-line tool, for the tests that record (found by `record` itself when unset)
"""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["LOCKSTEP_BIN"]
CONVERT = os.environ["LOCKSTEP_CONVERT"]
SOURCE = pathlib.Path(os.environ["LOCKSTEP_SOURCE_DIR"])
HISTORIES = pathlib.Path(os.environ.get("LOCKSTEP_HISTORIES", SOURCE / "fixtures" / "histories"))
TESTDATA = SOURCE / "replay" / "history" / "testdata"
TIMEOUT_S = 120


@dataclasses.dataclass
class Result:
    words: list
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def err_lines(self):
        return self.err.splitlines()

    def __str__(self):
        return (
            f"$ lockstep {' '.join(self.words)}\nexit code {self.code}\n"
            f"--- standard output\n{self.out[:2000]}\n--- standard error\n{self.err[:2000]}"
        )


def lockstep(*words, stdin=b"", env=None, cwd=None, timeout=TIMEOUT_S):
    words = [str(word) for word in words]
    full = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TEMPORAL_ADDRESS")}
    full.update(env or {})
    done = subprocess.run([PROGRAM, *words], input=stdin, capture_output=True, env=full, cwd=cwd, timeout=timeout)
    return Result(words, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))


class CliTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def write(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
        return path

    def write_json(self, name, value):
        return self.write(name, json.dumps(value, ensure_ascii=False))

    def copy_record(self, name, to=None):
        target = self.folder / (to or name)
        shutil.copytree(HISTORIES / name, target)
        return target

    def history(self, name="chain"):
        return json.loads((HISTORIES / name / "history.json").read_text(encoding="utf-8"))

    def convert(self, source, name, *flags):
        path = self.folder / name
        done = subprocess.run(
            [CONVERT, str(source), str(path), *flags], capture_output=True, text=True, timeout=TIMEOUT_S
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return path

    def assert_code(self, result, code):
        self.assertEqual(result.code, code, str(result))

    def assert_one_line(self, result, code, *parts):
        """`code`, and exactly one line on standard error that has all the parts."""
        self.assert_code(result, code)
        self.assertEqual(len(result.err_lines), 1, str(result))
        self.assertTrue(result.err.endswith("\n"), str(result))
        for part in parts:
            self.assertIn(str(part), result.err, str(result))
        # A line for people: no control characters, no raw bytes of a damaged file.
        self.assertTrue(result.err_lines[0].isprintable(), repr(result.err))
        self.assertLess(len(result.err), 600, str(result))
