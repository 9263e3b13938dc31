//! Owns repeating a request within a budget of time.

use std::future::Future;
use std::time::Duration;

use object_store::Error;

use super::errors::{is_retryable, is_throttle};
use crate::clock::timer_now;
use crate::metric_definitions::STORE_RETRIES;
use crate::rng::Rng;

/// How long, and how patiently, a request is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// About the first pause; each following is about twice the one before.
    pub pause_first: Duration,
    /// About the longest pause.
    pub pause_max: Duration,
    /// No attempt is begun later than this after the first. An attempt under way is not cut short:
    /// that is what the request timeout of the store is for.
    pub budget: Duration,
}

impl RetryPolicy {
    /// For what a client waits for.
    pub const FOREGROUND: Self = Self {
        pause_first: Duration::from_millis(25),
        pause_max: Duration::from_secs(1),
        budget: Duration::from_secs(10),
    };

    /// For work nobody waits for.
    pub const BACKGROUND: Self = Self {
        pause_first: Duration::from_millis(200),
        pause_max: Duration::from_secs(10),
        budget: Duration::from_secs(60),
    };

    /// About how long to wait after the failure of attempt `attempt` (from 0). A store that asks
    /// for fewer requests is given four times as long.
    fn pause(&self, attempt: u32, throttled: bool) -> Duration {
        let doubled = self
            .pause_first
            .saturating_mul(2u32.saturating_pow(attempt));
        let patience = if throttled { 4 } else { 1 };
        doubled.saturating_mul(patience).min(self.pause_max)
    }
}

/// Repeats `request` until it succeeds, fails for good, or the budget is used up; its last error
/// then. Only for requests that may be repeated: see the note on `AlreadyExists` in
/// [`store`](super).
///
/// # Errors
/// What the last attempt returned.
pub async fn retry<T, F>(
    policy: &RetryPolicy,
    rng: &Rng,
    mut request: impl FnMut() -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let last_start = timer_now() + policy.budget;
    let mut attempt = 0;
    loop {
        let error = match request().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let throttled = is_throttle(&error);
        let pause = rng.jitter(policy.pause(attempt, throttled));
        if !is_retryable(&error) || timer_now() + pause > last_start {
            return Err(error);
        }
        let reason = if throttled { "throttled" } else { "failed" };
        metrics::counter!(STORE_RETRIES.name, "reason" => reason).increment(1);
        tracing::debug!(%error, attempt, ?pause, "repeating a request to the store");
        tokio::time::sleep(pause).await;
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn failing(status: &str) -> Error {
        let source = format!("Server returned non-2xx status code: {status}: ");
        Error::Generic {
            store: "S3",
            source: source.into(),
        }
    }

    async fn run(policy: RetryPolicy, succeed_at: u32, status: &str) -> (bool, u32, Duration) {
        let (began, attempts, rng) = (timer_now(), Cell::new(0), Rng::from_seed(7));
        let done = retry(&policy, &rng, || {
            attempts.set(attempts.get() + 1);
            let done = attempts.get() >= succeed_at;
            async move { if done { Ok(()) } else { Err(failing(status)) } }
        });
        let succeeded = done.await.is_ok();
        (succeeded, attempts.get(), timer_now() - began)
    }

    #[tokio::test(start_paused = true)]
    async fn a_passing_failure_is_repeated_until_it_succeeds() {
        let (succeeded, attempts, _) = run(RetryPolicy::FOREGROUND, 4, "500 Internal").await;
        assert_eq!((succeeded, attempts), (true, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lasting_failure_is_returned_at_once() {
        let (succeeded, attempts, took) = run(RetryPolicy::FOREGROUND, 4, "400 Bad Request").await;
        assert_eq!((succeeded, attempts, took), (false, 1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_ends_it() {
        let policy = RetryPolicy {
            budget: Duration::from_secs(3),
            ..RetryPolicy::FOREGROUND
        };
        let (succeeded, attempts, took) = run(policy, u32::MAX, "500 Internal").await;
        assert!(!succeeded && took <= policy.budget, "{took:?}");
        assert!((4..20).contains(&attempts), "{attempts}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttling_store_is_given_more_time() {
        let (_, _, failed) = run(RetryPolicy::FOREGROUND, 4, "500 Internal").await;
        let (_, _, throttled) = run(RetryPolicy::FOREGROUND, 4, "503 Slow Down").await;
        assert!(throttled > failed * 2, "{throttled:?} {failed:?}");
    }
}
