//! Produce: batches from clients into the bucket.

mod api;
mod batcher;
mod error;
mod metrics;
mod pipeline;
mod validate;

pub use api::handle;
pub use batcher::{Batcher, BatcherOptions, Decision};
pub use error::ProduceError;
pub use pipeline::{Acknowledgement, Pipeline, PipelineOptions, Stored, Ticket, Uploaded};
