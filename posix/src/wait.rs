//! A wait for one descriptor, its limits, and its end by close.
//!
//! # Problem
//! While a G waits for a descriptor, another thread closes it. The epoll forgets a closed descriptor without a word,
//! and the G would wait forever.
//!
//! # Words
//! `Place`: the number, and the handle of a waiter or the mark of a closer, on the stack of that call. Each stands in
//! the list of the bucket of its number.
//!
//! # Protocol
//! The waiter:
//! * WAIT-A1 opens a handle that borrows the descriptor, and enters its place in the list. If a closer's mark for the
//!   number is there, the waiter does not wait, but lets others run, and then makes its call again: the number is
//!   closed, or names another file, or will soon;
//! * WAIT-A2 waits for the handle;
//! * WAIT-A3 takes its place out, and closes the handle.
//!
//! A caller of close, dup2 or dup3:
//! * WAIT-B1 enters its mark in the list, copies the handles of the waiters for the number, and closes each: these
//!   waits end with GMX_EBADF;
//! * WAIT-B2 makes the call;
//! * WAIT-B3 takes its mark out.
//!
//! As long as there is no place in any list, closers do none of this.
//!
//! # Invariants
//! * WAIT-I1 A handle is never used again: to close one whose waiter has left meanwhile does nothing.
//! * WAIT-I2 A place is in the list only while its call is between WAIT-A1 and WAIT-A3, or WAIT-B1 and WAIT-B3, and is
//!   read under the lock of the bucket only.
//! * WAIT-I3 No call of libgomax is made under the lock, and its holder is pinned: so it loses neither its P nor its
//!   turn.
//! * WAIT-I4 A child of fork or vfork ends no wait of its parent's: it has another process id.
//!
//! If a descriptor is closed in the moment in which the first waiter of the program begins, the closer may not see the
//! waiter, which then waits for the file that was closed. The program has a race there without this library, too.

use crate::{gmx, sys};
use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering, fence};

/// How a wait has ended.
pub enum End {
    Ready,
    TimedOut,
    /// The descriptor was closed.
    Closed,
    /// The G's token is canceled.
    Canceled,
    /// The caller cannot wait here (SHIM-A6).
    Cannot,
}

/// What the caller has set for a direction of a descriptor, if the system would make it wait.
pub enum Limits {
    /// O_NONBLOCK.
    NonBlocking,
    /// SO_RCVTIMEO or SO_SNDTIMEO, as a moment on the clock of libgomax; or no limit.
    Until(i64),
}

impl Limits {
    /// SHIM-A3, SHIM-I1: asked for before each wait, and not kept. `timeout` is SO_RCVTIMEO or SO_SNDTIMEO. Err: the
    /// descriptor is not open.
    pub fn of(fd: c_int, timeout: c_int) -> Result<Limits, isize> {
        if sys::is_nonblocking(fd)? {
            return Ok(Limits::NonBlocking);
        }
        let none = libc::timeval { tv_sec: 0, tv_usec: 0 };
        let time = sys::option(fd, timeout, none).unwrap_or(none);
        let us = time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_usec);
        Ok(Limits::Until(if us == 0 { gmx::FOREVER } else { gmx::gmx_deadline(us.saturating_mul(1000)) }))
    }
}

struct Place {
    /// Or `ENDED`.
    fd: c_int,
    /// Or `MARK`.
    handle: u64,
    before: *mut Place,
    after: *mut Place,
}

const ENDED: c_int = -1;
const MARK: u64 = 0;

struct Bucket {
    locked: AtomicBool,
    first: UnsafeCell<*mut Place>,
}

// SAFETY: `first` and the places behind it are used under the lock only (WAIT-I2).
unsafe impl Sync for Bucket {}

const BUCKETS: usize = 64;
static TABLE: [Bucket; BUCKETS] =
    [const { Bucket { locked: AtomicBool::new(false), first: UnsafeCell::new(ptr::null_mut()) } }; BUCKETS];
/// How many places are in the lists, or are about to be.
static WAITERS: AtomicUsize = AtomicUsize::new(0);
/// The process whose waiters they are; 0 before the first `gmx_posix_enable`.
static OWNER: AtomicIsize = AtomicIsize::new(0);
/// How many handles a look under the lock copies.
const AT_ONCE: usize = 16;

/// The lists are those of this process.
pub fn own() {
    OWNER.store(sys::process_id(), Ordering::Relaxed);
}

/// In a child of fork: the waiters are the parent's, and a lock may belong to a thread that is not here.
pub fn forget() {
    for bucket in &TABLE {
        // SAFETY: the process has one thread.
        unsafe { *bucket.first.get() = ptr::null_mut() };
        bucket.locked.store(false, Ordering::Relaxed);
    }
    WAITERS.store(0, Ordering::Relaxed);
}

/// Calls `f` with the list of a number, under its lock.
fn with<R>(fd: c_int, f: impl FnOnce(&mut *mut Place) -> R) -> R {
    let bucket = &TABLE[fd as usize % BUCKETS];
    // WAIT-I3. A caller that cannot be pinned (a foreign thread, a G in a syscall) does not lose its turn either.
    let pinned = gmx::gmx_pin() >= 0;
    // Acquire: pairs with the Release below.
    while bucket.locked.swap(true, Ordering::Acquire) {
        sys::yield_thread();
    }
    // SAFETY: WAIT-I2: the lock is held.
    let r = f(unsafe { &mut *bucket.first.get() });
    // Release: pairs with the Acquire above.
    bucket.locked.store(false, Ordering::Release);
    if pinned {
        gmx::gmx_unpin();
    }
    r
}

/// Waits until the descriptor is ready for these events (GMX_POLL_IN or GMX_POLL_OUT), or until a moment.
///
/// # Migrates
pub fn wait(fd: c_int, events: u32, until: i64) -> End {
    let left = gmx::gmx_time_left(until);
    if left <= 0 {
        return End::TimedOut;
    }
    let mut handle = 0;
    // WAIT-A1
    // SAFETY: `handle` is writable.
    match unsafe { gmx::gmx_poll_open(fd, gmx::POLL_BORROW, &raw mut handle) } {
        gmx::OK => {}
        gmx::EBADF => return End::Closed,
        _ => return End::Cannot,
    }
    let mut waiter = Place { fd, handle, before: ptr::null_mut(), after: ptr::null_mut() };
    let place = &raw mut waiter;
    if !enter(fd, place) {
        gmx::gmx_close(handle);
        gmx::gmx_yield();
        return End::Ready;
    }
    let mut ready = 0;
    // WAIT-A2
    // SAFETY: `ready` is writable.
    let status = unsafe { gmx::gmx_poll_wait(handle, events, left, &raw mut ready) };
    // WAIT-A3
    leave(fd, place);
    gmx::gmx_close(handle);
    match status {
        gmx::OK => End::Ready,
        gmx::ETIMEDOUT => End::TimedOut,
        gmx::EBADF => End::Closed,
        gmx::ECANCELED => End::Canceled,
        _ => End::Cannot,
    }
}

/// WAIT-A1. False: the number is being closed.
fn enter(fd: c_int, place: *mut Place) -> bool {
    // Before the place is in the list: a closer that could find it there also finds the count.
    WAITERS.fetch_add(1, Ordering::Relaxed);
    let entered = with(fd, |first| {
        let closing = each(*first).any(|place| place.handle == MARK && place.fd == fd);
        if !closing {
            insert(first, place);
        }
        !closing
    });
    if !entered {
        WAITERS.fetch_sub(1, Ordering::Relaxed);
    }
    // Before the system is told to watch the number. Pairs with the fence of `closing`.
    fence(Ordering::SeqCst);
    entered
}

/// The places of a list, under its lock.
fn each<'a>(first: *mut Place) -> impl Iterator<Item = &'a mut Place> {
    let mut at = first;
    core::iter::from_fn(move || {
        // SAFETY: WAIT-I2: the lock is held, and no call uses its place meanwhile.
        let place = unsafe { at.as_mut() }?;
        at = place.after;
        Some(place)
    })
}

/// Under the lock; the place is in no list.
fn insert(first: &mut *mut Place, place: *mut Place) {
    // SAFETY: the place is the caller's.
    unsafe { (*place).after = *first };
    // SAFETY: WAIT-I2: what is in the list is alive.
    if let Some(after) = unsafe { first.as_mut() } {
        after.before = place;
    }
    *first = place;
}

fn leave(fd: c_int, place: *mut Place) {
    with(fd, |first| {
        // SAFETY: WAIT-I2: the lock is held.
        let &mut Place { before, after, .. } = unsafe { &mut *place };
        if before.is_null() {
            *first = after;
        } else {
            // SAFETY: WAIT-I2: a neighbour is alive.
            unsafe { (*before).after = after };
        }
        if !after.is_null() {
            // SAFETY: as above.
            unsafe { (*after).before = before };
        }
    });
    WAITERS.fetch_sub(1, Ordering::Relaxed);
}

/// Whether no call waits here for a descriptor; a glance.
pub fn are_none() -> bool {
    WAITERS.load(Ordering::Relaxed) == 0
}

/// Makes a call that closes a number, and ends the waits for it before.
///
/// # Migrates
pub fn closing<R>(fd: c_int, call: impl FnOnce() -> R) -> R {
    // Pairs with the fence of `enter`.
    fence(Ordering::SeqCst);
    // WAIT-I4
    if fd < 0 || are_none() || OWNER.load(Ordering::Relaxed) != sys::process_id() {
        return call();
    }
    let mut mark = Place { fd, handle: MARK, before: ptr::null_mut(), after: ptr::null_mut() };
    let place = &raw mut mark;
    // WAIT-B1
    WAITERS.fetch_add(1, Ordering::Relaxed);
    with(fd, |first| insert(first, place));
    loop {
        let mut handles = [0u64; AT_ONCE];
        let n = with(fd, |first| copy(*first, fd, &mut handles));
        for &handle in &handles[..n] {
            // WAIT-I1
            gmx::gmx_close(handle);
        }
        if n < AT_ONCE {
            break;
        }
    }
    // WAIT-B2
    let r = call();
    // WAIT-B3. Nothing here touches errno, nor leaves the thread.
    leave(fd, place);
    r
}

/// Copies the handles of waiters for a number, and marks their places: each is found once.
fn copy(first: *mut Place, fd: c_int, handles: &mut [u64]) -> usize {
    let mut n = 0;
    for place in each(first).filter(|place| place.fd == fd && place.handle != MARK).take(handles.len()) {
        place.fd = ENDED;
        handles[n] = place.handle;
        n += 1;
    }
    n
}
