"""What the gate's tests share: repositories from scratch, a runner that executes a composite action as GitHub's does, and a
server on loopback that behaves like GitHub's REST API and holds every request against GitHub's own description.

LOCKSTEP_BIN          the program under test
LOCKSTEP_SOURCE_DIR   the source tree
LOCKSTEP_BUILD_DIR    the build tree
LOCKSTEP_GATE_ENV     the folder that e2e/gate/environment filled
LOCKSTEP_GATE_PACKAGES  the folder that e2e/gate/pack filled
"""

import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import unittest
import urllib.parse

PROGRAM = os.environ["LOCKSTEP_BIN"]
SOURCE = pathlib.Path(os.environ["LOCKSTEP_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["LOCKSTEP_BUILD_DIR"])
# Copies of the index: outside of this tree, whose settings would count for them otherwise.
CACHE = tempfile.TemporaryDirectory(prefix="lockstep-gate-cache-")
TOOLS = pathlib.Path(os.environ["LOCKSTEP_GATE_ENV"])
PACKAGES = pathlib.Path(os.environ.get("LOCKSTEP_GATE_PACKAGES", BUILD / "gate-packages"))
ACTION = SOURCE / "ci" / "github-actions" / "action.yml"
PLANS = SOURCE / "fixtures" / "lint" / "plan"
TIMEOUT_S = 300


def clean_environment(**more):
    """The caller's environment without what a CI service or a git hook around the tests would leak into them."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("GITHUB_", "GIT_", "RUNNER_", "PRE_COMMIT", "LOCKSTEP_")) and name not in ("GH_TOKEN", "NO_COLOR")}
    kept.update(PATH=f"{pathlib.Path(PROGRAM).parent}:{kept['PATH']}", GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null", LOCKSTEP_CACHE=CACHE.name,
                GIT_AUTHOR_NAME="t", GIT_AUTHOR_EMAIL="t@example.com", GIT_COMMITTER_NAME="t", GIT_COMMITTER_EMAIL="t@example.com")
    kept.update(more)
    return kept


def run(words, cwd, check=True, **more):
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, env=clean_environment(**more))
    if check and done.returncode != 0:
        raise AssertionError(f"$ {' '.join(map(str, words))}\nexit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


class GateTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="lockstep-gate-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name).resolve()

    def repository(self, name="repo"):
        root = self.folder / name
        root.mkdir()
        run(["git", "init", "-q", "-b", "main"], root)
        return root

    def put(self, root, name, text):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text, indent=2) + "\n", encoding="utf-8")
        return path

    def copy_plan(self, root, rule, name, to):
        path = root / to
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PLANS / f"determinism-plan-{rule}" / f"{name}.json", path)

    def copy_record(self, root, name, to="fixtures/histories"):
        shutil.copytree(SOURCE / "fixtures" / "histories" / name, root / to / name)

    def commit(self, root, message, *options, check=True, **more):
        run(["git", "add", "-A"], root)
        return run(["git", "commit", "-q", "-m", message, *options], root, check, **more)


# --- the runner --------------------------------------------------------------------------------------------------------------


class Expressions:
    """The part of GitHub's expression language that the action uses."""

    TOKEN = re.compile(r"\s*(&&|\|\||==|!=|!|\(|\)|'(?:[^']|'')*'|[A-Za-z_][A-Za-z0-9_.-]*|\d+)")

    def __init__(self, context, failed):
        self.context, self.failed = context, failed

    def value(self, text):
        self.words = self.TOKEN.findall(text)
        assert "".join(self.words).replace(" ", "") == re.sub(r"\s", "", text), f"cannot read {text!r}"
        result = self._or()
        assert not self.words, f"cannot read {text!r} behind {self.words}"
        return result

    def _or(self):
        left = self._and()
        while self.words[:1] == ["||"]:
            self.words.pop(0)
            right = self._and()
            left = left or right
        return left

    def _and(self):
        left = self._compare()
        while self.words[:1] == ["&&"]:
            self.words.pop(0)
            right = self._compare()
            left = left and right
        return left

    def _compare(self):
        left = self._term()
        while self.words[:1] in (["=="], ["!="]):
            equal = self.words.pop(0) == "=="
            left = (str(left or "").lower() == str(self._term() or "").lower()) == equal
        return left

    def _term(self):
        word = self.words.pop(0)
        if word == "!":
            return not self._term()
        if word == "(":
            result = self._or()
            assert self.words.pop(0) == ")"
            return result
        if word.startswith("'"):
            return word[1:-1].replace("''", "'")
        if self.words[:2] == ["(", ")"]:
            del self.words[:2]
            return {"always": True, "success": not self.failed, "failure": self.failed}[word]
        node = self.context
        for part in word.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        return node

    def fill(self, text):
        return re.sub(r"\$\{\{(.*?)\}\}", lambda match: str(self.value(match[1]) or ""), str(text))


class Runner:
    """Runs the `run:` steps of a composite action as the runner does: own script file, bash -eo pipefail, environment files,
    outputs, conditions. Steps that `uses:` other actions are noted. With `root`, all of it happens inside of that root file
    system, where folder and workspace then lie."""

    def __init__(self, workspace, folder, inputs=None, github=None, environment=None, root=None):
        import yaml  # not there for tests that run nothing

        self.workspace, self.folder, self.root = workspace, folder, root
        self.action = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
        defaults = {name: str(row.get("default", "")) for name, row in self.action["inputs"].items()}
        unknown = set(inputs or {}) - set(defaults)
        assert not unknown, f"the action has no input {unknown}"
        self.context = {"inputs": {**defaults, **(inputs or {})}, "github": {"sha": "0" * 40, **(github or {})}, "runner": {"os": "Linux", "temp": self._inside(folder)}, "steps": {}}
        self.environment = environment or {}
        self.failed = False
        self.log, self.uses, self.codes = "", [], {}
        self.summary = ""
        self.path = []

    def run(self):
        for number, step in enumerate(self.action["runs"]["steps"]):
            expressions = Expressions(self.context, self.failed)
            condition = step.get("if", "success()")
            if not re.search(r"\b(always|failure|success)\(\)", condition):
                condition = f"success() && ({condition})"
            if not expressions.value(condition):
                continue
            if "uses" in step:
                self.uses.append((step["uses"], {name: expressions.fill(value) for name, value in step.get("with", {}).items()}))
                continue
            self._script(number, step, expressions)
        self.outputs = {name: Expressions(self.context, False).fill(row["value"]) for name, row in self.action["outputs"].items()}
        return self

    def _inside(self, path):
        return str(path) if self.root is None else "/" + str(path.relative_to(self.root))

    def _script(self, number, step, expressions):
        assert step["shell"] == "bash"
        files = {name: self.folder / f"{name.lower()}-{number}" for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        script = self.folder / f"step-{number}.sh"
        script.write_text(expressions.fill(step["run"]))
        environment = {name: expressions.fill(value) for name, value in step.get("env", {}).items()}
        base = clean_environment(**self.environment)
        if self.path:
            base["PATH"] = ":".join(self.path) + ":" + base["PATH"]
        words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", self._inside(script)]
        if self.root is not None:
            words = ["chroot", str(self.root), "env", f"--chdir={self._inside(self.workspace)}", *words]
        done = subprocess.run(words, cwd=self.workspace, capture_output=True, text=True, timeout=TIMEOUT_S,
                              env={**base, **environment, **{name: self._inside(file) for name, file in files.items()}})
        self.log += f"## {step['name']}\n{done.stdout}{done.stderr}"
        self.codes[step["name"]] = done.returncode
        self.failed |= done.returncode != 0
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        self.path = files["GITHUB_PATH"].read_text().split() + self.path
        outputs = {}
        for line in files["GITHUB_OUTPUT"].read_text().splitlines():
            name, equals, value = line.partition("=")
            assert equals and re.fullmatch(r"[A-Za-z_-]+", name), f"not an output: {line!r}"
            outputs[name] = value
        if "id" in step:
            self.context["steps"][step["id"]] = {"outputs": outputs}


# --- GitHub ------------------------------------------------------------------------------------------------------------------


class GitHub:
    """GitHub's API for comments of one pull request. Every request must be one that the OpenAPI description knows: path, method,
    parameters and body; what is not is answered 422 and kept in `violations`."""

    description = None

    def __init__(self, head_sha="0" * 40):
        import jsonschema

        if GitHub.description is None:
            GitHub.description = json.loads((TOOLS / "github-requests.json").read_text(encoding="utf-8"))
        self.comments, self.violations, self.requests = {}, [], []
        self.head_sha, self.permitted = head_sha, True
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def handle_one(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode("utf-8") if length else ""
                status, answer = outer.answer(self.command, self.path, dict(self.headers), body, jsonschema)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_one

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def _operation(self, method, path):
        for template, operations in self.description.items():
            match = re.fullmatch(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template)), path)
            if match and method.lower() in operations:
                return operations[method.lower()], match.groupdict()
        return None, {}

    def _check(self, method, path, query, headers, body, jsonschema):
        operation, values = self._operation(method, path)
        if operation is None:
            return f"no operation {method} {path}"
        values = {**values, **query}
        known = {row["name"]: row for row in operation.get("parameters", []) if row["in"] in ("path", "query")}
        for name, value in values.items():
            if name not in known:
                return f"{method} {path}: no parameter {name}"
            schema = known[name]["schema"]
            try:
                jsonschema.validate(int(value) if schema.get("type") == "integer" else value, schema)
            except (ValueError, jsonschema.ValidationError) as error:
                return f"{method} {path}: {name}: {error}"
        for name, row in known.items():
            if row.get("required") and name not in values:
                return f"{method} {path}: parameter {name} is missing"
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content:
            if headers.get("Content-Type") != "application/json":
                return f"{method} {path}: content type {headers.get('Content-Type')}"
            try:
                jsonschema.validate(json.loads(body), content["schema"])
            except (ValueError, jsonschema.ValidationError) as error:
                return f"{method} {path}: {error}"
        elif body:
            return f"{method} {path}: a body that the operation does not have"
        for name, wanted in {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}.items():
            if headers.get(name) != wanted:
                return f"{method} {path}: header {name}: {headers.get(name)}"
        if not headers.get("User-Agent") or not headers.get("Authorization", "").startswith("Bearer "):
            return f"{method} {path}: User-Agent and a bearer token are required"
        return None

    def answer(self, method, target, headers, body, jsonschema):
        url = urllib.parse.urlsplit(target)
        query = dict(urllib.parse.parse_qsl(url.query))
        self.requests.append(f"{method} {url.path}")
        problem = self._check(method, url.path, query, headers, body, jsonschema)
        if problem:
            self.violations.append(problem)
            return 422, {"message": problem}
        if re.fullmatch(r"/repos/[^/]+/[^/]+/pulls/\d+", url.path):
            return 200, {"head": {"sha": self.head_sha}}
        if method == "GET":
            return 200, [{"id": number, "body": text, "html_url": f"{self.url}/c/{number}"} for number, text in self.comments.items()]
        if not self.permitted:
            return 403, {"message": "Resource not accessible by integration"}
        if method == "POST":
            number = 1000 + len(self.comments)
        else:
            number = int(url.path.rsplit("/", 1)[1])
            if number not in self.comments:
                return 404, {"message": "Not Found"}
        text = json.loads(body)["body"]
        if len(text) > 65536:
            return 422, {"message": "body is too long"}
        self.comments[number] = text
        return (201 if method == "POST" else 200), {"id": number, "html_url": f"{self.url}/c/{number}"}
