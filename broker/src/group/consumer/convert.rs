//! Groups that change their protocol while they live: a classic group becomes a consumer group when
//! a member of the consumer protocol joins it, and is a classic group again when the last of them
//! has gone.

use std::sync::Arc;
use std::time::Duration;

use super::ConsumerLimits;
use super::embedded;
use super::group::ConsumerGroup;
use super::member::{ClassicSelf, Member, MemberState};
use crate::group::machine::{Limits, Protocol, SaveId, SavedGroup, SavedMember};
use crate::group::topics::Topics;

/// Why a classic group does not become a consumer group; the text is for the operator.
#[derive(Debug)]
pub(in crate::group) struct NotConvertible(pub &'static str);

/// The consumer group that a classic group with members becomes. Named are its
/// records and the last save it asked for.
pub(in crate::group) fn to_consumer(
    limits: ConsumerLimits,
    classic_limits: Limits,
    classic: SavedGroup,
    topics: Arc<Topics>,
    (stale, last_save): (Vec<String>, SaveId),
    now: Duration,
) -> Result<ConsumerGroup, NotConvertible> {
    if !limits.migration.allows_upgrade() {
        return Err(NotConvertible("the online upgrade is disabled"));
    }
    if classic.protocol_type.as_deref() != Some(embedded::CONSUMER) {
        return Err(NotConvertible("it does not use the consumer protocol"));
    }
    if classic.members.len() > limits.members_max {
        return Err(NotConvertible(
            "it has more members than a consumer group may have",
        ));
    }
    let generation = classic.generation;
    let convert = |member: SavedMember| {
        let protocol = classic.protocol_name.as_deref();
        to_member(member, protocol, generation, &topics)
    };
    let members: Option<Vec<Member>> = classic.members.into_iter().map(convert).collect();
    let members = members.ok_or(NotConvertible("a member's subscription cannot be read"))?;

    let mut group = ConsumerGroup::new(limits, classic_limits, stale, last_save);
    group.now = now;
    group.topics = topics;
    group.head.epoch = generation;
    group.head.target_epoch = generation;
    for mut member in members {
        // Of two members that say they own a partition, one does.
        member.assigned = member
            .assigned
            .iter()
            .filter(|p| !group.roster.is_held(*p))
            .collect();
        member.target = member.assigned.clone();
        group.start_session(&member);
        group.roster.put(member);
    }
    group.look_at_topics();
    Ok(group)
}

fn to_member(
    member: SavedMember,
    protocol: Option<&str>,
    generation: i32,
    topics: &Topics,
) -> Option<Member> {
    let chosen = |p: &&Protocol| Some(p.name.as_str()) == protocol;
    let chosen = member.protocols.iter().find(chosen);
    let subscription = embedded::subscription(&chosen.or(member.protocols.first())?.metadata)?;
    let assigned = embedded::assignment(&member.assignment)?;
    let assigned = embedded::assignment_of(&assigned, topics);
    Some(Member {
        instance_id: member.instance_id,
        rack_id: subscription.rack_id,
        client_id: member.client_id,
        client_host: member.client_host,
        rebalance_timeout: Duration::from_millis(member.rebalance_timeout_ms.into()),
        topics: subscription.topics.into_iter().collect(),
        classic: Some(ClassicSelf {
            session_timeout: Duration::from_millis(member.session_timeout_ms.into()),
            protocols: member.protocols,
        }),
        epoch: generation,
        previous_epoch: generation,
        state: MemberState::Stable,
        assigned,
        ..Member::new(&member.member_id)
    })
}

impl ConsumerGroup {
    /// Whether only members of the classic protocol are left, and the group may be theirs again.
    pub(super) fn is_to_downgrade(&self) -> bool {
        !self.roster.is_empty()
            && self.roster.iter().all(|m| m.classic.is_some())
            && self.limits.migration.allows_downgrade()
            && self.roster.len() <= self.classic_limits.members_max
    }

    /// Whether the group is to be a classic group from now on: see [`ConsumerGroup::to_classic`].
    pub(in crate::group) fn is_outgrown(&self) -> bool {
        self.is_outgrown
    }

    /// The classic group that this becomes; its members join again.
    pub(in crate::group) fn to_classic(&self) -> SavedGroup {
        let members = self.roster.iter().filter_map(|member| {
            let classic = member.classic.clone()?;
            let version = classic.protocols.first();
            let version = version.map_or(0, |p| embedded::version(&p.metadata));
            Some(SavedMember {
                member_id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                session_timeout_ms: whole_ms(classic.session_timeout),
                rebalance_timeout_ms: whole_ms(member.rebalance_timeout),
                protocols: classic.protocols,
                assignment: embedded::write_assignment(version, &member.target, &self.topics),
            })
        });
        let members: Vec<SavedMember> = members.collect();
        let first = members.first().and_then(|m| m.protocols.first());
        SavedGroup {
            generation: self.head.epoch,
            protocol_type: Some(embedded::CONSUMER.to_owned()),
            protocol_name: first.map(|p| p.name.clone()),
            leader: members.first().map(|m| m.member_id.clone()),
            members,
        }
    }
}

fn whole_ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
