// Writes the batch-*.bin beside it with Kafka's own classes, so that our bytes are held against
// Kafka's and not against our reading of the format. Needs kafka-clients 4.1 and slf4j-api:
//   java -cp kafka-clients-4.1.1.jar:slf4j-api.jar KafkaBatches.java <directory>

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.*;

class KafkaBatches {
    static final long BASE = 1_700_000_000_000L;

    static byte[] filled(int length, int with) {
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) with);
        return bytes;
    }

    static void write(String directory, String name, ByteBuffer buffer) throws Exception {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        Files.write(Path.of(directory, "batch-" + name + ".bin"), bytes);
    }

    static MemoryRecords records(Compression compression, boolean transactional) {
        ByteBuffer buffer = ByteBuffer.allocate(8192);
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(buffer, RecordBatch.MAGIC_VALUE_V2,
            compression, TimestampType.CREATE_TIME, 0L, RecordBatch.NO_TIMESTAMP, 4_000_000_000L,
            (short) 7, 2_147_483_646, transactional, false, RecordBatch.NO_PARTITION_LEADER_EPOCH,
            buffer.capacity());
        Header[] headers = {
            new RecordHeader("trace", "one".getBytes()),
            new RecordHeader("trace", "two".getBytes()),
            new RecordHeader("", (byte[]) null),
        };
        builder.append(BASE, "key".getBytes(), "value".getBytes());
        builder.append(BASE + 5_000_000_000L, null, "no key".getBytes());
        builder.append(BASE - 1, "tombstone".getBytes(), null);
        builder.append(BASE, new byte[0], new byte[0], headers);
        builder.append(BASE + 64, "large".getBytes(), filled(1000, 0xab));
        return builder.build();
    }

    public static void main(String[] args) throws Exception {
        String directory = args[0];
        MemoryRecords plain = records(Compression.NONE, false);
        write(directory, "plain", plain.buffer());
        write(directory, "gzip-transactional", records(Compression.gzip().build(), true).buffer());
        MutableRecordBatch batch = plain.batches().iterator().next();
        batch.setMaxTimestamp(TimestampType.LOG_APPEND_TIME, BASE + 123);
        write(directory, "log-append-time", plain.buffer());
        for (ControlRecordType type : new ControlRecordType[] {
            ControlRecordType.ABORT, ControlRecordType.COMMIT }) {
            MemoryRecords marker = MemoryRecords.withEndTransactionMarker(42L, BASE, 0,
                4_000_000_000L, (short) 7, new EndTransactionMarker(type, 0));
            write(directory, type.name().toLowerCase(), marker.buffer());
        }
        MemoryRecords old = MemoryRecords.withRecords(RecordBatch.MAGIC_VALUE_V1, 0L,
            Compression.NONE, TimestampType.CREATE_TIME,
            new SimpleRecord(BASE, "key".getBytes(), "value".getBytes()));
        write(directory, "magic-1", old.buffer());
    }
}
