//! Consumer groups: the coordinator's pure machine, and the shell that runs it.

pub mod machine;
