"""A Connect source that writes each number exactly once (KIP-618), while its workers are killed and stand still.

CONNECT_ONCE=disabled in the environment runs it without the support for that: then the case must fail.
"""

import os
import signal

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import connect_worker
from connect_worker import Worker
from processes import eventually

SUPPORT = os.environ.get("CONNECT_ONCE", "enabled")
KILLS = 3


class ExactlyOnceTest:
    def __init__(self, broker, work):
        self.broker = broker
        self.work = work
        self.group = f"once-connect{os.environ.get('RUN', '')}"
        self.topic = f"{self.group}-numbers"
        self.workers = []

    def start(self):
        settings = connect_worker.settings(self.broker, self.group) | {"exactly.once.source.support": SUPPORT}
        worker = Worker(f"once{len(os.listdir(self.work))}", settings, self.work)
        self.workers.append(worker)
        worker.listens()
        return worker

    def configure(self):
        """A transaction lasts a second, so that nearly every kill finds one open with some of its records written."""
        required = "required" if SUPPORT == "enabled" else "requested"
        self.workers[0].done("PUT", "connectors/numbers/config", {
            "connector.class": "Numbers", "tasks.max": 1, "topic": self.topic, "batch": 5, "pause.ms": 20, "exactly.once.support": required,
            "transaction.boundary": "interval", "transaction.boundary.interval.ms": 1000,
            "producer.override.linger.ms": 0})

    def read(self, isolation):
        """All numbers that there are now, in the order of the topic."""
        consumer = Consumer({"bootstrap.servers": self.broker, "group.id": f"{self.group}-reader", "enable.auto.commit": False,
                             "enable.partition.eof": True, "isolation.level": isolation})
        try:
            partition = TopicPartition(self.topic, 0, 0)
            _, end = consumer.get_watermark_offsets(partition, 30)
            consumer.assign([partition])
            found = []
            # Its last offset may be that of a marker, which is not shown; but then nothing is behind it for a while.
            while True:
                message = consumer.poll(30)
                assert message is not None, f"no end of {self.topic}"
                if message.error() is None:
                    found.append(int(message.value()))
                if message.error() is not None or message.offset() >= end - 1:
                    return found
        finally:
            consumer.close()

    def grows(self):
        """Waits until more numbers are committed, and returns how many there are."""
        before = len(self.read("read_committed"))
        return eventually("more numbers", lambda: (now := len(self.read("read_committed"))) > before and now, 90)

    def runs_on(self):
        """The worker that runs the task."""
        def found():
            for asked in self.workers:
                status, answer = asked.ask("GET", "connectors/numbers/status")
                if status == 200 and answer["tasks"]:
                    [task] = answer["tasks"]
                    return task["state"] == "RUNNING" and [w for w in self.workers if w.id == task["worker_id"]]
            return None
        return eventually("the task runs", found, 90)[0]

    def exactly_once(self):
        """Each number comes once and in its place, though workers were killed, and one stood still until it was replaced."""
        admin = AdminClient({"bootstrap.servers": self.broker})
        admin.create_topics([NewTopic(self.topic, 1)])[self.topic].result(30)
        self.start()
        self.configure()
        self.start()
        for _ in range(KILLS):
            self.grows()
            victim = self.runs_on()
            self.workers.remove(victim)
            victim.java.kill()
            self.start()
        self.replaced()
        self.workers[0].done("PUT", "connectors/numbers/stop")
        eventually("the source stops", lambda: not self.workers[0].done("GET", "connectors/numbers/status")["tasks"])
        numbers = self.read("read_committed")
        wrong = [(at, n) for at, n in enumerate(numbers) if n != at]
        assert not wrong, f"{len(wrong)} of {len(numbers)} are not in their places: {wrong[:5]} (place, number)"
        # Else no kill has come at a bad time, and nothing is shown.
        everything = self.read("read_uncommitted")
        assert len(everything) > len(numbers), "no transaction was ever aborted"
        print(f"{len(numbers)} numbers, {len(everything) - len(numbers)} more were aborted")

    def replaced(self):
        """A worker sleeps past its session. Another does its work, and what it writes when it wakes does not count."""
        sleeper = self.runs_on()
        self.grows()
        os.kill(sleeper.java.process.pid, signal.SIGSTOP)
        try:
            self.workers.remove(sleeper)
            self.runs_on()
            self.grows()
        finally:
            os.kill(sleeper.java.process.pid, signal.SIGCONT)
            self.workers.append(sleeper)
        self.grows()
