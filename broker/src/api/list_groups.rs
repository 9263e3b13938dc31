//! ListGroups (API key 16), versions 0 to 5: KIP-518 (states), KIP-848 (types).
//!
//! As in Kafka each agent lists the groups it coordinates. A group that nobody alive coordinates is
//! listed by the agent that FindCoordinator names for it.

use futures::FutureExt;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{ApiKey, GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Answer, Api, Call, Handler};
use crate::group::Listed;

pub(super) const API: Api = Api {
    key: ApiKey::ListGroups,
    versions: 0..=5,
    handler: Handler::InTurn(|call| async move { handle(&call) }.boxed()),
};

fn handle(call: &Call) -> Answer {
    let body: ListGroupsRequest = call.request.decode()?;
    let version = call.request.version();
    let listed = call.broker.groups().list().into_iter();
    let groups = listed
        .filter(|group| is_wanted(&body, group))
        .map(|group| describe(group, version))
        .collect();
    call.request
        .respond(&ListGroupsResponse::default().with_groups(groups))
}

/// Whether the filters let a group through; an empty filter lets everything through, and case is
/// ignored.
fn is_wanted(body: &ListGroupsRequest, group: &Listed) -> bool {
    let passes = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|f| f.eq_ignore_ascii_case(value))
    };
    passes(&body.states_filter, &group.state.to_string())
        && passes(&body.types_filter, &group.group_type.to_string())
}

fn describe(group: Listed, version: i16) -> ListedGroup {
    let listed = ListedGroup::default()
        .with_group_id(GroupId(StrBytes::from_string(group.group)))
        .with_protocol_type(StrBytes::from_string(group.protocol_type));
    let listed = match version {
        0..=3 => listed,
        _ => listed.with_group_state(StrBytes::from_string(group.state.to_string())),
    };
    match version {
        0..=4 => listed,
        _ => listed.with_group_type(StrBytes::from_string(group.group_type.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::Encodable;

    use super::*;
    use crate::group::GroupType;
    use crate::group::machine::GroupState;

    fn group(state: GroupState) -> Listed {
        Listed {
            group: "g".into(),
            group_type: GroupType::Classic,
            state,
            protocol_type: "consumer".into(),
        }
    }

    #[test]
    fn filters_name_states_and_types_in_any_case() {
        let list = |states: &[&'static str], types: &[&'static str]| {
            let words = |words: &[&'static str]| {
                words
                    .iter()
                    .copied()
                    .map(StrBytes::from_static_str)
                    .collect()
            };
            let body = ListGroupsRequest::default()
                .with_states_filter(words(states))
                .with_types_filter(words(types));
            is_wanted(&body, &group(GroupState::PreparingRebalance))
        };
        assert!(list(&[], &[]));
        assert!(list(&["Stable", "preparingrebalance"], &["Classic"]));
        assert!(!list(&["Stable"], &[]));
        assert!(!list(&[], &["consumer"]));
    }

    #[test]
    fn every_answer_can_be_written_in_every_version() {
        for version in API.versions {
            let listed = describe(group(GroupState::Stable), version);
            let body = ListGroupsResponse::default().with_groups(vec![listed]);
            body.encode(&mut bytes::BytesMut::new(), version).unwrap();
        }
    }
}
