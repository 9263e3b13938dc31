//! Produce: batches from clients into the bucket.

mod api;
mod batcher;
mod error;
mod keys;
mod metrics;
mod pipeline;
mod refusal;
mod validate;

pub use api::handle;
pub use batcher::{Batcher, BatcherOptions, Decision};
pub use error::ProduceError;
pub use keys::Keyless;
pub use pipeline::{Acknowledgement, Pipeline, PipelineOptions, Stored, Ticket, Uploaded};
