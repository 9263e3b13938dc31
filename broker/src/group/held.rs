//! Memory that counts against a bound of the whole process.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes held by one owner, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held<'a> {
    total: &'a AtomicUsize,
    bytes: usize,
}

impl<'a> Held<'a> {
    /// Nothing yet, of a total over all owners.
    pub(super) fn new(total: &'a AtomicUsize) -> Self {
        Self { total, bytes: 0 }
    }

    /// The owner holds so many bytes now.
    pub(super) fn set(&mut self, bytes: usize) {
        if bytes >= self.bytes {
            let more = bytes - self.bytes;
            self.total.fetch_add(more, Ordering::Relaxed);
        } else {
            let fewer = self.bytes - bytes;
            self.total.fetch_sub(fewer, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}
