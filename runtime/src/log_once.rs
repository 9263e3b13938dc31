//! Owns saying a thing once: a trouble that lasts is logged when it begins, now and then while it
//! lasts, and when it is over, however often it is met.

use std::fmt::Display;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::SharedClock;

/// How often a lasting trouble is logged again unless told otherwise.
pub const REPEAT_DEFAULT: Duration = Duration::from_secs(60);

/// One thing that can go wrong for a while, such as a store that does not answer.
#[derive(Debug)]
pub struct Trouble {
    what: &'static str,
    repeat: Duration,
    clock: SharedClock,
    state: Mutex<Option<Lasting>>,
}

#[derive(Debug)]
struct Lasting {
    since: Duration,
    logged: Duration,
    suppressed: u64,
}

impl Trouble {
    /// A trouble called `what` in the log, as in "cannot read the metadata log".
    pub fn new(what: &'static str, clock: SharedClock) -> Self {
        Self {
            what,
            repeat: REPEAT_DEFAULT,
            clock,
            state: Mutex::new(None),
        }
    }

    /// Logged again after `repeat` while it lasts.
    #[must_use]
    pub fn repeated_every(mut self, repeat: Duration) -> Self {
        self.repeat = repeat;
        self
    }

    /// It was met, as `error`. Logs a WARN at first, and then at most once in the time of
    /// repetition, with how often it was met unlogged in between.
    pub fn report(&self, error: &(impl Display + ?Sized)) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        let Some(lasting) = state.as_mut() else {
            *state = Some(Lasting {
                since: now,
                logged: now,
                suppressed: 0,
            });
            drop(state);
            tracing::warn!(%error, "{}", self.what);
            return;
        };
        if now.saturating_sub(lasting.logged) < self.repeat {
            lasting.suppressed += 1;
            return;
        }
        let suppressed = std::mem::take(&mut lasting.suppressed);
        let lasting_s = now.saturating_sub(lasting.since).as_secs();
        lasting.logged = now;
        drop(state);
        tracing::warn!(%error, suppressed, lasting_s, "still: {}", self.what);
    }

    /// It was not met. Logs an INFO if it had been.
    pub fn over(&self) {
        let Some(lasting) = self.state.lock().take() else {
            return;
        };
        let lasted_s = self
            .clock
            .monotonic()
            .saturating_sub(lasting.since)
            .as_secs();
        tracing::info!(
            lasted_s,
            suppressed = lasting.suppressed,
            "over: {}",
            self.what
        );
    }

    /// Whether it was met when last heard of.
    pub fn lasts(&self) -> bool {
        self.state.lock().is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use super::*;
    use crate::clock::SimClock;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_lasting_trouble_is_logged_once_in_a_while_and_its_end_once() {
        let lines = Lines::default();
        let written = lines.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || written.clone())
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .finish();
        let clock = Arc::new(SimClock::default());
        let trouble = Trouble::new("cannot read", clock.clone());
        let pass = |seconds| clock.jump_monotonic(Duration::from_secs(seconds));
        tracing::subscriber::with_default(log, || {
            trouble.over();
            for _ in 0..59 {
                trouble.report("gone");
                pass(1);
            }
            assert!(trouble.lasts());
            pass(2);
            trouble.report("still gone");
            trouble.over();
            trouble.over();
            trouble.report("gone again");
        });
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        let text: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(text.len(), 4, "{text:?}");
        assert_eq!(text[0], "WARN cannot read error=gone");
        assert!(text[1].starts_with("WARN still: cannot read"), "{text:?}");
        assert!(
            text[1].contains("still gone") && text[1].contains("suppressed=58"),
            "{text:?}"
        );
        assert!(text[2].starts_with("INFO over: cannot read"), "{text:?}");
        assert_eq!(text[3], "WARN cannot read error=gone again");
    }
}
