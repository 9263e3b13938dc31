//! broker
pub mod group;
