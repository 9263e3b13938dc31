import java.io.BufferedOutputStream;
import java.io.PrintStream;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * A producer or a consumer with its defaults: prints a line `MILLISECONDS PARTITION` for each acknowledgement or record,
 * until its input ends.
 *
 * <p>Failover produce|consume HOST:PORT,.. TOPIC PARTITIONS GROUP
 */
public class Failover {
    private static volatile boolean stopped;
    private static final PrintStream OUT = new PrintStream(new BufferedOutputStream(System.out, 1 << 16));

    private static void note(int partition) {
        OUT.println(System.currentTimeMillis() + " " + partition);
    }

    private static void produce(Properties settings, String topic, int partitions) throws InterruptedException {
        settings.put("linger.ms", "5");
        try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            while (!stopped) {
                for (int partition = 0; partition < partitions; partition++) {
                    var record = new ProducerRecord<byte[], byte[]>(topic, partition, null, new byte[100]);
                    producer.send(record, (metadata, error) -> {
                        if (error == null) {
                            note(metadata.partition());
                        } else {
                            OUT.println("error " + error);
                        }
                    });
                }
                Thread.sleep(20);
            }
        }
    }

    private static void consume(Properties settings, String topic, String group) {
        settings.put("group.id", group);
        settings.put("auto.offset.reset", "earliest");
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(topic));
            while (!stopped) {
                consumer.poll(Duration.ofMillis(50)).forEach(record -> note(record.partition()));
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        var settings = new Properties();
        settings.put("bootstrap.servers", arguments[1]);
        var stopper = new Thread(() -> {
            try {
                System.in.transferTo(PrintStream.nullOutputStream());
            } catch (java.io.IOException ended) {
                // As good as the end of the input.
            }
            stopped = true;
        });
        stopper.setDaemon(true);
        stopper.start();
        if (arguments[0].equals("produce")) {
            produce(settings, arguments[2], Integer.parseInt(arguments[3]));
        } else {
            consume(settings, arguments[2], arguments[4]);
        }
        OUT.flush();
    }
}
