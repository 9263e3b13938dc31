//! Owns the names of what the metadata plane keeps in a bucket: `meta/log/<position>` and `meta/checkpoint/<position>/`,
//! positions in 20 digits so that names sort as positions do.

use object_store::path::Path;

use crate::log::Position;

/// Where entries are.
pub(crate) const LOG: &str = "meta/log";
/// Where checkpoints are, one folder each.
pub(crate) const CHECKPOINTS: &str = "meta/checkpoint";

/// Name of the entry at `at`.
pub(crate) fn entry(at: Position) -> Path {
    Path::from(format!("{LOG}/{:020}", at.0))
}

/// Folder of the checkpoint of everything up to and including `at`.
pub(crate) fn checkpoint(at: Position) -> Path {
    Path::from(format!("{CHECKPOINTS}/{:020}", at.0))
}

/// The position that the last part of `path` names, if it is one in the form written here.
pub(crate) fn position(path: &Path) -> Option<Position> {
    let name = path.filename()?;
    let digits = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| name.parse().ok().map(Position)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_their_position_and_sort_by_it() {
        let positions = [0, 1, 9, 10, 999_999, u64::MAX];
        let names: Vec<Path> = positions.iter().map(|at| entry(Position(*at))).collect();
        assert!(names.is_sorted());
        assert_eq!(names[1].as_ref(), "meta/log/00000000000000000001");
        for (name, at) in names.iter().zip(positions) {
            assert_eq!(position(name), Some(Position(at)));
            assert_eq!(position(&checkpoint(Position(at))), Some(Position(at)));
        }
    }

    #[test]
    fn other_names_are_no_positions() {
        for name in [
            "meta/log/1",
            "meta/log/0000000000000000000x",
            "meta/log/99999999999999999999",
        ] {
            assert_eq!(position(&Path::from(name)), None, "{name}");
        }
    }
}
