"""The driver itself: a row that no longer applies, and a replay that says something else, have to be noticed."""

import unittest

import mutants
import run_mutants


def divergence(**members):
    return {
        "kind": "field-changed",
        "grade": "payload-only",
        "stepId": "a",
        "field": "input",
        "source": {"file": "x.cpp", "line": 7},
        **members,
    }


def report(*divergences, grade="payload-only"):
    return {"grade": grade, "divergences": list(divergences)}


EXPECTED = mutants.Expect("chain", mutants.PAYLOAD, "field-changed", "text", step="a", field="input")
PLACE = ("x.cpp", 7)


class Driver(unittest.TestCase):
    def test_a_text_has_to_be_there_exactly_once(self):
        self.assertEqual(run_mutants.only_line_of("a\nb\nc b\n", "c", "f"), 3)
        for marker in ("b", "z"):
            with self.assertRaises(run_mutants.Defect):
                run_mutants.only_line_of("a\nb\nc b\n", marker, "f")

    def test_every_row_applies_to_the_source(self):
        for mutant in mutants.MUTANTS:
            with self.subTest(mutant.name):
                mutated = run_mutants.mutate(mutant)
                self.assertNotEqual(mutated, (run_mutants.ROOT / mutant.file).read_text(encoding="utf-8"))
                for expectation in mutant.expect:
                    run_mutants.expected_line(mutant, expectation, mutated)

    def test_names_are_unique(self):
        names = [mutant.name for mutant in mutants.MUTANTS]
        self.assertEqual(len(names), len(set(names)))

    def test_every_grade_has_a_mutant(self):
        grades = {expectation.grade for mutant in mutants.MUTANTS for expectation in mutant.expect}
        self.assertEqual(grades, {mutants.CHANGING, mutants.PAYLOAD, mutants.DRIFT, mutants.SNAPSHOT})

    def test_what_is_expected_is_no_difference(self):
        self.assertEqual(run_mutants.differences(1, report(divergence()), EXPECTED, PLACE), [])

    def test_the_worst_divergence_decides(self):
        milder = divergence(kind="snapshot-changed", grade="snapshot-only", source={"file": "y.cpp", "line": 1})
        self.assertEqual(run_mutants.differences(1, report(milder, divergence()), EXPECTED, PLACE), [])

    def test_anything_else_is_a_difference(self):
        cases = {
            "survivor": (0, {"divergences": []}),
            "exit code": (0, report(divergence())),
            "grade": (1, report(divergence(grade="drift"), grade="drift")),
            "kind": (1, report(divergence(kind="order-changed"))),
            "step": (1, report(divergence(stepId="b"))),
            "field": (1, report(divergence(field="result"))),
            "line": (1, report(divergence(source={"file": "x.cpp", "line": 8}))),
            "file": (1, report(divergence(source={"file": "y.cpp", "line": 7}))),
            "no source": (1, report(divergence(source=None))),
        }
        for name, (code, found) in cases.items():
            with self.subTest(name):
                self.assertTrue(run_mutants.differences(code, found, EXPECTED, PLACE))


if __name__ == "__main__":
    unittest.main()
