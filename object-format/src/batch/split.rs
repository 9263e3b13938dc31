//! Taking a run of batches apart, by the lengths in their headers alone.

use bytes::Bytes;

use super::{BatchError, BatchHeader};

/// Iterates over the batches in a run; stops after the first error.
#[derive(Clone, Debug)]
pub struct Split {
    rest: Bytes,
}

/// The batches in `run`, one after another, each sharing its memory. Only magic and length are
/// looked at: every step takes 61 bytes at least, so there are never more steps than that.
///
/// If the run ends in the middle of a batch, the last item is [`BatchError::Truncated`].
pub fn split(run: Bytes) -> Split {
    Split { rest: run }
}

impl Split {
    fn step(&mut self) -> Result<Bytes, BatchError> {
        let needed = BatchHeader::parse(&self.rest)?.total_len();
        if self.rest.len() < needed {
            return Err(BatchError::Truncated {
                needed,
                have: self.rest.len(),
            });
        }
        Ok(self.rest.split_to(needed))
    }
}

impl Iterator for Split {
    type Item = Result<Bytes, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = self.step();
        if item.is_err() {
            self.rest = Bytes::new();
        }
        Some(item)
    }
}
