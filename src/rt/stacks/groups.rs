//! Goroutines that are at the same place, counted together: as Go's goroutine profile with debug=1.

use super::{About, Frame};
use crate::sys::array::Array;

/// Goroutines in the same state, with the same frames of the host, that began in the same function.
pub struct Group {
    hash: u64,
    pub count: u64,
    /// Of the goroutine that waits longest.
    pub about: About,
    from: usize,
    n: usize,
}

pub struct Groups {
    all: Array<Group>,
    frames: Array<Frame>,
    /// Indices of groups, by hash; at most half of them are in use.
    table: Array<u32>,
}

const NONE: u32 = u32::MAX;
const LEAST: usize = 64;

impl Groups {
    pub fn new() -> Groups {
        Groups { all: Array::new(), frames: Array::new(), table: Array::new() }
    }

    pub fn frames(&self, group: &Group) -> &[Frame] {
        &self.frames[group.from..group.from + group.n]
    }

    /// None if there is no memory.
    pub fn add(&mut self, about: &About, frames: &[Frame]) -> Option<()> {
        if 2 * self.all.len() >= self.table.len() {
            self.grow()?;
        }
        let hash = hash_of(about, frames);
        let mut at = self.slot(hash);
        while let Some(group) = self.all.get(self.table[at] as usize) {
            if group.hash == hash && is_equal(&group.about, about) && of_host(self.frames(group)).eq(of_host(frames)) {
                let group = &mut self.all[self.table[at] as usize];
                group.count += 1;
                if about.since < group.about.since {
                    group.about = *about;
                }
                return Some(());
            }
            at = (at + 1) % self.table.len();
        }
        let from = self.frames.len();
        self.frames.extend(frames).ok()?;
        self.all.push(Group { hash, count: 1, about: *about, from, n: frames.len() }).ok()?;
        self.table[at] = self.all.len() as u32 - 1;
        Some(())
    }

    fn slot(&self, hash: u64) -> usize {
        hash as usize % self.table.len()
    }

    fn grow(&mut self) -> Option<()> {
        self.table = Array::of((4 * self.all.len()).max(LEAST), |_| NONE)?;
        for i in 0..self.all.len() {
            let mut at = self.slot(self.all[i].hash);
            while self.table[at] != NONE {
                at = (at + 1) % self.table.len();
            }
            self.table[at] = i as u32;
        }
        Some(())
    }

    /// The largest group becomes the first. Nothing is added afterwards.
    pub fn sort(&mut self) {
        self.all.sort_unstable_by_key(|g| (std::cmp::Reverse(g.count), g.about.goid));
    }

    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.all.iter()
    }
}

/// The library gets from one call to the same wait on several ways.
fn of_host(frames: &[Frame]) -> impl Iterator<Item = &Frame> {
    frames.iter().filter(|f| !f.is_own)
}

fn is_equal(a: &About, b: &About) -> bool {
    a.status.text() == b.status.text() && a.reason == b.reason && a.began == b.began
}

fn hash_of(about: &About, frames: &[Frame]) -> u64 {
    let reason = about.reason.map_or(0, |r| r.len() as u64);
    let first = about.began.unwrap_or(0) as u64 ^ reason << 8 ^ about.status.text().len() as u64;
    let mixed =
        of_host(frames).fold(first, |h, f| (h ^ f.pc as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29));
    mixed ^ mixed >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gmp::g::{GName, GStatus};

    fn about(goid: u64, since: i64, reason: &'static str) -> About {
        let (status, name) = (GStatus::Waiting, GName::NONE);
        About { goid, name, status, reason: Some(reason), since, thread: None, began: Some(1) }
    }

    fn frames(pcs: &[usize]) -> Vec<Frame> {
        pcs.iter().map(|&pc| Frame { function: pc & !15, pc, is_own: pc == 1 }).collect()
    }

    #[test]
    fn what_is_equal_is_counted_together() {
        let mut g = Groups::new();
        for i in 0..1000 {
            let own: &[usize] = if i % 2 == 0 { &[1] } else { &[] };
            g.add(&about(i, 1000 - i as i64, "sleep"), &frames(&[own, &[17, 35]].concat())).unwrap();
            // As many stacks as goroutines, which makes the table grow.
            g.add(&about(2000 + i, 0, "sleep"), &frames(&[17, 100 + i as usize])).unwrap();
        }
        for other in [about(5000, 0, "join"), About { began: None, ..about(5000, 0, "sleep") }] {
            for _ in 0..2 {
                g.add(&other, &frames(&[17, 35])).unwrap();
            }
        }
        g.add(&about(6000, 0, "sleep"), &frames(&[17])).unwrap();
        g.sort();
        let counts: Vec<_> = g.iter().map(|g| g.count).collect();
        assert_eq!(counts[..4], [1000, 2, 2, 1]);
        assert_eq!(counts.len(), 1004);
        let first = &g.all[0];
        assert_eq!(first.about.goid, 999, "the longest wait");
        assert!(g.frames(first) == frames(&[1, 17, 35]));
    }
}
