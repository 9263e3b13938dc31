//! ConsumerGroupDescribe (API key 69), versions 0 and 1: KIP-848, KIP-1099 (member types).

use futures::FutureExt;
use kafka_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use kafka_protocol::messages::{
    ApiKey, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::{Answer, Api, Call, Handler};
use crate::group::consumer::{ConsumerGroupView, ConsumerMemberView, TopicView};
use crate::group::machine::GroupError;

pub(super) const API: Api = Api {
    key: ApiKey::ConsumerGroupDescribe,
    versions: 0..=1,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

/// Operations are not authorized, so none are listed (KIP-430).
const NO_OPERATIONS: i32 = i32::MIN;

async fn handle(call: Call) -> Answer {
    let body: ConsumerGroupDescribeRequest = call.request.decode()?;
    let version = call.request.version();
    let groups = call.broker.groups();
    let found = groups.look_for(&body.group_ids).await;
    let mut described = Vec::new();
    for group in body.group_ids {
        let view = match found {
            Ok(()) => groups.describe_consumer(&group).await,
            Err(error) => Err(error),
        };
        let is_other = view == Err(GroupError::GroupIdNotFound)
            && (groups.is_share(&group) || groups.describe(&group).await.is_ok());
        described.push(describe(group, view, is_other, version));
    }
    let response = ConsumerGroupDescribeResponse::default().with_groups(described);
    call.request.respond(&response)
}

fn describe(
    group: GroupId,
    view: Result<ConsumerGroupView, GroupError>,
    is_other: bool,
    version: i16,
) -> DescribedGroup {
    let described = DescribedGroup::default()
        .with_group_id(group.clone())
        .with_authorized_operations(NO_OPERATIONS);
    match view {
        Ok(view) => described
            .with_group_state(StrBytes::from_string(view.state.to_string()))
            .with_group_epoch(view.epoch)
            .with_assignment_epoch(view.target_epoch)
            .with_assignor_name(StrBytes::from_static_str(view.assignor))
            .with_members(view.members.into_iter().map(member(version)).collect()),
        Err(error) => {
            let message = match error {
                GroupError::GroupIdNotFound if is_other => {
                    Some(format!("Group {} is not a consumer group.", group.0))
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

fn member(version: i16) -> impl Fn(ConsumerMemberView) -> Member {
    move |view| {
        let member = view.member;
        let topics = member.topics.into_iter();
        let topics = topics.map(|topic| TopicName(StrBytes::from_string(topic)));
        let described = Member::default()
            .with_member_id(StrBytes::from_string(member.id))
            .with_instance_id(member.instance_id.map(StrBytes::from_string))
            .with_rack_id(member.rack_id.map(StrBytes::from_string))
            .with_member_epoch(member.epoch)
            .with_client_id(StrBytes::from_string(member.client_id))
            .with_client_host(StrBytes::from_string(member.client_host))
            .with_subscribed_topic_names(topics.collect())
            .with_subscribed_topic_regex(member.regex.map(StrBytes::from_string))
            .with_assignment(assignment(view.assigned))
            .with_target_assignment(assignment(view.target));
        match version {
            0 => described,
            _ => described.with_member_type(view.kind as i8),
        }
    }
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
