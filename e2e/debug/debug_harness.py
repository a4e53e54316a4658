"""The harness of e2e/cli, for the commands that look into runs."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))

from harness import HISTORIES, PROGRAM, SOURCE, TESTDATA, CliTest, lockstep  # noqa: E402,F401
