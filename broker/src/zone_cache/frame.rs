//! What is said on a connection between agents once they know each other: asks one way, answers the other. Pure.
//!
//! ```text
//! ask      1, id u32, pool u8, writer u64, sequence u64, index u64, length of the object u64
//! cancel   2, id u32
//! answer   what u8, id u32, length u32, CRC32C of the bytes u32; the bytes follow
//! ```
//! Big endian. Every ask is answered once, also one that was cancelled, in any order.

use bytes::{Buf, Bytes, BytesMut};
use object_format::{AgentEpoch, ObjectId};

use crate::fetch::block::{BlockKey, WHOLE_BYTES_MAX};
use crate::fetch::pool::Pool;

const ASK: u8 = 1;
const CANCEL: u8 = 2;

const ASK_BYTES: usize = 1 + 4 + 1 + 4 * 8;
const CANCEL_BYTES: usize = 1 + 4;

/// Length of an answer without its bytes.
pub(super) const ANSWER_BYTES: usize = 1 + 4 + 4 + 4;

/// Bytes that are not such a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other agent says what makes no sense")]
pub(super) struct FrameError;

/// What an asker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// It wants a block.
    Ask(u32, BlockKey, Pool),
    /// It does not want it any more.
    Cancel(u32),
}

impl Question {
    /// Appends its bytes.
    pub fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Self::Ask(id, key, pool) => {
                to.push(ASK);
                to.extend(id.to_be_bytes());
                to.push(match pool {
                    Pool::Tail => 0,
                    Pool::CatchUp => 1,
                });
                let (writer, sequence) = (key.object.writer.0, key.object.sequence);
                for word in [writer, sequence, key.index, key.object_bytes] {
                    to.extend(word.to_be_bytes());
                }
            }
            Self::Cancel(id) => {
                to.push(CANCEL);
                to.extend(id.to_be_bytes());
            }
        }
    }

    /// Takes one off the front; none if it is not all there yet.
    ///
    /// # Errors
    /// What is there is none, or asks for a block that cannot be.
    pub fn take(from: &mut BytesMut) -> Result<Option<Self>, FrameError> {
        let bytes = match from.first() {
            None => return Ok(None),
            Some(&ASK) => ASK_BYTES,
            Some(&CANCEL) => CANCEL_BYTES,
            Some(_) => return Err(FrameError),
        };
        if from.len() < bytes {
            return Ok(None);
        }
        let mut frame = from.split_to(bytes);
        let (kind, id) = (frame.get_u8(), frame.get_u32());
        if kind == CANCEL {
            return Ok(Some(Self::Cancel(id)));
        }
        let pool = match frame.get_u8() {
            0 => Pool::Tail,
            1 => Pool::CatchUp,
            _ => return Err(FrameError),
        };
        let object = ObjectId {
            writer: AgentEpoch(frame.get_u64()),
            sequence: frame.get_u64(),
        };
        let key = BlockKey {
            object,
            index: frame.get_u64(),
            object_bytes: frame.get_u64(),
        };
        match key.len() {
            1..=WHOLE_BYTES_MAX => Ok(Some(Self::Ask(id, key, pool))),
            _ => Err(FrameError),
        }
    }
}

/// What an owner says to an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The block follows.
    Lent,
    /// It has too much to do.
    Busy,
    /// It cannot read the block.
    Failed,
    /// The ask was taken back.
    Cancelled,
}

impl Verdict {
    const ALL: [Self; 4] = [Self::Lent, Self::Busy, Self::Failed, Self::Cancelled];
}

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub verdict: Verdict,
    pub id: u32,
    /// How many bytes follow; 0 unless it is a block.
    pub len: u32,
    pub crc: u32,
}

impl Head {
    /// Of an answer without a block.
    pub fn without_block(verdict: Verdict, id: u32) -> Self {
        Self {
            verdict,
            id,
            len: 0,
            crc: 0,
        }
    }

    /// Of an answer with these bytes.
    pub fn of_block(id: u32, chunks: &[Bytes]) -> Self {
        let len: usize = chunks.iter().map(Bytes::len).sum();
        Self {
            verdict: Verdict::Lent,
            id,
            // A block is no longer than an ask can ask for.
            len: u32::try_from(len).unwrap_or(u32::MAX),
            crc: chunks
                .iter()
                .fold(0, |crc, chunk| crc32c::crc32c_append(crc, chunk)),
        }
    }

    /// Its bytes.
    pub fn encode(&self) -> [u8; ANSWER_BYTES] {
        let verdict = Verdict::ALL.iter().position(|known| *known == self.verdict);
        let mut bytes = [0; ANSWER_BYTES];
        bytes[0] = verdict
            .and_then(|at| u8::try_from(at).ok())
            .unwrap_or(u8::MAX);
        bytes[1..5].copy_from_slice(&self.id.to_be_bytes());
        bytes[5..9].copy_from_slice(&self.len.to_be_bytes());
        bytes[9..].copy_from_slice(&self.crc.to_be_bytes());
        bytes
    }

    /// What these bytes say.
    ///
    /// # Errors
    /// They say nothing.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, FrameError> {
        if bytes.len() != ANSWER_BYTES {
            return Err(FrameError);
        }
        let verdict = Verdict::ALL.get(usize::from(bytes.get_u8()));
        let head = Self {
            verdict: *verdict.ok_or(FrameError)?,
            id: bytes.get_u32(),
            len: bytes.get_u32(),
            crc: bytes.get_u32(),
        };
        let is_empty = head.len == 0 && head.crc == 0;
        match is_empty == (head.verdict != Verdict::Lent) {
            true => Ok(head),
            false => Err(FrameError),
        }
    }
}

#[cfg(test)]
mod tests;
