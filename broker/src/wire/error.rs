//! What can be wrong with bytes that claim to be a Kafka request.

/// Why a frame is not a request that can be served, or a response cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The frame ends inside the named part.
    #[error("the request ends inside its {0}")]
    Truncated(&'static str),
    /// A length, count or size says more than the bytes that follow can hold.
    #[error("{what} claims {claimed} where {possible} is possible")]
    Overlong {
        /// The field or part.
        what: &'static str,
        /// The value on the wire.
        claimed: u64,
        /// The most that the rest of the frame could hold.
        possible: u64,
    },
    /// A value that no version of the protocol allows.
    #[error("{what} has the impossible value {value}")]
    Impossible {
        /// The field or part.
        what: &'static str,
        /// The value on the wire.
        value: i64,
    },
    /// The API key is not one of Kafka's.
    #[error("unknown API key {0}")]
    UnknownApi(i16),
    /// The API is known but not in this version.
    #[error("{api} has no version {version} here")]
    UnsupportedVersion {
        /// The API's name.
        api: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// The `kafka-protocol` crate refused to decode what passed the walk.
    #[error("cannot decode {api} version {version}: {reason}")]
    Decode {
        /// The API's name.
        api: &'static str,
        /// The version of the request.
        version: i16,
        /// The crate's own words.
        reason: String,
    },
    /// A response of ours could not be encoded: a bug, or a string longer than 32 KiB.
    #[error("cannot encode the response to {api} version {version}: {reason}")]
    Encode {
        /// The API's name.
        api: &'static str,
        /// The version of the response.
        version: i16,
        /// The crate's own words.
        reason: String,
    },
}
