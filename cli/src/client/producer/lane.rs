//! The batches of one partition that are not acknowledged yet, in order.

use std::collections::VecDeque;

use bytes::Bytes;

/// A partition. The order of its queue is the order of its sequence numbers.
pub struct Lane<T> {
    /// Broker id of its leader.
    pub leader: i32,
    /// A batch failed; nothing is sent until all are back.
    pub recovering: bool,
    sequence: i32,
    queue: VecDeque<Queued<T>>,
}

/// A batch.
pub struct Queued<T> {
    id: u64,
    /// Its bytes.
    pub batch: Bytes,
    /// What the caller attached.
    pub tag: T,
    /// Tries beyond the first.
    pub retries: u32,
    in_flight: bool,
}

impl<T> Lane<T> {
    /// Empty.
    pub fn new(leader: i32) -> Self {
        Self {
            leader,
            sequence: 0,
            queue: VecDeque::new(),
            recovering: false,
        }
    }

    /// Sequence number of the next batch.
    pub fn sequence(&self) -> i32 {
        self.sequence
    }

    /// Batches in it.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Batches under way.
    pub fn in_flight(&self) -> usize {
        self.queue.iter().filter(|queued| queued.in_flight).count()
    }

    /// Adds a batch of `count` records.
    pub fn push(&mut self, id: u64, batch: Bytes, count: usize, tag: T) {
        self.sequence = next_sequence(self.sequence, count);
        self.queue.push_back(Queued {
            id,
            batch,
            tag,
            in_flight: false,
            retries: 0,
        });
    }

    /// The first batch that is not under way, which is now.
    pub fn send_next(&mut self) -> Option<(u64, Bytes)> {
        let queued = self.queue.iter_mut().find(|queued| !queued.in_flight)?;
        queued.in_flight = true;
        Some((queued.id, queued.batch.clone()))
    }

    /// The batch failed and is to be sent again.
    pub fn unsend(&mut self, id: u64) {
        self.recovering = true;
        if let Some(queued) = self.queue.iter_mut().find(|queued| queued.id == id) {
            queued.in_flight = false;
            queued.retries += 1;
        }
    }

    /// The batch is done with.
    pub fn remove(&mut self, id: u64) -> Option<Queued<T>> {
        let at = self.queue.iter().position(|queued| queued.id == id)?;
        self.queue.remove(at)
    }
}

/// The sequence number after a batch of `count` records; it wraps to 0 (KIP-98).
fn next_sequence(sequence: i32, count: usize) -> i32 {
    ((i64::from(sequence) + count as i64) & i64::from(i32::MAX)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_wrap_to_zero() {
        assert_eq!(next_sequence(0, 10), 10);
        assert_eq!(next_sequence(i32::MAX - 9, 10), 0);
        assert_eq!(next_sequence(i32::MAX - 9, 12), 2);
    }
}
