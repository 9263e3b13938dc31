// kafka-clients: the Java producer with its defaults (idempotent, acks=all), consumer, AdminClient.
// The contract and the modes are in ../README.md.

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidRegularExpression;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.InvalidUpdateVersionException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Suite {
    static final String CLIENT = "java";
    static final int PARTITIONS = 3;
    static final int RECORDS = 40;
    static final long BASE_TIMESTAMP = 1_700_000_000_000L;
    static final String RUN = Optional.ofNullable(System.getenv("RUN")).orElse("");
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    // Retention would delete records with timestamps as old as the contract's.
    static final Map<String, String> FOREVER = Map.of("retention.ms", "-1");
    static String bootstrap;

    interface Case {
        void run() throws Exception;
    }

    // ------------------------------------------------------------------ the contract

    record Expected(byte[] key, byte[] value, List<Header> headers, Long timestamp) {}

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static byte[] allBytes() {
        byte[] bytes = new byte[256];
        for (int i = 0; i < 256; i++) bytes[i] = (byte) i;
        return bytes;
    }

    static Expected contract(int p, int i, String profile) {
        if (profile.equals("plain")) {
            byte[] key = i % 5 == 0 ? null : utf8("key-" + p + "-" + i);
            return new Expected(key, i % 7 == 0 ? null : utf8("value-" + p + "-" + i), List.of(), null);
        }
        byte[] key = switch (i % 5) {
            case 0 -> null;
            case 1 -> new byte[0];
            case 4 -> allBytes();
            default -> utf8("key-" + p + "-" + i);
        };
        byte[] value = switch (i % 7) {
            case 0 -> null;
            case 1 -> new byte[0];
            case 2 -> pattern(p, i);
            default -> utf8("value-" + p + "-" + i + "-é");
        };
        boolean keyed = profile.equals("keyed") || profile.equals("strict");
        if (keyed && key == null && value == null) key = utf8("key-" + p + "-" + i);
        List<Header> headers = new ArrayList<>();
        if (i % 3 == 1) {
            headers.add(new RecordHeader("a", utf8("1")));
            headers.add(new RecordHeader("a", utf8("2")));
            headers.add(new RecordHeader("b", new byte[0]));
            boolean nulls = !profile.equals("nonull") && !profile.equals("strict");
            if (nulls) headers.add(new RecordHeader("n", (byte[]) null));
        } else if (i % 3 == 2) {
            headers.add(new RecordHeader("h", allBytes()));
        }
        return new Expected(key, value, headers, BASE_TIMESTAMP + 1_000_000L * p + 1000L * i);
    }

    static byte[] pattern(int p, int i) {
        byte[] bytes = new byte[2000];
        for (int j = 0; j < bytes.length; j++) bytes[j] = (byte) ((31 * p + 7 * i + j) % 251);
        return bytes;
    }

    static void compare(ConsumerRecord<byte[], byte[]> found) {
        String topic = found.topic();
        String profile = topic.substring(topic.lastIndexOf('-') + 1);
        Expected wanted = contract(found.partition(), (int) found.offset(), profile);
        String at = topic + "/" + found.partition() + "@" + found.offset();
        check(Arrays.equals(wanted.key, found.key()), at + " key");
        check(Arrays.equals(wanted.value, found.value()), at + " value");
        check(wanted.headers.equals(Arrays.asList(found.headers().toArray())), at + " headers " + found.headers());
        check(wanted.timestamp == null || wanted.timestamp == found.timestamp(), at + " timestamp " + found.timestamp());
        check(found.timestampType() == TimestampType.CREATE_TIME, at + " timestamp type");
    }

    // ------------------------------------------------------------------ small things

    static String named(String purpose) {
        return CLIENT + "-" + purpose + RUN;
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
        throw new AssertionError("it worked, instead of failing with " + kind.getSimpleName());
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    static void eventually(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
        while (!condition.holds()) {
            check(System.nanoTime() < deadline, "not within 30 s: " + what);
            Thread.sleep(50);
        }
    }

    static Map<String, Object> settings(Object... pairs) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2) settings.put((String) pairs[i], pairs[i + 1]);
        return settings;
    }

    static KafkaProducer<byte[], byte[]> producer(Object... pairs) {
        return new KafkaProducer<>(settings(pairs), new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(Object... pairs) {
        Map<String, Object> settings = settings("auto.offset.reset", "earliest", "enable.auto.commit", false);
        for (int i = 0; i < pairs.length; i += 2) settings.put((String) pairs[i], pairs[i + 1]);
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static Admin admin() {
        return Admin.create(settings());
    }

    static void create(String topic, int partitions, Map<String, String> configs) throws Exception {
        try (Admin admin = admin()) {
            NewTopic created = new NewTopic(topic, Optional.of(partitions), Optional.empty()).configs(configs);
            admin.createTopics(List.of(created)).all().get();
        }
    }

    static List<RecordMetadata> send(KafkaProducer<byte[], byte[]> producer, String topic, List<byte[]> values)
            throws Exception {
        List<Future<RecordMetadata>> futures = new ArrayList<>();
        for (byte[] value : values) futures.add(producer.send(new ProducerRecord<>(topic, 0, null, value)));
        producer.flush();
        List<RecordMetadata> sent = new ArrayList<>();
        for (Future<RecordMetadata> future : futures) sent.add(future.get());
        return sent;
    }

    static void sendAndClose(String topic, List<byte[]> values, Object... pairs) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(pairs)) {
            send(producer, topic, values);
        }
    }

    static List<byte[]> numbered(int count) {
        return IntStream.range(0, count).mapToObj(i -> utf8("" + i)).collect(Collectors.toList());
    }

    static List<ConsumerRecord<byte[], byte[]>> poll(KafkaConsumer<byte[], byte[]> consumer, int count)
            throws Exception {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        eventually(count + " records", () -> {
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
            return records.size() >= count;
        });
        return records;
    }

    static String text(ConsumerRecord<byte[], byte[]> found) {
        return new String(found.value(), StandardCharsets.UTF_8);
    }

    // ------------------------------------------------------------------ write and verify

    static void write(String codec, String topic) throws Exception {
        create(topic, PARTITIONS, FOREVER);
        List<Future<RecordMetadata>> futures = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer("compression.type", codec, "linger.ms", 5)) {
            for (int p = 0; p < PARTITIONS; p++) {
                for (int i = 0; i < RECORDS; i++) {
                    Expected r = contract(p, i, "full");
                    futures.add(producer.send(new ProducerRecord<>(topic, p, r.timestamp, r.key, r.value, r.headers)));
                }
            }
        }
        for (Future<RecordMetadata> future : futures) future.get();
    }

    static void verify(String topic) throws Exception {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (int p = 0; p < PARTITIONS; p++) partitions.add(new TopicPartition(topic, p));
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            int[] next = new int[PARTITIONS];
            eventually(topic + " whole", () -> {
                for (ConsumerRecord<byte[], byte[]> found : consumer.poll(Duration.ofMillis(200))) {
                    equal((long) next[found.partition()]++, found.offset(), topic + " offset");
                    compare(found);
                }
                return IntStream.of(next).allMatch(offset -> offset == RECORDS);
            });
            for (long end : consumer.endOffsets(partitions).values()) equal((long) RECORDS, end, "end offset");
        }
    }

    // ------------------------------------------------------------------ cases

    static Map<String, Case> cases() {
        Map<String, Case> cases = new LinkedHashMap<>();
        cases.put("describe-cluster", Suite::describeCluster);
        cases.put("admin-create", Suite::adminCreate);
        cases.put("admin-create-validate-only", Suite::adminCreateValidateOnly);
        cases.put("admin-create-existing", () -> failsWith(TopicExistsException.class, () -> create(named("cases"), 1, Map.of())));
        cases.put("admin-create-invalid", Suite::adminCreateInvalid);
        cases.put("admin-describe-configs", Suite::adminDescribeConfigs);
        cases.put("admin-create-partitions", Suite::adminCreatePartitions);
        cases.put("admin-delete-by-id", Suite::adminDeleteById);
        cases.put("admin-incremental-configs", Suite::adminIncrementalConfigs);
        cases.put("admin-group-configs", Suite::adminGroupConfigs);
        cases.put("admin-broker-configs", Suite::adminBrokerConfigs);
        cases.put("admin-elect-leaders", Suite::adminElectLeaders);
        cases.put("admin-reassign", Suite::adminReassign);
        cases.put("admin-log-dirs", Suite::adminLogDirs);
        cases.put("admin-producers", Suite::adminProducers);
        cases.put("admin-features", Suite::adminFeatures);
        cases.put("acks", Suite::acks);
        cases.put("idempotent-offsets", Suite::idempotentOffsets);
        cases.put("offsets", Suite::offsets);
        cases.put("group-commit-and-resume", Suite::groupCommitAndResume);
        cases.put("subscription-pattern", Suite::subscriptionPattern);
        cases.put("subscription-pattern-syntax", Suite::subscriptionPatternSyntax);
        cases.put("subscription-pattern-invalid", Suite::subscriptionPatternInvalid);
        cases.put("message-too-large", Suite::messageTooLarge);
        cases.put("offset-out-of-range", Suite::offsetOutOfRange);
        cases.put("log-append-time", Suite::logAppendTime);
        cases.put("auto-create", Suite::autoCreate);
        return cases;
    }

    static void describeCluster() throws Exception {
        try (Admin admin = admin()) {
            check(!admin.describeCluster().nodes().get().isEmpty(), "no nodes");
            check(admin.describeCluster().clusterId().get().length() > 0, "no cluster id");
            check(admin.describeCluster().controller().get() != null, "no controller");
        }
    }

    static void adminCreate() throws Exception {
        String topic = named("cases");
        create(topic, 4, Map.of("retention.ms", "86400000"));
        try (Admin admin = admin()) {
            eventually("the topic in metadata", () -> admin.listTopics().names().get().contains(topic));
            TopicDescription found = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
            equal(4, found.partitions().size(), "partitions");
            check(found.partitions().stream().allMatch(p -> p.leader() != null && !p.isr().isEmpty()), "leaders");
            check(!found.topicId().equals(org.apache.kafka.common.Uuid.ZERO_UUID), "no topic id");
        }
    }

    static void adminCreateValidateOnly() throws Exception {
        try (Admin admin = admin()) {
            NewTopic topic = new NewTopic(named("validated"), 3, (short) 1);
            admin.createTopics(List.of(topic), new CreateTopicsOptions().validateOnly(true)).all().get();
            check(!admin.listTopics().names().get().contains(topic.name()), "it was created");
        }
    }

    static void adminCreateInvalid() throws Exception {
        Map<String, String> unknown = Map.of("no.such.config", "1");
        failsWith(InvalidConfigurationException.class, () -> create(named("invalid"), 1, unknown));
        Map<String, String> wrong = Map.of("cleanup.policy", "sometimes");
        failsWith(InvalidConfigurationException.class, () -> create(named("invalid"), 1, wrong));
        for (String name : List.of("a b", "..", "x".repeat(250))) {
            failsWith(InvalidTopicException.class, () -> create(name, 1, Map.of()));
        }
        failsWith(InvalidPartitionsException.class, () -> create(named("zero"), 0, Map.of()));
    }

    static void adminDescribeConfigs() throws Exception {
        try (Admin admin = admin()) {
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, named("cases"));
            Config config = admin.describeConfigs(List.of(resource)).all().get().get(resource);
            equal("86400000", config.get("retention.ms").value(), "retention.ms");
            equal(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, config.get("retention.ms").source(), "its source");
            equal(ConfigEntry.ConfigType.LONG, config.get("retention.ms").type(), "its type");
            equal("1048588", config.get("max.message.bytes").value(), "max.message.bytes");
            check(config.get("cleanup.policy").isDefault(), "cleanup.policy is no default");
            String node = "" + admin.describeCluster().nodes().get().iterator().next().id();
            ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, node);
            Config brokerConfig = admin.describeConfigs(List.of(broker)).all().get().get(broker);
            equal("1048588", brokerConfig.get("message.max.bytes").value(), "message.max.bytes");
        }
    }

    static void adminCreatePartitions() throws Exception {
        String topic = named("cases");
        try (Admin admin = admin()) {
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(6))).all().get();
            eventually("six partitions", () -> admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() == 6);
            failsWith(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get());
        }
    }

    static void adminDeleteById() throws Exception {
        String topic = named("deleted");
        create(topic, 1, Map.of());
        try (Admin admin = admin()) {
            eventually("the topic in metadata", () -> admin.listTopics().names().get().contains(topic));
            var id = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId();
            admin.deleteTopics(org.apache.kafka.common.TopicCollection.ofTopicIds(Set.of(id))).all().get();
            eventually("the topic gone", () -> !admin.listTopics().names().get().contains(topic));
            failsWith(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(topic)).all().get());
        }
    }

    static ConfigResource resource(ConfigResource.Type type, String name) {
        return new ConfigResource(type, name);
    }

    static void alter(Admin admin, ConfigResource resource, boolean validateOnly, Object... changes) throws Exception {
        List<AlterConfigOp> ops = new ArrayList<>();
        for (int i = 0; i < changes.length; i += 3) {
            ConfigEntry entry = new ConfigEntry((String) changes[i], (String) changes[i + 2]);
            ops.add(new AlterConfigOp(entry, (OpType) changes[i + 1]));
        }
        AlterConfigsOptions options = new AlterConfigsOptions().validateOnly(validateOnly);
        admin.incrementalAlterConfigs(Map.of(resource, ops), options).all().get();
    }

    static ConfigEntry config(Admin admin, ConfigResource resource, String name) throws Exception {
        return admin.describeConfigs(List.of(resource)).all().get().get(resource).get(name);
    }

    static void adminIncrementalConfigs() throws Exception {
        String topic = named("incremental");
        create(topic, 1, Map.of("cleanup.policy", "compact"));
        ConfigResource resource = resource(ConfigResource.Type.TOPIC, topic);
        try (Admin admin = admin()) {
            eventually("the topic", () -> admin.listTopics().names().get().contains(topic));
            alter(admin, resource, true, "retention.ms", OpType.SET, "1");
            alter(admin, resource, false, "cleanup.policy", OpType.APPEND, "delete", "segment.ms", OpType.SET, "7");
            eventually("the append", () -> config(admin, resource, "cleanup.policy").value().equals("compact,delete"));
            alter(admin, resource, false, "cleanup.policy", OpType.SUBTRACT, "compact", "segment.ms", OpType.DELETE, null);
            eventually("the subtraction", () -> config(admin, resource, "cleanup.policy").value().equals("delete"));
            check(config(admin, resource, "segment.ms").isDefault(), "segment.ms is not deleted");
            equal("604800000", config(admin, resource, "retention.ms").value(), "what was only validated");
            failsWith(InvalidConfigurationException.class, () -> alter(admin, resource, false, "retention.ms", OpType.APPEND, "1"));
            failsWith(InvalidConfigurationException.class, () -> alter(admin, resource, false, "nonsense", OpType.SET, "1"));
            failsWith(InvalidRequestException.class, () -> alter(admin, resource, false, "retention.ms", OpType.SET, null));
            failsWith(InvalidRequestException.class, () -> alter(admin, resource, false, "retention.ms", OpType.SET, "1", "retention.ms", OpType.SET, "2"));
        }
    }

    static void adminGroupConfigs() throws Exception {
        ConfigResource group = resource(ConfigResource.Type.GROUP, named("configured"));
        String session = "consumer.session.timeout.ms";
        var groups = Set.of(ConfigResource.Type.GROUP);
        try (Admin admin = admin()) {
            equal("45000", config(admin, group, session).value(), "the default");
            equal(ConfigEntry.ConfigSource.DEFAULT_CONFIG, config(admin, group, session).source(), "its source");
            alter(admin, group, false, session, OpType.SET, "50000", "share.auto.offset.reset", OpType.SET, "earliest");
            eventually("the group's own", () -> config(admin, group, session).value().equals("50000"));
            equal(ConfigEntry.ConfigSource.DYNAMIC_GROUP_CONFIG, config(admin, group, session).source(), "its source");
            check(admin.listConfigResources(groups, new ListConfigResourcesOptions()).all().get().contains(group), "it is not listed");
            String[][] refused = {
                {session, "1"}, {session, "60001"}, {session, "x"}, {"consumer.heartbeat.interval.ms", "1"},
                {"share.record.lock.duration.ms", "999"}, {"share.isolation.level", "x"}, {"nonsense", "1"},
            };
            for (String[] pair : refused) {
                failsWith(InvalidConfigurationException.class, () -> alter(admin, group, false, pair[0], OpType.SET, pair[1]));
            }
            failsWith(InvalidConfigurationException.class, () -> alter(admin, group, false, session, OpType.APPEND, "50001"));
            ConfigResource nobody = resource(ConfigResource.Type.GROUP, "");
            failsWith(InvalidRequestException.class, () -> alter(admin, nobody, false, session, OpType.SET, "50000"));
            alter(admin, group, false, session, OpType.DELETE, null, "share.auto.offset.reset", OpType.DELETE, null);
            eventually("the default again", () -> config(admin, group, session).value().equals("45000"));
        }
    }

    static void adminBrokerConfigs() throws Exception {
        String name = "log.message.timestamp.after.max.ms";
        String usual = "3600000";
        try (Admin admin = admin()) {
            String node = "" + admin.describeCluster().nodes().get().iterator().next().id();
            ConfigResource one = resource(ConfigResource.Type.BROKER, node);
            ConfigResource all = resource(ConfigResource.Type.BROKER, "");
            alter(admin, all, false, name, OpType.SET, "3600001");
            eventually("what all have", () -> config(admin, one, name).value().equals("3600001"));
            equal(ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, config(admin, one, name).source(), "its source");
            alter(admin, one, false, name, OpType.SET, "3600002");
            eventually("what one has", () -> config(admin, one, name).value().equals("3600002"));
            equal(ConfigEntry.ConfigSource.DYNAMIC_BROKER_CONFIG, config(admin, one, name).source(), "its source");
            equal("3600001", config(admin, all, name).value(), "what all have");
            failsWith(InvalidRequestException.class, () -> alter(admin, one, false, "num.partitions", OpType.SET, "3"));
            failsWith(InvalidRequestException.class, () -> alter(admin, one, false, name, OpType.SET, "x"));
            failsWith(InvalidConfigurationException.class, () -> alter(admin, one, false, name, OpType.APPEND, "1"));
            alter(admin, one, false, name, OpType.DELETE, null);
            alter(admin, all, false, name, OpType.DELETE, null);
            eventually("the default again", () -> config(admin, one, name).value().equals(usual));
        }
    }

    static TopicPartition partition(String topic, int partition) {
        return new TopicPartition(topic, partition);
    }

    static void adminElectLeaders() throws Exception {
        TopicPartition there = partition(named("cases"), 0);
        TopicPartition nowhere = partition("nowhere", 0);
        try (Admin admin = admin()) {
            for (ElectionType type : ElectionType.values()) {
                var told = admin.electLeaders(type, Set.of(there, nowhere)).partitions().get();
                equal(ElectionNotNeededException.class, told.get(there).get().getClass(), "a partition that is there");
                equal(UnknownTopicOrPartitionException.class, told.get(nowhere).get().getClass(), "one that is not");
            }
            equal(Map.of(), admin.electLeaders(ElectionType.PREFERRED, null).partitions().get(), "all of them");
        }
    }

    static void adminReassign() throws Exception {
        String topic = named("cases");
        TopicPartition there = partition(topic, 0);
        try (Admin admin = admin()) {
            equal(Map.of(), admin.listPartitionReassignments().reassignments().get(), "what is going on");
            var shown = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().get(0);
            List<Integer> replicas = shown.replicas().stream().map(Node::id).toList();
            reassign(admin, there, Optional.of(replicas));
            failsWith(InvalidReplicaAssignmentException.class, () -> reassign(admin, there, Optional.of(List.of(987_654))));
            failsWith(NoReassignmentInProgressException.class, () -> reassign(admin, there, Optional.empty()));
            TopicPartition nowhere = partition("nowhere", 0);
            failsWith(UnknownTopicOrPartitionException.class, () -> reassign(admin, nowhere, Optional.of(replicas)));
        }
    }

    static void reassign(Admin admin, TopicPartition partition, Optional<List<Integer>> to) throws Exception {
        admin.alterPartitionReassignments(Map.of(partition, to.map(NewPartitionReassignment::new))).all().get();
    }

    static void adminLogDirs() throws Exception {
        String topic = named("stored");
        create(topic, 2, Map.of());
        sendAndClose(topic, List.of(new byte[5000]), "compression.type", "none");
        try (Admin admin = admin()) {
            List<Integer> nodes = admin.describeCluster().nodes().get().stream().map(Node::id).toList();
            eventually("each partition once", () -> {
                Map<TopicPartition, Long> sizes = new HashMap<>();
                for (var dirs : admin.describeLogDirs(nodes).allDescriptions().get().values()) {
                    for (LogDirDescription dir : dirs.values()) {
                        dir.replicaInfos().forEach((of, info) -> sizes.merge(of, info.size(), Long::sum));
                    }
                }
                long stored = sizes.getOrDefault(partition(topic, 0), -1L);
                return stored >= 5000 && stored < 6000 && sizes.getOrDefault(partition(topic, 1), -1L) == 0;
            });
        }
    }

    static void adminProducers() throws Exception {
        String topic = named("producers");
        create(topic, 1, Map.of());
        sendAndClose(topic, numbered(10));
        TopicPartition partition = partition(topic, 0);
        try (Admin admin = admin()) {
            var told = admin.describeProducers(List.of(partition)).all().get().get(partition).activeProducers();
            equal(1, told.size(), "producers");
            ProducerState producer = told.get(0);
            equal(9, producer.lastSequence(), "the last sequence");
            equal(0, producer.producerEpoch(), "the epoch");
            check(producer.currentTransactionStartOffset().isEmpty(), "it is in a transaction");
        }
    }

    static void adminFeatures() throws Exception {
        try (Admin admin = admin()) {
            var told = admin.describeFeatures().featureMetadata().get();
            told.finalizedFeatures().forEach((name, level) -> {
                var range = told.supportedFeatures().get(name);
                check(range != null && range.maxVersion() >= level.maxVersionLevel(), name + " is not supported as it is in force");
            });
            FeatureUpdate update = new FeatureUpdate((short) 1, FeatureUpdate.UpgradeType.UPGRADE);
            failsWith(InvalidUpdateVersionException.class, () -> admin.updateFeatures(Map.of("nonsense", update), new UpdateFeaturesOptions()).all().get());
        }
    }

    static void acks() throws Exception {
        String topic = named("acks");
        create(topic, 1, Map.of());
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            for (String acks : List.of("0", "1", "all")) {
                sendAndClose(topic, numbered(10), "acks", acks, "enable.idempotence", false);
                List<ConsumerRecord<byte[], byte[]>> found = poll(consumer, 10);
                for (int i = 0; i < 10; i++) equal("" + i, text(found.get(i)), "acks=" + acks);
            }
        }
    }

    static void idempotentOffsets() throws Exception {
        String topic = named("idempotent");
        create(topic, 1, Map.of());
        try (KafkaProducer<byte[], byte[]> producer = producer("batch.size", 200)) {
            List<RecordMetadata> sent = send(producer, topic, numbered(1000));
            for (int i = 0; i < 1000; i++) equal((long) i, sent.get(i).offset(), "offset");
        }
    }

    static void offsets() throws Exception {
        String topic = named("offsets");
        create(topic, 1, FOREVER);
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaProducer<byte[], byte[]> producer = producer()) {
            for (int i = 0; i < 5; i++) producer.send(new ProducerRecord<>(topic, 0, BASE_TIMESTAMP + 1000L * i, null, utf8("x"))).get();
        }
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(); Admin admin = admin()) {
            equal(0L, consumer.beginningOffsets(List.of(partition)).get(partition), "beginning");
            equal(5L, consumer.endOffsets(List.of(partition)).get(partition), "end");
            long[][] wanted = {{-1000, 0}, {1500, 2}, {4000, 4}, {4001, -1}};
            for (long[] pair : wanted) {
                OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, BASE_TIMESTAMP + pair[0])).get(partition);
                equal(pair[1], found == null ? -1L : found.offset(), "+" + pair[0] + " ms");
            }
            ListOffsetsResult.ListOffsetsResultInfo newest =
                admin.listOffsets(Map.of(partition, OffsetSpec.maxTimestamp())).partitionResult(partition).get();
            equal(4L, newest.offset(), "offset of the newest timestamp");
            equal(BASE_TIMESTAMP + 4000, newest.timestamp(), "newest timestamp");
        }
    }

    static void groupCommitAndResume() throws Exception {
        String topic = named("group");
        String group = named("resumed");
        create(topic, 1, Map.of());
        TopicPartition partition = new TopicPartition(topic, 0);
        sendAndClose(topic, numbered(20));
        try (KafkaConsumer<byte[], byte[]> first = consumer("group.id", group)) {
            first.subscribe(List.of(topic));
            poll(first, 20);
            first.commitSync(Map.of(partition, new OffsetAndMetadata(10, "ten")));
        }
        try (KafkaConsumer<byte[], byte[]> second = consumer("group.id", group)) {
            second.subscribe(List.of(topic));
            equal("10", text(poll(second, 10).get(0)), "resumed at");
            OffsetAndMetadata committed = second.committed(Set.of(partition)).get(partition);
            equal(10L, committed.offset(), "committed");
            equal("ten", committed.metadata(), "metadata of the commit");
        }
    }

    static KafkaConsumer<byte[], byte[]> patternConsumer(String group) {
        return consumer("group.id", named(group), "group.protocol", "consumer");
    }

    static void topicsOf(KafkaConsumer<byte[], byte[]> consumer, Set<String> wanted) throws Exception {
        eventually("partitions of " + wanted, () -> {
            consumer.poll(Duration.ofMillis(200));
            return consumer.assignment().stream().map(TopicPartition::topic).collect(Collectors.toSet()).equals(wanted);
        });
    }

    /** The broker finds the topics of an expression (KIP-848), also those that are made later. */
    static void subscriptionPattern() throws Exception {
        String prefix = named("pattern");
        for (String topic : List.of("-a1", "-a1x", "-b1")) sendTo(prefix + topic);
        try (KafkaConsumer<byte[], byte[]> consumer = patternConsumer("pattern-group")) {
            consumer.subscribe(new SubscriptionPattern(prefix + "-a[0-9]+"));
            for (ConsumerRecord<byte[], byte[]> found : poll(consumer, 3)) equal(prefix + "-a1", found.topic(), "topic");
            for (String topic : List.of("-a22", "-b2")) sendTo(prefix + topic);
            for (ConsumerRecord<byte[], byte[]> found : poll(consumer, 3)) equal(prefix + "-a22", found.topic(), "a later topic");
            topicsOf(consumer, Set.of(prefix + "-a1", prefix + "-a22"));
            consumer.subscribe(new SubscriptionPattern(prefix + "-b."));
            topicsOf(consumer, Set.of(prefix + "-b1", prefix + "-b2"));
        }
    }

    static void sendTo(String topic) throws Exception {
        create(topic, 1, Map.of());
        sendAndClose(topic, numbered(3));
    }

    /** What RE2 knows and other engines do not all know, or know otherwise. */
    static void subscriptionPatternSyntax() throws Exception {
        String topic = named("pattern_syntax.1-x");
        create(topic, 1, Map.of());
        List<String> patterns = List.of("\\Q" + topic + "\\E", "(?i)" + topic.toUpperCase(java.util.Locale.ROOT), ".*pattern\\_syntax\\.1\\-x" + RUN,
            "java-(?P<word>[[:alpha:]_]+)\\.\\d-x" + RUN, "\\A\\pL+-(?:pattern|nothing)_syntax[^a-z]1.*\\z", ".*pattern_syntax\\0561-x" + RUN);
        for (int i = 0; i < patterns.size(); i++) {
            try (KafkaConsumer<byte[], byte[]> consumer = patternConsumer("pattern-syntax-" + i)) {
                consumer.subscribe(new SubscriptionPattern(patterns.get(i)));
                try {
                    topicsOf(consumer, Set.of(topic));
                } catch (Throwable error) {
                    throw new AssertionError(patterns.get(i), error);
                }
            }
        }
    }

    static void subscriptionPatternInvalid() throws Exception {
        for (String pattern : List.of("(", "[a", "*", "(?=a)b", "(a)\\1", "a{2,1}", "a{1001}", "\\y")) {
            try (KafkaConsumer<byte[], byte[]> consumer = patternConsumer("pattern-invalid")) {
                consumer.subscribe(new SubscriptionPattern(pattern));
                try {
                    failsWith(InvalidRegularExpression.class, () -> poll(consumer, 1));
                } catch (Throwable error) {
                    throw new AssertionError(pattern + ": " + error, error);
                }
            }
        }
    }

    static void messageTooLarge() throws Exception {
        String topic = named("large");
        create(topic, 1, Map.of("max.message.bytes", "10000"));
        sendAndClose(topic, List.of(new byte[9000]));
        failsWith(RecordTooLargeException.class, () -> sendAndClose(topic, List.of(new byte[10001])));
        byte[] random = new byte[1_100_000];
        new Random(1).nextBytes(random);
        String other = named("large-default");
        create(other, 1, Map.of());
        failsWith(RecordTooLargeException.class, () -> sendAndClose(other, List.of(random), "max.request.size", 5_000_000));
        sendAndClose(other, List.of(new byte[1_000_000]), "max.request.size", 5_000_000);
    }

    static void offsetOutOfRange() throws Exception {
        String topic = named("range");
        create(topic, 1, Map.of());
        TopicPartition partition = new TopicPartition(topic, 0);
        sendAndClose(topic, numbered(2));
        try (KafkaConsumer<byte[], byte[]> strict = consumer("auto.offset.reset", "none")) {
            strict.assign(List.of(partition));
            strict.seek(partition, 99);
            failsWith(OffsetOutOfRangeException.class, () -> poll(strict, 1));
        }
        try (KafkaConsumer<byte[], byte[]> lenient = consumer()) {
            lenient.assign(List.of(partition));
            lenient.seek(partition, 99);
            equal("0", text(poll(lenient, 1).get(0)), "after the reset");
        }
    }

    static void logAppendTime() throws Exception {
        String topic = named("append-time");
        create(topic, 1, Map.of("message.timestamp.type", "LogAppendTime"));
        long before = System.currentTimeMillis() - 1000;
        long acknowledged;
        try (KafkaProducer<byte[], byte[]> producer = producer()) {
            acknowledged = producer.send(new ProducerRecord<>(topic, 0, 1000L, null, utf8("x"))).get().timestamp();
        }
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            ConsumerRecord<byte[], byte[]> found = poll(consumer, 1).get(0);
            equal(TimestampType.LOG_APPEND_TIME, found.timestampType(), "timestamp type");
            check(found.timestamp() >= before, "timestamp " + found.timestamp());
            equal(found.timestamp(), acknowledged, "timestamp in the acknowledgement");
        }
    }

    static void autoCreate() throws Exception {
        String topic = named("auto-created");
        sendAndClose(topic, numbered(3));
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            poll(consumer, 3);
        }
    }

    // ------------------------------------------------------------------ main

    public static void main(String[] args) {
        bootstrap = args[1];
        Map<String, Case> cases = new LinkedHashMap<>();
        Collection<String> topics = Arrays.asList(args).subList(2, args.length);
        switch (args[0]) {
            case "write" -> CODECS.forEach(codec -> {
                String topic = "xc" + RUN + "-" + CLIENT + "-" + codec + "-full";
                cases.put("write " + topic, () -> write(codec, topic));
            });
            case "verify" -> topics.forEach(topic -> cases.put("verify " + topic, () -> verify(topic)));
            default -> cases.putAll(cases());
        }
        System.exit(run(cases));
    }

    /** Runs cases and prints a line for each; gives the exit code. */
    static int run(Map<String, Case> cases) {
        int failed = 0;
        for (Map.Entry<String, Case> entry : cases.entrySet()) {
            try {
                entry.getValue().run();
                System.out.println("ok " + entry.getKey());
            } catch (Throwable error) {
                failed++;
                System.out.println("FAIL " + entry.getKey() + ": " + error.toString().replace('\n', ' '));
                error.printStackTrace();
            }
        }
        return failed == 0 ? 0 : 1;
    }
}
