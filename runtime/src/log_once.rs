//! Owns saying a thing once: a trouble that lasts is logged when it begins, now and then while it
//! lasts, and when it is over, however often it is met, and also if it comes and goes.

use std::fmt::Display;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::SharedClock;

/// How often a lasting trouble is logged again unless told otherwise.
pub const REPEAT_DEFAULT: Duration = Duration::from_secs(60);

/// A trouble that comes back sooner than this is logged only if it is still there then: one request
/// in ten that fails must not be two lines each time.
const RETURN: Duration = Duration::from_secs(10);

/// One thing that can go wrong for a while, such as a store that does not answer.
#[derive(Debug)]
pub struct Trouble {
    what: &'static str,
    repeat: Duration,
    clock: SharedClock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lasting: Option<Lasting>,
    /// When a line told of it last.
    logged: Option<Duration>,
    /// How often it was met since, unlogged.
    suppressed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Lasting {
    since: Duration,
    /// Whether a line told of it, so that another is to tell of its end.
    told: bool,
}

impl Trouble {
    /// A trouble called `what` in the log, as in "cannot read the metadata log".
    pub fn new(what: &'static str, clock: SharedClock) -> Self {
        Self {
            what,
            repeat: REPEAT_DEFAULT,
            clock,
            state: Mutex::default(),
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
        let lasting = *state.lasting.get_or_insert(Lasting {
            since: now,
            told: false,
        });
        let pause = match lasting.told {
            true => self.repeat,
            false => self.repeat.min(RETURN),
        };
        if state
            .logged
            .is_some_and(|at| now.saturating_sub(at) < pause)
        {
            state.suppressed += 1;
            return;
        }
        let suppressed = std::mem::take(&mut state.suppressed);
        state.logged = Some(now);
        state.lasting = Some(Lasting {
            told: true,
            ..lasting
        });
        drop(state);
        let lasting_s = now.saturating_sub(lasting.since).as_secs();
        match (lasting.told, suppressed) {
            (true, _) => {
                tracing::warn!(%error, suppressed, lasting_s, "still: {}", self.what);
            }
            (false, 0) => tracing::warn!(%error, "{}", self.what),
            (false, _) => tracing::warn!(%error, suppressed, "again: {}", self.what),
        }
    }

    /// It was not met. Logs an INFO if a WARN had told of it.
    pub fn over(&self) {
        let mut state = self.state.lock();
        let Some(lasting) = state.lasting.take().filter(|lasting| lasting.told) else {
            return;
        };
        let suppressed = std::mem::take(&mut state.suppressed);
        drop(state);
        let now = self.clock.monotonic();
        let lasted_s = now.saturating_sub(lasting.since).as_secs();
        tracing::info!(lasted_s, suppressed, "over: {}", self.what);
    }

    /// For how long it has been met, if it was when last heard of.
    pub fn lasting_for(&self) -> Option<Duration> {
        let since = self.state.lock().lasting?.since;
        Some(self.clock.monotonic().saturating_sub(since))
    }

    /// Whether it was met when last heard of.
    pub fn lasts(&self) -> bool {
        self.state.lock().lasting.is_some()
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

    impl Lines {
        fn text(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().clone()).unwrap();
            text.lines().map(|line| line.trim().to_owned()).collect()
        }

        /// Runs with everything that is logged going here.
        fn collect(&self, run: impl FnOnce()) {
            let lines = self.clone();
            let log = tracing_subscriber::fmt()
                .with_writer(move || lines.clone())
                .with_ansi(false)
                .without_time()
                .with_target(false)
                .finish();
            tracing::subscriber::with_default(log, run);
        }
    }

    #[test]
    fn a_trouble_that_comes_and_goes_is_logged_now_and_then() {
        let lines = Lines::default();
        let clock = Arc::new(SimClock::default());
        let trouble = Trouble::new("cannot read", clock.clone());
        lines.collect(|| {
            for _ in 0..25 {
                trouble.report("gone");
                trouble.over();
                clock.jump_monotonic(Duration::from_secs(1));
            }
        });
        let text = lines.text();
        let firsts: Vec<&str> = text.iter().map(|line| &line[..16]).collect();
        let (warn, over) = ("WARN cannot read", "INFO over: canno");
        let again = "WARN again: cann";
        assert_eq!(firsts, [warn, over, again, over, again, over], "{text:?}");
        assert!(text[2].contains("suppressed=9"), "{text:?}");
    }

    #[test]
    fn one_that_comes_back_and_stays_is_logged_soon() {
        let lines = Lines::default();
        let clock = Arc::new(SimClock::default());
        let trouble = Trouble::new("cannot read", clock.clone());
        lines.collect(|| {
            trouble.report("gone");
            trouble.over();
            for _ in 0..12 {
                clock.jump_monotonic(Duration::from_secs(1));
                trouble.report("gone for good");
            }
        });
        let text = lines.text();
        assert_eq!(text.len(), 3, "{text:?}");
        assert!(text[2].starts_with("WARN again: cannot read"), "{text:?}");
    }

    #[test]
    fn a_lasting_trouble_is_logged_once_in_a_while_and_its_end_once() {
        let lines = Lines::default();
        let clock = Arc::new(SimClock::default());
        let trouble = Trouble::new("cannot read", clock.clone());
        let pass = |seconds| clock.jump_monotonic(Duration::from_secs(seconds));
        lines.collect(|| {
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
            pass(10);
            trouble.report("gone again");
        });
        let text = lines.text();
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
