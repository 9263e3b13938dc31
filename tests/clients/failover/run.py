"""What clients see when one of three agents ends: the longest time without an acknowledgement or a record of a partition.

    run.py MILLRACE STORE [FLAG..]

Three agents on STORE with these flags; producers and consumers of librdkafka and Java with their defaults, each with a
record every 20 ms for each of 12 partitions. The agent that coordinates the group of librdkafka's consumer is killed, then
one that coordinates nothing, then both again with SIGTERM; after each another agent takes its place. JAVA_CLASSES is the
class path with Failover.
"""

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 12
TOPIC = "failover"
SEEN_FOR = 14
WORK = Path(tempfile.mkdtemp(prefix="failover-"))


class Agent:
    """An agent as a process; it listens when this is made."""

    count = 0

    def __init__(self, binary, store, flags):
        Agent.count += 1
        name = f"agent-{Agent.count}"
        self.log = WORK / name
        command = [binary, "broker", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--agent-id", name]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([*command, "--store", store, *flags], stdout=log, stderr=subprocess.STDOUT)
        while not (found := re.search(r"^listening on (\S+)", self.log.read_text(), re.M)):
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        self.address = found[1]


class Load:
    """Clients that note when something of a partition came, by `(what, partition)`."""

    def __init__(self, addresses):
        self.settings = {"bootstrap.servers": addresses, "log_level": 0}
        self.seen, self.errors = defaultdict(list), []
        self.stopped = threading.Event()
        group = {**self.settings, "group.id": "failover", "auto.offset.reset": "earliest"}
        alone = {**group, "group.id": "nobody", "enable.auto.commit": False}
        work = [(self.produce,), (self.consume, "records, librdkafka", group, False),
                (self.consume, "records, librdkafka without a group", alone, True)]
        self.threads = [threading.Thread(target=target, args=args) for target, *args in work]
        for thread in self.threads:
            thread.start()
        self.java = {}
        for mode, what in (("produce", "acknowledgements, Java"), ("consume", "records, Java")):
            command = ["java", "-cp", os.environ["JAVA_CLASSES"], "Failover", mode, addresses, TOPIC, str(PARTITIONS), "java"]
            with open(WORK / mode, "w") as out:
                self.java[what] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL), out.name

    def produce(self):
        producer = Producer({**self.settings, "enable.idempotence": True})

        def acknowledged(error, message):
            if error:
                self.errors.append(str(error))
            else:
                self.seen["acknowledgements, librdkafka", message.partition()].append(time.time())

        while not self.stopped.is_set():
            for partition in range(PARTITIONS):
                producer.produce(TOPIC, bytes(100), partition=partition, on_delivery=acknowledged)
            producer.poll(0)
            time.sleep(0.02)
        producer.flush(60)

    def consume(self, what, settings, assigned):
        consumer = Consumer(settings)
        if assigned:
            consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in range(PARTITIONS)])
        else:
            consumer.subscribe([TOPIC])
        while not self.stopped.is_set():
            for message in consumer.consume(500, 0.05):
                if not message.error():
                    self.seen[what, message.partition()].append(time.time())
        consumer.close()

    def stop(self):
        self.stopped.set()
        for process, _ in self.java.values():
            process.stdin.close()
        for thread in self.threads:
            thread.join()
        for what, (process, out) in self.java.items():
            process.wait(60)
            for line in Path(out).read_text().splitlines():
                if line.startswith("error"):
                    self.errors.append(line)
                else:
                    at, partition = line.split()
                    self.seen[what, int(partition)].append(int(at) / 1000)

    def pauses(self, what, since):
        """The longest pause of each partition after `since`, shortest first."""
        pauses = []
        for partition in range(PARTITIONS):
            times = sorted(at for at in self.seen[what, partition] if since - 1 <= at <= since + SEEN_FOR)
            pauses.append(max((after - at for at, after in zip(times, times[1:])), default=SEEN_FOR))
        return sorted(pauses)


def coordinators(addresses):
    """Ports of the agents that coordinate the two groups, that of librdkafka first."""
    admin = AdminClient({"bootstrap.servers": addresses, "log_level": 0})
    described = admin.describe_consumer_groups(["failover", "java"])
    return [described[group].result().coordinator.port for group in ("failover", "java")]


def main():
    binary, store, *flags = sys.argv[1:]
    agents = [Agent(binary, store, flags) for _ in range(3)]
    addresses = lambda: ",".join(agent.address for agent in agents)
    admin = AdminClient({"bootstrap.servers": addresses()})
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result()
    load = Load(addresses())
    time.sleep(10)
    ends = []
    for how in ("killed", "drained"):
        for role in ("the coordinator", "another"):
            ports = coordinators(addresses())
            busy = [agent for agent in agents if int(agent.address.rsplit(":", 1)[1]) in ports]
            of_librdkafka = next(agent for agent in agents if agent.address.endswith(f":{ports[0]}"))
            idle = next((agent for agent in agents if agent not in busy), agents[0])
            agent = of_librdkafka if role == "the coordinator" else idle
            both = role == "the coordinator" and ports[0] == ports[1]
            ends.append((f"{how} {role}{' of both groups' if both else ''}", time.time()))
            agent.process.kill() if how == "killed" else agent.process.terminate()
            time.sleep(SEEN_FOR)
            agent.process.wait(30)
            agents[agents.index(agent)] = Agent(binary, store, flags)
            time.sleep(3)
    load.stop()
    for what in sorted({what for what, _ in load.seen}):
        for name, at in ends:
            pauses = load.pauses(what, at)
            print(f"{name}: {what}: longest {pauses[-1]:.2f} s, of the median partition {pauses[PARTITIONS // 2]:.2f} s")
    print(f"{sum(map(len, load.seen.values()))} acknowledgements and records, errors: {load.errors[:3]}")
    for agent in agents:
        agent.process.terminate()
    for agent in agents:
        agent.process.wait(30)


main()
