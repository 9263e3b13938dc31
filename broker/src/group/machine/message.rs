//! What goes into the machine of a group and what comes out of it.

use std::time::Duration;

use bytes::Bytes;

use super::{GroupError, Protocol, SavedGroup};

/// Longest client reason kept, in bytes (KIP-800 says 255 characters).
const REASON_BYTES_MAX: usize = 255;

/// A client's reason to join or leave, as notes show it.
pub(super) fn client_reason(reason: Option<&str>) -> &str {
    let reason = reason.unwrap_or("not provided");
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

/// Names one request; the shell chooses it and finds the waiting client by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Names one save of this machine; given out in order, never reused by it. A machine made anew
/// begins anew: reports of saves of its predecessor are not for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SaveId(pub u64);

/// An input of the machine.
#[derive(Clone, Debug)]
pub enum Event {
    /// A JoinGroup request.
    Join(Ticket, JoinRequest),
    /// A SyncGroup request.
    Sync(Ticket, SyncRequest),
    /// A Heartbeat request.
    Heartbeat(Ticket, HeartbeatRequest),
    /// A LeaveGroup request.
    Leave(Ticket, LeaveRequest),
    /// The save is durable.
    Saved(SaveId),
    /// The save is not durable, or not known to be.
    SaveFailed(SaveId, SaveFailure),
    /// This process gives up coordinating the group. Whoever waits is told to look elsewhere.
    Unload,
    /// The group was deleted; see [`ClassicGroup::check_delete`](super::ClassicGroup::check_delete).
    Deleted,
    /// Time has passed; fires what is due. After a pause of the process, let in the requests that
    /// have arrived meanwhile first: a heartbeat that waited is no silence.
    Tick,
}

/// Why a save is not known to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveFailure {
    /// Another process coordinates the group now. The machine is dead afterwards.
    Fenced,
    /// It will never fit. Repeating it is useless.
    TooLarge,
    /// It was not written, or nobody knows. Clients retry, and the group rebalances.
    Unknown,
}

/// What the shell must do, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Answer a JoinGroup request.
    RespondJoin(Ticket, Result<Joined, JoinRefused>),
    /// Answer a SyncGroup request.
    RespondSync(Ticket, Result<Synced, GroupError>),
    /// Answer a Heartbeat request.
    RespondHeartbeat(Ticket, Result<(), GroupError>),
    /// Answer a LeaveGroup request.
    RespondLeave(Ticket, Result<Vec<LeftMember>, GroupError>),
    /// Make the group durable, then report [`Event::Saved`] or [`Event::SaveFailed`], exactly once
    /// and in bounded time: members wait for it, and their sessions do not end while they do.
    /// Saves of one group are applied in the order of their ids.
    Save(SaveId, SavedGroup),
    /// Something an operator may want to see in the log or count.
    Note(Note),
}

/// A turn in the life of a group, for logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A rebalance has begun.
    RebalanceStarted {
        /// The generation that ends.
        generation: i32,
        /// Why, with the client's own reason if it gave one (KIP-800).
        reason: String,
    },
    /// A generation has its assignment.
    Stabilized {
        /// The generation.
        generation: i32,
        /// Its number of members.
        members: usize,
    },
    /// A member was removed without asking for it, or left.
    MemberRemoved {
        /// The member's id.
        member_id: String,
        /// Why.
        cause: RemovalCause,
    },
}

/// Why a member is no longer in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RemovalCause {
    /// It left, or was removed by LeaveGroup.
    Left,
    /// Its session timed out, or its first join stayed parked for too long.
    SessionExpired,
    /// It did not join again before the rebalance timeout.
    DidNotRejoin,
    /// It did not send SyncGroup before the rebalance timeout.
    DidNotSync,
    /// It did not give up partitions before the rebalance timeout (KIP-848).
    DidNotRevoke,
    /// The group is over its maximum size.
    OverCapacity,
}

/// A JoinGroup request. The caller bounds the sizes of strings and metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    /// Empty for a member that has none yet.
    pub member_id: String,
    /// The id to give to a member that has none: unique, made by the shell as Kafka does, that is
    /// `<client id>-<uuid>`, or `<instance id>-<uuid>` for a static member.
    pub candidate_member_id: String,
    /// `group.instance.id` of a static member (KIP-345).
    pub instance_id: Option<String>,
    /// The client id of the request's header.
    pub client_id: String,
    /// The client's address.
    pub client_host: String,
    /// How long the member may be silent.
    pub session_timeout: Duration,
    /// How long the member may take to join again. Version 0 of the API has none: pass the session
    /// timeout.
    pub rebalance_timeout: Duration,
    /// The kind of group, for consumers `consumer`.
    pub protocol_type: String,
    /// What the member supports, preferred first.
    pub protocols: Vec<Protocol>,
    /// Why the member joins (KIP-800).
    pub reason: Option<String>,
    /// The client knows MEMBER_ID_REQUIRED (KIP-394): version 4 of the API and up.
    pub requires_known_member_id: bool,
    /// The client knows `SkipAssignment` (KIP-814): version 9 of the API and up.
    pub supports_skipping_assignment: bool,
}

/// A member's place in a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The member's id.
    pub member_id: String,
    /// The generation.
    pub generation: i32,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The chosen protocol.
    pub protocol_name: Option<String>,
    /// The leader's member id.
    pub leader: String,
    /// The leader must not compute an assignment; the present one holds (KIP-814).
    pub skip_assignment: bool,
    /// All members, for the leader; empty for everyone else.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// The member's id.
    pub member_id: String,
    /// Its instance id, if static.
    pub instance_id: Option<String>,
    /// Its metadata for the chosen protocol.
    pub metadata: Bytes,
}

/// A refused join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    /// Why.
    pub error: GroupError,
    /// The member id to put into the response: a new one with
    /// [`GroupError::MemberIdRequired`], else the request's, or empty.
    pub member_id: String,
}

/// A SyncGroup request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRequest {
    /// The member's id.
    pub member_id: String,
    /// Its instance id, if static.
    pub instance_id: Option<String>,
    /// The generation it has joined.
    pub generation: i32,
    /// The protocol type it expects; absent before version 5 of the API.
    pub protocol_type: Option<String>,
    /// The protocol it expects; absent before version 5 of the API.
    pub protocol_name: Option<String>,
    /// From the leader: each member's id and assignment.
    pub assignments: Vec<(String, Bytes)>,
}

/// A member's assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The chosen protocol.
    pub protocol_name: Option<String>,
    /// The assignment, opaque.
    pub assignment: Bytes,
}

/// A Heartbeat request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatRequest {
    /// The member's id.
    pub member_id: String,
    /// Its instance id, if static.
    pub instance_id: Option<String>,
    /// Its generation.
    pub generation: i32,
}

/// A LeaveGroup request; versions before 3 name one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveRequest {
    /// Who is to leave.
    pub members: Vec<LeavingMember>,
}

/// One of the members to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavingMember {
    /// The member's id; empty to remove a static member by its instance id.
    pub member_id: String,
    /// Its instance id, if static.
    pub instance_id: Option<String>,
    /// Why it leaves (KIP-800).
    pub reason: Option<String>,
}

/// What became of one member that was to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftMember {
    /// The member id of the request.
    pub member_id: String,
    /// The instance id of the request.
    pub instance_id: Option<String>,
    /// Why it could not leave.
    pub error: Option<GroupError>,
}
