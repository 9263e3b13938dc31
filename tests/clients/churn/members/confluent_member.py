"""A group member on confluent-kafka (librdkafka)."""

import struct

from confluent_kafka import Consumer, KafkaException, TopicPartition

import member
from member import emit

METADATA_MAGIC = b"CGMDv2:"


class Member:
    def __init__(self, arguments):
        self.topic = arguments["topic"]
        self.auto = arguments["commit"] == "auto"
        self.control = member.Control()
        self.consumer = Consumer(self.config(arguments), logger=None)

    def config(self, arguments):
        config = {
            "bootstrap.servers": arguments["bootstrap"],
            "group.id": arguments["group"],
            "client.id": arguments["name"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": self.auto,
            # Stored after the record is printed: what is committed was processed.
            "enable.auto.offset.store": False,
            "auto.commit.interval.ms": 500,
            "topic.metadata.refresh.interval.ms": 1000,
            "fetch.wait.max.ms": 250,
            "log_level": 2,
        }
        if arguments["protocol"] == "consumer":
            config["group.protocol"] = "consumer"
        else:
            config["partition.assignment.strategy"] = arguments["protocol"]
            config["session.timeout.ms"] = int(arguments["session_ms"])
            config["heartbeat.interval.ms"] = 500
        if "instance" in arguments:
            config["group.instance.id"] = arguments["instance"]
        return config

    def generation(self):
        """Or the member epoch; -1 for none. It is shown nowhere but in what transactions are given."""
        described = self.consumer.consumer_group_metadata()
        return struct.unpack_from("=i", described, len(METADATA_MAGIC))[0]

    def on(self, event):
        def happened(_, partitions):
            more = {"generation": self.generation(), "member": self.consumer.memberid()}
            emit(event, partitions=[p.partition for p in partitions], **more)

        return happened

    def commit(self, offsets, late=False):
        wanted = [TopicPartition(self.topic, p, o) for p, o in offsets.items()]
        try:
            done = self.consumer.commit(offsets=wanted, asynchronous=False)
        except KafkaException as error:
            emit("commit_failed", error=error.args[0].name(), late=late)
            return
        failed = [p.error.name() for p in done if p.error]
        if failed:
            emit("commit_failed", error=failed[0], late=late)
        else:
            emit("committed", offsets=offsets, late=late)

    def consume(self):
        messages = self.consumer.consume(100, timeout=0.1)
        good = [m for m in messages if not m.error()]
        for message in messages:
            if message.error():
                emit("error", error=str(message.error()))
        member.records((m.partition(), m.offset(), m.value().decode()) for m in good)
        offsets = {m.partition(): m.offset() + 1 for m in good}
        if not offsets:
            return
        if not self.auto:
            return self.commit(offsets)
        for partition, offset in offsets.items():
            try:
                self.consumer.store_offsets(offsets=[TopicPartition(self.topic, partition, offset)])
            except KafkaException as error:
                emit("commit_failed", error=error.args[0].name(), late=False)

    def run(self):
        self.consumer.subscribe(
            [self.topic],
            on_assign=self.on("assigned"),
            on_revoke=self.on("revoked"),
            on_lost=self.on("lost"),
        )
        while not self.control.ended:
            late = self.control.stall()
            if late:
                self.commit(dict([late]), late=True)
            self.consume()
        self.consumer.close()
        emit("closed")


Member(member.arguments()).run()
