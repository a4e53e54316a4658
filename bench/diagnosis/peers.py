"""Runs the official replayers on their like defects."""

import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TIMEOUT_S = 900


def python_peer(out):
    return [sys.executable, "-B", str(HERE / "python_peer.py"), str(out)]


PEERS = {"python": python_peer}


def run_all(work):
    """What each said, and how many could not be asked."""
    said, failed = {}, 0
    for name, command in PEERS.items():
        out = work / f"{name}_peer.json"
        done = subprocess.run(command(out), capture_output=True, text=True, timeout=TIMEOUT_S)
        if done.returncode != 0:
            print(f"BROKEN  peer {name}: {done.stderr[-600:]}", flush=True)
            failed += 1
        else:
            said[name] = json.loads(out.read_text())
    return said, failed
