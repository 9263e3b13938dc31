"""A group member on aiokafka."""

import asyncio
import logging

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError

import member
from member import emit

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


class Listener(ConsumerRebalanceListener):
    def __init__(self, consumer):
        self.consumer = consumer

    def emit(self, event, partitions):
        # The library shows the generation nowhere else.
        coordinator = self.consumer._coordinator
        more = {"generation": coordinator.generation, "member": coordinator.member_id}
        emit(event, partitions=sorted(p.partition for p in partitions), **more)

    def on_partitions_revoked(self, revoked):
        # There is no other call for what it has lost; its member id is another, or none, then.
        self.emit("revoked", revoked)

    def on_partitions_assigned(self, assigned):
        self.emit("assigned", assigned)


class Member:
    def __init__(self, arguments):
        self.topic = arguments["topic"]
        self.auto = arguments["commit"] == "auto"
        self.control = member.Control()
        self.consumer = AIOKafkaConsumer(
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

    async def commit(self, offsets, late=False):
        try:
            await self.consumer.commit({TopicPartition(self.topic, p): o for p, o in offsets.items()})
        except (KafkaError, IllegalStateError) as error:
            # IllegalStateError: it knows already that it does not own the partition.
            emit("commit_failed", error=type(error).__name__, late=late)
        else:
            emit("committed", offsets=offsets, late=late)

    async def consume(self):
        offsets = {}
        found = await self.consumer.getmany(timeout_ms=100, max_records=100)
        for partition, batch in found.items():
            member.records((r.partition, r.offset, r.value.decode()) for r in batch)
            offsets[partition.partition] = batch[-1].offset + 1
        if offsets and not self.auto:
            await self.commit(offsets)

    async def run(self):
        await self.consumer.start()
        self.consumer.subscribe([self.topic], listener=Listener(self.consumer))
        while not self.control.ended:
            # SUBTLE: it waits there without letting the event loop run, as a process that hangs.
            late = self.control.stall()
            if late:
                await self.commit(dict([late]), late=True)
            await self.consume()
        await self.consumer.stop()
        emit("closed")


async def main():
    await Member(member.arguments()).run()


logging.basicConfig(level=logging.WARNING)
asyncio.run(main())
