#!/usr/bin/env python3
"""Measures the analyzer beside its peers, in one run on one machine: lockstep-tidy, `clang++-19 -fsyntax-only` and clang-tidy-19 with a
like set of checks, over the same files with the same flags; then a program of many files cold, unchanged and with one file changed.

    bench/analyzer/compare.py [-p build] [--files N] [--program 300] [--rounds 3] [--format text|json]

CPU seconds (user + system), best of the rounds; they are steadier than wall time on a busy machine. Limits of the issue are printed
beside the figures: 1.3 times a syntax check, 0.5 s for an unchanged program, 2 s beyond the parse for one changed file, 1.5 GB at 2 jobs.
"""
import argparse
import json
import pathlib
import resource
import shlex
import subprocess
import sys
import tempfile
import time

TREE = pathlib.Path(__file__).resolve().parents[2]
PEER_CHECKS = "-*,cert-msc*,bugprone-*,concurrency-*,misc-*,clang-analyzer-core*,clang-analyzer-cplusplus*"


def spent(command, cwd):
    """CPU seconds, wall seconds, peak resident bytes of the largest child so far, output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - started, after.ru_maxrss * 1024, done


def plain_arguments(entry):
    arguments = entry["arguments"] if "arguments" in entry else shlex.split(entry["command"])
    while arguments and pathlib.Path(arguments[0]).name in ("ccache", "sccache"):
        arguments = arguments[1:]
    kept, skip = [], 0
    for i, argument in enumerate(arguments[1:], 1):
        if skip:
            skip -= 1
        elif argument in ("-o", "-MF", "-MT", "-MQ", "-include-pch"):
            skip = 1
        elif argument == "-Xclang" and i + 1 < len(arguments) and (arguments[i + 1] in ("-include-pch", "-include") or "pch" in arguments[i + 1]):
            skip = 1
        elif argument not in ("-c", "-MD", "-MMD", "-Winvalid-pch", "-Werror"):
            kept.append(argument)
    return [argument for argument in kept if argument != entry["file"]]


def measure_file(entry, tools, rounds, folder):
    flags = plain_arguments(entry)
    pathlib.Path(folder, "compile_commands.json").write_text(
        json.dumps([{"directory": entry["directory"], "file": entry["file"], "arguments": ["clang++", *flags, "-c", entry["file"]]}]))  # fmt: skip
    commands = {
        "syntax": [tools["clang"], *flags, "-w", "-fsyntax-only", entry["file"]],
        "lockstep": [tools["lockstep"], "-p", folder, "--no-cache", "-j", "1", "--format", "json", entry["file"]],
        "clang-tidy": [tools["tidy"], "-p", folder, f"--checks={PEER_CHECKS}", "--quiet", entry["file"]],
    }
    best = {}
    for name, command in commands.items():
        times = []
        for _ in range(1 if name == "clang-tidy" else rounds):
            cpu, _, _, done = spent(command, entry["directory"])
            if name == "syntax" and done.returncode != 0:
                return None
            times.append(cpu)
        best[name] = min(times)
    return best


SOURCE = """#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "shared.h"

namespace part{n} {{
struct Item {{
  std::string id;
  int64_t amount = 0;
}};
class Ledger {{
 public:
  void Add(Item item) {{ items_[item.id] = std::move(item); }}
  int64_t Total() const {{
    int64_t total = 0;
    for (const auto& [id, item] : items_) total += item.amount;
    return total;
  }}

 private:
  std::map<std::string, Item> items_;
}};
int64_t Step(int64_t value) {{
  Ledger ledger;
  for (int64_t i = 0; i < value; ++i) ledger.Add({{std::to_string(i), i}});
  return ledger.Total() + {next};
}}
}}  // namespace part{n}

[[clang::annotate("lockstep::workflow")]] void workflow_{n}(int64_t value) {{ store(part{n}::Step(value)); }}
"""


def measure_program(tools, count):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "shared.h").write_text(
            '#pragma once\n#include <cstdint>\n[[clang::annotate("lockstep::activity")]] void store(int64_t value);\n'
            + "".join(f"namespace part{n} {{ int64_t Step(int64_t value); }}\n" for n in range(count)))  # fmt: skip
        entries = []
        for n in range(count):
            follow = f"part{n + 1}::Step(value)" if n + 1 < count and n % 10 != 9 else "0"
            path = root / f"part{n}.cpp"
            path.write_text(SOURCE.format(n=n, next=follow))
            entries.append({"directory": folder, "file": str(path), "arguments": ["clang++", "-std=c++20", "-c", str(path)]})
        (root / "compile_commands.json").write_text(json.dumps(entries))
        run = [tools["lockstep"], "-p", folder, "--cache-dir", str(root / "cache"), "-j", "2", "--format", "json"]
        results = {}
        cpu, wall, memory, done = spent(run, folder)
        if done.returncode not in (0, 1):
            sys.exit(f"compare: lockstep-tidy failed: {done.stderr}")
        results["cold"] = {"cpu": cpu, "wall": wall, "memory": memory}
        first = done.stdout
        cpu, wall, _, done = spent(run, folder)
        results["unchanged"] = {"cpu": cpu, "wall": wall}
        if done.stdout != first:
            sys.exit("compare: a run over unchanged files differs from the first")
        changed = root / "part0.cpp"
        changed.write_text(changed.read_text() + "// changed\n")
        parse, _, _, _ = spent([tools["clang"], "-std=c++20", "-fsyntax-only", str(changed)], folder)
        cpu, wall, _, _ = spent(run, folder)
        results["one changed"] = {"cpu": cpu, "wall": wall, "parse": parse}
        return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-p", "--build", type=pathlib.Path, default=TREE / "build")
    parser.add_argument("--files", type=int, default=8, help="files of this tree to compare on, spread over the rooms")
    parser.add_argument("--program", type=int, default=300, help="files of the generated program (0: skip)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--format", choices=["text", "json"], default="text")
    args = parser.parse_args()
    tools = {"clang": "clang++-19", "tidy": "clang-tidy-19", "lockstep": str(args.build.resolve() / "bin/lockstep-tidy")}
    entries = [e for e in json.loads((args.build / "compile_commands.json").read_text())
               if "/engine-core/" in e["file"] and "/build/" not in e["file"] and "_test" not in e["file"]]  # fmt: skip
    entries.sort(key=lambda e: e["file"])
    step = max(1, len(entries) // max(1, args.files))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for entry in entries[::step][: args.files]:
            best = measure_file(entry, tools, args.rounds, folder)
            if best:
                rows.append((str(pathlib.Path(entry["file"]).relative_to(TREE)), best))
    program = measure_program(tools, args.program) if args.program else {}
    if args.format == "json":
        print(json.dumps({"files": dict(rows), "program": program}, indent=2))
        return 0
    print(f"{'file':50} {'syntax':>8} {'lockstep':>9} {'ratio':>6} {'clang-tidy':>11}")
    for name, best in rows:
        print(f"{name:50} {best['syntax']:7.2f}s {best['lockstep']:8.2f}s {best['lockstep'] / best['syntax']:6.2f} {best['clang-tidy']:10.2f}s")
    if rows:
        total = {key: sum(best[key] for _, best in rows) for key in rows[0][1]}
        print(f"{'all (limit 1.30)':50} {total['syntax']:7.2f}s {total['lockstep']:8.2f}s {total['lockstep'] / total['syntax']:6.2f} {total['clang-tidy']:10.2f}s")
    for name, values in program.items():
        limit = {"cold": "", "unchanged": " (limit 0.5 s)", "one changed": f" (limit 2 s beyond its parse of {values.get('parse', 0):.2f} s)"}[name]
        memory = f", {values['memory'] / 1e9:.2f} GB at 2 jobs (limit 1.5)" if "memory" in values else ""
        print(f"{args.program} files, {name}: {values['cpu']:.2f} s CPU, {values['wall']:.2f} s wall{limit}{memory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
