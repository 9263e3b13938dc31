//! The duties on a small cluster in memory, whose store and log fail.

mod compacted;
mod damage;
mod seeded;
mod world;
