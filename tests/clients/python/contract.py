"""The records of the contract (see ../README.md), and what runs cases."""

import os
import sys
import time
import traceback
from collections import namedtuple

PARTITIONS = 3
RECORDS = 40
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
RUN = os.environ.get("RUN", "")
ALL_BYTES = bytes(range(256))
BASE_TIMESTAMP = 1_700_000_000_000
READ_WITHIN = 60
# Retention would delete records with timestamps as old as these.
FOREVER = {"retention.ms": "-1"}

# headers is a list of (name, bytes or None); timestamp is None where it is not fixed.
Record = namedtuple("Record", "key value headers timestamp")


class Expected(Exception):
    """This client is known not to do it; the text says why."""


def topic_of(writer, codec, profile="full"):
    return f"xc{RUN}-{writer}-{codec}-{profile}"


def named(purpose, client):
    """A topic or group name of this client's own."""
    return f"{client}-{purpose}{RUN}"


def records(partition, profile="full"):
    return [record(partition, i, profile) for i in range(RECORDS)]


def record(p, i, profile):
    if profile == "plain":
        key = None if i % 5 == 0 else f"key-{p}-{i}".encode()
        value = None if i % 7 == 0 else f"value-{p}-{i}".encode()
        return Record(key, value, [], None)
    key = {0: None, 1: b"", 4: ALL_BYTES}.get(i % 5, f"key-{p}-{i}".encode())
    value = {0: None, 1: b"", 2: bytes((31 * p + 7 * i + j) % 251 for j in range(2000))}
    value = value.get(i % 7, f"value-{p}-{i}-é".encode())
    if profile in ("keyed", "strict") and key is None and value is None:
        key = f"key-{p}-{i}".encode()
    headers = []
    if i % 3 == 1:
        headers = [("a", b"1"), ("a", b"2"), ("b", b"")]
        if profile not in ("nonull", "strict"):
            headers.append(("n", None))
    elif i % 3 == 2:
        headers = [("h", ALL_BYTES)]
    return Record(key, value, headers, BASE_TIMESTAMP + 1_000_000 * p + 1000 * i)


def compare(topic, partition, offset, found):
    """Fails unless `found` is what the contract has at that place."""
    profile = topic.rsplit("-", 1)[1]
    wanted = record(partition, offset, profile)
    if wanted.timestamp is None:
        found = found._replace(timestamp=None)
    for field in Record._fields:
        a, b = getattr(wanted, field), getattr(found, field)
        assert a == b, f"{topic}/{partition}@{offset} {field}: wanted {a!r}, found {b!r}"


class Comparison:
    """Checks records as they come, from every partition in offset order."""

    def __init__(self, topic):
        self.topic = topic
        self.next = [0] * PARTITIONS
        self.deadline = time.monotonic() + READ_WITHIN

    def add(self, partition, offset, found):
        assert offset == self.next[partition], (
            f"{self.topic}/{partition}: offset {offset} instead of {self.next[partition]}"
        )
        assert offset < RECORDS, f"{self.topic}/{partition}: more than was written"
        compare(self.topic, partition, offset, found)
        self.next[partition] += 1

    def complete(self):
        if all(offset == RECORDS for offset in self.next):
            return True
        assert time.monotonic() < self.deadline, f"{self.topic}: only {self.next} came"
        return False


def eventually(what, check, within=30):
    """Asks again until it is so."""
    deadline = time.monotonic() + within
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(0.05)


def run(cases):
    """Runs (name, function) pairs; returns the exit code."""
    failed = 0
    for name, case in cases:
        try:
            case()
            print(f"ok {name}", flush=True)
        except Expected as why:
            print(f"expected {name}: {why}", flush=True)
        except Exception as error:  # a suite goes on with the next case
            failed += 1
            line = " ".join(str(error).split()) or type(error).__name__
            print(f"FAIL {name}: {type(error).__name__}: {line}", flush=True)
            traceback.print_exc()
    return 1 if failed else 0


def main(client, write, verify, cases, codecs=CODECS, profile="full"):
    """`write(bootstrap, codec, topic)`, `verify(bootstrap, topic)`, `cases(bootstrap)`."""
    mode, bootstrap, topics = sys.argv[1], sys.argv[2], sys.argv[3:]
    if mode == "write":
        pairs = [(codec, topic_of(client, codec, profile)) for codec in codecs]
        todo = [
            (f"write {topic}", lambda codec=codec, topic=topic: write(bootstrap, codec, topic))
            for codec, topic in pairs
        ]
    elif mode == "verify":
        todo = [
            (f"verify {topic}", lambda topic=topic: verify(bootstrap, topic)) for topic in topics
        ]
    else:
        todo = cases(bootstrap)
    sys.exit(run(todo))
