"""The brokers that are under test: agents of Millrace on one folder, or one Apache Kafka."""

import os
import re
import signal
import subprocess
from pathlib import Path

import children
import wire
from waiting import eventually

# After this time a member that is silent is one no more. Long enough that a busy machine seldom keeps one silent.
SESSION_MS = 12_000
# The coordinator decides these for KIP-848 groups; they are here what the members of classic groups ask for.
CONSUMER_SETTINGS = {
    "group.consumer.min.session.timeout.ms": str(SESSION_MS),
    "group.consumer.session.timeout.ms": str(SESSION_MS),
    "group.consumer.min.heartbeat.interval.ms": "1000",
    "group.consumer.heartbeat.interval.ms": "1000",
}
SETTINGS = {"group.initial.rebalance.delay.ms": "0", **CONSUMER_SETTINGS}
# What an agent may say of one that was killed.
ALLOWED = ("expired an agent that fell silent",)
COMPLAINT = re.compile(r" (WARN|ERROR) |panicked at")


class Agent:
    """`millrace broker` as a process. `address` is None until it listens."""

    def __init__(self, binary, store, name, log):
        self.name, self.log = name, Path(log)
        self.file = open(log, "w")
        flags = [text for key, value in SETTINGS.items() for text in ("--" + key.replace(".", "-"), value)]
        command = [binary, "broker", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        self.process = children.start(
            [*command, "--store", store, "--agent-id", name, *flags],
            env={**os.environ, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=self.file,
            stderr=subprocess.STDOUT,
        )
        self.address = None

    def ready(self):
        """Waits until it listens."""
        self.address = eventually(f"{self.name} listens", self._listening, 60)
        return self

    def _listening(self):
        assert self.process.poll() is None, f"{self.name} exited, see {self.log}"
        found = re.search(r"^listening on (\S+)", self.log.read_text(), re.M)
        return found and found[1]

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def drain(self):
        """SIGTERM; it is to end by itself."""
        self.process.send_signal(signal.SIGTERM)

    def complaints(self):
        lines = filter(COMPLAINT.search, self.log.read_text().splitlines())
        return [line for line in lines if not any(text in line for text in ALLOWED)]


class Millrace:
    """Agents on one folder."""

    def __init__(self, binary, work, logs):
        self.binary, self.store, self.logs = binary, f"file://{work}/data", Path(logs)
        self.agents = []

    def start(self, count):
        for _ in range(count):
            self.add()

    def add(self):
        name = f"agent-{len(self.agents) + 1}"
        self.agents.append(Agent(self.binary, self.store, name, self.logs / f"{name}.log"))
        return self.agents[-1].ready()

    @property
    def bootstrap(self):
        alive = [agent for agent in self.agents if agent.address and agent.process.poll() is None]
        return ",".join(agent.address for agent in alive)

    def coordinator(self, group):
        """The agent that coordinates a group, or would."""
        try:
            address = wire.coordinator_of(self.bootstrap, group)
        except wire.NoAnswer:
            return None
        return next((agent for agent in self.agents if agent.address == address), None)

    def end(self):
        """Ends all agents; what was wrong with how they ran."""
        wrong = []
        for agent in self.agents:
            if agent.process.poll() is None:
                agent.drain()
        for agent in self.agents:
            try:
                code = agent.process.wait(40)
            except subprocess.TimeoutExpired:
                agent.kill()
                code = "none within 40 s of SIGTERM"
            if code not in (0, -signal.SIGKILL):
                wrong.append(f"{agent.name}: exit code {code}")
            wrong += [f"{agent.name}: {line}" for line in agent.complaints()[:5]]
        return wrong


class Peer:
    """Apache Kafka, started by scripts/kafka-peer."""

    def __init__(self, script, work):
        self.script, self.dir = script, Path(work) / "kafka"
        self.bootstrap = None

    def start(self, _):
        """One node."""
        settings = "\n".join(f"{name}={value}" for name, value in CONSUMER_SETTINGS.items())
        children.own(self.dir / "pid")
        process = children.start(
            [self.script, "start", str(self.dir), "0"],
            env={**os.environ, "KAFKA_SETTINGS": settings},
            stdout=subprocess.PIPE,
            text=True,
        )
        address, _ = process.communicate()
        assert process.returncode == 0, f"Kafka did not start: {process.returncode}"
        self.bootstrap = address.strip()

    def end(self):
        subprocess.run([self.script, "stop", str(self.dir)], check=True)
        return []
