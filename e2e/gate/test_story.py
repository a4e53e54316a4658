"""The story of the gate, from scratch, as a team lives it: a repository with a workflow in C++, a plan and a recorded history; one
entry in .pre-commit-config.yaml, one step in a workflow file. A good commit passes; a bad commit is stopped by the hook; pushed
anyway it is stopped by the gate, with a comment that names step, grade, file and line; repaired with a version gate, the next run is
green.

Lockstep is what `cpack` packed: programs, headers, hooks and action come from the packages. Each run of the gate is one in a fresh
clone of what was pushed.
"""

import json
import os
import re
import shutil
import unittest

import support
import yaml

FILE = "src/order.cpp"
CALL = "    const auto payment = co_await kCharge(order_.id, order_.cents);\n"
BAD = '    const auto payment = co_await kCharge(order_.id + "-" + std::to_string(std::time(nullptr)), order_.cents);\n'
GATED = """    std::string id = order_.id;
    if (wf::get_version("stamped-charge", wf::kDefaultVersion, 1) == 1) id += "-" + std::to_string(wf::now());
    const auto payment = co_await kCharge(id, order_.cents);
"""
BUILD_FILE = """cmake_minimum_required(VERSION 3.25)
project(Orders CXX)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
find_package(Lockstep REQUIRED)
lockstep_add_workflows(orders src/order.cpp)
"""
WORKFLOW = """name: Lockstep gate
on: [pull_request, push]
permissions:
  contents: read
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: cmake -B build -DCMAKE_CXX_COMPILER=clang++-19 && cmake --build build
      - uses: acme/lockstep/ci/github-actions@v0.1.0
        with:
          corpus: fixtures/histories
          workflows: build/liborders.so
          build: build
          lint: src plans
          perturb: workers,hash
"""


class StoryTest(support.GateTest):
    def setUp(self):
        super().setUp()
        for package in support.PACKAGES.glob("*.deb"):
            support.run(["dpkg-deb", "-x", package, self.folder / "installed"], self.folder)
        self.installed = self.folder / "installed/usr"
        self.path = f"{self.installed}/bin:{support.TOOLS}/venv/bin:{os.environ['PATH']}"
        self.remote = self.folder / "remote.git"
        support.run(["git", "init", "-q", "--bare", "-b", "main", self.remote], self.folder)
        self.cache = self.folder / "cache"
        self.runs = 0

    def call(self, words, cwd, check=True, **more):
        return support.run(words, cwd, check, **{"PATH": self.path, "PRE_COMMIT_HOME": str(self.folder / "pre-commit"), **more})

    def hooks_repository(self):
        """What `repo:` in .pre-commit-config.yaml points at: the hooks as they are released."""
        root = self.repository("lockstep-release")
        for name in (".pre-commit-hooks.yaml", "hooks/pre-commit", "hooks/pre-push"):
            (root / name).parent.mkdir(exist_ok=True)
            shutil.copy(self.installed / "share/lockstep" / name, root / name)
        self.commit(root, "Release")
        support.run(["git", "tag", "v0.1.0"], root)
        return root

    def build(self, root):
        self.call(["cmake", "-G", "Ninja", "-S", root, "-B", root / "build", f"-DCMAKE_PREFIX_PATH={self.installed}", f"-DCMAKE_CXX_COMPILER={os.environ['LOCKSTEP_CXX']}"], root)
        self.call(["cmake", "--build", root / "build"], root)

    def write(self, call):
        text = (support.SOURCE / "examples/workflows/order.cpp").read_text(encoding="utf-8")
        self.assertEqual(text.count(CALL), 1, "the example no longer has the line that this story changes")
        text = text.replace(CALL, call)
        if "std::time" in call:
            text = text.replace('#include "orders.h"\n', '#include "orders.h"\n\n#include <ctime>\n', 1)
        self.put(self.root, FILE, text)
        return text

    def commit_here(self, message, *options, check=True):
        self.call(["git", "add", "-A"], self.root)
        return self.call(["git", "commit", "-q", "-m", message, *options], self.root, check)

    def head(self):
        return self.call(["git", "rev-parse", "HEAD"], self.root).stdout.strip()

    def gate(self, event):
        """The workflow file on GitHub's side: a fresh clone, the team's build, the action, and the second job with the comment."""
        self.runs += 1
        clone, folder = self.folder / f"clone-{self.runs}", self.folder / f"runner-{self.runs}"
        folder.mkdir()
        branch = "main" if event == "push" else "stamp"
        self.call(["git", "clone", "-q", "-b", branch, self.remote, clone], self.folder)
        self.build(clone)
        head = self.call(["git", "rev-parse", "HEAD"], clone).stdout.strip()
        steps = yaml.safe_load((clone / ".github/workflows/gate.yml").read_text(encoding="utf-8"))["jobs"]["gate"]["steps"]
        inputs = next(step["with"] for step in steps if step.get("uses", "").startswith("acme/lockstep/"))
        if event == "pull_request" and self.cache.exists():
            shutil.copytree(self.cache, clone / "lockstep-report-base")
        github = {"sha": head, "event_name": event, "event": {"pull_request": {"number": 7, "head": {"sha": head}, "base": {"sha": self.base}}} if event == "pull_request" else {}}
        runner = support.Runner(clone, folder, inputs, github, {"GITHUB_REPOSITORY": "acme/pipelines", "GITHUB_SERVER_URL": "https://github.com", "PATH": self.path}).run()
        uses = [name for name, _ in runner.uses]
        if event == "push":
            self.assertIn("actions/cache/save@v4", uses)
            shutil.copytree(clone / "lockstep-report-base", self.cache)
            return runner
        self.assertIn("actions/cache/restore@v4", uses)
        # The second job has the report only, and what the default branch holds.
        job = self.folder / f"comment-{self.runs}"
        shutil.copytree(clone / "lockstep-report", job / "lockstep-report")
        document = yaml.safe_load((self.installed / "share/lockstep/github-actions/workflows/lockstep-comment.yml").read_text(encoding="utf-8"))
        script = next(step["run"] for step in document["jobs"]["comment"]["steps"] if step.get("name") == "Comment")
        self.github.head_sha = head
        self.call(["bash", "-eo", "pipefail", "-c", script], job, GITHUB_TOKEN="t0ken", GITHUB_API_URL=self.github.url, GITHUB_REPOSITORY="acme/pipelines", HEAD_SHA=head)
        return runner

    def test_story(self):
        hooks = self.hooks_repository()
        self.root = self.repository()
        support.run(["git", "remote", "add", "origin", self.remote], self.root)
        # One entry and one step.
        self.put(self.root, ".pre-commit-config.yaml", f"repos:\n  - {{repo: '{hooks}', rev: v0.1.0, hooks: [{{id: lockstep-lint}}, {{id: lockstep-replay}}]}}\n")
        self.put(self.root, ".github/workflows/gate.yml", WORKFLOW)
        self.call(["pre-commit", "install", "--hook-type", "pre-commit", "--hook-type", "pre-push"], self.root)
        self.put(self.root, ".gitignore", "build/\nlockstep-report*/\n")
        self.put(self.root, "CMakeLists.txt", BUILD_FILE)
        self.put(self.root, "src/orders.h", (support.SOURCE / "examples/workflows/orders.h").read_text(encoding="utf-8"))
        self.copy_plan(self.root, "current-time", "good_bound_start", "plans/orders.json")
        self.write(CALL)
        self.build(self.root)
        # The history is recorded from a real run on a real server.
        self.call(["lockstep", "record", "--workflows", "build/liborders.so", "--workflow", "order", "--input", '{"id":"7","cents":990,"address":"here"}', "--signal", "confirm",
                   "--out", "fixtures/histories/order", "--dev-server"], self.root, LOCKSTEP_TEMPORAL_BIN=os.environ["LOCKSTEP_TEMPORAL_BIN"])
        self.call(["git", "config", "lockstep.workflows", "build/liborders.so"], self.root)
        self.commit_here("Workflow, plan and a recorded history")
        self.call(["git", "push", "-q", "origin", "main"], self.root)
        self.base = self.head()
        runner = self.gate("push")
        self.assertFalse(runner.failed, runner.log)
        self.call(["git", "checkout", "-q", "-b", "stamp"], self.root)
        with support.GitHub() as self.github:
            # A good commit: another plan, and a change of the source that no history sees.
            self.copy_plan(self.root, "uuid", "good_stable_id", "plans/register.json")
            self.write(CALL.replace("co_await kCharge(", "co_await kCharge(/* the key of the payment: */ "))
            self.commit_here("Register devices")
            self.call(["git", "push", "-q", "origin", "stamp"], self.root)
            runner = self.gate("pull_request")
            self.assertFalse(runner.failed, runner.log)
            self.assertEqual(runner.outputs["verdict"], "PASSED")
            self.assertIn("1 of 1 injected divergences caught", runner.log)
            self.assertEqual(list(self.github.comments), [1000])
            self.assertIn("Lockstep: PASSED", self.github.comments[1000])

            # A bad commit: a clock in workflow code. The hook stops it, and the one before the push the same change.
            text = self.write(BAD)
            self.build(self.root)
            line = next(number for number, words in enumerate(text.splitlines(), 1) if "std::time" in words)
            done = self.commit_here("Stamp the charges", check=False)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertRegex(done.stdout + done.stderr, re.escape(f"{FILE}:{line}:") + r"\d+: error: .*determinism-wall-clock")
            self.commit_here("Stamp the charges", "--no-verify")
            done = self.call(["git", "push", "-q", "origin", "stamp"], self.root, check=False)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertIn("payload-only", done.stdout + done.stderr)

            # Pushed anyway: the gate stops it.
            self.call(["git", "push", "-q", "--no-verify", "origin", "stamp"], self.root)
            bad = self.head()
            runner = self.gate("pull_request")
            self.assertTrue(runner.failed)
            self.assertEqual(runner.outputs["verdict"], "FAILED")
            self.assertEqual(list(self.github.comments), [1000], "updated in place")
            comment = self.github.comments[1000]
            link = f"https://github.com/acme/pipelines/blob/{bad}/{FILE}#L{line}"
            for fact in ("Lockstep: FAILED", "| step | `charge` |", "| grade | payload-only |", f"| issued at | [`{FILE}:{line}`]({link})", "| cause | ",
                         "lockstep replay fixtures/histories/order", "determinism-wall-clock", "1 finding new, 0 fixed; 1 in all, 0 on the base."):
                self.assertIn(fact, comment)
            self.assertIn(f"::error file={FILE},line={line}", runner.log)

            # Repaired with a version gate: recorded runs take the old path.
            self.write(GATED)
            self.build(self.root)
            self.commit_here("Stamp the charges of new runs")
            self.call(["git", "push", "-q", "origin", "stamp"], self.root)
            runner = self.gate("pull_request")
            self.assertFalse(runner.failed, runner.log)
            self.assertEqual(runner.outputs["verdict"], "PASSED")
            self.assertIn("Lockstep: PASSED", self.github.comments[1000])
            self.assertEqual(list(self.github.comments), [1000])
            self.assertEqual(self.github.violations, [])
            result = json.loads((self.folder / f"clone-{self.runs}/lockstep-report/replay.json").read_text(encoding="utf-8"))
            self.assertEqual((result["format"], result["tool"], result["histories"][0]["verdict"]), ("lockstep.result/1", "replay", "IDENTICAL"))


if __name__ == "__main__":
    unittest.main()
