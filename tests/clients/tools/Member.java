// A consumer of a group that polls in a thread of its own until it is closed.

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.StringDeserializer;

final class Member implements AutoCloseable {
    private final KafkaConsumer<String, String> consumer;
    private final CountDownLatch assigned = new CountDownLatch(1);
    private final Thread thread;
    private volatile boolean ends = false;

    /** Joins and waits until it has partitions. */
    Member(String group, String topic, Map<String, Object> more) throws Exception {
        Map<String, Object> settings = new java.util.HashMap<>(Map.of("bootstrap.servers", Tools.bootstrap, "group.id", group,
            "client.id", "reader", "auto.offset.reset", "earliest", "auto.commit.interval.ms", "100"));
        settings.putAll(more);
        StringDeserializer text = new StringDeserializer();
        consumer = new KafkaConsumer<>(settings, text, text);
        consumer.subscribe(List.of(topic));
        thread = new Thread(this::poll, "member of " + group);
        thread.start();
        if (!assigned.await(30, TimeUnit.SECONDS)) {
            close();
            throw new AssertionError("no partitions for a member of " + group);
        }
    }

    private void poll() {
        try (consumer) {
            while (!ends) {
                consumer.poll(Duration.ofMillis(100));
                if (!consumer.assignment().isEmpty()) assigned.countDown();
            }
        }
    }

    @Override
    public void close() throws InterruptedException {
        ends = true;
        thread.join();
    }
}
