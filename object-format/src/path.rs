//! Where in a bucket everything is. All keys are relative to the prefix of the cluster.
//!
//! ```text
//! meta/cluster                              identity of the cluster
//! meta/log/<position, 20 digits>            entries of the metadata log
//! meta/checkpoint/<position, 20 digits>/..  checkpoints of the metadata
//! meta/probe/..                             what a start-up check of the store leaves behind
//! data/<spread, 3 hex digits>/<object id>   data objects
//! ```
//! SUBTLE: a file system cannot hold the keys `a` and `a/b` at once; no key here is a prefix of
//! another.

use crate::ids::{AgentEpoch, ObjectId};

/// Key of the identity of the cluster.
pub const CLUSTER: &str = "meta/cluster";
/// Prefix of the entries of the metadata log, without the slash.
pub const LOG: &str = "meta/log";
/// Prefix of the checkpoints, without the slash.
pub const CHECKPOINT: &str = "meta/checkpoint";
/// Prefix of the keys that probe what a store can do, without the slash.
pub const PROBE: &str = "meta/probe";
/// Prefix of the data objects, without the slash.
pub const DATA: &str = "data";

/// Decimal digits of a position in a key: every u64 fits, and keys sort as the numbers do.
const POSITION_DIGITS: usize = 20;

/// Key of a data object. Its middle part looks random, since stores divide their load by the
/// beginning of keys.
pub fn data(id: ObjectId) -> String {
    format!("{DATA}/{:03x}/{id}", spread(id))
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

/// 12 bits that change with every part of the id. Of 4,096 consecutive objects of one writer, each
/// gets another.
fn spread(id: ObjectId) -> u32 {
    let crc = crc32c::crc32c(&id.writer.0.to_be_bytes());
    crc32c::crc32c_append(crc, &id.sequence.to_be_bytes()) & 0xfff
}
