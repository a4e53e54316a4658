"""How good `lockstep trace` is at naming what broke a replay: seeds each defect into the interpreter or an example workflow, inside of a
commit that changes much else, builds it, traces a recorded run with it, and asks whether it was caught, how it was graded, and
whether one of the first three causes names a line that the defect changed.

Each defect is traced twice: with what changed since a good revision (--changed-since; the wrong line is among a dozen harmless edits
of the same file, see noise.py), and from the history and the source alone. The defects are the mutants of e2e/mutants, those of
defects.py and workflow_defects.py, and those of holdout_defects.py, which were written after the ranking was finished. Controls have
the harmless edits alone and must be in step. Beside them stands what the replayers of the official Python and Go SDKs say about like
defects (python_peer.py, go/).

    python3 bench/diagnosis/run_diagnosis.py --build build [--only NAME ...] [--docs docs/diagnosis.md]
"""

import argparse
import concurrent.futures
import dataclasses
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
import holdout_defects  # noqa: E402
import mutants  # noqa: E402
import noise  # noqa: E402
import orders_library  # noqa: E402
import page  # noqa: E402
import peers  # noqa: E402
import run_mutants  # noqa: E402
import workflow_defects  # noqa: E402

TRACE_TIMEOUT_S = 300
TOP = 3
# Files that may write to a workflow's log.
HAVE_LOG = (defects.PLAN_RUN, defects.CONTROL, defects.EMITTER, workflow_defects.ORDER, workflow_defects.WAREHOUSE, workflow_defects.COMPARISON)


@dataclasses.dataclass(frozen=True)
class Case:
    defect: defects.Defect
    group: str  # `interpreter`, `workflow`, `holdout` or `control`


def of_mutant(mutant):
    kind = defects.KIND_OF_MUTANT.get(mutant.name, "other logic")
    return defects.Defect(mutant.name, kind, mutant.what, mutant.file, mutant.edits, mutant.expect[0].record, mutant.includes)


def controls():
    """Each file twice, with harmless edits of two kinds and nothing wrong."""
    files = {case.defect.file: case.defect for case in seeded()}
    for file, defect in sorted(files.items()):
        for number in (1, 2):
            yield Case(defects.Defect(f"control-{pathlib.PurePath(file).stem}-{number}", "control", "harmless edits alone", file, (), defect.record, (), defect.base), "control")


def seeded():
    for mutant in mutants.MUTANTS:
        yield Case(of_mutant(mutant), "interpreter")
    for defect in defects.DEFECTS:
        yield Case(defect, "interpreter")
    for defect in workflow_defects.DEFECTS:
        yield Case(defect, "workflow")
    for defect in holdout_defects.DEFECTS:
        yield Case(defect, "holdout")


def changed_lines(before, after):
    """Lines of `after` (from 0) that are new or changed; where something was only removed, the lines around that place."""
    lines = set()
    matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    for kind, _, _, first, last in matcher.get_opcodes():
        if kind in ("replace", "insert"):
            lines.update(range(first, last))
        elif kind == "delete":
            lines.update((first - 1, first))
    return lines


def edited(text, edits, file):
    for before, after in edits:
        run_mutants.only_line_of(text, before, file)
        text = text.replace(before, after)
    return text


def with_defect(defect):
    """The text that was in step, the text of the commit, and the lines of it (from 1) that are the defect's."""
    good = edited((ROOT / defect.file).read_text(encoding="utf-8"), defect.base, defect.file)
    wrong = edited(good, defect.edits, defect.file)
    right = changed_lines(good, wrong)
    lines, made = noise.with_noise([(line, i in right) for i, line in enumerate(wrong.splitlines())], defect.name, log=defect.file in HAVE_LOG)
    text = "\n".join(line for line, _ in lines) + "\n"
    return good, text, {i + 1 for i, (_, mine) in enumerate(lines) if mine}, made


def repository(folder, file, good, text):
    """A git tree with the good text as its commit and the text of the defect as work in progress."""
    (folder / file).parent.mkdir(parents=True)

    def git(*words):
        subprocess.run(["git", "-c", "user.name=bench", "-c", "user.email=bench@localhost", *words], cwd=folder, check=True, capture_output=True)

    (folder / file).write_text(good, encoding="utf-8")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "in step")
    (folder / file).write_text(text, encoding="utf-8")


def trace(program, record, overlay, *flags):
    command = [*map(str, program), "trace", str(record), "--format", "json", "--source", str(overlay), "--source", str(ROOT), *map(str, flags)]
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


class Bench:
    def __init__(self, build, work, records):
        self.tree = run_mutants.BuildTree(build)
        self.build = build
        self.work = work
        self.records = records
        launcher = self.tree.compiler_launcher(orders_library.MODEL)
        self.library = orders_library.Library(build, work / "plain", launcher)
        for file in orders_library.FILES:
            self.library._plain(file)

    def examine(self, case, keep=False):
        defect = case.defect
        folder = self.work / defect.name
        good, text, lines, made = with_defect(defect)
        if defect.file.startswith(orders_library.FOLDER):
            library = self.library.build(folder, defect.file, text, defect.includes)
            program, flags = [self.build / "bin" / "lockstep"], ("--workflows", library)
            record = HERE / "histories" / f"{defect.record}.json"
        else:
            program, flags = [run_mutants.build_text(defect.file, text, defect.includes, self.tree, folder)], ()
            record = self.records / defect.record
        overlay = folder / "overlay"
        repository(overlay, defect.file, good, text)
        code, alone = trace(program, record, overlay, "--no-changes", *flags)
        known_code, known = trace(program, record, overlay, "--changed-since", "HEAD", *flags)
        result = {
            "name": defect.name,
            "group": case.group,
            "kind": defect.kind,
            "what": defect.what,
            "record": defect.record,
            "edits": made,
            "caught": code == 1 and alone.get("verdict") == "DIVERGED",
            "grade": (alone.get("first") or {}).get("grade", ""),
            "divergence": (alone.get("first") or {}).get("kind", ""),
            "cause": (alone.get("causes") or [{}])[0].get("cause", ""),
            "causeKnown": (known.get("causes") or [{}])[0].get("cause", ""),
            "rankAlone": rank_of(alone, defect.file, lines),
            "rankKnown": rank_of(known, defect.file, lines),
            "weighed": (known.get("changes") or {}).get("weighed", 0),
            "gate": bool((known.get("repair") or {}).get("patch")),
            "replays": (alone.get("search") or {}).get("replays", 0),
            "most": (alone.get("search") or {}).get("most", 0),
        }
        if case.group == "control" and (code, known_code) != (0, 0):
            raise run_mutants.Defect(f"harmless edits alone are not in step: {json.dumps(alone.get('first'))[:600]}")
        if keep:
            (folder / "lines.json").write_text(json.dumps(sorted(lines)))
            (folder / "alone.json").write_text(json.dumps(alone, indent=1))
            (folder / "known.json").write_text(json.dumps(known, indent=1))
        else:
            shutil.rmtree(folder)
        return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--records", type=pathlib.Path, default=ROOT / "fixtures" / "histories")
    parser.add_argument("--work", type=pathlib.Path, help="default: BUILD/diagnosis")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="defects, or groups of them: interpreter, workflow, holdout, control")
    parser.add_argument("--json", type=pathlib.Path, help="results (default: WORK/results.json)")
    parser.add_argument("--docs", type=pathlib.Path, help="write the page there")
    parser.add_argument("--no-peer", action="store_true", help="without the official replayers")
    parser.add_argument("--keep", action="store_true", help="keep what was built and what trace said, below WORK")
    args = parser.parse_args()
    everything = [*seeded(), *controls()]
    chosen = [case for case in everything if not args.only or case.defect.name in args.only or case.group in args.only]
    unknown = set(args.only) - {case.defect.name for case in everything} - {case.group for case in everything}
    if unknown:
        parser.error(f"no defect named {', '.join(sorted(unknown))}")
    work = (args.work or args.build / "diagnosis").resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    bench = Bench(args.build.resolve(), work, args.records.resolve())
    started = time.monotonic()
    results, broken = [], 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=args.jobs) as pool:
        running = {pool.submit(bench.examine, case, args.keep): case for case in chosen}
        for future in concurrent.futures.as_completed(running):
            case = running[future]
            try:
                result = future.result()
            except (run_mutants.Defect, RuntimeError) as problem:
                broken += 1
                print(f"BROKEN  {case.defect.name}: {problem}", flush=True)
                continue
            results.append(result)
            if case.group == "control":
                print(f"in step {case.defect.name}: {result['edits']} harmless edits", flush=True)
                continue
            print(
                f"{'caught' if result['caught'] else 'MISSED'}  {case.defect.name}: {result['grade']} {result['divergence']}, line {result['rankAlone']} alone, "
                f"{result['rankKnown']} with the change ({result['weighed']} of {result['edits']} weighed), {result['causeKnown']}",
                flush=True,
            )
    peer = {}
    if not args.no_peer:
        peer, failed = peers.run_all(work)
        broken += failed
    results.sort(key=lambda r: (r["group"], r["name"]))
    sums = {group: page.totals([r for r in results if r["group"] == group]) for group in ("interpreter", "workflow", "holdout")}
    (args.json or work / "results.json").write_text(json.dumps({"results": results, "totals": sums, "peers": peer}, indent=1) + "\n")
    if args.docs and not args.only:
        args.docs.write_text(page.render(results, peer), encoding="utf-8")
    for group, total in sums.items():
        print(group, json.dumps(total))
    print(f"{broken} broken, {time.monotonic() - started:.0f} s")
    return 1 if broken or any(not r["caught"] for r in results if r["group"] != "control") else 0


if __name__ == "__main__":
    sys.exit(main())
