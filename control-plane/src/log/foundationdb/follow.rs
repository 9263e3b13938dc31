//! The task that keeps the tail: it reads what was committed as soon as somebody asks for it, a watch fires, or a second
//! has passed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::database::{Answer, Watch};
use super::scan::{self, Scan};

/// How many may wait for the tail before others wait for a place among them.
pub(super) const REQUESTS_MAX: usize = 1_024;

/// First pause after a failure; doubled up to a hundred times itself.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// How far the tail is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Goal {
    /// Through what was committed at this version.
    Version(i64),
    /// Through everything that was committed when this was asked for.
    Now,
}

/// Somebody who waits for the tail.
pub(super) struct Request {
    pub goal: Goal,
    pub reply: oneshot::Sender<Answer<()>>,
}

/// Keeps the tail until nobody can ask any more.
pub(super) async fn follow(shared: Arc<Shared>, mut requests: mpsc::Receiver<Request>) {
    let mut watch: Option<Watch> = None;
    let mut failures = 0u32;
    loop {
        let pause = match failures {
            0 if watch.is_some() => shared.options.poll_interval,
            n => shared.rng.jitter(RETRY_PAUSE * 2u32.pow(n.min(6))),
        };
        let mut waiting = Vec::new();
        tokio::select! {
            asked = requests.recv() => match asked {
                Some(request) => waiting.push(request),
                None => return,
            },
            () = fired(&mut watch) => {}
            () = shared.hinted.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
        while let Ok(request) = requests.try_recv() {
            waiting.push(request);
        }
        let known = shared.tail.lock().version();
        let goal = waiting.iter().map(|r| r.goal).max().unwrap_or(Goal::Now);
        let done = match goal {
            Goal::Version(version) if version <= known => Ok(()),
            goal => advance(&shared, goal, &mut watch).await,
        };
        match &done {
            Ok(()) => failures = 0,
            Err(error) => {
                failures = failures.saturating_add(1);
                watch = None;
                tracing::debug!(%error, "the tail of the metadata log cannot be read");
            }
        }
        shared.announce(done.as_ref().err());
        for request in waiting {
            let _ = request.reply.send(done.clone());
        }
    }
}

/// Returns when the watch fires, at once if there is none to wait for and never twice for one.
async fn fired(watch: &mut Option<Watch>) {
    match watch {
        Some(armed) => {
            let ended = armed.await;
            *watch = None;
            if let Err(error) = ended {
                // Too many watches, or the cluster is gone: the next reading tries anew, and meanwhile time does it.
                tracing::debug!(%error, "a watch on the metadata log failed");
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

/// Reads the tail up to `goal`, and sees to it that a watch is set from there on.
async fn advance(shared: &Shared, goal: Goal, watch: &mut Option<Watch>) -> Answer<()> {
    let client = &shared.client;
    let transaction = client.begin()?;
    let version = match goal {
        Goal::Version(version) => {
            transaction.read_at(version);
            version
        }
        Goal::Now => client.call(transaction.read_version()).await?,
    };
    let end = shared.tail.lock().end();
    if version < end.stamp.version() {
        return Err(super::younger(version, end.stamp));
    }
    // Set before anything is read, and from the same version on: nothing falls between the two.
    let armed = watch
        .is_none()
        .then(|| transaction.watch(&client.keys.bell()));
    let base = scan::base(client, &*transaction, true).await?;
    shared.tail.lock().trimmed(base);
    let from = shared.tail.lock().end();
    let mut scan = Scan::new(client, &*transaction, from.stamp);
    while let Some(entries) = scan.next().await? {
        let mut tail = shared.tail.lock();
        entries.into_iter().for_each(|entry| tail.push(entry));
    }
    drop(scan);
    shared.tail.lock().reached(version);
    if let Some(armed) = armed {
        client.call(transaction.commit()).await?;
        *watch = Some(armed);
    }
    Ok(())
}
