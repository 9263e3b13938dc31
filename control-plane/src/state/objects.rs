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
    /// The log's time when it was committed.
    pub committed_ms: i64,
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

impl State {
    /// An object that something names.
    pub fn object(&self, id: ObjectId) -> Option<&ObjectState> {
        self.objects.get(&id)
    }

    /// All objects that something names.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectId, &ObjectState)> {
        self.objects.iter().map(|(&id, object)| (id, object))
    }

    /// Objects that nothing names any more, and the log's time since when.
    pub fn garbage(&self) -> impl Iterator<Item = (ObjectId, i64)> {
        self.garbage.iter().map(|(&id, &since)| (id, since))
    }

    pub(super) fn add_object(&mut self, id: ObjectId, bytes: u64, extents: u64, now_ms: i64) {
        if extents == 0 {
            self.garbage.insert(id, now_ms);
        } else {
            self.objects.insert(
                id,
                ObjectState {
                    bytes,
                    extents,
                    committed_ms: now_ms,
                },
            );
        }
    }

    pub(super) fn release_extents(&mut self, extents: impl Iterator<Item = Extent>, now_ms: i64) {
        for extent in extents {
            let Some(object) = self.objects.get_mut(&extent.object) else {
                continue;
            };
            object.extents -= 1;
            if object.extents == 0 {
                self.objects.remove(&extent.object);
                self.garbage.insert(extent.object, now_ms);
            }
        }
    }
}
