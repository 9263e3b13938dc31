//! What can be wrong with a record batch, finely enough for each to get its own Kafka error code.

/// Why bytes are not a batch, or not one that may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("the batch needs {needed} bytes and there are {have}")]
    Truncated {
        /// Bytes that the header, or the length it gives, asks for.
        needed: usize,
        /// Bytes that are there.
        have: usize,
    },
    /// The batch length leaves no place for a header.
    #[error("the batch length {0} cannot be: a header alone is longer")]
    Length(i32),
    /// More bytes follow the one batch that may be there.
    #[error("{0} bytes follow the batch where exactly one batch may be")]
    Trailing(usize),
    /// A message set in the format of Kafka before 0.11, not stored.
    #[error("message format {0} is not supported, only 2")]
    OldMagic(i8),
    /// A format that does not exist.
    #[error("message format {0} is unknown")]
    UnknownMagic(i8),
    /// The bytes are not those that were sent.
    #[error("the batch's CRC is {computed:#010x} and should be {stored:#010x}")]
    Crc {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// No records, or not as many as the offsets the batch takes.
    #[error("the batch says it has {count} records and a last offset delta of {last_offset_delta}")]
    RecordCount {
        /// Records, as the header says.
        count: i32,
        /// Last offset delta, as the header says.
        last_offset_delta: i32,
    },
    /// Producer id, epoch and sequence do not go together, or there is a transaction without them.
    #[error(
        "producer id {producer_id}, epoch {producer_epoch} and base sequence {base_sequence} \
         do not go together"
    )]
    Producer {
        /// Producer id, as the header says.
        producer_id: i64,
        /// Producer epoch, as the header says.
        producer_epoch: i16,
        /// Base sequence, as the header says.
        base_sequence: i32,
    },
    /// A control batch, which only the broker may write.
    #[error("clients may not write control batches")]
    Control,
    /// A timestamp type or delete horizon that only the broker may set.
    #[error("the attributes {0:#06x} set timestamps in a way that only the broker may")]
    BrokerTimestamps(i16),
    /// A compression codec that does not exist.
    #[error("compression codec {0} is unknown")]
    UnknownCodec(u8),
    /// The records of a compressed batch were asked for as if it were not.
    #[error("the records are compressed with {0}")]
    Compressed(&'static str),
    /// A record is not well formed.
    #[error("record {index} is malformed: {fault}")]
    Record {
        /// Which record, from 0.
        index: u32,
        /// What is wrong with it.
        fault: RecordFault,
    },
}

/// What is wrong with one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// It goes on past the end of the batch, or a part of it past its own end.
    #[error("it is cut short")]
    Overrun,
    /// A variable-length integer is longer or larger than its type allows.
    #[error("a number in it is too large")]
    Varint,
    /// A size or count is negative where it may not be.
    #[error("a size in it is negative")]
    NegativeSize,
    /// The record is longer than its parts.
    #[error("{0} of its bytes belong to nothing")]
    Slack(usize),
    /// Its offset is not the one after the last record's.
    #[error("its offset delta is {0}")]
    OffsetDelta(i32),
    /// Bytes follow the last record.
    #[error("{0} bytes follow the last record")]
    Trailing(usize),
}
