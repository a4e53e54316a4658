"""The Debian package on a bare Debian 12 root made by debootstrap: it installs with what it says it needs, and the steps of the
action run there, good and bad."""

import os
import pathlib
import shutil
import subprocess
import unittest

import support

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root", "LC_ALL": "C.UTF-8"}
SOURCES = pathlib.Path("/etc/apt/sources.list.d/debian.sources")
FLOW = """extern "C" long time(long*);
[[clang::annotate("lockstep::activity")]] void Act(long);
[[clang::annotate("lockstep::workflow")]] void Flow() { Act(time(nullptr)); }
"""


@unittest.skipUnless(os.geteuid() == 0, "debootstrap needs root")
class BareDebianTest(support.GateTest):
    def setUp(self):
        super().setUp()
        self.root = self.folder / "debian"
        # Packages are kept in the build tree: the next time only what is new is fetched.
        self.cache = support.BUILD / "gate-debian"
        self.cache.mkdir(exist_ok=True)
        for attempt in (1, 2, 3):
            made = self.host("debootstrap", f"--cache-dir={self.cache}", "--variant=minbase", "bookworm", self.root)
            if made.returncode == 0:
                break
            shutil.rmtree(self.root, ignore_errors=True)
        self.assertEqual(made.returncode, 0, made.stdout[-2000:] + made.stderr[-2000:])
        # The mirrors of this machine, if it says which.
        if SOURCES.exists():
            shutil.copyfile(SOURCES, str(self.root) + str(SOURCES))
            (self.root / "etc/apt/sources.list").unlink(missing_ok=True)
        shutil.copyfile("/etc/resolv.conf", self.root / "etc/resolv.conf")
        # Half of the time would go into waiting for the disk.
        self.put(self.root, "etc/dpkg/dpkg.cfg.d/unsafe-io", "force-unsafe-io\n")
        self.put(self.root, "etc/apt/apt.conf.d/quiet", 'Acquire::Retries "3";\nAPT::Install-Recommends "false";\nDpkg::Use-Pty "false";\n')
        archives = self.root / "var/cache/apt/archives"
        for file in self.cache.glob("*.deb"):
            if not (archives / file.name).exists():
                os.link(file, archives / file.name) if file.stat().st_dev == archives.stat().st_dev else shutil.copyfile(file, archives / file.name)
        updated = self.host("chroot", self.root, "apt-get", "update", "-q")
        self.assertEqual(updated.returncode, 0, updated.stdout[-2000:] + updated.stderr[-2000:])

    def host(self, *words):
        return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=600, env=ENVIRONMENT)

    def gate(self, **inputs):
        folder = self.root / "tmp/runner"
        folder.mkdir(exist_ok=True)
        # A root that nothing was booted in has no /proc, by which a program finds itself to run again under other conditions.
        return support.Runner(self.work, folder, {"perturb": "", **inputs}, {"sha": "c" * 40}, {"GITHUB_REPOSITORY": "acme/pipelines", "GITHUB_SERVER_URL": "https://github.com", **ENVIRONMENT}, root=self.root).run()

    def test_the_package_installs_and_the_gate_runs(self):
        self.work = self.root / "work"
        self.work.mkdir()
        package = next(support.PACKAGES.glob("lockstep_*.deb"))
        shutil.copyfile(package, self.work / "lockstep.deb")
        self.copy_record(self.work, "chain")
        self.copy_plan(self.work, "uuid", "good_run_id", "plans/orders.json")
        runner = self.gate(install="lockstep.deb", lint="plans")
        for file in (self.root / "var/cache/apt/archives").glob("*.deb"):
            if not (self.cache / file.name).exists():
                shutil.copyfile(file, self.cache / file.name)
        self.assertFalse(runner.failed, runner.log)
        self.assertEqual(runner.outputs["verdict"], "PASSED")
        self.assertIn("1 of 1 injected divergences caught", runner.log)
        self.assertEqual(self.host("chroot", self.root, "dpkg", "--audit").stdout, "")

        # The analyzer of C++ works with what the package brought along, and the gate fails where it should.
        self.put(self.work, "flow.cpp", FLOW)
        self.put(self.work, "build/compile_commands.json", [{"directory": "/work", "file": "flow.cpp", "arguments": ["clang++", "-std=c++20", "-c", "flow.cpp"]}])
        runner = self.gate(lint="plans flow.cpp", build="build")
        self.assertTrue(runner.failed)
        self.assertEqual(runner.outputs["verdict"], "FAILED", runner.log)
        self.assertIn("determinism-wall-clock", (self.work / runner.outputs["report"]).read_text(encoding="utf-8"))
        self.assertIn("::error file=flow.cpp,line=3", runner.log)

        # So does the hook.
        script = "cd /work && git init -q . && /usr/share/lockstep/hooks/install && git add -A && git -c user.name=t -c user.email=t@example.com commit -qm x"
        done = self.host("chroot", self.root, "sh", "-c", script)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("flow.cpp:3", done.stderr)
        (self.work / "flow.cpp").write_text(FLOW.replace("time(nullptr)", "1"))
        done = self.host("chroot", self.root, "sh", "-c", script)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
