//! DescribeGroups (API key 15), versions 0 to 6: KIP-345, KIP-430, KIP-1043.

use futures::FutureExt;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{ApiKey, DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use kafka_protocol::protocol::StrBytes;

use super::{Answer, Api, Call, Handler};
use crate::group::machine::{GroupError, GroupState, GroupView, MemberView};

pub(super) const API: Api = Api {
    key: ApiKey::DescribeGroups,
    versions: 0..=6,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// Operations are not authorized, so none are listed (KIP-430).
const NO_OPERATIONS: i32 = i32::MIN;

async fn handle(call: Call) -> Answer {
    let body: DescribeGroupsRequest = call.request.decode()?;
    let version = call.request.version();
    let groups = call.broker.groups();
    let found = groups.look_for(&body.groups).await;
    let mut described = Vec::new();
    for group in body.groups {
        let view = match found {
            Ok(()) => groups.describe(&group).await,
            Err(error) => Err(error),
        };
        described.push(describe(group, view, version));
    }
    call.request
        .respond(&DescribeGroupsResponse::default().with_groups(described))
}

fn describe(group: GroupId, view: Result<GroupView, GroupError>, version: i16) -> DescribedGroup {
    let described = DescribedGroup::default()
        .with_group_id(group.clone())
        .with_authorized_operations(NO_OPERATIONS);
    let dead = || StrBytes::from_string(GroupState::Dead.to_string());
    match view {
        Ok(view) => described
            .with_group_state(StrBytes::from_string(view.state.to_string()))
            .with_protocol_type(StrBytes::from_string(view.protocol_type))
            .with_protocol_data(StrBytes::from_string(view.protocol_name))
            .with_members(view.members.into_iter().map(member(version)).collect()),
        // Before version 6 a group that does not exist is merely dead.
        Err(GroupError::GroupIdNotFound) if version < 6 => described.with_group_state(dead()),
        Err(error @ GroupError::GroupIdNotFound) => {
            let message = format!("Group {} not found.", group.0);
            described
                .with_group_state(dead())
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(message)))
        }
        Err(error) => described.with_error_code(error.code()),
    }
}

fn member(version: i16) -> impl Fn(MemberView) -> DescribedGroupMember {
    move |member| {
        let instance_id = member.instance_id.filter(|_| version >= 4);
        DescribedGroupMember::default()
            .with_member_id(StrBytes::from_string(member.member_id))
            .with_group_instance_id(instance_id.map(StrBytes::from_string))
            .with_client_id(StrBytes::from_string(member.client_id))
            .with_client_host(StrBytes::from_string(member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::protocol::Encodable;

    use super::*;

    #[test]
    fn every_answer_can_be_written_in_every_version() {
        let member = MemberView {
            member_id: "m".into(),
            instance_id: Some("i".into()),
            client_id: "c".into(),
            client_host: "/h".into(),
            metadata: Bytes::from_static(b"x"),
            assignment: Bytes::from_static(b"y"),
        };
        let view = GroupView {
            state: GroupState::Stable,
            protocol_type: "consumer".into(),
            protocol_name: "range".into(),
            members: vec![member],
        };
        for version in API.versions {
            let id = || GroupId(StrBytes::from_static_str("g"));
            let found = describe(id(), Ok(view.clone()), version);
            let absent = describe(id(), Err(GroupError::GroupIdNotFound), version);
            assert_eq!(&*absent.group_state, "Dead");
            assert_eq!(absent.error_code, if version < 6 { 0 } else { 69 });
            let body = DescribeGroupsResponse::default().with_groups(vec![found, absent]);
            body.encode(&mut bytes::BytesMut::new(), version).unwrap();
        }
    }
}
