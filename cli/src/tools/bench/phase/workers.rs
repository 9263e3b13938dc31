//! Producers and consumers of a phase, each with connections of its own.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use futures::stream::{StreamExt, TryStreamExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Left, Run};
use crate::client::{Client, ConnectionOptions, Fetcher, Producer};
use crate::tools::bench::reader::{Ends, Reader};
use crate::tools::bench::stats::Gauge;
use crate::tools::bench::template::Template;
use crate::tools::bench::writer::{Budget, Pacer, Sent, Writer};
use crate::tools::{Error, Result};

/// Producers that connect at the same time.
const OPENING_MAX: usize = 32;

impl Run<'_> {
    pub(super) async fn producers(&self) -> Result<Vec<Producer<Sent>>> {
        let open = |_| async {
            let client = Client::new(&self.target.bootstrap, ConnectionOptions::default());
            let options = self.args.producer_options();
            Producer::open(client, self.clock.clone(), &self.topic.name, options).await
        };
        let producers = futures::stream::iter(0..self.args.producers).map(open);
        Ok(producers.buffered(OPENING_MAX).try_collect().await?)
    }

    pub(super) fn start_writers(
        &self,
        workers: &mut JoinSet<Left>,
        out: &mut Gauge,
        producers: Vec<Producer<Sent>>,
        (id, start): (u64, Duration),
    ) -> Result<()> {
        let args = self.args;
        let mut budget = None;
        for (number, producer) in (0..).zip(producers) {
            let (record, batch) = (args.record_size as usize, args.batch_bytes as usize);
            let template = Template::new(id, number, record, batch, args.compression);
            let template = template.map_err(Error::Failed)?;
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
            let rate = args.rate.of_one(args.producers);
            let interval =
                rate.map(|rate| Duration::from_secs_f64(template.value_bytes() as f64 / rate));
            // They do not all send at the same moment.
            let turn = f64::from(number) / f64::from(args.producers);
            let first = start + interval.unwrap_or_default().mul_f64(turn);
            let per_request = args.request_bytes as usize / template.batch_bytes().max(1);
            let writer = Writer {
                number,
                run: id,
                producer,
                batches_per_request: per_request.max(1),
                pacer: Pacer::new(interval, first),
                budget: Arc::clone(budget),
                meter: out.meter(),
                clock: self.clock.clone(),
                promised: args.acks.0 != 0,
                template,
            };
            workers.spawn(async move { Left::Written(writer.run().await) });
        }
        Ok(())
    }

    /// Gives how many there are.
    pub(super) async fn start_readers(
        &self,
        workers: &mut JoinSet<Left>,
        back: &mut Gauge,
        ends: &watch::Receiver<Ends>,
        id: Option<u64>,
    ) -> Result<u32> {
        let of_group = self.args.consumers.min(self.starts.len() as u32);
        for group in 0..self.args.groups {
            for number in 0..of_group {
                let mine = self.starts.iter().skip(number as usize);
                let positions = mine
                    .step_by(of_group as usize)
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
                    run: id,
                    bytes_per_second: None,
                    stop: None,
                };
                workers.spawn(async move { Left::Read(group as usize, reader.run().await) });
            }
        }
        Ok(self.args.groups * of_group)
    }
}
