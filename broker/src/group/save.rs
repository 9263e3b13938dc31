//! Saving a change of a group: as one command if it fits, else in parts that take effect together.

use bytes::Bytes;
use control_plane::replica::Session;
use control_plane::state::SaveGroup;

use super::ask::Write;
use super::machine::GroupError;
use super::offsets::write;
use super::records::Change;

/// Bytes of records in one command: half of what it may have. A record alone may be larger.
const PART_BYTES: usize = 512 << 10;

/// More than a record takes beside its name and its bytes.
const RECORD_BYTES: usize = 16;

/// Puts a change into the order of the metadata log.
pub(super) async fn save(
    session: &Session,
    group: &str,
    epoch: u64,
    change: Change,
) -> Result<Vec<Write>, GroupError> {
    let parts = split(change);
    let last = parts.len() - 1;
    let mut writes = Vec::with_capacity(parts.len());
    for (part, change) in parts.into_iter().enumerate() {
        let command = SaveGroup {
            group: group.to_owned(),
            epoch,
            part: u32::try_from(part).unwrap_or(u32::MAX),
            is_last: part == last,
            puts: change.puts,
            removed: change.removed,
        };
        writes.push(write(session, command).await?);
    }
    Ok(writes)
}

/// At least one part.
fn split(change: Change) -> Vec<Change> {
    let mut parts = vec![Change::default()];
    let mut bytes = 0;
    let mut room_for = |parts: &mut Vec<Change>, more: usize| {
        if bytes > 0 && bytes + more > PART_BYTES {
            parts.push(Change::default());
            bytes = 0;
        }
        bytes += more;
    };
    for name in change.removed {
        room_for(&mut parts, RECORD_BYTES + name.len());
        if let Some(part) = parts.last_mut() {
            part.removed.push(name);
        }
    }
    for (name, record) in change.puts {
        room_for(&mut parts, record_bytes(&name, &record));
        if let Some(part) = parts.last_mut() {
            part.puts.push((name, record));
        }
    }
    parts
}

fn record_bytes(name: &str, record: &Bytes) -> usize {
    RECORD_BYTES + name.len() + record.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_change_is_split_between_records() {
        let change = Change {
            puts: (0..10)
                .map(|i| (format!("r{i}"), Bytes::from(vec![0; 200 << 10])))
                .collect(),
            removed: (0..20_000).map(|i| format!("{i:050}")).collect(),
        };
        let parts = split(change.clone());
        assert!(parts.len() > 5);
        for part in &parts {
            let puts = part.puts.iter().map(|(n, r)| record_bytes(n, r));
            let removed = part.removed.iter().map(|n| n.len() + RECORD_BYTES);
            assert!(puts.chain(removed).sum::<usize>() <= PART_BYTES);
        }
        let puts: Vec<_> = parts.iter().flat_map(|p| p.puts.clone()).collect();
        let removed: Vec<_> = parts.iter().flat_map(|p| p.removed.clone()).collect();
        assert_eq!(Change { puts, removed }, change);
    }

    #[test]
    fn a_small_change_is_one_part_even_if_it_is_empty() {
        assert_eq!(split(Change::default()), vec![Change::default()]);
    }
}
