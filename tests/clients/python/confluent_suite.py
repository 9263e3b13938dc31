"""confluent-kafka (librdkafka)."""

import functools
import os
import time

from confluent_kafka import (
    Consumer,
    ElectionType,
    KafkaError,
    KafkaException,
    OFFSET_BEGINNING,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
)

import contract
from contract import PARTITIONS, RECORDS, Record, eventually, named

CLIENT = "confluent"


@functools.cache  # one that is dropped takes its unfinished requests with it
def admin_of(bootstrap):
    return AdminClient({"bootstrap.servers": bootstrap})


def create(bootstrap, topic, partitions=PARTITIONS, config=None, validate_only=False):
    new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config or {})
    futures = admin_of(bootstrap).create_topics([new], validate_only=validate_only)
    futures[topic].result(30)


def producer_of(bootstrap, **settings):
    config = {"bootstrap.servers": bootstrap, "linger.ms": 5, "message.timeout.ms": 30000}
    config.update({name.replace("_", "."): value for name, value in settings.items()})
    return Producer(config)


def consumer_of(bootstrap, group="unused", **settings):
    config = {
        "bootstrap.servers": bootstrap,
        "group.id": named(group, CLIENT),
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    }
    config.update({name.replace("_", "."): value for name, value in settings.items()})
    return Consumer(config)


def send(producer, topic, values, partition=0, **more):
    """Sends and waits; returns the delivered messages, in order."""
    delivered = []

    def done(error, message):
        delivered.append(error or message)

    for value in values:
        producer.produce(topic, value=value, partition=partition, on_delivery=done, **more)
    assert producer.flush(30) == 0, "not all were delivered"
    for outcome in delivered:
        if isinstance(outcome, KafkaError):
            raise KafkaException(outcome)
    return delivered


def poll(consumer, count, within=30):
    messages = []

    def more():
        message = consumer.poll(0.2)
        if message is not None:
            if message.error():
                raise KafkaException(message.error())
            messages.append(message)
        return len(messages) >= count

    eventually(f"{count} messages", more, within)
    return messages


def fails_with(code, action):
    try:
        action()
    except KafkaException as error:
        found = error.args[0]
        assert found.code() == code, f"error {found.name()} ({found.code()}) instead of {code}"
        return
    raise AssertionError(f"it worked, instead of failing with {code}")


def write(bootstrap, codec, topic):
    create(bootstrap, topic, config=contract.FOREVER)
    producer = producer_of(bootstrap, compression_type=codec, enable_idempotence=True)
    errors = []
    for partition in range(PARTITIONS):
        for record in contract.records(partition):
            producer.produce(
                topic,
                partition=partition,
                key=record.key,
                value=record.value,
                headers=record.headers,
                timestamp=record.timestamp,
                on_delivery=lambda error, _: errors.append(error) if error else None,
            )
    assert producer.flush(60) == 0
    assert not errors, errors[0]


def verify(bootstrap, topic):
    consumer = consumer_of(bootstrap, check_crcs=True)
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(PARTITIONS)])
    comparison = contract.Comparison(topic)
    while not comparison.complete():
        message = consumer.poll(0.2)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        found = Record(
            message.key(), message.value(), message.headers() or [], message.timestamp()[1]
        )
        comparison.add(message.partition(), message.offset(), found)
    for partition in range(PARTITIONS):
        marks = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
        assert marks == (0, RECORDS), marks
    consumer.close()


def cases(bootstrap):
    topic = named("cases", CLIENT)

    def metadata():
        found = admin_of(bootstrap).list_topics(timeout=30)
        assert found.brokers and found.cluster_id, (found.brokers, found.cluster_id)
        assert found.controller_id in found.brokers, found.controller_id

    def admin_create():
        create(bootstrap, topic, 4, {"retention.ms": "86400000"})
        found = eventually(
            "the topic in metadata",
            lambda: admin_of(bootstrap).list_topics(topic, timeout=30).topics[topic].partitions,
        )
        assert sorted(found) == [0, 1, 2, 3], found

    def admin_create_validate_only():
        name = named("validated", CLIENT)
        create(bootstrap, name, validate_only=True)
        assert name not in admin_of(bootstrap).list_topics(timeout=30).topics

    def admin_create_existing():
        fails_with(KafkaError.TOPIC_ALREADY_EXISTS, lambda: create(bootstrap, topic))

    def admin_create_invalid():
        for config in [{"no.such.config": "1"}, {"retention.ms": "soon"}]:
            name = named("invalid", CLIENT)
            fails_with(KafkaError.INVALID_CONFIG, lambda: create(bootstrap, name, config=config))
        for bad in ["a b", "x" * 250, ".."]:
            fails_with(KafkaError.TOPIC_EXCEPTION, lambda: create(bootstrap, bad))
        fails_with(KafkaError.INVALID_PARTITIONS, lambda: create(bootstrap, "zero", 0))

    def admin_describe_configs():
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        entries = admin_of(bootstrap).describe_configs([resource])[resource].result(30)
        assert entries["retention.ms"].value == "86400000", entries["retention.ms"]
        assert not entries["retention.ms"].is_default
        assert entries["cleanup.policy"].value == "delete"
        assert entries["cleanup.policy"].is_default
        assert int(entries["max.message.bytes"].value) == 1048588
        brokers = admin_of(bootstrap).list_topics(timeout=30).brokers
        resource = ConfigResource(ConfigResource.Type.BROKER, str(next(iter(brokers))))
        entries = admin_of(bootstrap).describe_configs([resource])[resource].result(30)
        assert entries["message.max.bytes"].value == "1048588", entries["message.max.bytes"]

    def admin_create_partitions():
        futures = admin_of(bootstrap).create_partitions([NewPartitions(topic, 6)])
        futures[topic].result(30)
        eventually(
            "six partitions",
            lambda: len(admin_of(bootstrap).list_topics(topic, timeout=30).topics[topic].partitions)
            == 6,
        )
        futures = admin_of(bootstrap).create_partitions([NewPartitions(topic, 2)])
        fails_with(KafkaError.INVALID_PARTITIONS, lambda: futures[topic].result(30))

    def admin_delete():
        name = named("deleted", CLIENT)
        create(bootstrap, name)
        admin_of(bootstrap).delete_topics([name])[name].result(30)
        eventually(
            "the topic gone",
            lambda: name not in admin_of(bootstrap).list_topics(timeout=30).topics,
        )
        again = admin_of(bootstrap).delete_topics([name])[name]
        fails_with(KafkaError.UNKNOWN_TOPIC_OR_PART, lambda: again.result(30))

    def admin_incremental_configs():
        name = named("incremental", CLIENT)
        create(bootstrap, name, 1, {"cleanup.policy": "compact"})
        admin = admin_of(bootstrap)

        def alter(*changes):
            entries = [
                ConfigEntry(key, value, incremental_operation=operation)
                for key, operation, value in changes
            ]
            resource = ConfigResource(
                ConfigResource.Type.TOPIC, name, incremental_configs=entries
            )
            admin.incremental_alter_configs([resource])[resource].result(30)

        def config(key):
            resource = ConfigResource(ConfigResource.Type.TOPIC, name)
            return admin.describe_configs([resource])[resource].result(30)[key]

        alter(
            ("cleanup.policy", AlterConfigOpType.APPEND, "delete"),
            ("segment.ms", AlterConfigOpType.SET, "7"),
        )
        eventually("the append", lambda: config("cleanup.policy").value == "compact,delete")
        assert config("segment.ms").value == "7"
        alter(
            ("cleanup.policy", AlterConfigOpType.SUBTRACT, "compact"),
            ("segment.ms", AlterConfigOpType.DELETE, None),
        )
        eventually("the subtraction", lambda: config("cleanup.policy").value == "delete")
        assert config("segment.ms").is_default
        fails_with(
            KafkaError.INVALID_CONFIG,
            lambda: alter(("retention.ms", AlterConfigOpType.APPEND, "1")),
        )

    def admin_elect_leaders():
        there, nowhere = TopicPartition(topic, 0), TopicPartition("nowhere", 0)
        for kind in [ElectionType.PREFERRED, ElectionType.UNCLEAN]:
            told = admin_of(bootstrap).elect_leaders(kind, [there, nowhere]).result(30)
            codes = {partition: error.code() for partition, error in told.items()}
            assert codes == {
                there: KafkaError.ELECTION_NOT_NEEDED,
                nowhere: KafkaError.UNKNOWN_TOPIC_OR_PART,
            }, codes

    def acks():
        name = named("acks", CLIENT)
        create(bootstrap, name, 1)
        for n, acks in enumerate(["0", "1", "all"]):
            send(producer_of(bootstrap, acks=acks), name, [f"{acks}-{i}" for i in range(10)])
            consumer = consumer_of(bootstrap)
            consumer.assign([TopicPartition(name, 0, 10 * n)])
            values = [message.value().decode() for message in poll(consumer, 10)]
            assert values == [f"{acks}-{i}" for i in range(10)], values
            consumer.close()

    def idempotent_offsets():
        name = named("idempotent", CLIENT)
        create(bootstrap, name, 1)
        producer = producer_of(bootstrap, enable_idempotence=True, batch_num_messages=10)
        delivered = send(producer, name, [str(i) for i in range(500)])
        assert [message.offset() for message in delivered] == list(range(500))

    def offsets():
        name = named("offsets", CLIENT)
        create(bootstrap, name, 1, contract.FOREVER)
        producer = producer_of(bootstrap)
        for i in range(5):
            send(producer, name, [str(i)], timestamp=contract.BASE_TIMESTAMP + 1000 * i)
        consumer = consumer_of(bootstrap)
        assert consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=30) == (0, 5)
        for milliseconds, wanted in [(-1000, 0), (0, 0), (1500, 2), (4000, 4), (4001, -1)]:
            at = TopicPartition(name, 0, contract.BASE_TIMESTAMP + milliseconds)
            found = consumer.offsets_for_times([at], timeout=30)[0].offset
            assert found == wanted, f"+{milliseconds} ms: {found} instead of {wanted}"
        consumer.close()

    def group_commit_and_resume():
        name = named("group", CLIENT)
        create(bootstrap, name, 1)
        send(producer_of(bootstrap), name, [str(i) for i in range(20)])
        first = consumer_of(bootstrap, "resumed")
        first.subscribe([name])
        messages = poll(first, 10, within=60)[:10]
        first.commit(message=messages[-1], asynchronous=False)
        first.close()
        second = consumer_of(bootstrap, "resumed")
        second.subscribe([name])
        message = poll(second, 1, within=60)[0]
        assert message.value() == b"10", message.value()
        committed = second.committed([TopicPartition(name, 0)], timeout=30)[0]
        assert committed.offset == 10, committed
        second.close()

    def message_too_large():
        name = named("large", CLIENT)
        create(bootstrap, name, 1, {"max.message.bytes": "10000"})
        producer = producer_of(bootstrap, message_max_bytes=5_000_000)
        send(producer, name, [b"x" * 9000])
        too_large = KafkaError.MSG_SIZE_TOO_LARGE
        fails_with(too_large, lambda: send(producer, name, [b"x" * 10_001]))
        name = named("large-default", CLIENT)
        create(bootstrap, name, 1)
        send(producer, name, [os.urandom(1_000_000)])
        fails_with(too_large, lambda: send(producer, name, [os.urandom(1_100_000)]))

    def offset_out_of_range():
        name = named("range", CLIENT)
        create(bootstrap, name, 1)
        send(producer_of(bootstrap), name, ["a", "b"])
        strict = consumer_of(bootstrap, auto_offset_reset="error")
        strict.assign([TopicPartition(name, 0, 99)])
        try:
            poll(strict, 1)
            raise AssertionError("it read from an offset that is not there")
        except KafkaException as error:
            codes = [KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET]
            assert error.args[0].code() in codes, error
        strict.close()
        lenient = consumer_of(bootstrap)
        lenient.assign([TopicPartition(name, 0, 99)])
        assert poll(lenient, 1)[0].value() == b"a"
        lenient.close()

    def unknown_topic():
        name = named("no-such-topic", CLIENT)
        described = admin_of(bootstrap).describe_topics(TopicCollection([name]))[name]
        fails_with(KafkaError.UNKNOWN_TOPIC_OR_PART, lambda: described.result(30))

    def log_append_time():
        name = named("append-time", CLIENT)
        create(bootstrap, name, 1, {"message.timestamp.type": "LogAppendTime"})
        before = int(time.time() * 1000) - 1000
        send(producer_of(bootstrap), name, ["a"], timestamp=1000)
        consumer = consumer_of(bootstrap)
        consumer.assign([TopicPartition(name, 0, 0)])
        kind, timestamp = poll(consumer, 1)[0].timestamp()
        assert kind == 2 and timestamp >= before, (kind, timestamp, before)
        consumer.close()

    def transactions():
        name, group = named("txn", CLIENT), named("txn-group", CLIENT)
        create(bootstrap, name, 1)
        producer = producer_of(bootstrap, transactional_id=name)
        producer.init_transactions(30)
        reader = consumer_of(bootstrap, "txn-group")
        for round in range(6):
            producer.begin_transaction()
            producer.produce(name, value=f"{round}", partition=0)
            offsets = [TopicPartition(name, 0, 10 + round)]
            producer.send_offsets_to_transaction(offsets, reader.consumer_group_metadata(), 30)
            producer.flush(30)
            if round % 2 == 0:
                producer.commit_transaction(30)
            else:
                producer.abort_transaction(30)
        committed = reader.committed([TopicPartition(name, 0)], timeout=30)
        assert committed[0].offset == 14, committed
        reader.close()
        successor = producer_of(bootstrap, transactional_id=name)
        producer.begin_transaction()
        producer.produce(name, value="zombie", partition=0)
        producer.flush(30)
        successor.init_transactions(30)
        try:
            producer.commit_transaction(30)
            raise AssertionError("a fenced producer committed")
        except KafkaException as error:
            assert error.args[0].fatal() and error.args[0].code() == KafkaError._FENCED, error
        for isolation, wanted in [
            ("read_committed", ["0", "2", "4"]),
            ("read_uncommitted", ["0", "1", "2", "3", "4", "5", "zombie"]),
        ]:
            consumer = consumer_of(bootstrap, isolation_level=isolation)
            consumer.assign([TopicPartition(name, 0, OFFSET_BEGINNING)])
            found = [message.value().decode() for message in poll(consumer, len(wanted))]
            assert found == wanted, (isolation, found)
            extra = consumer.poll(1)
            assert extra is None, (isolation, extra.value())
            consumer.close()

    listed = [
        metadata,
        admin_create,
        admin_create_validate_only,
        admin_create_existing,
        admin_create_invalid,
        admin_describe_configs,
        admin_create_partitions,
        admin_delete,
        admin_incremental_configs,
        admin_elect_leaders,
        acks,
        idempotent_offsets,
        offsets,
        group_commit_and_resume,
        message_too_large,
        offset_out_of_range,
        unknown_topic,
        log_append_time,
        transactions,
    ]
    return [(case.__name__.replace("_", "-"), case) for case in listed]


if __name__ == "__main__":
    contract.main(CLIENT, write, verify, cases)
