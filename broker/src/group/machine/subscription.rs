//! The topics a consumer subscribes to, read from its otherwise opaque metadata.
//!
//! Only version 0 of the consumer protocol's subscription is read, which every later version
//! begins with: version (i16), topics (i32 count; each an i16 length and UTF-8 bytes).

use std::collections::BTreeSet;

use bytes::{Buf, Bytes};

use super::GroupError;
use super::group::{ClassicGroup, Phase};

/// The protocol type of consumers.
const CONSUMER: &str = "consumer";

impl ClassicGroup {
    /// Whether the members are consumers, as opposed to, say, Connect's workers.
    fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// The topics the members of a group of consumers subscribe to. None if the group is of another
    /// kind, or if not all its members tell.
    pub fn subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if !self.is_of_consumers() {
            return None;
        }
        let mut topics = BTreeSet::new();
        for member in self.roster.iter() {
            read_topics(member.metadata(self.protocol_name.as_deref()), &mut topics)?;
        }
        Some(topics)
    }

    /// Whether committed offsets of the topic are in use by members, so that they may not be
    /// deleted or expire. When in doubt they are.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match self.subscribed_topics() {
            Some(topics) => topics.contains(topic),
            None => self.is_of_consumers(),
        }
    }

    /// Whether offsets of the group may be deleted at all. Of a group of consumers that has
    /// members, those of topics it [is subscribed to](Self::is_subscribed_to) may not be.
    pub fn check_offset_delete(&self) -> Result<(), GroupError> {
        match self.phase {
            Phase::Empty => Ok(()),
            Phase::Dead(_) => Err(GroupError::GroupIdNotFound),
            _ if self.is_of_consumers() => Ok(()),
            _ => Err(GroupError::NonEmptyGroup),
        }
    }
}

/// Adds the topics of a subscription; none if it is not one.
fn read_topics(mut metadata: Bytes, topics: &mut BTreeSet<String>) -> Option<()> {
    metadata
        .try_get_i16()
        .ok()
        .filter(|version| *version >= 0)?;
    let count = metadata.try_get_i32().ok().filter(|count| *count >= 0)?;
    for _ in 0..count {
        let length = usize::try_from(metadata.try_get_i16().ok()?).ok()?;
        if length > metadata.len() {
            return None;
        }
        let name = metadata.split_to(length);
        topics.insert(std::str::from_utf8(&name).ok()?.to_owned());
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(metadata: &[u8]) -> Option<Vec<String>> {
        let mut topics = BTreeSet::new();
        read_topics(Bytes::copy_from_slice(metadata), &mut topics)?;
        Some(topics.into_iter().collect())
    }

    #[test]
    fn topics_are_read_whatever_follows_them() {
        let mut metadata = b"\0\x01\0\0\0\x02\0\x02t1\0\x02t2".to_vec();
        assert_eq!(
            read(&metadata),
            Some(vec!["t1".to_owned(), "t2".to_owned()])
        );
        metadata.extend(b"\xff\xff\xff\xff\0\0\0\0");
        assert_eq!(
            read(&metadata),
            Some(vec!["t1".to_owned(), "t2".to_owned()])
        );
        assert_eq!(read(b"\0\0\0\0\0\0"), Some(vec![]));
    }

    #[test]
    fn what_is_no_subscription_is_not_read() {
        let bad: [&[u8]; 6] = [
            b"",
            b"\0\0\0\0\0",
            b"\xff\xff\0\0\0\0",
            b"\0\0\xff\xff\xff\xff",
            b"\0\0\0\0\0\x01\0\x03t1",
            b"\0\0\0\0\0\x01\0\x01\xff",
        ];
        for metadata in bad {
            assert_eq!(read(metadata), None, "{metadata:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(metadata in prop::collection::vec(any::<u8>(), 0..64)) {
            read(&metadata);
        }
    }
}
