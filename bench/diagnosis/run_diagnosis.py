"""How good `lockstep trace` is at naming what broke a replay: builds an interpreter with each seeded defect, traces a recorded run with it,
and asks whether it was caught, how it was graded, and whether one of the first three causes names a line that the defect changed.

Each defect is traced twice: from the history and the source alone, and with the change known (as with --changed-since). The defects are
the mutants of e2e/mutants and those of defects.py. Beside them stands what the replayer of the official Python SDK says about like
defects (python_peer.py).

    python3 bench/diagnosis/run_diagnosis.py --build build [--only NAME ...] [--docs docs/diagnosis.md]
"""

import argparse
import concurrent.futures
import difflib
import json
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(ROOT / "e2e" / "mutants"))
import defects  # noqa: E402
import mutants  # noqa: E402
import run_mutants  # noqa: E402

TRACE_TIMEOUT_S = 300
TOP = 3


def all_defects():
    for mutant in mutants.MUTANTS:
        yield defects.Defect(
            mutant.name,
            defects.KIND_OF_MUTANT.get(mutant.name, "other logic"),
            mutant.what,
            mutant.file,
            mutant.edits,
            mutant.expect[0].record,
            mutant.includes,
        )
    yield from defects.DEFECTS


def changed_lines(before, after):
    """Lines of `after` that are new or changed; where something was only removed, the lines around that place."""
    lines = set()
    matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    for kind, _, _, first, last in matcher.get_opcodes():
        if kind in ("replace", "insert"):
            lines.update(range(first + 1, last + 1))
        elif kind == "delete":
            lines.update((first, first + 1))
    return lines


def trace(program, record, overlay, *flags):
    command = [str(program), "trace", str(record), "--format", "json", "--source", str(overlay), "--source", str(ROOT), *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TRACE_TIMEOUT_S)
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        raise run_mutants.Defect(f"trace ended with {done.returncode} and no result: {done.stderr[-400:]}") from None


def rank_of(report, file, lines):
    """1-based place of the first cause that names one of the lines; 0: none does."""
    for place, cause in enumerate(report.get("causes", []), 1):
        source = cause.get("source") or {}
        if source.get("file") == file and source.get("line") in lines:
            return place
    return 0


def examine(defect, tree, work, records):
    folder = work / defect.name
    original = (ROOT / defect.file).read_text(encoding="utf-8")
    program, mutated = run_mutants.build(defect, tree, folder)
    overlay = folder / "overlay"
    (overlay / defect.file).parent.mkdir(parents=True)
    (overlay / defect.file).write_text(mutated, encoding="utf-8")
    diff = "".join(
        difflib.unified_diff(
            original.splitlines(keepends=True), mutated.splitlines(keepends=True), f"a/{defect.file}", f"b/{defect.file}"
        )
    )
    (folder / "change.diff").write_text(diff, encoding="utf-8")
    lines = changed_lines(original, mutated)
    code, alone = trace(program, records / defect.record, overlay, "--no-changes")
    _, known = trace(program, records / defect.record, overlay, "--diff", str(folder / "change.diff"))
    caught = code == 1 and alone.get("verdict") == "DIVERGED"
    result = {
        "name": defect.name,
        "kind": defect.kind,
        "what": defect.what,
        "record": defect.record,
        "caught": caught,
        "grade": (alone.get("first") or {}).get("grade", ""),
        "cause": (alone.get("causes") or [{}])[0].get("cause", ""),
        "causeKnown": (known.get("causes") or [{}])[0].get("cause", ""),
        "rankAlone": rank_of(alone, defect.file, lines),
        "rankKnown": rank_of(known, defect.file, lines),
        "gate": bool((known.get("repair") or {}).get("patch")),
        "replays": (alone.get("search") or {}).get("replays", 0),
        "most": (alone.get("search") or {}).get("most", 0),
    }
    shutil.rmtree(folder)
    return result


def in_top(rank):
    return 1 <= rank <= TOP


def percent(part, whole):
    return f"{100 * part / whole:.0f} %" if whole else "-"


def totals(results):
    count = len(results)
    return {
        "defects": count,
        "caught": sum(1 for r in results if r["caught"]),
        "lineAlone": sum(1 for r in results if in_top(r["rankAlone"])),
        "lineKnown": sum(1 for r in results if in_top(r["rankKnown"])),
    }


def page(results, peer):
    sums = totals(results)
    text = [
        "# How good the diagnosis is",
        "",
        "<!-- Written by `make bench-diagnosis`; do not edit. -->",
        "",
        f"{sums['defects']} defects were seeded into the interpreter, one build each, and a recorded run was traced with each build.",
        f"Caught: {sums['caught']} ({percent(sums['caught'], sums['defects'])}). "
        f"A line that the defect changed is among the first three causes in {sums['lineKnown']} "
        f"({percent(sums['lineKnown'], sums['defects'])}) with the change known (`--changed-since`), and in {sums['lineAlone']} "
        f"({percent(sums['lineAlone'], sums['defects'])}) from the history and the source alone.",
        "",
        "The change handed to trace holds the seeded edit alone; a change of many lines is not measured. The defects were not held out: the ranking",
        "was improved, and one defect moved to a record that shows it, after a first run. The peer's defects are like ones in another workflow.",
        "",
        "*line*: the place of the first cause that names a changed line, alone / with the change known; - where none does.",
        "*cause*: the first one, with the change known. *gate*: a version gate was proposed as a patch.",
        "",
        "| Defect | Kind | Caught | Grade | Line | Cause | Gate |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in sorted(results, key=lambda r: (r["kind"], r["name"])):
        line = f"{r['rankAlone'] or '-'} / {r['rankKnown'] or '-'}"
        text.append(
            f"| `{r['name']}`: {r['what']} | {r['kind']} | {'yes' if r['caught'] else 'NO'} | {r['grade']} | {line} | "
            f"{r['causeKnown']} | {'yes' if r['gate'] else '-'} |"
        )
    if peer:
        text += [
            "",
            f"## The official Python replayer ({peer['sdk']})",
            "",
            "Like defects in a workflow of the official Python SDK, replayed by its `Replayer` against a history of a real server. It names no",
            "source line of the workflow; the message is its own, shortened.",
            "",
            "| Defect | Kind | Python replayer | What it says |",
            "|---|---|---|---|",
        ]
        for r in peer["results"]:
            message = r["message"].replace("|", "\\|")
            text.append(f"| {r['what']} | {r['kind']} | {'caught' if r['caught'] else 'passes'} | {message} |")
        caught = sum(1 for r in peer["results"] if r["caught"])
        text += ["", f"Caught: {caught} of {len(peer['results'])} ({percent(caught, len(peer['results']))}), with a line of the workflow: 0."]
    return "\n".join(text) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--records", type=pathlib.Path, default=ROOT / "fixtures" / "histories")
    parser.add_argument("--work", type=pathlib.Path, help="default: BUILD/diagnosis")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--json", type=pathlib.Path, help="results (default: WORK/results.json)")
    parser.add_argument("--docs", type=pathlib.Path, help="write the page there")
    parser.add_argument("--no-peer", action="store_true", help="without the Python replayer")
    args = parser.parse_args()
    chosen = [defect for defect in all_defects() if not args.only or defect.name in args.only]
    tree = run_mutants.BuildTree(args.build.resolve())
    work = (args.work or args.build / "diagnosis").resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    started = time.monotonic()
    results, broken = [], 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=args.jobs) as pool:
        running = {pool.submit(examine, defect, tree, work, args.records.resolve()): defect for defect in chosen}
        for future in concurrent.futures.as_completed(running):
            defect = running[future]
            try:
                result = future.result()
            except run_mutants.Defect as problem:
                broken += 1
                print(f"BROKEN  {defect.name}: {problem}", flush=True)
                continue
            results.append(result)
            print(
                f"{'caught' if result['caught'] else 'MISSED'}  {defect.name}: {result['grade']}, line {result['rankAlone']} alone, "
                f"{result['rankKnown']} with the change, {result['causeKnown']}",
                flush=True,
            )
    peer = None
    if not args.no_peer:
        done = subprocess.run([sys.executable, "-B", str(HERE / "python_peer.py"), str(work / "peer.json")], capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            print(f"BROKEN  python_peer.py: {done.stderr[-600:]}")
            broken += 1
        else:
            peer = json.loads((work / "peer.json").read_text())
    results.sort(key=lambda r: r["name"])
    (args.json or work / "results.json").write_text(json.dumps({"results": results, "totals": totals(results), "peer": peer}, indent=1) + "\n")
    if args.docs and not args.only:
        args.docs.write_text(page(results, peer), encoding="utf-8")
    print(json.dumps(totals(results)), f"{broken} broken, {time.monotonic() - started:.0f} s")
    return 1 if broken or any(not r["caught"] for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
