#!/usr/bin/env python3
"""Counts the instructions of small replay cases with Callgrind and holds them against the numbers kept beside this file.

    instruction_counts.py PROGRAM [--compiler TEXT] [--flags TEXT]            exit 0: no rise of over 3 %; 1: a rise; 4: no count
    instruction_counts.py PROGRAM --renew [--compiler TEXT] [--flags TEXT]    writes the numbers anew (`make instructions`)

Counts are per event. They depend on the code, the compiler, its flags and the libraries, not on the machine's speed or load.
instructions.json says what it was recorded with; where that differs, counts are scaled by those of a yardstick (code of the
driver that never changes) and a rise counts from 25 % on, which the output says.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
KEPT = HERE / "instructions.json"
LONG_HISTORY = HERE / "data" / "rounds-900.json.zst"
PLAN_RECORD = ROOT / "fixtures" / "histories" / "fan-out-64"
YARDSTICK = "yardstick"
LIMIT, LIMIT_ELSEWHERE = 3.0, 25.0
LIBRARIES = ("libprotobuf", "libsimdjson", "libstdc++", "libzstd")


def stop(text, code=4):
    print(text, file=sys.stderr)
    sys.exit(code)


def libraries_of(program):
    """Library -> the file it is, with its full version."""
    found = {}
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    for path in re.findall(r"=> (\S+)", listed):
        name = pathlib.Path(path).name.split(".so")[0]
        if name in LIBRARIES:
            found[name] = pathlib.Path(path).resolve().name
    # The files of these two do not tell their versions.
    found["libc"] = os.confstr("CS_GNU_LIBC_VERSION")
    found["libcrypto"] = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.split("(")[0].strip()
    return found


def vector_instructions():
    """What string functions and parsers choose by, as far as Valgrind shows it to the program."""
    try:
        flags = re.search(r"^flags\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    except OSError:
        flags = None
    words = flags.group(1).split() if flags else []
    return " ".join(word for word in ("sse4_2", "avx2", "erms") if word in words)


def toolchain(program, compiler, flags):
    return {"architecture": platform.machine(), "compiler": compiler, "flags": " ".join(flags.split()),
            "libraries": libraries_of(program), "vector": vector_instructions()}


def measure(program):
    """Case -> instructions an event."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        stop("valgrind is not installed: run tools/bootstrap")
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "counts"
        done = subprocess.run([valgrind, "--quiet", "--tool=callgrind", "--collect-atstart=no", f"--callgrind-out-file={out}",
                               str(program), str(LONG_HISTORY), str(PLAN_RECORD)],
                              capture_output=True, text=True, env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"})
        if done.returncode != 0:
            stop(f"{program}: exit code {done.returncode}\n{done.stderr[-2000:]}")
        events = {name: int(count) for name, count in (line.split() for line in done.stdout.splitlines())}
        counts = {}
        for dump in pathlib.Path(folder).iterdir():
            text = dump.read_text(encoding="utf-8", errors="replace")
            name = re.search(r"^desc: Trigger: Client Request: (\S+)$", text, re.M)
            total = re.search(r"^totals: (\d+)$", text, re.M)
            if name and total:
                counts[name.group(1)] = int(total.group(1)) / events[name.group(1)]
    if set(counts) != set(events) or YARDSTICK not in counts:
        stop(f"{program}: counted {sorted(counts)}, expected {sorted(events)}")
    return counts


def judge(kept, counts, built_with):
    """Lines to show, and whether a count rose."""
    recorded = kept["cases"]
    if set(recorded) != set(counts):
        return [f"the cases are not those recorded: expected {sorted(recorded)}, found {sorted(counts)}; renew with `make instructions`"], True
    same = kept["toolchain"] == built_with
    limit, scale, lines = LIMIT, 1.0, []
    if not same:
        limit, scale = LIMIT_ELSEWHERE, counts[YARDSTICK] / recorded[YARDSTICK]
        for part in sorted(set(kept["toolchain"]) | set(built_with)):
            before, now = kept["toolchain"].get(part), built_with.get(part)
            if before != now:
                lines.append(f"{part} differs: recorded with {before}, built with {now}")
        lines.append(f"so counts are scaled by {scale:.3f} (the yardstick) and a rise counts from {limit:.0f} % on")
    risen = False
    for name in sorted(counts):
        change = (counts[name] / (recorded[name] * scale) - 1) * 100
        rose = name != YARDSTICK and change > limit
        risen = risen or rose
        lines.append(f"{name:<20} {counts[name]:>10.0f} an event, recorded {recorded[name]:>10.0f}, {change:+6.2f} %" + ("  RISEN" if rose else ""))
    if risen:
        lines.append(f"over {limit:.0f} % more instructions than recorded; where that is meant, renew with `make instructions`")
    return lines, risen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--compiler", default="unknown")
    parser.add_argument("--flags", default="")
    parser.add_argument("--renew", action="store_true")
    options = parser.parse_args()
    built_with = toolchain(options.program, options.compiler, options.flags)
    counts = measure(options.program)
    if options.renew:
        kept = {"toolchain": built_with, "cases": {name: round(counts[name], 1) for name in sorted(counts)}}
        KEPT.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        print(KEPT.read_text(encoding="utf-8"), end="")
        return 0
    lines, risen = judge(json.loads(KEPT.read_text(encoding="utf-8")), counts, built_with)
    print("\n".join(lines))
    return 1 if risen else 0


if __name__ == "__main__":
    sys.exit(main())
