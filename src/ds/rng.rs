//! A small generator of numbers that need only look random: where to begin to steal.

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

/// Visits `0..n` once each, in an order that differs from start to start: a step that has no factor in common with
/// `n`, from a random place.
pub fn random_order(n: u32, random: u32) -> impl Iterator<Item = u32> {
    let mut step = 1;
    if n > 2 {
        step = random / n % n;
        while step == 0 || gcd(step, n) != 1 {
            step = if step + 1 >= n { 1 } else { step + 1 };
        }
    }
    let mut at = if n == 0 { 0 } else { random % n };
    (0..n).map(move |_| {
        let here = at;
        at = (u64::from(at) + u64::from(step)).rem_euclid(u64::from(n)) as u32;
        here
    })
}

fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The seeds of one run of a test that compares with a model: always the same ones and a fresh one, or that which `GMX_SEED`
/// names. Each is told, which is shown when the test fails.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_visits_everything_once() {
        for n in 0..70 {
            for random in [0, 1, 7, 12345, u32::MAX, 0x8000_0000] {
                let mut seen: Vec<u32> = random_order(n, random).collect();
                seen.sort_unstable();
                assert_eq!(seen, (0..n).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn orders_differ() {
        let orders: std::collections::HashSet<Vec<u32>> =
            (0..1000).map(|i: u32| random_order(7, i.wrapping_mul(2_654_435_761)).collect()).collect();
        assert!(orders.len() > 20, "{}", orders.len());
    }
}
