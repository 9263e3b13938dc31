//! What ListGroups shows of a group, whether a task serves it or not.

use super::kind::{GroupType, Machine};
use super::machine::GroupState;
use super::records::{self, Records};
use super::{consumer, share};

/// What ListGroups shows of a group; it would be restored so.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Summary {
    pub group_type: GroupType,
    pub state: GroupState,
    pub protocol_type: Option<String>,
    /// It has or had members.
    pub has_lived: bool,
}

impl Default for Summary {
    /// Of a group that is not restored yet.
    fn default() -> Self {
        Self {
            group_type: GroupType::Classic,
            state: GroupState::Empty,
            protocol_type: None,
            has_lived: false,
        }
    }
}

impl Summary {
    /// Of a group that was saved so and that no task serves.
    pub(super) fn of_saved(saved: &Records) -> Self {
        let state = |has_members| match has_members {
            true => GroupState::Stable,
            false => GroupState::Empty,
        };
        if consumer::is_consumer(saved) {
            return Self {
                group_type: GroupType::Consumer,
                state: state(consumer::has_members(saved)),
                protocol_type: Some("consumer".to_owned()),
                has_lived: true,
            };
        }
        if share::is_share(saved) {
            return Self {
                group_type: GroupType::Share,
                state: state(share::has_members(saved)),
                protocol_type: Some(share::PROTOCOL_TYPE.to_owned()),
                has_lived: true,
            };
        }
        let Some(classic) = records::classic_summary(saved) else {
            return Self::default();
        };
        Self {
            state: state(classic.has_members),
            protocol_type: classic.protocol_type,
            has_lived: true,
            ..Self::default()
        }
    }

    /// Of a group that is served.
    pub(super) fn update(&mut self, machine: &Machine) {
        self.group_type = machine.group_type();
        self.state = machine.state();
        self.has_lived = machine.has_lived();
        if self.protocol_type.as_deref() != machine.protocol_type() {
            self.protocol_type = machine.protocol_type().map(str::to_owned);
        }
    }
}
