//! DeleteTopics (API key 20), versions 1 to 6: KIP-4, KIP-516 (by id from version 6), KIP-599.
//!
//! To clients a deleted topic is gone at once, and its name is free. What there was of it is kept for
//! `topic.undelete.window.ms`, under its id.

use std::collections::HashMap;

use control_plane::state::{DeleteTopic, State, TopicRejection};
use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{ApiKey, DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use object_format::TopicId;

use super::admin::{Rejection, catch_up, within};
use super::{Answer, Api, Call, Handler};
use crate::broker::Broker;

pub(super) const API: Api = Api {
    key: ApiKey::DeleteTopics,
    versions: 1..=6,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: DeleteTopicsRequest = call.request.decode()?;
    let mut wanted = body.topics;
    let by_name = |name| DeleteTopicState::default().with_name(Some(name));
    wanted.extend(body.topic_names.into_iter().map(by_name));
    let responses = match within(body.timeout_ms, delete(&call.broker, &wanted)).await {
        Ok(Ok(responses)) => responses,
        Ok(Err(rejection)) | Err(rejection) => wanted
            .iter()
            .map(|topic| refused(topic, &rejection))
            .collect(),
    };
    call.request
        .respond(&DeleteTopicsResponse::default().with_responses(responses))
}

async fn delete(
    broker: &Broker,
    wanted: &[DeleteTopicState],
) -> Result<Vec<DeletableTopicResult>, Rejection> {
    catch_up(broker).await?;
    let found = broker.replica().read(|state| find_all(state, wanted));
    let mut begun = Vec::with_capacity(found.len());
    for found in found {
        begun.push(match found {
            Ok((id, name)) => {
                let window_ms = broker.config().undelete_window_ms;
                let delete = DeleteTopic { id, window_ms };
                let outcome = broker.session().enqueue(delete).await;
                outcome
                    .map(|outcome| (id, name, outcome))
                    .map_err(Rejection::from)
            }
            Err(rejection) => Err(rejection),
        });
    }
    let mut responses = Vec::with_capacity(begun.len());
    for (topic, begun) in wanted.iter().zip(begun) {
        let done = match begun {
            Ok((id, name, outcome)) => match outcome.await {
                Ok(Ok(())) => Ok((id, name)),
                // Somebody else was faster.
                Ok(Err(TopicRejection::Unknown)) => Err(unknown(topic)),
                Ok(Err(rejection)) => Err(rejection.into()),
                Err(error) => Err(error.into()),
            },
            Err(rejection) => Err(rejection),
        };
        responses.push(match done {
            Ok((id, name)) => DeletableTopicResult::default()
                .with_name(Some(TopicName(StrBytes::from_string(name))))
                .with_topic_id(id.0),
            Err(rejection) => refused(topic, &rejection),
        });
    }
    Ok(responses)
}

fn refused(topic: &DeleteTopicState, rejection: &Rejection) -> DeletableTopicResult {
    DeletableTopicResult::default()
        .with_name(topic.name.clone())
        .with_topic_id(topic.topic_id)
        .with_error_code(rejection.code())
        .with_error_message(rejection.told())
}

fn unknown(topic: &DeleteTopicState) -> Rejection {
    if topic.name.is_some() {
        let message = "This server does not host this topic-partition.";
        Rejection::new(ResponseError::UnknownTopicOrPartition, message)
    } else {
        Rejection::new(
            ResponseError::UnknownTopicId,
            "This server does not host this topic ID.",
        )
    }
}

/// The topics that are meant. One that is meant twice is not deleted at all.
fn find_all(
    state: &State,
    wanted: &[DeleteTopicState],
) -> Vec<Result<(TopicId, String), Rejection>> {
    let mut found: Vec<_> = wanted.iter().map(|topic| find(state, topic)).collect();
    let mut times: HashMap<TopicId, usize> = HashMap::new();
    for (id, _) in found.iter().flatten() {
        *times.entry(*id).or_default() += 1;
    }
    for (topic, found) in wanted.iter().zip(&mut found) {
        if found
            .as_ref()
            .is_ok_and(|(id, _)| times.get(id).is_some_and(|times| *times > 1))
        {
            let what = if topic.name.is_some() { "name" } else { "id" };
            *found = Err(Rejection::invalid_request(format!(
                "Duplicate topic {what}."
            )));
        }
    }
    found
}

fn find(state: &State, topic: &DeleteTopicState) -> Result<(TopicId, String), Rejection> {
    match (&topic.name, topic.topic_id.is_nil()) {
        (Some(_), false) => Err(Rejection::invalid_request(
            "You may not specify both topic name and topic id.",
        )),
        (None, true) => Err(Rejection::invalid_request(
            "Neither topic name nor id were specified.",
        )),
        (Some(name), true) => {
            let (id, found) = state.topic_named(name).ok_or_else(|| unknown(topic))?;
            Ok((id, found.name.clone()))
        }
        (None, false) => {
            let id = TopicId(topic.topic_id);
            let found = state.topic(id).ok_or_else(|| unknown(topic))?;
            Ok((id, found.name.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::Encodable;
    use uuid::Uuid;

    use super::super::testing::state_with;
    use super::*;

    fn named(name: &'static str) -> DeleteTopicState {
        let name = TopicName(StrBytes::from_static_str(name));
        DeleteTopicState::default().with_name(Some(name))
    }

    fn by_id(id: Uuid) -> DeleteTopicState {
        DeleteTopicState::default()
            .with_name(None)
            .with_topic_id(id)
    }

    #[test]
    fn topics_are_found_by_name_or_id_and_refusals_have_kafkas_words() {
        use ResponseError as E;
        let state = state_with(&[("a", 1), ("b", 1)]);
        let (a, b) = (
            state.topic_named("a").unwrap().0,
            state.topic_named("b").unwrap().0,
        );
        let found = find_all(&state, &[named("a"), by_id(b.0)]);
        assert_eq!(found, [Ok((a, "a".to_owned())), Ok((b, "b".to_owned()))]);
        for (topic, error, message) in [
            (
                named("zzz"),
                E::UnknownTopicOrPartition,
                "This server does not host this topic-partition.",
            ),
            (
                by_id(Uuid::from_u128(5)),
                E::UnknownTopicId,
                "This server does not host this topic ID.",
            ),
            (
                named("a").with_topic_id(a.0),
                E::InvalidRequest,
                "You may not specify both topic name and topic id.",
            ),
            (
                by_id(Uuid::nil()),
                E::InvalidRequest,
                "Neither topic name nor id were specified.",
            ),
        ] {
            assert_eq!(
                find_all(&state, &[topic]),
                [Err(Rejection::new(error, message))]
            );
        }
        let twice = find_all(&state, &[named("a"), by_id(a.0), by_id(b.0)]);
        assert_eq!(
            twice[0],
            Err(Rejection::invalid_request("Duplicate topic name."))
        );
        assert_eq!(
            twice[1],
            Err(Rejection::invalid_request("Duplicate topic id."))
        );
        assert!(twice[2].is_ok());
    }

    #[test]
    fn refusals_can_be_told_in_every_version() {
        let rejection = unknown(&named("zzz"));
        let results = vec![refused(&named("zzz"), &rejection)];
        let response = DeleteTopicsResponse::default().with_responses(results);
        for version in API.versions {
            response
                .encode(&mut bytes::BytesMut::new(), version)
                .unwrap();
        }
    }
}
