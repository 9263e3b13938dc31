//! What the integration tests are made of: an S3 server that fails on demand, the broker as a
//! process, and a Kafka client raw enough to send what no proper client would.

pub mod process;
pub mod raw;
pub mod s3;
