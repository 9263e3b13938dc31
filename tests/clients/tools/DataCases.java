// What reads, writes and counts records: console tools, offsets, delete-records, performance and verifiable clients.

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

final class DataCases {
    private DataCases() {}

    private static final String TOPIC = Tools.named("data");
    private static final String PERF = Tools.named("perf");
    private static final long BEGIN = (System.currentTimeMillis() / 1000 - 3600) * 1000;

    static void all() {
        Tools.one("console", DataCases::console);
        Tools.one("console-from-offset", DataCases::consoleFromOffset);
        Tools.one("console-group", DataCases::consoleGroup);
        Tools.one("get-offsets", DataCases::getOffsets);
        Tools.one("get-offsets-by-time", DataCases::getOffsetsByTime);
        Tools.one("delete-records", DataCases::deleteRecords);
        Tools.one("producer-performance", DataCases::producerPerformance);
        Tools.one("consumer-performance", DataCases::consumerPerformance);
        Tools.one("end-to-end-latency", DataCases::endToEndLatency);
        Tools.one("verifiable", DataCases::verifiable);
    }

    private static Tool.Ran consume(String... arguments) {
        return Tools.tool("consumer.ConsoleConsumer", arguments);
    }

    private static void console() throws Exception {
        Tools.create(TOPIC, 3, Map.of());
        String lines = IntStream.range(0, 9).mapToObj(i -> "h:" + i + "\tk" + i + "\tv" + i + "\n").collect(Collectors.joining());
        Tool.fed(lines, "ConsoleProducer", Tools.with("--topic", TOPIC, "--property", "parse.key=true",
            "--property", "parse.headers=true", "--compression-codec", "zstd")).succeeds();
        List<String> read = consume("--topic", TOPIC, "--from-beginning", "--max-messages", "9", "--timeout-ms", "30000",
            "--property", "print.key=true", "--property", "print.headers=true").succeeds().lines();
        Tools.equal(lines.lines().toList(), read.stream().sorted().toList(), "what was read");
    }

    private static void consoleFromOffset() throws Exception {
        String topic = Tools.named("data-offset");
        Tools.create(topic, 1, Map.of());
        Tools.produce(topic, 0, 10, BEGIN);
        Tools.equal(List.of("v7", "v8"), consume("--topic", topic, "--partition", "0", "--offset", "7",
            "--max-messages", "2", "--timeout-ms", "30000").succeeds().lines(), "from offset 7");
        // A time-out is how this tool ends when there is no more.
        Tools.equal(List.of("CreateTime:" + BEGIN + "\tPartition:0\tOffset:0\tv0"), consume("--topic", topic, "--partition", "0",
            "--offset", "earliest", "--max-messages", "1", "--isolation-level", "read_committed", "--property",
            "print.timestamp=true", "--property", "print.offset=true", "--property", "print.partition=true")
            .succeeds().lines(), "the first");
    }

    private static void consoleGroup() throws Exception {
        String group = Tools.named("console-group");
        Tools.equal(4, consume("--topic", TOPIC, "--group", group, "--from-beginning", "--max-messages", "4",
            "--timeout-ms", "30000").succeeds().lines().size(), "records first");
        Tools.equal(5, consume("--topic", TOPIC, "--group", group, "--max-messages", "5",
            "--timeout-ms", "30000").succeeds().lines().size(), "the rest, from the offsets committed");
    }

    private static List<String> offsets(String topic, String... arguments) {
        return Tools.tool("GetOffsetShell", arguments).succeeds().lines().stream()
            .filter(line -> line.startsWith(topic + ":")).map(line -> line.substring(topic.length() + 1)).sorted().toList();
    }

    private static void getOffsets() throws Exception {
        String topic = Tools.named("offsets");
        Tools.create(topic, 3, Map.of());
        Tools.produce(topic, 0, 10, BEGIN);
        Tools.produce(topic, 1, 4, BEGIN);
        Tools.equal(List.of("0:10", "1:4", "2:0"), offsets(topic, "--topic", topic), "ends");
        Tools.equal(List.of("0:10", "1:4", "2:0"), offsets(topic), "ends, all topics");
        Tools.equal(List.of("0:10", "1:4", "2:0"), offsets(topic, "--topic", topic, "--time", "-1", "--exclude-internal-topics"), "-1");
        Tools.equal(List.of("0:0", "1:0", "2:0"), offsets(topic, "--topic", topic, "--time", "-2"), "-2");
        Tools.equal(List.of("0:0", "1:0", "2:0"), offsets(topic, "--topic", topic, "--time", "earliest"), "earliest");
        Tools.equal(List.of("0:0", "1:0", "2:0"), offsets(topic, "--topic", topic, "--time", "earliest-local"), "earliest-local");
        Tools.equal(List.of("1:4"), offsets(topic, "--topic-partitions", topic + ":1"), "one partition");
        Tools.equal(List.of("0:10"), offsets(topic, "--topic-partitions", topic + ":-1"), "below a partition");
        Tools.tool("GetOffsetShell", "--topic", topic + "-none").fails("Could not match any topic-partitions");
    }

    private static void getOffsetsByTime() {
        String topic = Tools.named("offsets");
        Tools.equal(List.of("0:9", "1:3"), offsets(topic, "--topic", topic, "--time", "-3"), "-3: the newest record's");
        Tools.equal(List.of("0:9", "1:3"), offsets(topic, "--topic", topic, "--time", "max-timestamp"), "max-timestamp");
        Tools.equal(List.of("0:2", "1:2"), offsets(topic, "--topic", topic, "--time", Long.toString(BEGIN + 1500)), "between");
        Tools.equal(List.of("0:4"), offsets(topic, "--topic", topic, "--time", Long.toString(BEGIN + 4000)), "exactly");
    }

    private static Tool.Ran deleteRecords(String json) throws Exception {
        Path plan = Files.createTempFile("delete-records", ".json");
        Files.writeString(plan, json);
        try {
            return Tools.tool("DeleteRecordsCommand", "--offset-json-file", plan.toString());
        } finally {
            Files.delete(plan);
        }
    }

    private static String partition(String topic, int partition, int offset) {
        return "{\"topic\": \"" + topic + "\", \"partition\": " + partition + ", \"offset\": " + offset + "}";
    }

    private static void deleteRecords() throws Exception {
        String topic = Tools.named("delete-records");
        Tools.create(topic, 2, Map.of());
        Tools.produce(topic, 0, 10, BEGIN);
        Tools.produce(topic, 1, 5, BEGIN);
        deleteRecords("{\"version\": 1, \"partitions\": [" + partition(topic, 0, 3) + "," + partition(topic, 1, -1) + "]}").succeeds()
            .says("partition: " + topic + "-0\\s+low_watermark: 3").says("partition: " + topic + "-1\\s+low_watermark: 5");
        Tools.equal(List.of("0:3", "1:5"), offsets(topic, "--topic", topic, "--time", "-2"), "log start offsets");
        Tools.equal(List.of("v3"), consume("--topic", topic, "--partition", "0", "--offset", "earliest", "--max-messages", "1",
            "--timeout-ms", "30000").succeeds().lines(), "the first that is left");
        deleteRecords("{\"version\": 1, \"partitions\": [" + partition(topic, 0, 11) + "]}")
            .says("error: .*The requested offset is not within the range of offsets maintained by the server");
    }

    private static void producerPerformance() throws Exception {
        Tools.create(PERF, 1, Map.of());
        Tool.run("ProducerPerformance", "--topic", PERF, "--num-records", "20000", "--record-size", "1000", "--throughput", "-1",
            "--producer-props", "bootstrap.servers=" + Tools.bootstrap).succeeds().says("^20000 records sent, \\d+.*records/sec");
        Tools.equal(List.of("0:20000"), offsets(PERF, "--topic", PERF), "the end");
    }

    private static void consumerPerformance() {
        List<String> found = Tools.tool("ConsumerPerformance", "--topic", PERF, "--messages", "20000", "--timeout", "60000",
            "--hide-header").succeeds().lines();
        String[] columns = found.get(found.size() - 1).split(",\\s*");
        Tools.equal("20000", columns[4], "records read, of " + found);
    }

    private static void endToEndLatency() {
        String topic = Tools.named("latency");
        Tool.run("EndToEndLatency", Tools.bootstrap, topic, "20", "all", "100").succeeds()
            .says("Avg latency: \\d+[.,]\\d+ ms").says("Percentiles: 50th = \\d+, 99th = \\d+");
    }

    /** These two end their JVM themselves, so they have their own. */
    private static void verifiable() throws Exception {
        String topic = Tools.named("verifiable");
        Tools.create(topic, 3, Map.of());
        String wrote = process("VerifiableProducer", "--topic", topic, "--max-messages", "300", "--acks", "-1", "--value-prefix", "7");
        Tools.check(wrote.matches("(?s).*\"name\":\"tool_data\",\"sent\":300,\"acked\":300.*"), "300 acknowledged: " + end(wrote));
        Tools.equal(300L, wrote.lines().filter(line -> line.contains("\"producer_send_success\"")).count(), "acknowledgements");
        String read = process("VerifiableConsumer", "--topic", topic, "--group-id", topic, "--max-messages", "300",
            "--reset-policy", "earliest", "--verbose");
        long values = read.lines().filter(line -> line.contains("\"record_data\"")).map(DataCases::value).distinct().count();
        Tools.equal(300L, values, "values read: " + end(read));
        Tools.check(read.contains("\"name\":\"offsets_committed\"") && !read.contains("\"success\":false"), "commits: " + end(read));
    }

    private static String value(String line) {
        return line.replaceAll(".*\"value\":\"([^\"]*)\".*", "$1");
    }

    private static String end(String text) {
        return text.substring(Math.max(0, text.length() - 300));
    }

    private static String process(String tool, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElse("java"), "-Xmx256m",
            "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp",
            System.getProperty("java.class.path"), "org.apache.kafka.tools." + tool));
        command.addAll(List.of(Tools.with(arguments)));
        File out = File.createTempFile("verifiable", ".out");
        Process process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(out).start();
        try {
            Tools.check(process.waitFor(60, TimeUnit.SECONDS), tool + " does not end");
            String text = Files.readString(out.toPath());
            Tools.equal(0, process.exitValue(), tool + " exits: " + end(text));
            return text;
        } finally {
            process.destroyForcibly();
            Files.delete(out.toPath());
        }
    }
}
