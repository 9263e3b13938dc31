//! Control batches: the markers that end a transaction in a partition (KIP-98).

use bytes::Bytes;

use super::{BatchBuilder, NO_SEQUENCE};

/// The coordinator epoch in every marker: nobody coordinates transactions.
pub const COORDINATOR_EPOCH: i32 = 0;

/// The marker that ends a producer's transaction: one batch with one record, whose key says abort
/// (0) or commit (1), and whose value is an EndTransactionMarker of version 0.
pub fn control_batch(
    base_offset: i64,
    producer_id: i64,
    producer_epoch: i16,
    commit: bool,
    timestamp_ms: i64,
) -> Bytes {
    const KEY_VERSION: u16 = 0;
    const VALUE_VERSION: u16 = 0;
    let [v0, v1] = KEY_VERSION.to_be_bytes();
    let [k0, k1] = u16::from(commit).to_be_bytes();
    let mut value = [0; 6];
    value[0..2].copy_from_slice(&VALUE_VERSION.to_be_bytes());
    value[2..6].copy_from_slice(&COORDINATOR_EPOCH.to_be_bytes());
    BatchBuilder::new()
        .base_offset(base_offset)
        .leader_epoch(0)
        .producer(producer_id, producer_epoch, NO_SEQUENCE)
        .transactional()
        .control()
        .record(timestamp_ms, Some(&[v0, v1, k0, k1]), Some(&value))
        .build()
}
