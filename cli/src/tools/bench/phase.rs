//! One run against one broker: its topic, its phases, its workers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use runtime::SharedClock;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::args::{Args, Mode, Rate};
use super::chain::{Acknowledged, Verifier};
use super::live::{Columns, Live};
use super::probe::Probe;
use super::reader::{Ends, Read, Reader};
use super::report::{Cost, FlowReport, PhaseReport, RunReport, Verification};
use super::stats::{Gauge, Meter};
use super::template::Template;
use super::writer::{Budget, Pacer, Writer, Written};
use crate::client::{Client, ConnectionOptions, Fetcher, NewTopic, OffsetQuery, Producer, Topic};
use crate::tools::{Error, Result};

/// A broker to measure.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it is.
    pub bootstrap: String,
    /// How it is watched.
    pub probe: Probe,
}

/// One run.
pub struct Run<'a> {
    args: &'a Args,
    target: &'a Target,
    clock: SharedClock,
    stop: CancellationToken,
    id: u64,
    client: Arc<Client>,
    topic: Topic,
    starts: BTreeMap<i32, i64>,
    acknowledged: Acknowledged,
    retries: u64,
    verifier: Option<Verifier>,
    errors: Vec<String>,
}

/// What the workers of a phase leave.
enum Left {
    Written(Written),
    Read(Read),
}

impl<'a> Run<'a> {
    /// Prepares the topic.
    pub async fn open(
        args: &'a Args,
        target: &'a Target,
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
            create_topic(args, &client, &name).await?;
        }
        let topic = client.topic(&name).await?;
        let from = match args.mode {
            Mode::Consume => OffsetQuery::Beginning,
            _ => OffsetQuery::End,
        };
        let starts = offsets(&client, &topic, from).await?;
        Ok(Self {
            args,
            target,
            clock,
            stop,
            id,
            client,
            topic,
            starts,
            acknowledged: Acknowledged::new(),
            retries: 0,
            verifier: None,
            errors: Vec::new(),
        })
    }

    /// Runs its phases, and removes the topic if it was made for this run.
    pub async fn run(mut self) -> Result<RunReport> {
        let phases: &[(bool, bool)] = match self.args.mode {
            Mode::Both => &[(true, true)],
            Mode::Phases => &[(true, false), (false, true)],
            Mode::Produce => &[(true, false)],
            Mode::Consume => &[(false, true)],
        };
        let mut reports = Vec::new();
        for &(produce, consume) in phases {
            reports.push(self.phase(Columns { produce, consume }).await?);
        }
        if self.args.topic.is_none() && !self.args.keep_topic {
            self.client.delete_topic(&self.topic.name).await?;
        }
        let verification = self.verifier.as_ref().map(|verifier| self.verify(verifier));
        let violations = verification
            .as_ref()
            .map(|verification| verification.violations(self.args.idempotent, self.retries));
        Ok(RunReport {
            bootstrap: self.target.bootstrap.clone(),
            topic: self.topic.name,
            phases: reports,
            verification,
            violations: violations.unwrap_or_default(),
            errors: self.errors,
        })
    }

    fn verify(&self, verifier: &Verifier) -> Verification {
        let promised = self.args.mode != Mode::Consume && self.args.acks.0 != 0;
        let acknowledged =
            promised.then(|| self.acknowledged.values().map(|ranges| ranges.len()).sum());
        let lost = match promised {
            true => verifier.lost(&self.acknowledged),
            false if self.args.acks.0 == 0 => 0,
            false => verifier.gaps(),
        };
        Verification::new(verifier.seen(), acknowledged, lost)
    }

    async fn phase(&mut self, columns: Columns) -> Result<PhaseReport> {
        let (mut out, mut back) = (Gauge::default(), Gauge::default());
        let (ends_sender, ends) = watch::channel(None);
        let mut workers = JoinSet::new();
        let producers = match columns.produce {
            true => self.producers(&mut out).await?,
            false => Vec::new(),
        };
        let before = self.target.probe.read().await.map_err(Error::Failed)?;
        let start = self.clock.monotonic();
        if columns.consume {
            self.start_readers(&mut workers, &mut back, ends, columns.produce)
                .await?;
        }
        if columns.produce {
            self.start_writers(&mut workers, producers, start);
        } else {
            let ends = offsets(&self.client, &self.topic, OffsetQuery::End).await?;
            let _ = ends_sender.send(Some(ends));
        }
        let finished = self.watch(columns, workers, (&mut out, &mut back), &ends_sender, start);
        let finished = finished.await?;
        let after = self.target.probe.read().await.map_err(Error::Failed)?;
        self.retries += out.total().retries;
        let report = |shown: bool, gauge: &Gauge, at: Duration| {
            shown.then(|| FlowReport::new(gauge.total(), at.saturating_sub(start).as_secs_f64()))
        };
        let bytes = if columns.produce {
            out.total().bytes
        } else {
            back.total().bytes
        };
        Ok(PhaseReport {
            phase: match (columns.produce, columns.consume) {
                (true, true) => "produce and consume",
                (true, false) => "produce",
                _ => "consume",
            },
            produced: report(columns.produce, &out, finished.0),
            consumed: report(columns.consume, &back, finished.1),
            cost: Cost::new(after.since(&before), bytes, &self.args.prices),
        })
    }

    /// Waits for the workers, showing a row each second. Gives when the last record was
    /// acknowledged, and when it came back.
    async fn watch(
        &mut self,
        columns: Columns,
        mut workers: JoinSet<Left>,
        (out, back): (&mut Gauge, &mut Gauge),
        ends: &watch::Sender<Ends>,
        start: Duration,
    ) -> Result<(Duration, Duration)> {
        let mut live = Live::new(columns);
        let mut finished = (start, start);
        let mut shown = start;
        let mut writing = if columns.produce {
            self.args.producers
        } else {
            0
        };
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.tick().await;
        loop {
            tokio::select! {
                _ = second.tick() => {
                    let now = self.clock.monotonic();
                    let (out, back) = (out.tick(), back.tick());
                    let seconds = (now - shown).as_secs_f64().max(1e-3);
                    live.show((now - start).as_secs_f64(), seconds, &out, &back);
                    shown = now;
                }
                left = workers.join_next() => match left {
                    Some(Ok(Left::Written(written))) => {
                        finished.0 = finished.0.max(written.finished);
                        self.acknowledged.extend(written.acknowledged);
                        self.errors.extend(written.error);
                        writing -= 1;
                        if writing == 0 {
                            let all = offsets(&self.client, &self.topic, OffsetQuery::End).await?;
                            let _ = ends.send(Some(all));
                        }
                    }
                    Some(Ok(Left::Read(read))) => {
                        finished.1 = finished.1.max(read.finished);
                        self.verifier.get_or_insert_default().merge(read.verifier);
                        if let Some(error) = read.error {
                            self.errors.push(error);
                            self.stop.cancel();
                        }
                    }
                    Some(Err(error)) => return Err(Error::Failed(format!("a worker: {error}"))),
                    None => break,
                },
            }
        }
        out.tick();
        back.tick();
        Ok(finished)
    }

    async fn producers(
        &self,
        out: &mut Gauge,
    ) -> Result<Vec<(Producer<super::writer::Sent>, Meter)>> {
        let mut producers = Vec::new();
        for _ in 0..self.args.producers {
            let client = Client::new(&self.target.bootstrap, ConnectionOptions::default());
            let options = self.args.producer_options();
            let clock = self.clock.clone();
            let producer = Producer::open(client, clock, &self.topic.name, options).await?;
            producers.push((producer, out.meter()));
        }
        Ok(producers)
    }

    fn start_writers(
        &self,
        workers: &mut JoinSet<Left>,
        producers: Vec<(Producer<super::writer::Sent>, Meter)>,
        start: Duration,
    ) {
        let args = self.args;
        let mut budget = None;
        for (number, (producer, meter)) in (0..).zip(producers) {
            let (record, batch) = (args.record_size as usize, args.batch_bytes as usize);
            let template = Template::new(self.id, number, record, batch, args.compression);
            let Ok(template) = template else { continue };
            let budget = budget.get_or_insert_with(|| {
                let batches = args
                    .bytes
                    .map(|bytes| bytes.div_ceil(template.value_bytes() as u64));
                Arc::new(Budget {
                    batches: batches.map(|batches| AtomicI64::new(batches as i64)),
                    until: args.time_limit().map(|limit| start + limit),
                    stop: self.stop.clone(),
                })
            });
            let interval = match args.rate {
                Rate::Max => None,
                Rate::BytesPerSecond(rate) => {
                    let each = rate / f64::from(args.producers);
                    Some(Duration::from_secs_f64(
                        template.value_bytes() as f64 / each,
                    ))
                }
            };
            let per_request = args.request_bytes as usize / template.batch_bytes().max(1);
            let writer = Writer {
                number,
                run: self.id,
                producer,
                batches_per_request: per_request.max(1),
                pacer: Pacer::new(interval, start),
                budget: Arc::clone(budget),
                meter,
                clock: self.clock.clone(),
                promised: args.acks.0 != 0,
                template,
            };
            workers.spawn(async move { Left::Written(writer.run().await) });
        }
    }

    async fn start_readers(
        &self,
        workers: &mut JoinSet<Left>,
        back: &mut Gauge,
        ends: watch::Receiver<Ends>,
        producing: bool,
    ) -> Result<()> {
        let readers = (self.args.consumers as usize).min(self.starts.len());
        for number in 0..readers {
            let mine = self.starts.iter().skip(number).step_by(readers);
            let positions = mine
                .map(|(&partition, &offset)| (partition, offset))
                .collect();
            let client = Client::new(&self.target.bootstrap, ConnectionOptions::default());
            let topic = client.topic(&self.topic.name).await?;
            let options = self.args.fetch_options();
            let reader = Reader {
                fetcher: Fetcher::new(client, topic, positions, options),
                ends: ends.clone(),
                meter: back.meter(),
                clock: self.clock.clone(),
                run: producing.then_some(self.id),
            };
            workers.spawn(async move { Left::Read(reader.run().await) });
        }
        Ok(())
    }
}

/// Creates the topic unless it is there.
async fn create_topic(args: &Args, client: &Client, name: &str) -> Result<()> {
    // SUBTLE: asking for a topic by name may create it; the list of all topics does not.
    if client
        .metadata(None)
        .await?
        .topics
        .iter()
        .any(|topic| topic.name == name)
    {
        return Ok(());
    }
    let new = NewTopic {
        name: name.to_owned(),
        partitions: args.partitions,
        replication: -1,
        configs: args.configs.clone(),
        validate_only: false,
    };
    client.create_topic(&new).await?;
    Ok(())
}

async fn offsets(client: &Client, topic: &Topic, query: OffsetQuery) -> Result<BTreeMap<i32, i64>> {
    let partitions: Vec<i32> = topic
        .partitions
        .iter()
        .map(|partition| partition.index)
        .collect();
    let listed = client.offsets(&topic.name, &partitions, query).await?;
    Ok(listed
        .into_iter()
        .map(|(partition, listed)| (partition, listed.offset))
        .collect())
}
