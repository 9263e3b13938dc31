//! The one door to the world: object stores, time, randomness, tasks, the end of the process,
//! settings and telemetry. Nothing else in this workspace reads a clock, draws a random number or
//! opens a store.

pub mod clock;
pub mod descriptors;
pub mod log_once;
pub mod memory;
pub mod metric_definitions;
pub mod rng;
pub mod settings;
pub mod shutdown;
pub mod store;
pub mod tasks;
pub mod telemetry;

pub use clock::{Clock, SharedClock, SimClock, SystemClock};
pub use log_once::Trouble;
pub use rng::Rng;
pub use settings::{Resolved, Setting, Settings};
pub use shutdown::{Reason, Shutdown};
pub use store::{Duty, Store};
pub use tasks::TaskGroup;
