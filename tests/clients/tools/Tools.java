// Apache Kafka's own command line tools against a broker. Usage: Tools cases HOST:PORT
// Every file *Cases.java adds cases; they run one after the other in this process (see Tool.java).

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

public final class Tools {
    private Tools() {}

    interface Case {
        void run() throws Exception;
    }

    static final String RUN = Optional.ofNullable(System.getenv("RUN")).orElse("");
    private static final List<String> AREAS = List.of(Optional.ofNullable(System.getenv("AREAS"))
        .orElse("topic config data group share cluster").split(" "));
    static String bootstrap;
    static Admin admin;
    private static int failed = 0;

    /** A name for a topic or group of this run. */
    static String named(String purpose) {
        return "tools-" + purpose + RUN;
    }

    static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    static void equal(Object wanted, Object found, String what) {
        check(wanted.equals(found), what + ": " + found + " instead of " + wanted);
    }

    /** A tool that takes --bootstrap-server. */
    static Tool.Ran tool(String name, String... arguments) {
        return Tool.run(name, with(arguments));
    }

    static String[] with(String... arguments) {
        String[] all = new String[arguments.length + 2];
        all[0] = "--bootstrap-server";
        all[1] = bootstrap;
        System.arraycopy(arguments, 0, all, 2, arguments.length);
        return all;
    }

    static void create(String topic, int partitions, Map<String, String> configs) throws Exception {
        NewTopic wanted = new NewTopic(topic, Optional.of(partitions), Optional.empty()).configs(configs);
        admin.createTopics(List.of(wanted)).all().get(30, TimeUnit.SECONDS);
    }

    /** Records 0 to count - 1, a second between their timestamps, all in one partition. */
    static void produce(String topic, int partition, int count, long firstTimestamp) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        StringSerializer text = new StringSerializer();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings, text, text)) {
            IntStream.range(0, count).forEach(i -> producer.send(
                new ProducerRecord<>(topic, partition, firstTimestamp + 1000L * i, "k" + i, "v" + i)));
        }
    }

    /** Asks until it holds, for what the tools themselves show only after a while. */
    static void eventually(String what, java.util.concurrent.Callable<Boolean> holds) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!holds.call()) {
            check(System.nanoTime() < end, "not after 30 seconds: " + what);
            Thread.sleep(100);
        }
    }

    /** AREAS in the environment picks some of the files of cases. */
    private static boolean wanted(String area) {
        return AREAS.contains(area);
    }

    static void one(String name, Case body) {
        long began = System.nanoTime();
        try {
            body.run();
            System.out.println("ok tools-" + name);
        } catch (Throwable error) {
            failed++;
            String what = String.valueOf(error.getMessage() == null ? error : error.getMessage());
            System.out.println("FAIL tools-" + name + ": " + what.replace('\n', ' '));
            StringWriter trace = new StringWriter();
            error.printStackTrace(new PrintWriter(trace));
            System.err.println(trace);
        }
        System.err.println(name + " took " + TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began) + " ms");
    }

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[1];
        try (Admin opened = Admin.create(Map.<String, Object>of("bootstrap.servers", bootstrap))) {
            admin = opened;
            if (wanted("topic")) TopicCases.all();
            if (wanted("config")) ConfigCases.all();
            if (wanted("data")) DataCases.all();
            if (wanted("group")) GroupCases.all();
            if (wanted("share")) ShareCases.all();
            if (wanted("cluster")) ClusterCases.all();
        }
        System.exit(failed == 0 ? 0 : 1);
    }
}
