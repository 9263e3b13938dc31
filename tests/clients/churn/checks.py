"""What must hold after any churn, judged from what the members printed. Pure: see checks_test.py.

Each check gives a list of what is wrong.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass

FOREVER = float("inf")


@dataclass(frozen=True, order=True)
class Span:
    """A time in which a member believed that it owned a partition."""

    begun: float
    ended: float
    # What ended it: "revoked", "lost", "closed", "silent" (killed), or "" if nothing did.
    how: str
    name: str


def spans(member):
    """What a member owned, by partition, by its own account.

    Who gives a partition up under another member id than it got it with had been removed from the group meanwhile.
    """
    found, since = defaultdict(list), {}
    for event in member.events:
        kind, t, said = event["e"], event["t"], event.get("member")
        if kind == "assigned":
            for p in event["partitions"]:
                since.setdefault(p, (t, said))
        elif kind in ("revoked", "lost", "closed"):
            for p in list(since) if kind == "closed" else event["partitions"]:
                if p in since:
                    begun, got_as = since.pop(p)
                    was_removed = kind == "revoked" and "member" in event and said != got_as
                    found[p].append(Span(begun, t, "lost" if was_removed else kind, member.name))
    for p, (begun, _) in since.items():
        found[p].append(Span(begun, FOREVER, "", member.name))
    return found


def spoken(member):
    """The spans of a member without the time in which it was killed or stopped.

    A span that runs into such a time ends where it begins: whoever wakes up learns late what was taken.
    """
    for p, owned in spans(member).items():
        for span in owned:
            ended, how = span.ended, span.how
            for silent_from, silent_to in member.silent:
                if span.begun < silent_to and ended > silent_from:
                    ended, how = silent_from, span.how or "silent"
            if span.begun < ended:
                yield p, Span(span.begun, ended, how, span.name)


def committed_after(member, partition, since, until):
    """The offset of a record that a member processed after `since`, and whose commit was accepted before `until`."""
    processed = {o: t for t, p, o, _ in member.records if p == partition and since < t < until}
    for event in member.events:
        if event["e"] == "committed" and event["t"] < until:
            offset = event["offsets"].get(str(partition))
            if offset is not None and offset - 1 in processed:
                return offset
    return None


def owned_twice(members):
    """Partitions that two members of the group owned at a time.

    Who was silent for its session is no member any more, and learns it late: until then it believes that it owns
    what has been given to another. That is no wrong of the coordinator's if it says `lost` in the end, or was killed
    before it could, and if the coordinator accepted no commit of what it processed meanwhile.
    """
    by_name = {member.name: member for member in members}
    by_partition = defaultdict(list)
    for member in members:
        for p, span in spoken(member):
            by_partition[p].append(span)
    wrong = []
    for p, owners in sorted(by_partition.items()):
        owners.sort()
        for i, one in enumerate(owners):
            for other in owners[i + 1 :]:
                if other.begun >= one.ended or other.name == one.name:
                    continue
                both = f"partition {p}: {one.name} until {one.ended:.0f}, {other.name} since {other.begun:.0f}"
                if one.how not in ("lost", "silent"):
                    wrong.append(both)
                    continue
                offset = committed_after(by_name[one.name], p, other.begun, one.ended)
                if offset is not None:
                    wrong.append(f"{both}, and a commit of {offset} by {one.name} was accepted meanwhile")
    return wrong


def owned_twice_in_a_generation(members):
    """Partitions given to two members in the same generation; only of clients that show it.

    An assignment of a cooperative member names what is new to it: what it keeps is carried on. A static
    member that was started again is the same one, in the same generation.
    """
    owners = defaultdict(set)
    for member in members:
        own, who = set(), member.instance or member.name
        for event in member.events:
            if event["e"] == "assigned":
                own |= set(event["partitions"])
            elif event["e"] in ("revoked", "lost"):
                own -= set(event["partitions"])
            elif event["e"] == "closed":
                own = set()
            generation = event.get("generation")
            if event["e"] in ("assigned", "generation") and generation is not None and generation >= 0:
                for p in own:
                    owners[p, generation].add(who)
    return [
        f"partition {p} in generation {g}: {', '.join(sorted(names))}"
        for (p, g), names in sorted(owners.items())
        if len(names) > 1
    ]


def unprocessed(acknowledged, unplaced, members):
    """Records that no member has processed, and records that are not what was produced.

    Of those in `unplaced`, (partition, value), the producer was told no offset.
    """
    processed, values, wrong = {}, set(), []
    for member in members:
        for _, p, o, v in member.records:
            processed[p, o] = v
            values.add((p, v))
    for place, value in sorted(acknowledged.items()):
        if place not in processed:
            wrong.append(f"record {value} at {place} was never processed")
        elif processed[place] != value:
            wrong.append(f"record {value} at {place} was {processed[place]}")
    for p, value in sorted(unplaced):
        if (p, value) not in values:
            wrong.append(f"record {value} of partition {p} was never processed")
    return wrong


def stored_twice(members):
    """Records that are at two places: each value is produced once, by an idempotent producer."""
    places = defaultdict(set)
    for member in members:
        for _, p, o, v in member.records:
            places[v].add((p, o))
    return [f"record {v} is at {sorted(at)}" for v, at in sorted(places.items()) if len(at) > 1]


def committed_to_the_end(acknowledged, committed):
    """Partitions whose committed offset is not behind the last record."""
    ends = defaultdict(int)
    for p, o in acknowledged:
        ends[p] = max(ends[p], o + 1)
    wrong = {p: (end, committed.get(p)) for p, end in ends.items() if committed.get(p, 0) < end}
    return [f"partition {p}: end {end}, committed {found}" for p, (end, found) in sorted(wrong.items())]


def moved_back(reads):
    """Committed offsets that are smaller than what was read before. `reads` are (time, offsets by partition)."""
    newest, wrong = {}, []
    for _, found in reads:
        for p, before in newest.items():
            now = found.get(p)
            if now is None or now < before:
                wrong.append(f"partition {p}: from {before} to {now}")
        newest.update(found)
    return wrong


def commits_not_kept(members, reads):
    """Commits that a member was told are done, and that the first read that began afterwards does not show."""
    times, wrong = [t for t, _ in reads], []
    for member in members:
        for event in member.events:
            if event["e"] != "committed":
                continue
            after = bisect_right(times, event["t"])
            if after == len(reads):
                # To be judged when they are read once more, which they are when all members are gone.
                continue
            found = reads[after][1]
            for p, offset in event["offsets"].items():
                if offset > found.get(int(p), -1):
                    wrong.append(f"{member.name} committed {p}:{offset}, then it was {found.get(int(p))}")
    return wrong


def longest_pause(members, since, until, partitions):
    """Milliseconds: the longest time in a span without a record, over the group and of any one partition."""

    def gap(times):
        times = sorted(t for t in times if since <= t <= until)
        return max(b - a for a, b in zip([since, *times], [*times, until]))

    by_partition = {p: [] for p in range(partitions)}
    for member in members:
        for t, p, _, _ in member.records:
            by_partition[p].append(t)
    group = gap([t for times in by_partition.values() for t in times])
    return group, max(gap(times) for times in by_partition.values())
