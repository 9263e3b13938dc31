//! Owns randomness: one seedable source, handed on and forked, so that a run can be repeated.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use uuid::Uuid;

/// A handle on a random stream. Clones draw from the same stream; [`Rng::fork`] makes a new one.
#[derive(Clone)]
pub struct Rng(Arc<Mutex<StdRng>>);

impl Rng {
    /// The stream of `seed`: the same draws in the same build of this program.
    pub fn from_seed(seed: u64) -> Self {
        Self::of(StdRng::seed_from_u64(seed))
    }

    /// A stream nobody can guess, seeded by the operating system.
    ///
    /// # Panics
    /// If the operating system has no randomness to give; nothing could run safely then.
    pub fn from_os() -> Self {
        Self::of(rand::make_rng())
    }

    fn of(rng: StdRng) -> Self {
        Self(Arc::new(Mutex::new(rng)))
    }

    /// A stream of its own for the part called `label`, so that how much that part draws does not
    /// change what others see. Two forks differ even under the same label.
    #[must_use]
    pub fn fork(&self, label: &str) -> Self {
        let mut seed = [0u8; 32];
        self.0.lock().fill_bytes(&mut seed);
        for (byte, mixed) in seed.iter_mut().zip(fnv1a(label).to_le_bytes()) {
            *byte ^= mixed;
        }
        Self::of(StdRng::from_seed(seed))
    }

    /// Any 64 bits.
    pub fn u64(&self) -> u64 {
        self.0.lock().next_u64()
    }

    /// A number from 0 up to, without, `n`; 0 if `n` is 0.
    pub fn below(&self, n: u64) -> u64 {
        if n == 0 {
            0
        } else {
            self.0.lock().random_range(0..n)
        }
    }

    /// True with probability `p`, which is taken as 0 or 1 where it lies outside them.
    pub fn chance(&self, p: f64) -> bool {
        // The draw is made whatever `p` is, so that a changed probability shifts no later draw.
        self.0.lock().random::<f64>() < p
    }

    /// A random identity in the shape of a version 4 UUID.
    pub fn uuid(&self) -> Uuid {
        let mut bytes = [0u8; 16];
        self.0.lock().fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A time between half of `around` and one and a half times it, evenly spread: what a periodic
    /// task waits so that many processes do not tick together.
    pub fn jitter(&self, around: Duration) -> Duration {
        let factor = 0.5 + self.0.lock().random::<f64>();
        Duration::try_from_secs_f64(around.as_secs_f64() * factor).unwrap_or(around)
    }

    /// Fills `bytes`.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().fill_bytes(bytes);
    }
}

impl std::fmt::Debug for Rng {
    /// Shows nothing of the state: whoever knows it knows every draw to come.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rng")
    }
}

/// FNV-1a, 64 bits: spreads labels, resists nobody.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(rng: &Rng) -> Vec<u64> {
        (0..32).map(|_| rng.u64()).collect()
    }

    #[test]
    fn one_seed_gives_one_stream() {
        assert_eq!(draws(&Rng::from_seed(7)), draws(&Rng::from_seed(7)));
        assert_ne!(draws(&Rng::from_seed(7)), draws(&Rng::from_seed(8)));
        assert_ne!(draws(&Rng::from_os()), draws(&Rng::from_os()));
    }

    #[test]
    fn clones_share_a_stream_and_forks_do_not() {
        let (one, other) = (Rng::from_seed(7), Rng::from_seed(7));
        let clone = one.clone();
        assert_eq!([one.u64(), clone.u64()], [other.u64(), other.u64()]);

        let root = Rng::from_seed(7);
        let (a, b) = (root.fork("agent"), root.fork("agent"));
        assert_ne!(
            draws(&a),
            draws(&b),
            "the same label twice gives two streams"
        );
        let again = Rng::from_seed(7);
        assert_ne!(
            draws(&Rng::from_seed(7).fork("agent")),
            draws(&again.fork("compactor"))
        );
    }

    #[test]
    fn a_fork_is_not_disturbed_by_what_its_parent_draws_later() {
        let root = Rng::from_seed(7);
        let fork = root.fork("agent");
        let _ = draws(&root);
        assert_eq!(draws(&fork), draws(&Rng::from_seed(7).fork("agent")));
    }

    #[test]
    fn bounds_are_kept() {
        let rng = Rng::from_seed(7);
        assert_eq!(rng.below(0), 0);
        let mut seen = [false; 5];
        for _ in 0..1_000 {
            seen[usize::try_from(rng.below(5)).unwrap()] = true;
            let waited = rng.jitter(Duration::from_millis(100));
            assert!((50..=150).contains(&waited.as_millis()), "{waited:?}");
            assert!(!rng.chance(0.0) && rng.chance(1.0));
        }
        assert_eq!(seen, [true; 5]);
        let hits = (0..10_000).filter(|_| rng.chance(0.25)).count();
        assert!((2_200..2_800).contains(&hits), "{hits}");
    }

    #[test]
    fn uuids_have_the_shape_of_version_4() {
        let id = Rng::from_seed(7).uuid();
        assert_eq!(id.get_version_num(), 4);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        assert_ne!(id, Rng::from_seed(8).uuid());
    }
}
