"""The agent that coordinates groups is killed, and another is drained, while the groups consume.

Prints how long consumers wait, over all members of a group and for the partition that waits longest.
"""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import checks
from clients import REPRESENTATIVES
from lanes import WITHIN, Lane, everything_is_processed_and_committed
from waiting import eventually

def coordinated_by(setting, agent, client):
    """A name for a lane whose group that agent will coordinate."""
    names = (f"takeover-{client.name}-{n}" for n in range(1000))
    return next(n for n in names if setting.cluster.coordinator(f"churn-{setting.run}-{n}") is agent)


def start(setting, agent, client):
    lane = Lane(setting, client, coordinated_by(setting, agent, client))
    lane.start()
    lane.start(commit="auto")
    lane.settled()
    return lane


def goes_on(lane, since):
    """Waits until each partition is processed and committed beyond what was there, by a stable group.

    Gives the longest pause in milliseconds over the group, and of a partition.
    """
    before = lane.watch.committed

    def advanced():
        return all(lane.watch.committed.get(p, 0) > before.get(p, 0) for p in range(lane.partitions))

    eventually(lambda: f"commits beyond {before}: {lane.watch.committed}", advanced, WITHIN)
    lane.settled()
    members = [m for m in lane.members if m.records]
    return checks.longest_pause(members, since, time.time() * 1000, lane.partitions)


class Takeover:
    """Groups that one agent coordinates."""

    def __init__(self, setting, clients):
        self.setting, self.clients = setting, clients
        self.lanes = []

    def each(self, what, action, lanes):
        """Does something with every lane at once; gives what worked by lane, reports what did not."""

        def attempt(lane):
            began = time.monotonic()
            try:
                done = action(lane)
            except Exception as error:
                self.setting.report.fail(f"{lane.name} {what}", f"{type(error).__name__}: {error}")
                return None
            self.setting.report.ok(f"{lane.name} {what}", time.monotonic() - began)
            return lane, done

        with ThreadPoolExecutor(max(len(lanes), 1)) as pool:
            return dict(filter(None, pool.map(attempt, lanes)))

    def begin(self):
        agent = self.setting.cluster.agents[0]
        with ThreadPoolExecutor(4) as pool:
            started = [pool.submit(start, self.setting, agent, client) for client in self.clients]
        for client, future in zip(self.clients, started):
            try:
                self.lanes.append(future.result())
            except Exception as error:
                self.setting.report.fail(f"takeover {client.name} start", f"{type(error).__name__}: {error}")

    def coordinator_ends(self, how, end, within):
        """Ends the agent that coordinates most of the groups, and waits until they go on."""
        cluster = self.setting.cluster
        agents = {lane: cluster.coordinator(lane.group) for lane in self.lanes}
        victim, _ = Counter(agent for agent in agents.values() if agent).most_common(1)[0]
        since = time.time() * 1000
        end(victim)
        hit = [lane for lane in self.lanes if agents[lane] is victim]
        pauses = self.each(f"goes on when its coordinator is {how}", lambda lane: goes_on(lane, since), hit)
        others = [lane for lane in self.lanes if agents[lane] is not victim]
        self.each(f"goes on when an agent is {how}", lambda lane: goes_on(lane, since), others)
        for lane, (group, partition) in sorted(pauses.items(), key=lambda found: found[0].name):
            name = f"pause when the coordinator is {how}, {lane.client.name}"
            value = f"{group / 1000:.1f} s over the group, {partition / 1000:.1f} s of a partition"
            self.setting.report.figure(name, value)
            late = 20 if lane.client.finds_coordinator_late else 0
            if partition > (within + late) * 1000:
                self.setting.report.fail(f"{lane.name} {how}", f"a pause of {partition / 1000:.1f} s")

    def finish(self):
        self.each("everything_is_processed_and_committed", everything_is_processed_and_committed, self.lanes)


def drained(agent):
    """SIGTERM; it has to exit by itself, which is judged when the cluster ends."""
    agent.drain()


def run(setting, clients):
    takeover = Takeover(setting, [c for c in clients if c.name in REPRESENTATIVES])
    try:
        takeover.begin()
        if not takeover.lanes:
            return
        takeover.coordinator_ends("killed", lambda agent: agent.kill(), within=40)
        setting.cluster.add()
        takeover.coordinator_ends("drained", drained, within=20)
        takeover.finish()
    except Exception as error:
        setting.report.fail("takeover", f"{type(error).__name__}: {error}")
    finally:
        for lane in takeover.lanes:
            lane.close()
