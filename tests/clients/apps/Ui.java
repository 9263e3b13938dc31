// What a Kafka UI asks for whenever somebody looks at a cluster with hundreds of topics, all of it at once.
// Usage: Ui cases HOST:PORT

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListOffsetsResult;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringSerializer;

public final class Ui {
    private Ui() {}

    private static final int TOPICS = 200;
    private static final int PARTITIONS = 2;
    private static final int GROUPS = 50;
    /** Every topic has its number modulo this of records in partition 0. */
    private static final int RECORDS = 5;
    /** No screen may take longer to fill; a debug build on a busy machine needs some of it. */
    private static final long REFRESH_SECONDS_MAX = 20;

    private static final List<String> NAMES =
        IntStream.range(0, TOPICS).mapToObj(i -> String.format("ui%s-%03d", Suite.RUN, i)).toList();
    private static final List<String> GROUP_IDS =
        IntStream.range(0, GROUPS).mapToObj(i -> "ui-group" + Suite.RUN + "-" + i).toList();
    private static Admin admin;
    private static String bootstrap;

    private static List<TopicPartition> partitions() {
        return NAMES.stream().flatMap(name -> IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(name, p))).toList();
    }

    private static long end(TopicPartition partition) {
        return partition.partition() == 0 ? NAMES.indexOf(partition.topic()) % RECORDS : 0;
    }

    private static <T> T of(KafkaFuture<T> future) throws Exception {
        return future.get(60, TimeUnit.SECONDS);
    }

    private static void fill() throws Exception {
        of(admin.createTopics(NAMES.stream().map(name ->
            new NewTopic(name, Optional.of(PARTITIONS), Optional.empty()).configs(Map.of("retention.ms", "86400000"))).toList()).all());
        StringSerializer text = new StringSerializer();
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings, text, text)) {
            for (TopicPartition partition : partitions()) {
                for (long i = 0; i < end(partition); i++) {
                    sent.add(producer.send(new ProducerRecord<>(partition.topic(), partition.partition(), "key", "value " + i)));
                }
            }
        }
        for (Future<RecordMetadata> one : sent) one.get();
        List<KafkaFuture<Void>> commits = new ArrayList<>();
        for (int i = 0; i < GROUPS; i++) {
            commits.add(admin.alterConsumerGroupOffsets(GROUP_IDS.get(i),
                Map.of(new TopicPartition(NAMES.get(i), 0), new OffsetAndMetadata(i))).all());
        }
        for (KafkaFuture<Void> commit : commits) of(commit);
    }

    /** Everything is asked before anything is awaited. */
    private static void refresh() throws Exception {
        long began = System.nanoTime();
        DescribeClusterResult cluster = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
        KafkaFuture<Set<String>> listed = admin.listTopics(new ListTopicsOptions().listInternal(true)).names();
        KafkaFuture<Map<String, TopicDescription>> described =
            admin.describeTopics(NAMES, new DescribeTopicsOptions().includeAuthorizedOperations(true)).allTopicNames();
        KafkaFuture<Map<ConfigResource, Config>> configs = admin.describeConfigs(resources()).all();
        var starts = admin.listOffsets(specs(OffsetSpec.earliest())).all();
        var ends = admin.listOffsets(specs(OffsetSpec.latest())).all();
        var groups = admin.listConsumerGroups().all();
        var members = admin.describeConsumerGroups(GROUP_IDS).all();
        var committed = admin.listConsumerGroupOffsets(GROUP_IDS.stream().collect(
            Collectors.toMap(group -> group, group -> new ListConsumerGroupOffsetsSpec()))).all();

        Collection<Node> nodes = of(cluster.nodes());
        Suite.check(!of(cluster.clusterId()).isEmpty() && nodes.contains(of(cluster.controller())), "cluster " + nodes);
        Suite.check(of(listed).containsAll(NAMES), "all topics are listed");
        of(described).forEach((name, topic) -> {
            Suite.equal(PARTITIONS, topic.partitions().size(), name + " partitions");
            topic.partitions().forEach(p -> Suite.check(nodes.contains(p.leader()), name + " leader " + p));
        });
        Suite.equal(TOPICS, of(described).size(), "topics described");
        of(configs).forEach((resource, config) ->
            Suite.equal("86400000", config.get("retention.ms").value(), resource + " retention.ms"));
        Suite.equal(TOPICS, of(configs).size(), "configs described");
        offsets(of(starts), of(ends));
        Set<String> ids = of(groups).stream().map(group -> group.groupId()).collect(Collectors.toSet());
        Suite.check(ids.containsAll(GROUP_IDS), "all groups are listed, not just " + ids.size());
        of(members).forEach((group, found) -> Suite.equal(GroupState.EMPTY, found.groupState(), group + " state"));
        for (int i = 0; i < GROUPS; i++) {
            var offsets = of(committed).get(GROUP_IDS.get(i));
            Suite.equal(Map.of(new TopicPartition(NAMES.get(i), 0), new OffsetAndMetadata(i)), offsets, GROUP_IDS.get(i));
        }
        long seconds = TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - began);
        Suite.check(seconds <= REFRESH_SECONDS_MAX, "it took " + seconds + " seconds");
    }

    private static void offsets(Map<TopicPartition, ListOffsetsResult.ListOffsetsResultInfo> starts,
            Map<TopicPartition, ListOffsetsResult.ListOffsetsResultInfo> ends) {
        for (TopicPartition partition : partitions()) {
            Suite.equal(0L, starts.get(partition).offset(), partition + " start");
            Suite.equal(end(partition), ends.get(partition).offset(), partition + " end");
        }
    }

    private static List<ConfigResource> resources() {
        return NAMES.stream().map(name -> new ConfigResource(ConfigResource.Type.TOPIC, name)).toList();
    }

    private static Map<TopicPartition, OffsetSpec> specs(OffsetSpec spec) {
        return partitions().stream().collect(Collectors.toMap(partition -> partition, partition -> spec));
    }

    /** Every partition is in just one log dir, and has bytes if it has records. */
    private static void logDirs() throws Exception {
        List<Integer> brokers = of(admin.describeCluster().nodes()).stream().map(Node::id).toList();
        Map<TopicPartition, Long> sizes = new HashMap<>();
        for (Map<String, LogDirDescription> dirs : of(admin.describeLogDirs(brokers).allDescriptions()).values()) {
            for (LogDirDescription dir : dirs.values()) {
                dir.replicaInfos().forEach((partition, info) ->
                    Suite.check(sizes.put(partition, info.size()) == null, partition + " is there twice"));
            }
        }
        for (TopicPartition partition : partitions()) {
            Suite.check(sizes.containsKey(partition), partition + " is nowhere");
            Suite.equal(end(partition) > 0, sizes.get(partition) > 0, partition + " has bytes");
        }
    }

    /** Many people look at once. */
    private static void refreshMany() throws Exception {
        List<Throwable> errors = new ArrayList<>();
        List<Thread> people = Stream.generate(() -> new Thread(() -> {
            try {
                refresh();
            } catch (Throwable error) {
                synchronized (errors) {
                    errors.add(error);
                }
            }
        })).limit(5).toList();
        people.forEach(Thread::start);
        for (Thread one : people) one.join();
        Suite.equal(List.of(), errors, "errors");
    }

    private static void clear() throws Exception {
        of(admin.deleteConsumerGroups(GROUP_IDS).all());
        of(admin.deleteTopics(NAMES).all());
        Suite.eventually("all topics are gone", () -> {
            Set<String> left = new HashSet<>(of(admin.listTopics().names()));
            left.retainAll(NAMES);
            return left.isEmpty();
        });
    }

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[1];
        try (Admin opened = Admin.create(Map.<String, Object>of("bootstrap.servers", bootstrap))) {
            admin = opened;
            Suite.one("ui-fill", Ui::fill);
            Suite.one("ui-refresh", Ui::refresh);
            Suite.one("ui-refresh-many", Ui::refreshMany);
            Suite.one("ui-log-dirs", Ui::logDirs);
            Suite.one("ui-clear", Ui::clear);
        }
        Suite.exit();
    }
}
