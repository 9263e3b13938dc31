//! The consumer's own protocol inside the classic one: what members say in JoinGroup's metadata and
//! get in SyncGroup's assignment. Versions 0 to 3.
//!
//! Subscription: version (i16), topics, user data; since 1 owned partitions; since 2 a generation;
//! since 3 a rack. Assignment: version, partitions by topic, user data. Strings have i16 lengths,
//! lists i32 counts; both are checked against the bytes there are before anything is kept.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use object_format::TopicPartition;

use super::Assignment;
use crate::group::topics::Topics;

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

/// Partitions by topic name.
pub(super) type Named = Vec<(String, Vec<u32>)>;

/// What a consumer says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    pub topics: Vec<String>,
    pub owned: Named,
    pub rack_id: Option<String>,
}

/// Reads a subscription; none if it is not one.
pub(super) fn subscription(metadata: &Bytes) -> Option<Subscription> {
    let mut rest = metadata.clone();
    let version = rest.try_get_i16().ok().filter(|v| *v >= 0)?;
    let mut subscription = Subscription::default();
    for _ in 0..count(&mut rest)? {
        subscription.topics.push(string(&mut rest)??);
    }
    skip_bytes(&mut rest)?;
    if version >= 1 {
        subscription.owned = named(&mut rest)?;
    }
    if version >= 2 {
        rest.try_get_i32().ok()?;
    }
    if version >= 3 {
        subscription.rack_id = string(&mut rest)?;
    }
    Some(subscription)
}

/// The version of a subscription, as far as it is known here.
pub(super) fn version(metadata: &Bytes) -> i16 {
    metadata.clone().try_get_i16().unwrap_or(0).clamp(0, 3)
}

/// Reads an assignment; none if it is not one. Before the first there are no bytes at all.
pub(super) fn assignment(bytes: &Bytes) -> Option<Named> {
    let mut rest = bytes.clone();
    if rest.is_empty() {
        return Some(Named::new());
    }
    rest.try_get_i16().ok().filter(|v| *v >= 0)?;
    named(&mut rest)
}

/// Partitions of topics that exist.
pub(super) fn assignment_of(named: &Named, topics: &Topics) -> Assignment {
    let known = named.iter().filter_map(|(name, partitions)| {
        let (topic, _) = topics.get(name)?;
        let partition = move |&partition| TopicPartition { topic, partition };
        Some(partitions.iter().map(partition))
    });
    known.flatten().collect()
}

/// Writes an assignment. Topics that are gone are left out.
pub(super) fn write_assignment(version: i16, assigned: &Assignment, topics: &Topics) -> Bytes {
    let named = assigned.topics();
    let named = named.filter_map(|(id, partitions)| Some((topics.name(id)?, partitions)));
    let named: Vec<_> = named.collect();
    let mut out = BytesMut::new();
    out.put_i16(version);
    out.put_i32(i32::try_from(named.len()).unwrap_or(i32::MAX));
    for (name, partitions) in named {
        out.put_i16(i16::try_from(name.len()).unwrap_or(i16::MAX));
        out.put_slice(name.as_bytes());
        out.put_i32(i32::try_from(partitions.len()).unwrap_or(i32::MAX));
        for &partition in partitions {
            out.put_u32(partition);
        }
    }
    // No user data.
    out.put_i32(-1);
    out.freeze()
}

fn named(rest: &mut Bytes) -> Option<Named> {
    let mut named = Named::new();
    for _ in 0..count(rest)? {
        let name = string(rest)??;
        let mut partitions = Vec::new();
        for _ in 0..count(rest)? {
            partitions.push(u32::try_from(rest.try_get_i32().ok()?).ok()?);
        }
        named.push((name, partitions));
    }
    Some(named)
}

fn count(rest: &mut Bytes) -> Option<usize> {
    usize::try_from(rest.try_get_i32().ok()?).ok()
}

/// None if there is no string, `Some(None)` if it is null.
fn string(rest: &mut Bytes) -> Option<Option<String>> {
    let length = rest.try_get_i16().ok()?;
    if length < 0 {
        return Some(None);
    }
    let bytes = take(rest, usize::try_from(length).ok()?)?;
    Some(Some(std::str::from_utf8(&bytes).ok()?.to_owned()))
}

fn skip_bytes(rest: &mut Bytes) -> Option<()> {
    let length = rest.try_get_i32().ok()?;
    if length > 0 {
        take(rest, usize::try_from(length).ok()?)?;
    }
    Some(())
}

fn take(rest: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= rest.len()).then(|| rest.split_to(length))
}

#[cfg(test)]
mod tests {
    use object_format::TopicId;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_subscription_is_read_in_every_version() {
        let v0 = b"\0\0\0\0\0\x02\0\x01a\0\x01b\xff\xff\xff\xff".to_vec();
        let read = |bytes: &[u8]| subscription(&Bytes::copy_from_slice(bytes));
        assert_eq!(read(&v0).unwrap().topics, ["a", "b"]);
        let mut v3 = v0.clone();
        v3[1] = 3;
        assert_eq!(read(&v3), None);
        v3.extend(b"\0\0\0\x01\0\x01a\0\0\0\x02\0\0\0\0\0\0\0\x05\0\0\0\x07\0\x01r");
        let subscription = read(&v3).unwrap();
        assert_eq!(subscription.owned, [("a".to_owned(), vec![0, 5])]);
        assert_eq!(subscription.rack_id.as_deref(), Some("r"));
    }

    #[test]
    fn an_assignment_is_read_as_it_was_written() {
        let id = TopicId(Uuid::from_u128(1));
        let topics = Topics::new(1, [("a".to_owned(), id, 9)]);
        let partition = |partition| TopicPartition {
            topic: id,
            partition,
        };
        let assigned: Assignment = [partition(3), partition(8)].into_iter().collect();
        let bytes = write_assignment(1, &assigned, &topics);
        let named = assignment(&bytes).unwrap();
        assert_eq!(named, [("a".to_owned(), vec![3, 8])]);
        assert_eq!(assignment_of(&named, &topics), assigned);
        assert_eq!(assignment(&Bytes::new()), Some(vec![]));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let bytes = Bytes::from(bytes);
            subscription(&bytes);
            assignment(&bytes);
        }
    }
}
