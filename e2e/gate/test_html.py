"""The HTML report in headless Chromium: light and dark, wide and narrow; no console message, no request, nothing wider than the
window, usable by keyboard, no serious finding of axe-core. Pictures are left in the build tree (gate-env/screenshots)."""

import json
import shutil
import struct
import subprocess
import unittest

import support

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REPORT = support.SOURCE / "reports" / "testdata" / "golden" / "report.html"
PROBE = """
<script>%s</script>
<script>
window.addEventListener('load', async function () {
  var out = {};
  try {
    document.querySelectorAll('details').forEach(function (d) { d.open = true; });
    var style = getComputedStyle(document.body);
    out.background = style.backgroundColor; out.color = style.color;
    out.overflow = document.documentElement.scrollWidth - window.innerWidth; out.width = window.innerWidth;
    out.resources = performance.getEntriesByType('resource').map(function (r) { return r.name; });
    out.focusable = document.querySelectorAll('a[href], summary, input:not([hidden]), [tabindex="0"]').length;
    out.filter = (function () {
      var box = document.getElementById('filter'); var all = document.querySelectorAll('[data-text]').length;
      box.value = 'no such text'; box.dispatchEvent(new Event('input'));
      var none = document.querySelectorAll('[data-text]:not([hidden])').length;
      box.value = ''; box.dispatchEvent(new Event('input'));
      return [all, none, document.querySelectorAll('[data-text]:not([hidden])').length];
    })();
    var result = await axe.run(document, {resultTypes: ['violations']});
    out.violations = result.violations.map(function (v) { return v.impact + ' ' + v.id + ' ' + v.nodes.slice(0, 3).map(function (n) { return n.target.join(' '); }).join(', '); });
  } catch (error) { out.error = String(error); }
  var pre = document.createElement('pre'); pre.id = 'probe-result'; pre.textContent = JSON.stringify(out); document.body.appendChild(pre);
});
</script>
"""


class HtmlTest(support.GateTest):
    def chromium(self, width, dark, *words):
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run", f"--user-data-dir={self.folder}/profile", "--force-device-scale-factor=1",
                 "--enable-logging=stderr", "--v=0", f"--window-size={width},1600", f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--virtual-time-budget=20000"]
        done = subprocess.run([CHROMIUM, *flags, *words], cwd=self.folder, capture_output=True, text=True, timeout=120, env=support.clean_environment(HOME=str(self.folder)))
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        self.assertEqual([line for line in done.stderr.splitlines() if "CONSOLE" in line], [])
        return done.stdout

    def probe(self, width, dark):
        axe = (support.TOOLS / "node/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
        page = self.put(self.folder, "page.html", REPORT.read_text(encoding="utf-8").replace("</body>", PROBE % axe.replace("</script", "<\\/script") + "</body>"))
        dom = self.chromium(width, dark, "--dump-dom", page.as_uri())
        text = dom[dom.index('<pre id="probe-result">') + len('<pre id="probe-result">'):]
        return json.loads(text[: text.index("</pre>")].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))

    def test_light_and_dark_wide_and_narrow(self):
        backgrounds = set()
        for width in (1280, 500):
            for dark in (False, True):
                with self.subTest(width=width, dark=dark):
                    found = self.probe(width, dark)
                    self.assertNotIn("error", found)
                    self.assertEqual(found["violations"], [])
                    self.assertEqual(found["resources"], [])
                    self.assertLessEqual(found["overflow"], 0)
                    self.assertGreater(found["focusable"], 10)
                    total, none, again = found["filter"]
                    self.assertGreater(total, 3)
                    self.assertEqual((none, again), (0, total))
                    backgrounds.add(found["background"])
        self.assertEqual(len(backgrounds), 2, "light and dark look different")

    def test_pictures(self):
        folder = support.TOOLS / "screenshots"
        folder.mkdir(exist_ok=True)
        for width in (1280, 400):
            for name, dark in (("light", False), ("dark", True)):
                # Headless windows have a least width: a narrow page is shown in a frame.
                target = REPORT.as_uri()
                if width < 500:
                    target = self.put(self.folder, "frame.html", f'<!DOCTYPE html><html><head><title>x</title><meta name="color-scheme" content="light dark"></head><body style="margin:0"><iframe title="x" src="{target}" '
                                      f'style="border:0;width:{width}px;height:1600px"></iframe></body></html>').as_uri()
                file = folder / f"report-{width}-{name}.png"
                file.unlink(missing_ok=True)
                self.chromium(max(width, 500), dark, f"--screenshot={file}", target)
                data = file.read_bytes()
                self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
                self.assertGreater(struct.unpack(">I", data[20:24])[0], 1000)


if __name__ == "__main__":
    unittest.main()
