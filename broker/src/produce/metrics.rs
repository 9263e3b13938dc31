//! What the produce path counts.

use crate::metric_definitions as names;

/// An object was sealed with this content.
pub(super) fn sealed(bytes: u64, batches: usize) {
    metrics::counter!(names::PRODUCE_OBJECTS.name).increment(1);
    metrics::histogram!(names::PRODUCE_OBJECT_BYTES.name).record(bytes as f64);
    metrics::histogram!(names::PRODUCE_OBJECT_BATCHES.name).record(batches as f64);
}

/// Batches of a topic were accepted.
pub(super) fn produced(bytes: usize, records: u64) {
    metrics::counter!(names::PRODUCE_BYTES.name).increment(bytes as u64);
    metrics::counter!(names::PRODUCE_RECORDS.name).increment(records);
}
