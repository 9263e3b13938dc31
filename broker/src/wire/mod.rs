//! The Kafka wire protocol at the byte level: frames in, typed requests out, responses as bytes.
//!
//! Owns the rule that nothing from the network reaches the decoder of the `kafka-protocol` crate
//! before it was walked against its schema: a [`Request`] can only be had from
//! [`decode_request`], which walks, and only a [`Request`] can be decoded.

mod error;
pub mod fetch_response;
mod reader;
mod request;
mod response;
mod shape;
pub mod share_fetch_response;

pub use error::WireError;
pub use request::{Request, api_name, decode_request};
pub use response::{ResponseBytes, encode_response};
