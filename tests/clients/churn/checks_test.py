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


def lost(t, *partitions):
    return t, "lost", {"partitions": list(partitions)}


def committed(t, **offsets):
    """committed(5, p0=7): that of partition 0."""
    return t, "committed", {"offsets": {name[1:]: offset for name, offset in offsets.items()}}


class OwnedTwice(unittest.TestCase):
    def test_spans_that_overlap(self):
        one = member("one", assigned(1, 0, 1), revoked(5, 0))
        self.assertEqual(checks.owned_twice([one, member("two", assigned(6, 0))]), [])
        wrong = checks.owned_twice([one, member("two", assigned(4, 0))])
        self.assertEqual(len(wrong), 1)
        self.assertIn("partition 0", wrong[0])
        self.assertEqual(len(checks.owned_twice([one, member("two", assigned(9, 1))])), 1)

    def test_who_leaves_without_a_word_owned_until_then(self):
        gone = member("gone", assigned(1, 0), (5, "closed", {}))
        self.assertEqual(checks.owned_twice([gone, member("two", assigned(6, 0))]), [])
        self.assertEqual(len(checks.owned_twice([gone, member("two", assigned(4, 0))])), 1)

    def test_a_short_span_does_not_hide_a_long_one(self):
        long = member("long", assigned(1, 0))
        short = member("short", assigned(2, 0), revoked(3, 0))
        late = member("late", assigned(9, 0))
        self.assertEqual(len(checks.owned_twice([long, short, late])), 2)

    def test_who_is_stopped_owns_nothing_until_it_knows(self):
        stopped = member("s", assigned(1, 0), revoked(12, 0), assigned(14, 1), silent=[(3, 10)])
        other = member("o", assigned(8, 0))
        self.assertEqual(checks.owned_twice([stopped, other]), [])
        self.assertEqual(len(checks.owned_twice([stopped, member("o", assigned(2, 0))])), 1, "before it was stopped")
        self.assertEqual(len(checks.owned_twice([stopped, member("o", assigned(15, 1))])), 1)

    def test_who_was_no_member_any_more_may_have_believed_it(self):
        late = member("late", assigned(1, 0), lost(9, 0))
        self.assertEqual(checks.owned_twice([late, member("o", assigned(5, 0))]), [])
        # It was a member: it gave up what it owned while the group went on.
        kept = member("kept", assigned(1, 0), revoked(9, 0))
        self.assertEqual(len(checks.owned_twice([kept, member("o", assigned(5, 0))])), 1)
        # The other way round: the new owner is who lost it.
        new = member("new", assigned(5, 0), lost(9, 0))
        self.assertEqual(len(checks.owned_twice([member("old", assigned(1, 0)), new])), 1)

    def test_who_gives_up_as_another_member_was_removed_meanwhile(self):
        def late(member_id):
            gone = (9, "revoked", {"partitions": [0], "member": member_id})
            return member("late", assigned(1, 0, member="a"), gone)

        other = member("o", assigned(5, 0))
        self.assertEqual(checks.owned_twice([late("b"), other]), [])
        self.assertEqual(checks.owned_twice([late(""), other]), [])
        self.assertEqual(len(checks.owned_twice([late("a"), other])), 1)

    def test_who_was_stopped_or_killed_may_have_been_removed_before(self):
        other = member("o", assigned(2, 0))
        stopped = member("s", assigned(1, 0), lost(12, 0), silent=[(3, 10)])
        killed = member("k", assigned(1, 0), silent=[(3, checks.FOREVER)])
        self.assertEqual(checks.owned_twice([stopped, other]), [])
        self.assertEqual(checks.owned_twice([killed, other]), [])
        killed.records.append((2.2, 0, 10, "a"))
        killed.events.append({"t": 2.5, "e": "committed", "offsets": {"0": 11}})
        self.assertEqual(len(checks.owned_twice([killed, other])), 1)

    def test_a_commit_of_who_was_no_member_any_more_was_accepted(self):
        other = member("o", assigned(5, 0))
        records = [(4, 0, 10, "a"), (6, 0, 11, "b")]

        def late(*events):
            return member("late", assigned(1, 0), *events, lost(9, 0), records=records)

        self.assertEqual(checks.owned_twice([late(committed(6, p0=11)), other]), [], "sent before it was taken")
        self.assertEqual(checks.owned_twice([late(committed(7, p1=12)), other]), [], "of another partition")
        wrong = checks.owned_twice([late(committed(7, p0=12)), other])
        self.assertEqual(len(wrong), 1)
        self.assertIn("commit of 12 by late", wrong[0])


class OwnedTwiceInAGeneration(unittest.TestCase):
    def test_owners_are_counted_by_generation(self):
        one = member("one", assigned(1, 0, generation=1), assigned(3, 1, generation=2))
        apart = member("two", assigned(2, 1, generation=1))
        self.assertEqual(checks.owned_twice_in_a_generation([one, apart]), [])
        twice = member("two", assigned(3, 0, generation=2))
        self.assertEqual(len(checks.owned_twice_in_a_generation([one, twice])), 1)

    def test_a_static_member_is_the_same_when_it_is_started_again(self):
        again = [member(name, assigned(3, 0, generation=2), instance="i") for name in ("two", "three")]
        self.assertEqual(checks.owned_twice_in_a_generation(again), [])
        again[1].instance = "j"
        self.assertEqual(len(checks.owned_twice_in_a_generation(again)), 1)

    def test_what_was_given_up_is_not_carried_on(self):
        one = member("one", assigned(1, 0, generation=1), revoked(2, 0), assigned(3, 1, generation=2))
        other = member("other", assigned(3, 0, generation=2))
        self.assertEqual(checks.owned_twice_in_a_generation([one, other]), [])

    def test_neither_time_nor_silence_excuses_it(self):
        one = member("one", assigned(1, 0, generation=1), lost(2, 0), silent=[(1.5, 2)])
        other = member("other", assigned(3, 0, generation=1))
        self.assertEqual(len(checks.owned_twice_in_a_generation([one, other])), 1)

    def test_a_generation_that_is_told_later_is_that_of_what_is_owned(self):
        one = member("one", assigned(1, 0), (2, "generation", {"generation": 4}))
        other = member("other", assigned(1, 1), (3, "generation", {"generation": 4}))
        self.assertEqual(checks.owned_twice_in_a_generation([one, other]), [])
        twice = member("twice", assigned(5, 0), (6, "generation", {"generation": 4}))
        self.assertEqual(len(checks.owned_twice_in_a_generation([one, twice])), 1)


class Records(unittest.TestCase):
    def test_every_record_is_processed_as_it_was_produced(self):
        one = member("one", records=[(1, 0, 0, "a"), (1, 0, 1, "b")])
        self.assertEqual(checks.unprocessed({(0, 0): "a", (0, 1): "b"}, [], [one]), [])
        self.assertEqual(len(checks.unprocessed({(0, 0): "a", (0, 2): "c"}, [], [one])), 1)
        self.assertEqual(len(checks.unprocessed({(0, 0): "z"}, [], [one])), 1)

    def test_a_record_of_unknown_place_is_processed_in_its_partition(self):
        one = member("one", records=[(1, 0, 0, "a")])
        self.assertEqual(checks.unprocessed({}, [(0, "a")], [one]), [])
        self.assertEqual(len(checks.unprocessed({}, [(1, "a"), (0, "b")], [one])), 2)

    def test_a_record_is_processed_again_and_stored_once(self):
        members = [member("one", records=[(1, 0, 0, "a")]), member("two", records=[(2, 0, 0, "a")])]
        self.assertEqual(checks.stored_twice(members), [])
        members[1].records.append((3, 0, 7, "a"))
        self.assertEqual(len(checks.stored_twice(members)), 1)

    def test_the_longest_pause_is_over_the_group_and_over_each_partition(self):
        one = member("one", records=[(10, 0, 0, ""), (20, 1, 0, "")])
        two = member("two", records=[(50, 0, 1, "")])
        self.assertEqual(checks.longest_pause([one, two], 0, 60, 2), (30, 40))


class Commits(unittest.TestCase):
    def test_the_end_is_committed(self):
        acknowledged = {(0, 0): "a", (0, 1): "b", (1, 0): "c"}
        self.assertEqual(checks.committed_to_the_end(acknowledged, {0: 2, 1: 1}), [])
        self.assertEqual(len(checks.committed_to_the_end(acknowledged, {0: 1})), 2)

    def test_what_is_committed_never_moves_back(self):
        self.assertEqual(checks.moved_back([(1, {}), (2, {0: 1}), (3, {0: 1, 1: 5}), (4, {0: 2, 1: 5})]), [])
        self.assertEqual(len(checks.moved_back([(1, {0: 2}), (2, {0: 1})])), 1)
        self.assertEqual(len(checks.moved_back([(1, {0: 2}), (2, {})])), 1)

    def test_a_commit_is_there_when_it_is_read_next(self):
        one = member("one", committed(2, p0=2))
        self.assertEqual(checks.commits_not_kept([one], [(1, {}), (3, {0: 2})]), [])
        self.assertEqual(checks.commits_not_kept([one], [(1, {}), (3, {0: 5})]), [])
        # It came later, although it had been acknowledged.
        self.assertEqual(len(checks.commits_not_kept([one], [(1, {}), (3, {0: 1}), (4, {0: 2})])), 1)
        self.assertEqual(len(checks.commits_not_kept([one], [(1, {}), (3, {})])), 1)
        self.assertEqual(checks.commits_not_kept([one], [(1, {})]), [], "not yet read again")


if __name__ == "__main__":
    unittest.main()
