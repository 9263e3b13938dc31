// A source connector that writes 0, 1, 2 and so on, in the place of a table of records with ascending ids. It goes on
// behind the last number whose offset Connect has kept, and supports exactly-once.
// Settings: topic; batch, how many numbers a poll gives; pause.ms, how long a poll takes.

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.source.ExactlyOnceSupport;
import org.apache.kafka.connect.source.SourceConnector;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.source.SourceTask;

public final class Numbers extends SourceConnector {
    private Map<String, String> settings;

    @Override
    public String version() {
        return "1";
    }

    @Override
    public ConfigDef config() {
        return new ConfigDef()
            .define("topic", ConfigDef.Type.STRING, ConfigDef.Importance.HIGH, "Where the numbers go.")
            .define("batch", ConfigDef.Type.INT, 10, ConfigDef.Importance.LOW, "How many a poll gives.")
            .define("pause.ms", ConfigDef.Type.INT, 10, ConfigDef.Importance.LOW, "How long a poll takes.");
    }

    @Override
    public ExactlyOnceSupport exactlyOnceSupport(Map<String, String> of) {
        return ExactlyOnceSupport.SUPPORTED;
    }

    @Override
    public void start(Map<String, String> given) {
        settings = given;
    }

    @Override
    public Class<? extends Task> taskClass() {
        return Counter.class;
    }

    @Override
    public List<Map<String, String>> taskConfigs(int tasksMax) {
        return List.of(settings);
    }

    @Override
    public void stop() {}

    public static final class Counter extends SourceTask {
        private static final Map<String, String> SOURCE = Map.of("source", "numbers");
        private final CountDownLatch stopped = new CountDownLatch(1);
        private String topic;
        private int batch;
        private int pauseMs;
        private long next;

        @Override
        public String version() {
            return "1";
        }

        @Override
        public void start(Map<String, String> settings) {
            var parsed = new Numbers().config().parse(settings);
            topic = (String) parsed.get("topic");
            batch = (int) parsed.get("batch");
            pauseMs = (int) parsed.get("pause.ms");
            Map<String, Object> last = context.offsetStorageReader().offset(SOURCE);
            next = last == null ? 0 : (long) last.get("number") + 1;
        }

        @Override
        public List<SourceRecord> poll() throws InterruptedException {
            if (stopped.await(pauseMs, TimeUnit.MILLISECONDS)) return null;
            List<SourceRecord> numbers = new ArrayList<>();
            for (int i = 0; i < batch; i++, next++) {
                String text = Long.toString(next);
                numbers.add(new SourceRecord(SOURCE, Map.of("number", next), topic, 0, Schema.STRING_SCHEMA, text));
            }
            return numbers;
        }

        @Override
        public void stop() {
            stopped.countDown();
        }
    }
}
