"""aiokafka."""

import asyncio
import contextlib

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError, OffsetOutOfRangeError, ProducerFenced

import contract
from contract import PARTITIONS, RECORDS, Record, named

CLIENT = "aiokafka"
ALREADY_EXISTS = 36
INVALID_CONFIG = 40
POLL_WITHIN = 60


@contextlib.asynccontextmanager
async def admin_of(bootstrap):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def create(bootstrap, topic, partitions=PARTITIONS, configs=None, validate_only=False):
    """Returns the error code."""
    new = NewTopic(topic, partitions, 1, topic_configs=configs or {})
    async with admin_of(bootstrap) as admin:
        response = await admin.create_topics([new], validate_only=validate_only)
    return response.topic_errors[0][1]


async def send(bootstrap, topic, values, timestamp_ms=None, **settings):
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, **settings) as producer:
        futures = [
            await producer.send(topic, value, partition=0, timestamp_ms=timestamp_ms)
            for value in values
        ]
        await producer.flush()
        return [await future for future in futures]


def consumer_of(bootstrap, *topics, **settings):
    settings.setdefault("auto_offset_reset", "earliest")
    return AIOKafkaConsumer(
        *topics, bootstrap_servers=bootstrap, enable_auto_commit=False, **settings
    )


async def take(consumer, count):
    async def collect():
        return [await consumer.getone() for _ in range(count)]

    return await asyncio.wait_for(collect(), POLL_WITHIN)


async def write(bootstrap, codec, topic):
    error = await create(bootstrap, topic, configs=contract.FOREVER)
    assert error == 0, error
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        compression_type=None if codec == "none" else codec,
        enable_idempotence=True,
        linger_ms=5,
    )
    async with producer:
        futures = [
            await producer.send(
                topic,
                partition=partition,
                key=record.key,
                value=record.value,
                headers=record.headers,
                timestamp_ms=record.timestamp,
            )
            for partition in range(PARTITIONS)
            for record in contract.records(partition, "keyed")
        ]
        await producer.flush()
        for future in futures:
            await future


async def verify(bootstrap, topic):
    async with consumer_of(bootstrap, check_crcs=True) as consumer:
        partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        comparison = contract.Comparison(topic)
        while not comparison.complete():
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                for found in batch:
                    record = Record(found.key, found.value, list(found.headers), found.timestamp)
                    comparison.add(found.partition, found.offset, record)
        ends = await consumer.end_offsets(partitions)
        assert set(ends.values()) == {RECORDS}, ends


def cases(bootstrap):
    topic = named("cases", CLIENT)

    async def admin():
        assert await create(bootstrap, topic, 4, {"retention.ms": "86400000"}) == 0
        assert await create(bootstrap, topic) == ALREADY_EXISTS
        name = named("invalid", CLIENT)
        assert await create(bootstrap, name, 1, {"no.such.config": "1"}) == INVALID_CONFIG
        assert await create(bootstrap, name, validate_only=True) == 0
        async with admin_of(bootstrap) as client:
            topics = await client.list_topics()
            assert topic in topics and name not in topics
            found = (await client.describe_topics([topic]))[0]
            assert len(found["partitions"]) == 4, found
            resource = ConfigResource(ConfigResourceType.TOPIC, topic)
            assert "86400000" in str(await client.describe_configs([resource]))
            await client.delete_topics([topic])
            for _ in range(100):
                if topic not in await client.list_topics():
                    return
                await asyncio.sleep(0.1)
            raise AssertionError("the topic is still there")

    async def acks():
        name = named("acks", CLIENT)
        await create(bootstrap, name, 1)
        async with consumer_of(bootstrap) as consumer:
            consumer.assign([TopicPartition(name, 0)])
            for acks in [0, 1, "all"]:
                values = [f"{acks}-{i}".encode() for i in range(10)]
                await send(bootstrap, name, values, acks=acks)
                assert [record.value for record in await take(consumer, 10)] == values

    async def idempotent_offsets():
        name = named("idempotent", CLIENT)
        await create(bootstrap, name, 1)
        values = [str(i).encode() * 100 for i in range(500)]
        sent = await send(bootstrap, name, values, enable_idempotence=True, max_batch_size=2000)
        assert [metadata.offset for metadata in sent] == list(range(500))

    async def offsets():
        name = named("offsets", CLIENT)
        await create(bootstrap, name, 1, contract.FOREVER)
        for i in range(5):
            await send(bootstrap, name, [b"x"], timestamp_ms=contract.BASE_TIMESTAMP + 1000 * i)
        partition = TopicPartition(name, 0)
        async with consumer_of(bootstrap) as consumer:
            assert await consumer.beginning_offsets([partition]) == {partition: 0}
            assert await consumer.end_offsets([partition]) == {partition: 5}
            for milliseconds, wanted in [(-1000, 0), (1500, 2), (4000, 4), (4001, None)]:
                at = {partition: contract.BASE_TIMESTAMP + milliseconds}
                found = (await consumer.offsets_for_times(at))[partition]
                found = found and found.offset
                assert found == wanted, f"+{milliseconds} ms: {found} instead of {wanted}"

    async def group_commit_and_resume():
        name = named("group", CLIENT)
        group = named("resumed", CLIENT)
        await create(bootstrap, name, 1)
        await send(bootstrap, name, [str(i).encode() for i in range(20)])
        async with consumer_of(bootstrap, name, group_id=group) as consumer:
            await take(consumer, 20)
            await consumer.commit({TopicPartition(name, 0): 10})
        async with consumer_of(bootstrap, name, group_id=group) as consumer:
            assert (await take(consumer, 1))[0].value == b"10"
            assert await consumer.committed(TopicPartition(name, 0)) == 10

    async def message_too_large():
        name = named("large", CLIENT)
        await create(bootstrap, name, 1, {"max.message.bytes": "10000"})
        await send(bootstrap, name, [b"x" * 9000])
        try:
            await send(bootstrap, name, [b"x" * 10_001])
        except MessageSizeTooLargeError:
            return
        raise AssertionError("it was accepted")

    async def offset_out_of_range():
        name = named("range", CLIENT)
        await create(bootstrap, name, 1)
        await send(bootstrap, name, [b"a", b"b"])
        partition = TopicPartition(name, 0)
        async with consumer_of(bootstrap) as consumer:
            consumer.assign([partition])
            consumer.seek(partition, 99)
            assert (await take(consumer, 1))[0].value == b"a"
        async with consumer_of(bootstrap, auto_offset_reset="none") as consumer:
            consumer.assign([partition])
            consumer.seek(partition, 99)
            try:
                await take(consumer, 1)
            except OffsetOutOfRangeError:
                return
            raise AssertionError("it read from an offset that is not there")

    async def transactions():
        name, group = named("txn", CLIENT), named("txn-group", CLIENT)
        await create(bootstrap, name, 1)
        partition = TopicPartition(name, 0)
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=name)
        async with producer:
            for round in range(6):
                await producer.begin_transaction()
                await producer.send_and_wait(name, f"{round}".encode(), partition=0)
                await producer.send_offsets_to_transaction({partition: 10 + round}, group)
                if round % 2 == 0:
                    await producer.commit_transaction()
                else:
                    await producer.abort_transaction()
            await producer.begin_transaction()
            await producer.send_and_wait(name, b"zombie", partition=0)
            async with AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=name):
                try:
                    await producer.commit_transaction()
                    raise AssertionError("a fenced producer committed")
                except ProducerFenced:
                    pass
        async with consumer_of(bootstrap, isolation_level="read_committed") as consumer:
            consumer.assign([partition])
            await consumer.seek_to_beginning()
            values = [record.value for record in await take(consumer, 3)]
            assert values == [b"0", b"2", b"4"], values
            extra = await consumer.getmany(timeout_ms=1000)
            assert not extra, extra
        async with consumer_of(bootstrap, group_id=group) as consumer:
            consumer.assign([partition])
            assert await consumer.committed(partition) == 14

    listed = [
        admin,
        acks,
        idempotent_offsets,
        offsets,
        group_commit_and_resume,
        message_too_large,
        offset_out_of_range,
        transactions,
    ]
    return [
        (case.__name__.replace("_", "-"), lambda case=case: asyncio.run(case())) for case in listed
    ]


if __name__ == "__main__":
    contract.main(
        CLIENT,
        lambda *args: asyncio.run(write(*args)),
        lambda *args: asyncio.run(verify(*args)),
        cases,
        profile="keyed",
    )
