//! Entries of several writers at one position of the log.
//!
//! Where writers race for positions one process appends for the others, and what they have said meanwhile goes into one
//! append. On the wire: [`SHARED`] as two little-endian bytes, then each entry behind its length, four little-endian
//! bytes. Anything else is a single [`Entry`](super::Entry).

use bytes::{BufMut, Bytes, BytesMut};

use super::{Applied, Entry, EntryError, METADATA_VERSION_MAX, State};
use crate::log::Position;

/// Since this metadata version a position may hold several entries.
pub const SHARED_SINCE: u16 = 2;

/// In the place of a metadata version, of which none is so high.
const SHARED: u16 = 0x8000;

/// What [`join`] puts in front of each entry.
pub(crate) const ENTRY_OVERHEAD: usize = 4;

/// The entries as one; a single one as it is.
pub(crate) fn join(entries: &[Bytes]) -> Bytes {
    if let [single] = entries {
        return single.clone();
    }
    let bytes: usize = entries.iter().map(|e| ENTRY_OVERHEAD + e.len()).sum();
    let mut joined = BytesMut::with_capacity(2 + bytes);
    joined.put_u16_le(SHARED);
    for entry in entries {
        joined.put_u32_le(u32::try_from(entry.len()).unwrap_or(u32::MAX));
        joined.put_slice(entry);
    }
    joined.freeze()
}

/// The entries in what was appended. What is not whole is one that cannot be decoded.
pub(crate) fn split(appended: &[u8]) -> Vec<&[u8]> {
    match appended.strip_prefix(&SHARED.to_le_bytes()) {
        Some(shared) => parts(shared).unwrap_or_else(|| vec![&[]]),
        None => vec![appended],
    }
}

fn parts(mut rest: &[u8]) -> Option<Vec<&[u8]>> {
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk::<ENTRY_OVERHEAD>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (entry, behind) = behind.split_at_checked(length)?;
        parts.push(entry);
        rest = behind;
    }
    (!parts.is_empty()).then_some(parts)
}

impl State {
    /// Applies what was appended at `at`, be it of one writer or of several. Fails only if the metadata version of any of
    /// it is newer than this build; then the state is unchanged and the process must stop.
    pub fn apply_all(&mut self, at: Position, appended: &[u8]) -> Result<Vec<Applied>, EntryError> {
        let entries = split(appended);
        let versions = entries.iter().filter_map(|entry| Entry::version(entry));
        if let Some(newer) = versions.filter(|v| *v > METADATA_VERSION_MAX).max() {
            return Err(EntryError::NewerVersion(newer));
        }
        entries.into_iter().map(|e| self.apply(at, e)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::Verdict;

    #[test]
    fn a_single_entry_stays_as_it_is() {
        let entry = Bytes::from_static(b"\x01\x00entry");
        assert_eq!(join(std::slice::from_ref(&entry)), entry);
        assert_eq!(split(&entry), [&entry[..]]);
    }

    #[test]
    fn one_newer_entry_among_several_stops_the_process_and_changes_nothing() {
        let known = Bytes::from_static(b"\x01\x00");
        let newer = Bytes::copy_from_slice(&(METADATA_VERSION_MAX + 1).to_le_bytes());
        let mut state = State::new();
        let stopped = state.apply_all(Position(1), &join(&[known, newer]));
        assert_eq!(
            stopped,
            Err(EntryError::NewerVersion(METADATA_VERSION_MAX + 1))
        );
        assert_eq!(state, State::new());
    }

    #[test]
    fn what_is_cut_is_one_malformed_entry() {
        let entry = Bytes::from_static(b"\x01\x00entry");
        let whole = join(&[entry.clone(), entry]);
        for cut in 0..whole.len() {
            let mut state = State::new();
            let applied = state.apply_all(Position(1), &whole[..cut]).unwrap();
            let verdicts: Vec<_> = applied.into_iter().map(|a| a.verdict).collect();
            assert_eq!(verdicts, [Verdict::Malformed], "{cut}");
            assert_eq!(state.position(), Position(1));
        }
    }

    proptest! {
        #[test]
        fn any_entries_come_back(entries in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..40), 2..6,
        )) {
            let entries: Vec<Bytes> = entries.into_iter().map(Bytes::from).collect();
            let joined = join(&entries);
            prop_assert_eq!(split(&joined), entries.iter().map(|e| &e[..]).collect::<Vec<_>>());
        }

        #[test]
        fn whatever_the_bytes_are_the_position_is_passed(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut shared = SHARED.to_le_bytes().to_vec();
            shared.extend(bytes);
            let mut state = State::new();
            if state.apply_all(Position(1), &shared).is_ok() {
                prop_assert_eq!(state.position(), Position(1));
            }
        }
    }
}
