//! Decides, purely, to which agent of the zone a block belongs: who wrote the object, because what was just written is in
//! the writer's memory, else the choice of rendezvous hashing. When an agent comes or goes, only its own blocks move.

use std::collections::BTreeSet;

use control_plane::state::State;
use object_format::AgentEpoch;

use crate::fetch::block::BlockKey;
use crate::topology::mix;

/// The agents between which the blocks of a zone are divided; this one is among them if it is well.
///
/// An agent of no zone has nobody: its neighbours may be in other zones, and what leaves a zone costs a hundred times the
/// GET that it saves.
pub(super) fn candidates(
    state: &State,
    own: AgentEpoch,
    doubtful: &BTreeSet<AgentEpoch>,
) -> Vec<AgentEpoch> {
    let zone = state
        .agent(own)
        .and_then(|agent| agent.registration.zone.as_deref());
    if zone.is_none() {
        return vec![];
    }
    let serves = state.agents().filter(|(epoch, agent)| {
        let registration = &agent.registration;
        let is_reached = !registration.host.is_empty() && !registration.peer_address.is_empty();
        let is_well = !agent.draining && !doubtful.contains(epoch);
        registration.zone.as_deref() == zone && is_reached && is_well
    });
    serves.map(|(epoch, _)| epoch).collect()
}

/// To whom of the candidates a block belongs; none if there are none.
pub(super) fn owner(key: &BlockKey, candidates: &[AgentEpoch]) -> Option<AgentEpoch> {
    let writer = key.object.writer;
    if candidates.contains(&writer) {
        return Some(writer);
    }
    let weight = |&epoch: &AgentEpoch| {
        let words = [writer.0, key.object.sequence, key.index, epoch.0];
        let mut bytes = [0; 32];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        (mix(&bytes), epoch)
    };
    candidates.iter().copied().max_by_key(weight)
}

#[cfg(test)]
mod tests {
    use object_format::ObjectId;

    use super::*;

    fn blocks(writer: u64) -> impl Iterator<Item = BlockKey> {
        (0..600).map(move |n| BlockKey {
            object: ObjectId {
                writer: AgentEpoch(writer),
                sequence: n / 3,
            },
            index: n % 3,
            object_bytes: 16 << 20,
        })
    }

    fn agents(epochs: &[u64]) -> Vec<AgentEpoch> {
        epochs.iter().copied().map(AgentEpoch).collect()
    }

    #[test]
    fn what_an_agent_wrote_is_its_own_while_it_is_there() {
        let all = agents(&[3, 4, 9]);
        assert!(blocks(4).all(|key| owner(&key, &all) == Some(AgentEpoch(4))));
        assert!(blocks(4).all(|key| owner(&key, &agents(&[3, 9])) != Some(AgentEpoch(4))));
        assert_eq!(owner(&blocks(4).next().unwrap(), &[]), None);
    }

    #[test]
    fn the_rest_is_spread_and_only_what_belonged_to_who_leaves_moves() {
        let all = agents(&[3, 4, 9, 12]);
        for &agent in &all {
            let share = blocks(1)
                .filter(|key| owner(key, &all) == Some(agent))
                .count();
            assert!((100..200).contains(&share), "{agent} has {share} of 600");
        }
        let left = agents(&[3, 9, 12]);
        for key in blocks(1) {
            let (before, after) = (owner(&key, &all), owner(&key, &left));
            assert!(
                after == before || before == Some(AgentEpoch(4)),
                "{key:?} moved"
            );
        }
    }
}
