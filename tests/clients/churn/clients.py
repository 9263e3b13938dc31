"""The client libraries, how their member programs are started, and what they can do."""

import os
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CACHE = ROOT / "tests" / ".cache"


@dataclass(frozen=True)
class Client:
    """A client library with one way of assigning partitions."""

    name: str
    program: tuple
    protocol: str
    # Static membership (KIP-345).
    has_static: bool = True
    # Whether a member in it takes part in KIP-848.
    is_consumer_protocol: bool = False
    # Why its own leader may give a partition to two members; whether it does is not judged then.
    assigns_twice: str = ""
    # Why it may believe that it owns what it has lost when the coordinator ends; it is not judged then.
    loses_coordinator: str = ""
    env: dict = field(default_factory=dict, hash=False)

    @property
    def command(self):
        return [str(part) for part in self.program]


def _python(file):
    return (CACHE / "venv/bin/python", HERE / "members" / file)


JARS = os.environ.get("JARS", str(CACHE / "jars"))
# Many of them start at once on few cores.
JAVA_OPTIONS = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")

CONFLUENT = _python("confluent_member.py")
KAFKA_PYTHON = _python("kafka_python_member.py")
AIOKAFKA = _python("aiokafka_member.py")
JAVA = ("java", *JAVA_OPTIONS, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{CACHE}/java:{JARS}/*", "ChurnMember")
FRANZ = (CACHE / "franz-churn",)
KAFKAJS = ("node", HERE / "members" / "member.js")
NODE_MODULES = {"NODE_PATH": str(ROOT / "tests/clients/node/node_modules")}

CLIENTS = [
    Client("librdkafka-range", CONFLUENT, "range"),
    Client("librdkafka-roundrobin", CONFLUENT, "roundrobin"),
    Client("librdkafka-cooperative", CONFLUENT, "cooperative-sticky"),
    Client("librdkafka-consumer", CONFLUENT, "consumer", is_consumer_protocol=True),
    Client("java-range", JAVA, "range"),
    Client("java-sticky", JAVA, "sticky"),
    Client("java-cooperative", JAVA, "cooperative-sticky"),
    Client("java-consumer", JAVA, "consumer", is_consumer_protocol=True),
    Client("franz-range", FRANZ, "range"),
    Client("franz-cooperative", FRANZ, "cooperative-sticky"),
    Client("kafka-python-range", KAFKA_PYTHON, "range"),
    Client(
        "kafka-python-cooperative",
        KAFKA_PYTHON,
        "cooperative-sticky",
        assigns_twice="a member claims what it owned before it was lost, and its leader believes it",
    ),
    Client("aiokafka-range", AIOKAFKA, "range"),
    Client("aiokafka-roundrobin", AIOKAFKA, "roundrobin"),
    Client(
        "kafkajs",
        KAFKAJS,
        "RoundRobinAssigner",
        has_static=False,
        loses_coordinator="it looks for the new coordinator after it has crashed, which may be after its session",
        env=NODE_MODULES,
    ),
]
