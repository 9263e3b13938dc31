// kafka-share-groups: list, describe, delete offsets, delete. A group with a member first, then the same group left.

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.serialization.StringDeserializer;

final class ShareCases {
    private ShareCases() {}

    private static final String TOPIC = Tools.named("shares");
    private static final String GROUP = Tools.named("share");

    static void all() throws Exception {
        // Apache Kafka 4.1 has share groups as a preview, to be asked for.
        FeatureUpdate update = new FeatureUpdate((short) 1, FeatureUpdate.UpgradeType.UPGRADE);
        Tools.admin.updateFeatures(Map.of("share.version", update), new UpdateFeaturesOptions()).all().get();
        Tools.create(TOPIC, 2, Map.of());
        AtomicBoolean ends = new AtomicBoolean();
        Thread member = new Thread(() -> consume(ends), "member of " + GROUP);
        member.start();
        try {
            Tools.eventually("a member with partitions",
                () -> shares("--describe", "--group", GROUP, "--members").out().contains("reader"));
            Tools.one("share-list", ShareCases::listed);
            Tools.one("share-describe", ShareCases::described);
            Tools.one("share-refusals", ShareCases::refused);
        } finally {
            ends.set(true);
            member.join();
        }
        Tools.one("share-left", ShareCases::left);
        Tools.one("share-delete-offsets", ShareCases::deleteOffsets);
        Tools.one("share-delete", ShareCases::delete);
    }

    private static void consume(AtomicBoolean ends) {
        Map<String, Object> settings =
            Map.of("bootstrap.servers", Tools.bootstrap, "group.id", GROUP, "client.id", "reader");
        StringDeserializer text = new StringDeserializer();
        try (KafkaShareConsumer<String, String> consumer = new KafkaShareConsumer<>(settings, text, text)) {
            consumer.subscribe(List.of(TOPIC));
            while (!ends.get()) consumer.poll(Duration.ofMillis(100));
        }
    }

    private static Tool.Ran shares(String... arguments) {
        return Tools.tool("consumer.group.ShareGroupCommand", arguments);
    }

    private static void listed() {
        shares("--list").succeeds().says("^" + GROUP + "$");
        shares("--list", "--state").succeeds().says("^" + GROUP + "\\s+Stable\\s*$");
        shares("--list", "--state", "empty").succeeds().omits("^" + GROUP + "\\s");
        Tools.tool("GroupsCommand", "--list", "--share").succeeds().says("^" + GROUP + "\\s+Share\\s+share\\s*$");
        Tools.tool("consumer.group.ConsumerGroupCommand", "--list").succeeds().omits("^" + GROUP + "$");
    }

    private static void described() throws Exception {
        shares("--describe", "--group", GROUP, "--state").succeeds()
            .says("^" + GROUP + "\\s+127.0.0.1:\\d+\\s+\\(\\d+\\)\\s+Stable\\s+1\\s*$");
        shares("--describe", "--group", GROUP, "--members").succeeds()
            .says("^" + GROUP + "\\s+\\S+\\s+/127.0.0.1\\s+reader\\s.*" + TOPIC);
        Tools.eventually("its partitions", () -> partitions().equals(Set.of("0", "1")));
    }

    /** The partitions of which a start offset is shown. */
    private static Set<String> partitions() {
        Tool.Ran ran = shares("--describe", "--group", GROUP, "--offsets").succeeds();
        return ran.rows(GROUP).stream().map(row -> row.get(2)).collect(Collectors.toSet());
    }

    private static void refused() {
        shares("--delete", "--group", GROUP).says("GroupNotEmptyException|is not EMPTY|not empty");
        shares("--list").succeeds().says("^" + GROUP + "$");
        shares("--delete-offsets", "--group", GROUP, "--topic", TOPIC).says("(?i)not empty|NonEmpty");
        Tools.equal(Set.of("0", "1"), partitions(), "partitions");
    }

    private static void left() {
        shares("--describe", "--group", GROUP, "--state").succeeds().says("^" + GROUP + "\\s.*\\sEmpty\\s+0\\s*$");
        shares("--describe", "--group", GROUP, "--members").succeeds().says("has no active members");
        Tools.equal(Set.of("0", "1"), partitions(), "partitions");
    }

    private static void deleteOffsets() {
        shares("--delete-offsets", "--group", GROUP, "--topic", TOPIC).succeeds().says("^" + TOPIC + "\\s+Successful");
        Tools.equal(Set.of(), partitions(), "partitions");
        shares("--delete-offsets", "--group", GROUP, "--topic", TOPIC).says("There is no offset information to delete");
    }

    private static void delete() {
        shares("--delete", "--group", GROUP).succeeds()
            .says("Deletion of requested share groups \\('" + GROUP + "'\\) was successful");
        shares("--list").succeeds().omits("^" + GROUP + "$");
        shares("--describe", "--group", GROUP, "--state").says("not found|does not exist");
    }
}
