"""Workflows of one's own: the examples are built outside the tree against an installed package, loaded, recorded and replayed; and
libraries that must not be loaded are refused with one clear line."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import harness

BUILD = os.environ["LOCKSTEP_BUILD_DIR"]
CXX = os.environ["LOCKSTEP_CXX"]
EXAMPLES = harness.SOURCE / "examples" / "workflows"


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise AssertionError(f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def setUpModule():
    global root, prefix, library
    root = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-package-"))
    prefix = root / "prefix"
    run("cmake", "--install", BUILD, "--prefix", prefix)
    shutil.copytree(EXAMPLES, root / "orders")
    launcher = [f"-DCMAKE_CXX_COMPILER_LAUNCHER={os.environ['LOCKSTEP_LAUNCHER']}"] if os.environ.get("LOCKSTEP_LAUNCHER") else []
    run("cmake", "-S", root / "orders", "-B", root / "orders" / "build", f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_CXX_COMPILER={CXX}",
        f"-DCMAKE_CXX_FLAGS={os.environ.get('LOCKSTEP_CXX_FLAGS', '')}", *launcher)
    run("cmake", "--build", root / "orders" / "build", "-j", "2")
    library = root / "orders" / "build" / "liborders.so"


def tearDownModule():
    shutil.rmtree(root, ignore_errors=True)


class Workflows(harness.CliTest):
    def test_the_examples_are_recorded_and_replay(self):
        cases = {
            "order": ["--input", '{"id":"7","cents":990,"address":"here"}', "--signal", 'changeAddress="there"', "--signal", "confirm"],
            "warehouse": ["--input", '[{"item":"tea","count":2}]', "--signal", 'deliver={"item":"tea","count":5}', "--signal", "close"],
            "comparison": ["--input", "Tea", "--input", '["near","corner","empty"]'],
        }
        for workflow, words in cases.items():
            with self.subTest(workflow=workflow):
                target = self.folder / workflow
                done = harness.lockstep("record", "--workflows", library, "--workflow", workflow, *words, "--out", target, "--dev-server",
                                        "--format", "json")
                self.assert_code(done, 0)
                self.assertEqual(done.json["workflow"], workflow)
                replayed = harness.lockstep("replay", target, "--workflows", library, "--strict", "--format", "json")
                self.assert_code(replayed, 0)
                self.assertEqual(replayed.json["histories"][0]["verdict"], "IDENTICAL")
                # Without the library nobody knows the type.
                self.assert_code(harness.lockstep("replay", target), 3)

    def test_the_installed_program_runs(self):
        self.assertIn("replay", run(prefix / "bin" / "lockstep", "--help"))

    def test_the_tutorial_quotes_what_is_compiled(self):
        page = (harness.SOURCE / "docs" / "workflows.md").read_text()
        quotes = re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```", page, re.S)
        self.assertGreaterEqual(len(quotes), 8)
        for file, quote in quotes:
            with self.subTest(file=file, quote=quote.splitlines()[0]):
                self.assertIn(quote, (harness.SOURCE / file).read_text())

    def build(self, name, source):
        path = self.write(name + ".c", source)
        out = self.folder / (name + ".so")
        run(CXX, "-x", "c", "-shared", "-fPIC", "-o", out, path)
        return out

    def foreign(self, abi, protobuf=0, layout=0):
        return self.build(
            f"foreign{abi}",
            f"""#include <stdint.h>
            struct info {{ uint32_t abi; uint32_t protobuf; uint64_t layout; const char* compiler; const void* parts; uint64_t count; }};
            static struct info it = {{ {abi}, {protobuf}, {layout}, "another compiler", 0, 0 }};
            const struct info* lockstep_workflow_library(void) {{ return &it; }}""")

    def refused(self, library, code, *parts):
        for command in (["replay", harness.HISTORIES / "chain"], ["worker", "--state", self.folder / "state"],
                        ["record", "--workflow", "any", "--out", self.folder / "rec", "--dev-server"]):
            with self.subTest(command=command[0]):
                self.assert_one_line(harness.lockstep(*command, "--workflows", library), code, library, *parts)

    def test_another_interface_is_refused(self):
        self.refused(self.foreign(999), 3, "WORKFLOWS_INCOMPATIBLE", "interface", "999")

    def test_another_protobuf_is_refused(self):
        self.refused(self.foreign(1, protobuf=2000000), 3, "WORKFLOWS_INCOMPATIBLE", "protobuf", "2000000")

    def test_another_layout_is_refused(self):
        version = run(CXX, "-x", "c++", "-dM", "-E", "-include", "google/protobuf/stubs/common.h", "/dev/null")
        protobuf = re.search(r"#define GOOGLE_PROTOBUF_VERSION (\d+)", version).group(1)
        self.refused(self.foreign(1, protobuf=protobuf, layout=7), 3, "WORKFLOWS_INCOMPATIBLE", "layout", "another compiler")

    def test_a_library_of_something_else_is_refused(self):
        self.refused(self.build("nothing", "int nothing;"), 3, "WORKFLOWS_UNLOADABLE", "no entry point")

    def test_missing_symbols_are_refused(self):
        source = "extern int not_in_this_program(void); int (*use)(void) = not_in_this_program;"
        self.refused(self.build("missing", source), 3, "WORKFLOWS_UNLOADABLE", "another Lockstep")

    def test_a_file_that_is_no_library_is_refused(self):
        self.refused(self.write("text.so", "hello"), 3, "WORKFLOWS_UNLOADABLE")

    def test_a_path_that_is_not_there_is_wrong_usage(self):
        self.refused(self.folder / "not-there.so", 2, "WORKFLOWS_NOT_FOUND")

    def test_one_library_twice_is_a_clash(self):
        done = harness.lockstep("replay", harness.HISTORIES / "chain", "--workflows", library, "--workflows", library)
        self.assert_one_line(done, 3, "WORKFLOWS_CLASH")


if __name__ == "__main__":
    unittest.main()
