#!/usr/bin/env python3
"""What clang-tidy-19's own checks find on the fixtures of the analyzer (fixtures/lint/cpp), rule family by rule family.

    bench/analyzer/peer_table.py [--out docs/lint-comparison.md]

A hit is any diagnostic of the check groups below on a line that a fixture marks with `// expect:`. The analyzer's own column is not
measured here: analyzer_fixture_test holds it to every line and to no other.
"""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

TREE = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = TREE / "fixtures/lint/cpp"
GROUPS = ["cert-*", "bugprone-*", "concurrency-*", "misc-*", "clang-analyzer-*"]
# Off: they fire on style (names, headers, recursion), not on the hazard of the line.
NOISE = ["-misc-include-cleaner", "-misc-use-anonymous-namespace", "-misc-non-private-member-variables-in-classes", "-misc-const-correctness",
         "-misc-no-recursion", "-misc-use-internal-linkage", "-bugprone-easily-swappable-parameters", "-misc-definitions-in-headers"]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    rules = {rule["id"]: rule for rule in json.loads((TREE / "analyzer/rules.json").read_text())["rules"]}
    expected, hit = collections.Counter(), collections.Counter()
    checks = collections.defaultdict(collections.Counter)
    surplus = collections.Counter()
    for path in sorted(FIXTURES.glob("determinism-*/bad_*.cpp")):
        lines = path.read_text().split("\n")
        marks = collections.defaultdict(set)
        flags = []
        for number, line in enumerate(lines, 1):
            for mark, offset in (("// expect: ", 0), ("// expect-next: ", 1)):
                if mark in line:
                    marks[number + offset] |= {name.strip() for name in line.split(mark)[1].split(",")}
            if "// flags: " in line:
                flags += line.split("// flags: ")[1].split("//")[0].split()
        with tempfile.TemporaryDirectory() as folder:
            command = ["clang++", "-std=c++23", f"-I{FIXTURES}/include", f"-I{TREE}", *flags, "-c", str(path)]
            pathlib.Path(folder, "compile_commands.json").write_text(
                json.dumps([{"directory": str(FIXTURES), "file": str(path), "arguments": command}]))  # fmt: skip
            done = subprocess.run(
                ["clang-tidy-19", "-p", folder, "--quiet", "--checks=" + ",".join(["-*", *GROUPS, *NOISE]), str(path)],
                capture_output=True, text=True, check=False)  # fmt: skip
        found = collections.defaultdict(set)
        for match in re.finditer(r"^(.*?):(\d+):\d+: (?:warning|error): .* \[([\w.,-]+)\]$", done.stdout, re.M):
            if match.group(1) == str(path):
                found[int(match.group(2))] |= {check for check in match.group(3).split(",")}
        for number, ids in marks.items():
            for rule in ids & rules.keys():
                family = rules[rule]["family"]
                expected[family] += 1
                if number in found:
                    hit[family] += 1
                    for check in found[number]:
                        checks[family][check] += 1
        surplus["lines"] += sum(1 for number in found if number not in marks)
    out = ["# The analyzer beside clang-tidy's own checks", "",
           "Made by `bench/analyzer/peer_table.py` over `fixtures/lint/cpp`: places that a fixture marks as hazards, and how many of them some check of",
           "clang-tidy-19 (`cert-*`, `bugprone-*`, `concurrency-*`, `misc-*`, `clang-analyzer-*`) says anything about. `lockstep-tidy` finds all of them",
           "and nothing else: `analyzer_fixture_test` holds it to that.", "",
           "| Family | Marked | clang-tidy-19 | Its checks |", "|---|---|---|---|"]  # fmt: skip
    for family in dict.fromkeys(rule["family"] for rule in rules.values()):
        names = ", ".join(f"`{check}` {count}" for check, count in sorted(checks[family].items(), key=lambda item: (-item[1], item[0]))[:6])
        out.append(f"| {family} | {expected[family]} | {hit[family]} | {names} |")
    out += [f"| all | {sum(expected.values())} | {sum(hit.values())} | on {surplus['lines']} further lines it reports something that is no hazard of replay |", "",
            "clang-tidy looks at one function or one file and does not know what a workflow is: it neither follows calls from a root nor leaves activities",
            "alone, so its hits stand in any code, also where they do no harm. What it is good at (uninitialised values, undefined behaviour, seeds)",
            "overlaps with the families *memory* and *randomness*; use both.", ""]  # fmt: skip
    text = "\n".join(out)
    if args.out:
        args.out.write_text(text)
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
