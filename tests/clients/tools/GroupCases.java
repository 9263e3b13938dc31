// kafka-consumer-groups: list, describe, reset offsets in all the ways there are, delete, delete offsets. A group with a
// member first, then the same group left. All of it for a group of each protocol.

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

final class GroupCases {
    private final String name;
    /** `classic`, or `consumer` (KIP-848). */
    private final String protocol;
    private final String topic;
    private final String other;
    private final String group;

    private static final long NOW = System.currentTimeMillis() / 1000 * 1000;
    /** Partition 0 has records of five seconds an hour ago and of five seconds ten minutes ago. */
    private static final long HOUR_AGO = NOW - 3_600_000;

    private GroupCases(String name, String protocol) {
        this.name = name;
        this.protocol = protocol;
        topic = Tools.named(name + "s");
        other = Tools.named(name + "s-other");
        group = Tools.named(name);
    }

    static void all() throws Exception {
        new GroupCases("group", "classic").run();
        new GroupCases("consumer-group", "consumer").run();
    }

    private void one(String what, Tools.Case body) {
        Tools.one(name + "-" + what, body);
    }

    private boolean isClassic() {
        return protocol.equals("classic");
    }

    /** As lists show it. */
    private String type() {
        return isClassic() ? "Classic" : "Consumer";
    }

    private void run() throws Exception {
        Tools.create(topic, 2, Map.of());
        Tools.create(other, 1, Map.of());
        Tools.produce(topic, 0, 5, HOUR_AGO);
        Tools.produce(topic, 0, 5, NOW - 600_000);
        Tools.produce(topic, 1, 4, HOUR_AGO);
        Tools.produce(other, 0, 3, HOUR_AGO);
        try (Member member = new Member(group, topic, Map.of("group.instance.id", "fixed", "group.protocol", protocol))) {
            one("offsets", this::activeOffsets);
            one("members", this::activeMembers);
            one("state", this::activeState);
            one("list", this::activeList);
            one("active-refusals", this::activeRefusals);
        }
        Tools.admin.removeMembersFromConsumerGroup(group,
            new org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions()).all().get();
        one("left", this::left);
        one("reset-earliest-latest", this::resetToEnds);
        one("reset-dry-run", this::resetDryRun);
        one("reset-by-offset", this::resetByOffset);
        one("reset-by-time", this::resetByTime);
        one("reset-from-file", this::resetFromFile);
        one("reset-creates", this::resetCreates);
        one("delete-offsets", this::deleteOffsets);
        one("delete", this::delete);
        one("unknown", this::unknown);
    }

    private static Tool.Ran groups(String... arguments) {
        return Tools.tool("consumer.group.ConsumerGroupCommand", arguments);
    }

    private Tool.Ran describe(String... more) {
        List<String> arguments = new ArrayList<>(List.of("--describe", "--group", group));
        arguments.addAll(Arrays.asList(more));
        return groups(arguments.toArray(String[]::new)).succeeds();
    }

    /** Columns of --offsets: GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID. */
    private List<String> lags() {
        return describe().rows(group).stream().map(row -> String.join(" ", row.subList(2, 6))).sorted().toList();
    }

    private void activeOffsets() throws Exception {
        Tools.eventually("everything is committed", () -> lags().equals(List.of("0 10 10 0", "1 4 4 0")));
        for (List<String> row : describe("--offsets").rows(group)) {
            Tools.equal(topic, row.get(1), "topic");
            Tools.check(row.get(6).matches(memberId()), "member id: " + row);
            Tools.check(row.get(7).matches("/[0-9.]+"), "host: " + row);
            Tools.equal("reader", row.get(8), "client id");
        }
        groups("--describe", "--all-groups").succeeds().says("^" + group + "\\s+" + topic + "\\s+0\\s+10\\s+10\\s+0\\s");
        describe("--offsets", "--verbose").says("^GROUP\\s+TOPIC\\s+PARTITION\\s+LEADER-EPOCH\\s").says("^" + group + "\\s+" + topic + "\\s+1\\s");
    }

    /** A group of the classic protocol makes the ids of its static members; a consumer makes its own (KIP-1082). */
    private String memberId() {
        return isClassic() ? "fixed-\\S{36}" : "\\S{22}";
    }

    private void activeMembers() {
        String member = "^" + group + "\\s+" + memberId() + "\\s+fixed\\s+/[0-9.]+\\s+reader\\s+2\\s+";
        describe("--members").says("^GROUP\\s+CONSUMER-ID\\s+GROUP-INSTANCE-ID\\s+HOST\\s+CLIENT-ID\\s+#PARTITIONS").says(member + "$");
        String epoch = isClassic() ? "-" : "1";
        describe("--members", "--verbose").says("CURRENT-EPOCH\\s+CURRENT-ASSIGNMENT\\s+TARGET-EPOCH\\s+TARGET-ASSIGNMENT\\s*$")
            .says(member + epoch + "\\s+" + topic + ":0,1\\s+" + epoch + "\\s+" + (isClassic() ? "-" : topic + ":0,1") + "\\s*$");
    }

    private void activeState() {
        String assignor = isClassic() ? "range" : "uniform";
        String stable = "^" + group + "\\s+[0-9.]+:\\d+\\s+\\(\\d+\\)\\s+" + assignor + "\\s+Stable\\s+";
        describe("--state").says("^GROUP\\s+COORDINATOR \\(ID\\)\\s+ASSIGNMENT-STRATEGY\\s+STATE\\s+#MEMBERS").says(stable + "1\\s*$");
        if (!isClassic()) {
            describe("--state", "--verbose").says("STATE\\s+GROUP-EPOCH\\s+TARGET-ASSIGNMENT-EPOCH\\s+#MEMBERS")
                .says(stable + "1\\s+1\\s+1\\s*$");
        }
    }

    private void activeList() {
        groups("--list").succeeds().says("^" + group + "$");
        groups("--list", "--state").succeeds().says("^" + group + "\\s+Stable\\s*$");
        groups("--list", "--state", "stable,empty").succeeds().says("^" + group + "\\s+Stable\\s*$");
        groups("--list", "--state", "Empty").succeeds().omits("^" + group + "\\s");
        String others = isClassic() ? "consumer" : "classic";
        groups("--list", "--type").succeeds().says("^" + group + "\\s+" + type() + "\\s*$");
        groups("--list", "--type", protocol).succeeds().says("^" + group + "\\s+" + type() + "\\s*$");
        groups("--list", "--type", others).succeeds().omits("^" + group + "\\s");
        groups("--list", "--state", "--type").succeeds().says("^" + group + "\\s+" + type() + "\\s+Stable\\s*$");
        groups("--list", "--state", "stable", "--type", protocol).succeeds().says("^" + group + "\\s+" + type() + "\\s+Stable\\s*$");
        groups("--list", "--state", "stable", "--type", others).succeeds().omits("^" + group + "\\s");
        groups("--list", "--type", "nonsense").fails("Invalid types list 'nonsense'");
        groups("--list", "--state", "nonsense").fails("Invalid state list 'nonsense'");
    }

    private void activeRefusals() {
        groups("--reset-offsets", "--group", group, "--topic", topic, "--to-earliest", "--execute")
            .says("Error: Assignments can only be reset if the group '" + group + "' is inactive, but the current state is Stable");
        groups("--delete", "--group", group).says("Group '" + group + "' could not be deleted due to:.*GroupNotEmptyException");
        groups("--delete-offsets", "--group", group, "--topic", topic).says("GroupSubscribedToTopicException|"
            + "Group offset deletion is forbidden|forbidden");
        Tools.equal(List.of("0 10 10 0", "1 4 4 0"), lags(), "nothing has changed");
    }

    private void left() {
        describe().says("Consumer group '" + group + "' has no active members");
        Tools.equal(List.of("0 10 10 0", "1 4 4 0"), lags(), "offsets are kept");
        describe().says("^" + group + "\\s+" + topic + "\\s+0\\s+10\\s+10\\s+0\\s+-\\s+-\\s+-\\s*$");
        describe("--state").says("^" + group + "\\s+[0-9.]+:\\d+\\s+\\(\\d+\\)\\s+.*Empty\\s+0\\b");
        groups("--list", "--state", "empty", "--type").succeeds().says("^" + group + "\\s+" + type() + "\\s+Empty\\s*$");
    }

    /** What a reset of both partitions says it does, and whether it does so. */
    private void resets(List<String> wanted, String... how) {
        List<String> arguments = new ArrayList<>(List.of("--reset-offsets", "--group", group, "--all-topics", "--execute"));
        arguments.addAll(Arrays.asList(how));
        Tool.Ran ran = groups(arguments.toArray(String[]::new)).succeeds();
        List<String> said = ran.rows(group).stream().map(row -> row.get(2) + " " + row.get(3)).sorted().toList();
        Tools.equal(wanted, said, ran + ": new offsets");
        Tools.equal(wanted, committed(), ran + ": committed afterwards");
    }

    private List<String> committed() {
        return lags().stream().map(row -> row.split(" ")).map(row -> row[0] + " " + row[1]).toList();
    }

    private void resetToEnds() {
        resets(List.of("0 0", "1 0"), "--to-earliest");
        Tools.equal(List.of("0 0 10 10", "1 0 4 4"), lags(), "all of it is lag");
        resets(List.of("0 10", "1 4"), "--to-latest");
    }

    private void resetDryRun() {
        for (String[] how : new String[][] {{"--dry-run"}, {}}) {
            List<String> arguments = new ArrayList<>(List.of("--reset-offsets", "--group", group, "--topic", topic + ":0", "--to-offset", "3"));
            arguments.addAll(Arrays.asList(how));
            Tool.Ran ran = groups(arguments.toArray(String[]::new)).succeeds();
            Tools.equal(List.of(List.of(group, topic, "0", "3")), ran.rows(group), "the plan");
        }
        Tools.equal(List.of("0 10", "1 4"), committed(), "nothing has changed");
    }

    private void resetByOffset() {
        resets(List.of("0 3", "1 3"), "--to-offset", "3");
        resets(List.of("0 5", "1 4"), "--shift-by", "2");
        resets(List.of("0 5", "1 4"), "--to-current");
        resets(List.of("0 1", "1 0"), "--shift-by", "-4");
        resets(List.of("0 10", "1 4"), "--to-offset", "1000");
        groups("--reset-offsets", "--group", group, "--topic", topic + ":0", "--to-offset", "6", "--execute").succeeds();
        Tools.equal(List.of("0 6", "1 4"), committed(), "only the partition that was named");
    }

    private void resetByTime() {
        resets(List.of("0 2", "1 2"), "--to-datetime", Instant.ofEpochMilli(HOUR_AGO + 1500).toString().replace("Z", "+00:00"));
        resets(List.of("0 5", "1 4"), "--by-duration", "PT30M");
        resets(List.of("0 0", "1 0"), "--by-duration", "P1D");
    }

    private void resetFromFile() throws Exception {
        Tool.Ran exported = groups("--reset-offsets", "--group", group, "--topic", topic, "--to-latest", "--dry-run", "--export").succeeds();
        String csv = exported.lines().stream().filter(line -> line.contains(topic)).collect(Collectors.joining("\n"));
        Path file = Files.createTempFile("offsets", ".csv");
        try {
            Files.writeString(file, csv);
            Tool.Ran ran = groups("--reset-offsets", "--group", group, "--from-file", file.toString(), "--execute").succeeds();
            Tools.equal(2, ran.rows(group).size(), ran + ": partitions");
        } finally {
            Files.delete(file);
        }
        Tools.equal(List.of("0 10", "1 4"), committed(), "as in the file " + csv);
    }

    /** A reset may come before the first consumer. */
    private void resetCreates() {
        String made = Tools.named(name + "-made");
        groups("--reset-offsets", "--group", made, "--topic", other, "--to-offset", "2", "--execute").succeeds();
        groups("--describe", "--group", made).succeeds().says("^" + made + "\\s+" + other + "\\s+0\\s+2\\s+3\\s+1\\s");
    }

    private void deleteOffsets() {
        groups("--reset-offsets", "--group", group, "--topic", other, "--to-latest", "--execute").succeeds();
        groups("--delete-offsets", "--group", group, "--topic", other, "--topic", topic + ":1").succeeds()
            .says(other + "\\s+0\\s+Successful").says(topic + "\\s+1\\s+Successful");
        Tools.equal(List.of("0 10"), committed(), "offsets that are left");
        groups("--delete-offsets", "--group", group, "--topic", topic + "-none").says(topic + "-none\\s.*Error");
    }

    private void delete() {
        String made = Tools.named(name + "-made");
        groups("--delete", "--group", group, "--group", made).succeeds().says("Deletion of requested consumer groups .* was successful");
        groups("--list").succeeds().omits("^" + group + "$").omits("^" + made + "$");
    }

    private void unknown() {
        groups("--describe", "--group", group).says("Consumer group '" + group + "' does not exist|Group " + group + " not found");
        groups("--delete", "--group", group).says("could not be deleted due to:.*GroupIdNotFoundException");
    }
}
