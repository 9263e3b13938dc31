//! That objects are read back as they were built, and that nothing else is taken for one.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::batch::{BatchBuilder, BatchHeader, Codec, split, validate};
use crate::{AgentEpoch, TopicId, TopicPartition};

const ID: ObjectId = ObjectId {
    writer: AgentEpoch(9),
    sequence: 12,
};

fn topic_partition(topic: u8, partition: u32) -> TopicPartition {
    TopicPartition {
        topic: TopicId(Uuid::from_bytes([topic; 16])),
        partition,
    }
}

fn batch_of(timestamp_ms: i64, value_len: usize) -> Bytes {
    let value = vec![b'v'; value_len];
    BatchBuilder::new()
        .record(timestamp_ms, None, Some(&value))
        .build()
}

fn push<T>(builder: &mut ObjectBuilder<T>, to: TopicPartition, batch: &Bytes, tag: T) {
    builder.push(to, batch.clone(), &validate(batch).unwrap(), tag);
}

/// Two partitions with three batches, which came in another order.
fn small() -> SealedObject<char> {
    let mut builder = ObjectBuilder::new();
    push(&mut builder, topic_partition(2, 0), &batch_of(50, 10), 'a');
    push(
        &mut builder,
        topic_partition(1, 7),
        &batch_of(70, 20_000),
        'b',
    );
    push(&mut builder, topic_partition(2, 0), &batch_of(40, 30), 'c');
    assert_eq!((builder.batch_count(), builder.run_count()), (3, 2));
    let foreseen = builder.object_len();
    let sealed = builder.seal(ID, 1_700_000_000_000);
    assert_eq!(sealed.len, foreseen);
    sealed
}

#[test]
fn every_batch_is_where_the_builder_says() {
    let sealed = small();
    let object = sealed.to_bytes();
    assert_eq!(object.len() as u64, sealed.len);
    let parsed = verify_object(&object).unwrap();
    assert_eq!(
        parsed.header,
        ObjectHeader {
            id: ID,
            created_ms: 1_700_000_000_000
        }
    );
    let runs: Vec<_> = sealed.runs.iter().map(|run| run.index).collect();
    assert_eq!(parsed.index.runs, runs);

    let tags: Vec<Vec<char>> = sealed
        .runs
        .iter()
        .map(|run| run.batches.iter().map(|b| b.tag).collect())
        .collect();
    assert_eq!(
        tags,
        [vec!['b'], vec!['a', 'c']],
        "runs by partition, batches as they came"
    );
    let expected = [batch_of(70, 20_000), batch_of(50, 10), batch_of(40, 30)];
    let placed = sealed.runs.iter().flat_map(|run| &run.batches);
    for (placed, expected) in placed.zip(&expected) {
        let at = placed.position as usize;
        assert_eq!(object[at..at + placed.length as usize], expected[..]);
    }
    let run = parsed.index.runs_of(topic_partition(2, 0));
    assert_eq!(run.len(), 1);
    assert_eq!((run[0].batch_count, run[0].record_count), (2, 2));
    assert_eq!((run[0].min_timestamp, run[0].max_timestamp), (40, 50));
    let batches: Vec<_> = split(parsed.run(&object, &run[0]).unwrap())
        .map(Result::unwrap)
        .collect();
    assert_eq!(batches, expected[1..]);
    assert!(parsed.index.runs_of(topic_partition(2, 1)).is_empty());
}

#[test]
fn batches_are_not_copied() {
    let batch = batch_of(0, 100_000);
    let mut builder = ObjectBuilder::new();
    push(&mut builder, topic_partition(1, 0), &batch, ());
    let sealed = builder.seal(ID, 0);
    assert!(
        sealed
            .chunks
            .iter()
            .any(|chunk| chunk.as_ptr() == batch.as_ptr())
    );
}

#[test]
fn a_batch_damaged_after_its_crc_was_verified_is_found() {
    let good = batch_of(0, 100_000);
    let header = validate(&good).unwrap();
    let mut damaged = good.to_vec();
    damaged[50_000] ^= 1;
    let mut builder = ObjectBuilder::new();
    builder.push(topic_partition(1, 0), damaged.into(), &header, ());
    let error = verify_object(&builder.seal(ID, 0).to_bytes()).unwrap_err();
    assert!(
        matches!(
            error,
            ObjectError::Crc {
                part: Part::Run,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn an_object_may_be_empty() {
    let builder = ObjectBuilder::<()>::new();
    assert!(builder.is_empty());
    let object = builder.seal(ID, 0).to_bytes();
    assert_eq!(verify_object(&object).unwrap().index.runs, []);
}

#[test]
fn every_flipped_byte_is_found() {
    let object = small().to_bytes();
    for at in 0..object.len() {
        let mut flipped = object.to_vec();
        flipped[at] ^= 1 << (at % 8);
        assert!(verify_object(&flipped.into()).is_err(), "byte {at}");
    }
}

#[test]
fn every_prefix_is_refused() {
    let object = small().to_bytes();
    for len in 0..object.len() {
        assert!(
            parse_object(&object.slice(..len)).is_err(),
            "prefix of {len}"
        );
        let tail = &object[len.saturating_sub(FOOTER_LEN)..len];
        assert!(Footer::parse(tail, len as u64).is_err(), "footer at {len}");
    }
    let longer = [&object[..], &[0]].concat();
    assert!(parse_object(&longer.into()).is_err());
}

#[test]
fn an_unknown_version_is_named() {
    let object = small().to_bytes();
    let version_at = [8, object.len() - 12];
    for at in version_at {
        let mut newer = object.to_vec();
        newer[at..at + 4].copy_from_slice(&1_002_u32.to_be_bytes());
        let error = parse_object(&newer.into()).unwrap_err();
        assert_eq!(error, ObjectError::Version(1_002));
        assert!(error.to_string().contains("1002"), "{error}");
    }
}

#[test]
fn something_else_is_not_an_object() {
    let error = parse_object(&Bytes::from(vec![b'x'; 1_000])).unwrap_err();
    assert_eq!(error, ObjectError::Magic(Part::Header));
}

#[test]
fn a_run_of_another_length_is_refused() {
    let sealed = small();
    let object = sealed.to_bytes();
    let parsed = parse_object(&object).unwrap();
    let index = &parsed.index.runs[0];
    let run = parsed.run(&object, index).unwrap();
    assert_eq!(verify_run(&run, index), Ok(()));
    for wrong in [run.slice(1..), run.slice(..0), object.clone()] {
        let error = verify_run(&wrong, index).unwrap_err();
        assert!(
            matches!(
                error,
                ObjectError::Truncated {
                    part: Part::Run,
                    ..
                }
            ),
            "{error}"
        );
    }
    let error = verify_run(
        &run,
        &RunIndex {
            batch_count: 2,
            ..*index
        },
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            ObjectError::Layout {
                part: Part::Run,
                ..
            }
        ),
        "{error}"
    );
}

/// The object with its index replaced by one of `runs`, saying it has `count`; all CRCs right.
fn forged(object: &Bytes, runs: &[RunIndex], count: u32) -> Bytes {
    let footer = Footer::parse(object, object.len() as u64).unwrap();
    let mut tail = bytes::BytesMut::new();
    Index::put(runs.iter().copied(), &mut tail);
    tail[..4].copy_from_slice(&count.to_be_bytes());
    let footer = Footer {
        index_length: tail.len() as u64,
        object_length: footer.index_position + tail.len() as u64 + FOOTER_LEN as u64,
        index_crc: crc32c::crc32c(&tail),
        ..footer
    };
    [
        &object[..footer.index_position as usize],
        &tail,
        &footer.to_bytes(),
    ]
    .concat()
    .into()
}

#[test]
fn an_index_that_lies_is_refused() {
    let object = small().to_bytes();
    let runs = parse_object(&object).unwrap().index.runs;
    assert_eq!(
        forged(&object, &runs, 2),
        object,
        "forging nothing changes nothing"
    );
    let lie = |change: fn(&mut Vec<RunIndex>)| {
        let mut runs = runs.clone();
        change(&mut runs);
        parse_object(&forged(&object, &runs, runs.len() as u32))
    };
    let lies: &[fn(&mut Vec<RunIndex>)] = &[
        |runs| runs.truncate(1),
        |runs| runs.clear(),
        |runs| runs.swap(0, 1),
        |runs| runs.push(runs[1]),
        |runs| runs[0].position += 1,
        |runs| runs[0].position = 0,
        |runs| runs[1].length = u64::MAX,
        |runs| runs[1].length += 1,
        |runs| (runs[0].length, runs[1].position) = (u64::MAX, 39),
        |runs| runs[1].batch_count = 0,
        |runs| runs[1].batch_count = u32::MAX,
        |runs| runs[0].topic_partition = runs[1].topic_partition_after(),
    ];
    for (at, change) in lies.iter().enumerate() {
        let error = lie(*change).unwrap_err();
        assert!(
            matches!(
                error,
                ObjectError::Layout {
                    part: Part::Index,
                    ..
                }
            ),
            "{at}: {error}"
        );
    }
    for count in [0, 1, 3, u32::MAX] {
        let error = parse_object(&forged(&object, &runs, count)).unwrap_err();
        assert!(
            matches!(
                error,
                ObjectError::Layout {
                    part: Part::Index,
                    ..
                }
            ),
            "{error}"
        );
    }
}

impl RunIndex {
    fn topic_partition_after(&self) -> TopicPartition {
        let TopicPartition { topic, partition } = self.topic_partition;
        TopicPartition {
            topic,
            partition: partition + 1,
        }
    }
}

#[test]
fn a_footer_that_lies_is_refused() {
    let object = small().to_bytes();
    let len = object.len() as u64;
    let footer = Footer::parse(&object, len).unwrap();
    let check = |footer: Footer| Footer::parse(&footer.to_bytes(), len).unwrap_err();
    let error = check(Footer {
        object_length: len - 1,
        ..footer
    });
    assert_eq!(
        error,
        ObjectError::Length {
            stored: len - 1,
            have: len
        }
    );
    for lie in [
        Footer {
            index_position: footer.index_position + 1,
            ..footer
        },
        Footer {
            index_position: 0,
            index_length: len - FOOTER_LEN as u64,
            ..footer
        },
        Footer {
            index_length: u64::MAX,
            ..footer
        },
        Footer {
            index_position: u64::MAX,
            index_length: u64::MAX,
            ..footer
        },
    ] {
        let error = check(lie);
        assert!(
            matches!(
                error,
                ObjectError::Layout {
                    part: Part::Footer,
                    ..
                }
            ),
            "{error}"
        );
    }
    // An index too short for its own count.
    let short = [
        &ObjectHeader {
            id: ID,
            created_ms: 0,
        }
        .to_bytes()[..],
        &[0; 3],
    ]
    .concat();
    let footer = Footer {
        index_position: 40,
        index_length: 3,
        object_length: 87,
        index_crc: crc32c::crc32c(&[0; 3]),
    };
    let error = parse_object(&[&short[..], &footer.to_bytes()].concat().into()).unwrap_err();
    assert!(
        matches!(
            error,
            ObjectError::Truncated {
                part: Part::Index,
                ..
            }
        ),
        "{error}"
    );
}

/// Any batch: some records, or records compressed into whatever bytes.
fn any_batch() -> impl Strategy<Value = Bytes> {
    let section = (0..6_000usize, any::<u8>());
    (1..5i32, any::<i64>(), 0..=4u8, section).prop_map(|(count, time, codec, (len, byte))| {
        let mut builder = BatchBuilder::new();
        for _ in 0..count {
            builder.push(time, None, Some(&vec![byte; len]), &[]);
        }
        match Codec::from_id(codec).unwrap() {
            Codec::None => builder.build(),
            codec => builder.build_with(codec, |_| vec![byte; len].into()),
        }
    })
}

fn any_object() -> impl Strategy<Value = Vec<(TopicPartition, Bytes)>> {
    let to = (0..3u8, 0..3u32).prop_map(|(topic, partition)| topic_partition(topic, partition));
    vec((to, any_batch()), 0..12)
}

fn seal(batches: &[(TopicPartition, Bytes)]) -> SealedObject<usize> {
    let mut builder = ObjectBuilder::new();
    for (at, (to, batch)) in batches.iter().enumerate() {
        push(&mut builder, *to, batch, at);
    }
    builder.seal(ID, 1)
}

proptest! {
    #[test]
    fn any_batches_round_trip(batches in any_object()) {
        let sealed = seal(&batches);
        let object = sealed.to_bytes();
        let parsed = verify_object(&object).unwrap();
        let mut seen = 0;
        for (run, index) in sealed.runs.iter().zip(&parsed.index.runs) {
            prop_assert_eq!(run.index, *index);
            let split_up = split(parsed.run(&object, index).unwrap()).map(Result::unwrap);
            let pushed = batches.iter().enumerate();
            let pushed = pushed.filter(|(_, (to, _))| *to == index.topic_partition);
            let mut records = 0;
            let placed = run.batches.iter().zip(split_up);
            for ((placed, batch), (tag, (_, expected))) in placed.zip(pushed) {
                prop_assert_eq!(placed.tag, tag);
                prop_assert_eq!(&batch, expected);
                records += BatchHeader::parse(&batch).unwrap().record_count as u64;
                seen += 1;
            }
            prop_assert_eq!(records, index.record_count);
        }
        prop_assert_eq!(seen, batches.len());
    }

    #[test]
    fn any_flipped_byte_is_found(
        batches in any_object(), at: prop::sample::Index, flip in 1..=255u8,
    ) {
        let mut object = seal(&batches).to_bytes().to_vec();
        let at = at.index(object.len());
        object[at] ^= flip;
        prop_assert!(verify_object(&object.into()).is_err());
    }

    #[test]
    fn any_prefix_is_refused(batches in any_object(), len: prop::sample::Index) {
        let object = seal(&batches).to_bytes();
        prop_assert!(parse_object(&object.slice(..len.index(object.len()))).is_err());
    }

    #[test]
    fn nothing_panics(bytes in vec(any::<u8>(), 0..300), len: u64) {
        let bytes = Bytes::from(bytes);
        let _ = verify_object(&bytes);
        prop_assert!(Footer::parse(&bytes, len).is_err());
    }
}
