//! Counts of durations, by their size.
//!
//! # Words
//! A bucket counts the durations that are above one bound and at most the next. The bounds are log-linear: from 128 ns
//! to 2^36 ns (69 s) there are four buckets for each power of two, at equal distances. So a bucket is at most a quarter
//! wider than its lower bound. One bucket more is below, and one above. The bounds are the same in every histogram, and
//! part of the interface.
//!
//! | bucket | its durations, in ns |
//! |---|---|
//! | 0 | up to 128 |
//! | 1 to 4 | up to 160, 192, 224, 256 |
//! | 5 to 8 | up to 320, 384, 448, 512 |
//! | ... | |
//! | 113 to 116 | up to 2^35 + 2^33, 2^35 + 2^34, 2^35 + 3 * 2^33, 2^36 |
//! | 117 | more |
//!
//! # What holds
//! Each histogram has one writer at a time: the field's comment names it. Others read while it writes. A count is what
//! the buckets add up to at the time of the look, and no word of its own, so the buckets and the count of one look
//! agree; only the sum may be some durations ahead or behind. No word ever falls.
//!
//! # Rejected
//! * A histogram that writers share: an atomic operation, and a cache line that all Ps write.
//! * Buckets that double: a median would be known to a factor of two only.
//! * A maximum: it says nothing about now, and cannot be merged over time.

use crate::sync::own::{OwnBool, OwnU64};

/// The number of buckets.
pub const BUCKETS: usize = 4 * (LAST_POWER - FIRST_POWER) + 2;

/// The lowest bound is 2 to the power of this; and the highest that is finite.
const FIRST_POWER: usize = 7;
const LAST_POWER: usize = 36;

/// The upper bounds of the buckets.
pub const BOUNDS: [u64; BUCKETS] = {
    let mut bounds = [1 << FIRST_POWER; BUCKETS];
    let mut i = 1;
    while i < BUCKETS {
        bounds[i] = (5 + (i as u64 - 1) % 4) << (FIRST_POWER + (i - 1) / 4 - 2);
        i += 1;
    }
    bounds[BUCKETS - 1] = u64::MAX;
    bounds
};

/// The bucket of a duration.
#[inline]
fn bucket(ns: u64) -> usize {
    if ns <= BOUNDS[0] {
        return 0;
    }
    // The upper bound belongs to its bucket.
    let n = ns - 1;
    let power = n.ilog2() as usize;
    if power >= LAST_POWER {
        return BUCKETS - 1;
    }
    1 + 4 * (power - FIRST_POWER) + (n >> (power - 2) & 3) as usize
}

/// A histogram: see the module.
pub struct Histogram {
    sum: OwnU64,
    /// There is something in it: readers skip those of Ps that were never used.
    used: OwnBool,
    buckets: [OwnU64; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { sum: OwnU64::new(0), used: OwnBool::new(false), buckets: [const { OwnU64::new(0) }; BUCKETS] }
    }
}

impl Histogram {
    /// Counts a duration. For the owner only. A negative one counts as 0.
    pub fn record(&self, ns: i64) {
        let ns = ns.max(0) as u64;
        self.buckets[bucket(ns)].bump();
        self.sum.add(ns);
        if !self.used.get() {
            self.used.set(true);
        }
    }
}

/// The counts of one look, of one histogram or of several.
pub type Counts = [u64; BUCKETS];

impl Histogram {
    /// Adds what is in it to the counts. Returns the sum, in ns.
    pub fn add_to(&self, counts: &mut Counts) -> u64 {
        if !self.used.get() {
            return 0;
        }
        for (n, bucket) in counts.iter_mut().zip(&self.buckets) {
            *n += bucket.get();
        }
        self.sum.get()
    }

    /// How many durations are in it, and their sum, in ns.
    pub fn count(&self) -> (u64, u64) {
        if !self.used.get() {
            return (0, 0);
        }
        (self.buckets.iter().map(OwnU64::get).sum(), self.sum.get())
    }
}

/// For each power of two that is a bound: the bound in ns, and how many durations are not above it.
pub fn at_powers(counts: &Counts) -> impl Iterator<Item = (u64, u64)> + '_ {
    (0..BUCKETS - 1).step_by(4).scan((0, 0), |(from, n), i| {
        *n += counts[*from..=i].iter().sum::<u64>();
        *from = i + 1;
        Some((BOUNDS[i], *n))
    })
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::ds::rng::{Rng, rounds, seeds};

    #[test]
    fn bounds_rise_by_at_most_a_quarter() {
        assert_eq!(BOUNDS[..9], [128, 160, 192, 224, 256, 320, 384, 448, 512]);
        assert_eq!(BOUNDS[BUCKETS - 2..], [1 << 36, u64::MAX]);
        for pair in BOUNDS[..BUCKETS - 1].windows(2) {
            assert!(pair[0] < pair[1] && (pair[1] - pair[0]) * 4 <= pair[0], "{pair:?}");
        }
    }

    #[test]
    fn a_bound_belongs_to_its_bucket_and_the_next_number_does_not() {
        for (i, &bound) in BOUNDS[..BUCKETS - 1].iter().enumerate() {
            assert_eq!(bucket(bound), i);
            assert_eq!(bucket(bound + 1), i + 1);
        }
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BUCKETS - 1));
    }

    /// Each duration by a search through the bounds.
    #[test]
    fn counts_are_those_of_a_plain_search() {
        for seed in seeds(4) {
            let rng = Rng::new(seed);
            let (h, mut exact, mut sum, mut all) = (Histogram::default(), [0u64; BUCKETS], 0u64, Vec::new());
            for _ in 0..rounds(20_000) {
                let ns = (u64::from(rng.next()) << 8 | u64::from(rng.next() & 255)) >> (rng.next() % 40);
                h.record(ns as i64);
                exact[BOUNDS.iter().position(|&b| ns <= b).unwrap()] += 1;
                sum += ns;
                all.push(ns);
            }
            let mut counts = [0; BUCKETS];
            assert_eq!(h.add_to(&mut counts), sum);
            assert_eq!(counts, exact);
            assert_eq!(h.count(), (all.len() as u64, sum));
            for (bound, n) in at_powers(&counts) {
                assert!(bound.is_power_of_two());
                assert_eq!(n, all.iter().filter(|&&ns| ns <= bound).count() as u64, "{bound}");
            }
            assert_eq!(at_powers(&counts).last().unwrap().0, 1 << 36);
            // A quantile of the histogram is at most a quarter above the exact one.
            all.sort_unstable();
            for q in [2, 4, 10, 100] {
                let at = all.len() - 1 - all.len() / q;
                let mut n = 0;
                let i = counts.iter().position(|&b| {
                    n += b;
                    n > at as u64
                });
                let (bound, exact) = (BOUNDS[i.unwrap()], all[at]);
                assert!(
                    exact <= bound && (bound <= 128 || bound <= exact + exact / 4 + 1 || exact > 1 << 36),
                    "{exact} {bound}"
                );
            }
        }
    }

    #[test]
    fn several_are_merged_and_unused_ones_add_nothing() {
        let (a, b, none) = (Histogram::default(), Histogram::default(), Histogram::default());
        a.record(-5);
        a.record(200);
        b.record(200);
        b.record(i64::MAX);
        let mut counts = [0; BUCKETS];
        let sum = [&a, &b, &none].map(|h| h.add_to(&mut counts)).iter().sum::<u64>();
        assert_eq!((counts[0], counts[3], counts[BUCKETS - 1], counts.iter().sum::<u64>()), (1, 2, 1, 4));
        assert_eq!(sum, 400 + i64::MAX as u64);
        assert_eq!((a.count(), none.count()), ((2, 200), (0, 0)));
    }

    /// A reader beside the writer: no bucket falls, and the count is that of the buckets.
    #[test]
    fn a_look_beside_the_writer_never_falls() {
        let h = Histogram::default();
        std::thread::scope(|s| {
            s.spawn(|| (0..rounds(200_000) as i64).for_each(|i| h.record(i)));
            let (mut last, mut last_sum) = ([0; BUCKETS], 0);
            while last.iter().sum::<u64>() < rounds(200_000) as u64 {
                let mut now = [0; BUCKETS];
                let sum = h.add_to(&mut now);
                assert!(now.iter().zip(&last).all(|(now, then)| now >= then) && sum >= last_sum);
                (last, last_sum) = (now, sum);
            }
        });
    }
}
