// A compacted topic of one partition as the memory of an application, read from its beginning to its end at every start: how
// schema registries keep schemas. The reading and writing is Kafka's own (KafkaBasedLog).
// Usage: Registry cases HOST:PORT

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.connect.util.KafkaBasedLog;
import org.apache.kafka.connect.util.TopicAdmin;

public final class Registry implements AutoCloseable {
    private static final String TOPIC = "_schemas" + Suite.RUN;
    private static String bootstrap;

    private final Map<String, String> schemas = new ConcurrentHashMap<>();
    private final TopicAdmin admin = new TopicAdmin(Map.of("bootstrap.servers", bootstrap));
    private final KafkaBasedLog<String, String> log;

    /** Reads all there is before it returns. */
    Registry() {
        Map<String, Object> producer = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "acks", "all",
            "key.serializer", StringSerializer.class.getName(), "value.serializer", StringSerializer.class.getName()));
        Map<String, Object> consumer = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest",
            "key.deserializer", StringDeserializer.class.getName(), "value.deserializer", StringDeserializer.class.getName()));
        log = new KafkaBasedLog<>(TOPIC, producer, consumer, () -> admin, this::take, Time.SYSTEM, made -> { });
        log.start();
    }

    private void take(Throwable error, ConsumerRecord<String, String> record) {
        if (error != null || record.key() == null) return;
        if (record.value() == null) {
            schemas.remove(record.key());
        } else {
            schemas.put(record.key(), record.value());
        }
    }

    private void put(String subject, String schema) throws Exception {
        log.sendWithReceipt(subject, schema).get(30, TimeUnit.SECONDS);
    }

    /** What is known once everything was read that had been written when it was asked. */
    private Map<String, String> now() throws Exception {
        log.readToEnd().get(30, TimeUnit.SECONDS);
        return new TreeMap<>(schemas);
    }

    @Override
    public void close() {
        log.stop();
        admin.close();
    }

    private static void writesAndReads() throws Exception {
        try (Admin made = Admin.create(Map.<String, Object>of("bootstrap.servers", bootstrap))) {
            NewTopic topic = new NewTopic(TOPIC, Optional.of(1), Optional.empty()).configs(Map.of("cleanup.policy", "compact"));
            made.createTopics(List.of(topic)).all().get(30, TimeUnit.SECONDS);
        }
        try (Registry registry = new Registry(); Registry other = new Registry()) {
            Suite.equal(Map.of(), registry.now(), "at first");
            for (int i = 0; i < 20; i++) {
                Registry writer = i % 2 == 0 ? registry : other;
                writer.put("subject-" + i % 10, "schema " + i);
                Suite.equal("schema " + i, (i % 2 == 0 ? other : registry).now().get("subject-" + i % 10), "the other reads it at once");
            }
            registry.put("subject-0", null);
            Suite.equal(9, other.now().size(), "subjects after a deletion");
            Suite.equal(registry.now(), other.now(), "what both know");
        }
    }

    private static void startsAgain() throws Exception {
        try (Registry registry = new Registry()) {
            Map<String, String> known = new TreeMap<>(registry.schemas);
            Suite.equal(9, known.size(), "subjects right after the start");
            Suite.equal("schema 19", known.get("subject-9"), "the newest of a subject");
            Suite.check(!known.containsKey("subject-0"), "a deleted subject stays deleted");
        }
    }

    /** Compaction could not tell what replaces a record without a key. */
    private static void keyless() throws Exception {
        StringSerializer text = new StringSerializer();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap), text, text)) {
            producer.send(new ProducerRecord<>(TOPIC, "no key")).get(30, TimeUnit.SECONDS);
            throw new AssertionError("a record without a key is taken");
        } catch (ExecutionException error) {
            Suite.check(error.getCause() instanceof InvalidRecordException, error.toString());
        }
    }

    public static void main(String[] arguments) {
        bootstrap = arguments[1];
        Suite.one("registry-writes-and-reads", Registry::writesAndReads);
        Suite.one("registry-starts-again", Registry::startsAgain);
        Suite.one("registry-keyless", Registry::keyless);
        Suite.exit();
    }
}
