//! Owns the end of a process: one handle that every task watches, why it ended, and for how long
//! work already accepted may still be finished (the drain).

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::timer_now;

/// How long a shutdown lets accepted work finish unless told otherwise.
pub const DRAIN_DEFAULT: Duration = Duration::from_secs(30);

/// Why a process, or the part of it under one handle, is ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Its owner asked for it.
    Requested,
    /// The operating system delivered the signal of this name.
    Signal(&'static str),
    /// The task of this name failed in a way the process cannot go on from.
    Failed {
        /// The name the task was spawned under.
        task: String,
        /// What went wrong.
        message: String,
    },
}

impl Reason {
    /// What the process should exit with: 0 after an orderly end, 1 after a failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Requested | Self::Signal(_) => 0,
            Self::Failed { .. } => 1,
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Requested => f.write_str("requested"),
            Self::Signal(name) => write!(f, "received {name}"),
            Self::Failed { task, message } => write!(f, "task {task} failed: {message}"),
        }
    }
}

/// A handle on the end of a process or of a part of it. Clones are the same handle.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<Node>);

#[derive(Debug)]
struct Node {
    token: CancellationToken,
    begun: OnceLock<(Reason, Instant)>,
    drain: Duration,
}

impl Shutdown {
    /// A handle whose drain lasts at most `drain`.
    pub fn new(drain: Duration) -> Self {
        Self(Arc::new(Node {
            token: CancellationToken::new(),
            begun: OnceLock::new(),
            drain,
        }))
    }

    /// Begins the end. Only the first call of this or [`Shutdown::begin_because`] counts.
    pub fn begin(&self) {
        self.begin_because(Reason::Requested);
    }

    /// As [`Shutdown::begin`], with the reason kept for [`Shutdown::reason`].
    pub fn begin_because(&self, reason: Reason) {
        if !self.is_begun() {
            let _ = self.0.begun.set((reason, timer_now()));
            self.0.token.cancel();
        }
    }

    /// Returns once the end has begun; at once if it has.
    pub async fn begun(&self) {
        self.0.token.cancelled().await;
    }

    /// Whether the end has begun.
    pub fn is_begun(&self) -> bool {
        self.0.token.is_cancelled()
    }

    /// Why it began.
    pub fn reason(&self) -> Option<Reason> {
        self.0.begun.get().map(|(reason, _)| reason.clone())
    }

    /// When the drain ends, once the shutdown has begun.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.begun.get().map(|(_, at)| *at + self.0.drain)
    }

    /// Returns when the drain is over: the shutdown has begun and its time has passed.
    pub async fn drain_over(&self) {
        self.begun().await;
        if let Some(deadline) = self.deadline() {
            tokio::time::sleep_until(deadline).await;
        }
    }

    /// Runs `work` until it is done or the drain is over, whichever comes first; `None` then.
    pub async fn drained<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.drain_over() => None,
        }
    }

    /// Runs `work` until it is done or the shutdown begins, whichever comes first; `None` then.
    pub async fn unless_begun<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.begun() => None,
            done = work => Some(done),
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new(DRAIN_DEFAULT)
    }
}

/// Begins `shutdown` at the first SIGTERM or SIGINT, and ends at a second one: the process is to
/// exit on the spot then, with the code this gives, 128 plus the signal's number. It wants a task
/// of its own.
///
/// # Errors
/// If the operating system refuses to register the handlers.
#[cfg(unix)]
pub fn signals(shutdown: &Shutdown) -> std::io::Result<impl Future<Output = i32> + Send + use<>> {
    use tokio::signal::unix::{SignalKind, signal};

    // Registered before the future is first polled, so that no signal is lost in between.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = shutdown.clone();
    Ok(async move {
        loop {
            let (name, number) = tokio::select! {
                _ = terminate.recv() => ("SIGTERM", 15),
                _ = interrupt.recv() => ("SIGINT", 2),
            };
            if shutdown.is_begun() {
                tracing::warn!("{name} while shutting down: stopping without draining");
                return 128 + number;
            }
            tracing::info!("{name}: shutting down; a second signal stops without draining");
            shutdown.begin_because(Reason::Signal(name));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_reason_is_kept() {
        let shutdown = Shutdown::new(Duration::from_secs(5));
        assert!(!shutdown.is_begun() && shutdown.reason().is_none());
        let failed = Reason::Failed {
            task: "tail".into(),
            message: "lost".into(),
        };
        shutdown.begin_because(failed.clone());
        shutdown.begin();
        shutdown.begun().await;
        assert_eq!(shutdown.reason(), Some(failed.clone()));
        assert_eq!(failed.exit_code(), 1);
        assert_eq!(Reason::Requested.exit_code(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_drain_ends_when_its_time_has_passed() {
        let shutdown = Shutdown::new(Duration::from_secs(5));
        assert!(shutdown.deadline().is_none());
        let begun = timer_now();
        shutdown.begin();
        let short = shutdown
            .drained(tokio::time::sleep(Duration::from_secs(4)))
            .await;
        assert_eq!(short, Some(()));
        let long = shutdown
            .drained(tokio::time::sleep(Duration::from_secs(4)))
            .await;
        assert_eq!(long, None);
        assert_eq!(timer_now() - begun, Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_left_when_the_shutdown_begins() {
        let shutdown = Shutdown::default();
        assert_eq!(shutdown.unless_begun(async { 7 }).await, Some(7));
        let waiting = shutdown.unless_begun(std::future::pending::<()>());
        let (left, ()) = tokio::join!(waiting, async { shutdown.begin() });
        assert_eq!(left, None);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn sigterm_begins_the_shutdown() {
        let shutdown = Shutdown::default();
        let watching = tokio::spawn(signals(&shutdown).unwrap());
        let signal = rustix::process::Signal::TERM;
        rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
        shutdown.begun().await;
        assert_eq!(shutdown.reason(), Some(Reason::Signal("SIGTERM")));
        watching.abort();
    }

    #[cfg(unix)]
    #[test]
    fn a_second_signal_ends_the_process_on_the_spot() {
        let this = std::env::current_exe().unwrap();
        let status = std::process::Command::new(this)
            .args(["--exact", "shutdown::tests::signalled_twice", "--ignored"])
            .env("SIGNALLED_TWICE", "1")
            .output()
            .unwrap()
            .status;
        assert_eq!(status.code(), Some(128 + 15));
    }

    #[cfg(unix)]
    #[tokio::test]
    #[ignore = "ends its process; run in one of its own by the test before"]
    async fn signalled_twice() {
        if std::env::var_os("SIGNALLED_TWICE").is_none() {
            return;
        }
        let shutdown = Shutdown::default();
        let signals = signals(&shutdown).unwrap();
        tokio::spawn(async { std::process::exit(signals.await) });
        let signal = || {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
        };
        signal().unwrap();
        shutdown.begun().await;
        signal().unwrap();
        std::future::pending::<()>().await;
    }
}
