//! Settings of the broker and configs of topics.

mod broker;
mod topic;

pub use broker::{BrokerConfig, STORE_URL_DEFAULT, settings};
pub use topic::{TopicConfig, TopicDefaults};
