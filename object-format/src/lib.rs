//! The bytes Millrace keeps in a bucket, and nothing that reads or writes them: record batches as
//! Kafka defines them, the layout of data objects, object names. Pure: no async, no I/O, no clock.

pub mod batch;
mod crc;
pub mod ids;
pub mod object;
pub mod path;

pub use ids::{AgentEpoch, ObjectId, TopicId, TopicPartition};
