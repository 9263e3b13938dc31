// Tools that look at the cluster as a whole: versions, ids, log dirs, elections, reassignments, features, groups of all
// types. What a broker does not advertise must be refused by the client, clearly and at once.

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Node;

final class ClusterCases {
    private ClusterCases() {}

    private static final String TOPIC = Tools.named("cluster");
    private static String versions = "";

    static void all() throws Exception {
        Tools.create(TOPIC, 2, Map.of());
        Tools.produce(TOPIC, 0, 10, System.currentTimeMillis());
        versions = Tools.tool("BrokerApiVersionsCommand").out();
        Tools.one("api-versions", ClusterCases::apiVersions);
        Tools.one("cluster", ClusterCases::cluster);
        Tools.one("log-dirs", ClusterCases::logDirs);
        Tools.one("leader-election", ClusterCases::leaderElection);
        Tools.one("reassign", ClusterCases::reassign);
        Tools.one("features", ClusterCases::features);
        Tools.one("groups", ClusterCases::groups);
        Tools.one("metadata-quorum", ClusterCases::metadataQuorum);
        Tools.one("transactions", ClusterCases::transactions);
    }

    private static Node broker() throws Exception {
        return Tools.admin.describeCluster().nodes().get().iterator().next();
    }

    private static boolean advertised(String api) {
        Tools.check(versions.contains(api + ": "), versions + " has no " + api);
        return !versions.contains(api + ": UNSUPPORTED");
    }

    private static void apiVersions() throws Exception {
        Node node = broker();
        Tool.Ran ran = Tools.tool("BrokerApiVersionsCommand").succeeds()
            .says("^127.0.0.1:" + node.port() + " \\(id: " + node.id() + " rack: \\S+ isFenced: false\\) -> \\(");
        for (String api : List.of("Produce\\(0\\): \\d+ to 13 \\[usable: 13\\]", "Fetch\\(1\\): 4 to 18 \\[usable: 18\\]",
                "JoinGroup\\(11\\): \\d+ to 9 \\[usable: 9\\]", "ApiVersions\\(18\\): 0 to 4 \\[usable: 4\\]")) {
            ran.says(api);
        }
    }

    private static void cluster() throws Exception {
        String id = Tools.admin.describeCluster().clusterId().get();
        Tool.run("ClusterTool", "cluster-id", "--bootstrap-server", Tools.bootstrap).succeeds().says("^Cluster ID: " + id + "$");
        Node node = broker();
        Tool.run("ClusterTool", "list-endpoints", "--bootstrap-server", Tools.bootstrap).succeeds()
            .says("^" + node.id() + "\\s+127.0.0.1\\s+" + node.port() + "\\s+\\S+\\s+unfenced\\s+broker\\s*$");
    }

    private static void logDirs() throws Exception {
        if (!advertised("DescribeLogDirs(35)")) {
            Tools.tool("LogDirsCommand", "--describe").fails("The node does not support DESCRIBE_LOG_DIRS");
            return;
        }
        Tool.Ran ran = Tools.tool("LogDirsCommand", "--describe", "--topic-list", TOPIC).succeeds()
            .says("\"broker\":" + broker().id()).says("\"error\":null");
        ran.says("\"partition\":\"" + TOPIC + "-0\",\"size\":[1-9]\\d*,\"offsetLag\":0,\"isFuture\":false")
            .says("\"partition\":\"" + TOPIC + "-1\",\"size\":0,\"offsetLag\":0,\"isFuture\":false");
    }

    private static void leaderElection() {
        if (!advertised("ElectLeaders(43)")) {
            Tools.tool("LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions")
                .fails("The node does not support ELECT_LEADERS");
            return;
        }
        Tools.tool("LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions").succeeds();
        Tools.tool("LeaderElectionCommand", "--election-type", "preferred", "--topic", TOPIC, "--partition", "1").succeeds()
            .says("Valid replica already elected for partitions " + TOPIC + "-1");
        Tools.tool("LeaderElectionCommand", "--election-type", "preferred", "--topic", TOPIC + "-none", "--partition", "0")
            .fails("UnknownTopicOrPartitionException");
    }

    private static Tool.Ran reassign(String json, String flag, String file, String... more) throws Exception {
        Path path = Files.createTempFile("reassign", ".json");
        try {
            Files.writeString(path, json);
            List<String> arguments = new ArrayList<>(List.of(flag, file, path.toString()));
            arguments.addAll(Arrays.asList(more));
            return Tools.tool("reassign.ReassignPartitionsCommand", arguments.toArray(String[]::new));
        } finally {
            Files.delete(path);
        }
    }

    /** Every partition is asked to stay where it is, and does. */
    private static void reassign() throws Exception {
        if (!advertised("ListPartitionReassignments(46)")) {
            Tools.tool("reassign.ReassignPartitionsCommand", "--list").fails("The node does not support LIST_PARTITION_REASSIGNMENTS");
            return;
        }
        int id = broker().id();
        Tools.tool("reassign.ReassignPartitionsCommand", "--list").succeeds().says("No partition reassignments found");
        reassign("{\"topics\": [{\"topic\": \"" + TOPIC + "\"}], \"version\": 1}", "--generate", "--topics-to-move-json-file",
            "--broker-list", Integer.toString(id)).succeeds().says("\"topic\":\"" + TOPIC + "\",\"partition\":0,\"replicas\":\\[" + id + "\\]");
        String stay = "{\"version\": 1, \"partitions\": [{\"topic\": \"" + TOPIC + "\", \"partition\": 1, \"replicas\": [" + id + "]}]}";
        reassign(stay, "--execute", "--reassignment-json-file").succeeds().says("Successfully started partition reassignment for " + TOPIC + "-1");
        reassign(stay, "--verify", "--reassignment-json-file").succeeds().says("Reassignment of partition " + TOPIC + "-1 is completed");
        Tools.tool("reassign.ReassignPartitionsCommand", "--list").succeeds().says("No partition reassignments found");
    }

    private static void features() {
        Tool.Ran ran = Tool.run("FeatureCommand", "--bootstrap-server", Tools.bootstrap, "describe").succeeds();
        if (advertised("ConsumerGroupHeartbeat(68)")) {
            ran.says("^Feature: group.version\\s+SupportedMinVersion: [01]\\s+SupportedMaxVersion: 1\\s+FinalizedVersionLevel: 1");
        }
    }

    private static void groups() throws Exception {
        String group = Tools.named("groups-all");
        try (Member member = new Member(group, TOPIC, Map.of())) {
            Tools.tool("GroupsCommand", "--list").succeeds().says("^" + group + "\\s+Classic\\s+consumer\\s*$");
            Tools.tool("GroupsCommand", "--list", "--consumer").succeeds().says("^" + group + "\\s+Classic\\s+consumer\\s*$");
            Tools.tool("GroupsCommand", "--list", "--group-type", "share").succeeds().omits("^" + group + "\\s");
        }
    }

    private static void metadataQuorum() {
        Tool.Ran ran = Tool.run("MetadataQuorumCommand", "--bootstrap-server", Tools.bootstrap, "describe", "--status");
        if (advertised("DescribeQuorum(55)")) {
            ran.succeeds().says("^LeaderId:\\s+\\d");
        } else {
            ran.fails("UnsupportedVersionException: The node does not support DESCRIBE_QUORUM");
        }
    }

    private static void transactions() {
        Tool.Ran ran = Tool.run("TransactionsCommand", "--bootstrap-server", Tools.bootstrap, "list");
        ran.succeeds().says("^TransactionalId\\s+Coordinator\\s+ProducerId\\s+TransactionState");
        ran = Tool.run("TransactionsCommand", "--bootstrap-server", Tools.bootstrap, "describe-producers", "--topic", TOPIC, "--partition", "0");
        // The producer that wrote the records of this topic.
        ran.succeeds().says("^ProducerId\\s+ProducerEpoch\\s").says("^\\d+\\s+0\\s+\\S+\\s+9\\s+\\d{13}\\s+None");
        ran = Tool.run("TransactionsCommand", "--bootstrap-server", Tools.bootstrap, "find-hanging", "--topic", TOPIC);
        ran.succeeds().says("^Topic\\s+Partition\\s+ProducerId");
    }
}
