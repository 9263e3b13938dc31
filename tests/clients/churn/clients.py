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
    # Why it goes on late when its coordinator ends.
    finds_coordinator_late: str = ""
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
# Beside this file, and beside the cache, which several checkouts may share.
NODE_MODULES = [ROOT / "tests/clients/node/node_modules", CACHE.resolve().parent / "clients/node/node_modules"]
NODE_PATH = {"NODE_PATH": os.pathsep.join([*map(str, NODE_MODULES), os.environ.get("NODE_PATH", "")])}

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
        finds_coordinator_late="it looks for the new coordinator only after it has given up and begun again",
        env=NODE_PATH,
    ),
]

# One of each library and protocol.
REPRESENTATIVES = (
    "librdkafka-range",
    "librdkafka-consumer",
    "java-range",
    "java-cooperative",
    "java-consumer",
    "franz-cooperative",
    "kafka-python-range",
    "aiokafka-range",
    "kafkajs",
)


def picked():
    """The clients that CLIENTS in the environment asks for: all, representatives, or by parts of their names."""
    parts = os.environ.get("CLIENTS", "").split()
    for client in CLIENTS:
        if not parts or any(part in client.name for part in parts):
            yield client
        elif "representatives" in parts and client.name in REPRESENTATIVES:
            yield client
