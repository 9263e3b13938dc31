// kafka-configs: topics, brokers, the brokers' default, groups.

import java.util.List;

final class ConfigCases {
    private ConfigCases() {}

    private static final String TOPIC = Tools.named("config");
    private static final String GROUP = Tools.named("config-group");

    static void all() {
        Tools.one("config-topic", ConfigCases::topic);
        Tools.one("config-topic-all", ConfigCases::topicAll);
        Tools.one("config-topic-badly", ConfigCases::topicBadly);
        Tools.one("config-broker", ConfigCases::broker);
        Tools.one("config-broker-default", ConfigCases::brokerDefault);
        Tools.one("config-group", ConfigCases::group);
        Tools.one("config-group-badly", ConfigCases::groupBadly);
    }

    private static Tool.Ran configs(String kind, String... arguments) {
        String[] all = new String[arguments.length + 2];
        all[0] = "--entity-type";
        all[1] = kind;
        System.arraycopy(arguments, 0, all, 2, arguments.length);
        return Tool.run("kafka.admin.ConfigCommand", Tools.with(all));
    }

    private static void topic() throws Exception {
        Tools.create(TOPIC, 1, java.util.Map.of());
        configs("topics", "--entity-name", TOPIC, "--alter", "--add-config",
            "retention.ms=7200000,cleanup.policy=[compact,delete]").succeeds().says("Completed updating config for topic " + TOPIC);
        configs("topics", "--entity-name", TOPIC, "--describe").succeeds()
            .says("^\\s*retention.ms=7200000 sensitive=false synonyms=\\{DYNAMIC_TOPIC_CONFIG:retention.ms=7200000")
            .says("^\\s*cleanup.policy=compact,delete sensitive=false synonyms=\\{DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete,"
                + " DEFAULT_CONFIG:log.cleanup.policy=delete\\}");
        configs("topics", "--entity-name", TOPIC, "--alter", "--delete-config", "retention.ms",
            "--add-config", "max.message.bytes=70000").succeeds();
        configs("topics", "--entity-name", TOPIC, "--describe").succeeds()
            .omits("retention.ms").says("max.message.bytes=70000").says("cleanup.policy=compact,delete");
        configs("topics", "--describe").succeeds().says("Dynamic configs for topic " + TOPIC + " are:");
    }

    private static void topicAll() {
        Tool.Ran ran = configs("topics", "--entity-name", TOPIC, "--describe", "--all").succeeds();
        for (String known : List.of("retention.ms=604800000", "segment.bytes=1073741824", "min.insync.replicas=1",
                "compression.type=producer", "message.timestamp.type=CreateTime", "max.message.bytes=70000")) {
            ran.says("^\\s*" + known + " sensitive=false");
        }
    }

    private static void topicBadly() {
        configs("topics", "--entity-name", TOPIC, "--alter", "--add-config", "retention.ms=soon")
            .fails("Invalid value soon for configuration retention.ms: Not a number of type LONG");
        configs("topics", "--entity-name", TOPIC, "--alter", "--add-config", "no.such=1").fails("no.such");
        configs("topics", "--entity-name", TOPIC + "-none", "--alter", "--add-config", "retention.ms=1")
            .fails("UnknownTopicOrPartitionException");
        configs("topics", "--entity-name", TOPIC, "--alter", "--delete-config", "retention.ms")
            .fails("Invalid config\\(s\\): retention.ms");
        configs("topics", "--entity-name", TOPIC, "--describe").succeeds().omits("retention.ms");
    }

    private static String brokerId() throws Exception {
        return Tools.admin.describeCluster().nodes().get().iterator().next().idString();
    }

    private static void broker() throws Exception {
        String id = brokerId();
        configs("brokers", "--entity-name", id, "--describe", "--all").succeeds()
            .says("All configs for broker " + id + " are:").says("^\\s*message.max.bytes=\\d+ sensitive=false")
            .says("^\\s*num.partitions=1 sensitive=false");
        configs("brokers", "--entity-name", id, "--describe").succeeds().says("Dynamic configs for broker " + id + " are:");
        configs("brokers", "--entity-name", id, "--alter", "--add-config", "broker.id=7").fails("broker.id");
    }

    /** Every broker of the cluster has it, and loses it again. */
    private static void brokerDefault() throws Exception {
        configs("brokers", "--entity-default", "--alter", "--add-config", "message.max.bytes=1048600").succeeds()
            .says("Completed updating default config for brokers in the cluster");
        configs("brokers", "--entity-default", "--describe").succeeds()
            .says("Default configs for brokers in the cluster are:").says("message.max.bytes=1048600 sensitive=false");
        String topic = Tools.named("config-inherits");
        Tools.create(topic, 1, java.util.Map.of());
        Tools.eventually("a topic inherits it", () -> configs("topics", "--entity-name", topic, "--describe", "--all").succeeds().out()
            .contains("max.message.bytes=1048600 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=1048600"));
        configs("brokers", "--entity-default", "--alter", "--delete-config", "message.max.bytes").succeeds();
        Tools.eventually("it is gone", () -> !configs("brokers", "--entity-default", "--describe").succeeds().out().contains("1048600"));
        configs("brokers", "--entity-default", "--alter", "--add-config", "message.max.bytes=soon").fails("message.max.bytes");
    }

    private static boolean groupHas(String line) {
        return configs("groups", "--entity-name", GROUP, "--describe").succeeds().out().lines().anyMatch(one -> one.strip().startsWith(line));
    }

    /** A group has configs before it has members. */
    private static void group() throws Exception {
        configs("groups", "--entity-name", GROUP, "--describe").succeeds()
            .says("The group '" + GROUP + "' doesn't exist and doesn't have dynamic config");
        configs("groups", "--entity-name", GROUP, "--alter", "--add-config",
            "consumer.session.timeout.ms=50000,share.auto.offset.reset=earliest").succeeds().says("Completed updating config for group " + GROUP);
        Tools.eventually("the group's own", () -> groupHas("consumer.session.timeout.ms=50000 sensitive=false"
            + " synonyms={DYNAMIC_GROUP_CONFIG:consumer.session.timeout.ms=50000}"));
        Tools.check(groupHas("share.auto.offset.reset=earliest sensitive=false"), "both are changed");
        configs("groups", "--entity-name", GROUP, "--describe", "--all").succeeds().says("All configs for group " + GROUP + " are:")
            .says("^\\s*consumer.session.timeout.ms=50000 sensitive=false")
            .says("^\\s*consumer.heartbeat.interval.ms=5000 sensitive=false synonyms=\\{DEFAULT_CONFIG:consumer.heartbeat.interval.ms=5000\\}")
            .says("^\\s*share.record.lock.duration.ms=30000 sensitive=false");
        configs("groups", "--describe").succeeds().says("Dynamic configs for group " + GROUP + " are:");
        Tool.run("kafka.admin.ConfigCommand", Tools.with("--group", GROUP, "--describe")).succeeds().says("consumer.session.timeout.ms=50000");
        configs("groups", "--entity-name", GROUP, "--alter", "--delete-config", "consumer.session.timeout.ms").succeeds();
        Tools.eventually("the default again", () -> !groupHas("consumer.session.timeout.ms"));
        Tools.check(groupHas("share.auto.offset.reset=earliest"), "the other stays");
    }

    private static void groupBadly() {
        configs("groups", "--entity-name", GROUP, "--alter", "--add-config", "consumer.session.timeout.ms=1")
            .fails("consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms");
        configs("groups", "--entity-name", GROUP, "--alter", "--add-config", "consumer.session.timeout.ms=soon")
            .fails("Invalid value soon for configuration consumer.session.timeout.ms: Not a number of type INT");
        configs("groups", "--entity-name", GROUP, "--alter", "--add-config", "no.such=1").fails("Unknown group config name: no.such");
        configs("groups", "--entity-name", GROUP, "--alter", "--delete-config", "consumer.session.timeout.ms")
            .fails("Invalid config\\(s\\): consumer.session.timeout.ms");
        configs("groups", "--entity-default", "--alter", "--add-config", "consumer.session.timeout.ms=50000").fails("entity name must be specified");
        Tools.check(!groupHas("consumer.session.timeout.ms"), "nothing has changed");
    }
}
