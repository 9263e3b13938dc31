//! How much memory there is.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// Least bytes of a cache, however little memory there is.
const CACHE_BYTES_MIN: u64 = 8 << 20;

/// Bytes that this process may use: the machine's, or those of its control group if they are fewer; `None` where neither
/// can be told.
pub fn total() -> Option<u64> {
    let memory = MemoryRefreshKind::nothing().with_ram();
    let system = System::new_with_specifics(RefreshKind::nothing().with_memory(memory)).ok()?;
    let group = system.cgroup_limits().map(|limits| limits.total_memory);
    let known = [Some(system.total_memory()), group].into_iter().flatten();
    known.filter(|&bytes| bytes > 0).min()
}

/// How many of `wanted` bytes a cache takes that nobody has sized: no more than a quarter of all memory.
pub fn cache_within(wanted: u64, total: Option<u64>) -> u64 {
    let Some(total) = total else { return wanted };
    wanted.min((total / 4).max(CACHE_BYTES_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_leaves_most_of_the_memory() {
        const GIB: u64 = 1 << 30;
        assert_eq!(cache_within(GIB, None), GIB);
        assert_eq!(cache_within(GIB, Some(64 * GIB)), GIB);
        assert_eq!(cache_within(GIB, Some(2 * GIB)), GIB / 2);
        assert_eq!(cache_within(GIB, Some(1 << 20)), 8 << 20);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn there_is_no_more_memory_than_the_kernel_says() {
        let told = std::fs::read_to_string("/proc/meminfo").unwrap();
        let kib = told.split_whitespace().nth(1).unwrap();
        let total = total().unwrap();
        assert!(
            total > 0 && total <= kib.parse::<u64>().unwrap() << 10,
            "{total}"
        );
    }
}
