"""What must hold after any churn, judged from what the members printed. Pure: see checks_test.py.

Each check gives a list of what is wrong.
"""

from collections import defaultdict

FOREVER = float("inf")


def spans(member):
    """What a member owned: (partition, from, to, generation) by its own account."""
    found, since = [], {}
    for event in member.events:
        kind, t = event["e"], event["t"]
        if kind == "assigned":
            for p in event["partitions"]:
                since.setdefault(p, (t, event.get("generation")))
        elif kind in ("revoked", "lost"):
            gone = event["partitions"]
        elif kind == "closed":
            gone = list(since)
        else:
            continue
        if kind != "assigned":
            for p in gone:
                if p in since:
                    begun, generation = since.pop(p)
                    found.append((p, begun, t, generation))
    found += [(p, begun, FOREVER, generation) for p, (begun, generation) in since.items()]
    return found


def counted(member):
    """The spans of a member without the time in which it was killed or stopped.

    A span that runs into such a time ends where it begins: whoever wakes up learns late what was taken.
    """
    for p, begun, ended, _ in spans(member):
        for silent_from, silent_to in member.silent:
            if begun < silent_to and ended > silent_from:
                ended = min(ended, silent_from)
        if begun < ended:
            yield p, begun, ended


def owned_twice(members):
    """Partitions that two members owned at a time."""
    by_partition = defaultdict(list)
    for member in members:
        for p, begun, ended in counted(member):
            by_partition[p].append((begun, ended, member.name))
    wrong = []
    for p, owners in sorted(by_partition.items()):
        owners.sort()
        for i, (_, ended, one) in enumerate(owners):
            for begun, _, other in owners[i + 1 :]:
                if begun < ended and one != other:
                    wrong.append(f"partition {p}: {one} until {ended:.0f}, {other} since {begun:.0f}")
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
                generation = event.get("generation")
                if generation is not None and generation >= 0:
                    for p in own:
                        owners[p, generation].add(who)
            elif event["e"] in ("revoked", "lost"):
                own -= set(event["partitions"])
    return [
        f"partition {p} in generation {g}: {', '.join(sorted(names))}"
        for (p, g), names in sorted(owners.items())
        if len(names) > 1
    ]


def unprocessed(acknowledged, members):
    """Records that no member has processed, and records that are not what was produced."""
    processed, wrong = {}, []
    for member in members:
        for _, p, o, v in member.records:
            processed[p, o] = v
    for place, value in sorted(acknowledged.items()):
        if place not in processed:
            wrong.append(f"record {value} at {place} was never processed")
        elif processed[place] != value:
            wrong.append(f"record {value} at {place} was {processed[place]}")
    return wrong


def committed_to_the_end(acknowledged, committed):
    """Partitions whose committed offset is not behind the last record."""
    ends = defaultdict(int)
    for p, o in acknowledged:
        ends[p] = max(ends[p], o + 1)
    wrong = {p: (end, committed.get(p)) for p, end in ends.items() if committed.get(p, 0) < end}
    return [f"partition {p}: end {end}, committed {found}" for p, (end, found) in sorted(wrong.items())]


def commits_not_kept(members, committed):
    """Commits that a member was told are done, and that are ahead of what is committed."""
    wrong = []
    for member in members:
        for event in member.events:
            if event["e"] == "committed":
                for p, offset in event["offsets"].items():
                    if offset > committed.get(int(p), -1):
                        wrong.append(f"{member.name} committed {p}:{offset}, kept {committed.get(int(p))}")
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
