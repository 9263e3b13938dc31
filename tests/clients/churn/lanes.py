"""A group of one client library, through all the churn: one step after the other, then the checks."""

import time
from pathlib import Path

from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

import checks
from cluster import SESSION_MS
from load import Load
from member import Member
from waiting import eventually
from watch import Watch

PARTITIONS = 6
GROWN = 8
# For members that are to be gone by what they say, long before they would be missed.
LONG_SESSION_MS = 90_000
# The longest that Kafka's defaults allow for KIP-848.
LONG_CONSUMER_SESSION_MS = 60_000
# A bound for what takes a second or two, or a session: the machine may be busy with others.
WITHIN = 60


class Lane:
    """A topic with a load, a group on it, and its members."""

    def __init__(self, setting, client, name=None):
        self.setting, self.client = setting, client
        self.name = name or client.name
        self.group = self.topic = f"churn-{setting.run}-{self.name}"
        self.partitions = PARTITIONS
        self.members, self.running = [], []
        self.bootstrap = setting.cluster.bootstrap
        self.logs = Path(setting.logs) / self.name
        self.logs.mkdir(parents=True, exist_ok=True)
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2}, logger=None)
        self.admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)])[self.topic].result(30)
        self.load = Load(self.bootstrap, self.topic, PARTITIONS)
        self.watch = Watch(setting.cluster, self.group, self.topic)

    def start(self, commit="sync", session_ms=SESSION_MS, instance=None, client=None):
        """Starts a member and does not wait for it."""
        client = client or self.client
        name = f"m{len(self.members) + 1}"
        arguments = {
            "bootstrap": self.bootstrap,
            "topic": self.topic,
            "group": self.group,
            "protocol": client.protocol,
            "commit": commit,
            "session_ms": session_ms,
        }
        if instance:
            arguments["instance"] = instance
        member = Member(client, name, arguments, self.logs / f"{name}.log")
        self.members.append(member)
        self.running.append(member)
        return member

    def join(self, **more):
        """Starts a member, and waits until the group has settled with it."""
        member = self.start(**more)
        self.settled()
        return member

    def without(self, member):
        self.running.remove(member)
        return member

    def settled(self, within=WITHIN):
        """Every partition is owned by one of the running members, none is idle, the group is stable,
        and each of them processes records."""
        eventually(self._who_owns_what, self._is_settled, within)
        seen = {m: len(m.records) for m in self.running}
        for member in self.running:
            what = f"{member.name} processes records"
            eventually(what, lambda m=member: len(m.records) > seen[m], within)

    def _is_settled(self):
        for member in self.running:
            assert member.is_alive(), f"{member.name} exited by itself, see {self.logs}"
        owned = [m.owned for m in self.running]
        once = sum(map(len, owned)) == self.partitions == len(set().union(*owned))
        return once and all(owned) and self.watch.is_stable()

    def _who_owns_what(self):
        owned = {m.name: sorted(m.owned) for m in self.running}
        return f"all {self.partitions} partitions owned once: {owned}, group {self.watch.state()}"

    def set_session(self, session_ms):
        """The session timeout of a KIP-848 group; it is for the coordinator to decide."""
        group = ConfigResource(ResourceType.GROUP, self.group)
        entry = ConfigEntry("consumer.session.timeout.ms", str(session_ms))
        entry.incremental_operation = AlterConfigOpType.SET
        group.add_incremental_config(entry)
        self.admin.incremental_alter_configs([group])[group].result(30)

    def leave(self, member):
        """SIGTERM: it exits with 0."""
        member.terminate()
        code = member.wait(WITHIN)
        assert code == 0, f"{member.name} exited with {code}, see {self.logs}"

    def close(self):
        """Ends everything, however far it came."""
        self.load.end()
        self.watch.end()
        for member in self.members:
            if member.is_alive():
                member.kill()


def one_joins_after_the_other(lane):
    lane.join()
    lane.join(commit="auto")
    lane.join(session_ms=LONG_SESSION_MS)


def one_leaves(lane):
    member = lane.without(lane.running[-1])
    lane.leave(member)
    lane.settled(LONG_SESSION_MS / 1000 - 10)


def one_is_killed(lane):
    lane.without(lane.join(commit="auto")).kill()
    lane.settled()


def a_late_commit_is_refused(lane):
    """One is paused past its session in front of a commit, and goes on with that when it is no member."""
    member = lane.join()
    partition = min(member.owned)
    committed = lambda: (lane.watch.offsets() or {}).get(partition, 0)
    eventually("something is committed", lambda: committed() > 0, WITHIN)
    member.send(f"stall {partition} 0")
    eventually("it stalls", lambda: member.count("stalled") > 0, WITHIN)
    member.stop()
    lane.without(member)
    lane.settled()
    lane.running.append(member)
    member.send("go")
    member.resume()
    done = lambda: [e for e in list(member.events) if e.get("late")]
    late = eventually("the outcome of its late commit", done, WITHIN)[0]
    assert late["e"] == "commit_failed", "its commit was accepted after its session"
    assert committed() > 0, "its late commit was refused, and has an effect"
    lane.settled()


def a_static_member_restarts(lane):
    """Ended and started again within its session, it has what it had; the others notice nothing."""
    if lane.client.is_consumer_protocol:
        lane.set_session(LONG_CONSUMER_SESSION_MS)
    static = lane.join(session_ms=LONG_SESSION_MS, instance="first")
    others = [m for m in lane.running if m is not static]
    before = {m: m.rebalances() for m in others}
    owned = static.owned
    lane.without(static)
    # A member of KIP-848 that says nothing keeps its instance id until its session ends.
    lane.leave(static) if lane.client.is_consumer_protocol else static.kill()
    again = lane.join(session_ms=LONG_SESSION_MS, instance="first")
    assert again.owned == owned, f"it has {again.owned} instead of {owned}"
    moved = [m.name for m in others if m.rebalances() != before[m]]
    assert not moved, f"a rebalance for {', '.join(moved)}"
    if lane.client.is_consumer_protocol:
        lane.set_session(SESSION_MS)


def the_topic_grows(lane):
    lane.admin.create_partitions([NewPartitions(lane.topic, GROWN)])[lane.topic].result(30)
    lane.partitions = GROWN
    lane.load.partitions = GROWN
    lane.settled()
    new = set(range(PARTITIONS, GROWN))
    processed = lambda: new <= {p for m in lane.running for _, p, _, _ in list(m.records)}
    eventually("records of the new partitions are processed", processed, WITHIN)


def many_come_and_go(lane):
    """Three join, one leaves and one is killed at once; then one more comes and one goes."""
    newest = [lane.start(), lane.start(commit="auto"), lane.start()]
    # The first of all, so that it is likely to lead.
    first = lane.without(lane.running[0])
    first.terminate()
    eventually("one of them has a part", lambda: any(m.owned for m in newest), WITHIN)
    lane.without(newest[0]).kill()
    lane.start()
    lane.without(newest[1]).terminate()
    lane.leave(first)
    lane.leave(newest[1])
    lane.settled()


def everything_is_processed_and_committed(lane):
    lane.load.end()
    assert not lane.load.failed, f"producing failed: {lane.load.failed[0]}"
    acknowledged = lane.load.acknowledged
    lag = lambda: checks.committed_to_the_end(acknowledged, lane.watch.offsets() or {})
    eventually(lambda: f"no lag: {lag()}", lambda: not lag(), WITHIN)
    # Static members do not say that they leave. Whoever joins again because another has left would wait for them.
    for static in (False, True):
        members = [m for m in lane.running if bool(m.instance) == static]
        for member in members:
            member.terminate()
        for member in members:
            lane.leave(member)
    lane.watch.end()
    eventually("the offsets are read once more", lane.watch.look, WITHIN)
    reads = len(lane.watch.reads)
    assert reads > 10, f"offsets were read {reads} times only"
    wrong = describe("not processed", checks.unprocessed(acknowledged, lane.load.unplaced, lane.members))
    wrong += broken(lane)
    assert not wrong, "; ".join(wrong)


def broken(lane):
    """What must not be, however far the lane has come."""
    wrong = describe("stored twice", checks.stored_twice(lane.members))
    wrong += describe("moved back", checks.moved_back(lane.watch.reads))
    wrong += describe("not kept", checks.commits_not_kept(lane.members, lane.watch.reads))
    if not lane.client.assigns_twice:
        wrong += describe("owned twice in a generation", checks.owned_twice_in_a_generation(lane.members))
        wrong += describe("owned twice", checks.owned_twice(lane.members))
    return wrong


def describe(what, wrong):
    return [f"{what}: {len(wrong)} times, first: {wrong[:3]}"] if wrong else []


def steps(client):
    """What a group of a client goes through."""
    yield one_joins_after_the_other
    yield one_leaves
    yield one_is_killed
    yield a_late_commit_is_refused
    if client.has_static:
        yield a_static_member_restarts
    yield the_topic_grows
    yield many_come_and_go
    yield everything_is_processed_and_committed


def run(setting, client):
    """All steps; the first that fails is the last, and what is broken by then is told with it."""
    lane = None
    step = None
    try:
        lane = Lane(setting, client)
        for step in steps(client):
            began = time.monotonic()
            step(lane)
            setting.report.ok(f"{lane.name} {step.__name__}", time.monotonic() - began)
    except Exception as error:
        where = step.__name__ if step else "start"
        also = [what for what in (broken(lane) if lane else []) if what not in str(error)]
        setting.report.fail(f"{client.name} {where}", "; ".join([f"{type(error).__name__}: {error}", *also]))
    finally:
        if lane:
            lane.close()
