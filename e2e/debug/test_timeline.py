"""The time line's page in a real browser: drawn at once also when it is long, moved by keys, marked where the replay diverges."""

import json
import os
import pathlib
import shutil
import unittest

from debug_harness import HISTORIES, SOURCE, CliTest, lockstep

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
try:
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None

# Where to keep pictures, for people; nowhere when unset.
PICTURES = os.environ.get("LOCKSTEP_PICTURES")


def long_history(events):
    """An open run of some other SDK: one activity after another, a signal now and then."""
    out = []

    def add(kind, attributes, **members):
        second = len(out) // 10
        number = len(out) + 1
        name = kind[0].lower() + kind[1:] + "EventAttributes"
        out.append(
            {
                "eventId": str(number),
                "eventTime": f"2024-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{len(out) % 10}Z",
                "eventType": kind,
                name: attributes,
            }
        )
        return number

    add("WorkflowExecutionStarted", {"workflowType": {"name": "LongRun"}, "taskQueue": {"name": "q"}, "originalExecutionRunId": "r", "firstExecutionRunId": "r"})
    work = 0
    while len(out) < events - 8:
        task = add("WorkflowTaskScheduled", {"taskQueue": {"name": "q"}, "attempt": 1})
        started = add("WorkflowTaskStarted", {"scheduledEventId": str(task)})
        completed = add("WorkflowTaskCompleted", {"scheduledEventId": str(task), "startedEventId": str(started)})
        work += 1
        scheduled = add(
            "ActivityTaskScheduled",
            {"activityId": str(work), "activityType": {"name": f"work{work % 25}"}, "taskQueue": {"name": "q"}, "workflowTaskCompletedEventId": str(completed)},
        )
        begun = add("ActivityTaskStarted", {"scheduledEventId": str(scheduled), "attempt": 1})
        if work % 40 == 0:
            add("WorkflowExecutionSignaled", {"signalName": "poke"})
        add("ActivityTaskCompleted", {"scheduledEventId": str(scheduled), "startedEventId": str(begun)})
    return {"events": out}


@unittest.skipUnless(CHROMIUM and sync_playwright, "needs chromium and playwright, which packages.txt and requirements.txt list")
class Timeline(CliTest):
    @classmethod
    def setUpClass(cls):
        cls.playwright = sync_playwright().start()
        cls.browser = cls.playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.playwright.stop()

    def open(self, path, scheme="light", width=1280, height=800):
        context = self.browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
        self.addCleanup(context.close)
        page = context.new_page()
        self.problems = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.problems.append(message.text))
        page.on("request", lambda request: request.url.startswith("file:") or self.problems.append(request.url))
        page.goto(pathlib.Path(path).as_uri())
        page.wait_for_function("document.documentElement.dataset.painted !== undefined")
        return page

    def picture(self, page, name):
        if PICTURES:
            page.screenshot(path=str(pathlib.Path(PICTURES) / name))

    def page_of(self, *words, code=0, cwd=SOURCE):
        html = self.folder / "timeline.html"
        result = lockstep("trace", *words, "--html", html, "--source", SOURCE, "--no-experiments", cwd=cwd)
        self.assert_code(result, code)
        return html

    def where(self, page):
        return page.inner_text("#where")

    def test_record_in_step_shows_state_at_each_point(self):
        page = self.open(self.page_of("fixtures/histories/diamond"))
        self.assertEqual(page.inner_text("#badge"), "in step")
        self.assertIn("event 1 of 47", self.where(page))
        for _ in range(19):
            page.keyboard.press("ArrowRight")
        self.assertIn("event 20 of 47", self.where(page))
        page.wait_for_timeout(50)
        side = page.inner_text("#side")
        self.assertIn("step/top/1", side)
        self.assertIn("plan_run.cpp:", side)
        self.assertIn("Snapshot at runSeq 3: run RUNNING", side)
        self.assertIn("waits for activity step/top/1", side)
        self.picture(page, "timeline-state.png")
        page.keyboard.press("End")
        page.wait_for_timeout(50)
        self.assertIn("event 47 of 47", self.where(page))
        self.assertIn("run COMPLETED", page.inner_text("#side"))
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("Home")
        self.assertIn("event 1 of 47", self.where(page))
        page.keyboard.press("]")
        self.assertIn("1 of 6 workflow tasks done", self.where(page))
        self.assertEqual(self.problems, [])

    def test_divergence_is_marked_and_shown_first(self):
        history = self.history("diamond")
        for event in history["events"]:
            attributes = event.get("activityTaskScheduledEventAttributes")
            if attributes and attributes["activityId"] == "step/left/1":
                attributes["taskQueue"]["name"] = "another"
                number = event["eventId"]
        page = self.open(self.page_of(self.write_json("diamond.json", history).name, code=1, cwd=self.folder))
        self.assertEqual(page.inner_text("#badge"), "DIVERGED")
        self.assertIn(f"event {number} of", self.where(page))
        side = page.inner_text("#side")
        for part in ("Divergence: payload-only field-changed", "/taskQueue", "expected, from the history", "actual, from this build", "Causes, most likely first", "ungated-change"):
            self.assertIn(part, side)
        self.assertEqual(page.locator(".row.bad").count(), 1)
        self.picture(page, "timeline-divergence.png")
        page.keyboard.press("Home")
        page.keyboard.press("d")
        self.assertIn(f"event {number} of", self.where(page))
        dark = self.open(self.folder / "timeline.html", scheme="dark")
        self.assertEqual(dark.evaluate("document.documentElement.dataset.theme"), "dark")
        self.picture(dark, "timeline-dark.png")
        dark.keyboard.press("t")
        self.assertEqual(dark.evaluate("document.documentElement.dataset.theme"), "light")
        self.assertEqual(self.problems, [])

    def test_two_runs_side_by_side(self):
        page = self.open(self.page_of("fixtures/histories/condition-true", "--against", "fixtures/histories/condition-false", code=1))
        side = page.inner_text("#side")
        self.assertIn("condition-true", side)
        self.assertIn("condition-false", side)
        page.keyboard.press("End")
        page.wait_for_timeout(50)
        self.assertEqual(page.locator("#side .sides > div").count() % 2, 0)
        self.picture(page, "timeline-two-runs.png")
        self.assertEqual(self.problems, [])

    def test_ten_thousand_events_are_painted_within_a_second(self):
        history = long_history(10_000)
        self.assertGreater(len(history["events"]), 9_990)
        page = self.open(self.page_of(self.write_json("long.json", history).name, cwd=self.folder))
        painted = int(page.evaluate("document.documentElement.dataset.painted"))
        first = page.evaluate("performance.getEntriesByName('first-paint').map((entry) => entry.startTime)[0] ?? null")
        # A bound of the specification with room for a busy machine: the page takes about a tenth of it.
        self.assertLess(painted, 1_000, f"painted after {painted} ms")
        if first is not None:
            self.assertLess(first, 1_000)
        print(f"10 000 events: first paint {first} ms, all drawn {painted} ms")
        # Only what is in view exists.
        self.assertLess(page.locator("#list .row").count(), 120)
        took = page.evaluate(
            """() => { const start = performance.now();
                for (let i = 0; i < 200; ++i) document.dispatchEvent(new KeyboardEvent("keydown", { key: "PageDown", bubbles: true }));
                return performance.now() - start; }"""
        )
        self.assertLess(took, 2_000)
        page.wait_for_timeout(100)
        self.assertIn(f"event {len(history['events'])} of", self.where(page))
        page.fill("#find", "poke")
        page.keyboard.press("Enter")
        page.wait_for_timeout(50)
        self.assertIn("WorkflowExecutionSignaled", page.inner_text("#side"))
        page.keyboard.press("Escape")
        page.keyboard.press("+")
        page.keyboard.press("b")
        page.wait_for_timeout(50)
        self.picture(page, "timeline-long.png")
        self.assertEqual(self.problems, [])

    def test_keys_alone_reach_everything(self):
        page = self.open(self.page_of(HISTORIES / "chain"))
        reached = set()
        for _ in range(14):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.id"))
        for name in ("find", "by-time", "theme", "help", "lanes", "range", "list", "side"):
            self.assertIn(name, reached)
        page.focus("#list")
        page.keyboard.press("?")
        self.assertTrue(page.locator("dialog").is_visible())
        page.keyboard.press("Escape")
        self.assertFalse(page.locator("dialog").is_visible())

    def test_damaged_and_hostile_texts_stay_text(self):
        history = long_history(30)
        history["events"][3]["workflowTaskCompletedEventAttributes"]["identity"] = "</script><img src=x onerror=alert(1)>"
        history["events"][4]["activityTaskScheduledEventAttributes"]["activityType"]["name"] = "<b>bold</b>"
        page = self.open(self.page_of(self.write_json("hostile.json", history)))
        page.keyboard.press("End")
        page.wait_for_timeout(50)
        self.assertEqual(page.locator("#side b, img").count(), 0)
        self.assertEqual(self.problems, [])


if __name__ == "__main__":
    unittest.main()
