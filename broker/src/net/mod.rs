//! Connections of Kafka clients: listening, framing, ordering, back-pressure, draining.
//!
//! Knows nothing of what a request means. A [`Service`] is called with each request in the order
//! of arrival; what it returns is written in that same order. Keeps I9 for the network: request
//! bytes, requests in flight, connections, idleness and unread responses all have bounds.

mod budget;
mod config;
mod connection;
mod context;
mod frame;
mod listener;
mod metrics;
mod server;
mod service;
mod writer;

pub use budget::{RequestBudget, RequestPermit};
pub use config::{NetConfig, SETTINGS};

pub use context::{ClientSoftware, ConnectionContext};
pub use frame::{Frame, FrameError, FrameReader};
pub use listener::Listener;
pub use server::Server;
pub use service::{Pending, Reply, Service};
pub(crate) use writer::write_chunks;

#[cfg(test)]
mod tests;
