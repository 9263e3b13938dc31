//! The stateless agent: Kafka protocol in, objects and metadata commands out.

mod api;
mod broker;
mod config;
pub mod fetch;
pub mod group;
mod health;
mod memory;
pub mod metric_definitions;
pub mod net;
mod peers;
pub mod produce;
mod re2;
pub mod share;
mod topology;
mod transactions;
pub mod wire;
pub mod zone_cache;

pub use broker::{BrokerError, Parts, Running, run, start};
pub use config::{
    BrokerConfig, STORE_URL_DEFAULT, TopicConfig, TopicDefaults, metadata_version_max, settings,
};
pub use health::Unwell;
pub use peers::relay_appends;
