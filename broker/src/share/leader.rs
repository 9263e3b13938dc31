//! The task of one share-partition that is led here: takes its lease, drives its machine, performs what
//! the machine asks for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use control_plane::state::{SaveShare, State};
use futures::future::{BoxFuture, FutureExt, OptionFuture};
use tokio::sync::{mpsc, oneshot, watch};

use super::ShareError;
use super::call::{Answer, Ask, Call, ShareKey};
use super::lease::{self, Leased};
use super::partition::{Effect, Event, Save, SaveId, SharePartition, Ticket};
use super::registry::Shared;

/// Why the task does not serve the share-partition any longer.
enum End {
    /// This agent does not lead it, or not any more.
    Lost,
    /// Nobody asks for it.
    Unused,
}

type Reply = oneshot::Sender<Result<Answer, ShareError>>;

type Saving = BoxFuture<'static, (SaveId, Result<(), ShareError>)>;

/// Serves the share-partition until it is lost or unused. Requests that are left are dropped, which tells
/// whoever waits that this agent does not lead it.
pub(super) async fn run(
    shared: Arc<Shared>,
    key: ShareKey,
    ready: watch::Sender<u64>,
    mut asks: mpsc::Receiver<Ask>,
) {
    loop {
        let stop = shared.stop.clone();
        let leased = tokio::select! {
            biased;
            () = stop.cancelled() => Err(ShareError::NotLeader),
            leased = lease::acquire(&shared, &key) => leased,
        };
        let end = match leased {
            Ok(leased) => {
                let epoch = leased.epoch;
                let end = Leader::new(&shared, &key, &ready, leased)
                    .serve(&mut asks)
                    .await;
                if matches!(end, End::Unused) {
                    lease::release(&shared, &key, epoch).await;
                }
                end
            }
            Err(error) => {
                refuse(&mut asks, error);
                End::Lost
            }
        };
        let is_over = match end {
            End::Lost => {
                shared.remove(&key);
                true
            }
            End::Unused => shared.remove_unless_asked(&key, &asks),
        };
        if is_over {
            return;
        }
    }
}

/// Tells those who ask why there is no leader here.
fn refuse(asks: &mut mpsc::Receiver<Ask>, error: ShareError) {
    asks.close();
    while let Ok(ask) = asks.try_recv() {
        let _ = ask.reply.send(Err(error));
    }
}

struct Leader<'a> {
    shared: &'a Arc<Shared>,
    key: &'a ShareKey,
    ready: &'a watch::Sender<u64>,
    epoch: u64,
    machine: SharePartition,
    waiters: HashMap<Ticket, Reply>,
    last_ticket: u64,
    saving: Option<Saving>,
}

impl<'a> Leader<'a> {
    fn new(
        shared: &'a Arc<Shared>,
        key: &'a ShareKey,
        ready: &'a watch::Sender<u64>,
        leased: Leased,
    ) -> Self {
        Self {
            shared,
            key,
            ready,
            epoch: leased.epoch,
            machine: leased.machine,
            waiters: HashMap::new(),
            last_ticket: 0,
            saving: None,
        }
    }

    async fn serve(mut self, asks: &mut mpsc::Receiver<Ask>) -> End {
        loop {
            let timer = self.timer();
            let saving = OptionFuture::from(self.saving.as_mut());
            tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => return End::Lost,
                Some((id, outcome)) = saving => {
                    self.saving = None;
                    if let Err(error) = outcome {
                        self.lost(error);
                        return End::Lost;
                    }
                    self.step(Event::Saved(id)).await;
                }
                ask = asks.recv() => match ask {
                    Some(ask) if self.still_leads() => self.take(ask).await,
                    Some(_) | None => return End::Lost,
                },
                is_due = timer => match is_due {
                    true if self.still_leads() => self.step(Event::Tick).await,
                    true => return End::Lost,
                    false => return End::Unused,
                },
            }
        }
    }

    fn lost(&self, error: ShareError) {
        let (group, partition) = (&*self.key.group, self.key.partition);
        tracing::info!(group, ?partition, %error, "does not lead a share-partition any more");
    }

    /// Waits until the machine's next deadline, or until nobody asked for long: false.
    fn timer(&self) -> impl Future<Output = bool> + Send + use<> {
        let deadline = self.machine.next_deadline();
        let now = self.shared.clock.monotonic();
        let is_idle = self.machine.is_idle() && self.saving.is_none();
        let idle = self.shared.options.idle;
        let pause = deadline.map(|at| at.saturating_sub(now).max(Duration::from_millis(1)));
        async move {
            match pause {
                Some(pause) => {
                    tokio::time::sleep(pause).await;
                    true
                }
                None if is_idle => {
                    tokio::time::sleep(idle).await;
                    false
                }
                None => std::future::pending().await,
            }
        }
    }

    /// Whether the lease is still this one, as far as is known here; also brings in what changed around it.
    fn still_leads(&mut self) -> bool {
        let read = |state: &State| {
            let lease = state.share_leader(&self.key.group, self.key.partition)?;
            let partition = state.partition(self.key.partition)?;
            let limits = self.shared.options.of(state, &self.key.group).limits;
            Some((lease, partition.log_start_offset, limits))
        };
        let Some((lease, log_start, limits)) = self.shared.session.replica().read(read) else {
            return false;
        };
        self.machine.set_limits(limits);
        if log_start > self.machine.start_offset() {
            let now = self.shared.clock.monotonic();
            let effects = self.machine.step(now, Event::LogStart(log_start));
            self.perform(effects);
        }
        lease.leader == self.shared.session.epoch() && lease.epoch == self.epoch
    }

    async fn step(&mut self, event: Event) {
        let now = self.shared.clock.monotonic();
        let effects = self.machine.step(now, event);
        self.perform(effects);
    }

    async fn take(&mut self, ask: Ask) {
        let Ask { call, reply } = ask;
        let event = match call {
            Call::Fetch { visible_end } => Event::Fetch {
                ticket: self.ticket(reply),
                visible_end,
            },
            Call::Acquire(request) => Event::Acquire(self.ticket(reply), request),
            Call::Acknowledge(member, said) => Event::Acknowledge(self.ticket(reply), member, said),
            Call::Abandon(turn) => {
                let _ = reply.send(Ok(Answer::Done));
                Event::Abandon(turn)
            }
            Call::Release(member) => {
                let _ = reply.send(Ok(Answer::Done));
                Event::Release(member)
            }
            Call::Ready(_) => {
                let _ = reply.send(Ok(Answer::Ready(*self.ready.borrow())));
                return;
            }
        };
        self.step(event).await;
    }

    fn ticket(&mut self, reply: Reply) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.waiters.insert(ticket, reply);
        ticket
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Turn(ticket, turn) => {
                    let count = *self.ready.borrow();
                    self.answer(ticket, Answer::Turn(turn.ok_or(count)));
                }
                Effect::Acquired(ticket, ranges) => self.answer(ticket, Answer::Acquired(ranges)),
                Effect::Acknowledged(ticket, said) => {
                    self.answer(ticket, Answer::Acknowledged(said.map_err(ShareError::from)));
                }
                Effect::Save(id, save) => self.saving = Some(self.save(id, save)),
                Effect::Ready => self.ready.send_modify(|count| *count += 1),
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        if let Some(reply) = self.waiters.remove(&ticket) {
            let _ = reply.send(Ok(answer));
        }
    }

    fn save(&self, id: SaveId, save: Save) -> Saving {
        let session = self.shared.session.clone();
        let command = SaveShare {
            group: self.key.group.clone(),
            partition: self.key.partition,
            epoch: self.epoch,
            start: save.start,
            runs: save.runs,
        };
        async move {
            let outcome = match session.submit(command).await {
                Ok(outcome) => outcome.map_err(lease::refused),
                Err(error) => Err(lease::error_of(error)),
            };
            (id, outcome)
        }
        .boxed()
    }
}
