//! The duties on a small cluster in memory, whose store and log fail.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod compacted;
mod damage;
mod deleted;
mod markers;
mod seeded;
mod world;
