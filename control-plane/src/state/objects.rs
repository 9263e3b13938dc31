//! Data objects: which of them something still names (I3).

use object_format::{AgentEpoch, ObjectId, TopicPartition};
use serde::{Deserialize, Serialize};

use super::{Context, Extent, State};

/// An object that extents name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectState {
    /// Its size.
    pub bytes: u64,
    /// How many extents name it; never 0.
    pub extents: u64,
    /// Bytes of those extents.
    pub live_bytes: u64,
    /// Whether it was written by compaction.
    pub is_compacted: bool,
    /// The log's time when it was committed.
    pub committed_ms: i64,
    /// The log's time when its bytes were last checked; at first that of its commit.
    pub checked_ms: i64,
}

/// An object that nothing names any more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Garbage {
    /// The log's time since when.
    pub since_ms: i64,
    /// Its size; 0 where it was never said, because it was never committed.
    pub bytes: u64,
}

/// Something is wrong with an object that extents name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Damage {
    /// What.
    pub what: String,
    /// The log's time when it was found.
    pub found_ms: i64,
}

/// Longest description of a damage that is kept.
const DAMAGE_BYTES_MAX: usize = 512;

/// Objects were read to their last byte. Gives how many of them something names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportScrub {
    /// These are good.
    pub verified: Vec<ObjectId>,
    /// These are not.
    pub damaged: Vec<(ObjectId, String)>,
}

impl ReportScrub {
    pub(crate) fn apply(self, state: &mut State, by: Context, _: &mut Vec<TopicPartition>) -> u64 {
        let mut named = 0;
        for id in self.verified {
            if let Some(object) = state.objects.get_mut(&id) {
                object.checked_ms = by.now_ms;
                state.damaged.remove(&id);
                named += 1;
            }
        }
        for (id, mut what) in self.damaged {
            let Some(object) = state.objects.get_mut(&id) else {
                continue;
            };
            object.checked_ms = by.now_ms;
            let end = what.floor_char_boundary(DAMAGE_BYTES_MAX);
            what.truncate(end);
            let found_ms = state.damaged.get(&id).map_or(by.now_ms, |d| d.found_ms);
            state.damaged.insert(id, Damage { what, found_ms });
            named += 1;
        }
        named
    }
}

/// These objects are deleted, and the orphans of these departed processes are collected. Gives how many entries were
/// removed. Objects that something names are passed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForgetObjects {
    /// Formerly garbage.
    pub objects: Vec<ObjectId>,
    /// Formerly departed.
    pub departed: Vec<AgentEpoch>,
}

impl ForgetObjects {
    pub(crate) fn apply(self, state: &mut State, _: Context, _: &mut Vec<TopicPartition>) -> u64 {
        let objects = self
            .objects
            .iter()
            .filter(|id| state.garbage.remove(id).is_some())
            .count();
        let departed = self
            .departed
            .iter()
            .filter(|e| state.departed.remove(e).is_some())
            .count();
        (objects + departed) as u64
    }
}

impl ObjectState {
    /// Of an object that is being committed.
    pub(super) fn new(bytes: u64, extents: u64, live_bytes: u64, now_ms: i64) -> Self {
        Self {
            bytes,
            extents,
            live_bytes,
            is_compacted: false,
            committed_ms: now_ms,
            checked_ms: now_ms,
        }
    }
}

impl State {
    /// An object that something names.
    pub fn object(&self, id: ObjectId) -> Option<&ObjectState> {
        self.objects.get(&id)
    }

    /// All objects that something names.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectId, &ObjectState)> {
        self.objects.iter().map(|(&id, object)| (id, object))
    }

    /// Objects that nothing names any more.
    pub fn garbage(&self) -> impl Iterator<Item = (ObjectId, Garbage)> {
        self.garbage.iter().map(|(&id, &garbage)| (id, garbage))
    }

    /// Objects in which something is known to be wrong.
    pub fn damaged(&self) -> impl Iterator<Item = (ObjectId, &Damage)> {
        self.damaged.iter().map(|(&id, damage)| (id, damage))
    }

    /// Whether something is known to be wrong with an object.
    pub fn is_damaged(&self, id: ObjectId) -> bool {
        self.damaged.contains_key(&id)
    }

    pub(super) fn add_object(&mut self, id: ObjectId, object: ObjectState) {
        if object.extents == 0 {
            let garbage = Garbage {
                since_ms: object.committed_ms,
                bytes: object.bytes,
            };
            self.garbage.insert(id, garbage);
        } else {
            self.objects.insert(id, object);
        }
    }

    pub(super) fn release_extents(&mut self, extents: impl Iterator<Item = Extent>, now_ms: i64) {
        for extent in extents {
            let Some(object) = self.objects.get_mut(&extent.object) else {
                continue;
            };
            object.extents -= 1;
            object.live_bytes = object.live_bytes.saturating_sub(extent.bytes);
            if object.extents == 0 {
                let garbage = Garbage {
                    since_ms: now_ms,
                    bytes: object.bytes,
                };
                self.objects.remove(&extent.object);
                self.damaged.remove(&extent.object);
                self.garbage.insert(extent.object, garbage);
            }
        }
    }
}
