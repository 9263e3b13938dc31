// kafka-consumer-groups: list, describe, reset offsets in all the ways there are, delete, delete offsets. A group with a
// member first, then the same group left.

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

final class GroupCases {
    private GroupCases() {}

    private static final String TOPIC = Tools.named("groups");
    private static final String OTHER = Tools.named("groups-other");
    private static final String GROUP = Tools.named("group");
    private static final long NOW = System.currentTimeMillis() / 1000 * 1000;
    /** Partition 0 has records of five seconds an hour ago and of five seconds ten minutes ago. */
    private static final long HOUR_AGO = NOW - 3_600_000;

    static void all() throws Exception {
        Tools.create(TOPIC, 2, Map.of());
        Tools.create(OTHER, 1, Map.of());
        Tools.produce(TOPIC, 0, 5, HOUR_AGO);
        Tools.produce(TOPIC, 0, 5, NOW - 600_000);
        Tools.produce(TOPIC, 1, 4, HOUR_AGO);
        Tools.produce(OTHER, 0, 3, HOUR_AGO);
        try (Member member = new Member(GROUP, TOPIC, Map.of("group.instance.id", "fixed"))) {
            Tools.one("group-offsets", GroupCases::activeOffsets);
            Tools.one("group-members", GroupCases::activeMembers);
            Tools.one("group-state", GroupCases::activeState);
            Tools.one("group-list", GroupCases::activeList);
            Tools.one("group-active-refusals", GroupCases::activeRefusals);
        }
        Tools.admin.removeMembersFromConsumerGroup(GROUP,
            new org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions()).all().get();
        Tools.one("group-left", GroupCases::left);
        Tools.one("group-reset-earliest-latest", GroupCases::resetToEnds);
        Tools.one("group-reset-dry-run", GroupCases::resetDryRun);
        Tools.one("group-reset-by-offset", GroupCases::resetByOffset);
        Tools.one("group-reset-by-time", GroupCases::resetByTime);
        Tools.one("group-reset-from-file", GroupCases::resetFromFile);
        Tools.one("group-reset-creates", GroupCases::resetCreates);
        Tools.one("group-delete-offsets", GroupCases::deleteOffsets);
        Tools.one("group-delete", GroupCases::delete);
        Tools.one("group-unknown", GroupCases::unknown);
    }

    private static Tool.Ran groups(String... arguments) {
        return Tools.tool("consumer.group.ConsumerGroupCommand", arguments);
    }

    private static Tool.Ran describe(String... more) {
        List<String> arguments = new ArrayList<>(List.of("--describe", "--group", GROUP));
        arguments.addAll(Arrays.asList(more));
        return groups(arguments.toArray(String[]::new)).succeeds();
    }

    /** Columns of --offsets: GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID. */
    private static List<String> lags() {
        return describe().rows(GROUP).stream().map(row -> String.join(" ", row.subList(2, 6))).sorted().toList();
    }

    private static void activeOffsets() throws Exception {
        Tools.eventually("everything is committed", () -> lags().equals(List.of("0 10 10 0", "1 4 4 0")));
        for (List<String> row : describe("--offsets").rows(GROUP)) {
            Tools.equal(TOPIC, row.get(1), "topic");
            Tools.check(row.get(6).startsWith("fixed-"), "a member id of a static member: " + row);
            Tools.check(row.get(7).matches("/[0-9.]+"), "host: " + row);
            Tools.equal("reader", row.get(8), "client id");
        }
        groups("--describe", "--all-groups").succeeds().says("^" + GROUP + "\\s+" + TOPIC + "\\s+0\\s+10\\s+10\\s+0\\s");
        describe("--offsets", "--verbose").says("^GROUP\\s+TOPIC\\s+PARTITION\\s+LEADER-EPOCH\\s").says("^" + GROUP + "\\s+" + TOPIC + "\\s+1\\s");
    }

    private static void activeMembers() {
        describe("--members").says("^GROUP\\s+CONSUMER-ID\\s+GROUP-INSTANCE-ID\\s+HOST\\s+CLIENT-ID\\s+#PARTITIONS")
            .says("^" + GROUP + "\\s+fixed-\\S+\\s+fixed\\s+/[0-9.]+\\s+reader\\s+2\\s");
        describe("--members", "--verbose").says("^" + GROUP + "\\s.*" + TOPIC + "[:(]\\S*0,\\s?1");
    }

    private static void activeState() {
        describe("--state").says("^GROUP\\s+COORDINATOR \\(ID\\)\\s+ASSIGNMENT-STRATEGY\\s+STATE\\s+#MEMBERS")
            .says("^" + GROUP + "\\s+[0-9.]+:\\d+\\s+\\(\\d+\\)\\s+range\\s+Stable\\s+1\\b");
    }

    private static void activeList() {
        groups("--list").succeeds().says("^" + GROUP + "$");
        groups("--list", "--state").succeeds().says("^" + GROUP + "\\s+Stable\\s*$");
        groups("--list", "--state", "stable,empty").succeeds().says("^" + GROUP + "\\s+Stable\\s*$");
        groups("--list", "--state", "Empty").succeeds().omits("^" + GROUP + "\\s");
        groups("--list", "--type").succeeds().says("^" + GROUP + "\\s+Classic\\s*$");
        groups("--list", "--type", "classic").succeeds().says("^" + GROUP + "\\s+Classic\\s*$");
        groups("--list", "--type", "consumer").succeeds().omits("^" + GROUP + "\\s");
        groups("--list", "--state", "--type").succeeds().says("^" + GROUP + "\\s+Classic\\s+Stable\\s*$");
        groups("--list", "--state", "nonsense").fails("Invalid state list 'nonsense'");
    }

    private static void activeRefusals() {
        groups("--reset-offsets", "--group", GROUP, "--topic", TOPIC, "--to-earliest", "--execute")
            .says("Error: Assignments can only be reset if the group '" + GROUP + "' is inactive, but the current state is Stable");
        groups("--delete", "--group", GROUP).says("Group '" + GROUP + "' could not be deleted due to:.*GroupNotEmptyException");
        groups("--delete-offsets", "--group", GROUP, "--topic", TOPIC).says("GroupSubscribedToTopicException|"
            + "Group offset deletion is forbidden|forbidden");
        Tools.equal(List.of("0 10 10 0", "1 4 4 0"), lags(), "nothing has changed");
    }

    private static void left() {
        describe().says("Consumer group '" + GROUP + "' has no active members");
        Tools.equal(List.of("0 10 10 0", "1 4 4 0"), lags(), "offsets are kept");
        describe().says("^" + GROUP + "\\s+" + TOPIC + "\\s+0\\s+10\\s+10\\s+0\\s+-\\s+-\\s+-\\s*$");
        describe("--state").says("^" + GROUP + "\\s+[0-9.]+:\\d+\\s+\\(\\d+\\)\\s+.*Empty\\s+0\\b");
        groups("--list", "--state", "empty").succeeds().says("^" + GROUP + "\\s+Empty\\s*$");
    }

    /** What a reset of both partitions says it does, and whether it does so. */
    private static void resets(List<String> wanted, String... how) {
        List<String> arguments = new ArrayList<>(List.of("--reset-offsets", "--group", GROUP, "--all-topics", "--execute"));
        arguments.addAll(Arrays.asList(how));
        Tool.Ran ran = groups(arguments.toArray(String[]::new)).succeeds();
        List<String> said = ran.rows(GROUP).stream().map(row -> row.get(2) + " " + row.get(3)).sorted().toList();
        Tools.equal(wanted, said, ran + ": new offsets");
        Tools.equal(wanted, committed(), ran + ": committed afterwards");
    }

    private static List<String> committed() {
        return lags().stream().map(row -> row.split(" ")).map(row -> row[0] + " " + row[1]).toList();
    }

    private static void resetToEnds() {
        resets(List.of("0 0", "1 0"), "--to-earliest");
        Tools.equal(List.of("0 0 10 10", "1 0 4 4"), lags(), "all of it is lag");
        resets(List.of("0 10", "1 4"), "--to-latest");
    }

    private static void resetDryRun() {
        for (String[] how : new String[][] {{"--dry-run"}, {}}) {
            List<String> arguments = new ArrayList<>(List.of("--reset-offsets", "--group", GROUP, "--topic", TOPIC + ":0", "--to-offset", "3"));
            arguments.addAll(Arrays.asList(how));
            Tool.Ran ran = groups(arguments.toArray(String[]::new)).succeeds();
            Tools.equal(List.of(List.of(GROUP, TOPIC, "0", "3")), ran.rows(GROUP), "the plan");
        }
        Tools.equal(List.of("0 10", "1 4"), committed(), "nothing has changed");
    }

    private static void resetByOffset() {
        resets(List.of("0 3", "1 3"), "--to-offset", "3");
        resets(List.of("0 5", "1 4"), "--shift-by", "2");
        resets(List.of("0 5", "1 4"), "--to-current");
        resets(List.of("0 1", "1 0"), "--shift-by", "-4");
        resets(List.of("0 10", "1 4"), "--to-offset", "1000");
        groups("--reset-offsets", "--group", GROUP, "--topic", TOPIC + ":0", "--to-offset", "6", "--execute").succeeds();
        Tools.equal(List.of("0 6", "1 4"), committed(), "only the partition that was named");
    }

    private static void resetByTime() {
        resets(List.of("0 2", "1 2"), "--to-datetime", Instant.ofEpochMilli(HOUR_AGO + 1500).toString().replace("Z", "+00:00"));
        resets(List.of("0 5", "1 4"), "--by-duration", "PT30M");
        resets(List.of("0 0", "1 0"), "--by-duration", "P1D");
    }

    private static void resetFromFile() throws Exception {
        Tool.Ran exported = groups("--reset-offsets", "--group", GROUP, "--topic", TOPIC, "--to-latest", "--dry-run", "--export").succeeds();
        String csv = exported.lines().stream().filter(line -> line.contains(TOPIC)).collect(Collectors.joining("\n"));
        Path file = Files.createTempFile("offsets", ".csv");
        try {
            Files.writeString(file, csv);
            Tool.Ran ran = groups("--reset-offsets", "--group", GROUP, "--from-file", file.toString(), "--execute").succeeds();
            Tools.equal(2, ran.rows(GROUP).size(), ran + ": partitions");
        } finally {
            Files.delete(file);
        }
        Tools.equal(List.of("0 10", "1 4"), committed(), "as in the file " + csv);
    }

    /** A reset may come before the first consumer. */
    private static void resetCreates() {
        String group = Tools.named("group-made");
        groups("--reset-offsets", "--group", group, "--topic", OTHER, "--to-offset", "2", "--execute").succeeds();
        groups("--describe", "--group", group).succeeds().says("^" + group + "\\s+" + OTHER + "\\s+0\\s+2\\s+3\\s+1\\s");
    }

    private static void deleteOffsets() {
        groups("--reset-offsets", "--group", GROUP, "--topic", OTHER, "--to-latest", "--execute").succeeds();
        groups("--delete-offsets", "--group", GROUP, "--topic", OTHER, "--topic", TOPIC + ":1").succeeds()
            .says(OTHER + "\\s+0\\s+Successful").says(TOPIC + "\\s+1\\s+Successful");
        Tools.equal(List.of("0 10"), committed(), "offsets that are left");
        groups("--delete-offsets", "--group", GROUP, "--topic", TOPIC + "-none").says(TOPIC + "-none\\s.*Error");
    }

    private static void delete() {
        String made = Tools.named("group-made");
        groups("--delete", "--group", GROUP, "--group", made).succeeds().says("Deletion of requested consumer groups .* was successful");
        groups("--list").succeeds().omits("^" + GROUP + "$").omits("^" + made + "$");
    }

    private static void unknown() {
        groups("--describe", "--group", GROUP).says("Consumer group '" + GROUP + "' does not exist|Group " + GROUP + " not found");
        groups("--delete", "--group", GROUP).says("could not be deleted due to:.*GroupIdNotFoundException");
    }
}
