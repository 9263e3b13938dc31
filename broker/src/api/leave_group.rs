//! LeaveGroup (API key 13), versions 0 to 5: KIP-345 (batched from version 3), KIP-800.

use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{ApiKey, LeaveGroupRequest, LeaveGroupResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Answer, Api, Call, Handler};
use crate::group::machine::{GroupError, LeaveRequest, LeavingMember, LeftMember};

pub(super) const API: Api = Api {
    key: ApiKey::LeaveGroup,
    versions: 0..=5,
    handler: Handler::InTurn(|call| handle(call).boxed()),
};

async fn handle(call: Call) -> Answer {
    let body: LeaveGroupRequest = call.request.decode()?;
    let version = call.request.version();
    let response = if body.group_id.is_empty() {
        refused(ResponseError::InvalidGroupId.code())
    } else {
        let leave = leave_request(&body, version);
        let answer = call
            .broker
            .groups()
            .leave(&body.group_id, leave.clone())
            .await;
        respond(answer, leave, version)
    };
    let answer = call.request.respond(&response)?;
    Ok(answer.with_error_code(response.error_code))
}

fn leave_request(body: &LeaveGroupRequest, version: i16) -> LeaveRequest {
    let members = match version {
        0..=2 => vec![LeavingMember {
            member_id: body.member_id.to_string(),
            instance_id: None,
            reason: None,
        }],
        _ => {
            let leaving = body.members.iter().map(|member| LeavingMember {
                member_id: member.member_id.to_string(),
                instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
                reason: member.reason.as_ref().map(ToString::to_string),
            });
            leaving.collect()
        }
    };
    LeaveRequest { members }
}

fn respond(
    answer: Result<Vec<LeftMember>, GroupError>,
    asked: LeaveRequest,
    version: i16,
) -> LeaveGroupResponse {
    let left = match answer {
        Ok(left) => left,
        // The group does not exist, so none of them is a member.
        Err(error @ GroupError::UnknownMemberId) => {
            let unknown = asked.members.into_iter().map(|member| LeftMember {
                member_id: member.member_id,
                instance_id: member.instance_id,
                error: Some(error),
            });
            unknown.collect()
        }
        Err(error) => return refused(error.code()),
    };
    let code = |member: &LeftMember| member.error.map_or(0, GroupError::code);
    if version <= 2 {
        return refused(left.first().map_or(0, code));
    }
    let members = left.into_iter().map(|member| {
        let error_code = code(&member);
        MemberResponse::default()
            .with_member_id(StrBytes::from_string(member.member_id))
            .with_group_instance_id(member.instance_id.map(StrBytes::from_string))
            .with_error_code(error_code)
    });
    LeaveGroupResponse::default().with_members(members.collect())
}

fn refused(error_code: i16) -> LeaveGroupResponse {
    LeaveGroupResponse::default().with_error_code(error_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(version: i16) -> LeaveRequest {
        let member = kafka_protocol::messages::leave_group_request::MemberIdentity::default()
            .with_member_id(StrBytes::from_static_str("b"))
            .with_group_instance_id(Some(StrBytes::from_static_str("i")));
        let body = match version {
            0..=2 => LeaveGroupRequest::default().with_member_id(StrBytes::from_static_str("a")),
            _ => LeaveGroupRequest::default().with_members(vec![member]),
        };
        leave_request(&body, version)
    }

    #[test]
    fn one_member_is_answered_by_the_response_and_several_one_by_one() {
        let gone = Err(GroupError::UnknownMemberId);
        let one = respond(gone.clone(), asked(2), 2);
        assert_eq!((one.error_code, one.members.len()), (25, 0));
        let several = respond(gone, asked(3), 3);
        assert_eq!((several.error_code, several.members[0].error_code), (0, 25));
        assert_eq!(&*several.members[0].member_id, "b");
        assert_eq!(several.members[0].group_instance_id.as_deref(), Some("i"));
        let moved = respond(Err(GroupError::NotCoordinator), asked(3), 3);
        assert_eq!((moved.error_code, moved.members.len()), (16, 0));
    }
}
