"""Damaged and foreign input: exit code 3 and one line that names file and place; never a crash, never something else.

Every bad file is made here from a good one. Several are put in one folder where only the single reports count:
`replay` gives one report a file, however many of them are bad.
"""

import base64
import gzip
import hashlib
import json
import pathlib
import random
import shutil
import subprocess
import unittest

import harness

DEEP = 10_000
OVERSIZED = 300 << 20


def sums(record):
    """Makes SHA256SUMS anew, as if the record had been written like this."""
    lines = []
    for path in sorted(record.rglob("*")):
        if path.is_file() and path.name != "SHA256SUMS":
            lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(record).as_posix()}\n")
    (record / "SHA256SUMS").write_text("".join(lines))


class BadHistory(harness.CliTest):
    def setUp(self):
        super().setUp()
        self.good = (harness.HISTORIES / "chain" / "history.json").read_bytes()

    def refused(self, path, *parts, code=3):
        """Both commands that read histories say it, in one line."""
        for command in ("replay", "inspect"):
            with self.subTest(command=command, file=path.name):
                result = harness.lockstep(command, path)
                self.assert_one_line(result, code, path.name, *parts)

    def test_empty_file(self):
        self.refused(self.write("empty.json", b""), "empty")
        self.refused(self.write("empty.pb", b""), "empty")
        self.refused(self.write("empty.json.gz", gzip.compress(b"")))

    def test_truncated_json_names_the_byte(self):
        for size in (1, 2, 100, len(self.good) // 2, len(self.good) - 3):
            self.refused(self.write(f"cut-{size}.json", self.good[:size]), "byte")

    def test_truncated_binary(self):
        whole = self.convert(harness.HISTORIES / "chain" / "history.json", "whole.pb").read_bytes()
        for size in (1, 100, len(whole) // 2, len(whole) - 1):
            self.refused(self.write(f"cut-{size}.pb", whole[:size]))

    def test_truncated_compressed_data_names_the_byte(self):
        for suffix in ("gz", "zst"):
            whole = self.convert(harness.HISTORIES / "chain" / "history.json", f"whole.json.{suffix}").read_bytes()
            for size in (10, len(whole) // 2, len(whole) - 1):
                self.refused(self.write(f"cut-{size}.json.{suffix}", whole[:size]), "byte", "truncated")

    def test_wrong_types_name_the_place(self):
        def changed(name, change):
            history = self.history()
            change(history)
            return self.write_json(name, history)

        def event(number, member, value):
            return lambda history: history["events"][number].__setitem__(member, value)

        started = "workflowExecutionStartedEventAttributes"
        cases = {
            "events-text": (lambda history: history.__setitem__("events", "x"), "/events"),
            "events-number": (lambda history: history.__setitem__("events", 7), "/events"),
            "event-list": (lambda history: history["events"].__setitem__(2, []), "/events/2"),
            "event-null": (lambda history: history["events"].__setitem__(2, None), "/events/2"),
            "id-object": (event(0, "eventId", {"a": 1}), "/events/0/eventId"),
            "id-text": (event(0, "eventId", "first"), "/events/0/eventId"),
            "id-fraction": (event(0, "eventId", 1.5), "/events/0/eventId"),
            "time-number": (event(3, "eventTime", 12), "/events/3/eventTime"),
            "time-text": (event(3, "eventTime", "yesterday"), "/events/3/eventTime"),
            "attributes-list": (event(0, started, []), f"/events/0/{started}"),
            "attributes-text": (event(0, started, "x"), f"/events/0/{started}"),
            "type-list": (event(1, "eventType", []), "/events/1/eventType"),
            "flag-text": (event(1, "workerMayIgnore", "perhaps"), "/events/1/workerMayIgnore"),
            "task-id-bool": (event(1, "taskId", True), "/events/1/taskId"),
            "type-in-list": (
                lambda history: history["events"][0][started].__setitem__("workflowType", ["runPlanWorkflow"]),
                f"/events/0/{started}/workflowType",
            ),
            "payload-not-base64": (
                lambda history: history["events"][0][started]["input"]["payloads"][0].__setitem__("data", "%%%"),
                f"/events/0/{started}/input/payloads/0/data",
            ),
        }
        for name, (change, pointer) in cases.items():
            self.refused(changed(f"{name}.json", change), pointer)

    def test_documents_that_are_no_history(self):
        for name, text in {
            "text": '"hello"',
            "number": "42",
            "null": "null",
            "object": "{}",
            "other": '{"name": "x", "items": []}',
            "words": "this is not json",
            "html": "<!doctype html><p>Not found",
            "two-commas": '{"events":[,,]}',
            "trailing": self.good.decode() + "}",
        }.items():
            self.refused(self.write(f"{name}.json", text))

    def test_deep_nesting_is_refused(self):
        cases = {
            "lists": "[" * DEEP + "]" * DEEP,
            "objects": '{"a":' * DEEP + "1" + "}" * DEEP,
            "unknown-member": '{"events":[{"eventId":"1","later":' + "[" * DEEP + "]" * DEEP + "}]}",
            "memo": '{"events":[{"eventId":"1","workflowExecutionStartedEventAttributes":{"memo":{"fields":{"x":'
            + '{"a":' * DEEP
            + "1"
            + "}" * DEEP
            + "}}}}]}",
            "failure": '{"events":[{"eventId":"1","workflowExecutionFailedEventAttributes":{"failure":'
            + '{"cause":' * DEEP
            + "{}"
            + "}" * DEEP
            + "}}]}",
            "never-closed": '{"events":' + "[" * DEEP,
        }
        for name, text in cases.items():
            self.refused(self.write(f"{name}.json", text))
        # The same in the binary form: events (1), workflow_execution_failed_event_attributes (8), failure (1), and in
        # it `cause` again and again.
        nested = b""
        for _ in range(DEEP):
            nested = b"\x22" + varint(len(nested)) + nested  # temporal.api.failure.v1.Failure.cause = 4
        self.refused(self.write("failure.pb", field(1, field(8, field(1, nested)))))

    def test_oversized_files_are_refused_unread(self):
        for name in ("big.json", "big.pb"):
            path = self.folder / name
            with open(path, "wb") as file:
                file.truncate(OVERSIZED)
            self.refused(path, "FILE_TOO_LARGE")
            path.unlink()

    def test_what_decompresses_to_too_much_is_refused(self):
        block = gzip.compress(b" " * (64 << 20), 6)
        self.refused(self.write("bomb.json.gz", block * 6), "FILE_TOO_LARGE")
        zstd = shutil.which("zstd")
        self.assertIsNotNone(zstd, "zstd is in packages.txt")
        packed = subprocess.run(
            [zstd, "-q", "-c", "-1"], input=b" " * (64 << 20), capture_output=True, check=True
        ).stdout
        self.refused(self.write("bomb.json.zst", packed * 6), "FILE_TOO_LARGE")

    def test_text_that_is_not_utf8_is_refused(self):
        for number, (old, new) in enumerate(
            {
                b"runPlanWorkflow": b"runPlan\xff\xfeflow",
                b'"eventId"': b'"event\xc3\x28"',
                b"executeStep": b"execute\xed\xa0\x80p",
            }.items()
        ):
            self.assertIn(old, self.good)
            self.refused(self.write(f"latin-{number}.json", self.good.replace(old, new, 1)))
        self.refused(self.write("utf16.json", self.good.decode().encode("utf-16")))

    def test_events_that_do_not_fit_together_name_the_event(self):
        def without(number):
            history = self.history()
            del history["events"][number]
            return history

        def doubled(number):
            history = self.history()
            history["events"].insert(number, history["events"][number])
            return history

        def reordered():
            history = self.history()
            history["events"][4], history["events"][5] = history["events"][5], history["events"][4]
            return history

        def dangling():
            history = self.history()
            for entry in history["events"]:
                if entry["eventType"] == "EVENT_TYPE_ACTIVITY_TASK_COMPLETED":
                    entry["activityTaskCompletedEventAttributes"]["scheduledEventId"] = "9999"
                    return history
            raise AssertionError("no activity completed")

        cases = {
            "without-3": without(2),
            "without-first": without(0),
            "doubled": doubled(6),
            "reordered": reordered(),
            "dangling": dangling(),
            "no-events": {"events": []},
        }
        for name, history in cases.items():
            path = self.write_json(f"{name}.json", history)
            result = harness.lockstep("replay", path)
            self.assert_one_line(result, 3, path.name, "HISTORY_CORRUPT", "expected")
            # `inspect` shows the same as its result: finding problems is what it is for.
            shown = harness.lockstep("inspect", path, "--format", "json")
            self.assert_code(shown, 3)
            self.assertTrue(shown.json["problems"], name)

    def test_another_workflow_type_is_named(self):
        for path in sorted(harness.TESTDATA.glob("*.cli.json")):
            with self.subTest(path.name):
                result = harness.lockstep("replay", path)
                self.assert_one_line(result, 3, path.name, "WORKFLOW_TYPE_UNKNOWN", "runPlanWorkflow")

    def test_flipped_bits_never_crash_and_never_pass_as_something_else(self):
        """A flip does not matter, is a difference, or is refused by one line; a damaged archive is always refused."""
        source = harness.HISTORIES / "chain" / "history.json"
        rng = random.Random(20240131)
        for name in ("whole.json", "whole.pb", "whole.json.gz", "whole.json.zst"):
            whole = self.convert(source, name).read_bytes()
            stem, _, suffix = name.partition(".")
            flips = self.folder / suffix.replace(".", "-")
            for number in range(60):
                damaged = bytearray(whole)
                # Not the header of an archive: a flip in a time stamp or a name there damages nothing.
                at = rng.randrange(16 if suffix.startswith("json.") else 0, len(damaged))
                damaged[at] ^= 1 << rng.randrange(8)
                self.write(f"{flips.name}/{number:02}-byte-{at}.{suffix}", bytes(damaged))
            result = harness.lockstep("replay", flips, "--format", "json")
            self.assertIn(result.code, (0, 1, 3), str(result))
            histories = result.json["histories"]
            self.assertEqual(len(histories), 60)
            refused = [entry for entry in histories if entry["verdict"] == "UNREADABLE"]
            self.assertEqual(len(result.err_lines), len(refused), str(result))
            for entry in refused:
                self.assertIn(pathlib.PurePath(entry["path"]).name, entry["error"]["message"])
                self.assertNotIn("\n", entry["error"]["message"])
            if suffix.startswith("json."):
                self.assertEqual([entry["path"] for entry in histories if entry["verdict"] != "UNREADABLE"], [])
            self.assertIn(harness.lockstep("inspect", flips, "--format", "json").code, (0, 3))

    def test_noise_is_refused(self):
        rng = random.Random(7)
        for number in range(20):
            self.write(f"noise/{number}.json", rng.randbytes(rng.randrange(1, 4000)))
            self.write(f"noise/{number}.pb", rng.randbytes(rng.randrange(1, 4000)))
        result = harness.lockstep("replay", self.folder / "noise", "--format", "json")
        self.assert_code(result, 3)
        self.assertEqual(result.json["totals"]["unreadable"], 40)
        self.assertEqual(len(result.err_lines), 40)

    def test_standard_input_is_checked_alike(self):
        result = harness.lockstep("replay", "-", stdin=self.good[:2000])
        self.assert_one_line(result, 3, "-: byte 2000")
        self.assert_one_line(harness.lockstep("inspect", "-", stdin=b""), 3, "-: byte 0")

    def test_good_histories_are_still_replayed_beside_bad_ones(self):
        self.write("a/bad.json", self.good[:1000])
        self.write("b/good.json", self.good)
        result = harness.lockstep("replay", self.folder / "a", self.folder / "b", "--format", "json")
        self.assert_one_line(result, 3, "bad.json")
        self.assertEqual([entry["verdict"] for entry in result.json["histories"]], ["UNREADABLE", "IDENTICAL"])
        self.assertEqual(result.json["verdict"], "UNREADABLE")


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


class BadRecord(harness.CliTest):
    def refused(self, record, *parts):
        self.assert_one_line(harness.lockstep("replay", record), 3, record.name, *parts)

    def manifest(self, record, **members):
        path = record / "manifest.json"
        manifest = json.loads(path.read_text(encoding="utf-8"))
        manifest.update(members)
        path.write_text(json.dumps(manifest), encoding="utf-8")
        sums(record)

    def test_a_changed_byte_in_any_file_breaks_its_sum(self):
        names = [
            path.relative_to(harness.HISTORIES / "chain").as_posix()
            for path in (harness.HISTORIES / "chain").rglob("*")
            if path.is_file()
        ]
        self.assertGreater(len(names), 6)
        for name in names:
            if name == "SHA256SUMS":
                continue
            record = self.copy_record("chain", "changed-" + name.replace("/", "-"))
            data = bytearray((record / name).read_bytes())
            data[len(data) // 2] ^= 1
            (record / name).write_bytes(data)
            with self.subTest(name):
                self.refused(record, "RECORD_CORRUPT", name, "sha256")

    def test_a_missing_file_is_named(self):
        for name in ("plan.json", "history.json", "events.jsonl", "commands.jsonl", "input.json"):
            record = self.copy_record("chain", "without-" + name)
            (record / name).unlink()
            with self.subTest(name):
                self.refused(record, "RECORD_CORRUPT", name, "missing")

    def test_an_unlisted_file_is_named(self):
        record = self.copy_record("chain")
        (record / "extra.txt").write_text("left behind")
        self.refused(record, "RECORD_CORRUPT", "extra.txt", "SHA256SUMS")

    def test_sums_that_are_missing_or_malformed(self):
        for name, text in {
            "none": None,
            "words": "no sums here\n",
            "outside": "0" * 64 + "  ../../etc/passwd\n",
            "short": "abc  plan.json\n",
        }.items():
            record = self.copy_record("chain", f"sums-{name}")
            if text is None:
                (record / "SHA256SUMS").unlink()
            else:
                (record / "SHA256SUMS").write_text(text)
            with self.subTest(name):
                self.refused(record, "SHA256SUMS")

    def test_a_plan_whose_digest_differs(self):
        record = self.copy_record("chain", "other-plan")
        plan = record / "plan.json"
        plan.write_text(plan.read_text(encoding="utf-8").replace("1.0.0", "1.0.1"), encoding="utf-8")
        sums(record)
        self.refused(record, "RECORD_CORRUPT", "plan.json", "sha256")
        record = self.copy_record("chain", "other-digest")
        self.manifest(record, planSha256="0" * 64)
        self.refused(record, "plan.json", "0" * 64)

    def test_a_history_of_another_plan(self):
        record = self.copy_record("chain")
        shutil.copyfile(harness.HISTORIES / "diamond" / "history.json", record / "history.json")
        sums(record)
        self.refused(record, "RECORD_CORRUPT", "history.json")

    def test_a_chain_with_a_lost_or_doubled_execution(self):
        for name, files in {
            "lost": ["history.json", "history.3.json"],
            "doubled": ["history.json", "history.json"],
            "swapped": ["history.2.json", "history.json"],
        }.items():
            record = self.copy_record("rotation-250", name)
            self.manifest(record, histories=files)
            with self.subTest(name):
                self.refused(record, "RECORD_CORRUPT")

    def test_a_manifest_that_is_no_manifest(self):
        cases = {
            "version-2": {"formatVersion": 2},
            "version-text": {"formatVersion": "1"},
            "no-list": {"histories": "history.json"},
            "empty-list": {"histories": []},
            "number": {"histories": [1]},
            "outside": {"histories": ["../chain/history.json"]},
            "parent": {"histories": [".."]},
            "absent": {"histories": ["history.9.json"]},
        }
        for name, members in cases.items():
            record = self.copy_record("chain", f"manifest-{name}")
            self.manifest(record, **members)
            with self.subTest(name):
                self.refused(record)
        for name, text in {"empty": "", "list": "[]", "words": "hello", "cut": '{"formatVersion": 1'}.items():
            record = self.copy_record("chain", f"manifest-{name}")
            (record / "manifest.json").write_text(text)
            sums(record)
            with self.subTest(name):
                self.refused(record, "manifest.json")

    def test_files_inside_that_are_malformed_name_file_and_line(self):
        cases = {
            "events.jsonl": '{"eventId": 1}\n',
            "commands.jsonl": '{"history": 1}\nnot json\n',
            "input.json": "{",
            "history.json": '{"events": 1}',
        }
        for name, text in cases.items():
            record = self.copy_record("chain", f"malformed-{name}")
            (record / name).write_text(text)
            sums(record)
            with self.subTest(name):
                self.refused(record, name)
        record = self.copy_record("chain", "malformed-snapshot")
        (record / "snapshots" / "last.json").write_text("{}")
        sums(record)
        self.refused(record, "last.json")

    def test_the_input_of_a_run_that_is_no_plan_run(self):
        """The right workflow type with another input: this build fails such a run, the history shows another end."""
        history = self.history()
        payload = history["events"][0]["workflowExecutionStartedEventAttributes"]["input"]["payloads"][0]
        payload["data"] = base64.b64encode(b'{"planRef": 7}').decode()
        result = harness.lockstep("replay", self.write_json("other-input.json", history), "--format", "json")
        self.assert_code(result, 1)
        self.assertEqual(result.json["histories"][0]["grade"], "command-changing")


if __name__ == "__main__":
    unittest.main()
