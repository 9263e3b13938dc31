//! The metadata plane: commands, the state machine they drive, the log that orders them, checkpoints.

pub mod checkpoint;
pub mod cluster;
pub mod log;
pub mod metric_definitions;
pub mod relocation;
pub mod replica;
pub mod state;
