"""Builds wrong interpreters and checks that the replay catches each of them.

For every row of mutants.py: edit one source file, compile it with the flags that the build tree compiles it with, put
the object in place of the right one, link a second `lockstep`, and replay recorded histories with it. The replay has to
end with exit code 1, and the first divergence of the worst grade has to be of the right kind, step, field, file and
line. Before that the unmutated program replays the same records and has to find nothing.

A mutant whose text is no longer in the source, or no longer only once, is a failure: it tests nothing any more.
Everything is written below --work; the source tree and the build tree are only read.

    python3 e2e/mutants/run_mutants.py --build build [--only NAME ...] [--list]
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import mutants  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COMPILE_TIMEOUT_S = 300
REPLAY_TIMEOUT_S = 120


class Defect(Exception):
    """A mutant that does not apply, does not build, or is not caught as it should be."""


def run(command, cwd, timeout):
    try:
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, errors="replace")
    except subprocess.TimeoutExpired:
        raise Defect(f"still running after {timeout} s: {shlex.join(map(str, command))[:200]}") from None


def the_end_of(text, lines=30):
    return "\n".join(text.strip().splitlines()[-lines:])


class BuildTree:
    """How the build tree compiles a file and links `lockstep`."""

    def __init__(self, folder):
        self.folder = folder
        try:
            entries = json.loads((folder / "compile_commands.json").read_text())
        except OSError as error:
            raise SystemExit(f"{folder}: expected a configured build tree ({error})")
        self.compile = {os.path.realpath(entry["file"]): entry for entry in entries}
        self.link = self._link_command()
        self._refuse_stale_objects()
        self.archiver = self._cache_entry("CMAKE_AR")

    def _command_for(self, target):
        listed = run(["ninja", "-t", "commands", "-s", target], self.folder, COMPILE_TIMEOUT_S)
        if listed.returncode != 0:
            raise SystemExit(f"{self.folder}: expected a target {target}: {the_end_of(listed.stderr)}")
        return shlex.split(listed.stdout.strip().splitlines()[-1])

    def _link_command(self):
        words = self._command_for("bin/lockstep")
        # Ninja's line is `: && LINKER ... && :`.
        if words[:2] == [":", "&&"]:
            words = words[2:]
        if words[-2:] == ["&&", ":"]:
            words = words[:-2]
        if "&&" in words or "bin/lockstep" not in words:
            raise SystemExit(f"{self.folder}: expected one plain link command, found: {shlex.join(words)[:200]}")
        return words

    def _refuse_stale_objects(self):
        """Half old and half new objects would behave like a mutant of their own.

        Ninja itself cannot be asked without building: a dry run stops at the check of globbed folders.
        """
        listed = run(["ninja", "-t", "deps"], self.folder, COMPILE_TIMEOUT_S)
        linked = {word for word in self.link if word.endswith(".a")}
        times = {}

        def time_of(path):
            if path not in times:
                full = self.folder / path
                times[path] = full.stat().st_mtime_ns if full.exists() else 0
            return times[path]

        made = None
        for line in listed.stdout.splitlines():
            if line.startswith("    "):
                if made is not None and time_of(line.strip()) > time_of(made):
                    raise SystemExit(
                        f"{self.folder}: expected {made} to be up to date: {line.strip()} is newer; build first"
                    )
            else:
                made, _, _ = line.partition(":")
                relevant = made in self.link or self._archive_of(made) in linked
                made = made if made and relevant else None

    @staticmethod
    def _archive_of(made):
        """`x/CMakeFiles/name.dir/y.o` lies in `x/libname.a`."""
        room, _, target = str(pathlib.PurePosixPath(made).parent).partition("CMakeFiles/")
        return f"{room}lib{target.partition('.dir')[0]}.a"

    def _cache_entry(self, name):
        for line in (self.folder / "CMakeCache.txt").read_text().splitlines():
            if line.startswith(name + ":"):
                return line.partition("=")[2]
        raise SystemExit(f"{self.folder}/CMakeCache.txt: expected an entry {name}")

    def object_and_archive(self, source):
        """The object's path inside the build tree, and the archive that holds it."""
        entry = self.compile.get(os.path.realpath(source))
        if entry is None:
            raise Defect(f"{source} is not compiled by this build tree")
        words = shlex.split(entry["command"])
        made = pathlib.PurePosixPath(words[words.index("-o") + 1])
        archive = self._archive_of(made)
        if archive not in self.link:
            raise Defect(f"{archive} is not linked into bin/lockstep")
        return made, archive

    def compiler_launcher(self, source):
        """What stands before the compiler (ccache and its settings); compile_commands.json does not say."""
        entry = self.compile[os.path.realpath(source)]
        words = shlex.split(entry["command"])
        full = self._command_for(words[words.index("-o") + 1])
        return full[: full.index(words[0])]

    def spelling_of(self, source):
        """The path by which the compiler gets to know the file, and so the one that std::source_location has."""
        entry = self.compile[os.path.realpath(source)]
        based = any(word.startswith("CCACHE_BASEDIR=") for word in self.compiler_launcher(source))
        # ccache makes paths below its base directory relative to the working directory.
        return os.path.relpath(source, entry["directory"]) if based else str(source)

    def compile_as(self, source, mutated, made):
        entry = self.compile[os.path.realpath(source)]
        words = shlex.split(entry["command"])
        words[words.index("-o") + 1] = str(made)
        places = [
            i
            for i, word in enumerate(words)
            if os.path.realpath(os.path.join(entry["directory"], word)) == os.path.realpath(source)
        ]
        if len(places) != 1:
            raise Defect(f"expected {source} once in its compile command, found it {len(places)} times")
        words[places[0]] = str(mutated)
        # Compiled once and run once. Lower than -O1 the precompiled header would not do.
        words += ["-O1", "-g0"]
        done = run(self.compiler_launcher(source) + words, entry["directory"], COMPILE_TIMEOUT_S)
        if done.returncode != 0:
            raise Defect(f"the mutant does not compile:\n{the_end_of(done.stderr)}")

    def link_with(self, archive, replacement, program):
        words = [str(replacement) if word == archive else word for word in self.link]
        words[words.index("bin/lockstep")] = str(program)
        done = run(words, self.folder, COMPILE_TIMEOUT_S)
        if done.returncode != 0:
            raise Defect(f"the mutant does not link:\n{the_end_of(done.stderr)}")


def only_line_of(text, marker, where):
    """1-based line on which `marker` begins; it has to be there exactly once."""
    count = text.count(marker)
    if count != 1:
        raise Defect(f"{where}: expected exactly once, found {count} times: {marker!r}")
    return text.count("\n", 0, text.index(marker)) + 1


def mutate(mutant):
    """The mutated text, without the lines that go before it."""
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    for before, after in mutant.edits:
        only_line_of(text, before, mutant.file)
        text = text.replace(before, after)
    return text


def expected_line(mutant, expectation, mutated):
    file = expectation.at_file or mutant.file
    text = mutated if file == mutant.file else (ROOT / file).read_text(encoding="utf-8")
    return file, only_line_of(text, expectation.at, file)


def build_text(file, text, includes, tree, folder):
    """A `lockstep` in which `text` stands in the place of `file`."""
    source = ROOT / file
    made, archive = tree.object_and_archive(source)
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / source.name
    # Lines and file are reported as those of the real file, as if the edit had been made there.
    before = "".join(f"#include {name}\n" for name in includes)
    copy.write_text(f'{before}#line 1 "{tree.spelling_of(source)}"\n{text}', encoding="utf-8")
    tree.compile_as(source, copy, folder / made.name)
    replacement = folder / pathlib.PurePosixPath(archive).name
    shutil.copyfile(tree.folder / archive, replacement)
    done = run([tree.archiver, "r", str(replacement), str(folder / made.name)], folder, COMPILE_TIMEOUT_S)
    if done.returncode != 0:
        raise Defect(f"the archive cannot be changed: {the_end_of(done.stderr)}")
    program = folder / "lockstep"
    tree.link_with(archive, replacement, program)
    return program


def build(mutant, tree, folder):
    mutated = mutate(mutant)
    return build_text(mutant.file, mutated, mutant.includes, tree, folder), mutated


def replay(program, record):
    done = run(
        [str(program), "replay", "--format", "json", "--strict", "--jobs", "1", str(record)], ROOT, REPLAY_TIMEOUT_S
    )
    try:
        report = json.loads(done.stdout)["histories"][0]
    except (ValueError, LookupError):
        raise Defect(
            f"{record.name}: exit code {done.returncode} and no result: {the_end_of(done.stderr or done.stdout)}"
        ) from None
    return done.returncode, report


def decisive(report):
    """The first divergence of the worst grade: what the verdict rests on."""
    return next((entry for entry in report.get("divergences", []) if entry.get("grade") == report.get("grade")), None)


def differences(code, report, expectation, place):
    """What is not as expected, one text each."""
    found = []

    def compare(name, expected, actual):
        if expected is not None and expected != actual:
            found.append(f"{name}: expected {expected!r}, found {actual!r}")

    compare("exit code", 1, code)
    compare("grade", expectation.grade, report.get("grade"))
    first = decisive(report)
    if first is None:
        return found + ["no divergence was reported"]
    source = first.get("source") or {}
    compare("kind", expectation.kind, first.get("kind"))
    compare("step", expectation.step, first.get("stepId", ""))
    # Behind the attribute's name comes the place inside its payload.
    compare("field", expectation.field, first.get("field", "").split("/")[0])
    compare("file", place[0], source.get("file"))
    compare("line", place[1], source.get("line"))
    return found


def check(mutant, tree, work, records):
    """Lines for people, one a record."""
    folder = work / mutant.name
    program, mutated = build(mutant, tree, folder)
    lines = []
    for expectation in mutant.expect:
        place = expected_line(mutant, expectation, mutated)
        code, report = replay(program, records / expectation.record)
        wrong = differences(code, report, expectation, place)
        if wrong:
            seen = "\n  ".join([entry["summary"] for entry in report.get("divergences", [])][:12]) or json.dumps(report)
            raise Defect(f"replay of {expectation.record}: " + "; ".join(wrong) + f"\nreported:\n  {seen}")
        first = decisive(report)
        lines.append(
            f"{expectation.record}: {report['grade']} {first['kind']}"
            + (f", step {first['stepId']}" if first.get("stepId") else "")
            + f", {place[0]}:{place[1]}"
        )
    shutil.rmtree(folder)
    return lines


def check_baseline(tree, records, names):
    paths = [str(records / name) for name in names]
    missing = [path for path in paths if not os.path.isdir(path)]
    if missing:
        raise Defect(f"no such record: {', '.join(missing)}")
    done = run(
        [str(tree.folder / "bin" / "lockstep"), "replay", "--format", "json", "--strict", *paths],
        ROOT,
        REPLAY_TIMEOUT_S,
    )
    if done.returncode == 0:
        return
    try:
        histories = json.loads(done.stdout)["histories"]
    except ValueError:
        histories = []
    found = [
        f"{entry['path']}: {entry['verdict']}: " + str((entry.get("divergences") or [entry.get("error")])[0])
        for entry in histories
        if entry["verdict"] != "IDENTICAL"
    ]
    raise Defect(
        f"the unmutated program is not in step (exit code {done.returncode}):\n"
        + "\n".join(found or [the_end_of(done.stderr)])
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="build tree (default: build)")
    parser.add_argument(
        "--records", type=pathlib.Path, default=ROOT / "fixtures" / "histories", help="where the records lie"
    )
    parser.add_argument("--work", type=pathlib.Path, help="where mutants are built (default: BUILD/mutants)")
    parser.add_argument("--jobs", type=int, default=2, help="mutants built at once (default: 2)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these mutants only")
    parser.add_argument("--list", action="store_true", help="print what the mutants are and stop")
    args = parser.parse_args()
    chosen = [mutant for mutant in mutants.MUTANTS if not args.only or mutant.name in args.only]
    if args.list:
        for mutant in chosen:
            print(f"{mutant.name}: {mutant.what}")
        return 0
    unknown = set(args.only) - {mutant.name for mutant in chosen}
    if unknown:
        parser.error(f"no mutant named {', '.join(sorted(unknown))}")
    started = time.monotonic()
    tree = BuildTree(args.build.resolve())
    work = (args.work or args.build / "mutants").resolve()
    shutil.rmtree(work, ignore_errors=True)
    records = args.records.resolve()
    try:
        check_baseline(
            tree, records, sorted({expectation.record for mutant in chosen for expectation in mutant.expect})
        )
    except Defect as defect:
        print(f"BASELINE: {defect}", file=sys.stderr)
        return 1
    survivors = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=args.jobs) as pool:
        running = {pool.submit(check, mutant, tree, work, records): mutant for mutant in chosen}
        for future in concurrent.futures.as_completed(running):
            mutant = running[future]
            try:
                for line in future.result():
                    print(f"caught    {mutant.name} by {line}", flush=True)
            except Defect as defect:
                survivors += 1
                print(f"SURVIVED  {mutant.name} ({mutant.what})\n{defect}", flush=True)
    print(f"{len(chosen)} mutants, {survivors} not caught as expected, {time.monotonic() - started:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
