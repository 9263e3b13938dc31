//! How many files and sockets the process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors that connections of clients leave to everything else: the store, the log, other agents, operators.
const RESERVED: u64 = 256;

/// Raises the limit on open files as far as this user may, and gives it; `None` if there is none.
///
/// Many systems begin processes with 1,024, and leave it to them to ask for more.
pub fn raise_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let before = limit.current;
        limit.current = limit.maximum;
        // It keeps what it has where it may not (macOS has a limit of its own below the one it tells).
        if setrlimit(Resource::Nofile, limit).is_err() {
            return before;
        }
    }
    limit.current
}

/// How many of `wanted` connections fit under a limit on open files.
pub fn connections_within(wanted: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return wanted };
    let left = limit.saturating_sub(RESERVED).max(limit / 2).max(1);
    wanted.min(usize::try_from(left).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        assert_eq!(connections_within(10_000, None), 10_000);
        assert_eq!(connections_within(10_000, Some(1 << 20)), 10_000);
        assert_eq!(connections_within(10_000, Some(4_096)), 3_840);
        assert_eq!(connections_within(10_000, Some(300)), 150);
        assert_eq!(connections_within(10_000, Some(0)), 1);
        assert_eq!(connections_within(10, Some(300)), 10);
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be() {
        let raised = raise_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, raised);
        #[cfg(target_os = "linux")]
        assert_eq!(raised, getrlimit(Resource::Nofile).maximum);
    }
}
