#!/usr/bin/env python3
"""Tests of check_dependencies.py: each rule is broken once in a small tree of its own, and must be found at its line."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECKER = pathlib.Path(__file__).resolve().parent / "check_dependencies.py"

HEADERS = [
    "engine-core/base/json.h", "engine-core/contracts/matrix.h", "engine-core/plan/plan.h", "engine-core/state/store.h",
    "engine-core/state/memory/memory_store.h", "engine-core/state/sqlite/sqlite_store.h", "engine-core/workflow/wf.h",
    "engine-core/workflow/testing/script.h", "engine-core/interpreter/plan_run.h", "engine-core/steps/execute_step.h",
    "engine-core/activity/activity.h", "engine-core/providers/temporal/client.h", "engine-core/service/runs.h",
    "replay/history/reader.h", "replay/compare/diff.h", "replay/session/session.h", "replay/record/record.h", "analyzer/lint/lint.h",
    "cli/command.h",
]


class CheckDependenciesTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        for header in HEADERS:
            self.add(header, "#pragma once\n#include <vector>\n")

    def tearDown(self):
        self.folder.cleanup()

    def add(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def check(self):
        done = subprocess.run([sys.executable, str(CHECKER), "--root", str(self.root)], capture_output=True, text=True)
        return done.returncode, done.stdout

    def expect_clean(self, name, text):
        self.add(name, text)
        self.assertEqual(self.check(), (0, ""))

    def expect_violation(self, name, text, line, message):
        self.add(name, text)
        code, out = self.check()
        self.assertEqual(code, 1, out)
        self.assertIn(f"{name}:{line}: ", out)
        self.assertIn(message, out)
        self.assertEqual(len(out.splitlines()), 1, out)
        (self.root / name).unlink()

    def test_tree_without_violation_is_clean(self):
        self.expect_clean("engine-core/interpreter/walk.cpp",
                          '#include "engine-core/workflow/wf.h"\n#include "engine-core/plan/plan.h"\n#include "engine-core/state/store.h"\n'
                          '#include <map>\n')

    def test_room_that_may_not_be_known(self):
        cases = [
            ("engine-core/base/x.cpp", "engine-core/plan/plan.h"), ("engine-core/plan/x.cpp", "engine-core/state/store.h"),
            ("engine-core/state/x.cpp", "engine-core/workflow/wf.h"), ("engine-core/state/x.cpp", "engine-core/state/sqlite/sqlite_store.h"),
            ("engine-core/workflow/x.cpp", "engine-core/state/store.h"), ("engine-core/workflow/x.cpp", "engine-core/plan/plan.h"),
            ("engine-core/interpreter/x.cpp", "engine-core/state/memory/memory_store.h"),
            ("engine-core/interpreter/x.cpp", "engine-core/steps/execute_step.h"),
            ("engine-core/steps/x.cpp", "engine-core/workflow/wf.h"),
            ("engine-core/providers/temporal/x.cpp", "engine-core/interpreter/plan_run.h"),
            ("replay/session/x.cpp", "engine-core/providers/temporal/client.h"), ("replay/history/x.cpp", "engine-core/workflow/wf.h"),
            ("replay/record/x.cpp", "engine-core/providers/temporal/client.h"), ("analyzer/x.cpp", "engine-core/plan/plan.h"),
            ("engine-core/service/x.cpp", "cli/command.h"), ("replay/compare/x.cpp", "replay/session/session.h"),
        ]
        for name, header in cases:
            with self.subTest(name=name, header=header):
                self.expect_violation(name, f'// x\n#include "{header}"\n', 2, "may not know")

    def test_library_of_another_room(self):
        cases = [
            ("engine-core/state/x.cpp", "sqlite3.h"), ("engine-core/plan/x.cpp", "temporal/api/history/v1/message.pb.h"),
            ("engine-core/base/x.cpp", "google/protobuf/message.h"), ("engine-core/interpreter/x.cpp", "grpcpp/grpcpp.h"),
            ("engine-core/workflow/x.cpp", "temporal/api/workflowservice/v1/service.grpc.pb.h"), ("replay/session/x.cpp", "clang/AST/Decl.h"),
            ("engine-core/service/x.cpp", "httplib.h"), ("engine-core/contracts/x.cpp", "temporal/api/common/v1/message.pb.h"),
            ("engine-core/workflow/x.cpp", "unistd.h"), ("engine-core/interpreter/x.cpp", "sys/stat.h"),
            ("engine-core/interpreter/x.cpp", "gtest/gtest.h"), ("cli/x.cpp", "llvm/Support/Path.h"),
        ]
        for name, header in cases:
            with self.subTest(name=name, header=header):
                self.expect_violation(name, f"#include <{header}>\n", 1, "may not use")

    def test_library_kept_to_one_file(self):
        self.expect_violation("engine-core/plan/loader.cpp", "#include <httplib.h>\n", 1, "only")
        self.expect_clean("engine-core/plan/https_fetcher.cpp", "#include <httplib.h>\n")

    def test_unknown_library(self):
        self.expect_violation("engine-core/steps/x.cpp", "#include <boost/asio.hpp>\n", 1, "no library of the table")

    def test_include_not_from_the_top(self):
        self.expect_violation("engine-core/plan/x.cpp", '#include "plan.h"\n', 1, "top of the tree")
        self.expect_violation("engine-core/plan/x.cpp", '#include "../base/json.h"\n', 1, "top of the tree")

    def test_header_that_does_not_exist(self):
        self.expect_violation("engine-core/plan/x.cpp", '#include "engine-core/base/gone.h"\n', 1, "no such header")

    def test_include_that_cannot_be_resolved(self):
        self.expect_violation("engine-core/plan/x.cpp", "#include HEADER\n", 1, "cannot be resolved")

    def test_odd_spelling_is_seen(self):
        self.expect_violation("engine-core/base/x.cpp", '\n  #  include\t"engine-core/plan/plan.h" // why\n', 2, "may not know")

    def test_comments_and_strings_are_not_includes(self):
        self.expect_clean("engine-core/base/x.cpp",
                          '// #include <sqlite3.h>\n/*\n#include <grpcpp/grpcpp.h>\n*/\nconst char* k = R"(\n#include <clang/AST/Decl.h>\n)";\n')

    def test_code_after_a_raw_string_is_seen(self):
        self.expect_violation("engine-core/base/x.cpp", 'const char* k = R"x(\n#include <a/b.h>\n)x";\n#include <sqlite3.h>\n', 4, "may not use")

    def test_tests_may_know_more_but_not_everything(self):
        self.expect_clean("engine-core/interpreter/walk_test.cpp",
                          '#include <gtest/gtest.h>\n#include "engine-core/state/memory/memory_store.h"\n#include "engine-core/workflow/testing/script.h"\n')
        self.expect_violation("engine-core/interpreter/x_test.cpp", '#include "engine-core/providers/temporal/client.h"\n', 1, "may not know")

    def test_only_tests_may_include_test_support(self):
        self.expect_violation("engine-core/interpreter/x.cpp", '#include "engine-core/workflow/testing/script.h"\n', 1, "only tests")

    def test_recorder_is_the_half_of_record_that_knows_a_provider(self):
        self.expect_clean("replay/record/recorder.cpp", '#include "engine-core/providers/temporal/client.h"\n#include "engine-core/service/runs.h"\n')

    def test_source_outside_of_every_room(self):
        self.expect_violation("replay/elsewhere/x.cpp", "\n", 1, "no room")

    def test_every_violation_is_named(self):
        self.add("engine-core/base/x.cpp", "#include <sqlite3.h>\n#include <vector>\n#include <grpcpp/grpcpp.h>\n")
        code, out = self.check()
        self.assertEqual(code, 1)
        self.assertEqual([line.split(": ")[0] for line in out.splitlines()], ["engine-core/base/x.cpp:1", "engine-core/base/x.cpp:3"])

    def test_empty_tree_is_wrong_usage(self):
        with tempfile.TemporaryDirectory() as empty:
            done = subprocess.run([sys.executable, str(CHECKER), "--root", empty], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn("expected", done.stderr)


if __name__ == "__main__":
    unittest.main()
