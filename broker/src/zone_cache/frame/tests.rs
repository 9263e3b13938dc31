use proptest::prelude::*;

use super::*;

fn key(writer: u64, sequence: u64, index: u64, object_bytes: u64) -> BlockKey {
    let writer = AgentEpoch(writer);
    BlockKey {
        object: ObjectId { writer, sequence },
        index,
        object_bytes,
    }
}

fn question() -> impl Strategy<Value = Question> {
    let ask = (
        any::<u32>(),
        any::<u64>(),
        any::<u64>(),
        1..1u64 << 40,
        any::<bool>(),
    );
    let ask = ask.prop_map(|(id, writer, sequence, bytes, is_tail)| {
        let index = (bytes - 1) / BlockKey::step(bytes);
        let pool = Pool::ALL[usize::from(is_tail)];
        Question::Ask(id, key(writer, sequence, index, bytes), pool)
    });
    prop_oneof![ask, any::<u32>().prop_map(Question::Cancel)]
}

/// All that can be taken from these bytes.
fn take_all(bytes: &[u8]) -> Result<Vec<Question>, FrameError> {
    let mut buffer = BytesMut::from(bytes);
    let mut taken = vec![];
    while let Some(question) = Question::take(&mut buffer)? {
        taken.push(question);
    }
    Ok(taken)
}

proptest! {
    #[test]
    fn what_is_said_is_understood_however_it_is_cut(
        said in proptest::collection::vec(question(), 1..20),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = vec![];
        said.iter().for_each(|question| question.encode(&mut bytes));
        prop_assert_eq!(&take_all(&bytes).unwrap(), &said);
        let cut = cut.index(bytes.len());
        let mut buffer = BytesMut::from(&bytes[..cut]);
        let mut taken = vec![];
        while let Some(question) = Question::take(&mut buffer).unwrap() {
            taken.push(question);
        }
        buffer.extend_from_slice(&bytes[cut..]);
        while let Some(question) = Question::take(&mut buffer).unwrap() {
            taken.push(question);
        }
        prop_assert_eq!(&taken, &said);
    }

    #[test]
    fn whatever_comes_no_more_than_a_block_is_asked_for(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = 1 + *first % 2;
        }
        for question in take_all(&bytes).unwrap_or_default() {
            if let Question::Ask(_, key, _) = question {
                prop_assert!((1..=WHOLE_BYTES_MAX).contains(&key.len()));
            }
        }
    }

    #[test]
    fn a_head_is_what_it_was_or_nothing(
        id in any::<u32>(),
        verdict in 0..4usize,
        block in proptest::collection::vec(any::<u8>(), 1..100),
        flipped in 0..ANSWER_BYTES * 8,
        bytes in any::<[u8; ANSWER_BYTES]>(),
    ) {
        let head = match Verdict::ALL[verdict] {
            Verdict::Lent => Head::of_block(id, &[block.into()]),
            other => Head::without_block(other, id),
        };
        let mut encoded = head.encode();
        prop_assert_eq!(Head::decode(&encoded), Ok(head));
        prop_assert_eq!(Head::decode(&encoded[1..]), Err(FrameError));
        encoded[flipped / 8] ^= 1 << (flipped % 8);
        prop_assert_ne!(Head::decode(&encoded), Ok(head));
        let _ = Head::decode(&bytes);
    }
}

#[test]
fn blocks_that_cannot_be_are_not_asked_for() {
    let mut bytes = vec![];
    for key in [
        key(1, 1, 0, 0),
        key(1, 1, 1, 5),
        key(1, 1, u64::MAX, u64::MAX),
    ] {
        bytes.clear();
        Question::Ask(1, key, Pool::Tail).encode(&mut bytes);
        assert_eq!(take_all(&bytes), Err(FrameError), "{key:?}");
    }
    assert_eq!(take_all(&[7; 60]), Err(FrameError));
    let mut no_pool = vec![];
    Question::Ask(1, key(1, 1, 0, 5), Pool::Tail).encode(&mut no_pool);
    no_pool[5] = 2;
    assert_eq!(take_all(&no_pool), Err(FrameError));
}

#[test]
fn the_checksum_is_that_of_all_chunks() {
    let whole = Head::of_block(7, &[Bytes::from_static(b"one block")]);
    let parts = [Bytes::from_static(b"one "), Bytes::from_static(b"block")];
    assert_eq!(Head::of_block(7, &parts), whole);
    assert_eq!((whole.len, whole.crc), (9, crc32c::crc32c(b"one block")));
}
