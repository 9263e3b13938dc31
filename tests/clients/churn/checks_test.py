"""The checks find what they are there for."""

import unittest
from types import SimpleNamespace

import checks


def member(name, *events, records=(), silent=(), instance=None):
    made = [{"t": t, "e": kind, **more} for t, kind, more in events]
    silent = [list(span) for span in silent]
    return SimpleNamespace(name=name, instance=instance, events=made, records=list(records), silent=silent)


def assigned(t, *partitions, **more):
    return t, "assigned", {"partitions": list(partitions), **more}


def revoked(t, *partitions):
    return t, "revoked", {"partitions": list(partitions)}


class Checks(unittest.TestCase):
    def test_a_partition_is_owned_twice_if_spans_overlap(self):
        one = member("one", assigned(1, 0, 1), revoked(5, 0))
        self.assertEqual(checks.owned_twice([one, member("two", assigned(6, 0))]), [])
        wrong = checks.owned_twice([one, member("two", assigned(4, 0))])
        self.assertEqual(len(wrong), 1)
        self.assertIn("partition 0", wrong[0])
        self.assertEqual(len(checks.owned_twice([one, member("two", assigned(9, 1))])), 1)

    def test_a_short_span_does_not_hide_a_long_one(self):
        long = member("long", assigned(1, 0))
        short = member("short", assigned(2, 0), revoked(3, 0))
        late = member("late", assigned(9, 0))
        self.assertEqual(len(checks.owned_twice([long, short, late])), 2)

    def test_who_is_stopped_owns_nothing_until_it_knows(self):
        stopped = member("s", assigned(1, 0), revoked(12, 0), assigned(14, 1), silent=[(3, 10)])
        other = member("o", assigned(8, 0))
        self.assertEqual(checks.owned_twice([stopped, other]), [])
        self.assertEqual(len(checks.owned_twice([stopped, member("o", assigned(2, 0))])), 1)
        self.assertEqual(len(checks.owned_twice([stopped, member("o", assigned(15, 1))])), 1)

    def test_owners_are_counted_by_generation(self):
        one = member("one", assigned(1, 0, generation=1), assigned(3, 1, generation=2))
        apart = member("two", assigned(2, 1, generation=1))
        self.assertEqual(checks.owned_twice_in_a_generation([one, apart]), [])
        twice = member("two", assigned(3, 0, generation=2))
        self.assertEqual(len(checks.owned_twice_in_a_generation([one, twice])), 1)
        again = [member(name, assigned(3, 0, generation=2), instance="i") for name in ("two", "three")]
        self.assertEqual(checks.owned_twice_in_a_generation(again), [])

    def test_every_record_is_processed_as_it_was_produced(self):
        one = member("one", records=[(1, 0, 0, "a"), (1, 0, 1, "b")])
        self.assertEqual(checks.unprocessed({(0, 0): "a", (0, 1): "b"}, [one]), [])
        self.assertEqual(len(checks.unprocessed({(0, 0): "a", (0, 2): "c"}, [one])), 1)
        self.assertEqual(len(checks.unprocessed({(0, 0): "z"}, [one])), 1)

    def test_the_end_is_committed_and_commits_are_kept(self):
        acknowledged = {(0, 0): "a", (0, 1): "b", (1, 0): "c"}
        self.assertEqual(checks.committed_to_the_end(acknowledged, {0: 2, 1: 1}), [])
        self.assertEqual(len(checks.committed_to_the_end(acknowledged, {0: 1})), 2)
        one = member("one", (1, "committed", {"offsets": {"0": 2}}))
        self.assertEqual(checks.commits_not_kept([one], {0: 2}), [])
        self.assertEqual(len(checks.commits_not_kept([one], {0: 1})), 1)

    def test_the_longest_pause_is_over_the_group_and_over_each_partition(self):
        one = member("one", records=[(10, 0, 0, ""), (20, 1, 0, "")])
        two = member("two", records=[(50, 0, 1, "")])
        self.assertEqual(checks.longest_pause([one, two], 0, 60, 2), (30, 40))


if __name__ == "__main__":
    unittest.main()
