// Tools that look at the cluster as a whole: versions, ids, log dirs, elections, reassignments, features, groups of all
// types, transactions.

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

    static void all() throws Exception {
        Tools.create(TOPIC, 2, Map.of());
        Tools.produce(TOPIC, 0, 10, System.currentTimeMillis());
        Tools.one("api-versions", ClusterCases::apiVersions);
        Tools.one("cluster", ClusterCases::cluster);
        Tools.one("log-dirs", ClusterCases::logDirs);
        Tools.one("leader-election", ClusterCases::leaderElection);
        Tools.one("reassign", ClusterCases::reassign);
        Tools.one("features", ClusterCases::features);
        Tools.one("features-update", ClusterCases::featuresUpdate);
        Tools.one("groups", ClusterCases::groups);
        Tools.one("transactions", ClusterCases::transactions);
    }

    private static Node broker() throws Exception {
        return Tools.admin.describeCluster().nodes().get().iterator().next();
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
        Tool.Ran ran = Tools.tool("LogDirsCommand", "--describe", "--topic-list", TOPIC).succeeds()
            .says("\"broker\":" + broker().id()).says("\"error\":null");
        ran.says("\"partition\":\"" + TOPIC + "-0\",\"size\":[1-9]\\d*,\"offsetLag\":0,\"isFuture\":false")
            .says("\"partition\":\"" + TOPIC + "-1\",\"size\":0,\"offsetLag\":0,\"isFuture\":false");
    }

    private static void leaderElection() {
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
        int id = broker().id();
        Tools.tool("reassign.ReassignPartitionsCommand", "--list").succeeds().says("No partition reassignments found");
        reassign("{\"topics\": [{\"topic\": \"" + TOPIC + "\"}], \"version\": 1}", "--generate", "--topics-to-move-json-file",
            "--broker-list", Integer.toString(id)).succeeds().says("\"topic\":\"" + TOPIC + "\",\"partition\":0,\"replicas\":\\[" + id + "\\]");
        String stay = "{\"version\": 1, \"partitions\": [{\"topic\": \"" + TOPIC + "\", \"partition\": 1, \"replicas\": [" + id + "]}]}";
        reassign(stay, "--execute", "--reassignment-json-file").succeeds().says("Successfully started partition reassignment for " + TOPIC + "-1");
        reassign(stay, "--verify", "--reassignment-json-file").succeeds().says("Reassignment of partition " + TOPIC + "-1 is completed");
        Tools.tool("reassign.ReassignPartitionsCommand", "--list").succeeds().says("No partition reassignments found");
    }

    private static Tool.Ran feature(String... arguments) {
        List<String> all = new ArrayList<>(List.of("--bootstrap-server", Tools.bootstrap));
        all.addAll(Arrays.asList(arguments));
        return Tool.run("FeatureCommand", all.toArray(String[]::new));
    }

    private static void features() {
        feature("describe").succeeds()
            .says("^Feature: group.version\\s+SupportedMinVersion: [01]\\s+SupportedMaxVersion: 1\\s+FinalizedVersionLevel: 1\\s+Epoch: \\d+$")
            .says("^Feature: transaction.version\\s+SupportedMinVersion: [012]\\s+SupportedMaxVersion: 2\\s+FinalizedVersionLevel: 2\\s");
    }

    /** To what is in force already; beyond what there is; what does not exist. Nothing is left changed. */
    private static void featuresUpdate() {
        feature("upgrade", "--feature", "group.version=1", "--feature", "transaction.version=2").succeeds()
            .says("^group.version was upgraded to 1.$").says("^transaction.version was upgraded to 2.$");
        feature("upgrade", "--feature", "transaction.version=2", "--dry-run").succeeds().says("transaction.version can be upgraded to 2");
        feature("upgrade", "--feature", "transaction.version=3")
            .fails("Could not upgrade transaction.version to 3. .*Invalid update version 3 for feature transaction.version");
        feature("upgrade", "--feature", "transaction.version=1").fails("Could not upgrade transaction.version to 1. .*Invalid update version 1");
        feature("downgrade", "--feature", "transaction.version=3").fails("Could not downgrade transaction.version to 3. ");
        feature("upgrade", "--feature", "nonsense=1")
            .fails("Could not upgrade nonsense to 1. .*Local controller \\d+ does not support this feature");
        feature("disable", "--feature", "nonsense").fails("Could not disable nonsense. .*Invalid update version 0 for feature nonsense");
        features();
    }

    private static void groups() throws Exception {
        String group = Tools.named("groups-all");
        try (Member member = new Member(group, TOPIC, Map.of())) {
            Tools.tool("GroupsCommand", "--list").succeeds().says("^" + group + "\\s+Classic\\s+consumer\\s*$");
            Tools.tool("GroupsCommand", "--list", "--consumer").succeeds().says("^" + group + "\\s+Classic\\s+consumer\\s*$");
            Tools.tool("GroupsCommand", "--list", "--group-type", "share").succeeds().omits("^" + group + "\\s");
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
