//! A small generator of numbers that need only look random, for example the P at which a thief begins.

use crate::sync::own::OwnU64;

/// xorshift64*. One owner.
pub struct Rng(OwnU64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(OwnU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    pub fn next(&self) -> u32 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }
}

/// How often a test repeats its random steps: a hundredth under Miri, which is so much slower.
#[cfg(all(test, not(any(loom, shuttle))))]
pub const fn rounds(n: usize) -> usize {
    if cfg!(miri) { n / 100 } else { n }
}

/// The seeds of one run of a test that compares with a model: always the same ones and a fresh one, or only the seed in
/// `GMX_SEED`. Each seed is printed, so that a failed test shows it.
#[cfg(all(test, not(any(loom, shuttle))))]
pub fn seeds(same: u64) -> impl Iterator<Item = u64> {
    let wanted = std::env::var("GMX_SEED").ok().and_then(|s| s.parse().ok());
    let fresh = crate::sync::now() as u64 >> 10;
    let all = match wanted {
        Some(seed) => seed..seed + 1,
        None => 1..same + 1,
    };
    all.chain(wanted.is_none().then_some(fresh)).inspect(|seed| println!("GMX_SEED={seed}"))
}
