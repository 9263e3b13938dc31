// KafkaShareConsumer (KIP-932) with its defaults, and what Admin says of share groups.
// The contract and the modes are in ../README.md; this has cases only.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ShareGroupDescription;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicIdPartition;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidRecordStateException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class ShareSuite {
    static final String RUN = Optional.ofNullable(System.getenv("RUN")).orElse("");
    static final Duration POLL = Duration.ofMillis(200);
    static final long PATIENCE_MS = 60_000;
    static String bootstrap;

    interface Case {
        void run() throws Exception;
    }

    static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    static void equal(Object wanted, Object found, String what) {
        check(wanted.equals(found), what + ": " + found + " instead of " + wanted);
    }

    static void failsWith(Class<? extends Throwable> kind, Case action) throws Exception {
        try {
            action.run();
        } catch (Throwable error) {
            Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
            check(kind.isInstance(cause), cause + " instead of " + kind.getSimpleName());
            return;
        }
        throw new AssertionError("no " + kind.getSimpleName());
    }

    static Admin admin() {
        return Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    /** A topic with records 0 to n-1 in every partition, and a share group that begins before them. */
    static String prepared(String name, int partitions, int records) throws Exception {
        return prepared(name, partitions, records, Map.of());
    }

    static String prepared(String name, int partitions, int records, Map<String, String> configs) throws Exception {
        String topic = "share" + RUN + "-" + name;
        try (Admin admin = admin()) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
        }
        Map<String, String> all = new HashMap<>(configs);
        all.putIfAbsent("share.auto.offset.reset", "earliest");
        configure(topic, all);
        produce(topic, partitions, 0, records);
        return topic;
    }

    static void configure(String group, Map<String, String> configs) throws Exception {
        List<AlterConfigOp> sets = new ArrayList<>();
        configs.forEach((name, value) ->
            sets.add(new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET)));
        try (Admin admin = admin()) {
            ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
            admin.incrementalAlterConfigs(Map.of(resource, sets)).all().get();
        }
    }

    static void produce(String topic, int partitions, int first, int records) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "linger.ms", 100);
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int i = first; i < first + records; i++) {
                for (int p = 0; p < partitions; p++) {
                    byte[] value = (p + "/" + i).getBytes(StandardCharsets.UTF_8);
                    producer.send(new ProducerRecord<>(topic, p, null, value));
                }
                // Batches of ten: what is given out at once is whole batches.
                if (i % 10 == 9) producer.flush();
            }
            producer.flush();
        }
    }

    static KafkaShareConsumer<byte[], byte[]> consumer(String group, Map<String, Object> more) {
        Map<String, Object> config = new HashMap<>(more);
        config.put("bootstrap.servers", bootstrap);
        config.put("group.id", group);
        KafkaShareConsumer<byte[], byte[]> consumer =
            new KafkaShareConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        consumer.subscribe(List.of(group));
        return consumer;
    }

    static final Map<String, Object> EXPLICIT = Map.of("share.acknowledgement.mode", "explicit");

    /** Polls until so many records were seen; a record is named by partition and offset. */
    static Map<String, Integer> take(
            KafkaShareConsumer<byte[], byte[]> consumer, int wanted,
            Function<ConsumerRecord<byte[], byte[]>, AcknowledgeType> what) {
        Map<String, Integer> seen = new TreeMap<>();
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        int count = 0;
        while (count < wanted) {
            check(System.currentTimeMillis() < deadline, "only " + count + " of " + wanted + " came");
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
                count++;
                String value = new String(record.value(), StandardCharsets.UTF_8);
                equal(record.partition() + "/" + record.offset(), value, "value");
                seen.merge(value, (int) record.deliveryCount().orElse((short) 0), Integer::max);
                if (what != null) consumer.acknowledge(record, what.apply(record));
            }
            if (what != null && count > 0) {
                Map<TopicIdPartition, Optional<KafkaException>> said = consumer.commitSync();
                said.forEach((p, error) -> check(error.isEmpty(), p + ": " + error));
            }
        }
        return seen;
    }

    /** What a new member is still given. */
    static Set<String> rest(String group, long ms) {
        Set<String> seen = new TreeSet<>();
        try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(group, Map.of())) {
            long deadline = System.currentTimeMillis() + ms;
            while (System.currentTimeMillis() < deadline) {
                consumer.poll(POLL).forEach(r -> seen.add(r.partition() + "/" + r.offset()));
            }
        }
        return seen;
    }

    static void implicit() throws Exception {
        String topic = prepared("implicit", 3, 200);
        try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(topic, Map.of())) {
            Map<String, Integer> seen = take(consumer, 600, null);
            equal(600, seen.size(), "records");
            equal(Set.of(1), new HashSet<>(seen.values()), "delivery counts");
            consumer.commitSync();
        }
        equal(Set.of(), rest(topic, 3_000), "records given again");
        produce(topic, 3, 200, 1);
        equal(Set.of("0/200", "1/200", "2/200"), rest(topic, 8_000), "new records");
    }

    static void explicit() throws Exception {
        String topic = prepared("explicit", 1, 90);
        try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(topic, EXPLICIT)) {
            // Accepted, released, rejected in turn; what is released comes a second time.
            Map<String, Integer> seen = take(consumer, 120, record -> {
                if (record.deliveryCount().orElse((short) 0) > 1) return AcknowledgeType.ACCEPT;
                return switch ((int) (record.offset() % 3)) {
                    case 0 -> AcknowledgeType.ACCEPT;
                    case 1 -> AcknowledgeType.RELEASE;
                    default -> AcknowledgeType.REJECT;
                };
            });
            equal(90, seen.size(), "records");
            for (int i = 0; i < 90; i++) equal(i % 3 == 1 ? 2 : 1, seen.get("0/" + i), "deliveries of " + i);
        }
        equal(Set.of(), rest(topic, 3_000), "records given again");
    }

    static void shared() throws Exception {
        String topic = prepared("shared", 1, 500);
        Set<String> all = new TreeSet<>();
        List<KafkaShareConsumer<byte[], byte[]>> consumers = new ArrayList<>();
        for (int i = 0; i < 3; i++) consumers.add(consumer(topic, Map.of("max.poll.records", 20)));
        Set<Integer> busy = new HashSet<>();
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        while (all.size() < 500) {
            check(System.currentTimeMillis() < deadline, "only " + all.size() + " came");
            for (int i = 0; i < 3; i++) {
                for (ConsumerRecord<byte[], byte[]> record : consumers.get(i).poll(POLL)) {
                    busy.add(i);
                    check(all.add(record.partition() + "/" + record.offset()), "given twice: " + record.offset());
                }
            }
        }
        consumers.forEach(KafkaShareConsumer::close);
        check(busy.size() > 1, "one member got everything of a partition that three share");
    }

    static void limit() throws Exception {
        String topic = prepared("limit", 1, 10);
        try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(topic, EXPLICIT)) {
            Map<String, Integer> seen = take(consumer, 50, record -> AcknowledgeType.RELEASE);
            equal(Set.of(5), new HashSet<>(seen.values()), "delivery counts");
        }
        equal(Set.of(), rest(topic, 3_000), "records given more than five times");
    }

    static void closed() throws Exception {
        String topic = prepared("closed", 1, 10);
        try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(topic, EXPLICIT)) {
            long deadline = System.currentTimeMillis() + PATIENCE_MS;
            while (consumer.poll(POLL).isEmpty()) check(System.currentTimeMillis() < deadline, "nothing came");
        }
        // Far below the 30 s that records are held.
        equal(10, rest(topic, 10_000).size(), "records of a member that has left");
    }

    /** Records that are not acknowledged in time are somebody else's, and not to be acknowledged any more. */
    static void locked() throws Exception {
        String topic = prepared("locked", 1, 10, Map.of("share.record.lock.duration.ms", "15000"));
        try (KafkaShareConsumer<byte[], byte[]> slow = consumer(topic, EXPLICIT);
                KafkaShareConsumer<byte[], byte[]> other = consumer(topic, EXPLICIT)) {
            List<ConsumerRecord<byte[], byte[]>> held = some(slow, 10);
            long begun = System.currentTimeMillis();
            List<ConsumerRecord<byte[], byte[]>> again = some(other, 10);
            long heldMs = System.currentTimeMillis() - begun;
            check(heldMs > 10_000, "given to somebody else after " + heldMs + " ms");
            check(again.stream().allMatch(r -> r.deliveryCount().orElse((short) 0) == 2), "delivery counts");
            held.forEach(record -> slow.acknowledge(record, AcknowledgeType.ACCEPT));
            Map<TopicIdPartition, Optional<KafkaException>> said = slow.commitSync();
            check(said.values().stream().allMatch(e -> e.orElse(null) instanceof InvalidRecordStateException),
                "acknowledged too late: " + said);
            again.forEach(record -> other.acknowledge(record, AcknowledgeType.ACCEPT));
            other.commitSync().forEach((p, error) -> check(error.isEmpty(), p + ": " + error));
        }
        equal(Set.of(), rest(topic, 3_000), "records given again");
    }

    /** So many records, which the consumer goes on to hold. */
    static List<ConsumerRecord<byte[], byte[]>> some(KafkaShareConsumer<byte[], byte[]> consumer, int wanted) {
        List<ConsumerRecord<byte[], byte[]>> held = new ArrayList<>();
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        while (held.isEmpty()) {
            check(System.currentTimeMillis() < deadline, "nothing came");
            consumer.poll(POLL).forEach(held::add);
        }
        equal(wanted, held.size(), "records at once");
        return held;
    }

    /** A member that holds records until its process is killed. */
    static void hold(String group) throws Exception {
        try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(group, EXPLICIT)) {
            System.out.println("holds " + some(consumer, 10).size());
            Thread.sleep(PATIENCE_MS);
        }
    }

    static void killed() throws Exception {
        String topic = prepared("killed", 1, 10);
        Process member = new ProcessBuilder(System.getProperty("java.home") + "/bin/java", "-Xmx256m", "-cp",
            System.getProperty("java.class.path"), "ShareSuite", "hold", bootstrap, topic)
            .redirectError(ProcessBuilder.Redirect.DISCARD).start();
        try {
            String said = new BufferedReader(new InputStreamReader(member.getInputStream())).readLine();
            equal("holds 10", String.valueOf(said), "the other process");
            equal(Set.of(), rest(topic, 2_000), "records of a member that is there");
        } finally {
            member.destroyForcibly().waitFor();
        }
        // Far below the 30 s that records are held, and the 45 s until it is removed from the group.
        equal(10, rest(topic, 12_000).size(), "records of a member that is gone");
    }

    /** Records of transactions: all but markers for some groups, those that are committed for others. */
    static void transactions() throws Exception {
        String topic = "share" + RUN + "-transactions";
        String all = topic + "-all";
        try (Admin admin = admin()) {
            admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
        }
        configure(topic, Map.of("share.auto.offset.reset", "earliest", "share.isolation.level", "read_committed"));
        configure(all, Map.of("share.auto.offset.reset", "earliest"));
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "transactional.id", topic);
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            producer.initTransactions();
            for (String what : List.of("committed", "aborted", "committed", "open")) {
                producer.beginTransaction();
                for (int i = 0; i < 5; i++) producer.send(new ProducerRecord<>(topic, 0, null, what.getBytes()));
                producer.flush();
                if (what.equals("committed")) producer.commitTransaction();
                if (what.equals("aborted")) producer.abortTransaction();
            }
            equal(Map.of("committed", 10), values(topic, topic, 10), "records of committed transactions");
            equal(Map.of("committed", 10, "aborted", 5, "open", 5), values(all, topic, 20), "all records");
            producer.commitTransaction();
            equal(Map.of("open", 5), values(topic, topic, 5), "records that are committed now");
        }
    }

    /** The first so many values that a group is given and what comes soon after, each with how often it came. */
    static Map<String, Integer> values(String group, String topic, int wanted) {
        Map<String, Integer> values = new TreeMap<>();
        try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(group, Map.of())) {
            consumer.subscribe(List.of(topic));
            long deadline = System.currentTimeMillis() + PATIENCE_MS;
            int count = 0;
            for (int late = 0; late < 5; ) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
                    count++;
                    values.merge(new String(record.value(), StandardCharsets.UTF_8), 1, Integer::sum);
                }
                if (count >= wanted) late++;
                check(System.currentTimeMillis() < deadline, "only " + values + " came");
            }
        }
        return values;
    }

    /** Without a config a group begins at the end of the log. */
    static void late() throws Exception {
        String topic = "share" + RUN + "-late";
        try (Admin admin = admin()) {
            admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
            produce(topic, 1, 0, 10);
            try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(topic, Map.of())) {
                long deadline = System.currentTimeMillis() + PATIENCE_MS;
                Set<Long> seen = new TreeSet<>();
                for (int next = 10; seen.isEmpty(); next += 10) {
                    check(System.currentTimeMillis() < deadline, "nothing came");
                    // Nobody is told when the group has begun.
                    produce(topic, 1, next, 10);
                    for (int i = 0; i < 5; i++) consumer.poll(POLL).forEach(r -> seen.add(r.offset()));
                }
                check(seen.stream().allMatch(offset -> offset >= 10), "records from before the group: " + seen);
            }
        }
    }

    static void administered() throws Exception {
        String topic = prepared("admin", 2, 10);
        try (Admin admin = admin()) {
            TopicPartition first = new TopicPartition(topic, 0);
            try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(topic, Map.of())) {
                take(consumer, 20, null);
                consumer.commitSync();
                ShareGroupDescription group = admin.describeShareGroups(List.of(topic)).all().get().get(topic);
                equal(GroupState.STABLE, group.groupState(), "state");
                equal(1, group.members().size(), "members");
                Set<TopicPartition> assigned =
                    group.members().iterator().next().assignment().topicPartitions();
                equal(Set.of(first, new TopicPartition(topic, 1)), assigned, "assignment");
                Collection<?> listed = admin.listGroups(ListGroupsOptions.forShareGroups()).all().get();
                check(listed.stream().anyMatch(g -> g.toString().contains("'" + topic + "'")), "not in " + listed);
                failsWith(GroupNotEmptyException.class,
                    () -> admin.deleteShareGroupOffsets(topic, Set.of(topic)).all().get());
                failsWith(GroupNotEmptyException.class,
                    () -> admin.deleteShareGroups(List.of(topic)).all().get());
            }
            equal(Set.of(first, new TopicPartition(topic, 1)), starts(admin, topic).keySet(), "partitions");
            equal(Set.of(), rest(topic, 3_000), "records given again");
            admin.deleteShareGroupOffsets(topic, Set.of(topic)).all().get();
            equal(Map.of(), starts(admin, topic), "start offsets");
            admin.deleteShareGroups(List.of(topic)).all().get();
            failsWith(GroupIdNotFoundException.class,
                () -> admin.describeShareGroups(List.of(topic)).all().get());
        }
    }

    /** A start offset that is set by an operator, which takes no effect while the group has members. */
    static void reset() throws Exception {
        String topic = prepared("reset", 1, 10);
        TopicPartition partition = new TopicPartition(topic, 0);
        try (Admin admin = admin()) {
            try (KafkaShareConsumer<byte[], byte[]> consumer = consumer(topic, Map.of())) {
                take(consumer, 10, null);
                consumer.commitSync();
                // This client does not tell of an error of the whole group.
                admin.alterShareGroupOffsets(topic, Map.of(partition, 3L)).all().get();
            }
            equal(Set.of(), rest(topic, 3_000), "records given again");
            admin.alterShareGroupOffsets(topic, Map.of(partition, 7L)).all().get();
            equal(Map.of(partition, 7L), starts(admin, topic), "start offset");
            equal(Set.of("0/7", "0/8", "0/9"), rest(topic, 8_000), "records after it");
        }
    }

    /** Whether it is Apache Kafka that is asked, by a feature that says how a KRaft log is written. */
    static boolean isApacheKafka() throws Exception {
        try (Admin admin = admin()) {
            return admin.describeFeatures().featureMetadata().get().supportedFeatures().containsKey("metadata.version");
        }
    }

    static Map<TopicPartition, Long> starts(Admin admin, String group) throws Exception {
        var offsets = admin.listShareGroupOffsets(Map.of(group, new ListShareGroupOffsetsSpec()));
        return offsets.partitionsToOffsetAndMetadata(group).get().entrySet().stream()
            .collect(Collectors.toMap(Map.Entry::getKey, e -> e.getValue().offset()));
    }

    /** Apache Kafka 4.1 has share groups as a preview, to be asked for. */
    static void enable() throws Exception {
        try (Admin admin = admin()) {
            var features = admin.describeFeatures().featureMetadata().get();
            if (!features.supportedFeatures().containsKey("share.version")) return;
            FeatureUpdate update = new FeatureUpdate((short) 1, FeatureUpdate.UpgradeType.UPGRADE);
            admin.updateFeatures(Map.of("share.version", update), new UpdateFeaturesOptions()).all().get();
        } catch (ExecutionException error) {
            System.err.println("share.version stays as it is: " + error.getCause());
        }
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[1];
        if (args[0].equals("hold")) hold(args[2]);
        if (!args[0].equals("cases")) return;
        enable();
        Map<String, Case> cases = new LinkedHashMap<>();
        cases.put("implicit acknowledgement", ShareSuite::implicit);
        cases.put("explicit acknowledgement", ShareSuite::explicit);
        cases.put("three members share a partition", ShareSuite::shared);
        cases.put("delivery limit", ShareSuite::limit);
        cases.put("a member that closes gives back", ShareSuite::closed);
        cases.put("a member that is killed gives back", ShareSuite::killed);
        cases.put("a member that is slow loses its records", ShareSuite::locked);
        cases.put("transactions", ShareSuite::transactions);
        cases.put("begins at the end", ShareSuite::late);
        cases.put("share groups administered", ShareSuite::administered);
        cases.put("start offset set", ShareSuite::reset);
        Map<String, String> knownNotToWork = isApacheKafka()
            ? Map.of("start offset set", "takes no effect in Apache Kafka 4.1.1, where share groups are a preview")
            : Map.of();
        int failed = 0;
        for (Map.Entry<String, Case> entry : cases.entrySet()) {
            try {
                entry.getValue().run();
                System.out.println("ok " + entry.getKey());
            } catch (Throwable error) {
                String why = knownNotToWork.get(entry.getKey());
                if (why != null) System.out.println("expected " + entry.getKey() + ": " + why);
                if (why != null) continue;
                failed++;
                System.out.println("FAIL " + entry.getKey() + ": " + error.toString().replace('\n', ' '));
                error.printStackTrace();
            }
        }
        System.exit(failed == 0 ? 0 : 1);
    }
}
