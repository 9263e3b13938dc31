//! broker
pub mod fetch;
pub mod group;
pub mod metric_definitions;
pub mod net;
pub mod wire;
