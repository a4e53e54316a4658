"""What instruction_counts.py makes of counts, without counting."""

import unittest

import instruction_counts as counts

BUILT = {"compiler": "Clang 19", "flags": "-O2"}


def judge(factor, built_with=None, yardstick=100.0, names=("parse", "replay")):
    kept = {"toolchain": BUILT, "cases": {"parse": 1000.0, "replay": 2000.0, counts.YARDSTICK: 100.0}}
    found = {name: kept["cases"].get(name, 1.0) for name in names}
    found["parse"] *= factor
    found[counts.YARDSTICK] = yardstick
    return counts.judge(kept, found, built_with or BUILT)


class Judge(unittest.TestCase):
    def test_a_rise_of_over_three_percent_fails_and_is_named(self):
        lines, risen = judge(1.031)
        self.assertTrue(risen)
        self.assertEqual([line.split()[0] for line in lines if "RISEN" in line], ["parse"])

    def test_smaller_rises_and_falls_pass(self):
        for factor in (1.029, 1.0, 0.5):
            self.assertFalse(judge(factor)[1], factor)

    def test_other_flags_are_named_and_only_large_rises_count(self):
        other = {**BUILT, "flags": "-O1"}
        lines, risen = judge(1.2, other)
        self.assertFalse(risen)
        self.assertIn("flags differs: recorded with -O2, built with -O1", lines)
        self.assertTrue(judge(1.3, other)[1])

    def test_elsewhere_counts_are_scaled_by_the_yardstick(self):
        other = {**BUILT, "compiler": "GCC 12"}
        kept = {"toolchain": BUILT, "cases": {"parse": 1000.0, counts.YARDSTICK: 100.0}}
        self.assertFalse(counts.judge(kept, {"parse": 2100.0, counts.YARDSTICK: 200.0}, other)[1])
        self.assertTrue(counts.judge(kept, {"parse": 2100.0, counts.YARDSTICK: 100.0}, other)[1])

    def test_the_yardstick_itself_never_fails(self):
        self.assertFalse(judge(1.0, yardstick=150.0)[1])

    def test_a_case_that_is_new_or_gone_fails(self):
        self.assertTrue(judge(1.0, names=("parse",))[1])
        self.assertTrue(judge(1.0, names=("parse", "replay", "more"))[1])


if __name__ == "__main__":
    unittest.main()
