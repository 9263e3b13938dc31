// kafka-topics: create, list, describe in all its ways, alter, delete.

import java.util.List;
import java.util.Map;

final class TopicCases {
    private TopicCases() {}

    private static final String TOPIC = Tools.named("topic");
    private static final String PLAIN = Tools.named("topic-plain");

    static void all() {
        Tools.one("topic-create", TopicCases::create);
        Tools.one("topic-create-again", TopicCases::createAgain);
        Tools.one("topic-create-badly", TopicCases::createBadly);
        Tools.one("topic-list", TopicCases::list);
        Tools.one("topic-describe", TopicCases::describe);
        Tools.one("topic-describe-troubled", TopicCases::describeTroubled);
        Tools.one("topic-describe-overrides", TopicCases::describeOverrides);
        Tools.one("topic-alter-partitions", TopicCases::alterPartitions);
        Tools.one("topic-delete", TopicCases::delete);
    }

    private static Tool.Ran topics(String... arguments) {
        return Tools.tool("TopicCommand", arguments);
    }

    private static void create() {
        topics("--create", "--topic", TOPIC, "--partitions", "3", "--config", "retention.ms=86400000",
            "--config", "cleanup.policy=compact,delete").succeeds().says("Created topic " + TOPIC);
        topics("--create", "--topic", PLAIN).succeeds();
    }

    private static void createAgain() {
        topics("--create", "--topic", TOPIC).fails("Topic '" + TOPIC + "' already exists");
        topics("--create", "--topic", TOPIC, "--if-not-exists").succeeds();
    }

    private static void createBadly() {
        String bad = Tools.named("topic-bad");
        topics("--create", "--topic", bad, "--config", "retention.ms=soon")
            .fails("Invalid value soon for configuration retention.ms: Not a number of type LONG");
        topics("--create", "--topic", bad, "--config", "no.such.config=1").fails("no.such.config");
        topics("--create", "--topic", "bad/name").fails("bad/name");
        topics("--list").succeeds().omits("^" + bad + "$");
    }

    private static void list() {
        Tools.check(topics("--list").succeeds().lines().containsAll(List.of(TOPIC, PLAIN)), "both are listed");
        topics("--list", "--exclude-internal").succeeds().says("^" + TOPIC + "$").omits("__consumer_offsets");
        Tools.equal(List.of(PLAIN), topics("--list", "--topic", PLAIN).succeeds().lines(), "only what matches");
        Tools.equal(List.of(TOPIC), topics("--list", "--topic", "tools-.opic" + Tools.RUN).succeeds().lines(), "a pattern");
    }

    private static void describe() {
        Tool.Ran ran = topics("--describe", "--topic", TOPIC).succeeds()
            .says("PartitionCount: 3\\s+ReplicationFactor: 1\\s+Configs: .*retention.ms=86400000")
            .says("cleanup.policy=compact,delete");
        long led = ran.lines().stream().filter(line -> line.matches(".*Partition: \\d\\s+Leader: \\d+.*")).count();
        Tools.equal(3L, led, "partitions with a leader");
        String id = ran.out().replaceAll("(?s).*TopicId: (\\S+).*", "$1");
        topics("--describe", "--topic-id", id).succeeds().says("Topic: " + TOPIC + "\\s");
        topics("--describe", "--topic", TOPIC + "-none").fails("Topic '" + TOPIC + "-none' does not exist as expected");
        topics("--describe", "--topic", TOPIC + "-none", "--if-exists").succeeds();
    }

    /** Nothing is troubled; every partition has just as many replicas in sync as it must. */
    private static void describeTroubled() {
        for (String kind : List.of("under-replicated", "unavailable", "under-min-isr")) {
            Tools.equal(List.of(), topics("--describe", "--topic", TOPIC, "--" + kind + "-partitions").succeeds().lines(), kind);
        }
        int tight = topics("--describe", "--topic", TOPIC, "--at-min-isr-partitions").succeeds().lines().size();
        Tools.equal(3, tight, "partitions at their least in-sync replicas");
    }

    private static void describeOverrides() {
        topics("--describe", "--topics-with-overrides").succeeds()
            .says("^Topic: " + TOPIC + "\\s.*retention.ms=86400000").omits("Partition: 0");
    }

    private static void alterPartitions() {
        topics("--alter", "--topic", TOPIC, "--partitions", "5").succeeds();
        topics("--describe", "--topic", TOPIC).succeeds().says("PartitionCount: 5").says("Partition: 4\\s+Leader: \\d");
        topics("--alter", "--topic", TOPIC, "--partitions", "2").fails("The topic .* currently has 5 partition\\(s\\); 2 would not be an increase");
        topics("--alter", "--topic", TOPIC + "-none", "--partitions", "2").fails("does not exist as expected");
    }

    private static void delete() {
        topics("--delete", "--topic", TOPIC).succeeds();
        topics("--delete", "--topic", PLAIN).succeeds();
        topics("--list").succeeds().omits("^" + TOPIC + "$").omits("^" + PLAIN + "$");
        topics("--delete", "--topic", TOPIC).fails("does not exist as expected");
        topics("--delete", "--topic", TOPIC, "--if-exists").succeeds();
    }
}
