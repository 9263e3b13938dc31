//! Which markers become a run of their own: where transactions end and nothing is written, there are no records that
//! would take them along out of the metadata.

use control_plane::state::Partition;
use object_format::TopicPartition;

use super::{Part, Stretch};

/// So many markers side by side are worth a run. It costs the metadata about as much as two of them.
pub const MARKERS_MIN: usize = 64;

/// Most markers of one run; the others follow in the next.
const MARKERS_MAX: usize = 16_384;

/// The first markers of a partition, side by side with nothing but gaps between them, of which there are enough. Those
/// after them that are not become a run when records or more markers follow.
pub fn markers(of: TopicPartition, partition: &Partition) -> Option<Stretch> {
    if partition.markers_count() < MARKERS_MIN {
        return None;
    }
    let mut from = 0;
    while let Some((first, _)) = partition.markers_from(from).next() {
        let next = partition.extents.range(first..).next();
        let end = next.map_or(partition.high_watermark, |(&base, _)| base);
        let group = partition
            .markers_from(first)
            .take_while(|(at, _)| *at < end);
        let parts: Vec<Part> = group
            .take(MARKERS_MAX)
            .map(|(at, marker)| Part::Marker(at, *marker))
            .collect();
        if parts.len() >= MARKERS_MIN {
            return Some(Stretch {
                partition: of,
                parts,
            });
        }
        from = next.map_or(end, |(&base, extent)| extent.end_offset(base));
    }
    None
}
