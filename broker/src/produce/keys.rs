//! Records without a key, which a compacted topic does not take: compaction could not tell what
//! replaces them.
//!
//! The one place on the produce path where compressed records are opened (docs/adr/0001); as they
//! are read once, all that is wrong with them is found here, and not when they are compacted.

use std::fmt;
use std::io;

use bytes::Bytes;
use object_format::batch::{self, BatchHeader, Codec, RecordStream};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::ProduceError;

/// How many of a batch's keyless records are named to the producer.
const NAMED_MAX: usize = 1_000;

/// As many of them as Kafka has in its message.
const IN_MESSAGE_MAX: usize = 3;

/// The records of a batch that should have keys and have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyless {
    /// The partition, as in `topic-0`.
    pub partition: String,
    /// How many there are.
    pub count: u32,
    /// The first of them, by their place in the batch.
    pub named: Vec<i32>,
}

impl Keyless {
    /// What is said of each of them.
    pub fn reason(&self) -> String {
        let partition = &self.partition;
        format!("Compacted topic cannot accept message without key in topic partition {partition}")
    }
}

/// In Kafka's words, which some people's tools know.
impl fmt::Display for Keyless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason();
        let named = self.named.iter().take(IN_MESSAGE_MAX);
        let named: Vec<String> = named
            .map(|index| format!("RecordError(batchIndex={index}, message='{reason}')"))
            .collect();
        write!(
            f,
            "One or more records have been rejected due to {} record errors in total, \
             and only showing the first three errors at most: [{}]",
            self.count,
            named.join(", ")
        )
    }
}

/// Checks that every record of a batch has a key; the rest of the batch is valid.
///
/// # Errors
/// [`ProduceError::Keyless`], and [`ProduceError::Records`] if what is compressed cannot be read or
/// is not what the header says.
pub(super) fn check(
    batch: &Bytes,
    header: &BatchHeader,
    partition: impl FnOnce() -> String,
) -> Result<(), ProduceError> {
    let keyless = match header.codec() {
        Some(Codec::None) if !batch::records(batch, header)?.has_keyless_record()? => return Ok(()),
        _ => aside(|| find(batch, header)),
    };
    let (count, named) = keyless.map_err(|error| ProduceError::Records(error.to_string()))?;
    if count == 0 {
        return Ok(());
    }
    Err(ProduceError::Keyless(Keyless {
        partition: partition(),
        count,
        named,
    }))
}

/// How many records have no key, and the first of them.
fn find(batch: &Bytes, header: &BatchHeader) -> io::Result<(u32, Vec<i32>)> {
    let mut records = RecordStream::open(batch, header)?;
    let (mut count, mut named) = (0, vec![]);
    let mut index = 0;
    while let Some(mut record) = records.next_record()? {
        if record.offset_delta != index {
            return Err(io::Error::other(format!(
                "record {index} has the offset delta {}",
                record.offset_delta
            )));
        }
        let has_key = record.pass_key()?;
        record.pass_value_and_headers()?;
        if !has_key {
            count += 1;
            if named.len() < NAMED_MAX {
                named.push(index);
            }
        }
        index += 1;
    }
    records.end()?;
    Ok((count, named))
}

/// Does what may take a second for a batch of a few kilobytes, while other tasks of this thread go
/// on in another one, where the runtime has another. The order of a connection's batches is kept.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use object_format::batch::{BatchBuilder, compressed};

    use super::*;

    /// Every third record has no key.
    fn batch(codec: Codec, count: i64) -> Bytes {
        let mut builder = BatchBuilder::new();
        for n in 0..count {
            let key = (n % 3 > 0).then_some(&b"key"[..]);
            builder.push(n, key, Some(b"value"), &[]);
        }
        builder.build_with(codec, |plain| compressed(plain, codec).unwrap())
    }

    fn checked(batch: &Bytes) -> Result<(), ProduceError> {
        let header = batch::validate(batch).unwrap();
        check(batch, &header, || "orders-0".to_owned())
    }

    #[test]
    fn keyless_records_are_named_in_every_codec() {
        for codec in Codec::ALL {
            let Err(ProduceError::Keyless(keyless)) = checked(&batch(codec, 10)) else {
                panic!("{codec:?} was taken");
            };
            assert_eq!((keyless.count, &keyless.named[..]), (4, &[0, 3, 6, 9][..]));
        }
    }

    #[test]
    fn what_is_named_is_bounded_and_what_is_counted_is_not() {
        let Err(ProduceError::Keyless(keyless)) = checked(&batch(Codec::Zstd, 30_000)) else {
            panic!("it was taken");
        };
        assert_eq!((keyless.count, keyless.named.len()), (10_000, NAMED_MAX));
        assert!(keyless.to_string().len() < 1_000);
    }

    #[test]
    fn records_with_keys_are_taken() {
        for codec in Codec::ALL {
            let builder = BatchBuilder::new()
                .record(1, Some(b""), Some(b"an empty key is one"))
                .record(2, Some(b"key"), None);
            let batch = builder.build_with(codec, |plain| compressed(plain, codec).unwrap());
            checked(&batch).unwrap();
        }
    }

    #[test]
    fn a_compressed_section_that_lies_is_refused() {
        let zstd = |plain: &[u8]| compressed(plain, Codec::Zstd).unwrap();
        let one = || BatchBuilder::new().record(1, Some(b"key"), None);
        let lies = [
            one().build_with(Codec::Gzip, |_| Bytes::from_static(b"not gzip")),
            one().build_with(Codec::Zstd, |_| zstd(b"")),
            one().build_with(Codec::Zstd, |plain| zstd(&[plain, plain].concat())),
            one().build_with(Codec::Zstd, |plain| zstd(&plain[..plain.len() - 1])),
        ];
        for lie in lies {
            assert!(matches!(checked(&lie), Err(ProduceError::Records(_))));
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_while_a_bomb_is_opened() {
        let (go_on, gone_on) = std::sync::mpsc::channel();
        let opening = tokio::spawn(async move {
            aside(|| gone_on.recv_timeout(std::time::Duration::from_secs(30)))
        });
        tokio::spawn(async move { go_on.send(()) });
        assert_eq!(opening.await.unwrap(), Ok(()));
    }
}
