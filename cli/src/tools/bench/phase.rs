//! One run against one broker: its topics and its phases.

mod topics;
mod watch;
mod workers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use runtime::SharedClock;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::watch::Watch;
use super::args::{Args, Mode};
use super::backfill::{Backlog, CatchUp, CaughtUp};
use super::chain::{Acknowledged, Verifier};
use super::probe::{Counters, Probe};
use super::reader::Read;
use super::report::{Cost, FlowReport, PhaseReport, RunReport, Verification};
use super::restart::restart;
use super::stats::Gauge;
use super::writer::Written;
use crate::client::{Client, ConnectionOptions, OffsetQuery, Topic};
use crate::tools::{Error, Result};

/// A broker to measure.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it is.
    pub bootstrap: String,
    /// What restarts it.
    pub restart: Option<String>,
    /// How it is watched.
    pub probe: Probe,
}

/// What is done in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only write.
    Produce,
    /// Only read.
    Consume,
    /// Write, and read what is written.
    Both,
    /// The same while old records are read too.
    Beside,
}

impl Kind {
    /// Whether something is written.
    pub fn produces(self) -> bool {
        self != Self::Consume
    }

    /// Whether what is written is read.
    pub fn consumes(self) -> bool {
        self != Self::Produce
    }

    fn name(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Consume => "consume",
            Self::Both => "produce and consume",
            Self::Beside => "beside catch-up",
        }
    }
}

/// One run.
pub struct Run<'a> {
    args: &'a Args,
    target: Target,
    clock: SharedClock,
    stop: CancellationToken,
    id: u64,
    client: Arc<Client>,
    topic: Topic,
    starts: BTreeMap<i32, i64>,
    backlog: Option<Backlog>,
    acknowledged: Acknowledged,
    retries: u64,
    /// By group.
    verifiers: BTreeMap<usize, Verifier>,
    caught_up: Option<Verification>,
    /// That the broker has had more memory than it says it takes.
    excess: Option<String>,
    errors: Vec<String>,
}

/// What the workers of a phase leave.
enum Left {
    Written(Written),
    Read(usize, Read),
    CaughtUp(CaughtUp),
}

impl<'a> Run<'a> {
    /// Prepares the topic.
    pub async fn open(
        args: &'a Args,
        target: Target,
        clock: SharedClock,
        stop: CancellationToken,
        id: u64,
    ) -> Result<Self> {
        let client = Client::new(&target.bootstrap, ConnectionOptions::default());
        let name = args
            .topic
            .clone()
            .unwrap_or_else(|| format!("millrace-bench-{id:016x}"));
        if args.mode != Mode::Consume {
            topics::create(args, &client, &name).await?;
        }
        let topic = client.topic(&name).await?;
        let starts = topics::offsets(&client, &topic, OffsetQuery::Beginning).await?;
        Ok(Self {
            args,
            target,
            clock,
            stop,
            id,
            client,
            topic,
            starts,
            backlog: None,
            acknowledged: Acknowledged::new(),
            retries: 0,
            verifiers: BTreeMap::new(),
            caught_up: None,
            excess: None,
            errors: Vec::new(),
        })
    }

    /// Runs its phases, and removes the topics if they were made for this run. Gives where the
    /// broker is in the end.
    pub async fn run(mut self) -> Result<(RunReport, Target)> {
        if let Some(bytes) = self.args.backfill {
            self.fill_backlog(bytes).await?;
            self.restart().await?;
        }
        let kinds: &[Kind] = match self.args.mode {
            Mode::Both if self.args.backfill.is_some() => &[Kind::Both, Kind::Beside],
            Mode::Both => &[Kind::Both],
            Mode::Phases => &[Kind::Produce, Kind::Consume],
            Mode::Produce => &[Kind::Produce],
            Mode::Consume => &[Kind::Consume],
        };
        let mut reports = Vec::new();
        for &kind in kinds {
            if kind == Kind::Consume && !reports.is_empty() {
                self.restart().await?;
            }
            reports.push(self.phase(kind).await?);
        }
        if self.args.topic.is_none() && !self.args.keep_topic {
            self.client.delete_topic(&self.topic.name).await?;
            if let Some(backlog) = &self.backlog {
                self.client.delete_topic(&backlog.topic.name).await?;
            }
        }
        let verification = self.verify();
        let of = |verification: &Verification| {
            verification.violations(self.args.idempotent, self.retries)
        };
        let mut violations = verification.as_ref().map_or_else(Vec::new, of);
        let old = self.caught_up.as_ref().map_or_else(Vec::new, of);
        violations.extend(old.into_iter().map(|old| format!("catch-up: {old}")));
        violations.extend(self.excess);
        let report = RunReport {
            bootstrap: self.target.bootstrap.clone(),
            topic: self.topic.name,
            phases: reports,
            verification,
            catch_up_verification: self.caught_up,
            violations,
            errors: self.errors,
        };
        Ok((report, self.target))
    }

    /// All groups together; none if nothing was read.
    fn verify(&self) -> Option<Verification> {
        let promised = self.args.mode != Mode::Consume && self.args.acks.0 != 0;
        let acknowledged =
            promised.then(|| self.acknowledged.values().map(|ranges| ranges.len()).sum());
        let mut all = Verification {
            acknowledged,
            ..Verification::default()
        };
        for verifier in self.verifiers.values() {
            let lost = match promised {
                true => verifier.lost(&self.acknowledged),
                false if self.args.acks.0 == 0 => 0,
                false => verifier.gaps(),
            };
            all.add(verifier.seen(), lost);
        }
        (!self.verifiers.is_empty()).then_some(all)
    }

    /// Restarts the broker, if that is wanted.
    async fn restart(&mut self) -> Result<()> {
        let Some(command) = self.target.restart.clone() else {
            return Ok(());
        };
        restart(&command, &mut self.target).await?;
        self.client = Client::new(&self.target.bootstrap, ConnectionOptions::default());
        Ok(())
    }

    /// Writes what is read beside the rest.
    async fn fill_backlog(&mut self, bytes: u64) -> Result<()> {
        eprintln!("writing what is caught up with");
        let args = self
            .args
            .filling(format!("{}-backlog", self.topic.name), bytes);
        let (clock, stop) = (self.clock.clone(), self.stop.clone());
        let id = self.id.wrapping_add(1 << 32);
        let mut filling = Run::open(&args, self.target.clone(), clock, stop, id).await?;
        filling.phase(Kind::Produce).await?;
        let end = OffsetQuery::End;
        let ends = topics::offsets(&filling.client, &filling.topic, end).await?;
        self.backlog = Some(Backlog {
            topic: filling.topic,
            starts: filling.starts,
            ends,
            acknowledged: Arc::new(filling.acknowledged),
        });
        self.retries += filling.retries;
        self.excess = filling.excess;
        self.errors.extend(filling.errors);
        Ok(())
    }

    async fn phase(&mut self, kind: Kind) -> Result<PhaseReport> {
        let (ends_sender, ends) = tokio::sync::watch::channel(None);
        let (mut out, mut back, mut old) = (Gauge::default(), Gauge::default(), Gauge::default());
        let mut workers = JoinSet::new();
        // Sequence numbers begin anew with each phase, and so does the run that they belong to.
        self.id = self.id.wrapping_add(1);
        let mut producers = Vec::new();
        if kind.produces() {
            self.starts = topics::offsets(&self.client, &self.topic, OffsetQuery::End).await?;
            producers = self.producers().await?;
        }
        let before = self.target.probe.read().await.map_err(Error::Failed)?;
        let start = self.clock.monotonic();
        let (writing, mut reading) = (producers.len() as u32, 0);
        if kind.consumes() {
            let id = kind.produces().then_some(self.id);
            reading = self
                .start_readers(&mut workers, &mut back, &ends, id)
                .await?;
        }
        let catching_up = self.stop.child_token();
        if kind == Kind::Beside {
            self.start_catch_up(&mut workers, &mut old, &catching_up);
        }
        if kind.produces() {
            self.start_writers(&mut workers, &mut out, producers, (self.id, start))?;
        } else {
            let ends = topics::offsets(&self.client, &self.topic, OffsetQuery::End).await?;
            let _ = ends_sender.send(Some(ends));
        }
        let mut watch = Watch {
            kind,
            start,
            workers,
            writing,
            reading,
            ends: ends_sender,
            catching_up,
            out,
            back,
            old,
            seconds: Vec::new(),
            memory_seen: self.target.probe.resident(),
            finished: [start; 3],
        };
        self.watch(&mut watch).await?;
        if !self.args.settle.is_zero() && !self.stop.is_cancelled() {
            tokio::time::sleep(self.args.settle).await;
        }
        self.retries += watch.out.total().retries;
        let after = self.target.probe.read().await.map_err(Error::Failed)?;
        if self.excess.is_none() {
            let name = kind.name();
            self.excess = after
                .memory
                .excess()
                .map(|excess| format!("{name}: {excess}"));
        }
        watch.memory_seen = watch.memory_seen.max(self.target.probe.resident());
        let counters = after.since(&before, watch.memory_seen);
        Ok(self.report(watch, counters))
    }

    fn report(&self, watch: Watch, counters: Counters) -> PhaseReport {
        let of = |shown: bool, gauge: &Gauge, finished: Duration| {
            let passed = finished.saturating_sub(watch.start).as_secs_f64();
            shown.then(|| FlowReport::new(gauge.total(), passed))
        };
        let kind = watch.kind;
        let bytes = match kind.produces() {
            true => watch.out.total().bytes,
            false => watch.back.total().bytes,
        };
        let [written, read, caught_up] = watch.finished;
        let mut report = PhaseReport {
            phase: kind.name(),
            produced: of(kind.produces(), &watch.out, written),
            consumed: of(kind.consumes(), &watch.back, read),
            caught_up: of(kind == Kind::Beside, &watch.old, caught_up),
            cost: Cost::new(counters, bytes, &self.args.prices),
            end_to_end: None,
            seconds: watch.seconds,
        };
        report.judge_latency();
        report
    }

    fn start_catch_up(
        &self,
        workers: &mut JoinSet<Left>,
        old: &mut Gauge,
        stop: &CancellationToken,
    ) {
        let Some(backlog) = &self.backlog else { return };
        let readers = (self.args.backfill_readers as usize).min(backlog.starts.len());
        for number in 0..readers {
            let catch_up = CatchUp {
                bootstrap: self.target.bootstrap.clone(),
                args: self.args.clone(),
                backlog: backlog.of_one(number, readers),
                meter: old.meter(),
                clock: self.clock.clone(),
                stop: stop.clone(),
            };
            workers.spawn(async move { Left::CaughtUp(catch_up.run().await) });
        }
    }
}
