"""`lockstep debug`: the debugger stops in the workflow code of the chosen event, forwards and back."""

import os
import shutil
import subprocess
import unittest

from debug_harness import HISTORIES, PROGRAM, CliTest, lockstep


@unittest.skipUnless(shutil.which("gdb"), "needs gdb, which packages.txt lists")
class Debug(CliTest):
    def test_stops_in_the_code_of_the_event(self):
        result = lockstep("debug", HISTORIES / "diamond", "--at", 20, "--batch", timeout=300)
        self.assertIn("lockstep_debug_stop", result.out, str(result))
        frames = [line for line in result.out.splitlines() if line.startswith("#")]
        # The innermost frame is the workflow's own code, resumed by the runtime.
        self.assertIn("engine-core/interpreter/", frames[0], str(result))
        self.assertTrue(any("engine-core/workflow/execution.cpp" in frame for frame in frames), str(result))

    def test_goes_back_and_forward_by_replaying(self):
        script = self.folder / "commands"
        first = lockstep("debug", HISTORIES / "diamond", "--at", 20, "--script-only", script)
        self.assert_code(first, 0)
        text = script.read_text()
        self.assertIn("tbreak engine-core/interpreter/plan_run.cpp:", text)
        driver = self.write("driver", "lockstep-back\nprint $lockstep_event\nlockstep-forward\nprint $lockstep_event\nkill\nquit\n")
        done = subprocess.run(
            ["gdb", "-q", "-nh", "-batch", "-x", str(script), "-x", str(driver), PROGRAM], capture_output=True, text=True, timeout=300
        )
        values = [line.split(" = ")[1] for line in done.stdout.splitlines() if line.startswith("$") and " = " in line]
        self.assertEqual(len(values), 2, done.stdout + done.stderr)
        self.assertLess(int(values[0]), 17)
        self.assertEqual(values[1], "17")

    def test_wrong_usage(self):
        self.assert_one_line(lockstep("debug", HISTORIES / "diamond", "--at", 9999), 2, "expected an event from 1 to")
        self.assert_one_line(lockstep("debug", HISTORIES / "diamond", "--at", 20, "--debugger", "no-such-debugger"), 4, "PROGRAM_NOT_FOUND")


if __name__ == "__main__":
    unittest.main()
