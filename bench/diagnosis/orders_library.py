"""Builds the library of examples/workflows the way the build tree builds libraries of workflows, with one file replaced."""

import json
import os
import pathlib
import shlex
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDER = "examples/workflows"
FILES = ("order.cpp", "warehouse.cpp", "comparison.cpp")
MODEL = ROOT / "e2e" / "interop" / "workflows.cpp"  # a library of workflows that the build tree makes
TIMEOUT_S = 300


class Library:
    def __init__(self, build, work, launcher=()):
        """`launcher`: what stands before the compiler, such as ccache."""
        entries = json.loads((build / "compile_commands.json").read_text())
        entry = next((e for e in entries if os.path.realpath(e["file"]) == str(MODEL)), None)
        if entry is None:
            raise SystemExit(f"{build}: expected {MODEL} in compile_commands.json")
        words = shlex.split(entry["command"])
        out = words.index("-o")
        del words[out : out + 2]
        self.words = [word for word in words if os.path.realpath(os.path.join(entry["directory"], word)) != str(MODEL) and word not in ("-c", "-Werror")]
        self.directory, self.launcher, self.work = entry["directory"], list(launcher), work
        self.objects = {}

    def _run(self, words):
        done = subprocess.run(words, cwd=self.directory, capture_output=True, text=True, timeout=TIMEOUT_S)
        if done.returncode != 0:
            raise RuntimeError(f"{shlex.join(words)[:120]}...: {done.stderr[-1500:]}")

    def _compile(self, source, made):
        self._run([*self.launcher, *self.words, "-I", str(ROOT / FOLDER), "-c", str(source), "-o", str(made)])
        return made

    def _plain(self, file):
        if file not in self.objects:
            self.work.mkdir(parents=True, exist_ok=True)
            self.objects[file] = self._compile(ROOT / FOLDER / file, self.work / (file + ".o"))
        return self.objects[file]

    def build(self, folder, changed="", text="", includes=()):
        """The library with `text` in the place of the file `changed`; lines and file name are reported as those of the real one."""
        folder.mkdir(parents=True, exist_ok=True)
        objects = []
        for file in FILES:
            if changed != f"{FOLDER}/{file}":
                objects.append(self._plain(file))
                continue
            copy = folder / file
            before = "".join(f"#include {name}\n" for name in includes)
            copy.write_text(f'{before}#line 1 "{changed}"\n{text}', encoding="utf-8")
            objects.append(self._compile(copy, folder / (file + ".o")))
        library = folder / "liborders.so"
        self._run([self.words[0], "-shared", "-o", str(library), *map(str, objects)])
        return library
