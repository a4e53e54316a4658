"""The HTML report in headless Chromium: light and dark, at 1280 and 400 pixels; no console message, no request, nothing wider than
the window, usable by keyboard alone, no serious finding of axe-core. Pictures are left in the build tree (gate-env/screenshots)."""

import itertools
import shutil
import unittest

import support
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REPORT = support.SOURCE / "reports" / "testdata" / "golden" / "report.html"
VIEWS = list(itertools.product((1280, 400), ("light", "dark")))


class HtmlTest(support.GateTest):
    @classmethod
    def setUpClass(cls):
        cls.playwright = sync_playwright().start()
        cls.browser = cls.playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.playwright.stop()

    def open(self, width, scheme, path=REPORT):
        context = self.browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True)
        self.addCleanup(context.close)
        page = context.new_page()
        self.problems = []
        page.on("console", lambda message: self.problems.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: request.url == path.as_uri() or request.url.startswith("data:") or self.problems.append(request.url))
        page.goto(path.as_uri())
        return page

    def test_light_and_dark_wide_and_narrow(self):
        axe = (support.TOOLS / "node/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
        pictures = support.TOOLS / "screenshots"
        pictures.mkdir(exist_ok=True)
        backgrounds = set()
        for width, scheme in VIEWS:
            with self.subTest(width=width, scheme=scheme):
                page = self.open(width, scheme)
                page.screenshot(path=str(pictures / f"report-{width}-{scheme}.png"), full_page=True)
                page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
                self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"), 0)
                page.screenshot(path=str(pictures / f"report-{width}-{scheme}-open.png"), full_page=True)
                page.evaluate(axe)
                found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
                self.assertEqual([f"{row['impact']} {row['id']}: " + ", ".join(str(node["target"]) for node in row["nodes"][:3]) for row in found], [])
                backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
                self.assertEqual(self.problems, [])
        self.assertEqual(len(backgrounds), 2, "light and dark look different")

    def test_axe_would_find_something(self):
        page = self.open(1280, "light", self.put(self.folder, "bad.html", "<!DOCTYPE html><title>x</title><body><img src='data:,'><p style='color:#eee;background:#fff'>pale</p>"))
        page.evaluate((support.TOOLS / "node/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8"))
        found = {row["id"] for row in page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]}
        self.assertLessEqual({"color-contrast", "html-has-lang", "image-alt"}, found)

    def test_everything_is_reached_and_worked_by_keyboard(self):
        page = self.open(1280, "light")
        # The first stop jumps over the head of the page.
        page.keyboard.press("Tab")
        self.assertEqual(page.evaluate("document.activeElement.className"), "skip")
        page.keyboard.press("Enter")
        self.assertEqual(page.evaluate("location.hash"), "#content")
        page = self.open(1280, "light")
        stops = page.evaluate("""[...document.querySelectorAll('a[href], summary, input, [tabindex="0"]')].filter(e => e.checkVisibility()).length""")
        self.assertGreater(stops, 10)
        seen = 0
        for _ in range(stops):
            page.keyboard.press("Tab")
            box = page.evaluate("""(() => { const e = document.activeElement; const s = getComputedStyle(e);
                                   if (e === document.body || e.dataset.seen) return null; e.dataset.seen = 1;
                                   return [e.tagName, s.outlineStyle, parseFloat(s.outlineWidth)]; })()""")
            self.assertIsNotNone(box, "a stop that is nothing, or twice the same")
            seen += 1
            if box[0] != "A" or seen > 1:
                self.assertNotEqual(box[1], "none", f"the focus of {box[0]} is not to be seen")
                self.assertGreaterEqual(box[2], 2)
        # A closed entry opens with a key.
        page.evaluate("document.querySelector('details:not([open]) > summary').focus()")
        page.keyboard.press("Enter")
        self.assertTrue(page.evaluate("document.activeElement.parentElement.open"))
        # The filter hides what does not match, says how much is left, and lets it come back.
        entries = page.evaluate("document.querySelectorAll('[data-text]').length")
        self.assertGreater(entries, 3)
        shown = "document.querySelectorAll('[data-text]:not([hidden])').length"
        page.focus("#filter")
        page.keyboard.type("no such text")
        self.assertEqual(page.evaluate(shown), 0)
        self.assertEqual(page.inner_text("#shown"), f"0 of {entries} entries")
        for _ in range(len("no such text")):
            page.keyboard.press("Backspace")
        self.assertEqual(page.evaluate(shown), entries)
        self.assertEqual(self.problems, [])

    def test_without_scripts_everything_is_there(self):
        context = self.browser.new_context(java_script_enabled=False, viewport={"width": 400, "height": 900})
        self.addCleanup(context.close)
        page = context.new_page()
        page.goto(REPORT.as_uri())
        self.assertFalse(page.is_visible("#filter"), "a filter that would do nothing")
        self.assertTrue(page.is_visible("main details summary"))


if __name__ == "__main__":
    unittest.main()
