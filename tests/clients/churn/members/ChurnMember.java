// A group member on kafka-clients. The contract is in ../README.md.

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;

public final class ChurnMember {
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    private static final Map<String, String> ASSIGNORS = Map.of(
            "range", "org.apache.kafka.clients.consumer.RangeAssignor",
            "sticky", "org.apache.kafka.clients.consumer.StickyAssignor",
            "cooperative-sticky", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");

    private final String topic;
    private final boolean auto;
    private final KafkaConsumer<String, String> consumer;
    private final BlockingQueue<String> lines = new LinkedBlockingQueue<>();
    private volatile boolean ended;

    private ChurnMember(Map<String, String> arguments) {
        topic = arguments.get("topic");
        auto = arguments.get("commit").equals("auto");
        consumer = new KafkaConsumer<>(properties(arguments), new StringDeserializer(), new StringDeserializer());
    }

    private static Properties properties(Map<String, String> arguments) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments.get("bootstrap"));
        properties.put("group.id", arguments.get("group"));
        properties.put("client.id", arguments.get("name"));
        properties.put("auto.offset.reset", "earliest");
        properties.put("enable.auto.commit", arguments.get("commit").equals("auto"));
        properties.put("auto.commit.interval.ms", "500");
        properties.put("metadata.max.age.ms", "1000");
        properties.put("fetch.max.wait.ms", "250");
        properties.put("max.poll.records", "100");
        if (arguments.get("protocol").equals("consumer")) {
            properties.put("group.protocol", "consumer");
        } else {
            properties.put("partition.assignment.strategy", ASSIGNORS.get(arguments.get("protocol")));
            properties.put("session.timeout.ms", arguments.get("session_ms"));
            properties.put("heartbeat.interval.ms", "500");
        }
        if (arguments.containsKey("instance")) {
            properties.put("group.instance.id", arguments.get("instance"));
        }
        return properties;
    }

    private static void emit(String event, String more) {
        emit(line(System.currentTimeMillis(), event, more));
    }

    private static synchronized void emit(String lines) {
        OUT.print(lines);
        OUT.flush();
    }

    private static String line(long t, String event, String more) {
        return "{\"t\":" + t + ",\"e\":\"" + event + "\"" + more + "}\n";
    }

    private void moved(String event, Collection<TopicPartition> partitions) {
        List<Integer> numbers = partitions.stream().map(TopicPartition::partition).collect(Collectors.toList());
        String generation = consumer.groupMetadata().memberId().isEmpty()
                ? ""
                : ",\"generation\":" + consumer.groupMetadata().generationId();
        emit(event, ",\"partitions\":" + numbers + ",\"member\":\"" + consumer.groupMetadata().memberId() + "\"" + generation);
    }

    private void commit(Map<Integer, Long> offsets, boolean late) {
        Map<TopicPartition, OffsetAndMetadata> wanted = new HashMap<>();
        offsets.forEach((p, o) -> wanted.put(new TopicPartition(topic, p), new OffsetAndMetadata(o)));
        String more = ",\"late\":" + late;
        try {
            consumer.commitSync(wanted, Duration.ofSeconds(60));
        } catch (WakeupException ended) {
            return;
        } catch (KafkaException error) {
            emit("commit_failed", ",\"error\":\"" + error.getClass().getSimpleName() + "\"" + more);
            return;
        }
        String pairs = offsets.entrySet().stream()
                .map(e -> "\"" + e.getKey() + "\":" + e.getValue())
                .collect(Collectors.joining(","));
        emit("committed", ",\"offsets\":{" + pairs + "}" + more);
    }

    private void lateCommit(String line) throws InterruptedException {
        String[] words = line.split(" ");
        emit("stalled", "");
        if (!lines.take().equals("go")) {
            throw new IllegalStateException("not go");
        }
        commit(Map.of(Integer.valueOf(words[1]), Long.valueOf(words[2])), true);
    }

    private void consume() {
        ConsumerRecords<String, String> found = consumer.poll(Duration.ofMillis(100));
        StringBuilder printed = new StringBuilder();
        Map<Integer, Long> offsets = new HashMap<>();
        long now = System.currentTimeMillis();
        for (ConsumerRecord<String, String> r : found) {
            String more = ",\"p\":" + r.partition() + ",\"o\":" + r.offset() + ",\"v\":\"" + r.value() + "\"";
            printed.append(line(now, "record", more));
            offsets.put(r.partition(), r.offset() + 1);
        }
        emit(printed.toString());
        if (!auto && !offsets.isEmpty()) {
            commit(offsets, false);
        }
    }

    private void run() throws InterruptedException {
        consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                moved("assigned", partitions);
            }

            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                moved("revoked", partitions);
            }

            @Override
            public void onPartitionsLost(Collection<TopicPartition> partitions) {
                moved("lost", partitions);
            }
        });
        while (!ended) {
            String line = lines.poll();
            if (line != null) {
                lateCommit(line);
            }
            consume();
        }
        consumer.close();
        emit("closed", "");
    }

    private void readLines() {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try {
            for (String line = input.readLine(); line != null; line = input.readLine()) {
                lines.add(line);
            }
        } catch (IOException gone) {
            // As below.
        }
        // Whoever started it has gone, and would not end it.
        Runtime.getRuntime().halt(1);
    }

    public static void main(String[] args) throws Exception {
        Map<String, String> arguments = new HashMap<>();
        for (String argument : args) {
            arguments.put(argument.substring(0, argument.indexOf('=')), argument.substring(argument.indexOf('=') + 1));
        }
        ChurnMember member = new ChurnMember(arguments);
        CountDownLatch left = new CountDownLatch(1);
        // SIGTERM: the virtual machine ends when this has, with 0 if it was left in order.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            member.ended = true;
            try {
                left.await();
            } catch (InterruptedException never) {
                Thread.currentThread().interrupt();
            }
            Runtime.getRuntime().halt(member.ended ? 0 : 1);
        }));
        emit("started", "");
        Thread reader = new Thread(member::readLines);
        reader.setDaemon(true);
        reader.start();
        try {
            member.run();
        } catch (Throwable error) {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
        left.countDown();
    }
}
