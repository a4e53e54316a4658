#!/usr/bin/env python3
"""Holds every #include of the tree against the table of who may know whom (ARCHITECTURE.md, section 2).

A room is the longest folder of ROOMS that a file lies in. For each room the table names the rooms whose headers it may
include and the external libraries it may use; the standard library and its own room are always allowed. Tests, benchmarks
and fuzz targets may know more, as TESTS says. Prints `file:line: ...` for each violation.

    check_dependencies.py [--root FOLDER]      exit 0: clean, 1: violations, 2: wrong usage

Deliberately strict in three ways: an include in a form that nobody can resolve, a header of an unknown library and a source
file in no known room are violations too, so that a new library or room needs a line here.
"""

import argparse
import pathlib
import re
import sys

# --- external libraries: prefix of the header -> name --------------------------------------------------------------------

LIBRARIES = {
    "openssl/": "openssl",
    "rapidjson/": "rapidjson",
    "simdjson.h": "simdjson",
    "valijson/": "valijson",
    "re2/": "re2",
    "google/protobuf/": "protobuf",
    "temporal/api/workflowservice/": "temporal-stubs",
    "temporal/api/operatorservice/": "temporal-stubs",
    "temporal/api/testservice/": "temporal-stubs",
    "temporal/api/": "temporal",
    "grpcpp/": "grpc",
    "grpc/": "grpc",
    "sqlite3.h": "sqlite",
    "pqxx/": "postgres",
    "libpq": "postgres",
    "zlib.h": "zlib",
    "zstd.h": "zstd",
    "httplib.h": "httplib",
    "yaml-cpp/": "yaml",
    "CLI/": "cli11",
    "fmt/": "fmt",
    "spdlog/": "spdlog",
    "kainjow/": "mustache",
    "mustache.hpp": "mustache",
    "git2": "libgit2",
    "prometheus/": "prometheus",
    "clang/": "clang",
    "clang-c/": "clang",
    "clang-tidy/": "clang",
    "llvm/": "llvm",
    "llvm-c/": "llvm",
    "gtest/": "googletest",
    "gmock/": "googletest",
    "rapidcheck": "rapidcheck",
    "benchmark/": "benchmark",
    "valgrind/": "valgrind",
}
# The operating system below the standard library. Deterministic rooms must not see it.
SYSTEM = {
    "arpa/inet.h", "dirent.h", "malloc.h", "dlfcn.h", "execinfo.h", "fcntl.h", "fnmatch.h", "netdb.h", "netinet/in.h", "netinet/tcp.h",
    "poll.h", "pthread.h", "signal.h", "spawn.h", "sys/file.h", "sys/mman.h", "sys/prctl.h", "sys/resource.h", "sys/socket.h",
    "sys/stat.h", "sys/time.h", "sys/types.h", "sys/un.h", "sys/wait.h", "termios.h", "sys/ioctl.h", "unistd.h", "sched.h",
    "glob.h", "time.h", "malloc.h", "sys/syscall.h", "sys/personality.h",
}
STANDARD = re.compile(r"^[a-z_0-9]+$")  # `vector`, `cstdint`: a name without dot or slash

# --- rooms ---------------------------------------------------------------------------------------------------------------

# Room -> (rooms it may include, external libraries it may use).
PURE = ["engine-core/base"]
ROOMS = {
    "engine-core/base": ([], ["openssl", "rapidjson", "system"]),
    "engine-core/contracts": (PURE, ["protobuf", "rapidjson", "valijson", "re2"]),
    "engine-core/activity": (PURE, []),
    "engine-core/plan": (PURE + ["engine-core/contracts"], ["rapidjson", "zlib", "httplib", "openssl", "system"]),
    "engine-core/state": (PURE + ["engine-core/contracts"], []),
    "engine-core/state/memory": (PURE + ["engine-core/state"], []),
    "engine-core/state/sqlite": (PURE + ["engine-core/state"], ["sqlite", "system"]),
    "engine-core/workflow": (PURE, ["protobuf", "temporal"]),
    "engine-core/authoring": (PURE + ["engine-core/workflow", "engine-core/activity"], ["protobuf", "temporal", "system"]),
    "engine-core/interpreter": (PURE + ["engine-core/workflow", "engine-core/plan", "engine-core/state"], ["temporal"]),
    "engine-core/steps": (
        PURE + ["engine-core/contracts", "engine-core/activity", "engine-core/plan", "engine-core/state"],
        ["yaml", "httplib", "sqlite", "openssl", "system"]),
    "engine-core/providers/temporal": (
        PURE + ["engine-core/activity", "engine-core/workflow"],
        ["protobuf", "temporal", "temporal-stubs", "grpc", "spdlog", "system"]),
    "engine-core/providers/embedded": (
        PURE + ["engine-core/activity", "engine-core/workflow", "engine-core/state/sqlite"], ["protobuf", "temporal"]),
    "engine-core/service": (
        PURE + ["engine-core/contracts", "engine-core/activity", "engine-core/plan", "engine-core/state", "engine-core/state/memory",
                "engine-core/state/sqlite", "engine-core/workflow", "engine-core/interpreter", "engine-core/steps",
                "engine-core/providers/temporal", "engine-core/providers/embedded"],
        ["temporal", "protobuf", "system"]),
    "replay/history": (PURE, ["protobuf", "temporal", "rapidjson", "simdjson", "zlib", "zstd", "system"]),
    "replay/compare": (PURE, []),
    "replay/record": (PURE + ["engine-core/state", "engine-core/workflow"], ["temporal", "protobuf", "system"]),
    "replay/session": (
        PURE + ["engine-core/state", "engine-core/workflow", "engine-core/interpreter", "engine-core/plan", "replay/history",
                "replay/compare", "replay/record"],
        ["temporal", "protobuf"]),
    "replay/trace": (
        PURE + ["engine-core/state", "engine-core/workflow", "engine-core/interpreter", "engine-core/plan", "replay/history",
                "replay/compare", "replay/record", "replay/session"],
        ["temporal", "protobuf", "libgit2", "system"]),
    "replay/simulate": (
        PURE + ["engine-core/activity", "engine-core/state", "engine-core/state/memory", "engine-core/workflow",
                "engine-core/interpreter", "engine-core/plan", "engine-core/steps", "engine-core/providers/embedded",
                "replay/history", "replay/compare", "replay/record", "replay/session"],
        ["temporal", "protobuf"]),
    "replay/perturb": (
        PURE + ["engine-core/state", "engine-core/workflow", "engine-core/interpreter", "replay/history", "replay/record", "replay/session"],
        ["temporal", "protobuf", "system"]),
    "analyzer": (PURE, ["clang", "llvm", "yaml", "cli11", "system"]),
    "analyzer/plan": (PURE + ["analyzer", "engine-core/plan"], ["system"]),
    "reports": (None, ["httplib", "openssl", "protobuf", "temporal", "system"]),
    "cli": (None, ["cli11", "fmt", "spdlog", "temporal", "protobuf", "libgit2", "system"]),
    "e2e": (None, ["temporal", "protobuf", "system"]),
    "fuzz": (None, ["temporal", "protobuf"]),
    "bench": (None, ["temporal", "protobuf", "valgrind", "system"]),
}
ANY = [room for room in ROOMS]  # what None stands for

# Single files of a room that may know more than the room: the provider half of `record`, and where one library of a room is
# kept to one place (httplib, gzip, sockets of `plan`, whose other files are pure).
FILES = {
    r"^replay/record/(recorder|child_worker|shadow|redact|coverage)(_test)?\.(h|cpp)$": (
        ["engine-core/service", "engine-core/interpreter", "engine-core/plan", "engine-core/steps", "engine-core/activity",
         "engine-core/providers/temporal", "replay/history", "replay/session"], []),
}
# Libraries that only these files of a room may use.
ONLY_IN = {
    ("engine-core/plan", "httplib"): r"https_fetcher(_test)?\.(h|cpp)$",
    ("engine-core/plan", "openssl"): r"https_fetcher(_test)?\.(h|cpp)$",
    ("engine-core/plan", "system"): r"(https_fetcher|ip_address|uri_policy)(_test)?\.(h|cpp)$",
    ("engine-core/plan", "zlib"): r"gzip(_test)?\.cpp$",
    ("engine-core/base", "openssl"): r"(sha256|ids)\.cpp$",
    ("engine-core/base", "system"): r"files(_test)?\.cpp$",
    ("engine-core/steps", "sqlite"): r"sql_query(_test)?\.cpp$",
    ("replay/history", "simdjson"): r"json_tokens\.cpp$",
    ("replay/history", "zstd"): r"compression(_test)?\.cpp$",
    ("replay/history", "zlib"): r"compression(_test)?\.cpp$",
}

# Internal rooms that the tests of a room may include beside what the room may.
TEST_ROOMS = {
    "engine-core/state": ["engine-core/state/memory", "engine-core/state/sqlite"],
    "engine-core/steps": ["engine-core/state/memory", "engine-core/state/sqlite"],
    "engine-core/interpreter": ["engine-core/state/memory", "engine-core/steps", "engine-core/activity", "engine-core/providers/embedded"],
    "engine-core/providers/embedded": ["engine-core/interpreter", "engine-core/plan", "engine-core/state", "engine-core/state/memory",
                                       "engine-core/steps", "replay/history", "replay/record", "replay/session"],
    "engine-core/service": ["replay/history", "replay/session"],
    "replay/record": ["engine-core/plan", "engine-core/interpreter", "replay/history", "replay/session"],
    "replay/session": ["engine-core/state/memory", "engine-core/steps", "engine-core/activity", "engine-core/providers/embedded"],
}
TEST_LIBRARIES = ["googletest", "rapidcheck", "benchmark", "temporal", "protobuf", "httplib", "sqlite", "openssl", "system"]
TEST_FILE = re.compile(r"(_test|_bench|_fuzzer|_test_support)\.(cpp|h)$|/(testing|test_support)/|_(testing|fixtures)\.h$")

SKIPPED_FOLDERS = {"build", ".git", "fixtures", "testdata"}
INCLUDE = re.compile(r'^\s*#\s*(?:include|import|include_next)\b\s*(.*?)\s*$')
TARGET = re.compile(r'^(?:"([^"]+)"|<([^>]+)>)')


def room_of(path):
    """The longest room that the file lies in, or None."""
    best = None
    for room in ROOMS:
        if path.startswith(room + "/") and (best is None or len(room) > len(best)):
            best = room
    return best


def library_of(header):
    if header in SYSTEM or header.startswith("linux/"):
        return "system"
    best = None
    for prefix in LIBRARIES:
        if header.startswith(prefix) and (best is None or len(prefix) > len(best)):
            best = prefix
    return LIBRARIES[best] if best else None


def may(path, room, is_test):
    """Rooms and libraries that this file may include."""
    rooms, libraries = ROOMS[room]
    rooms = set(ANY if rooms is None else rooms) | {room}
    libraries = set(libraries)
    for pattern, (more_rooms, more_libraries) in FILES.items():
        if re.search(pattern, path):
            rooms |= set(more_rooms)
            libraries |= set(more_libraries)
    if is_test:
        rooms |= set(TEST_ROOMS.get(room, []))
        libraries |= set(TEST_LIBRARIES)
    return rooms, libraries


def check_include(root, path, room, target, quoted):
    """What is wrong with one include, or None."""
    is_test = bool(TEST_FILE.search(path))
    rooms, libraries = may(path, room, is_test)
    other = room_of(target)
    if other is not None:
        # Generated from the .proto beside it.
        source = target.removesuffix(".pb.h") + ".proto" if target.endswith(".pb.h") else target
        if not (root / source).is_file():
            return f"no such header {target}"
        if other not in rooms:
            return f"{room} may not know {other} ({target})"
        if TEST_FILE.search(target) and not is_test and room not in ("fuzz", "bench", "e2e"):
            return f"only tests may include {target}"
        return None
    library = library_of(target)
    if library is None:
        if not quoted and STANDARD.match(target):
            return None
        if quoted:
            return f'"{target}" is not written from the top of the tree'
        return f"<{target}> belongs to no library of the table"
    if library not in libraries:
        return f"{room} may not use {library} (<{target}>)"
    only = ONLY_IN.get((room, library))
    if only and not is_test and not re.search(only, path):
        return f"in {room} only {only} may use {library} (<{target}>)"
    return None


def strip_comments(text):
    """Comments replaced by blanks, line breaks kept; strings are left alone."""
    pattern = re.compile(r'R"([^\s()\\]{0,16})\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        found = match.group(0)
        if found.startswith(("//", "/*")):
            return re.sub(r"[^\n]", " ", found)
        if found.startswith('R"'):
            return '""' + "\n" * found.count("\n")
        return found

    return pattern.sub(blank, text)


def check_file(root, path):
    room = room_of(path)
    if room is None:
        return [f"{path}:1: lies in no room of the table"]
    found = []
    text = strip_comments((root / path).read_text(encoding="utf-8", errors="replace"))
    for number, line in enumerate(text.split("\n"), 1):
        include = INCLUDE.match(line)
        if not include:
            continue
        target = TARGET.match(include.group(1))
        if not target:
            found.append(f"{path}:{number}: an include that cannot be resolved: {include.group(1)}")
            continue
        problem = check_include(root, path, room, target.group(1) or target.group(2), target.group(1) is not None)
        if problem:
            found.append(f"{path}:{number}: {problem}")
    return found


def sources(root):
    tops = sorted({room.split("/")[0] for room in ROOMS})
    for top in tops:
        for file in sorted((root / top).rglob("*")):
            relative = file.relative_to(root)
            if file.suffix in (".h", ".hpp", ".cpp", ".cc", ".c") and not SKIPPED_FOLDERS.intersection(relative.parts):
                yield relative.as_posix()


def main():
    parser = argparse.ArgumentParser(description="Holds the includes of the tree against the table of who may know whom.")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root.resolve()
    files = list(sources(root)) if root.is_dir() else []
    if not files:
        print(f"{root}: expected a tree with the folders of the table, found no source file", file=sys.stderr)
        return 2
    problems = [problem for path in files for problem in check_file(root, path)]
    for problem in problems:
        print(problem)
    print(f"{len(files)} files, {len(problems)} violations" if problems else f"{len(files)} files, no violation", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
