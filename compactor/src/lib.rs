//! Background duties on the bucket, under leases and claims. The only code that deletes data (I3).
//!
//! | duty | what it does |
//! |---|---|
//! | [`jobs::layout`] | small objects of many partitions become long runs of each |
//! | [`jobs::merge`] | short runs of a partition become longer ones |
//! | [`cleaning`] | records that newer ones of the same key supersede go, where `cleanup.policy` says compact |
//! | [`retention`] | log start offsets move over what is too old or too much |
//! | [`purge`] | deleted topics go for good, when the time within which they can be undeleted is over |
//! | [`garbage`] | objects that nothing names are deleted, after a grace period |
//! | [`scrub`] | every stored byte is read and verified |
//!
//! Any number of processes may do them at once, and each may be killed anywhere.

pub mod clean;
pub mod cleaning;
pub mod garbage;
pub mod jobs;
pub mod layout;
pub mod metric_definitions;
mod pace;
pub mod policy;
pub mod purge;
pub mod retention;
pub mod rewrite;
pub mod scrub;
mod settings;
mod survey;

use std::time::Duration;

use control_plane::replica::Session;
use runtime::{Rng, SharedClock, Shutdown, Store};

pub use garbage::Collected;
pub use pace::{Budget, Pace};
pub use rewrite::{RewriteError, Rewritten, Tools};
pub use settings::{Config, SETTINGS};
pub use survey::Totals;

/// Clients of the bucket, one for each duty, so that none waits behind another.
#[derive(Clone, Debug)]
pub struct Stores {
    /// For rewriting.
    pub compaction: Store,
    /// For deleting.
    pub garbage: Store,
    /// For verifying.
    pub scrub: Store,
}

/// What the duties are given.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The registration they act under.
    pub session: Session,
    /// The bucket.
    pub stores: Stores,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub rng: Rng,
}

impl Parts {
    /// What rewriting is done with.
    pub fn rewriting(&self, config: &Config) -> Tools {
        Tools {
            session: self.session.clone(),
            store: self.stores.compaction.clone(),
            clock: self.clock.clone(),
            limits: config.limits,
            rng: self.rng.fork("tools"),
            pace: Pace::new(config.budget, self.clock.clone()),
        }
    }

    /// How partitions are cleaned.
    pub fn cleaning(&self, config: &Config) -> cleaning::Options {
        cleaning::Options {
            key_bytes_max: config.key_bytes_max,
            seed: self.rng.u64(),
            defaults: config.defaults.clone(),
        }
    }

    /// What scrubbing is done with.
    pub fn scrubbing(&self, config: &Config) -> Tools {
        Tools {
            store: self.stores.scrub.clone(),
            pace: Pace::new(config.scrub_budget, self.clock.clone()),
            ..self.rewriting(config)
        }
    }
}

/// Does the duties until `shutdown` begins or the session's replica stops.
pub async fn run(config: Config, parts: Parts, shutdown: Shutdown) {
    let work = Work {
        rewriting: parts.rewriting(&config),
        scrubbing: parts.scrubbing(&config),
        config,
        parts,
        shutdown,
    };
    let (often, seldom) = (work.config.interval, work.config.garbage_interval);
    let retention_interval = work.config.retention_interval;
    tokio::join!(
        work.every(often, Duty::Rewrite, "cannot rewrite objects"),
        work.every(retention_interval, Duty::Retain, "cannot apply retention"),
        work.every(seldom, Duty::Collect, "cannot collect garbage"),
        work.every(seldom, Duty::Scrub, "cannot verify objects"),
    );
}

/// What is done again and again.
#[derive(Clone, Copy, Debug)]
enum Duty {
    Rewrite,
    Retain,
    Collect,
    Scrub,
}

struct Work {
    config: Config,
    parts: Parts,
    rewriting: Tools,
    scrubbing: Tools,
    shutdown: Shutdown,
}

impl Work {
    /// Does a duty in these intervals, and says when it fails and when that is over.
    async fn every(&self, interval: Duration, duty: Duty, trouble: &'static str) {
        let trouble = runtime::Trouble::new(trouble, self.parts.clock.clone());
        loop {
            let pause = tokio::time::sleep(self.parts.rng.jitter(interval));
            let slept = self.shutdown.unless_begun(pause).await;
            if slept.is_none() || self.parts.session.replica().failure().is_some() {
                return;
            }
            match self.shutdown.unless_begun(self.pass(duty)).await {
                Some(Ok(())) => trouble.over(),
                Some(Err(error)) => trouble.report(&error),
                None => return,
            }
        }
    }

    /// Rewrites for as long as there is something that is due.
    async fn rewrite_all(&self) -> Result<(), RewriteError> {
        while !self.shutdown.is_begun() {
            let cleaning = self.parts.cleaning(&self.config);
            if rewrite_something(&self.rewriting, &cleaning, false)
                .await?
                .is_none()
            {
                break;
            }
        }
        Ok(())
    }

    async fn pass(&self, duty: Duty) -> Result<(), String> {
        let session = &self.parts.session;
        let text = |error: &dyn std::fmt::Display| error.to_string();
        match duty {
            Duty::Rewrite => {
                survey::publish(session, &self.config);
                self.rewrite_all().await.map_err(|e| text(&e))
            }
            Duty::Retain => {
                let wall_ms = self.parts.clock.wall_ms();
                let done = retention::pass(session, &self.config.defaults, wall_ms).await;
                done.map(|_| ()).map_err(|e| text(&e))
            }
            Duty::Collect => {
                let wall_ms = self.parts.clock.wall_ms();
                purge::pass(session, wall_ms).await.map_err(|e| text(&e))?;
                let done = collect_garbage(&self.config, &self.parts).await;
                done.map(|_| ()).map_err(|e| text(&e))
            }
            Duty::Scrub => {
                let done = scrub::pass(&self.scrubbing, self.config.scrub_period).await;
                done.map(|_| ()).map_err(|e| text(&e))
            }
        }
    }
}

/// The next job, if there is one; `at_once` does not wait for small objects to become many.
async fn rewrite_something(
    tools: &Tools,
    cleaning: &cleaning::Options,
    at_once: bool,
) -> Result<Option<Rewritten>, RewriteError> {
    if let Some(done) = jobs::layout(tools, at_once).await? {
        return Ok(Some(done));
    }
    if let Some(done) = cleaning::clean(tools, cleaning).await? {
        return Ok(Some(done));
    }
    jobs::merge(tools).await
}

/// What a run of all duties to their end did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Partitions that retention shortened.
    pub retained: usize,
    /// Deleted topics that are gone for good.
    pub purged: usize,
    /// What was rewritten.
    pub rewritten: Rewritten,
    /// Objects deleted.
    pub collected: usize,
    /// Objects verified.
    pub scrubbed: scrub::Scrubbed,
}

/// Does every duty until nothing is left to do, and does not wait for small objects to become many.
///
/// # Errors
/// The first failure, in words; what was done stays done.
pub async fn drain(config: &Config, parts: &Parts) -> Result<Drained, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let tools = parts.rewriting(config);
    let mut drained = Drained::default();
    let wall_ms = parts.clock.wall_ms();
    let retained = retention::pass(&parts.session, &config.defaults, wall_ms).await;
    drained.retained = retained.map_err(|e| text(&e))?;
    let purged = purge::pass(&parts.session, wall_ms).await;
    drained.purged = purged.map_err(|e| text(&e))?;
    loop {
        let done = rewrite_something(&tools, &parts.cleaning(config), true).await;
        let Some(done) = done.map_err(|e| text(&e))? else {
            break;
        };
        drained.rewritten.add(done);
    }
    loop {
        let collected = collect_garbage(config, parts).await.map_err(|e| text(&e))?;
        if collected == Collected::default() {
            break;
        }
        drained.collected += collected.objects;
    }
    loop {
        let scrubbed = scrub::pass(&parts.scrubbing(config), config.scrub_period).await;
        let scrubbed = scrubbed.map_err(|e| text(&e))?;
        drained.scrubbed.good += scrubbed.good;
        drained.scrubbed.damaged += scrubbed.damaged;
        if scrubbed.good == 0 {
            break;
        }
    }
    Ok(drained)
}

/// One pass of garbage collection; nothing if another process holds the lease.
///
/// # Errors
/// If the log or the store fails; what is left is found again by the next pass.
pub async fn collect_garbage(config: &Config, parts: &Parts) -> Result<Collected, garbage::Error> {
    garbage::collect(&parts.session, &parts.stores.garbage, config.garbage_grace).await
}
