// A Kafka Streams application: counts words, at least or exactly once, with state stores, their changelogs and a repartition topic.
// Usage: WordCount HOST:PORT APPLICATION STATE-DIR [clean-up | exactly-once]
//
// Reads <APPLICATION>-lines (key: line number, value: words). Writes <APPLICATION>-counts, how often a word was counted,
// which repeats may raise; and <APPLICATION>-places, at how many different places it stood, which they may not.

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.processor.StateRestoreListener;

public final class WordCount {
    private WordCount() {}

    private static final int WORDS_IN_LINE_MAX = 8;

    /** Words with their places: line number times eight, plus position. */
    private static List<KeyValue<String, Integer>> places(String line, String text) {
        String[] words = text.split(" ");
        List<KeyValue<String, Integer>> found = new ArrayList<>();
        for (int i = 0; i < words.length; i++) found.add(KeyValue.pair(words[i], Integer.parseInt(line) * WORDS_IN_LINE_MAX + i));
        return found;
    }

    private static byte[] with(byte[] seen, int place) {
        BitSet places = BitSet.valueOf(seen);
        places.set(place);
        return places.toByteArray();
    }

    private static Topology topology(String application) {
        StreamsBuilder builder = new StreamsBuilder();
        KGroupedStream<String, Integer> words = builder
            .stream(application + "-lines", Consumed.with(Serdes.String(), Serdes.String()))
            .flatMap(WordCount::places)
            .repartition(Repartitioned.<String, Integer>as("words").withKeySerde(Serdes.String()).withValueSerde(Serdes.Integer()))
            .groupByKey();
        words.count(Materialized.as("counts")).toStream().mapValues(String::valueOf)
            .to(application + "-counts", Produced.with(Serdes.String(), Serdes.String()));
        words.aggregate(() -> new byte[0], (word, place, seen) -> with(seen, place),
                Materialized.<String, byte[], org.apache.kafka.streams.state.KeyValueStore<org.apache.kafka.common.utils.Bytes, byte[]>>
                    as("places").withValueSerde(Serdes.ByteArray()))
            .toStream().mapValues(seen -> String.valueOf(BitSet.valueOf(seen).cardinality()))
            .to(application + "-places", Produced.with(Serdes.String(), Serdes.String()));
        return builder.build();
    }

    private static Properties settings(String bootstrap, String application, String stateDir) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, stateDir);
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.String().getClass());
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.Integer().getClass());
        // Everything else that is not default only makes it quicker to see.
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
        settings.put(StreamsConfig.REPARTITION_PURGE_INTERVAL_MS_CONFIG, 1000);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.consumerPrefix("session.timeout.ms"), 6000);
        settings.put(StreamsConfig.consumerPrefix("heartbeat.interval.ms"), 1500);
        return settings;
    }

    /** Says for each store how much of it came from its changelog. */
    private static final class Restores implements StateRestoreListener {
        @Override
        public void onRestoreStart(TopicPartition partition, String store, long begin, long end) {}

        @Override
        public void onBatchRestored(TopicPartition partition, String store, long end, long count) {}

        @Override
        public void onRestoreEnd(TopicPartition partition, String store, long total) {
            System.out.println("restored " + store + " " + partition.partition() + " " + total);
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        boolean exactlyOnce = arguments.length > 3 && arguments[3].equals("exactly-once");
        boolean cleanUp = arguments.length > 3 && arguments[3].equals("clean-up");
        Properties settings = settings(arguments[0], arguments[1], arguments[2]);
        if (exactlyOnce) settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        KafkaStreams streams = new KafkaStreams(topology(arguments[1]), settings);
        CountDownLatch ended = new CountDownLatch(1);
        streams.setGlobalStateRestoreListener(new Restores());
        streams.setStateListener((now, before) -> System.out.println("state " + now));
        streams.setUncaughtExceptionHandler(error -> {
            System.out.println("failed " + error);
            return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            if (cleanUp) streams.cleanUp();
            System.out.println("closed");
            ended.countDown();
        }));
        streams.start();
        ended.await();
    }
}
