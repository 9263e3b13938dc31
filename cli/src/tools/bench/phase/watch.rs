//! A phase while it runs: waits for its workers, shows a row each second and keeps it for the plot.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Kind, Left, Run, topics};
use crate::client::OffsetQuery;
use crate::tools::bench::live::{Columns, Live};
use crate::tools::bench::reader::Ends;
use crate::tools::bench::report::Second;
use crate::tools::bench::stats::Gauge;
use crate::tools::{Error, Result};

/// A phase under way.
pub struct Watch {
    /// What it does.
    pub kind: Kind,
    /// When it began, by the clock.
    pub start: Duration,
    /// Its workers.
    pub workers: JoinSet<Left>,
    /// Producers among them.
    pub writing: u32,
    /// Consumers among them, without those that catch up.
    pub reading: u32,
    /// Where partitions end is told here.
    pub ends: watch::Sender<Ends>,
    /// Ends what catches up.
    pub catching_up: CancellationToken,
    /// What the producers did.
    pub out: Gauge,
    /// What the consumers did.
    pub back: Gauge,
    /// What those who catch up did.
    pub old: Gauge,
    /// What was done when.
    pub seconds: Vec<Second>,
    /// The most memory of the broker that was seen, in bytes.
    pub memory_seen: Option<u64>,
    /// When the last record of each of these three went through.
    pub finished: [Duration; 3],
}

impl Run<'_> {
    /// Waits until all have ended.
    pub(super) async fn watch(&mut self, phase: &mut Watch) -> Result<()> {
        let mut live = Live::new(Columns {
            produce: phase.kind.produces(),
            consume: phase.kind.consumes(),
        });
        let mut shown = phase.start;
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.tick().await;
        loop {
            tokio::select! {
                _ = second.tick() => {
                    let now = self.clock.monotonic();
                    phase.show(&mut live, now, now - shown);
                    phase.memory_seen = phase.memory_seen.max(self.target.probe.resident());
                    shown = now;
                }
                left = phase.workers.join_next() => match left {
                    Some(Ok(left)) => self.take(phase, left).await?,
                    Some(Err(error)) => return Err(Error::Failed(format!("a worker: {error}"))),
                    None => break,
                },
            }
        }
        for gauge in [&mut phase.out, &mut phase.back, &mut phase.old] {
            gauge.tick();
        }
        Ok(())
    }

    async fn take(&mut self, phase: &mut Watch, left: Left) -> Result<()> {
        match left {
            Left::Written(written) => {
                phase.finished[0] = phase.finished[0].max(written.finished);
                self.acknowledged.extend(written.acknowledged);
                self.errors.extend(written.error);
                phase.writing -= 1;
                if phase.writing == 0 {
                    let end = OffsetQuery::End;
                    let all = topics::offsets(&self.client, &self.topic, end).await?;
                    let _ = phase.ends.send(Some(all));
                }
            }
            Left::Read(group, read) => {
                phase.finished[1] = phase.finished[1].max(read.finished);
                phase.reading -= 1;
                self.verifiers
                    .entry(group)
                    .or_default()
                    .merge(read.verifier);
                self.failed(read.error);
            }
            Left::CaughtUp(caught_up) => {
                phase.finished[2] = phase.finished[2].max(caught_up.finished);
                let (seen, lost) = (caught_up.verification.seen, caught_up.verification.lost);
                self.caught_up.get_or_insert_default().add(seen, lost);
                self.failed(caught_up.error);
            }
        }
        if phase.writing == 0 && phase.reading == 0 {
            phase.catching_up.cancel();
        }
        Ok(())
    }

    fn failed(&mut self, error: Option<String>) {
        if let Some(error) = error {
            self.errors.push(error);
            self.stop.cancel();
        }
    }
}

impl Watch {
    fn show(&mut self, live: &mut Live, now: Duration, passed: Duration) {
        let (out, back, old) = (self.out.tick(), self.back.tick(), self.old.tick());
        let seconds = passed.as_secs_f64().max(1e-3);
        let at = (now - self.start).as_secs_f64();
        live.show(at, seconds, &out, &back);
        let shown = [
            self.kind.produces().then_some(&out),
            self.kind.consumes().then_some(&back),
            (self.kind == Kind::Beside).then_some(&old),
        ];
        self.seconds.push(Second::new(at, seconds, shown));
    }
}
