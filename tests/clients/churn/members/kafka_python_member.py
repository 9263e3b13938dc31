"""A group member on kafka-python."""

import logging

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

import member
from member import emit

# SUBTLE: kafka-python 3.0.12 drops the assignment if a poll ends while a leader that joined because of a topic that has
# grown waits for it. So a poll has to be longer than a rebalance.
POLL_MS = 5000


class Range(RangePartitionAssignor):
    """SUBTLE: that of kafka-python 3.0.12 forgets members if static ones are listed among others, as Kafka may do."""

    @classmethod
    def assign(cls, cluster, members):
        return super().assign(cluster, sorted(members, key=lambda m: m.group_instance_id is None))


ASSIGNORS = {
    "range": Range,
    "cooperative-sticky": CooperativeStickyAssignor,
}


class Listener(ConsumerRebalanceListener):
    def __init__(self, consumer):
        self.consumer = consumer

    def emit(self, event, partitions):
        # The library shows the generation nowhere else.
        generation = self.consumer._coordinator._generation
        more = {"generation": generation.generation_id, "member": generation.member_id}
        emit(event, partitions=sorted(p.partition for p in partitions), **more)

    def on_partitions_revoked(self, revoked):
        self.emit("revoked", revoked)

    def on_partitions_assigned(self, assigned):
        self.emit("assigned", assigned)

    def on_partitions_lost(self, lost):
        self.emit("lost", lost)


class Member:
    def __init__(self, arguments):
        self.topic = arguments["topic"]
        self.auto = arguments["commit"] == "auto"
        self.control = member.Control()
        self.consumer = KafkaConsumer(
            bootstrap_servers=arguments["bootstrap"].split(","),
            group_id=arguments["group"],
            group_instance_id=arguments.get("instance"),
            client_id=arguments["name"],
            partition_assignment_strategy=[ASSIGNORS[arguments["protocol"]]],
            session_timeout_ms=int(arguments["session_ms"]),
            heartbeat_interval_ms=500,
            metadata_max_age_ms=1000,
            auto_offset_reset="earliest",
            enable_auto_commit=self.auto,
            auto_commit_interval_ms=500,
            fetch_max_wait_ms=250,
        )

    def commit(self, offsets, late=False):
        wanted = {TopicPartition(self.topic, p): OffsetAndMetadata(o, "", -1) for p, o in offsets.items()}
        try:
            self.consumer.commit(wanted)
        except KafkaError as error:
            emit("commit_failed", error=type(error).__name__, late=late)
        else:
            emit("committed", offsets=offsets, late=late)

    def consume(self):
        offsets = {}
        for partition, batch in self.consumer.poll(timeout_ms=POLL_MS, max_records=100).items():
            member.records((r.partition, r.offset, r.value.decode()) for r in batch)
            offsets[partition.partition] = batch[-1].offset + 1
        if offsets and not self.auto:
            self.commit(offsets)

    def run(self):
        self.consumer.subscribe([self.topic], listener=Listener(self.consumer))
        while not self.control.ended:
            late = self.control.stall()
            if late:
                self.commit(dict([late]), late=True)
            self.consume()
        self.consumer.close()
        emit("closed")


logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
Member(member.arguments()).run()
