"""kcat, as Debian ships it: an older librdkafka, driven from the shell.

It writes text only, so it has the profile `plain`; it reads every profile, length-prefixed.
"""

import subprocess

from confluent_kafka.admin import AdminClient, NewTopic

import contract
from contract import PARTITIONS, Record, named

CLIENT = "kcat"
# The end of a partition is known once a fetch comes back empty.
WAIT = "fetch.wait.max.ms=20"
# kcat's own format: lengths first (-1 is null), then the bytes.
FORMAT = "%p %o %T %K %S\n%k%s\n%h\n"


def kcat(*args, stdin=b"", within=60):
    done = subprocess.run(["kcat", *args], input=stdin, capture_output=True, timeout=within)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def create(bootstrap, topic, partitions=PARTITIONS):
    new = NewTopic(topic, num_partitions=partitions, replication_factor=1)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([new])[topic].result(30)


def write(bootstrap, codec, topic):
    create(bootstrap, topic)
    for partition in range(PARTITIONS):
        lines = [
            (record.key or b"") + b"\t" + (record.value or b"")
            for record in contract.records(partition, "plain")
        ]
        args = ["-P", "-b", bootstrap, "-t", topic, "-p", str(partition), "-K", "\t", "-Z"]
        kcat(*args, "-z", codec, stdin=b"\n".join(lines))


def rendered(headers):
    """Headers as kcat prints them: a value ends at its first zero byte."""
    values = [(name, b"NULL" if value is None else value) for name, value in headers]
    return b",".join(name.encode() + b"=" + value.split(b"\0")[0] for name, value in values)


def parse(topic, output):
    at = 0
    while at < len(output):
        end = output.index(b"\n", at)
        partition, offset, timestamp, key_length, length = map(int, output[at:end].split())
        at = end + 1
        key = None if key_length < 0 else output[at : at + key_length]
        at += max(key_length, 0)
        value = None if length < 0 else output[at : at + length]
        at += max(length, 0) + 1
        wanted = contract.record(partition, offset, topic.rsplit("-", 1)[1]).headers
        text = rendered(wanted)
        assert output[at : at + len(text) + 1] == text + b"\n", f"headers of {partition}@{offset}"
        at += len(text) + 1
        yield partition, offset, Record(key, value, wanted, timestamp)


def verify(bootstrap, topic):
    comparison = contract.Comparison(topic)
    args = ["-C", "-b", bootstrap, "-t", topic, "-o", "beginning", "-e", "-q"]
    for partition in range(PARTITIONS):
        output = kcat(*args, "-p", str(partition), "-X", WAIT, "-X", "check.crcs=true", "-f", FORMAT)
        for partition, offset, found in parse(topic, output):
            comparison.add(partition, offset, found)
    assert comparison.complete(), comparison.next


def cases(bootstrap):
    topic = named("cases", CLIENT)

    def metadata():
        create(bootstrap, topic, 2)
        output = kcat("-L", "-b", bootstrap, "-t", topic).decode()
        assert f'topic "{topic}" with 2 partitions' in output, output

    def produce_and_consume():
        kcat("-P", "-b", bootstrap, "-t", topic, "-p", "1", stdin=b"a\nb\nc")
        args = ["-C", "-b", bootstrap, "-t", topic, "-p", "1", "-e", "-q"]
        assert kcat(*args, "-o", "beginning") == b"a\nb\nc\n"
        assert kcat(*args, "-o", "-1") == b"c\n"
        assert kcat(*args, "-o", "1", "-c", "1") == b"b\n"

    def headers():
        name = named("headers", CLIENT)
        create(bootstrap, name, 1)
        args = ["-P", "-b", bootstrap, "-t", name, "-p", "0", "-H", "a=1", "-H", "a=2", "-H", "n"]
        kcat(*args, stdin=b"x")
        args = ["-C", "-b", bootstrap, "-t", name, "-p", "0", "-e", "-q", "-f", "%h"]
        assert kcat(*args) == b"a=1,a=2,n=NULL"

    def offsets():
        found = kcat("-Q", "-b", bootstrap, "-t", f"{topic}:1:-1").decode()
        assert "offset 3" in found, found
        found = kcat("-Q", "-b", bootstrap, "-t", f"{topic}:1:1000").decode()
        assert "offset 0" in found, found

    def idempotent():
        name = named("idempotent", CLIENT)
        create(bootstrap, name, 1)
        lines = b"\n".join(str(i).encode() for i in range(500))
        args = ["-P", "-b", bootstrap, "-t", name, "-p", "0", "-X", "enable.idempotence=true"]
        kcat(*args, "-X", "batch.num.messages=20", stdin=lines)
        args = ["-C", "-b", bootstrap, "-t", name, "-p", "0", "-e", "-q"]
        assert kcat(*args, "-o", "beginning") == lines + b"\n"

    def group():
        args = ["-b", bootstrap, "-G", named("group", CLIENT), "-e", "-q"]
        args += ["-X", "auto.offset.reset=earliest", "-X", "enable.partition.eof=true"]
        assert kcat(*args, topic) == b"a\nb\nc\n"
        kcat("-P", "-b", bootstrap, "-t", topic, "-p", "1", stdin=b"d")
        assert kcat(*args, topic) == b"d\n", "it does not resume where it had committed"

    def end_offset_after_all():
        found = kcat("-Q", "-b", bootstrap, "-t", f"{topic}:1:-1").decode()
        assert "offset 4" in found, found

    listed = [metadata, produce_and_consume, headers, offsets, idempotent, group]
    listed.append(end_offset_after_all)
    return [(case.__name__.replace("_", "-"), case) for case in listed]


if __name__ == "__main__":
    contract.main(CLIENT, write, verify, cases, profile="plain")
