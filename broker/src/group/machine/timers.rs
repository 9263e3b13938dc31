//! The timers of a classic group.

/// Deadlines of one group.
pub(super) type Timers = crate::group::timers::Timers<TimerKey>;

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimerKey {
    /// The end of the join phase.
    Join,
    /// The end of the wait for every member's SyncGroup.
    Sync,
    /// The session of a member, or the time a pending member has to join. Holds the member id.
    Session(String),
}

/// Whose sessions run.
#[cfg(test)]
pub(super) fn sessions(timers: &Timers) -> impl Iterator<Item = &str> {
    timers.keys().filter_map(|key| match key {
        TimerKey::Session(id) => Some(id.as_str()),
        TimerKey::Join | TimerKey::Sync => None,
    })
}
