//! Which groups are stable: all their members are in one generation.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::client::ClientError;

/// How far the groups are.
pub struct Progress {
    members: u32,
    groups: Mutex<Vec<Group>>,
    stable: watch::Sender<u32>,
    /// Why a member had to begin anew, the last time.
    trouble: Mutex<Option<String>>,
}

#[derive(Clone, Copy, Default)]
struct Group {
    generation: i32,
    synced: u32,
    /// When it became stable, the last time.
    stable_at: Option<Duration>,
    /// Times that a stable group began to rebalance.
    interruptions: u32,
}

impl Progress {
    /// So many groups of so many members.
    pub fn new(groups: u32, members: u32) -> Self {
        Self {
            members,
            groups: Mutex::new(vec![Group::default(); groups as usize]),
            stable: watch::Sender::new(0),
            trouble: Mutex::default(),
        }
    }

    /// A member got its assignment of this generation.
    pub fn synced(&self, group: u32, generation: i32, now: Duration) {
        let mut groups = self.groups.lock();
        let group = &mut groups[group as usize];
        if group.generation != generation {
            group.generation = generation;
            group.synced = 0;
        }
        group.synced += 1;
        if group.synced == self.members && group.stable_at.is_none() {
            group.stable_at = Some(now);
            self.stable.send_modify(|stable| *stable += 1);
        }
    }

    /// A member has to join again.
    pub fn interrupted(&self, group: u32) {
        let mut groups = self.groups.lock();
        let group = &mut groups[group as usize];
        group.synced = 0;
        if group.stable_at.take().is_some() {
            group.interruptions += 1;
            self.stable.send_modify(|stable| *stable -= 1);
        }
    }

    /// A member begins anew, because of this.
    pub fn failed(&self, why: &ClientError) {
        *self.trouble.lock() = Some(why.to_string());
    }

    /// Why a member had to begin anew, the last time.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Groups that are stable now.
    pub fn stable(&self) -> u32 {
        *self.stable.borrow()
    }

    /// Waits until all are stable, and gives when the last one became so.
    pub async fn all_stable(&self) -> Duration {
        let all = self.groups.lock().len() as u32;
        // The sender is in `self`, so the channel cannot close.
        let _ = self
            .stable
            .subscribe()
            .wait_for(|stable| *stable == all)
            .await;
        let groups = self.groups.lock();
        let last = groups.iter().filter_map(|group| group.stable_at).max();
        last.unwrap_or_default()
    }

    /// Times that a stable group began to rebalance.
    pub fn interruptions(&self) -> u32 {
        self.groups.lock().iter().map(|g| g.interruptions).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_group_is_stable_when_all_are_in_one_generation() {
        let progress = Progress::new(1, 2);
        let at = Duration::from_secs;
        progress.synced(0, 1, at(1));
        progress.synced(0, 2, at(2));
        assert_eq!(progress.stable(), 0);
        progress.synced(0, 2, at(3));
        assert_eq!((progress.stable(), progress.all_stable().await), (1, at(3)));
        progress.interrupted(0);
        progress.interrupted(0);
        assert_eq!((progress.stable(), progress.interruptions()), (0, 1));
    }
}
