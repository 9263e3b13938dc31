//! Owns what a process tells about itself: its log, its metrics, and the small server that shows
//! both its health and its metrics.

pub mod metric;

mod admin;
mod logging;
mod readiness;
mod recorder;

pub use admin::AdminServer;
pub use logging::{LogFormat, LoggingError, init_logging};
pub use readiness::{Condition, Readiness};
pub use recorder::{Metrics, RecorderError};
