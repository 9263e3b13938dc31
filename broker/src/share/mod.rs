//! Share groups (KIP-932): many consumers share the records of a partition, one by one.

pub mod partition;
