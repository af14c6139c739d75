//! select and pselect, over gmx_poll_many.
//!
//! The system answers, without waiting, on copies of the sets. If nothing is ready, the G waits for the descriptors as
//! poll does, and asks again. A call with more than `MOST` descriptors, or with a signal mask, blocks the thread.

use crate::{api, gmx, held, next, sys};
use core::ffi::{c_int, c_void};
use core::{mem, ptr};
use libc::{fd_set, pollfd, sigset_t, timespec, timeval};

/// As an fd_set has.
const MOST: usize = 1024;
const BITS: usize = u64::BITS as usize;
/// So many entries stand on the stack; a call with more allocates.
const FEW: usize = 64;

type Set = [u64; MOST / BITS];

/// The three sets of a call, and which of them it has.
struct Sets {
    of: [Set; 3],
    at: [*mut Set; 3],
    n: usize,
}

/// What poll calls the events of each set, as the system does.
const EVENTS: [i16; 3] = [
    libc::POLLIN | libc::POLLRDNORM | libc::POLLRDBAND,
    libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND,
    libc::POLLPRI,
];

impl Sets {
    /// # Safety
    /// Each is null, or has `n` bits in whole words.
    unsafe fn new(n: usize, at: [*mut fd_set; 3]) -> Sets {
        let mut sets = Sets { of: [[0; MOST / BITS]; 3], at: at.map(|p| p.cast()), n };
        for (set, at) in sets.of.iter_mut().zip(sets.at).filter(|(_, at)| !at.is_null()) {
            for (word, to) in set.iter_mut().enumerate().take(n.div_ceil(BITS)) {
                // SAFETY: the caller's promise.
                *to = unsafe { at.cast::<u64>().wrapping_add(word).read_unaligned() };
            }
        }
        sets
    }

    fn wants(&self, fd: usize) -> i16 {
        let in_set = |set: &Set| set[fd / BITS] >> (fd % BITS) & 1 != 0;
        self.of.iter().zip(EVENTS).filter(|(set, _)| in_set(set)).fold(0, |all, (_, events)| all | events)
    }

    fn count(&self) -> usize {
        (0..self.n).filter(|&fd| self.wants(fd) != 0).count()
    }

    fn entries(&self) -> impl Iterator<Item = pollfd> {
        let all = (0..self.n).map(|fd| pollfd { fd: fd as c_int, events: self.wants(fd), revents: 0 });
        all.filter(|entry| entry.events != 0)
    }

    /// The answer of the system now; if it is not 0 it is written to the caller's sets.
    fn look(&self) -> isize {
        let mut copy = self.of;
        let [r, w, e] = [0, 1, 2].map(|i| if self.at[i].is_null() { 0 } else { (&raw mut copy[i]) as usize });
        let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the sets have as many bits.
        let ready = unsafe { sys::call(libc::SYS_pselect6, [self.n, r, w, e, (&raw mut now) as usize, 0]) };
        if ready > 0 {
            self.write(&copy);
        }
        ready
    }

    fn write(&self, sets: &[Set; 3]) {
        for (set, at) in sets.iter().zip(self.at).filter(|(_, at)| !at.is_null()) {
            for (word, from) in set.iter().enumerate().take(self.n.div_ceil(BITS)) {
                // SAFETY: as for `new`.
                unsafe { at.cast::<u64>().wrapping_add(word).write_unaligned(*from) };
            }
        }
    }
}

/// The result, and -ECANCELED. None: the G cannot wait here.
///
/// # Migrates
fn wait(sets: &Sets, until: i64) -> Option<isize> {
    let n = sets.count();
    let mut few = [pollfd { fd: -1, events: 0, revents: 0 }; FEW];
    let mut many = ptr::null_mut::<pollfd>();
    if n > FEW {
        // SAFETY: a size that is not 0.
        many = unsafe { libc::malloc(n * mem::size_of::<pollfd>()) }.cast();
        if many.is_null() {
            return None;
        }
    }
    let fds = if many.is_null() { few.as_mut_ptr() } else { many };
    for (i, entry) in sets.entries().enumerate() {
        // SAFETY: there is room for as many as `count` says.
        unsafe { fds.wrapping_add(i).write(entry) };
    }
    let r = loop {
        // SAFETY: `n` entries, which are the caller's.
        match unsafe { gmx::gmx_poll_many(fds, n, gmx::gmx_time_left(until)) } {
            1.. => {}
            gmx::ETIMEDOUT => {
                sets.write(&[[0; MOST / BITS]; 3]);
                break Some(0);
            }
            gmx::ECANCELED => break Some(-(libc::ECANCELED as isize)),
            _ => break None,
        }
        match sets.look() {
            0 => {}
            r => break Some(r),
        }
        // Of a number beyond its table of descriptors the system says nothing, here; poll says POLLNVAL.
        for i in 0..n {
            // SAFETY: as above.
            let entry = unsafe { &mut *fds.wrapping_add(i) };
            if entry.revents & libc::POLLNVAL != 0 {
                entry.fd = -1;
            }
        }
    };
    // SAFETY: of malloc, or null.
    unsafe { libc::free(many.cast::<c_void>()) };
    r
}

/// # Migrates
///
/// # Safety
/// As for select(2); `next` is the function behind. `left` is told how much of the time is left.
unsafe fn select_on_g(
    n: c_int,
    sets: [*mut fd_set; 3],
    timeout: i64,
    next: impl Fn() -> c_int,
    left: impl Fn(i64),
) -> c_int {
    if timeout <= 0 || !(0..=MOST as c_int).contains(&n) {
        return if timeout <= 0 { next() } else { held::on_thread(next) };
    }
    if held::is_held() {
        return held::on_thread(next);
    }
    // SAFETY: the caller's promise.
    let sets = unsafe { Sets::new(n as usize, sets) };
    let until = gmx::gmx_deadline(timeout);
    let r = match sets.look() {
        0 => wait(&sets, until),
        r => Some(r),
    };
    match r {
        Some(r) => {
            if until != gmx::FOREVER {
                left(gmx::gmx_time_left(until));
            }
            sys::result(r) as c_int
        }
        None => next(),
    }
}

/// # Safety
/// As for select(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn select(n: c_int, r: *mut fd_set, w: *mut fd_set, e: *mut fd_set, time: *mut timeval) -> c_int {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::select(n, r, w, e, time) };
    if !api::is_active(api::POLL) {
        return next();
    }
    // SAFETY: the caller's promise.
    let timeout = match unsafe { sys::given(time) } {
        None => gmx::FOREVER,
        Some(t) if t.tv_sec < 0 || t.tv_usec < 0 => return next(),
        Some(t) => t.tv_sec.saturating_mul(1_000_000_000).saturating_add(t.tv_usec.saturating_mul(1000)),
    };
    let left = |ns: i64| {
        let t = timeval { tv_sec: ns / 1_000_000_000, tv_usec: ns % 1_000_000_000 / 1000 };
        // SAFETY: the caller's promise; it is not null, since there is a limit.
        unsafe { time.write_unaligned(t) };
    };
    // SAFETY: the caller's promise.
    unsafe { select_on_g(n, [r, w, e], timeout, next, left) }
}

/// # Safety
/// As for pselect(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pselect(
    n: c_int,
    r: *mut fd_set,
    w: *mut fd_set,
    e: *mut fd_set,
    time: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::pselect(n, r, w, e, time, mask) };
    if !api::is_active(api::POLL) {
        return next();
    }
    // SAFETY: the caller's promise.
    let timeout = match unsafe { sys::given(time) } {
        None => gmx::FOREVER,
        Some(t) => match sys::nanoseconds(&t) {
            None => return next(),
            Some(ns) => ns,
        },
    };
    if !mask.is_null() {
        return held::on_thread(next);
    }
    // SAFETY: the caller's promise.
    unsafe { select_on_g(n, [r, w, e], timeout, next, |_| {}) }
}
