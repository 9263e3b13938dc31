// kafka-clients: transactions of the Java producer with its defaults (transaction version 2, KIP-890; or the older protocol,
// with older jars), readers of committed records, and what operators ask about transactions. Uses the helpers of Suite.

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TransactionalIdNotFoundException;
import org.apache.kafka.common.utils.AppInfoParser;

public class Transactions {
    static Map<String, Suite.Case> cases() {
        Map<String, Suite.Case> cases = new LinkedHashMap<>();
        cases.put("commit-and-abort", Transactions::commitAndAbort);
        cases.put("batches-interleaved", Transactions::interleaved);
        cases.put("last-stable-offset", Transactions::lastStableOffset);
        cases.put("fencing", Transactions::fencing);
        cases.put("successor-aborts", Transactions::successorAborts);
        cases.put("consume-transform-produce", Transactions::consumeTransformProduce);
        cases.put("unstable-offsets", Transactions::unstableOffsets);
        cases.put("timeout", Transactions::timeout);
        cases.put("timeout-too-long", Transactions::timeoutTooLong);
        cases.put("many-partitions", Transactions::manyPartitions);
        cases.put("admin-describe", Transactions::adminDescribe);
        cases.put("admin-list", Transactions::adminList);
        cases.put("admin-list-by-expression", Transactions::adminListByExpression);
        cases.put("admin-abort", Transactions::adminAbort);
        cases.put("admin-fence", Transactions::adminFence);
        return cases;
    }

    static String named(String name) {
        return "txn" + Suite.RUN + "-" + AppInfoParser.getVersion() + "-" + name;
    }

    static KafkaProducer<byte[], byte[]> producer(String id, Object... pairs) {
        Object[] all = new Object[pairs.length + 2];
        all[0] = "transactional.id";
        all[1] = id;
        System.arraycopy(pairs, 0, all, 2, pairs.length);
        return Suite.producer(all);
    }

    static void send(KafkaProducer<byte[], byte[]> producer, String topic, int partition, String... values) {
        for (String value : values) producer.send(new ProducerRecord<>(topic, partition, null, Suite.utf8(value)));
    }

    static List<String> read(String topic, int partition, String isolation, int count) throws Exception {
        TopicPartition at = new TopicPartition(topic, partition);
        try (KafkaConsumer<byte[], byte[]> consumer = Suite.consumer("isolation.level", isolation)) {
            consumer.assign(List.of(at));
            List<String> values = Suite.poll(consumer, count).stream().map(Suite::text).collect(Collectors.toList());
            // To the end, which may be a marker: there is nothing more.
            long end = consumer.endOffsets(List.of(at)).get(at);
            Suite.eventually("position " + end, () -> {
                consumer.poll(Duration.ofMillis(100)).forEach(more -> values.add(Suite.text(more)));
                return consumer.position(at) >= end;
            });
            return values;
        }
    }

    static List<String> committed(String topic, int partition, int count) throws Exception {
        return read(topic, partition, "read_committed", count);
    }

    static void commitAndAbort() throws Exception {
        String one = named("one"), two = named("two");
        Suite.create(one, 1, Map.of());
        Suite.create(two, 1, Map.of());
        try (KafkaProducer<byte[], byte[]> producer = producer(named("id"))) {
            producer.initTransactions();
            for (int round = 0; round < 6; round++) {
                producer.beginTransaction();
                send(producer, one, 0, "a" + round, "b" + round);
                send(producer, two, 0, "c" + round);
                // An abort drops what has not been sent.
                producer.flush();
                if (round % 2 == 0) producer.commitTransaction();
                else producer.abortTransaction();
            }
        }
        Suite.equal(List.of("a0", "b0", "a2", "b2", "a4", "b4"), committed(one, 0, 6), "committed of one");
        Suite.equal(List.of("c0", "c2", "c4"), committed(two, 0, 3), "committed of two");
        Suite.equal(12, read(one, 0, "read_uncommitted", 12).size(), "all of one");
        Suite.equal(6, read(two, 0, "read_uncommitted", 6).size(), "all of two");
    }

    static void interleaved() throws Exception {
        String topic = named("interleaved");
        Suite.create(topic, 1, Map.of());
        List<String> wanted = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> a = producer(named("a")); KafkaProducer<byte[], byte[]> b = producer(named("b"))) {
            a.initTransactions();
            b.initTransactions();
            for (int round = 0; round < 5; round++) {
                a.beginTransaction();
                b.beginTransaction();
                for (int i = 0; i < 3; i++) {
                    send(a, topic, 0, "a" + round + i);
                    a.flush();
                    send(b, topic, 0, "b" + round + i);
                    b.flush();
                    if (round % 2 == 0) wanted.add("a" + round + i);
                    if (round % 3 == 0) wanted.add("b" + round + i);
                }
                if (round % 2 == 0) a.commitTransaction();
                else a.abortTransaction();
                if (round % 3 == 0) b.commitTransaction();
                else b.abortTransaction();
            }
        }
        Suite.equal(wanted, committed(topic, 0, wanted.size()), "committed");
    }

    static void lastStableOffset() throws Exception {
        String topic = named("stable");
        Suite.create(topic, 1, Map.of());
        TopicPartition at = new TopicPartition(topic, 0);
        Suite.sendAndClose(topic, Suite.numbered(2));
        try (KafkaProducer<byte[], byte[]> producer = producer(named("stable"));
                KafkaConsumer<byte[], byte[]> reader = Suite.consumer("isolation.level", "read_committed");
                KafkaConsumer<byte[], byte[]> all = Suite.consumer()) {
            producer.initTransactions();
            producer.beginTransaction();
            send(producer, topic, 0, "x");
            producer.flush();
            Suite.sendAndClose(topic, Suite.numbered(1));
            Suite.equal(2L, reader.endOffsets(List.of(at)).get(at), "last stable offset");
            Suite.equal(4L, all.endOffsets(List.of(at)).get(at), "high watermark");
            reader.assign(List.of(at));
            Suite.equal(2, Suite.poll(reader, 2).size(), "what is stable");
            Suite.check(reader.poll(Duration.ofMillis(500)).isEmpty(), "read beyond the last stable offset");
            producer.commitTransaction();
            Suite.equal("x", Suite.text(Suite.poll(reader, 2).get(0)), "after the commit");
            Suite.equal(5L, reader.endOffsets(List.of(at)).get(at), "the marker has an offset");
        }
    }

    static void fencing() throws Exception {
        String topic = named("fencing");
        Suite.create(topic, 1, Map.of());
        try (KafkaProducer<byte[], byte[]> first = producer(named("fenced")); KafkaProducer<byte[], byte[]> second = producer(named("fenced"))) {
            first.initTransactions();
            first.beginTransaction();
            send(first, topic, 0, "of the first");
            first.flush();
            second.initTransactions();
            Suite.failsWith(ProducerFencedException.class, first::commitTransaction);
            second.beginTransaction();
            send(second, topic, 0, "of the second");
            second.commitTransaction();
        }
        Suite.equal(List.of("of the second"), committed(topic, 0, 1), "committed");
    }

    static void successorAborts() throws Exception {
        String topic = named("successor");
        Suite.create(topic, 2, Map.of());
        KafkaProducer<byte[], byte[]> first = producer(named("successor"));
        first.initTransactions();
        first.beginTransaction();
        send(first, topic, 0, "left behind");
        send(first, topic, 1, "left behind");
        first.flush();
        first.close(Duration.ZERO);
        try (KafkaProducer<byte[], byte[]> second = producer(named("successor"))) {
            second.initTransactions();
            second.beginTransaction();
            send(second, topic, 0, "kept");
            second.commitTransaction();
        }
        Suite.equal(List.of("kept"), committed(topic, 0, 1), "committed");
        Suite.equal(List.of(), committed(topic, 1, 0), "committed of the other");
    }

    /** Doubles numbers; every third transaction is aborted and done again from the committed offsets. */
    static void consumeTransformProduce() throws Exception {
        String in = named("in"), out = named("out"), group = named("group");
        Suite.create(in, 1, Map.of());
        Suite.create(out, 1, Map.of());
        TopicPartition source = new TopicPartition(in, 0);
        int count = 100;
        Suite.sendAndClose(in, Suite.numbered(count));
        try (KafkaProducer<byte[], byte[]> producer = producer(named("loop"));
                KafkaConsumer<byte[], byte[]> consumer = Suite.consumer("group.id", group, "max.poll.records", 7,
                    "isolation.level", "read_committed")) {
            producer.initTransactions();
            consumer.subscribe(List.of(in));
            int round = 0;
            long position = 0;
            while (position < count) {
                var records = consumer.poll(Duration.ofMillis(200));
                if (records.isEmpty()) continue;
                producer.beginTransaction();
                long next = 0;
                for (ConsumerRecord<byte[], byte[]> found : records) {
                    send(producer, out, 0, "" + 2 * Integer.parseInt(Suite.text(found)));
                    next = found.offset() + 1;
                }
                producer.sendOffsetsToTransaction(Map.of(source, new OffsetAndMetadata(next)), consumer.groupMetadata());
                if (round++ % 3 == 2) {
                    producer.abortTransaction();
                    OffsetAndMetadata committed = consumer.committed(Set.of(source)).get(source);
                    Suite.equal(position, committed == null ? 0L : committed.offset(), "committed after an abort");
                    consumer.seek(source, position);
                } else {
                    producer.commitTransaction();
                    position = next;
                }
            }
            Suite.equal((long) count, consumer.committed(Set.of(source)).get(source).offset(), "committed");
        }
        List<String> wanted = new ArrayList<>();
        for (int i = 0; i < count; i++) wanted.add("" + 2 * i);
        Suite.equal(wanted, committed(out, 0, count), "doubled");
    }

    static void unstableOffsets() throws Exception {
        String topic = named("unstable"), group = named("unstable");
        Suite.create(topic, 1, Map.of());
        TopicPartition at = new TopicPartition(topic, 0);
        try (KafkaProducer<byte[], byte[]> producer = producer(named("unstable"));
                KafkaConsumer<byte[], byte[]> consumer = Suite.consumer("group.id", group);
                Admin admin = Suite.admin()) {
            producer.initTransactions();
            producer.beginTransaction();
            consumer.assign(List.of(at));
            producer.sendOffsetsToTransaction(Map.of(at, new OffsetAndMetadata(3)), consumer.groupMetadata());
            var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
            Suite.check(offsets.get(at) == null, "a pending offset is told: " + offsets);
            Suite.failsWith(org.apache.kafka.common.errors.TimeoutException.class,
                () -> consumer.committed(Set.of(at), Duration.ofSeconds(1)));
            producer.commitTransaction();
            Suite.equal(3L, consumer.committed(Set.of(at)).get(at).offset(), "committed");
        }
    }

    static void timeout() throws Exception {
        String topic = named("timeout");
        Suite.create(topic, 1, Map.of());
        TopicPartition at = new TopicPartition(topic, 0);
        try (KafkaProducer<byte[], byte[]> producer = producer(named("timeout"), "transaction.timeout.ms", 1000);
                KafkaConsumer<byte[], byte[]> reader = Suite.consumer("isolation.level", "read_committed")) {
            producer.initTransactions();
            producer.beginTransaction();
            send(producer, topic, 0, "too late");
            producer.flush();
            Suite.equal(0L, reader.endOffsets(List.of(at)).get(at), "last stable offset");
            Suite.eventually("the broker aborts it", () -> reader.endOffsets(List.of(at)).get(at) == 2L);
            Suite.failsWith(KafkaException.class, producer::commitTransaction);
        }
        Suite.equal(List.of(), committed(topic, 0, 0), "committed");
    }

    static void timeoutTooLong() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(named("forever"), "transaction.timeout.ms", 900_001)) {
            Suite.failsWith(KafkaException.class, producer::initTransactions);
        }
    }

    static void manyPartitions() throws Exception {
        String topic = named("many");
        int count = 200;
        Suite.create(topic, count, Map.of());
        try (KafkaProducer<byte[], byte[]> producer = producer(named("many"))) {
            producer.initTransactions();
            for (String value : List.of("a", "b")) {
                producer.beginTransaction();
                for (int p = 0; p < count; p++) send(producer, topic, p, value + p);
                if (value.equals("a")) producer.abortTransaction();
                else producer.commitTransaction();
            }
        }
        List<TopicPartition> all = new ArrayList<>();
        for (int p = 0; p < count; p++) all.add(new TopicPartition(topic, p));
        try (KafkaConsumer<byte[], byte[]> consumer = Suite.consumer("isolation.level", "read_committed")) {
            consumer.assign(all);
            Map<Integer, String> found = new HashMap<>();
            for (ConsumerRecord<byte[], byte[]> record : Suite.poll(consumer, count)) found.put(record.partition(), Suite.text(record));
            for (int p = 0; p < count; p++) Suite.equal("b" + p, found.get(p), "partition " + p);
        }
    }

    static void adminDescribe() throws Exception {
        String topic = named("described"), id = named("described");
        Suite.create(topic, 2, Map.of());
        TopicPartition at = new TopicPartition(topic, 1);
        Suite.sendAndClose(topic, Suite.numbered(3));
        try (KafkaProducer<byte[], byte[]> producer = producer(id, "transaction.timeout.ms", 12_345); Admin admin = Suite.admin()) {
            Suite.failsWith(TransactionalIdNotFoundException.class, () -> admin.describeTransactions(List.of(id)).all().get());
            producer.initTransactions();
            Suite.equal(TransactionState.EMPTY, admin.describeTransactions(List.of(id)).all().get().get(id).state(), "state");
            producer.beginTransaction();
            send(producer, topic, 1, "x");
            producer.flush();
            TransactionDescription told = admin.describeTransactions(List.of(id)).all().get().get(id);
            Suite.equal(TransactionState.ONGOING, told.state(), "state");
            Suite.equal(12_345L, told.transactionTimeoutMs(), "timeout");
            Suite.equal(Set.of(at), told.topicPartitions(), "partitions");
            Suite.check(told.transactionStartTimeMs().isPresent(), "it has begun");
            ProducerState state = admin.describeProducers(List.of(at)).partitionResult(at).get().activeProducers().get(0);
            Suite.equal(told.producerId(), state.producerId(), "producer id");
            Suite.equal(0L, state.currentTransactionStartOffset().getAsLong(), "start offset");
            producer.commitTransaction();
            // Kafka answers the commit before its markers are written.
            Suite.eventually("CompleteCommit", () -> admin.describeTransactions(List.of(id)).all().get().get(id).state() == TransactionState.COMPLETE_COMMIT);
            state = admin.describeProducers(List.of(at)).partitionResult(at).get().activeProducers().get(0);
            Suite.check(state.currentTransactionStartOffset().isEmpty(), "it is still in a transaction");
        }
    }

    static void adminList() throws Exception {
        String topic = named("listed"), id = named("listed");
        Suite.create(topic, 1, Map.of());
        try (KafkaProducer<byte[], byte[]> producer = producer(id); Admin admin = Suite.admin()) {
            producer.initTransactions();
            producer.beginTransaction();
            send(producer, topic, 0, "x");
            producer.flush();
            List<TransactionListing> all = admin.listTransactions().all().get().stream()
                .filter(t -> t.transactionalId().equals(id)).collect(Collectors.toList());
            Suite.equal(1, all.size(), "listed once");
            Suite.equal(TransactionState.ONGOING, all.get(0).state(), "state");
            long producerId = all.get(0).producerId();
            ListTransactionsOptions byProducer = new ListTransactionsOptions().filterProducerIds(Set.of(producerId));
            Suite.equal(all, List.copyOf(admin.listTransactions(byProducer).all().get()), "by producer id");
            ListTransactionsOptions empty = new ListTransactionsOptions().filterStates(Set.of(TransactionState.EMPTY));
            Suite.check(admin.listTransactions(empty).all().get().stream().noneMatch(t -> t.transactionalId().equals(id)), "not empty");
            ListTransactionsOptions old = new ListTransactionsOptions().filterOnDuration(600_000);
            Suite.check(admin.listTransactions(old).all().get().stream().noneMatch(t -> t.transactionalId().equals(id)), "not that old");
            producer.abortTransaction();
        }
    }

    /** KIP-1152, which older clients do not know. */
    static void adminListByExpression() throws Exception {
        String id = named("expressed");
        try (KafkaProducer<byte[], byte[]> producer = producer(id); Admin admin = Suite.admin()) {
            producer.initTransactions();
            ListTransactionsOptions pattern = new ListTransactionsOptions().filterOnTransactionalIdPattern(".*-express[e]d");
            List<String> found = admin.listTransactions(pattern).all().get().stream().map(TransactionListing::transactionalId)
                .collect(Collectors.toList());
            Suite.equal(List.of(id), found, "by expression");
        }
    }

    /** What kafka-transactions.sh does with a transaction that hangs in a partition. */
    static void adminAbort() throws Exception {
        String topic = named("hanging");
        Suite.create(topic, 1, Map.of());
        TopicPartition at = new TopicPartition(topic, 0);
        try (KafkaProducer<byte[], byte[]> producer = producer(named("hanging")); Admin admin = Suite.admin();
                KafkaConsumer<byte[], byte[]> reader = Suite.consumer("isolation.level", "read_committed")) {
            producer.initTransactions();
            producer.beginTransaction();
            send(producer, topic, 0, "hangs");
            producer.flush();
            ProducerState state = admin.describeProducers(List.of(at)).partitionResult(at).get().activeProducers().get(0);
            int coordinatorEpoch = state.coordinatorEpoch().orElse(0);
            admin.abortTransaction(new AbortTransactionSpec(at, state.producerId(), (short) state.producerEpoch(), coordinatorEpoch)).all().get();
            Suite.equal(2L, reader.endOffsets(List.of(at)).get(at), "last stable offset");
            producer.close(Duration.ZERO);
        }
        Suite.equal(List.of(), committed(topic, 0, 0), "committed");
    }

    static void adminFence() throws Exception {
        String topic = named("admin-fence"), id = named("admin-fence");
        Suite.create(topic, 1, Map.of());
        try (KafkaProducer<byte[], byte[]> producer = producer(id); Admin admin = Suite.admin()) {
            producer.initTransactions();
            producer.beginTransaction();
            send(producer, topic, 0, "x");
            producer.flush();
            admin.fenceProducers(List.of(id)).all().get();
            Suite.failsWith(ProducerFencedException.class, producer::commitTransaction);
        }
        Suite.equal(List.of(), committed(topic, 0, 0), "committed");
    }

    /** How many transactions a second, and how long from begin to commit: PRODUCERS at once, each with COUNT of them. */
    static void bench(int producers, int count, int partitions) throws Exception {
        String topic = named("bench-" + System.nanoTime());
        Suite.create(topic, partitions, Map.of());
        byte[] value = new byte[100];
        long[][] took = new long[producers][count];
        List<Thread> threads = new ArrayList<>();
        List<KafkaProducer<byte[], byte[]>> all = new ArrayList<>();
        for (int n = 0; n < producers; n++) {
            all.add(producer(named("bench-" + producers + "-" + n)));
            all.get(n).initTransactions();
            all.get(n).partitionsFor(topic);
        }
        long began = System.nanoTime();
        for (int n = 0; n < producers; n++) {
            int number = n;
            threads.add(new Thread(() -> {
                for (int i = 0; i < count; i++) {
                    long start = System.nanoTime();
                    all.get(number).beginTransaction();
                    for (int p = 0; p < partitions; p++) all.get(number).send(new ProducerRecord<>(topic, p, null, value));
                    all.get(number).commitTransaction();
                    took[number][i] = System.nanoTime() - start;
                }
            }));
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) thread.join();
        double seconds = (System.nanoTime() - began) / 1e9;
        long[] sorted = java.util.Arrays.stream(took).flatMapToLong(java.util.Arrays::stream).sorted().toArray();
        System.out.printf("%d producers, %d partitions each: %.0f transactions/s, p50 %.1f ms, p99 %.1f ms, max %.1f ms%n", producers,
            partitions, sorted.length / seconds, sorted[sorted.length / 2] / 1e6, sorted[sorted.length * 99 / 100] / 1e6,
            sorted[sorted.length - 1] / 1e6);
        all.forEach(KafkaProducer::close);
    }

    public static void main(String[] args) throws Exception {
        Suite.bootstrap = args[1];
        if (args[0].equals("bench")) {
            // The first only warms up.
            for (int producers : new int[] {4, 1, 4, 16}) bench(producers, 500, 3);
            bench(1, 20, 5000);
            return;
        }
        // Cases that are named are left out.
        Map<String, Suite.Case> cases = cases();
        cases.keySet().removeAll(List.of(args).subList(2, args.length));
        System.exit(Suite.run(cases));
    }
}
