//! The one door to the world: object stores, time, randomness, tasks, the end of the process,
//! settings and telemetry. Nothing else in this workspace reads a clock, draws a random number or
//! opens a store.

pub mod clock;
pub mod rng;
pub mod settings;
pub mod shutdown;
pub mod store;

pub use clock::{Clock, SharedClock, SimClock, SystemClock};
pub use rng::Rng;
pub use shutdown::{Reason, Shutdown};
pub use store::{Duty, Store};
