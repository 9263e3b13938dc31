//! What can go wrong between a tool and a broker, and which of it is worth another try.

use kafka_protocol::error::ResponseError;

/// A failed call to a broker.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No broker of the bootstrap list answered.
    #[error("no broker reachable at {0}")]
    Unreachable(String),
    /// The connection could not be opened, or broke.
    #[error("{broker}: {source}")]
    Io {
        /// Host and port.
        broker: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The broker closed the connection, or it was closed after a protocol error.
    #[error("{0}: connection closed")]
    Closed(String),
    /// No answer within the request timeout.
    #[error("{0}: no answer within {1} ms")]
    TimedOut(String, u128),
    /// The other side does not speak the Kafka protocol, or speaks it wrongly.
    #[error("{0}")]
    Protocol(String),
    /// The broker offers no version of the API that this client knows.
    #[error("{broker} does not offer {api} in a version this client knows")]
    Unsupported {
        /// Host and port.
        broker: String,
        /// Name of the API.
        api: String,
    },
    /// The broker answered with a Kafka error code.
    #[error("{context}: {}{}", code, message.as_deref().map(|m| format!(" ({m})")).unwrap_or_default())]
    Broker {
        /// What was asked for.
        context: String,
        /// Kafka's error.
        code: ResponseError,
        /// The broker's explanation, if it gave one.
        message: Option<String>,
    },
}

impl ClientError {
    /// A Kafka error code with what was asked for.
    pub fn broker(context: impl Into<String>, code: i16, message: Option<&str>) -> Self {
        use kafka_protocol::error::ParseResponseErrorCode;
        let code = code.err().unwrap_or(ResponseError::UnknownServerError);
        let message = message.filter(|m| !m.is_empty()).map(str::to_owned);
        Self::Broker {
            context: context.into(),
            code,
            message,
        }
    }

    /// Whether the same call may succeed after a refresh of the metadata or a pause.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Io { .. } | Self::Closed(_) | Self::TimedOut(..) => true,
            Self::Protocol(_) | Self::Unsupported { .. } => false,
            Self::Broker { code, .. } => is_retriable_code(*code),
        }
    }

    /// Kafka's error, if the broker gave one.
    pub fn code(&self) -> Option<ResponseError> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// Whether Kafka marks the error as retriable, and a client that routes by metadata can act on it.
pub fn is_retriable_code(code: ResponseError) -> bool {
    // SUBTLE: an unknown topic is retriable: a topic just created may not be known to every
    // broker yet. Callers bound the retries.
    code.is_retriable()
}

/// Result of a call to a broker.
pub type Result<T> = std::result::Result<T, ClientError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_leader_is_worth_a_retry_and_a_forbidden_topic_is_not() {
        assert!(ClientError::broker("p", 6, None).is_retriable());
        assert!(ClientError::broker("p", 3, None).is_retriable());
        assert!(ClientError::Closed("b".into()).is_retriable());
        assert!(!ClientError::broker("p", 29, None).is_retriable());
        assert!(!ClientError::broker("p", 10, None).is_retriable());
    }

    #[test]
    fn the_message_of_the_broker_is_shown() {
        let shown = ClientError::broker("create topic t", 36, Some("t is there")).to_string();
        assert!(shown.starts_with("create topic t: "), "{shown}");
        assert!(shown.ends_with("(t is there)"), "{shown}");
    }
}
