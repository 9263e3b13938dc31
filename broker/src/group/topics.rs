//! The topics as groups see them: names, ids and numbers of partitions at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use control_plane::state::State;
use object_format::TopicId;
use parking_lot::Mutex;

/// All topics at one moment.
#[derive(Debug, Default)]
pub(super) struct Topics {
    /// Differs whenever they do; see [`State::topics_epoch`].
    pub epoch: u64,
    by_name: BTreeMap<String, (TopicId, u32)>,
    names: BTreeMap<TopicId, String>,
}

impl Topics {
    pub(super) fn new(
        epoch: u64,
        topics: impl IntoIterator<Item = (String, TopicId, u32)>,
    ) -> Self {
        let mut all = Self {
            epoch,
            ..Self::default()
        };
        for (name, id, partitions) in topics {
            all.names.insert(id, name.clone());
            all.by_name.insert(name, (id, partitions));
        }
        all
    }

    /// Id and number of partitions of a topic.
    pub(super) fn get(&self, name: &str) -> Option<(TopicId, u32)> {
        self.by_name.get(name).copied()
    }

    /// The name of a topic.
    pub(super) fn name(&self, id: TopicId) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    /// All names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

/// The newest topics, made anew only when they have changed.
#[derive(Debug, Default)]
pub(super) struct TopicsCache(Mutex<Arc<Topics>>);

impl TopicsCache {
    /// The topics of `state`.
    pub(super) fn of(&self, state: &State) -> Arc<Topics> {
        let mut cached = self.0.lock();
        if cached.epoch != state.topics_epoch() {
            let topics = state
                .topics()
                .map(|(id, topic)| (topic.name.clone(), id, topic.partitions));
            *cached = Arc::new(Topics::new(state.topics_epoch(), topics));
        }
        cached.clone()
    }
}
