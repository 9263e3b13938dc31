"""The few requests with which the driver looks at brokers and groups, spoken directly.

Not by a client library: what is seen must not depend on one that caches, and librdkafka's admin client aborts
the process if a broker is killed while it lists groups.
"""

import io
import socket
import struct

FETCH_OFFSETS, FIND_COORDINATOR, LIST_GROUPS, API_VERSIONS = 9, 10, 16, 18


class NoAnswer(Exception):
    """Nobody answers, or with an error; whoever asks may ask again."""


class Answer:
    """Reads an answer's fields, one after the other."""

    def __init__(self, body):
        self._body = io.BytesIO(body)

    def number(self, form):
        return struct.unpack(f">{form}", self._body.read(struct.calcsize(form)))[0]

    def text(self):
        length = self.number("h")
        return self._body.read(length).decode() if length >= 0 else None

    def varint(self):
        value = shift = 0
        while True:
            byte = self.number("B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def compact_text(self):
        length = self.varint()
        return self._body.read(length - 1).decode() if length else None

    def no_tags(self):
        assert self.varint() == 0, "tagged fields"

    def checked(self):
        """An error code, which must be none."""
        error = self.number("h")
        if error:
            raise NoAnswer(f"error {error}")


def text(value):
    data = value.encode()
    return struct.pack(">h", len(data)) + data


def ask(address, key, version, body, is_flexible=False):
    """The answer of the broker at HOST:PORT, behind its header."""
    host, port = address.split(":")
    header = struct.pack(">hhi", key, version, 5) + text("churn") + (b"\0" if is_flexible else b"")
    try:
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(struct.pack(">i", len(header + body)) + header + body)
            stream = connection.makefile("rb")
            (size,) = struct.unpack(">i", stream.read(4))
            data = stream.read(size)
        if len(data) < size:
            raise NoAnswer("the connection was closed")
    except (OSError, struct.error) as error:
        raise NoAnswer(str(error)) from error
    return Answer(data[5:] if is_flexible else data[4:])


def advertised(address):
    """The keys of the APIs that a broker has."""
    answer = ask(address, API_VERSIONS, 0, b"")
    answer.checked()
    rows = [[answer.number("h") for _ in range(3)] for _ in range(answer.number("i"))]
    return {key for key, _, _ in rows}


def coordinator_of(bootstrap, group):
    """HOST:PORT of who coordinates a group, by the first of the brokers that answers."""
    failed = NoAnswer("no brokers")
    for address in bootstrap.split(","):
        try:
            answer = ask(address, FIND_COORDINATOR, 0, text(group))
            answer.checked()
        except NoAnswer as error:
            failed = error
            continue
        answer.number("i")
        host = answer.text()
        return f"{host}:{answer.number('i')}"
    raise failed


def committed(address, group):
    """The committed offsets of a group by (topic, partition), as its coordinator tells them."""
    answer = ask(address, FETCH_OFFSETS, 5, text(group) + struct.pack(">i", -1))
    answer.number("i")
    offsets = {}
    for _ in range(answer.number("i")):
        topic = answer.text()
        for _ in range(answer.number("i")):
            partition, offset = answer.number("i"), answer.number("q")
            answer.number("i")
            answer.text()
            answer.checked()
            offsets[topic, partition] = offset
    answer.checked()
    return offsets


def state(address, group):
    """The state of a group of either protocol, as its coordinator lists it; None if it does not."""
    answer = ask(address, LIST_GROUPS, 5, b"\1\1\0", is_flexible=True)
    answer.number("i")
    answer.checked()
    for _ in range(answer.varint() - 1):
        found, _, state, _ = (answer.compact_text() for _ in range(4))
        answer.no_tags()
        if found == group:
            return state
    return None
