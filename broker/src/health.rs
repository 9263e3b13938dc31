//! Whether this agent is well, in its own judgement, and how it ends.
//!
//! An agent that cannot write to the bucket, while others may, says so with its heartbeat and clients are steered to the
//! others. One that cannot reach the metadata log cannot say so; the others notice that they hear nothing of it.
//!
//! The end has two steps: first clients are told of other agents only, while everything is served as before; then no more
//! is accepted, and what was accepted is settled.

use std::time::Duration;

use control_plane::replica::{LivenessOptions, Session, keep_alive};
use runtime::Shutdown;
use tokio::sync::watch;

use crate::metric_definitions as names;
use crate::produce::Pipeline;
use crate::topology;

/// Why an agent should not be sent traffic; none if it is well.
pub type Unwell = Option<String>;

/// The end may not wait longer for the log to take the news.
const ANNOUNCE_WITHIN: Duration = Duration::from_secs(2);

/// What an agent notices of itself.
#[derive(Clone, Copy, Debug, Default)]
struct Signs {
    /// For how long no object could be uploaded.
    uploads_failing: Option<Duration>,
    /// For how long the metadata log has not answered.
    log_unreached: Duration,
}

impl Signs {
    /// Why an agent with these signs should not be sent traffic, `after` being how long a trouble may last.
    fn judge(self, after: Duration) -> Unwell {
        let mut unwell = Vec::new();
        if self.is_unable_to_write(after) {
            let lasting = self.uploads_failing.unwrap_or_default().as_secs();
            unwell.push(format!("no object could be written for {lasting} s"));
        }
        if self.log_unreached >= after {
            let lasting = self.log_unreached.as_secs();
            unwell.push(format!("the metadata log has not answered for {lasting} s"));
        }
        (!unwell.is_empty()).then(|| unwell.join("; "))
    }

    fn is_unable_to_write(self, after: Duration) -> bool {
        self.uploads_failing.is_some_and(|lasting| lasting >= after)
    }
}

/// Watches the agent until `shutdown` begins: tells `told` how it is, and the session whether clients are to be sent here.
pub(crate) async fn watch(
    session: Session,
    pipeline: Pipeline,
    after: Duration,
    told: watch::Sender<Unwell>,
    shutdown: Shutdown,
) {
    let pause = (after / 5).clamp(Duration::from_millis(20), Duration::from_secs(1));
    let ticks = async {
        loop {
            let signs = Signs {
                uploads_failing: pipeline.failing_for(),
                log_unreached: session.replica().unreached_for(),
            };
            count(&session, signs);
            session.set_unwell(signs.is_unable_to_write(after));
            told.send_if_modified(|now| {
                let unwell = signs.judge(after);
                let is_news = *now != unwell;
                *now = unwell;
                is_news
            });
            tokio::time::sleep(pause).await;
        }
    };
    let _: Option<()> = shutdown.unless_begun(ticks).await;
}

fn count(session: &Session, signs: Signs) {
    let failing = signs.uploads_failing.unwrap_or_default();
    metrics::gauge!(names::UPLOADS_FAILING_SECONDS.name).set(failing.as_secs_f64());
    let unreached = signs.log_unreached.as_secs_f64();
    metrics::gauge!(names::METADATA_UNREACHED_SECONDS.name).set(unreached);
    let doubtful = session.doubtful();
    let nodes = session
        .replica()
        .read(|state| topology::nodes_but(state, &doubtful));
    for (shown, steered_away) in [("yes", false), ("no", true)] {
        let agents = nodes.iter().filter(|node| node.draining == steered_away);
        metrics::gauge!(names::AGENTS.name, "shown" => shown).set(agents.count() as f64);
    }
}

/// Keeps the session alive until `shutdown` begins, tells everybody that this agent drains, gives clients `notice` to go
/// elsewhere, and begins `closing`.
pub(crate) async fn announce_end(
    session: Session,
    liveness: LivenessOptions,
    notice: Duration,
    shutdown: Shutdown,
    closing: Shutdown,
) {
    let alive = keep_alive(session.clone(), liveness, shutdown.clone());
    let late = async {
        shutdown.begun().await;
        tokio::time::sleep(ANNOUNCE_WITHIN).await;
    };
    tokio::select! {
        () = alive => {}
        () = late => {}
    }
    shutdown.begun().await;
    if has_others(&session) {
        tokio::time::sleep(notice).await;
    }
    closing.begin();
}

/// Whether there is another agent that clients can go to.
fn has_others(session: &Session) -> bool {
    let doubtful = session.doubtful();
    let nodes = session
        .replica()
        .read(|state| topology::nodes_but(state, &doubtful));
    let own = session.node_id();
    nodes.iter().any(|node| node.id != own && !node.draining)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_unwell_once_a_trouble_has_lasted() {
        let (after, second) = (Duration::from_secs(10), Duration::from_secs(1));
        let signs = Signs {
            uploads_failing: Some(9 * second),
            log_unreached: 9 * second,
        };
        assert_eq!(signs.judge(after), None);
        let cannot_write = Signs {
            uploads_failing: Some(after),
            ..signs
        };
        assert!(cannot_write.is_unable_to_write(after));
        let why = cannot_write.judge(after).unwrap();
        assert!(
            why.contains("written for 10 s") && !why.contains("log"),
            "{why}"
        );
        let cut_off = Signs {
            log_unreached: 12 * second,
            ..cannot_write
        };
        let why = cut_off.judge(after).unwrap();
        assert!(
            why.contains("written") && why.contains("log has not answered for 12 s"),
            "{why}"
        );
    }
}
