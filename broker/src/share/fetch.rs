//! One ShareFetch from beginning to end: session, acknowledgements, turns, reading, acquiring, waiting.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use control_plane::state::State;
use futures::FutureExt;
use futures::future::{BoxFuture, select_all};
use object_format::TopicPartition;
use tokio_util::sync::CancellationToken;

use super::ShareError;
use super::acknowledge::{Acknowledgements, PartitionAcknowledged};
use super::call::{Answer, Call, ShareKey};
use super::error::of_fetch;
use super::partition::{AcquireRequest, Acquired, FetchTurn, Turn};
use super::read::ReadRecords;
use super::registry::Shares;
use super::session::{Begun, FINAL_EPOCH, Owner};
use crate::fetch::api::Memory;
use crate::fetch::plan::{Isolation, PartitionFetch, TopicRef};
use crate::fetch::pool::Client;
use crate::fetch::session as fetch_session;
use crate::fetch::{FetchError, FetchParts};

/// A ShareFetch request.
#[derive(Debug)]
pub(crate) struct ShareFetchParts {
    /// Group and member.
    pub owner: Owner,
    /// The session's epoch.
    pub epoch: i32,
    /// Where the request came from, and when that ends.
    pub connection: (u64, CancellationToken),
    /// The longest it waits for records.
    pub wait_max: Duration,
    /// Most bytes it wants.
    pub bytes_max: u64,
    /// About how many records it wants.
    pub records_max: u32,
    /// About how many records are told of together.
    pub batch_size: u32,
    /// Partitions to be added to the session.
    pub added: Vec<TopicPartition>,
    /// Partitions to be taken out of the session.
    pub forgotten: Vec<TopicPartition>,
    /// What it says of records.
    pub acknowledgements: Vec<Acknowledgements>,
}

/// What one partition is answered with.
#[derive(Debug, Default)]
pub(crate) struct SharePartitionOutcome {
    /// Which partition.
    pub partition: TopicPartition,
    /// Why there are no records, if something is wrong.
    pub error: Option<ShareError>,
    /// Whether what was said of its records was taken, if something was.
    pub acknowledged: Option<Result<(), ShareError>>,
    /// Whole batches.
    pub records: Vec<Bytes>,
    /// The memory that they take.
    pub memory: Memory,
    /// What of them the member holds now.
    pub acquired: Vec<Acquired>,
}

/// What a ShareFetch is answered with.
#[derive(Debug)]
pub(crate) struct ShareFetchOutcome {
    /// How long records are held.
    pub lock: Duration,
    /// The partitions of which there is something to tell.
    pub partitions: Vec<SharePartitionOutcome>,
}

/// What is left of a request's limits.
struct Budget {
    bytes: u64,
    records: u32,
    batch_size: u32,
}

/// What came of looking at one partition.
enum Looked {
    /// Records, or an error.
    Told(SharePartitionOutcome),
    /// Nothing, after so many news of its leader.
    Nothing(u64),
}

impl Shares {
    /// Answers a ShareFetch, if need be after waiting as long as it allows.
    pub(crate) async fn fetch(
        &self,
        parts: ShareFetchParts,
    ) -> Result<ShareFetchOutcome, ShareError> {
        let (connection, closed) = parts.connection.clone();
        let begun = self.0.sessions.lock().fetch(
            &parts.owner,
            parts.epoch,
            connection,
            &parts.added,
            &parts.forgotten,
            !parts.acknowledgements.is_empty(),
        )?;
        let Begun {
            wanted,
            ended,
            is_new,
        } = begun;
        if is_new {
            self.watch_session(&parts.owner, connection, closed);
        }
        self.release(&parts.owner, ended).await;
        let budget = Budget {
            bytes: parts.bytes_max,
            records: parts.records_max,
            batch_size: parts.batch_size,
        };
        // SUBTLE: the leaders hear what is said before they are asked for more, since that is polled
        // first. What was released may so be given out again, and what was accepted makes room.
        let (said, mut partitions) = tokio::join!(
            biased;
            self.say(&parts.owner, parts.acknowledgements),
            self.gather(&parts.owner, &wanted, budget, parts.wait_max),
        );
        if parts.epoch == FINAL_EPOCH {
            self.end_session(&parts.owner, None).await;
        }
        add_said(&mut partitions, said);
        let lock = |state: &State| self.0.options.of(state, &parts.owner.0).limits.lock;
        Ok(ShareFetchOutcome {
            lock: self.0.session.replica().read(lock),
            partitions,
        })
    }

    /// Has a session end with its connection.
    fn watch_session(&self, owner: &Owner, connection: u64, closed: CancellationToken) {
        let gone = CancellationToken::new();
        let guard = gone.clone().drop_guard();
        self.0.sessions.lock().attach(owner, guard);
        let (shares, owner) = (self.clone(), owner.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = closed.cancelled() => shares.end_session(&owner, Some(connection)).await,
                () = gone.cancelled() => {}
                () = shares.0.stop.cancelled() => {}
            }
        });
    }

    /// What there is to tell of the partitions, once there is something or the time is over.
    async fn gather(
        &self,
        owner: &Owner,
        wanted: &[TopicPartition],
        mut budget: Budget,
        wait_max: Duration,
    ) -> Vec<SharePartitionOutcome> {
        if wanted.is_empty() {
            return vec![];
        }
        // Entered before looking, so that no commit falls between looking and waiting.
        let commits = self.0.fetcher.await_commits(wanted.iter().copied());
        let deadline = tokio::time::sleep(wait_max);
        tokio::pin!(deadline);
        loop {
            let (told, nothing) = self.look(owner, wanted, &mut budget).await;
            if !told.is_empty() || wait_max.is_zero() || self.0.fetcher.waits_are_over() {
                return told;
            }
            let news = nothing
                .iter()
                .map(|(key, seen)| self.ready(key, *seen).boxed());
            let news: Vec<BoxFuture<'_, ()>> = news.collect();
            if news.is_empty() {
                return told;
            }
            tokio::select! {
                () = commits.woken() => {}
                _ = select_all(news) => {}
                () = &mut deadline => return told,
                () = self.0.stop.cancelled() => return told,
            }
        }
    }

    /// Looks at each partition once, as far as the limits go.
    async fn look(
        &self,
        owner: &Owner,
        wanted: &[TopicPartition],
        budget: &mut Budget,
    ) -> (Vec<SharePartitionOutcome>, Vec<(ShareKey, u64)>) {
        let (mut told, mut nothing) = (vec![], vec![]);
        for (i, &partition) in wanted.iter().enumerate() {
            if budget.records == 0 || (budget.bytes == 0 && i > 0) {
                break;
            }
            let left = (wanted.len() - i) as u64;
            let key = ShareKey {
                group: owner.0.clone(),
                partition,
            };
            match self.look_at(&key, &owner.1, budget, left).await {
                Ok(Looked::Told(outcome)) => told.push(outcome),
                Ok(Looked::Nothing(seen)) => nothing.push((key, seen)),
                Err(error) => told.push(SharePartitionOutcome {
                    partition,
                    error: Some(error),
                    ..SharePartitionOutcome::default()
                }),
            }
        }
        (told, nothing)
    }

    async fn look_at(
        &self,
        key: &ShareKey,
        member: &str,
        budget: &mut Budget,
        partitions_left: u64,
    ) -> Result<Looked, ShareError> {
        let (isolation, visible_end) = self.visible_end(key)?;
        let given = match self.ask(key, Call::Fetch { visible_end }).await? {
            Answer::Turn(Ok(given)) => given,
            Answer::Turn(Err(seen)) => return Ok(Looked::Nothing(seen)),
            _ => return Err(ShareError::NotLeader),
        };
        // Given back also if the client goes away while its records are read.
        let mut held = HeldTurn::new(self, key, given.turn);
        let bytes_max = (budget.bytes / partitions_left.max(1)).max(1);
        let (records, memory) = self.read(key, given, isolation, bytes_max).await?;
        let batches = records.batches(given.offset);
        if batches.is_empty() {
            return Err(ShareError::Storage);
        }
        held.is_over = true;
        let request = AcquireRequest {
            turn: given.turn,
            member: member.to_owned(),
            offset: given.offset,
            batches,
            records_max: budget.records,
            batch_size: budget.batch_size,
        };
        let acquired = match self.ask(key, Call::Acquire(request)).await? {
            Answer::Acquired(acquired) => acquired,
            _ => return Err(ShareError::NotLeader),
        };
        let count: i64 = acquired.iter().map(|a| a.last - a.first + 1).sum();
        budget.records = budget
            .records
            .saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
        let records = records.cut(&acquired);
        let bytes: usize = records.iter().map(Bytes::len).sum();
        budget.bytes = budget.bytes.saturating_sub(bytes as u64);
        // SUBTLE: what was read and not given goes back before the next partition is read: members that each hold much and
        // wait for more would wait for each other.
        let memory = memory.and_then(Arc::into_inner);
        let memory = memory.map(|memory| Arc::new(memory.keep(bytes as u64)));
        if acquired.is_empty() {
            // What was read was not to be shown, or somebody else's meanwhile: there is news already.
            return Ok(Looked::Nothing(u64::MAX));
        }
        Ok(Looked::Told(SharePartitionOutcome {
            partition: key.partition,
            records,
            memory,
            acquired,
            ..SharePartitionOutcome::default()
        }))
    }

    fn visible_end(&self, key: &ShareKey) -> Result<(Isolation, i64), ShareError> {
        let read = |state: &State| {
            if state.topic(key.partition.topic).is_none() {
                return Err(ShareError::UnknownTopicId);
            }
            let partition = state.partition(key.partition);
            let partition = partition.ok_or(ShareError::UnknownPartition)?;
            let isolation = self.0.options.of(state, &key.group).isolation;
            Ok((isolation, isolation.end(partition)))
        };
        self.0.session.replica().read(read)
    }

    /// Reads the log from a turn's offset, through the cache of this agent.
    async fn read(
        &self,
        key: &ShareKey,
        turn: FetchTurn,
        isolation: Isolation,
        bytes_max: u64,
    ) -> Result<(ReadRecords, Memory), ShareError> {
        let fetch = PartitionFetch {
            topic: TopicRef::Id(key.partition.topic),
            partition: i32::try_from(key.partition.partition).unwrap_or(i32::MAX),
            fetch_offset: turn.offset,
            bytes_max,
            current_leader_epoch: -1,
        };
        let parts = FetchParts {
            client: Client::group(&key.group),
            session: fetch_session::SessionRequest {
                session_id: fetch_session::NO_SESSION,
                epoch: fetch_session::FINAL_EPOCH,
                uses_ids: true,
                partitions: vec![fetch],
                forgotten: vec![],
            },
            bytes_max,
            isolation,
            ..FetchParts::default()
        };
        let outcome = self.0.fetcher.fetch(parts).await;
        let partition = outcome.partitions.into_iter().next();
        let partition = partition.ok_or(ShareError::Storage)?;
        match partition.error {
            None => {}
            // The log start has moved past it; the leader hears of that when it is asked next.
            Some(FetchError::OffsetOutOfRange) => return Err(ShareError::NotLeader),
            Some(error) => return Err(of_fetch(error)),
        }
        let aborted = partition.aborted_transactions.unwrap_or_default();
        let records = ReadRecords::new(partition.records.chunks, &aborted);
        Ok((records, outcome.memory))
    }
}

/// A turn that is given back when it is dropped, unless it is over.
struct HeldTurn<'a> {
    shares: &'a Shares,
    key: &'a ShareKey,
    turn: Turn,
    is_over: bool,
}

impl<'a> HeldTurn<'a> {
    fn new(shares: &'a Shares, key: &'a ShareKey, turn: Turn) -> Self {
        Self {
            shares,
            key,
            turn,
            is_over: false,
        }
    }
}

impl Drop for HeldTurn<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let (shares, key, turn) = (self.shares.clone(), self.key.clone(), self.turn);
            tokio::spawn(async move { shares.ask(&key, Call::Abandon(turn)).await });
        }
    }
}

/// Puts what became of acknowledgements beside what was fetched.
fn add_said(partitions: &mut Vec<SharePartitionOutcome>, said: Vec<PartitionAcknowledged>) {
    for (partition, said) in said {
        let told = partitions.iter().position(|p| p.partition == partition);
        let told = told.unwrap_or_else(|| {
            partitions.push(SharePartitionOutcome {
                partition,
                ..SharePartitionOutcome::default()
            });
            partitions.len() - 1
        });
        partitions[told].acknowledged = Some(said);
    }
}
