//! Store paths of what the metadata plane keeps in a bucket; the names themselves are `object_format::path`'s.

use object_format::path;
use object_store::path::Path;

use crate::log::Position;

/// Path of the entry at `at`.
pub(crate) fn entry(at: Position) -> Path {
    Path::from(path::log_entry(at.0))
}

/// Position of the entry at this path, if it is one's.
pub(crate) fn entry_position(path: &Path) -> Option<Position> {
    path::parse_log_entry(path.as_ref()).map(Position)
}

/// Position of the checkpoint with this folder, if it is one's.
pub(crate) fn checkpoint_position(folder: &Path) -> Option<Position> {
    let some_file = format!("{folder}/any");
    path::parse_checkpoint_file(&some_file).map(|(at, _)| Position(at))
}
