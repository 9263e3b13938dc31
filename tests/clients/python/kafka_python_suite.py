"""kafka-python."""

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    InvalidConfigurationError,
    MessageSizeTooLargeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)
from kafka.structs import OffsetAndMetadata

import contract
from contract import PARTITIONS, RECORDS, Record, eventually, named

CLIENT = "kafkapython"


class Admin:
    """An admin client for one block of code."""

    def __init__(self, bootstrap):
        self.client = KafkaAdminClient(bootstrap_servers=bootstrap)

    def __enter__(self):
        return self.client

    def __exit__(self, *_):
        self.client.close()


def create(bootstrap, topic, partitions=PARTITIONS, configs=None, validate_only=False):
    new = {topic: {"num_partitions": partitions, "replication_factor": 1, "configs": configs or {}}}
    with Admin(bootstrap) as admin:
        admin.create_topics(new, validate_only=validate_only)


def consumer_of(bootstrap, **settings):
    settings.setdefault("auto_offset_reset", "earliest")
    return KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, **settings)


def send(bootstrap, topic, values, timestamp_ms=None, **settings):
    producer = KafkaProducer(bootstrap_servers=bootstrap, **settings)
    try:
        futures = [
            producer.send(topic, value=value, partition=0, timestamp_ms=timestamp_ms)
            for value in values
        ]
        producer.flush(timeout=30)
        return [future.get(timeout=30) for future in futures]
    finally:
        producer.close(timeout=10)


def poll(consumer, count, within=30):
    found = []

    def more():
        for batch in consumer.poll(timeout_ms=200).values():
            found.extend(batch)
        return len(found) >= count

    eventually(f"{count} records", more, within)
    return found


def fails_with(kind, action):
    try:
        action()
    except kind:
        return
    raise AssertionError(f"it worked, instead of failing with {kind.__name__}")


def write(bootstrap, codec, topic):
    create(bootstrap, topic, configs=contract.FOREVER)
    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        compression_type=None if codec == "none" else codec,
        linger_ms=5,
    )
    futures = [
        producer.send(
            topic,
            partition=partition,
            key=record.key,
            value=record.value,
            headers=record.headers,
            timestamp_ms=record.timestamp,
        )
        for partition in range(PARTITIONS)
        for record in contract.records(partition, "strict")
    ]
    producer.flush(timeout=60)
    for future in futures:
        future.get(timeout=30)
    producer.close(timeout=10)


def verify(bootstrap, topic):
    consumer = consumer_of(bootstrap, check_crcs=True)
    partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    comparison = contract.Comparison(topic)
    while not comparison.complete():
        for batch in consumer.poll(timeout_ms=200).values():
            for found in batch:
                record = Record(found.key, found.value, list(found.headers), found.timestamp)
                comparison.add(found.partition, found.offset, record)
    ends = consumer.end_offsets(partitions)
    assert set(ends.values()) == {RECORDS}, ends
    consumer.close()


def cases(bootstrap):
    topic = named("cases", CLIENT)

    def admin_create():
        create(bootstrap, topic, 4, {"retention.ms": "86400000"})
        with Admin(bootstrap) as admin:
            eventually("the topic in metadata", lambda: topic in admin.list_topics())
            found = admin.describe_topics([topic])[0]
            assert len(found["partitions"]) == 4, found
            assert admin.describe_cluster()["brokers"]

    def admin_create_validate_only():
        name = named("validated", CLIENT)
        create(bootstrap, name, validate_only=True)
        with Admin(bootstrap) as admin:
            assert name not in admin.list_topics()

    def admin_create_existing():
        fails_with(TopicAlreadyExistsError, lambda: create(bootstrap, topic))

    def admin_create_invalid():
        name = named("invalid", CLIENT)
        config = {"no.such.config": "1"}
        fails_with(InvalidConfigurationError, lambda: create(bootstrap, name, 1, config))

    def admin_describe_configs():
        with Admin(bootstrap) as admin:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic)
            entries = admin.describe_configs([resource])["topic"][topic]
            assert entries["retention.ms"]["value"] == "86400000", entries
            assert entries["retention.ms"]["config_source"] == "DYNAMIC_TOPIC_CONFIG", entries

    def admin_create_partitions():
        with Admin(bootstrap) as admin:
            admin.create_partitions({topic: 6})
            eventually(
                "six partitions",
                lambda: len(admin.describe_topics([topic])[0]["partitions"]) == 6,
            )

    def admin_delete():
        name = named("deleted", CLIENT)
        create(bootstrap, name)
        with Admin(bootstrap) as admin:
            admin.delete_topics([name])
            eventually("the topic gone", lambda: name not in admin.list_topics())
            fails_with(UnknownTopicOrPartitionError, lambda: admin.delete_topics([name]))

    def acks():
        name = named("acks", CLIENT)
        create(bootstrap, name, 1)
        consumer = consumer_of(bootstrap)
        consumer.assign([TopicPartition(name, 0)])
        for acks in [0, 1, "all"]:
            values = [f"{acks}-{i}".encode() for i in range(10)]
            send(bootstrap, name, values, acks=acks, enable_idempotence=False)
            assert [record.value for record in poll(consumer, 10)] == values
        consumer.close()

    def idempotent_offsets():
        name = named("idempotent", CLIENT)
        create(bootstrap, name, 1)
        values = [str(i).encode() * 100 for i in range(500)]
        sent = send(bootstrap, name, values, enable_idempotence=True, batch_size=2000)
        assert [metadata.offset for metadata in sent] == list(range(500))

    def offsets():
        name = named("offsets", CLIENT)
        create(bootstrap, name, 1, contract.FOREVER)
        for i in range(5):
            send(bootstrap, name, [b"x"], timestamp_ms=contract.BASE_TIMESTAMP + 1000 * i)
        consumer = consumer_of(bootstrap)
        partition = TopicPartition(name, 0)
        assert consumer.beginning_offsets([partition]) == {partition: 0}
        assert consumer.end_offsets([partition]) == {partition: 5}
        for milliseconds, wanted in [(-1000, 0), (1500, 2), (4000, 4), (4001, None)]:
            at = {partition: contract.BASE_TIMESTAMP + milliseconds}
            found = consumer.offsets_for_times(at)[partition]
            found = found and found.offset
            assert found == wanted, f"+{milliseconds} ms: {found} instead of {wanted}"
        consumer.close()

    def group_commit_and_resume():
        name = named("group", CLIENT)
        group = named("resumed", CLIENT)
        create(bootstrap, name, 1)
        send(bootstrap, name, [str(i).encode() for i in range(20)])
        first = consumer_of(bootstrap, group_id=group)
        first.subscribe([name])
        poll(first, 20, within=60)
        first.commit({TopicPartition(name, 0): OffsetAndMetadata(10, "ten", -1)})
        first.close()
        second = consumer_of(bootstrap, group_id=group)
        second.subscribe([name])
        assert poll(second, 10, within=60)[0].value == b"10"
        assert second.committed(TopicPartition(name, 0)) == 10
        second.close()

    def message_too_large():
        name = named("large", CLIENT)
        create(bootstrap, name, 1, {"max.message.bytes": "10000"})
        send(bootstrap, name, [b"x" * 9000])
        fails_with(MessageSizeTooLargeError, lambda: send(bootstrap, name, [b"x" * 10_001]))

    def offset_out_of_range_resets():
        name = named("range", CLIENT)
        create(bootstrap, name, 1)
        send(bootstrap, name, [b"a", b"b"])
        consumer = consumer_of(bootstrap)
        consumer.assign([TopicPartition(name, 0)])
        consumer.seek(TopicPartition(name, 0), 99)
        assert poll(consumer, 1)[0].value == b"a"
        consumer.close()

    def transactions():
        name, group = named("txn", CLIENT), named("txn-group", CLIENT)
        create(bootstrap, name, 1)
        partition = TopicPartition(name, 0)
        producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=name)
        producer.init_transactions()
        for round in range(6):
            producer.begin_transaction()
            producer.send(name, value=f"{round}".encode(), partition=0).get(timeout=30)
            offsets = {partition: OffsetAndMetadata(10 + round, "", -1)}
            producer.send_offsets_to_transaction(offsets, group)
            if round % 2 == 0:
                producer.commit_transaction()
            else:
                producer.abort_transaction()
        producer.close(timeout=10)
        consumer = consumer_of(bootstrap, isolation_level="read_committed", group_id=group)
        consumer.assign([partition])
        assert consumer.committed(partition) == 14, consumer.committed(partition)
        consumer.seek_to_beginning(partition)
        values = [record.value for record in poll(consumer, 3)]
        assert values == [b"0", b"2", b"4"], values
        assert not consumer.poll(timeout_ms=1000)
        consumer.close()

    listed = [
        admin_create,
        admin_create_validate_only,
        admin_create_existing,
        admin_create_invalid,
        admin_describe_configs,
        admin_create_partitions,
        admin_delete,
        acks,
        idempotent_offsets,
        offsets,
        group_commit_and_resume,
        message_too_large,
        offset_out_of_range_resets,
        transactions,
    ]
    return [(case.__name__.replace("_", "-"), case) for case in listed]


if __name__ == "__main__":
    contract.main(CLIENT, write, verify, cases, profile="strict")
