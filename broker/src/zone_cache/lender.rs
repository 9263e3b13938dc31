//! The side that is asked: gives blocks out of its cache, and reads what is not there from the bucket, once for all.
//!
//! It never asks a third, so that no ask goes round. Its neighbours together get a bounded part of the memory for
//! responses, and who asks when that is taken is told at once to go elsewhere: clients come first.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use object_format::AgentEpoch;
use runtime::{SharedClock, Trouble};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::frame::{Head, Question, Verdict};
use super::metrics;
use crate::fetch::block::BlockKey;
use crate::fetch::pool::{Client, Pool};
use crate::fetch::{Fetcher, Loan};
use crate::net::write_chunks;
use crate::peers::Keys;
use crate::peers::handshake::HandshakeError;

/// What an agent that asks for blocks says first. No position of the metadata log is so large.
pub(crate) const MAGIC: u64 = 0xffff_424c_4f43_4b01;

/// The other side takes nothing for so long.
const STALL: Duration = Duration::from_secs(5);

/// Asks of one connection at once.
const ASKS_MAX: usize = 256;

/// Gives blocks to other agents.
pub(crate) struct Lender {
    fetcher: Fetcher,
    keys: Keys,
    refused: Trouble,
}

impl std::fmt::Debug for Lender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lender").finish_non_exhaustive()
    }
}

/// An answer, and the memory it takes until it is written.
struct Answer {
    head: Head,
    chunks: Vec<Bytes>,
    _loan: Option<Loan>,
}

impl Lender {
    /// Lends out of the cache of `fetcher`, as the agent of `keys`.
    pub fn new(fetcher: Fetcher, keys: Keys, clock: SharedClock) -> Self {
        Self {
            fetcher,
            keys,
            refused: Trouble::new("another process asked for blocks and was refused", clock),
        }
    }

    /// Answers on a connection that began with [`MAGIC`] until it ends.
    pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) {
        let asker = match self.keys.answer(&mut stream).await {
            Ok((asker, _)) => asker,
            Err(error) => {
                metrics::refused();
                return match error {
                    HandshakeError::Refused => self.refused.report(&error),
                    _ => tracing::debug!(%error, "a neighbour is not answered"),
                };
            }
        };
        self.refused.over();
        let (from, to) = tokio::io::split(stream);
        let (answers, written) = mpsc::channel(ASKS_MAX);
        let ended = tokio::select! {
            ended = self.take_questions(from, asker, answers) => ended,
            ended = write_answers(to, written) => ended,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %asker, "the connection of a neighbour ended");
        }
    }

    async fn take_questions(
        &self,
        mut from: impl AsyncRead + Unpin,
        asker: AgentEpoch,
        answers: mpsc::Sender<Answer>,
    ) -> std::io::Result<()> {
        let client = Client::neighbour(asker);
        let mut buffer = BytesMut::with_capacity(4 << 10);
        let mut asks = Asks::default();
        loop {
            while let Some(question) = Question::take(&mut buffer).map_err(std::io::Error::other)? {
                asks.forget_ended();
                match question {
                    Question::Cancel(id) => asks.cancel(id),
                    Question::Ask(id, key, pool) => {
                        let loan = match asks.tasks.len() < ASKS_MAX {
                            true => self.fetcher.lend(key, pool, &client),
                            false => None,
                        };
                        match loan {
                            Some(loan) => asks.begin(id, key, pool, loan, &answers),
                            None => {
                                metrics::answered(pool, "busy", 0);
                                // SUBTLE: nothing more is read until there is room for the answer.
                                let _ =
                                    answers.send(Answer::without_block(Verdict::Busy, id)).await;
                            }
                        }
                    }
                }
            }
            if from.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
    }
}

/// Asks under way. Given up when dropped.
#[derive(Default)]
struct Asks {
    tasks: JoinSet<u32>,
    cancels: HashMap<u32, CancellationToken>,
}

impl Asks {
    fn begin(
        &mut self,
        id: u32,
        key: BlockKey,
        pool: Pool,
        loan: Loan,
        answers: &mpsc::Sender<Answer>,
    ) {
        let (cancel, answers) = (CancellationToken::new(), answers.clone());
        self.cancels.insert(id, cancel.clone());
        self.tasks.spawn(async move {
            let answer = tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    metrics::answered(pool, "cancelled", 0);
                    Answer::without_block(Verdict::Cancelled, id)
                }
                answer = answer(id, key, pool, loan) => answer,
            };
            let _ = answers.send(answer).await;
            id
        });
    }

    fn cancel(&self, id: u32) {
        if let Some(cancel) = self.cancels.get(&id) {
            cancel.cancel();
        }
    }

    fn forget_ended(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Ok(id) = ended {
                self.cancels.remove(&id);
            }
        }
    }
}

async fn answer(id: u32, key: BlockKey, pool: Pool, loan: Loan) -> Answer {
    let (found, read) = loan.read().await;
    match read {
        Ok(block) if block.len() == key.len() => {
            let chunks = block.chunks().to_vec();
            metrics::answered(pool, found.label(), block.len());
            Answer {
                head: Head::of_block(id, &chunks),
                chunks,
                _loan: Some(loan),
            }
        }
        _ => {
            metrics::answered(pool, "failed", 0);
            Answer::without_block(Verdict::Failed, id)
        }
    }
}

impl Answer {
    fn without_block(verdict: Verdict, id: u32) -> Self {
        Self {
            head: Head::without_block(verdict, id),
            chunks: vec![],
            _loan: None,
        }
    }
}

async fn write_answers(
    mut to: impl AsyncWrite + Unpin,
    mut answers: mpsc::Receiver<Answer>,
) -> std::io::Result<()> {
    while let Some(answer) = answers.recv().await {
        let mut chunks = VecDeque::with_capacity(1 + answer.chunks.len());
        chunks.push_back(Bytes::copy_from_slice(&answer.head.encode()));
        chunks.extend(answer.chunks);
        write_chunks(&mut to, chunks, STALL).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
