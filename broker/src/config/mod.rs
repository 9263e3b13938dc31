//! Settings of the broker and configs of topics.

pub mod alteration;
mod broker;
mod broker_table;
pub mod group;
pub mod group_table;
pub mod in_force;
pub mod share_reset;
mod topic;
mod topic_table;
pub mod value;

pub use broker::{BrokerConfig, STORE_URL_DEFAULT, metadata_version_max};
pub use broker_table::settings;
pub use topic::{TopicConfig, TopicDefaults};
pub use topic_table::{normalize_topic, topic_key};

#[cfg(test)]
mod docs_tests;
