"""What `cpack` makes: the tarball runs from any folder with nothing of the build machine's libraries, the Debian package says what
it needs. With LOCKSTEP_BARE_ROOT set, the package is also installed into a bare Debian 12 made by debootstrap, and the gate runs
there (minutes; `ctest -L packages` after configuring with -DLOCKSTEP_BARE_ROOT_TEST=ON)."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

import support

MEMBERS = {"bin/lockstep", "bin/lockstep-tidy", "lib/lockstep/lockstep_tidy_module.so", "share/lockstep/hooks/pre-commit", "share/lockstep/hooks/install", "share/lockstep/.pre-commit-hooks.yaml",
           "share/lockstep/github-actions/action.yml", "share/lockstep/github-actions/workflows/lockstep-gate.yml", "share/doc/lockstep/gate.md"}


def pack(generator):
    out = support.BUILD / "packages"
    support.run(["cpack", "-G", generator, "-B", out], support.BUILD)
    return max(out.glob({"TGZ": "*.tar.gz", "DEB": "*.deb"}[generator]), key=lambda file: file.stat().st_mtime)


class PackageTest(support.GateTest):
    def use(self, program, prefix=()):
        """The gate's commands with this program."""
        work = self.folder / "work"
        (work / "plans").mkdir(parents=True)
        shutil.copytree(support.SOURCE / "fixtures/histories/chain", work / "chain")
        shutil.copyfile(support.PLANS / "determinism-plan-uuid/bad_newid.json", work / "plans/p.json")
        run = lambda *words: subprocess.run([*prefix, str(program), *words], cwd=work, capture_output=True, text=True, timeout=120, env={"PATH": "/usr/bin:/bin", "HOME": str(work)})
        done = run("replay", "chain", "--format", "json", "--out", "replay.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(run("replay", "chain", "--prove").returncode, 0)
        self.assertEqual(run("lint", "plans", "--format", "json", "--out", "lint.json").returncode, 1)
        done = run("report", "replay.json", "lint.json")
        self.assertIn("FAILED", done.stdout)
        self.assertEqual(run("lint", "--explain", "determinism-wall-clock").returncode, 0)

    def test_tarball_runs_from_any_folder(self):
        file = pack("TGZ")
        support.run(["tar", "-xzf", file, "-C", self.folder], self.folder)
        top = next(path for path in self.folder.iterdir() if path.name.startswith("lockstep-"))
        moved = self.folder / "some where" / "else"
        moved.parent.mkdir()
        top.rename(moved)
        self.assertEqual([name for name in MEMBERS if not (moved / name).exists()], [])
        for program in ("lockstep", "lockstep-tidy"):
            listed = support.run(["ldd", moved / "bin" / program], self.folder).stdout
            self.assertNotIn("not found", listed)
            foreign = [line.strip() for line in listed.splitlines() if "=> /" in line and str(moved) not in line and not re.search(r"\blib(c|m|dl|rt|pthread|resolv)\.so", line)]
            self.assertEqual(foreign, [])
        self.use(moved / "bin" / "lockstep")

    def test_debian_package_names_its_dependencies(self):
        file = pack("DEB")
        depends = support.run(["dpkg-deb", "-f", file, "Depends"], self.folder).stdout
        for name in ("libc6", "libstdc++6", "libgrpc++1.51", "libclang-cpp19", "libclang-common-19-dev", "libsqlite3-0", "git"):
            self.assertIn(name, depends)
        support.run(["dpkg-deb", "-x", file, self.folder / "root"], self.folder)
        self.assertEqual([name for name in MEMBERS if not (self.folder / "root/usr" / name).exists()], [])
        self.assertFalse(list((self.folder / "root/usr/lib/lockstep").glob("libgrpc*")), "the package brings Debian's libraries along")
        self.use(self.folder / "root/usr/bin/lockstep")

    @unittest.skipUnless(os.environ.get("LOCKSTEP_BARE_ROOT"), "needs -DLOCKSTEP_BARE_ROOT_TEST=ON: installs a Debian of its own")
    def test_the_gate_runs_on_a_bare_debian(self):
        file = pack("DEB")
        root = self.folder / "root"
        run = lambda *words: subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=900, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"})
        made = run("debootstrap", "--variant=minbase", "bookworm", root)
        self.assertEqual(made.returncode, 0, made.stdout[-2000:] + made.stderr[-2000:])
        shutil.copyfile(file, root / "tmp" / file.name)
        for name in ("/etc/resolv.conf", "/etc/apt/sources.list.d/debian.sources"):
            if pathlib.Path(name).exists():
                shutil.copyfile(name, str(root) + name)
        if (root / "etc/apt/sources.list.d/debian.sources").exists():
            (root / "etc/apt/sources.list").unlink(missing_ok=True)
        for words in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", f"/tmp/{file.name}"]):
            done = run("chroot", root, *words)
            self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr[-2000:])
        work = root / "work"
        (work / "plans").mkdir(parents=True)
        shutil.copytree(support.SOURCE / "fixtures/histories/chain", work / "fixtures/histories/chain")
        shutil.copyfile(support.PLANS / "determinism-plan-uuid/good_run_id.json", work / "plans/p.json")
        (work / "flow.cpp").write_text('#include <ctime>\n[[clang::annotate("lockstep::activity")]] void Act(long);\n[[clang::annotate("lockstep::workflow")]] void Flow() { Act(std::time(nullptr)); }\n')
        (work / "compile_commands.json").write_text('[{"directory": "/work", "file": "flow.cpp", "arguments": ["clang++", "-std=c++20", "-c", "flow.cpp"]}]')
        for script, code in (("lockstep replay --prove fixtures/histories", 0), ("lockstep replay fixtures/histories --format json --out r.json", 0), ("lockstep lint plans --format json --out l.json", 0),
                             ("lockstep report r.json l.json | grep -q ': PASSED'", 0), ("git init -q . && /usr/share/lockstep/hooks/install && git add plans fixtures && git -c user.name=t -c user.email=t@e commit -qm x", 0)):
            done = run("chroot", root, "sh", "-c", "cd /work && " + script)
            self.assertEqual(done.returncode, code, script + "\n" + done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
