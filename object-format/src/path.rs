//! Where in a bucket everything is. All keys are relative to the prefix of the cluster.
//!
//! ```text
//! meta/cluster                              identity of the cluster
//! meta/log/<position, 20 digits>            entries of the metadata log
//! meta/log-home                             that the log began elsewhere
//! meta/move/<number, 20 digits>             where the log went when it was moved
//! meta/checkpoint/<position, 20 digits>/..  checkpoints of the metadata
//! meta/peer-secret                          by which the agents know each other
//! meta/probe/..                             what a start-up check of the store leaves behind
//! data/<spread, 2 hex digits>/<object id>   data objects
//! ```
//! SUBTLE: a file system cannot hold the keys `a` and `a/b` at once; no key here is a prefix of
//! another.

use crate::ids::{AgentEpoch, ObjectId};

/// Key of the identity of the cluster.
pub const CLUSTER: &str = "meta/cluster";
/// Prefix of the entries of the metadata log, without the slash.
pub const LOG: &str = "meta/log";
/// Key of where the metadata log began, if not in the bucket.
pub const LOG_HOME: &str = "meta/log-home";
/// Prefix of where the log went when it was moved, without the slash.
pub const MOVE: &str = "meta/move";
/// Prefix of the checkpoints, without the slash.
pub const CHECKPOINT: &str = "meta/checkpoint";
/// Key of the secret by which the agents of the cluster know each other.
pub const PEER_SECRET: &str = "meta/peer-secret";
/// Prefix of the keys that probe what a store can do, without the slash.
pub const PROBE: &str = "meta/probe";
/// Prefix of the data objects, without the slash.
pub const DATA: &str = "data";

/// Decimal digits of a position in a key: every u64 fits, and keys sort as the numbers do.
const POSITION_DIGITS: usize = 20;

/// Key of a data object. Its middle part looks random, since stores divide their load by the
/// beginning of keys.
pub fn data(id: ObjectId) -> String {
    format!("{DATA}/{:02x}/{id}", spread(id))
}

/// The id of the data object with this key, or `None` if it is no key of a data object.
pub fn parse_data(key: &str) -> Option<ObjectId> {
    let (_, name) = key.strip_prefix(DATA)?.strip_prefix('/')?.split_once('/')?;
    let (writer, sequence) = name.split_once('-')?;
    let id = ObjectId {
        writer: AgentEpoch(writer.parse().ok()?),
        sequence: sequence.parse().ok()?,
    };
    // Only what `data` gives is such a key: right spread, leading zeros, no plus sign.
    (data(id) == key).then_some(id)
}

/// Key of the entry of the metadata log at `position`.
pub fn log_entry(position: u64) -> String {
    format!("{LOG}/{position:0POSITION_DIGITS$}")
}

/// The position of the log entry with this key, or `None` if it is no key of one.
pub fn parse_log_entry(key: &str) -> Option<u64> {
    parse_position(key.strip_prefix(LOG)?.strip_prefix('/')?)
}

/// Key of where the `number`th move of the metadata log led.
pub fn log_move(number: u64) -> String {
    format!("{MOVE}/{number:0POSITION_DIGITS$}")
}

/// The number of the move with this key, or `None` if it is no key of one.
pub fn parse_log_move(key: &str) -> Option<u64> {
    parse_position(key.strip_prefix(MOVE)?.strip_prefix('/')?)
}

/// Prefix, without the slash, of the files of the checkpoint at `position`.
pub fn checkpoint(position: u64) -> String {
    format!("{CHECKPOINT}/{position:0POSITION_DIGITS$}")
}

/// Key of one file of the checkpoint at `position`.
pub fn checkpoint_file(position: u64, file: &str) -> String {
    format!("{}/{file}", checkpoint(position))
}

/// Position and file name of the checkpoint file with this key, or `None` if it is no key of one.
pub fn parse_checkpoint_file(key: &str) -> Option<(u64, &str)> {
    let (position, file) = key
        .strip_prefix(CHECKPOINT)?
        .strip_prefix('/')?
        .split_once('/')?;
    Some((parse_position(position)?, file))
}

/// Key of a probe of this name.
pub fn probe(name: &str) -> String {
    format!("{PROBE}/{name}")
}

fn parse_position(digits: &str) -> Option<u64> {
    let decimal = digits.len() == POSITION_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    if decimal { digits.parse().ok() } else { None }
}

/// 8 bits that look random. They are taken from where each of a writer's first 256 objects (and
/// of every 256 after them) gets another, and so do the first objects of as many writers.
/// No more than 8, because on a file system each is a directory to be made and synced.
fn spread(id: ObjectId) -> u32 {
    let crc = crc32c::crc32c(&id.writer.0.to_be_bytes());
    (crc32c::crc32c_append(crc, &id.sequence.to_be_bytes()) >> 4) & 0xff
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn id(writer: u64, sequence: u64) -> ObjectId {
        ObjectId {
            writer: AgentEpoch(writer),
            sequence,
        }
    }

    #[test]
    fn keys_stay_as_they_are() {
        assert_eq!(data(id(1, 0)), "data/ca/0000000001-000000000000");
        assert_eq!(log_entry(42), "meta/log/00000000000000000042");
        let file = checkpoint_file(u64::MAX, "0001");
        assert_eq!(file, "meta/checkpoint/18446744073709551615/0001");
        assert_eq!(parse_checkpoint_file(&file), Some((u64::MAX, "0001")));
        assert_eq!(probe("x"), "meta/probe/x");
        assert_eq!(log_move(7), "meta/move/00000000000000000007");
        assert_eq!(parse_log_move(&log_move(7)), Some(7));
        assert_eq!(parse_log_move("meta/move/7"), None);
    }

    #[test]
    fn consecutive_objects_are_spread_evenly() {
        let spreads: BTreeSet<u32> = (0..256).map(|sequence| spread(id(3, sequence))).collect();
        assert_eq!(spreads.len(), 256);
        let spreads: BTreeSet<u32> = (256..512).map(|writer| spread(id(writer, 0))).collect();
        assert_eq!(spreads.len(), 256);
    }

    #[test]
    fn other_keys_are_not_data_objects() {
        let good = data(id(12, 34));
        assert_eq!(parse_data(&good), Some(id(12, 34)));
        let spread = &good[5..7];
        for key in [
            format!("data/{spread}/12-34"),
            format!("data/{spread}/+000000012-000000000034"),
            format!("data/{spread}/0000000012-000000000034/x"),
            format!("data/{spread}/0000000012"),
            format!("x{good}"),
            good.replace(spread, if spread == "00" { "01" } else { "00" }),
            "meta/cluster".to_owned(),
            "data".to_owned(),
            String::new(),
        ] {
            assert_eq!(parse_data(&key), None, "{key}");
        }
    }

    #[test]
    fn other_keys_are_not_log_entries() {
        for key in [
            "meta/log/1",
            "meta/log/+0000000000000000001",
            "meta/log/",
            "meta/cluster",
        ] {
            assert_eq!(parse_log_entry(key), None, "{key}");
        }
        assert_eq!(
            parse_log_entry("meta/log/99999999999999999999"),
            None,
            "past u64"
        );
    }

    proptest! {
        #[test]
        fn keys_are_parsed_back(writer: u64, sequence: u64) {
            prop_assert_eq!(parse_data(&data(id(writer, sequence))), Some(id(writer, sequence)));
            prop_assert_eq!(parse_log_entry(&log_entry(sequence)), Some(sequence));
        }

        #[test]
        fn log_entries_sort_by_position(a: u64, b: u64) {
            prop_assert_eq!(log_entry(a).cmp(&log_entry(b)), a.cmp(&b));
        }
    }
}
