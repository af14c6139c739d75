//! Signals of the process, as values in channels of the host.
//!
//! # Problem
//! A handler of a signal interrupts any code of the host: it may take no lock, send to no channel and wake no
//! goroutine. The host may have a handler already, which must still be called, and may install one later. The thread
//! that turns the signal into values must not be kept for that alone.
//!
//! # Words
//! | word | meaning | written by |
//! |---|---|---|
//! | `users` of a signal | how many channels get it | under `LOCK` |
//! | `count`, `last` | how often it came since the last delivery; code and sender of the last one | the handler |
//! | `EVENT`, `HANDLE` | an eventfd, and its handle in block/fd.rs, the key of its events | under `LOCK` |
//! | list | the channels, and the signals that each wants | under `LOCK` |
//! | `handler`, `flags`, `action` of a signal | the host's disposition | under `LOCK`, before ours is installed |
//!
//! # Protocol
//! The handler, which is async-signal-safe and leaves errno as it is:
//! * NOTIFY-H1 if the signal has users, notes `last`, adds 1 to `count`, and signals the eventfd;
//! * NOTIFY-H2 calls the host's handler, with the arguments that it got.
//!
//! The thread that asks the epoll (NETPOLL-B1), for the event whose key is `HANDLE`:
//! * NOTIFY-D1 takes the count of each signal, and offers one value to each channel that wants the signal. A channel
//!   without room does not get it.
//!
//! A channel begins to get signals:
//! * NOTIFY-N1 the eventfd is made, and the epoll watches it, if that is the first time. The first channel counts as a
//!   waiter (NETPOLL-I1), so that a thread asks the epoll;
//! * NOTIFY-N2 the library's handler is put in front of the host's, where the signal had no users.
//!
//! A channel gets no more:
//! * NOTIFY-S1 what has come so far is delivered (NOTIFY-D1); then the channel leaves the list;
//! * NOTIFY-S2 the host's disposition is restored where the signal has no more users and the library's handler is still
//!   the one that is installed. Otherwise it stays in the chain of the host's, and only calls the host's former one.
//!
//! The child of a fork has no channels and no users: it restores the host's dispositions, and closes its copy of the
//! eventfd.
//!
//! # Invariants
//! * NOTIFY-I1 a count is delivered: it was there before the eventfd was signaled, and each signal makes an event.
//!   While the runtime is down the event waits in the epoll.
//! * NOTIFY-I2 a channel in the list has a reference of the library's, and is offered values under `LOCK` only: so it
//!   gets none after NOTIFY-S1.
//! * NOTIFY-I3 the library's handler is put in front of a host's handler only if it cannot be behind it already, as
//!   SIG-3 of fiber/signals.rs: the two would call each other forever.
//!
//! # Orderings
//! `count` is raised with Release and taken with Acquire. The eventfd and the epoll order the rest.
//!
//! # Rejected
//! * signalfd: it needs the signal blocked in every thread of the process, also in those of the host.
//! * A goroutine that waits for the signals, as in Go: gmx_shutdown would wait for it.

use crate::block::chan::{Chan, Op};
use crate::block::fd;
use crate::gmp::error::{Error, Result};
use crate::gmp::m::MRef;
use crate::gmp::sched::Sched;
use crate::protocol::{quiet, wake};
use crate::sync::RawMutex;
use crate::sys::heap::{alloc, dealloc};
use crate::sys::{c, cpu_timer, event, is_synchronous};
use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

/// What a channel gets. Laid out as the C struct.
#[repr(C)]
pub struct Info {
    pub signo: i32,
    pub code: i32,
    pub pid: i32,
    pub count: u32,
}

/// One signal.
struct Signal {
    users: AtomicU32,
    count: AtomicU32,
    last: AtomicU64,
    handler: AtomicUsize,
    flags: AtomicI32,
    action: UnsafeCell<libc::sigaction>,
    /// The library's handler was in place once, and was not removed as the first of its chain.
    chained: AtomicBool,
}
// SAFETY: `action` is guarded by LOCK, as are the changes of the others; the child of a fork has one thread.
unsafe impl Sync for Signal {}

impl Signal {
    const fn none() -> Signal {
        Signal {
            users: AtomicU32::new(0),
            count: AtomicU32::new(0),
            last: AtomicU64::new(0),
            handler: AtomicUsize::new(libc::SIG_DFL),
            flags: AtomicI32::new(0),
            // SAFETY: all zeros is SIG_DFL with nothing blocked.
            action: UnsafeCell::new(unsafe { std::mem::zeroed() }),
            chained: AtomicBool::new(false),
        }
    }
}

const MOST: usize = 64;
static SIGNALS: [Signal; MOST + 1] = [const { Signal::none() }; MOST + 1];
/// Guards the list, and beginnings and ends. A raw mutex: it is held over system calls, none of which waits, and a
/// child of fork may have to open it.
static LOCK: RawMutex = RawMutex::new();
static EVENT: AtomicI32 = AtomicI32::new(-1);
static HANDLE: AtomicU64 = AtomicU64::new(0);
static FIRST: AtomicPtr<Node> = AtomicPtr::new(null_mut());

/// A channel in the list.
struct Node {
    next: *mut Node,
    chan: NonNull<Chan>,
    wants: u64,
}

const NODE: Layout = Layout::new::<Node>();

/// While this value lives, no other thread changes or delivers anything.
struct Excluded;

impl Excluded {
    fn new() -> Excluded {
        LOCK.lock();
        Excluded
    }

    /// Calls `f` for each place in the list, until it is true; None at the end.
    fn find(&mut self, mut f: impl FnMut(&mut Node) -> bool) -> Option<*mut Node> {
        let mut at = FIRST.load(Ordering::Relaxed);
        // SAFETY: null, or a node in the list, which LOCK guards.
        while let Some(node) = unsafe { at.as_mut() } {
            let next = node.next;
            if f(node) {
                return Some(at);
            }
            at = next;
        }
        None
    }
}

impl Drop for Excluded {
    fn drop(&mut self) {
        LOCK.unlock();
    }
}

/// Whether a channel may get this signal: a program can handle it, no thread raises it by what it does, and neither
/// this library nor the C library has it.
pub fn may_be_notified(sig: i32) -> bool {
    const OF_THE_C_LIBRARY: std::ops::RangeInclusive<i32> = 32..=34;
    let taken = [libc::SIGKILL, libc::SIGSTOP, cpu_timer::signal()].contains(&sig) || is_synchronous(sig);
    (1..=MOST as i32).contains(&sig) && !taken && !OF_THE_C_LIBRARY.contains(&sig)
}

fn each(wants: u64) -> impl Iterator<Item = (c_int, &'static Signal)> {
    (1..).zip(&SIGNALS[1..]).filter(move |&(sig, _)| wants & bit(sig) != 0)
}

/// The bit of a signal.
pub fn bit(sig: i32) -> u64 {
    1 << (sig - 1)
}

// ---- begin and end --------------------------------------------------------------------------------------------------

/// NOTIFY-N1 and NOTIFY-N2: the channel gets these signals too. Nothing changes after an error.
pub fn begin(m: MRef, chan: NonNull<Chan>, wants: u64) -> Result<()> {
    let mut excluded = Excluded::new();
    open(m)?;
    let known = excluded.find(|node| node.chan == chan);
    let at = match known {
        Some(at) => at,
        None => {
            // SAFETY: the layout is not empty.
            let new = unsafe { alloc(NODE) }.cast::<Node>();
            if new.is_null() {
                return Err(Error::NoMemory);
            }
            // SAFETY: just allocated.
            unsafe { new.write(Node { next: FIRST.load(Ordering::Relaxed), chan, wants: 0 }) };
            new
        }
    };
    // SAFETY: in the list, or made above.
    let node = unsafe { &mut *at };
    let more = wants & !node.wants;
    let mut got = 0;
    let mut failed = None;
    for (sig, signal) in each(more) {
        if signal.users.load(Ordering::Relaxed) == 0
            && let Err(errno) = install(sig, signal)
        {
            failed = Some(Error::Os(errno));
            break;
        }
        signal.users.fetch_add(1, Ordering::Relaxed);
        got |= bit(sig);
    }
    // SAFETY: the caller's channel lives as long as the call.
    let failed = failed.or_else(|| if known.is_none() { unsafe { chan.as_ref() }.add_ref().err() } else { None });
    if let Some(e) = failed {
        leave(got);
        if known.is_none() {
            // SAFETY: made above, and in no list.
            unsafe { dealloc(at.cast(), NODE) };
        }
        return Err(e);
    }
    node.wants |= more;
    if known.is_none() {
        let sched = m.sched();
        if FIRST.swap(at, Ordering::Relaxed).is_null() {
            sched.net.waiters.fetch_add(1, crate::sync::Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
        wake::io_added(sched, m);
    }
    Ok(())
}

/// The eventfd, which stays.
fn open(m: MRef) -> Result<()> {
    if EVENT.load(Ordering::Relaxed) >= 0 {
        return Ok(());
    }
    let new = event::open().map_err(Error::Os)?;
    let handle = fd::open(m, new, false, false).inspect_err(|_| event::close(new))?;
    if let Err(e) = fd::epoll::watch(m, handle) {
        // No other caller knows the handle, so it waits for none.
        let _ = fd::close(m, handle);
        return Err(e);
    }
    HANDLE.store(handle, Ordering::Relaxed);
    EVENT.store(new, Ordering::Relaxed);
    Ok(())
}

/// NOTIFY-S1 and NOTIFY-S2. Invalid if the channel gets no signals.
pub fn end(m: MRef, chan: NonNull<Chan>) -> Result<()> {
    let mut excluded = Excluded::new();
    let at = excluded.find(|node| node.chan == chan).ok_or(Error::Invalid)?;
    offer(&mut excluded, m);
    // SAFETY: in the list.
    let Node { next, wants, .. } = unsafe { at.read() };
    let before = excluded.find(|node| node.next == at);
    match before {
        // SAFETY: in the list.
        Some(before) => unsafe { (*before).next = next },
        None => FIRST.store(next, Ordering::Relaxed),
    }
    leave(wants);
    let last = FIRST.load(Ordering::Relaxed).is_null();
    drop(excluded);
    // SAFETY: out of the list, and allocated with this layout.
    unsafe { dealloc(at.cast(), NODE) };
    if last {
        m.sched().net.waiters.fetch_sub(1, crate::sync::Ordering::SeqCst);
        quiet::notify_if_all_idle(m.sched());
    }
    // The caller's reference remains.
    // SAFETY: the list had a reference (NOTIFY-I2), which is not used any more.
    let _ = unsafe { Chan::free(chan) };
    Ok(())
}

/// One user less of each of these signals.
fn leave(wants: u64) {
    for (sig, signal) in each(wants) {
        if signal.users.fetch_sub(1, Ordering::Relaxed) == 1 {
            uninstall(sig, signal);
        }
    }
}

// ---- dispositions ---------------------------------------------------------------------------------------------------

fn ours() -> usize {
    on_signal as *const () as usize
}

/// NOTIFY-N2.
fn install(sig: c_int, signal: &Signal) -> std::result::Result<(), c_int> {
    let old = c::disposition(sig);
    let default = old.sa_sigaction == libc::SIG_DFL || old.sa_sigaction == libc::SIG_IGN;
    signal.count.store(0, Ordering::Relaxed);
    if old.sa_sigaction == ours() || signal.chained.load(Ordering::Relaxed) && !default {
        // NOTIFY-I3
        return Ok(());
    }
    // SAFETY: under LOCK.
    unsafe { *signal.action.get() = old };
    signal.flags.store(old.sa_flags, Ordering::Relaxed);
    signal.handler.store(old.sa_sigaction, Ordering::Relaxed);
    signal.chained.store(true, Ordering::Relaxed);
    let mut new = old;
    new.sa_sigaction = ours();
    new.sa_flags = (old.sa_flags & !libc::SA_RESETHAND) | libc::SA_SIGINFO;
    if default {
        new.sa_mask = c::zeros();
        new.sa_flags |= libc::SA_RESTART | libc::SA_ONSTACK;
    }
    let errno = crate::sys::KeepErrno::new();
    // SAFETY: a handler with three arguments, which stays mapped.
    match unsafe { libc::sigaction(sig, &raw const new, null_mut()) } {
        0 => Ok(()),
        _ => {
            signal.chained.store(false, Ordering::Relaxed);
            Err(errno.now())
        }
    }
}

/// NOTIFY-S2.
fn uninstall(sig: c_int, signal: &Signal) {
    if c::disposition(sig).sa_sigaction == ours() {
        // SAFETY: under LOCK, or in a child of fork.
        let mut back = unsafe { *signal.action.get() };
        // SA_RESETHAND may have been done.
        back.sa_sigaction = signal.handler.load(Ordering::Relaxed);
        // SAFETY: the host's own disposition, which `install` has kept.
        unsafe { libc::sigaction(sig, &raw const back, null_mut()) };
        signal.chained.store(false, Ordering::Relaxed);
    }
}

// ---- the handler ----------------------------------------------------------------------------------------------------

extern "C" fn on_signal(sig: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(signal) = SIGNALS.get(sig as usize) else { return };
    // NOTIFY-H1
    let wanted = signal.users.load(Ordering::Relaxed) != 0;
    if wanted {
        // SAFETY: the system's.
        let info = unsafe { &*info };
        // SAFETY: the field of a sender is a number in every signal.
        let pid = unsafe { info.si_pid() };
        signal.last.store(u64::from(info.si_code as u32) << 32 | u64::from(pid as u32), Ordering::Relaxed);
        signal.count.fetch_add(1, Ordering::Release);
        let fd = EVENT.load(Ordering::Relaxed);
        if fd >= 0 {
            event::signal(fd);
        }
    }
    // NOTIFY-H2
    pass_on(sig, signal, wanted, info, context);
}

fn pass_on(sig: c_int, signal: &Signal, wanted: bool, info: *mut libc::siginfo_t, context: *mut c_void) {
    let flags = signal.flags.load(Ordering::Relaxed);
    let handler = match flags & libc::SA_RESETHAND {
        0 => signal.handler.load(Ordering::Relaxed),
        _ => signal.handler.swap(libc::SIG_DFL, Ordering::Relaxed),
    };
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        if handler == libc::SIG_DFL && !wanted && c::disposition(sig).sa_sigaction == ours() {
            // The last channel is just leaving. The default comes when this handler has returned.
            // SAFETY: the default needs no handler.
            unsafe { libc::signal(sig, libc::SIG_DFL) };
            // SAFETY: takes a number.
            unsafe { libc::raise(sig) };
        }
        return;
    }
    if flags & libc::SA_SIGINFO != 0 {
        type F = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
        // SAFETY: by its flag the host's handler has these arguments.
        let f = unsafe { std::mem::transmute::<usize, F>(handler) };
        f(sig, info, context);
    } else {
        // SAFETY: without the flag the host's handler has one argument.
        let f = unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(handler) };
        f(sig);
    }
}

// ---- delivery -------------------------------------------------------------------------------------------------------

/// NOTIFY-D1, if it is the eventfd's event. Goroutines that it readies are in the queue of the caller's P, or in the
/// global one.
pub fn event(_: &Sched, key: u64) {
    if key == HANDLE.load(Ordering::Relaxed)
        && let Some(m) = MRef::current()
    {
        offer(&mut Excluded::new(), m);
    }
}

fn offer(excluded: &mut Excluded, m: MRef) {
    for (sig, signal) in each(u64::MAX) {
        if signal.count.load(Ordering::Relaxed) == 0 {
            continue;
        }
        // NOTIFY-I1. Acquire: pairs with the Release of NOTIFY-H1.
        let count = signal.count.swap(0, Ordering::Acquire);
        let last = signal.last.load(Ordering::Relaxed);
        let info = Info { signo: sig, code: (last >> 32) as i32, pid: last as i32, count };
        excluded.find(|node| {
            if node.wants & bit(sig) != 0 {
                // SAFETY: NOTIFY-I2.
                let chan = unsafe { node.chan.as_ref() };
                // A channel that is full or closed does not get it.
                let _ = chan.try_transfer(m, Op::Send, (&raw const info).cast_mut().cast());
            }
            false
        });
    }
}

// ---- fork -----------------------------------------------------------------------------------------------------------

/// In a child of fork.
pub fn forget() {
    let fd = EVENT.swap(-1, Ordering::Relaxed);
    HANDLE.store(0, Ordering::Relaxed);
    // The nodes and the channels are the parent's.
    FIRST.store(null_mut(), Ordering::Relaxed);
    for (sig, signal) in each(u64::MAX) {
        if signal.users.swap(0, Ordering::Relaxed) != 0 || signal.chained.load(Ordering::Relaxed) {
            uninstall(sig, signal);
        }
        signal.count.store(0, Ordering::Relaxed);
    }
    if fd >= 0 {
        event::close(fd);
    }
    LOCK.reopen();
}
