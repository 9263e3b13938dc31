//! Who is alive: heartbeats of one's own, expiry of others.
//!
//! An agent is expired by naming the last entry heard of it; if a newer one came before, the expiry has no effect.
//! Each process measures silence on its own monotonic clock, so nobody's wall clock matters. Whoever could not write
//! itself for a while, the log being out of reach, begins to measure anew: the others could not write either.
//!
//! Whoever is known to have ended ([`Session::note_gone`]) is given less time: nobody will hear of it again.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::time::Duration;

use object_format::AgentEpoch;
use runtime::{Shutdown, Trouble};

use super::{Session, SubmitError};
use crate::state::{Agent, CLOCK_SKEW_MAX_MS, DeregisterAgent, ExpireAgent, Heartbeat};

/// How liveness is kept and judged.
#[derive(Clone, Copy, Debug)]
pub struct LivenessOptions {
    /// A process that appended nothing for this long appends a heartbeat.
    pub heartbeat: Duration,
    /// A process of which nothing was heard for this long is expired by the others.
    pub session_timeout: Duration,
}

impl LivenessOptions {
    /// Clients are steered away from a process of which nothing was heard for this long.
    fn silence(&self) -> Duration {
        (self.heartbeat * 5 / 2).min(self.session_timeout)
    }

    /// A process that has ended is expired after this long: it should have written a heartbeat meanwhile.
    fn gone_timeout(&self) -> Duration {
        (self.heartbeat * 4 / 3).min(self.session_timeout)
    }
}

impl Default for LivenessOptions {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(3),
            session_timeout: Duration::from_secs(18),
        }
    }
}

/// Keeps `session` alive and expires silent others, until `shutdown` begins; then says that it drains. Whenever this
/// process is unwell, or no longer ([`Session::set_unwell`]), that is said as well.
pub async fn keep_alive(session: Session, options: LivenessOptions, shutdown: Shutdown) {
    let mut watcher = Watcher {
        heard: HashMap::new(),
        own_heard: None,
    };
    let clock = session.replica().parts().clock.clone();
    let wrong_clock = Trouble::new("the clock of this machine is wrong", clock.clone());
    let tick = (options.heartbeat / 3).max(Duration::from_millis(10));
    loop {
        let pause = session.replica().parts().rng.jitter(tick);
        if shutdown
            .unless_begun(tokio::time::sleep(pause))
            .await
            .is_none()
        {
            break;
        }
        if session.replica().failure().is_some() {
            return;
        }
        match clock_fault(&session) {
            Some(fault) => wrong_clock.report(&fault),
            None => wrong_clock.over(),
        }
        let due = watcher.look(&session, clock.monotonic(), options);
        *session.silent.lock() = due.silent;
        let draining = session.unwell.load(Ordering::Relaxed);
        let is_said = session.is_said_to_drain() == draining;
        if (due.heartbeat || !is_said) && session.submit(Heartbeat { draining }).await.is_err() {
            return;
        }
        for expiry in due.expiries {
            let agent = expiry.agent;
            match session.submit(expiry).await {
                Ok(true) => tracing::warn!(%agent, "expired an agent that fell silent"),
                Ok(false) => {}
                Err(_) => return,
            }
        }
    }
    let _ = session.submit(Heartbeat { draining: true }).await;
}

/// Keeps `session` alive while its process drains, until this is dropped or the session has ended.
pub async fn keep_draining(session: Session, options: LivenessOptions) {
    loop {
        tokio::time::sleep(options.heartbeat).await;
        if session.submit(Heartbeat { draining: true }).await.is_err() {
            return;
        }
    }
}

/// How far this machine's clock is from the log's time, if that is too far.
fn clock_fault(session: &Session) -> Option<String> {
    let log_ms = session.replica().read(|s| s.log_time_ms());
    let ahead_ms = session.replica().parts().clock.wall_ms() - log_ms;
    let (seconds, side) = (
        ahead_ms.abs() / 1000,
        if ahead_ms > 0 { "ahead" } else { "behind" },
    );
    (ahead_ms.abs() > CLOCK_SKEW_MAX_MS)
        .then(|| format!("it is {seconds} s {side} of the time of the cluster"))
}

impl Session {
    /// Notes whether another process has ended, as far as the network can tell. A wrong note does no harm to what is
    /// stored, but the other has to start again if it is silent too.
    pub fn note_gone(&self, agent: AgentEpoch, is_gone: bool) {
        let mut gone = self.gone.lock();
        match is_gone {
            true => gone.insert(agent),
            false => gone.remove(&agent),
        };
    }

    /// Says whether clients should be steered away from this process, which the next heartbeat tells the others.
    pub fn set_unwell(&self, is_unwell: bool) {
        self.unwell.store(is_unwell, Ordering::Relaxed);
    }

    /// Other processes that clients should not be sent to, though they are registered: they have ended as far as the
    /// network can tell, or nothing was heard of them lately.
    pub fn doubtful(&self) -> BTreeSet<AgentEpoch> {
        let silent = self.silent.lock();
        self.gone.lock().union(&silent).copied().collect()
    }

    fn is_said_to_drain(&self) -> bool {
        let own = self.epoch();
        self.replica()
            .read(|state| state.agent(own).is_some_and(|agent| agent.draining))
    }

    /// Leaves the cluster; nothing can be submitted after it.
    pub async fn leave(&self) -> Result<(), SubmitError> {
        *self.replica().0.own.write() = None;
        self.submit(DeregisterAgent {}).await
    }
}

struct Watcher {
    /// Newest entry heard of each other process, and when on one's own clock.
    heard: HashMap<AgentEpoch, (u64, Duration)>,
    own_heard: Option<(u64, Duration)>,
}

/// What is heard of a process.
#[derive(Clone, Copy, Debug)]
struct Heard {
    agent: AgentEpoch,
    entry_last: u64,
    is_gone: bool,
}

#[derive(Debug, Default)]
struct Due {
    heartbeat: bool,
    expiries: Vec<ExpireAgent>,
    silent: BTreeSet<AgentEpoch>,
}

impl Watcher {
    /// Notes what was heard since the last look, and says what is to be done at `now`.
    fn look(&mut self, session: &Session, now: Duration, options: LivenessOptions) -> Due {
        let mut gone = session.gone.lock();
        gone.retain(|agent| session.replica().read(|s| s.agent(*agent).is_some()));
        let heard_last: Vec<_> = session.replica().read(|s| {
            let last = |(agent, a): (AgentEpoch, &Agent)| Heard {
                agent,
                entry_last: a.entry_last,
                // Who drains listens no more and may have nothing to write.
                is_gone: gone.contains(&agent) && !a.draining,
            };
            s.agents().map(last).collect()
        });
        drop(gone);
        self.judge(session.epoch(), &heard_last, now, options)
    }

    fn judge(
        &mut self,
        own: AgentEpoch,
        agents: &[Heard],
        now: Duration,
        options: LivenessOptions,
    ) -> Due {
        let mut due = Due::default();
        self.heard
            .retain(|epoch, _| agents.iter().any(|a| a.agent == *epoch));
        let own_last = agents.iter().find(|a| a.agent == own);
        let own_last = own_last.map(|a| a.entry_last);
        let back_after = self.own_heard.filter(|(last, _)| Some(*last) != own_last);
        if back_after.is_some_and(|(_, at)| now.saturating_sub(at) >= options.session_timeout / 2) {
            self.heard.clear();
        }
        let mut is_deaf = false;
        for &Heard {
            agent,
            entry_last,
            is_gone,
        } in agents
        {
            let timeout = match is_gone {
                true => options.gone_timeout(),
                false => options.session_timeout,
            };
            let heard = if agent == own {
                self.own_heard.get_or_insert((entry_last, now))
            } else {
                self.heard.entry(agent).or_insert((entry_last, now))
            };
            if heard.0 != entry_last {
                *heard = (entry_last, now);
            }
            let silent = now.saturating_sub(heard.1);
            if agent == own {
                due.heartbeat = silent >= options.heartbeat;
                is_deaf = silent >= options.silence();
            } else if silent >= options.silence() {
                due.silent.insert(agent);
            }
            if agent != own && silent >= timeout {
                due.expiries.push(ExpireAgent {
                    agent,
                    entry_last_seen: entry_last,
                });
            }
        }
        // Who cannot reach the log hears of nobody.
        if is_deaf {
            due.silent.clear();
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(agent: AgentEpoch, entry_last: u64) -> Heard {
        Heard {
            agent,
            entry_last,
            is_gone: false,
        }
    }

    #[test]
    fn only_who_is_silent_for_the_whole_timeout_is_expired() {
        let options = LivenessOptions {
            heartbeat: Duration::from_secs(3),
            session_timeout: Duration::from_secs(10),
        };
        let (own, quiet, busy) = (AgentEpoch(1), AgentEpoch(2), AgentEpoch(3));
        let mut watcher = Watcher {
            heard: HashMap::new(),
            own_heard: None,
        };
        let mut expired = Vec::new();
        for second in 0..=10 {
            let entries = [heard(own, 1), heard(quiet, 7), heard(busy, second)];
            let due = watcher.judge(own, &entries, Duration::from_secs(second), options);
            assert_eq!(due.heartbeat, second >= 3, "at {second} s");
            expired.extend(due.expiries);
        }
        assert_eq!(
            expired,
            [ExpireAgent {
                agent: quiet,
                entry_last_seen: 7
            }]
        );
    }

    #[test]
    fn after_an_outage_of_the_log_the_others_get_their_whole_timeout_again() {
        let options = LivenessOptions {
            heartbeat: Duration::from_secs(3),
            session_timeout: Duration::from_secs(10),
        };
        let (own, other) = (AgentEpoch(1), AgentEpoch(2));
        let mut watcher = Watcher {
            heard: HashMap::new(),
            own_heard: None,
        };
        let mut expiries_at = |second, own_last| {
            let entries = [heard(own, own_last), heard(other, 7)];
            watcher
                .judge(own, &entries, Duration::from_secs(second), options)
                .expiries
                .len()
        };
        assert_eq!(expiries_at(0, 1), 0);
        // Nobody can write from second 1 to 60; then this process can, a moment before the other.
        assert_eq!(expiries_at(60, 2), 0);
        assert_eq!(expiries_at(64, 3), 0);
        assert_eq!(expiries_at(67, 4), 0);
        assert_eq!(expiries_at(70, 5), 1, "but not for ever");
    }

    #[test]
    fn who_has_ended_is_expired_when_it_should_have_written_a_heartbeat() {
        let options = LivenessOptions {
            heartbeat: Duration::from_secs(3),
            session_timeout: Duration::from_secs(18),
        };
        let (own, ended, busy) = (AgentEpoch(1), AgentEpoch(2), AgentEpoch(3));
        let mut watcher = Watcher {
            heard: HashMap::new(),
            own_heard: None,
        };
        let mut expired_at = |second| {
            let gone = |agent, entry_last| Heard {
                is_gone: true,
                ..heard(agent, entry_last)
            };
            // Of one that still writes, the network is wrong.
            let agents = [heard(own, second), gone(ended, 7), gone(busy, second)];
            let due = watcher.judge(own, &agents, Duration::from_secs(second), options);
            let expired = due.expiries.iter().map(|expiry| expiry.agent);
            expired.collect::<Vec<_>>()
        };
        assert_eq!(expired_at(0), []);
        assert_eq!(expired_at(3), []);
        assert_eq!(expired_at(4), [ended]);
    }

    #[test]
    fn clients_are_steered_away_from_who_is_silent_but_not_by_one_that_hears_nothing() {
        let options = LivenessOptions {
            heartbeat: Duration::from_secs(2),
            session_timeout: Duration::from_secs(18),
        };
        let (own, quiet) = (AgentEpoch(1), AgentEpoch(2));
        let mut watcher = Watcher {
            heard: HashMap::new(),
            own_heard: None,
        };
        let mut silent_at = |second, own_last, quiet_last| {
            let agents = [heard(own, own_last), heard(quiet, quiet_last)];
            let due = watcher.judge(own, &agents, Duration::from_secs(second), options);
            assert_eq!(due.expiries, []);
            due.silent.contains(&quiet)
        };
        assert!(!silent_at(0, 1, 7));
        assert!(!silent_at(4, 2, 7));
        assert!(silent_at(5, 2, 7), "two heartbeats and a half");
        assert!(!silent_at(6, 3, 8), "heard again");
        assert!(!silent_at(11, 3, 8), "nothing is heard, of oneself either");
    }
}
