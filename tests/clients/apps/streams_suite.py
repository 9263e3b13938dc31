"""Kafka Streams against a broker: a word count, its instances killed and added, its state restored, the application reset.

Usage: streams_suite.py cases HOST:PORT. JARS and APP_JARS: where the jars are; APP_CLASSES: WordCount, compiled.
"""

import collections
import os
import random
import shutil
import subprocess
import sys
import tempfile

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

import processes
from processes import eventually

PARTITIONS = 4
VOCABULARY = [f"word{i}" for i in range(40)]


class WordCountTest:
    def __init__(self, broker, work):
        self.broker = broker
        self.work = work
        self.application = f"words{os.environ.get('RUN', '')}"
        self.random = random.Random(1)
        self.admin = AdminClient({"bootstrap.servers": broker})
        self.straight = collections.Counter()
        self.lines = 0
        self.running = {}

    # ------------------------------------------------------------------ instances and lines

    def topic(self, purpose):
        return f"{self.application}-{purpose}"

    def start(self, name, *more, fresh=False):
        state = os.path.join(self.work, f"state-{name}")
        if fresh:
            shutil.rmtree(state, ignore_errors=True)
        classpath = f"{os.environ['APP_CLASSES']}:{os.environ['APP_JARS']}/*"
        log = os.path.join(self.work, f"{name}-{len(os.listdir(self.work))}.log")
        self.running[name] = processes.Java("WordCount", [self.broker, self.application, state, *more], log, classpath)
        return self.running[name]

    def close(self, name):
        output = self.running.pop(name).stop()
        assert "closed" in output and "failed " not in output, f"{name} does not close well: {output[-1000:]}"

    def kill(self, name):
        self.running.pop(name).kill()

    def close_all(self):
        for name in list(self.running):
            self.close(name)

    def write(self, count):
        producer = Producer({"bootstrap.servers": self.broker, "linger.ms": 5})
        for _ in range(count):
            words = self.random.choices(VOCABULARY, k=self.random.randint(1, 8))
            self.straight.update(words)
            producer.produce(self.topic("lines"), key=str(self.lines), value=" ".join(words))
            self.lines += 1
        assert producer.flush(30) == 0, "lines are not acknowledged"

    def table(self, purpose):
        """A topic as a table: the newest value of each word."""
        consumer = Consumer({"bootstrap.servers": self.broker, "group.id": self.topic("reader"), "enable.auto.commit": False,
                             "enable.partition.eof": True, "auto.offset.reset": "earliest"})
        try:
            topic = self.topic(purpose)
            partitions = [TopicPartition(topic, p, 0) for p in range(PARTITIONS)]
            consumer.assign(partitions)
            ends, found = set(), {}
            while len(ends) < PARTITIONS:
                message = consumer.poll(30)
                assert message is not None, f"no end of {topic}"
                if message.error() is None:
                    found[message.key().decode()] = int(message.value())
                else:
                    ends.add(message.partition())
            return found
        finally:
            consumer.close()

    def counted_exactly(self, purpose):
        eventually(f"{purpose} are those of a straight count", lambda: self.table(purpose) == dict(self.straight), 90)

    # ------------------------------------------------------------------ cases

    def counts(self):
        """Nothing fails, so that each word is counted just once."""
        topics = [NewTopic(self.topic(purpose), PARTITIONS) for purpose in ("lines", "counts", "places")]
        for created in self.admin.create_topics(topics).values():
            created.result(30)
        self.write(300)
        self.start("a").prints("^state RUNNING")
        self.counted_exactly("counts")
        self.counted_exactly("places")

    def internal_topics(self):
        """Streams makes its own topics, configured as Streams wants them, and deletes what it has repartitioned."""
        wanted = {
            "words-repartition": {"cleanup.policy": "delete", "retention.ms": "-1", "segment.bytes": "52428800",
                                  "message.timestamp.type": "CreateTime"},
            "counts-changelog": {"cleanup.policy": "compact", "message.timestamp.type": "CreateTime"},
            "places-changelog": {"cleanup.policy": "compact", "message.timestamp.type": "CreateTime"},
        }
        for purpose, configs in wanted.items():
            resource = ConfigResource("topic", self.topic(purpose))
            found = self.admin.describe_configs([resource])[resource].result(30)
            values = {name: found[name].value for name in configs}
            assert values == configs, f"{purpose}: {values}"
            metadata = self.admin.list_topics(self.topic(purpose), 30)
            assert len(metadata.topics[self.topic(purpose)].partitions) == PARTITIONS, purpose
        consumer = Consumer({"bootstrap.servers": self.broker, "group.id": self.topic("reader")})

        def purged():
            marks = [consumer.get_watermark_offsets(TopicPartition(self.topic("words-repartition"), p), 30)
                     for p in range(PARTITIONS)]
            return sum(low for low, _ in marks) == sum(self.straight.values()) == sum(high for _, high in marks)
        eventually("what was repartitioned is deleted", purged)
        consumer.close()

    def instance_added(self):
        """A second instance takes over some of the tasks, and restores their state from the changelogs."""
        added = self.start("b")
        added.prints(r"^restored counts \d+ [1-9]", 90)
        added.prints("^state RUNNING")
        self.write(200)
        self.counted_exactly("counts")
        self.counted_exactly("places")

    def instance_killed(self):
        """The first is killed at work. What it had not committed is counted again by the second, and nothing is left out."""
        self.write(100)
        self.kill("a")
        self.write(100)
        self.counted_exactly("places")
        again = self.table("counts")
        fewer = {word: again.get(word) for word, count in self.straight.items() if again.get(word, 0) < count}
        assert not fewer, f"fewer than there are: {fewer}"

    def instance_restarted(self):
        """It comes back with an empty disk, and gets its tasks and their state again."""
        restarted = self.start("a", fresh=True)
        restarted.prints(r"^restored places \d+ [1-9]", 90)
        self.write(100)
        self.counted_exactly("places")

    def clean_stop(self):
        """After a clean stop the next start goes on where the last ended: each new word counts just once."""
        self.close_all()
        before = self.table("counts")
        written = self.straight.copy()
        self.write(100)
        self.start("b", "clean-up")
        wanted = {word: before[word] + self.straight[word] - written[word] for word in before}
        eventually("counts go on exactly", lambda: self.table("counts") == wanted, 90)
        self.counted_exactly("places")
        self.close("b")
        left = [entry.name for entry in os.scandir(os.path.join(self.work, "state-b", self.application)) if entry.is_dir()]
        assert not left, f"cleanUp leaves the state of tasks {left}"

    def reset(self):
        """kafka-streams-application-reset deletes the internal topics and sets the input back; then all is counted again."""
        def internal():
            return {topic for topic in self.admin.list_topics(timeout=30).topics if topic.startswith(self.application) and
                    topic.endswith(("-changelog", "-repartition"))}
        assert len(internal()) == 3, internal()
        def tried():
            command = ["java", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp",
                       f"{os.environ['JARS']}/*", "org.apache.kafka.tools.StreamsResetter", "--bootstrap-server", self.broker,
                       "--application-id", self.application, "--input-topics", self.topic("lines")]
            ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            # Streams leaves without a word: its members have to expire first.
            assert ran.returncode == 0 or "is still active" in ran.stderr + ran.stdout, ran.stdout + ran.stderr
            return ran.returncode == 0
        eventually("the application is reset", tried)
        eventually("internal topics are deleted", lambda: not internal())
        # New outputs: else the old counts would be taken for new ones.
        outputs = [self.topic("counts"), self.topic("places")]
        for deleted in self.admin.delete_topics(outputs).values():
            deleted.result(30)
        eventually("outputs are deleted", lambda: not set(outputs) & set(self.admin.list_topics(timeout=30).topics))
        for created in self.admin.create_topics([NewTopic(topic, PARTITIONS) for topic in outputs]).values():
            created.result(30)
        self.start("a", fresh=True)
        self.counted_exactly("counts")
        self.counted_exactly("places")
        self.close("a")


class ExactlyOnceTest(WordCountTest):
    """The same application with `exactly_once_v2`: whatever is killed, each word is counted just once."""

    def __init__(self, broker, work):
        super().__init__(broker, work)
        self.application = f"once{os.environ.get('RUN', '')}"

    def killed_again_and_again(self):
        topics = [NewTopic(self.topic(purpose), PARTITIONS) for purpose in ("lines", "counts", "places")]
        for created in self.admin.create_topics(topics).values():
            created.result(30)
        self.write(100)
        self.start("a", "exactly-once").prints("^state RUNNING")
        for kill in range(4):
            self.write(100)
            # In the middle of its transactions: some of what was written is counted, and not all.
            eventually("it is at work", lambda: sum(self.table("counts").values()) > 0)
            self.kill("a")
            self.write(50)
            self.start("a", "exactly-once", fresh=kill % 2 == 1)
        self.write(100)
        self.counted_exactly("counts")
        self.counted_exactly("places")
        self.close("a")


def main():
    broker = sys.argv[2]
    work = tempfile.mkdtemp(prefix="streams-")
    test = WordCountTest(broker, work)
    once = ExactlyOnceTest(broker, work)
    cases = [("streams-counts", test.counts), ("streams-internal-topics", test.internal_topics),
             ("streams-instance-added", test.instance_added), ("streams-instance-killed", test.instance_killed),
             ("streams-instance-restarted", test.instance_restarted), ("streams-clean-stop", test.clean_stop),
             ("streams-reset", test.reset), ("streams-exactly-once", once.killed_again_and_again)]
    code = 1
    try:
        code = processes.run_cases(cases)
    finally:
        for instance in [*test.running.values(), *once.running.values()]:
            instance.kill()
        if code == 0:
            shutil.rmtree(work)
        else:
            print(f"logs are in {work}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
