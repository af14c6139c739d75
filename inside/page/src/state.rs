//! What there is now, as libgomax tells it, with as many goroutines as there is room for.

use std::ffi::c_void;

use crate::table::{GRow, Library, MRow, PRow, SchedRow, g_status};

/// A goroutine that has run in one piece for this long is named as one that computes: ten slices.
const LONG: i64 = 100_000_000;

pub const P_STATUS: [&str; 5] = ["idle", "running", "syscall", "stopped", "dead"];
pub const M_STATE: [&str; 8] =
    ["scheduling", "running", "syscall", "sleeping", "spinning", "held", "without a P", "outside"];
pub const G_STATUS: [&str; 5] = ["runnable", "running", "syscall", "waiting", "held"];

/// A reason to wait, how many wait for it, and since when the first.
pub struct Wait {
    pub reason: &'static str,
    pub count: u64,
    pub since: i64,
}

/// A goroutine that computes, and since when.
pub struct Hog {
    pub g: GRow,
    pub since: i64,
}

#[derive(Default)]
pub struct State {
    pub sched: SchedRow,
    pub ps: Vec<PRow>,
    pub ms: Vec<MRow>,
    /// How many goroutines there are of each status.
    pub counts: [u64; 5],
    pub waits: Vec<Wait>,
    pub hogs: Vec<Hog>,
    /// Those on threads, those that are ready, and those that wait, the longest first: of each at most so many.
    pub active: Vec<GRow>,
    pub runnable: Vec<GRow>,
    pub waiting: Vec<GRow>,
    pub most: usize,
    /// The goroutines that have run for long, by the rows of Ps.
    pub long: Vec<(u64, i64)>,
}

pub fn reason(g: &GRow) -> &'static str {
    if g.reason.is_null() {
        return "";
    }
    // SAFETY: libgomax's own texts stay.
    let bytes = unsafe { std::slice::from_raw_parts(g.reason.cast::<u8>(), g.reason_len) };
    std::str::from_utf8(bytes).unwrap_or("?")
}

/// The name that the program has given it.
pub fn name(g: &GRow) -> String {
    let end = g.name.iter().position(|&b| b == 0).unwrap_or(g.name.len());
    String::from_utf8_lossy(&g.name[..end]).into_owned()
}

extern "C" fn put<T: Copy>(to: *mut c_void, row: *const T) {
    // SAFETY: `State::of` passes a list of such rows.
    let to = unsafe { &mut *to.cast::<Vec<T>>() };
    // SAFETY: libgomax passes a row.
    to.push(unsafe { *row });
}

extern "C" fn put_g(to: *mut c_void, row: *const GRow) {
    // SAFETY: `State::of` passes a state.
    let state = unsafe { &mut *to.cast::<State>() };
    // SAFETY: libgomax passes a row.
    state.add(unsafe { &*row });
}

impl State {
    /// None: the runtime is not up.
    pub fn of(library: &Library, most: usize) -> Option<State> {
        let mut state = State { most, ..State::default() };
        if !(library.sched)(&raw mut state.sched) {
            return None;
        }
        (library.ps)(put, (&raw mut state.ps).cast());
        (library.ms)(put, (&raw mut state.ms).cast());
        let now = state.sched.now;
        let is_long = |p: &&PRow| p.since != 0 && p.goid != 0 && now - p.since >= LONG;
        state.long = state.ps.iter().filter(is_long).map(|p| (p.goid, p.since)).collect();
        (library.gs)(put_g, (&raw mut state).cast());
        for (rows, most) in [(&mut state.active, most), (&mut state.runnable, most), (&mut state.waiting, most)] {
            keep(rows, most);
            rows.sort_by_key(order);
        }
        state.waits.sort_by_key(|w| std::cmp::Reverse(w.count));
        state.hogs.sort_by_key(|h| h.since);
        Some(state)
    }

    fn add(&mut self, g: &GRow) {
        self.counts[(g.status as usize).min(G_STATUS.len() - 1)] += 1;
        let long = self.long.iter().find(|(goid, _)| *goid == g.goid).map(|(_, since)| *since);
        let computes = (g.computes_since != 0).then_some(g.computes_since);
        if let Some(since) = long.into_iter().chain(computes).min()
            && g.status != g_status::WAITING
            && self.hogs.len() < self.most
        {
            self.hogs.push(Hog { g: *g, since });
        }
        if g.status == g_status::WAITING {
            let reason = reason(g);
            match self.waits.iter_mut().find(|w| w.reason == reason) {
                Some(wait) => {
                    wait.count += 1;
                    wait.since = wait.since.min(g.waits_since);
                }
                None => self.waits.push(Wait { reason, count: 1, since: g.waits_since }),
            }
        }
        let most = self.most;
        let rows = match g.status {
            g_status::WAITING => &mut self.waiting,
            g_status::RUNNABLE => &mut self.runnable,
            _ => &mut self.active,
        };
        rows.push(*g);
        if rows.len() >= most * 2 + 16 {
            keep(rows, most);
        }
    }

    /// All goroutines that are alive.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The goroutines that are listed.
    pub fn listed(&self) -> impl Iterator<Item = &GRow> {
        self.active.iter().chain(&self.runnable).chain(&self.waiting)
    }

    pub fn functions(&self) -> impl Iterator<Item = u64> {
        self.listed().chain(self.hogs.iter().map(|h| &h.g)).map(|g| g.entry)
    }

    pub fn g(&self, goid: u64) -> Option<&GRow> {
        self.listed().find(|g| g.goid == goid && goid != 0)
    }
}

fn order(g: &GRow) -> (i64, u64) {
    (g.waits_since, g.goid)
}

/// Keeps so many rows: the first ones.
fn keep(rows: &mut Vec<GRow>, most: usize) {
    if rows.len() > most {
        rows.select_nth_unstable_by_key(most, order);
        rows.truncate(most);
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::table::NONE;

    pub fn g(goid: u64, status: u32, waits_since: i64) -> GRow {
        let reason = "chan receive";
        let waits = status == g_status::WAITING;
        GRow {
            goid,
            name: [0; 32],
            status,
            m: NONE,
            foreign: false,
            locked: false,
            reserved: [0; 6],
            entry: 0,
            reason: if waits { reason.as_ptr().cast() } else { std::ptr::null() },
            reason_len: reason.len(),
            waits_since,
            computes_since: 0,
        }
    }

    #[test]
    fn the_longest_waits_are_kept_and_all_are_counted() {
        let mut state = State { most: 5, ..State::default() };
        for n in 0..1000 {
            state.add(&g(n + 1, g_status::WAITING, (n as i64 * 7919) % 1000 + 1));
        }
        keep(&mut state.waiting, 5);
        state.waiting.sort_by_key(order);
        assert_eq!(state.waiting.iter().map(|g| g.waits_since).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        let wait = &state.waits[0];
        assert_eq!(
            (state.total(), state.waits.len(), wait.count, wait.since, wait.reason),
            (1000, 1, 1000, 1, "chan receive")
        );
    }

    #[test]
    fn what_computes_is_found_by_its_p_and_by_its_slices() {
        let mut state = State { most: 5, long: vec![(1, 50), (2, 60)], ..State::default() };
        let by_slices = GRow { computes_since: 40, ..g(3, g_status::HELD, 0) };
        let by_both = GRow { computes_since: 20, ..g(2, g_status::RUNNING, 0) };
        for row in [g(1, g_status::RUNNING, 0), by_both, by_slices, g(4, g_status::RUNNING, 0)] {
            state.add(&row);
        }
        let found: Vec<(u64, i64)> = state.hogs.iter().map(|h| (h.g.goid, h.since)).collect();
        assert_eq!(found, [(1, 50), (2, 20), (3, 40)]);
    }
}
