//! Decides between the owner of a block and the bucket: the owner is asked, the bucket too once that takes longer than it
//! nearly always does, and the first that has the block wins. The loser is dropped, and so cancelled.

use std::time::Duration;

use tokio::time::timeout;

use super::connection::AskError;

/// How the owner fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fared {
    /// The block is from it.
    Lent,
    /// The bucket was faster.
    Outrun,
    /// It did not give the block.
    Refused(AskError),
}

/// How long the owner is waited for alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From here on, if a second request may be made.
    pub soft: Option<Duration>,
    /// From here on in any case.
    pub hard: Duration,
}

/// Gives the block of `asked` or of `from_bucket`. `may_hurry` says whether the bucket may be read before the hard limit.
///
/// # Errors
/// Those of the bucket, if the owner does not give the block either.
pub(super) async fn race<T, E>(
    asked: impl Future<Output = Result<T, AskError>>,
    from_bucket: impl Future<Output = Result<T, E>>,
    patience: Patience,
    may_hurry: impl FnOnce() -> bool,
) -> (Fared, Result<T, E>) {
    tokio::pin!(asked, from_bucket);
    let Patience { soft, hard } = patience;
    let first = soft.unwrap_or(hard).min(hard);
    let mut answer = timeout(first, &mut asked).await.ok();
    if answer.is_none() && first < hard && !may_hurry() {
        answer = timeout(hard - first, &mut asked).await.ok();
    }
    if let Some(answer) = answer {
        return match answer {
            Ok(block) => (Fared::Lent, Ok(block)),
            Err(error) => (Fared::Refused(error), from_bucket.await),
        };
    }
    let read = tokio::select! {
        answer = &mut asked => match answer {
            Ok(block) => return (Fared::Lent, Ok(block)),
            Err(error) => return (Fared::Refused(error), from_bucket.await),
        },
        read = &mut from_bucket => read,
    };
    if read.is_ok() {
        return (Fared::Outrun, read);
    }
    // The bucket has failed, after all its tries: the owner may still have the block in memory.
    match timeout(hard, asked).await {
        Ok(Ok(block)) => (Fared::Lent, Ok(block)),
        Ok(Err(error)) => (Fared::Refused(error), read),
        Err(_) => (Fared::Outrun, read),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use runtime::{Clock, SimClock};

    use super::*;

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// What the owner and the bucket say after how many milliseconds.
    struct Case {
        owner: (u64, Result<&'static str, AskError>),
        bucket: (u64, Result<&'static str, &'static str>),
        may_hurry: bool,
    }

    const USUAL: Case = Case {
        owner: (19, Ok("owner")),
        bucket: (30, Ok("bucket")),
        may_hurry: true,
    };

    /// What comes of it, after how many milliseconds, and how often the bucket was read.
    async fn run(case: Case) -> (Fared, Result<&'static str, &'static str>, u128, u32) {
        let reads = AtomicU32::new(0);
        let asked = async {
            tokio::time::sleep(millis(case.owner.0)).await;
            case.owner.1
        };
        let from_bucket = async {
            reads.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(millis(case.bucket.0)).await;
            case.bucket.1
        };
        let patience = Patience {
            soft: Some(millis(20)),
            hard: millis(1_000),
        };
        let clock = SimClock::default();
        let (fared, read) = race(asked, from_bucket, patience, || case.may_hurry).await;
        let took = clock.monotonic().as_millis();
        (fared, read, took, reads.load(Ordering::SeqCst))
    }

    #[tokio::test(start_paused = true)]
    async fn a_quick_owner_costs_no_get() {
        assert_eq!(run(USUAL).await, (Fared::Lent, Ok("owner"), 19, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_owner_is_outrun_and_one_a_little_slow_still_wins() {
        for (owner, expected) in [
            (500, (Fared::Outrun, Ok("bucket"), 50, 1)),
            (40, (Fared::Lent, Ok("owner"), 40, 1)),
        ] {
            let case = Case {
                owner: (owner, Ok("owner")),
                ..USUAL
            };
            assert_eq!(run(case).await, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_leave_the_bucket_is_read_at_the_hard_limit() {
        for (owner, expected) in [
            (500, (Fared::Lent, Ok("owner"), 500, 0)),
            (5_000, (Fared::Outrun, Ok("bucket"), 1_030, 1)),
        ] {
            let case = Case {
                owner: (owner, Ok("owner")),
                may_hurry: false,
                ..USUAL
            };
            assert_eq!(run(case).await, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_that_refuses_is_not_waited_for() {
        for (after, took) in [(2, 32), (40, 50)] {
            let case = Case {
                owner: (after, Err(AskError::Busy)),
                ..USUAL
            };
            let refused = Fared::Refused(AskError::Busy);
            assert_eq!(run(case).await, (refused, Ok("bucket"), took, 1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_that_fails_leaves_the_owner_its_chance() {
        let case = Case {
            owner: (300, Ok("owner")),
            bucket: (30, Err("down")),
            ..USUAL
        };
        assert_eq!(run(case).await, (Fared::Lent, Ok("owner"), 300, 1));
        let case = Case {
            owner: (9_000, Ok("owner")),
            bucket: (30, Err("down")),
            ..USUAL
        };
        assert_eq!(run(case).await, (Fared::Outrun, Err("down"), 1_050, 1));
    }
}
