//! What the APIs share that change topics and configs: refusals with Kafka's code and words, and bounds on waiting.

use std::time::Duration;

use control_plane::log::ReadError;
use control_plane::replica::SubmitError;
use control_plane::state::{State, TopicRejection};
use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;

use crate::broker::Broker;
use crate::config::in_force::BrokerLayers;
use crate::config::value::ConfigError;

/// Most partitions that one request may create, as in Kafka.
pub(super) const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// Most partitions that one request may name of those that are not about data.
const NAMED_PARTITIONS_MAX: usize = 100_000;

/// Why something is not done.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rejection {
    pub error: ResponseError,
    pub message: String,
}

impl Rejection {
    pub fn new(error: ResponseError, message: impl Into<String>) -> Self {
        Self {
            error,
            message: message.into(),
        }
    }

    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(ResponseError::InvalidRequest, message)
    }

    pub fn unknown_topic(name: &str) -> Self {
        let message = format!("The topic '{name}' does not exist.");
        Self::new(ResponseError::UnknownTopicOrPartition, message)
    }

    pub fn too_many_partitions() -> Self {
        let message = "Excessively large number of partitions per request.";
        Self::new(ResponseError::PolicyViolation, message)
    }

    /// For the response's `error_code`.
    pub fn code(&self) -> i16 {
        self.error.code()
    }

    /// For the response's `error_message`.
    pub fn told(&self) -> Option<StrBytes> {
        Some(StrBytes::from_string(self.message.clone()))
    }
}

/// The response's `error_code` and `error_message`.
pub(super) fn told(done: &Result<(), Rejection>) -> (i16, Option<StrBytes>) {
    match done {
        Ok(()) => (0, None),
        Err(why) => (why.code(), why.told()),
    }
}

/// Admin clients take this error as a sign to try again with another broker. Whether the change has been made is for the
/// client to see then.
fn ask_another(why: impl std::fmt::Display) -> Rejection {
    Rejection::new(ResponseError::NotController, why.to_string())
}

impl From<ReadError> for Rejection {
    fn from(error: ReadError) -> Self {
        ask_another(error)
    }
}

impl From<SubmitError> for Rejection {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::TooLarge(_) => Self::invalid_request(error.to_string()),
            SubmitError::Failed(_) | SubmitError::Registration(_) | SubmitError::ShuttingDown => {
                ask_another(error)
            }
        }
    }
}

impl From<TopicRejection> for Rejection {
    fn from(rejection: TopicRejection) -> Self {
        use ResponseError as E;
        let error = match rejection {
            TopicRejection::NameTaken => E::TopicAlreadyExists,
            TopicRejection::IdTaken => E::InvalidRequest,
            TopicRejection::BadName => E::InvalidTopicException,
            TopicRejection::BadPartitionCount(_) => E::InvalidPartitions,
            TopicRejection::Unknown => E::UnknownTopicOrPartition,
        };
        Self::new(error, rejection.to_string())
    }
}

impl From<ConfigError> for Rejection {
    fn from(error: ConfigError) -> Self {
        use ResponseError as E;
        let code = match error {
            ConfigError::Unknown(_)
            | ConfigError::UnknownOfGroup(_)
            | ConfigError::OutOfBounds { .. }
            | ConfigError::SettingNotAList { .. }
            | ConfigError::Invalid { .. }
            | ConfigError::TooLong
            | ConfigError::CompactionLag { .. }
            | ConfigError::RemoteStorage
            | ConfigError::NotAList { .. }
            | ConfigError::NullAtCreation(_) => E::InvalidConfig,
            ConfigError::Null(_)
            | ConfigError::Duplicate
            | ConfigError::UnknownOperation(_)
            | ConfigError::NotDynamic(_)
            | ConfigError::OfBroker(_) => E::InvalidRequest,
        };
        Self::new(code, error.to_string())
    }
}

/// What is set for this agent.
pub(super) fn layers<'a>(broker: &'a Broker, state: &'a State) -> BrokerLayers<'a> {
    BrokerLayers::new(state, broker.session().epoch(), &broker.config().resolved)
}

/// Waits until this agent knows everything that was in the log when it was asked.
pub(super) async fn catch_up(broker: &Broker) -> Result<(), Rejection> {
    Ok(broker.replica().barrier().await?)
}

/// Gives `work` the time the client allows. What it has begun by then may still come to pass.
pub(super) async fn within<T>(
    timeout_ms: i32,
    work: impl Future<Output = T>,
) -> Result<T, Rejection> {
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    tokio::time::timeout(timeout, work)
        .await
        .map_err(|_| Rejection::new(ResponseError::RequestTimedOut, "The request timed out."))
}

/// Refuses a request that names too many partitions, `counts` being how many of each topic.
pub(super) fn check_named_partitions(counts: impl Iterator<Item = usize>) -> Result<(), Rejection> {
    match counts.sum::<usize>() {
        0..=NAMED_PARTITIONS_MAX => Ok(()),
        _ => Err(Rejection::too_many_partitions()),
    }
}

/// Longest topic name.
const NAME_CHARS_MAX: usize = 249;

/// Kafka's rules for topic names, with Kafka's words.
pub(super) fn check_topic_name(name: &str) -> Result<(), Rejection> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let problem = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.chars().count() > NAME_CHARS_MAX {
        format!("the length of '{name}' is longer than the max allowed length {NAME_CHARS_MAX}")
    } else if !name.chars().all(is_legal) {
        format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        )
    } else {
        return Ok(());
    };
    let message = format!("Topic name is invalid: {problem}");
    Err(Rejection::new(
        ResponseError::InvalidTopicException,
        message,
    ))
}

/// Checks one partition's replicas in a manual assignment: there is one at least, and none twice. Which brokers they are
/// does not matter, for every agent serves every partition.
pub(super) fn check_replicas(
    replicas: &[kafka_protocol::messages::BrokerId],
) -> Result<(), Rejection> {
    let refuse = |message: String| {
        Err(Rejection::new(
            ResponseError::InvalidReplicaAssignment,
            message,
        ))
    };
    if replicas.is_empty() {
        return refuse(
            "The manual partition assignment includes an empty replica list.".to_owned(),
        );
    }
    let mut sorted: Vec<i32> = replicas.iter().map(|id| id.0).collect();
    sorted.sort_unstable();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        let twice = pair[0];
        return refuse(format!(
            "The manual partition assignment includes the broker {twice} more than once."
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use control_plane::state::is_legal_topic_name;

    use super::*;

    #[test]
    fn topic_names_follow_kafkas_rules_and_words() {
        let long = "x".repeat(250);
        let other =
            "contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'";
        for (name, problem) in [
            ("", "the empty string is not allowed".to_owned()),
            (".", "'.' is not allowed".to_owned()),
            ("..", "'..' is not allowed".to_owned()),
            ("a b", format!("'a b' {other}")),
            ("a/b", format!("'a/b' {other}")),
            ("ä", format!("'ä' {other}")),
            (
                &long,
                format!("the length of '{long}' is longer than the max allowed length 249"),
            ),
        ] {
            let rejection = check_topic_name(name).unwrap_err();
            assert_eq!(rejection.error, ResponseError::InvalidTopicException);
            assert_eq!(
                rejection.message,
                format!("Topic name is invalid: {problem}")
            );
            assert!(
                !is_legal_topic_name(name),
                "the metadata would take {name:?}"
            );
        }
        for name in ["a", "A.b_c-9", "...", &long[1..]] {
            assert_eq!(check_topic_name(name), Ok(()));
            assert!(
                is_legal_topic_name(name),
                "the metadata would not take {name:?}"
            );
        }
    }

    #[test]
    fn requests_may_not_name_partitions_without_end() {
        assert_eq!(check_named_partitions([60_000, 40_000].into_iter()), Ok(()));
        assert_eq!(
            check_named_partitions([60_000, 40_001].into_iter()),
            Err(Rejection::too_many_partitions())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_clients_timeout() {
        let never = within(500, std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(never.error, ResponseError::RequestTimedOut);
        assert_eq!(
            within(-1, async { 1 }).await,
            Ok(1),
            "what is ready needs no time"
        );
    }
}
