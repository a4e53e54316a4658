"""What `cpack` makes: the tarball runs from any folder with nothing of the build machine's libraries, the Debian packages say what
they need. That the package installs on a bare system: test_bare_debian; that workflows are built with it: test_story."""

import re
import shutil
import subprocess
import unittest

import support

PROGRAMS = {"bin/lockstep", "bin/lockstep-tidy", "lib/lockstep/lockstep_tidy_module.so", "lib/lockstep/liblockstep_perturb.so", "share/lockstep/hooks/pre-commit", "share/lockstep/hooks/pre-push",
            "share/lockstep/hooks/install", "share/lockstep/.pre-commit-hooks.yaml", "share/lockstep/github-actions/action.yml", "share/lockstep/github-actions/workflows/lockstep-gate.yml",
            "share/lockstep/github-actions/workflows/lockstep-comment.yml", "share/doc/lockstep/gate.md"}
DEV = {"include/lockstep/engine-core/workflow/wf.h", "include/lockstep/engine-core/authoring/workflow_class.h", "include/lockstep/temporal/api/common/v1/message.pb.h", "lib/lockstep/liblockstep_workflow.a",
       "lib/cmake/Lockstep/LockstepConfig.cmake", "lib/cmake/Lockstep/LockstepConfigVersion.cmake"}


def package(pattern):
    found = list(support.PACKAGES.glob(pattern))
    assert len(found) == 1, f"{support.PACKAGES}: expected one {pattern}, found {found}"
    return found[0]


def field(file, name):
    return support.run(["dpkg-deb", "-f", file, name], support.PACKAGES).stdout.strip()


class PackageTest(support.GateTest):
    def use(self, program):
        """The gate's commands with this program."""
        work = self.folder / "work"
        (work / "plans").mkdir(parents=True)
        shutil.copytree(support.SOURCE / "fixtures/histories/chain", work / "chain")
        shutil.copyfile(support.PLANS / "determinism-plan-uuid/bad_newid.json", work / "plans/p.json")
        run = lambda *words: subprocess.run([str(program), *words], cwd=work, capture_output=True, text=True, timeout=120, env={"PATH": "/usr/bin:/bin", "HOME": str(work)})
        done = run("replay", "chain", "--format", "json", "--out", "replay.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(run("replay", "chain", "--prove").returncode, 0)
        self.assertEqual(run("replay", "chain", "--perturb", "hash,clock").returncode, 0)
        self.assertEqual(run("lint", "plans", "--format", "json", "--out", "lint.json").returncode, 1)
        done = run("report", "replay.json", "lint.json")
        self.assertIn("FAILED", done.stdout)
        self.assertEqual(run("lint", "--explain", "determinism-wall-clock").returncode, 0)

    def test_tarball_runs_from_any_folder(self):
        support.run(["tar", "-xf", package("*.tar.zst"), "-C", self.folder], self.folder)
        top = next(path for path in self.folder.iterdir() if path.name.startswith("lockstep-"))
        moved = self.folder / "some where" / "else"
        moved.parent.mkdir()
        top.rename(moved)
        self.assertEqual([name for name in PROGRAMS | DEV if not (moved / name).exists()], [])
        for program in ("lockstep", "lockstep-tidy"):
            listed = support.run(["ldd", moved / "bin" / program], self.folder).stdout
            self.assertNotIn("not found", listed)
            foreign = [line.strip() for line in listed.splitlines() if "=> /" in line and str(moved) not in line and not re.search(r"\blib(c|m|dl|rt|pthread|resolv)\.so", line)]
            self.assertEqual(foreign, [])
        self.use(moved / "bin" / "lockstep")

    def test_debian_packages_name_their_dependencies(self):
        programs, dev = package("lockstep_*.deb"), package("lockstep-dev_*.deb")
        for name in ("libc6", "libstdc++6", "libgrpc++1.51", "libclang-cpp19", "libclang-common-19-dev", "libsqlite3-0", "git"):
            self.assertIn(name, field(programs, "Depends"))
        version = field(programs, "Version")
        self.assertEqual(field(dev, "Version"), version)
        for name in (f"lockstep (= {version})", "libprotobuf-dev", "libssl-dev"):
            self.assertIn(name, field(dev, "Depends"))
        for file, members, others in ((programs, PROGRAMS, DEV), (dev, DEV, PROGRAMS)):
            root = self.folder / file.stem
            support.run(["dpkg-deb", "-x", file, root], self.folder)
            self.assertEqual([name for name in members if not (root / "usr" / name).exists()], [])
            self.assertEqual([name for name in others if (root / "usr" / name).exists()], [])
        installed = self.folder / programs.stem / "usr"
        self.assertFalse(list((installed / "lib/lockstep").glob("libgrpc*")), "the package brings Debian's libraries along")
        self.use(installed / "bin/lockstep")

    def test_without_the_library_of_perturbations_it_says_so(self):
        root = self.folder / "programs"
        support.run(["dpkg-deb", "-x", package("lockstep_*.deb"), root], self.folder)
        (root / "usr/lib/lockstep/liblockstep_perturb.so").unlink()
        done = support.run([root / "usr/bin/lockstep", "replay", support.SOURCE / "fixtures/histories/chain", "--perturb", "hash"], self.folder, check=False)
        self.assertEqual(done.returncode, 4)
        self.assertRegex(done.stderr, r"^lockstep: PERTURB_CHILD_FAILED: \S+/liblockstep_perturb.so: expected the library of perturbations, found nothing\n$")


if __name__ == "__main__":
    unittest.main()
