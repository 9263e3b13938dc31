//! The bytes Millrace keeps in a bucket, and nothing that reads or writes them: record batches as Kafka defines them,
//! the layout of data objects, object names. Pure: no async, no I/O, no clock.

pub mod ids;

pub use ids::{AgentEpoch, ObjectId, TopicId, TopicPartition};
