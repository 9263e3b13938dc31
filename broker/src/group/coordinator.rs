//! The task of one group: takes its lease, drives its machine, performs what the machine asks for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use object_format::TopicPartition;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::ask::{Ask, Deletion, Expiry, Reply};
use super::consumer::{ConsumerHeartbeat, HeartbeatAnswer, Refusal};
use super::held::Held;
use super::kind::Machine;
use super::lease::{self, Leased};
use super::machine::{
    Event, GroupError, GroupState, JoinRefused, Joined, LeftMember, SaveFailure, SaveId, Synced,
    Ticket,
};
use super::output::{Answer, Output};
use super::records::Change;
use super::registry::Shared;
use super::share::ShareHeartbeat;
use super::summary::Summary;
use super::{metrics, offsets, retention, save};

/// Why the task does not serve the group any longer.
enum End {
    /// This agent does not coordinate it, or not any more.
    Lost,
    /// Nobody is in it; it may be forgotten or restored at any time.
    Unused,
}

/// Serves the group until it is lost or unused. Requests that are left are dropped, which tells
/// whoever waits that this agent does not coordinate the group.
pub(super) async fn run(
    shared: Arc<Shared>,
    group: String,
    summary: Arc<Mutex<Summary>>,
    mut asks: mpsc::Receiver<Ask>,
) {
    loop {
        let stop = shared.stop.clone();
        let end = tokio::select! {
            biased;
            () = stop.cancelled() => End::Lost,
            leased = acquire(&shared, &group) => match leased {
                Ok(leased) => {
                    let coordinator = Coordinator::new(&shared, &group, &summary, leased);
                    coordinator.serve(&mut asks).await
                }
                Err(error) => {
                    tracing::debug!(group, %error, "does not coordinate a group");
                    End::Lost
                }
            },
        };
        let is_over = match end {
            End::Lost => {
                shared.remove(&group);
                true
            }
            End::Unused => shared.remove_unless_asked(&group, &asks),
        };
        if is_over {
            return;
        }
    }
}

async fn acquire(shared: &Shared, group: &str) -> Result<Leased, GroupError> {
    let mut options = shared.options.clone();
    options.configure(&shared.config(group));
    let now = || shared.clock.monotonic();
    lease::acquire(&shared.session, group, &options, now).await
}

/// Whoever waits for the machine's answer.
enum Waiter {
    Join(Reply<Result<Joined, JoinRefused>>),
    Sync(Reply<Result<Synced, GroupError>>),
    Heartbeat(Reply<Result<(), GroupError>>),
    Leave(Reply<Result<Vec<LeftMember>, GroupError>>),
    MemberHeartbeat(MemberReply),
}

type MemberReply = Reply<Result<HeartbeatAnswer, Refusal>>;

impl Waiter {
    fn answer(self, answer: Answer) {
        match (self, answer) {
            (Waiter::Join(reply), Answer::Join(answer)) => drop(reply.send(answer)),
            (Waiter::Sync(reply), Answer::Sync(answer)) => drop(reply.send(answer)),
            (Waiter::Heartbeat(reply), Answer::Heartbeat(answer)) => drop(reply.send(answer)),
            (Waiter::Leave(reply), Answer::Leave(answer)) => drop(reply.send(answer)),
            (Waiter::MemberHeartbeat(reply), Answer::MemberHeartbeat(answer)) => {
                drop(reply.send(answer));
            }
            // Dropped, the waiter looks for the coordinator again.
            (
                Waiter::Join(_)
                | Waiter::Sync(_)
                | Waiter::Heartbeat(_)
                | Waiter::Leave(_)
                | Waiter::MemberHeartbeat(_),
                answer,
            ) => tracing::error!(?answer, "an answer to another request than was made"),
        }
    }
}

type Save = BoxFuture<'static, (SaveId, Result<(), SaveFailure>)>;

struct Coordinator<'a> {
    shared: &'a Shared,
    group: &'a str,
    summary: &'a Mutex<Summary>,
    epoch: u64,
    machine: Machine,
    /// What the members take of [`GroupOptions::members_bytes_max`](super::GroupOptions).
    members: Held<'a>,
    waiters: HashMap<Ticket, Waiter>,
    last_ticket: u64,
    saves: FuturesUnordered<Save>,
}

impl<'a> Coordinator<'a> {
    fn new(
        shared: &'a Shared,
        group: &'a str,
        summary: &'a Mutex<Summary>,
        leased: Leased,
    ) -> Self {
        Self {
            shared,
            group,
            summary,
            epoch: leased.epoch,
            machine: leased.machine,
            members: Held::new(&shared.members_bytes),
            waiters: HashMap::new(),
            last_ticket: 0,
            saves: FuturesUnordered::new(),
        }
    }

    async fn serve(mut self, asks: &mut mpsc::Receiver<Ask>) -> End {
        loop {
            self.summarize();
            self.members.set(self.machine.members_bytes());
            if self.machine.state() == GroupState::Dead {
                return End::Lost;
            }
            let timer = self.timer();
            // SUBTLE: requests come before time. A heartbeat that waited while this process was
            // paused is no silence.
            tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => self.step(Event::Unload).await,
                Some((id, outcome)) = self.saves.next() => self.saved(id, outcome).await,
                ask = asks.recv() => match ask {
                    Some(Ask::Delete(reply)) => {
                        if let Some(end) = self.delete(reply).await {
                            return end;
                        }
                    }
                    Some(ask) => self.take(ask).await,
                    None => return End::Lost,
                },
                is_due = timer => match is_due {
                    true => self.step(Event::Tick).await,
                    false => return self.leave_alone().await,
                },
            }
        }
    }

    /// Waits until the machine's next deadline, or until the group was unused for long: false.
    fn timer(&self) -> impl Future<Output = bool> + Send + use<> {
        let deadline = self.machine.next_deadline();
        let is_idle = self.machine.is_idle() && self.saves.is_empty();
        let pause = deadline.map(|at| at.saturating_sub(self.shared.clock.monotonic()));
        let idle = self.shared.options.idle;
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

    async fn leave_alone(self) -> End {
        let forgotten = lease::forget_if_hollow(&self.shared.session, self.group, self.epoch);
        let forgotten = tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => return End::Lost,
            forgotten = forgotten => forgotten,
        };
        match forgotten {
            Ok(()) => End::Unused,
            Err(_) => End::Lost,
        }
    }

    async fn step(&mut self, event: Event) {
        let now = self.shared.clock.monotonic();
        let topics = self.shared.topics();
        let outputs = self.machine.step(now, &topics, event);
        self.perform_all(outputs).await;
    }

    async fn consumer_heartbeat(&mut self, request: ConsumerHeartbeat, reply: MemberReply) {
        let ticket = self.ticket(Waiter::MemberHeartbeat(reply));
        let now = self.shared.clock.monotonic();
        let topics = self.shared.topics();
        self.machine.configure(&self.shared.config(self.group));
        let outputs = self
            .machine
            .consumer_heartbeat(now, &topics, ticket, request);
        self.perform_all(outputs).await;
    }

    async fn share_heartbeat(&mut self, request: ShareHeartbeat, reply: MemberReply) {
        let ticket = self.ticket(Waiter::MemberHeartbeat(reply));
        let now = self.shared.clock.monotonic();
        let topics = self.shared.topics();
        let exists = self.exists();
        self.machine.configure(&self.shared.config(self.group));
        let outputs = self
            .machine
            .share_heartbeat(now, &topics, ticket, request, exists);
        self.perform_all(outputs).await;
    }

    async fn perform_all(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            self.perform(output).await;
        }
    }

    async fn saved(&mut self, id: SaveId, outcome: Result<(), SaveFailure>) {
        let event = match outcome {
            Ok(()) => Event::Saved(id),
            Err(failure) => {
                tracing::warn!(group = self.group, ?failure, "a group could not be saved");
                Event::SaveFailed(id, failure)
            }
        };
        self.step(event).await;
    }

    async fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Join(request, reply) => {
                let ticket = self.ticket(Waiter::Join(reply));
                self.step(Event::Join(ticket, request)).await;
            }
            Ask::Sync(request, reply) => {
                let ticket = self.ticket(Waiter::Sync(reply));
                self.step(Event::Sync(ticket, request)).await;
            }
            Ask::Heartbeat(request, reply) => {
                let ticket = self.ticket(Waiter::Heartbeat(reply));
                self.step(Event::Heartbeat(ticket, request)).await;
            }
            Ask::Leave(request, reply) => {
                let ticket = self.ticket(Waiter::Leave(reply));
                self.step(Event::Leave(ticket, request)).await;
            }
            Ask::ConsumerHeartbeat(request, reply) => {
                self.consumer_heartbeat(request, reply).await;
            }
            Ask::ShareHeartbeat(request, reply) => self.share_heartbeat(request, reply).await,
            Ask::DescribeShare(reply) => {
                let topics = self.shared.topics();
                let _ = reply.send(self.machine.describe_share(&topics));
            }
            Ask::ResetShares(changes, reply) => {
                let reset = match self.machine.check_share_reset() {
                    Ok(()) => {
                        let session = &self.shared.session;
                        offsets::reset_shares(session, self.group, self.epoch, changes).await
                    }
                    Err(error) => Err(error),
                };
                let _ = reply.send(reset);
            }
            Ask::CheckFetch(member, epoch, reply) => {
                let _ = reply.send(self.machine.check_fetch(member.as_deref(), epoch));
            }
            Ask::DescribeConsumer(reply) => {
                let topics = self.shared.topics();
                let _ = reply.send(self.machine.describe_consumer(&topics));
            }
            Ask::Commit(who, offsets, reply) => {
                let now = self.shared.clock.monotonic();
                let answer = match self.machine.check_commit(now, &who.identity()) {
                    Ok(()) => {
                        let session = &self.shared.session;
                        offsets::commit(session, self.group, self.epoch, &who, offsets).await
                    }
                    Err(error) => Err(error),
                };
                let _ = reply.send(answer);
            }
            Ask::DeleteOffsets(topics, reply) => {
                let _ = reply.send(self.delete_offsets(topics).await);
            }
            Ask::ExpireOffsets(reply) => {
                let _ = reply.send(self.expire_offsets().await);
            }
            Ask::Describe(reply) => {
                let _ = reply.send(match self.exists() {
                    true => self.machine.describe(),
                    false => Err(GroupError::GroupIdNotFound),
                });
            }
            Ask::Delete(_) => {}
        }
    }

    fn ticket(&mut self, waiter: Waiter) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.waiters.insert(ticket, waiter);
        ticket
    }

    async fn perform(&mut self, output: Output) {
        match output {
            Output::Respond(ticket, answer) => {
                if let Some(waiter) = self.waiters.remove(&ticket) {
                    waiter.answer(answer);
                }
            }
            Output::Save(id, change) => self.save(id, change).await,
            Output::Note(note) => metrics::note(self.group, &note),
        }
    }

    /// Fixes the place of a save in the order, and has its outcome reported.
    async fn save(&mut self, id: SaveId, change: Change) {
        let patience = self.shared.options.save_timeout;
        let began = self.shared.clock.monotonic();
        let save = save::save(&self.shared.session, self.group, self.epoch, change);
        let enqueued = timeout(patience, save).await;
        let patience = (began + patience).saturating_sub(self.shared.clock.monotonic());
        let save = async move {
            let outcome = match enqueued {
                Ok(Ok(writes)) => timeout(patience, offsets::settled(writes)).await,
                Ok(Err(error)) => Ok(Err(error)),
                Err(elapsed) => Err(elapsed),
            };
            (id, outcome.map_or(Err(SaveFailure::Unknown), judge))
        };
        self.saves.push(save.boxed());
    }

    async fn delete_offsets(
        &mut self,
        topics: Vec<(String, BTreeSet<TopicPartition>)>,
    ) -> Result<Deletion, GroupError> {
        self.machine.check_offset_delete()?;
        let (kept, deleted): (Vec<_>, Vec<_>) = topics
            .into_iter()
            .partition(|(topic, _)| self.machine.is_subscribed_to(topic));
        let partitions: Vec<TopicPartition> = deleted.into_iter().flat_map(|(_, p)| p).collect();
        let session = &self.shared.session;
        let writes = offsets::delete(session, self.group, self.epoch, &partitions).await?;
        let kept = kept.into_iter().map(|(topic, _)| topic).collect();
        Ok(Deletion { kept, writes })
    }

    /// Forgets offsets that have expired. While members are joining their topics may not all be known.
    async fn expire_offsets(&mut self) -> Result<Expiry, GroupError> {
        let joining = [
            GroupState::PreparingRebalance,
            GroupState::CompletingRebalance,
        ];
        let mut seen = vec![];
        if self.machine.check_offset_delete().is_ok() && !joining.contains(&self.machine.state()) {
            let options = &self.shared.options.retention;
            let replica = self.shared.session.replica();
            let topics = replica.read(|s| retention::expired(s, self.group, options));
            let unused = topics
                .into_iter()
                .filter(|(topic, _)| !self.machine.is_subscribed_to(topic));
            seen = unused.flat_map(|(_, seen)| seen).collect();
        }
        let writes = retention::expire(&self.shared.session, self.group, self.epoch, &seen).await?;
        let offsets = seen.len();
        Ok(Expiry { offsets, writes })
    }

    /// Deletes the group if it has no members.
    async fn delete(&mut self, reply: Reply<Result<(), GroupError>>) -> Option<End> {
        let allowed = match self.machine.check_delete() {
            Ok(()) if !self.exists() => Err(GroupError::GroupIdNotFound),
            other => other,
        };
        if let Err(error) = allowed {
            let _ = reply.send(Err(error));
            return None;
        }
        self.step(Event::Deleted).await;
        let stop = self.shared.stop.clone();
        let outcome = tokio::select! {
            biased;
            outcome = lease::delete(&self.shared.session, self.group, self.epoch) => outcome,
            () = stop.cancelled() => Err(GroupError::NotCoordinator),
        };
        let end = match outcome {
            Ok(()) => End::Unused,
            Err(_) => End::Lost,
        };
        let _ = reply.send(outcome);
        Some(end)
    }

    /// Whether there is anything of the group but its lease.
    fn exists(&self) -> bool {
        let has_offsets = || {
            let group = |s: &control_plane::state::State| {
                s.group(self.group).is_some_and(|g| !g.offsets.is_empty())
            };
            self.shared.session.replica().read(group)
        };
        self.machine.has_lived() || has_offsets()
    }

    /// Shows the group to who lists groups.
    fn summarize(&self) {
        self.summary.lock().update(&self.machine);
    }
}

/// What the machine is told of a save.
fn judge(outcome: Result<(), GroupError>) -> Result<(), SaveFailure> {
    outcome.map_err(|error| match error {
        GroupError::UnknownServerError => SaveFailure::TooLarge,
        GroupError::CoordinatorNotAvailable => SaveFailure::Unknown,
        _ => SaveFailure::Fenced,
    })
}
