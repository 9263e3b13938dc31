//! Why the log in FoundationDB cannot be opened.

use std::path::PathBuf;

use super::Address;
use super::database::CallError;

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is malformed.
    #[error(
        "{text:?} names no FoundationDB cluster: {why}; write fdb:/path/to/fdb.cluster or \
             fdb:/path/to/fdb.cluster?prefix=NAME"
    )]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// The cluster file is missing or is none.
    #[error("{path} is no FoundationDB cluster file: {why}", path = path.display())]
    ClusterFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The client library is of another version, or was stopped.
    #[error("the FoundationDB client cannot be used: {0}")]
    Library(String),
    /// Nobody answers.
    #[error(
        "the FoundationDB cluster of {address} ({connection}) does not answer: {why}; is it running, is its database \
         configured, can its coordinators be reached from here, and is it of version 7.3?"
    )]
    Unreachable {
        /// What was opened.
        address: Address,
        /// The line of the cluster file.
        connection: String,
        /// What the last attempt met.
        why: String,
    },
    /// Another cluster's log is there.
    #[error(
        "{address} holds the metadata log of cluster {owner}, and the bucket is that of cluster {cluster_id}: this is \
         another cluster's prefix, or another cluster's bucket; give each cluster a prefix of its own (?prefix=NAME)"
    )]
    Foreign {
        /// What was opened.
        address: Address,
        /// Whose it is.
        owner: String,
        /// Who opened it.
        cluster_id: String,
    },
    /// There is another log of this cluster.
    #[error(
        "{address} holds a metadata log of this cluster that is not its present one, which was moved since: is it the right \
         cluster file and prefix?"
    )]
    Superseded {
        /// What was opened.
        address: Address,
    },
    /// A log of this cluster is there already, which was never moved away.
    #[error(
        "{address} holds a metadata log of this cluster already: choose another prefix (?prefix=NAME)"
    )]
    InUse {
        /// Where one was to begin.
        address: Address,
    },
    /// There is something else.
    #[error(
        "{address} holds keys that are not those of a metadata log; choose another prefix (?prefix=NAME)"
    )]
    NotALog {
        /// What was opened.
        address: Address,
    },
    /// There is nothing.
    #[error("there is no metadata log at {address}: is it the right cluster file and prefix?")]
    Absent {
        /// What was opened.
        address: Address,
    },
    /// What is stored cannot be used.
    #[error("the metadata log at {address} cannot be used: {why}")]
    Unusable {
        /// What was opened.
        address: Address,
        /// What is wrong with it.
        why: String,
    },
}

impl OpenError {
    pub(super) fn unreachable(address: &Address, connection: &str, error: &CallError) -> Self {
        Self::Unreachable {
            address: address.clone(),
            connection: connection.to_owned(),
            why: error.to_string(),
        }
    }
}
