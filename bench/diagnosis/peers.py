"""Asks the official replayers about like defects: the same workflow in Python and in Go, recorded on a development server, replayed with one
change each. A peer that is not installed is named and left out.
"""

import json
import pathlib
import shutil
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TIMEOUT_S = 900


def python_peer(work, address, out):
    return [sys.executable, "-B", str(HERE / "python_peer.py"), address, str(out)]


def go_peer(work, address, out):
    if not shutil.which("go"):
        return None
    program = work / "go_peer"
    built = subprocess.run(["go", "build", "-o", str(program), "./diagnosis"], cwd=ROOT / "bench" / "replay" / "go", capture_output=True, text=True, timeout=TIMEOUT_S)
    if built.returncode != 0:
        raise RuntimeError(f"go build: {built.stderr[-600:]}")
    return [str(program), "-address", address, "-out", str(out)]


ABOUT = {
    "python": ("The official Python replayer", "Like defects in a workflow of the official Python SDK, replayed by its `Replayer` against a history of a real server."),
    "go": ("The official Go replayer", "The same workflow and defects with the official Go SDK, replayed by its `WorkflowReplayer`."),
}
PEERS = {"python": python_peer, "go": go_peer}


class Server:
    """The development server, on a free port of the loopback."""

    def __enter__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        program = str(pathlib.Path(sys.executable).parent / "temporal")
        words = [program, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port), "--log-level", "never"]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ask = [program, "operator", "namespace", "describe", "default", "--address", self.address]
        end = time.monotonic() + 120
        while subprocess.run(ask, capture_output=True, timeout=60).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise RuntimeError("the development server did not start")
            time.sleep(0.2)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def run_all(work):
    """What each said, and how many could not be asked."""
    said, failed = {}, 0
    with Server() as server:
        for name, command in PEERS.items():
            out = work / f"{name}_peer.json"
            try:
                words = command(work, server.address, out)
                if words is None:
                    print(f"{name} is not installed: left out", flush=True)
                    continue
                done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S)
                if done.returncode != 0:
                    raise RuntimeError(done.stderr[-600:])
            except (RuntimeError, subprocess.TimeoutExpired) as problem:
                print(f"BROKEN  peer {name}: {problem}", flush=True)
                failed += 1
                continue
            title, about = ABOUT[name]
            report = json.loads(out.read_text())
            said[name] = {**report, "title": f"{title} ({report['sdk']})", "about": [about, "It names no source line of the workflow; the message is its own, shortened."]}
    return said, failed
