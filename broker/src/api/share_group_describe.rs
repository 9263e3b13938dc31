//! ShareGroupDescribe (API key 77), version 1: KIP-932.

use futures::FutureExt;
use kafka_protocol::messages::share_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use kafka_protocol::messages::{
    ApiKey, GroupId, ShareGroupDescribeRequest, ShareGroupDescribeResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::{Answer, Api, Call, Handler};
use crate::group::consumer::TopicView;
use crate::group::machine::GroupError;
use crate::group::share::{ShareGroupView, ShareMemberView};

pub(super) const API: Api = Api {
    key: ApiKey::ShareGroupDescribe,
    versions: 1..=1,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// Operations are not authorized, so none are listed (KIP-430).
const NO_OPERATIONS: i32 = i32::MIN;

async fn handle(call: Call) -> Answer {
    let body: ShareGroupDescribeRequest = call.request.decode()?;
    let groups = call.broker.groups();
    let found = groups.look_for(&body.group_ids).await;
    let mut described = Vec::new();
    for group in body.group_ids {
        let view = match found {
            Ok(()) => groups.describe_share(&group).await,
            Err(error) => Err(error),
        };
        let is_other = view == Err(GroupError::GroupIdNotFound)
            && (groups.describe(&group).await.is_ok()
                || groups.describe_consumer(&group).await.is_ok());
        described.push(describe(group, view, is_other));
    }
    let response = ShareGroupDescribeResponse::default().with_groups(described);
    call.request.respond(&response)
}

fn describe(
    group: GroupId,
    view: Result<ShareGroupView, GroupError>,
    is_other: bool,
) -> DescribedGroup {
    let described = DescribedGroup::default()
        .with_group_id(group.clone())
        .with_authorized_operations(NO_OPERATIONS);
    match view {
        Ok(view) => described
            .with_group_state(StrBytes::from_string(view.state.to_string()))
            .with_group_epoch(view.epoch)
            .with_assignment_epoch(view.epoch)
            .with_assignor_name(StrBytes::from_static_str("simple"))
            .with_members(view.members.into_iter().map(member).collect()),
        Err(error) => {
            let message = match error {
                GroupError::GroupIdNotFound if is_other => {
                    Some(format!("Group {} is not a share group.", group.0))
                }
                GroupError::GroupIdNotFound => Some(format!("Group {} not found.", group.0)),
                _ => None,
            };
            described
                .with_error_code(error.code())
                .with_error_message(message.map(StrBytes::from_string))
        }
    }
}

fn member(view: ShareMemberView) -> Member {
    let member = view.member;
    let topics = member.topics.into_iter();
    let topics = topics.map(|topic| TopicName(StrBytes::from_string(topic)));
    Member::default()
        .with_member_id(StrBytes::from_string(member.id))
        .with_rack_id(member.rack_id.map(StrBytes::from_string))
        .with_member_epoch(member.epoch)
        .with_client_id(StrBytes::from_string(member.client_id))
        .with_client_host(StrBytes::from_string(member.client_host))
        .with_subscribed_topic_names(topics.collect())
        .with_assignment(assignment(view.assigned))
}

fn assignment(topics: Vec<TopicView>) -> Assignment {
    let topics = topics.into_iter().map(|topic| {
        TopicPartitions::default()
            .with_topic_id(topic.topic.0)
            .with_topic_name(TopicName(StrBytes::from_string(topic.name)))
            .with_partitions(topic.partitions)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
