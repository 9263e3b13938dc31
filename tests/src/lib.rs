//! What the integration tests are made of: an S3 server that fails on demand, agents in this process, the broker as a
//! process, and a Kafka client raw enough to send what no proper client would.

pub mod agents;
pub mod broker;
pub mod careless;
pub mod cluster;
pub mod fdb_server;
pub mod foundationdb;
pub mod load;
pub mod place;
pub mod process;
pub mod raw;
pub mod refusal;
pub mod s3;
pub mod tool;
pub mod workload;
