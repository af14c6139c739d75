//! Channels
//!
//! A channel carries values from goroutine to goroutine, and waits where there is none or no room. It is the first
//! thing to reach for where two goroutines share work; a mutex is for state that stays where it is. A channel that is
//! closed tells all its receivers that no more will come.

use super::*;
use crate::block::chan::{Case, Chan, Op, wait_for_nothing};
use crate::block::select::{self, Cases};
use crate::gmp::error::Error;
use crate::gmp::g::WaitReason;
use crate::gmp::m::MRef;
use crate::protocol::seize;
use crate::sys::call;
use std::ffi::c_void;
use std::ptr::NonNull;

/// A channel: values of one size, from senders to receivers, first in first out.
pub struct gmx_chan {
    _opaque: [u8; 0],
}

/// A capacity without a bound: gmx_chan_new.
pub const GMX_UNBOUNDED: u64 = u64::MAX; // (in the header SIZE_MAX, for which cbindgen has no word)
const _: () = assert!(GMX_UNBOUNDED == crate::block::chan::UNBOUNDED as u64);

/// For [`gmx_select_case`]: receive.
pub const GMX_CASE_RECV: u32 = 0;
/// For [`gmx_select_case`]: send.
pub const GMX_CASE_SEND: u32 = 1;

/// For [`gmx_select_case`]: until a receive would not wait: there is a value or a sender, or the channel is closed.
pub const GMX_CASE_RECV_READY: u32 = 2;
/// For [`gmx_select_case`]: until a send would not wait: there is room or a receiver, or the channel is closed.
pub const GMX_CASE_SEND_READY: u32 = 3;

/// An operation that gmx_select may choose. The reserved words are the library's while it waits. An array of cases may
/// be used again, but by one gmx_select at a time.
#[repr(C)]
pub struct gmx_select_case {
    /// NULL: this case is never ready.
    pub chan: *mut gmx_chan,
    /// The value to send, or where to put what is received; NULL drops it. Not used by the cases that end in READY.
    pub elem: *mut c_void,
    /// GMX_CASE_RECV, GMX_CASE_SEND, GMX_CASE_RECV_READY, GMX_CASE_SEND_READY.
    pub op: u32,
    pub reserved0: u32,
    pub reserved: [u64; 5],
}

const _: () = assert!(std::mem::size_of::<gmx_select_case>() == std::mem::size_of::<Case>());
const _: () = assert!(std::mem::align_of::<gmx_select_case>() == std::mem::align_of::<Case>());

/// The channel at `c`, if it is one of this runtime.
///
/// # Safety
/// `c` is not null, and points to a channel that lives as long as it is used.
#[inline(always)]
unsafe fn chan<'a>(m: MRef, c: *mut gmx_chan) -> Option<&'a Chan> {
    if !c.cast::<Chan>().is_aligned() {
        return None;
    }
    // SAFETY: the caller's promise.
    let c = unsafe { &*c.cast::<Chan>() };
    c.belongs(m).then_some(c)
}

/// Makes a channel for values of elem_size bytes (0: it only tells that something happened) with room for capacity of
/// them (0: sender and receiver meet).
///
/// With GMX_UNBOUNDED as the capacity there is room as long as there is memory: a send never waits, and returns
/// GMX_ENOMEM if it gets no memory. For senders that must not wait for the receivers, such as callbacks of a library.
/// Senders that are faster than the receivers for long fill the memory; a bound is what slows them down. The values lie
/// in segments of about 1 KiB (or one value, if that is larger). A segment is allocated when the ones before it are
/// full, and freed when its values have been received, except two that the channel keeps.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the caller has one reference; gmx_chan_free gives it back.
/// Returns: GMX_OK; GMX_EINVAL if the size of everything does not fit (for GMX_UNBOUNDED: that of one value), or chan
/// is NULL; GMX_ENOMEM.
/// Since: 0.1
///
/// # Safety
/// `chan` is null or may be written.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_new(elem_size: usize, capacity: usize, chan: *mut *mut gmx_chan) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { new(elem_size, capacity, chan) }
}

/// # Safety
/// As for gmx_chan_new.
#[track_caller]
unsafe fn new(elem_size: usize, capacity: usize, chan: *mut *mut gmx_chan) -> gmx_status {
    if chan.is_null() {
        return wrong(GMX_EINVAL);
    }
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    match Chan::make(m.sched(), elem_size, capacity) {
        Ok(c) => {
            // SAFETY: the caller's promise.
            unsafe { chan.write(c.as_ptr().cast()) };
            GMX_OK
        }
        Err(e) => status::from(e),
    }
}

/// As gmx_chan_new, with so many references at once, one for each user of the channel. The rule by which a program
/// neither leaks channels nor frees them too early: each user of a channel has a reference of its own, and returns it
/// by gmx_chan_free when it will not use the channel any more; a reference that lies in a message belongs to the
/// receiver of the message. So no user needs to know which user is the last.
///
/// For a request and its reply: the client makes the reply's channel with a capacity of 1 and two references, and sends
/// the pointer with the request. The server sends the reply, which never waits, and frees. The client receives, or
/// gives up after a while, and frees. The second of the two frees the channel. If the request could not be sent, the
/// client frees both. The side that closes the channel of requests receives what is left in it, and frees the reference
/// in each: the values in a channel are bytes to the library.
///
/// ```c
/// gmx_status s = gmx_chan_new_refs(sizeof answer, 1, 2, &ask.reply); // for me, and for the server
/// if (s != GMX_OK) return s;
/// s = gmx_chan_send(requests, &ask);
/// if (s == GMX_OK) s = gmx_chan_recv_timeout(ask.reply, &answer, timeout);
/// else gmx_chan_free(ask.reply);
/// gmx_chan_free(ask.reply);
/// ```
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the caller has so many references; each is freed by one gmx_chan_free.
/// Returns: GMX_OK; GMX_EINVAL if refs is 0, the size of everything does not fit, or chan is NULL; GMX_ENOMEM.
/// Since: 0.2
///
/// # Safety
/// `chan` is null or may be written.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_new_refs(
    elem_size: usize,
    capacity: usize,
    refs: u32,
    chan: *mut *mut gmx_chan,
) -> gmx_status {
    if refs == 0 {
        return wrong(GMX_EINVAL);
    }
    // SAFETY: the caller's promise.
    match unsafe { new(elem_size, capacity, chan) } {
        GMX_OK => {
            // SAFETY: just written.
            let chan = unsafe { *chan };
            // SAFETY: just made, and not freed yet.
            unsafe { with(chan, |_, c| map(c.add_refs(refs as usize - 1))) }
        }
        status => status,
    }
}

/// One more reference to a channel, for another user, which will call gmx_chan_free.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: one more reference.
/// Returns: GMX_OK; GMX_EINVAL if chan is NULL or no channel of this process.
/// Since: 0.1
///
/// # Safety
/// `chan` is null or a channel to which the caller has a reference.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_ref(chan: *mut gmx_chan) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { with(chan, |_, c| map(c.add_ref())) }
}

/// Frees a reference to a channel; the last one frees the channel with the values in it. A caller that waits at a
/// channel needs a reference that outlives the wait: its own, or that of a caller that waits for its end.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: takes one reference, if GMX_OK.
/// Returns: GMX_OK; GMX_EBUSY if it is the last one and a caller waits there: nothing has changed; GMX_EINVAL if chan
/// is NULL or no channel of this process.
/// Since: 0.1
///
/// # Safety
/// `chan` is null or a channel to which the caller has a reference, and which it does not use afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_free(chan: *mut gmx_chan) -> gmx_status {
    // SAFETY: the caller has a reference, which it gives up.
    let free = |c: &Chan| unsafe { Chan::free(NonNull::from(c)) };
    // SAFETY: the caller's promise.
    unsafe { with(chan, |_, c| map(free(c))) }
}

/// A channel that must not be NULL, from any context.
///
/// # Safety
/// `c` is null or points to a channel that lives as long as it is used.
unsafe fn ask<'a>(c: *mut gmx_chan) -> Result<Option<(&'a Chan, Inside)>, gmx_status> {
    if c.is_null() {
        return Ok(None);
    }
    let m = any()?;
    // SAFETY: the caller's promise.
    Ok(unsafe { chan(*m, c) }.map(|c| (c, m)))
}

/// Calls `f` with a channel that must not be NULL, from any context.
///
/// # Safety
/// `c` is null or points to a channel that lives as long as it is used.
#[inline(always)]
#[track_caller]
unsafe fn with(c: *mut gmx_chan, f: impl FnOnce(MRef, &Chan) -> gmx_status) -> gmx_status {
    if c.is_null() {
        return wrong(GMX_EINVAL);
    }
    let m = match any() {
        Ok(m) => m,
        Err(status) => return status,
    };
    // SAFETY: the caller's promise.
    match unsafe { chan(*m, c) } {
        Some(c) => f(*m, c),
        None => wrong(GMX_EINVAL),
    }
}

/// Sends or receives, waiting no longer than `timeout`.
///
/// # Safety
/// `c` is null or points to a channel that lives as long as it is used; `elem` has room for a value of it.
#[inline(always)]
#[track_caller]
unsafe fn transfer(c: *mut gmx_chan, op: Op, elem: *mut u8, timeout: i64) -> gmx_status {
    if let Some(m) = free() {
        if !c.is_null()
            // SAFETY: the caller's promise.
            && let Some(c) = unsafe { chan(*m, c) }
        {
            if !elem.is_null() && c.try_word(op, elem) {
                m.end();
                return GMX_OK;
            }
            return transfer_by(m, c, op, elem, timeout);
        }
        m.end();
    }
    // SAFETY: the caller's promise.
    unsafe { transfer_slow(c, op, elem, timeout) }
}

/// # Safety
/// As for [`transfer`].
#[cold]
#[inline(never)]
#[track_caller]
unsafe fn transfer_slow(c: *mut gmx_chan, op: Op, elem: *mut u8, timeout: i64) -> gmx_status {
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    if c.is_null() {
        return transfer_null(*m, op, timeout);
    }
    // SAFETY: the caller's promise.
    let Some(c) = (unsafe { chan(*m, c) }) else { return wrong(GMX_EINVAL) };
    transfer_by(m, c, op, elem, timeout)
}

#[inline(always)]
#[track_caller]
fn transfer_by(m: Inside, c: &Chan, op: Op, elem: *mut u8, timeout: i64) -> gmx_status {
    if op == Op::Send && elem.is_null() && c.elem_size() != 0 {
        return wrong(GMX_EINVAL);
    }
    if timeout <= 0 {
        return match c.try_transfer(*m, op, elem) {
            Err(Error::Again) => failed(Error::TimedOut),
            r => tried(r),
        };
    }
    tried(match op {
        Op::Send => c.send(*m, elem, timeout),
        Op::Recv => c.recv(*m, elem, timeout),
    })
}

#[cold]
#[inline(never)]
#[track_caller]
fn transfer_null(m: MRef, op: Op, timeout: i64) -> gmx_status {
    if timeout <= 0 {
        return failed(Error::TimedOut);
    }
    tried(wait_for_nothing(
        m,
        if op == Op::Send { WaitReason::CHAN_SEND_NIL } else { WaitReason::CHAN_RECV_NIL },
        timeout,
    ))
}

/// As [`transfer`], if it need not wait. In vain is what it mostly is, and costs a glance.
///
/// # Safety
/// As for [`transfer`].
#[inline(always)]
#[track_caller]
unsafe fn try_transfer<const SEND: bool>(c: *mut gmx_chan, elem: *mut u8) -> gmx_status {
    let op = if SEND { Op::Send } else { Op::Recv };
    if let Some(m) = MRef::current()
        && !c.is_null()
        // SAFETY: the caller's promise.
        && let Some(c) = unsafe { chan(m, c) }
        && (op == Op::Recv || !elem.is_null())
        && let Some(e) = c.glance(op, elem)
        && crate::block::vain::counts(m)
    {
        return status::plain(e);
    }
    // SAFETY: as above.
    unsafe { try_transfer_slow::<SEND>(c, op, elem) }
}

/// One for each direction, since it must not carry its caller's place along.
///
/// # Safety
/// As for [`transfer`].
#[inline(never)]
#[track_caller]
unsafe fn try_transfer_slow<const SEND: bool>(c: *mut gmx_chan, op: Op, elem: *mut u8) -> gmx_status {
    if c.is_null() {
        return failed_outside(Error::Again);
    }
    let m = match any() {
        Ok(m) => m,
        Err(status) => return status,
    };
    // SAFETY: the caller's promise.
    let Some(c) = (unsafe { chan(*m, c) }) else { return wrong(GMX_EINVAL) };
    if op == Op::Send && elem.is_null() && c.elem_size() != 0 {
        return wrong(GMX_EINVAL);
    }
    tried(c.try_transfer(*m, op, elem))
}

/// Sends a value: gives it to a receiver that waits, or puts it behind the others, or waits for either. NULL as a
/// channel waits forever.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: yes.
/// Owns: the bytes at elem are copied, once.
/// Returns: GMX_OK: it was received, or will be by the next receiver; GMX_ECLOSED: the channel is closed, or was closed
/// while the call waited; GMX_ECANCELED; GMX_ENOMEM if the channel has no bound, and there is no memory for the value;
/// GMX_EINVAL if chan is no channel of this process, or elem is NULL and values have a size; GMX_ENOTG, GMX_EINSYSCALL.
/// If it is not GMX_OK nothing was sent.
/// Since: 0.1
///
/// # Safety
/// `chan` is null or a channel; `elem` points to a value of it, or is null.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_send(chan: *mut gmx_chan, elem: *const c_void) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { transfer(chan, Op::Send, elem.cast_mut().cast(), FOREVER) }
}

/// Receives a value: the oldest in the channel, or that of a sender that waits, or waits for one. NULL as a channel
/// waits forever.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: yes.
/// Owns: the value is copied to elem; NULL drops it.
/// Returns: GMX_OK; GMX_ECLOSED: the channel is closed and nothing is left in it; the bytes at elem are zero then;
/// GMX_ECANCELED; GMX_EINVAL if chan is no channel of this process; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.1
///
/// # Safety
/// `chan` is null or a channel; `elem` has room for a value of it, or is null.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_recv(chan: *mut gmx_chan, elem: *mut c_void) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { transfer(chan, Op::Recv, elem.cast(), FOREVER) }
}

/// Sends a value if it need not wait.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: unless GMX_OK.
/// Migrates: unless GMX_OK.
/// Cancellable: no.
/// Owns: the bytes at elem are copied, if GMX_OK.
/// Returns: GMX_OK; GMX_EAGAIN: it would have to wait, or chan is NULL; GMX_ECLOSED; GMX_ENOMEM, GMX_EINVAL as
/// gmx_chan_send.
/// Since: 0.1
///
/// # Safety
/// As for gmx_chan_send.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_try_send(chan: *mut gmx_chan, elem: *const c_void) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { try_transfer::<true>(chan, elem.cast_mut().cast()) }
}

/// Receives a value if it need not wait.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: unless GMX_OK.
/// Migrates: unless GMX_OK.
/// Cancellable: no.
/// Owns: the value is copied to elem, if GMX_OK; NULL drops it.
/// Returns: GMX_OK; GMX_EAGAIN: it would have to wait, or chan is NULL; GMX_ECLOSED as gmx_chan_recv; GMX_EINVAL if
/// chan is no channel of this process.
/// Since: 0.1
///
/// # Safety
/// As for gmx_chan_recv.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_try_recv(chan: *mut gmx_chan, elem: *mut c_void) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { try_transfer::<false>(chan, elem.cast()) }
}

/// As gmx_chan_send, but gives up after timeout nanoseconds.
///
/// Blocks: as gmx_chan_send, no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: yes.
/// Owns: as gmx_chan_send.
/// Returns: as gmx_chan_send; GMX_ETIMEDOUT; GMX_ENOMEM if there is no memory for the timer.
/// Since: 0.1
///
/// # Safety
/// As for gmx_chan_send.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_send_timeout(chan: *mut gmx_chan, elem: *const c_void, timeout: i64) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { transfer(chan, Op::Send, elem.cast_mut().cast(), timeout) }
}

/// As gmx_chan_recv, but gives up after timeout nanoseconds.
///
/// Blocks: as gmx_chan_recv, no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: yes.
/// Owns: as gmx_chan_recv.
/// Returns: as gmx_chan_recv; GMX_ETIMEDOUT; GMX_ENOMEM if there is no memory for the timer.
/// Since: 0.1
///
/// # Safety
/// As for gmx_chan_recv.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_recv_timeout(chan: *mut gmx_chan, elem: *mut c_void, timeout: i64) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { transfer(chan, Op::Recv, elem.cast(), timeout) }
}

/// Closes a channel: nothing can be sent any more. What is in it can still be received; waits at it end.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing; the reference stays.
/// Returns: GMX_OK; GMX_ECLOSED if it was closed already; GMX_EINVAL if chan is NULL or no channel of this process.
/// Since: 0.1
///
/// # Safety
/// `chan` is null or a channel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_close(chan: *mut gmx_chan) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { with(chan, |m, c| map(c.close(m))) }
}

/// Closes a channel whose values are wanted no more: as gmx_chan_close, and what is left in the channel is dropped.
/// Receivers get GMX_ECLOSED at once. For the side that receives, when it ends before the senders do. In a channel that
/// is closed already the values that are left are dropped all the same.
///
/// The caller calls drop(arg, elem) for each value that was left, the oldest first, and drop frees what the value owns.
/// NULL forgets the values. The channel is closed by then and no lock is held: drop may do whatever the caller may.
/// elem is valid until drop returns. If drop does not return from a value, the values after it are lost. A sender that
/// waits keeps its value, and gets GMX_ECLOSED.
///
/// ```c
/// static void drop_line(void *arg, void *elem) {
///   (void)arg;
///   free(*(char **)elem);
/// }
/// ...
/// gmx_chan_close_drop(lines, drop_line, NULL); // enough lines: the senders may stop
/// ```
///
/// Blocks: never, except for what drop does.
/// Call from: every context.
/// Safepoint: no, except for what drop does.
/// Migrates: no, except for what drop does.
/// Cancellable: no.
/// Owns: nothing; the reference stays. Each value is drop's.
/// Returns: GMX_OK, also if it was closed already; GMX_EINVAL if chan is NULL or no channel of this process.
/// Since: 0.2
///
/// # Safety
/// `chan` is null or a channel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_close_drop(
    chan: *mut gmx_chan,
    drop: Option<extern "C" fn(*mut c_void, *mut c_void)>,
    arg: *mut c_void,
) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe {
        with(chan, |m, c| {
            c.close_drop(m, |elem| {
                if let Some(f) = drop {
                    seize::host(m, || call::dropped(f, arg, elem.cast()));
                }
            });
            GMX_OK
        })
    }
}

/// How many values are in a channel.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the number, which may have changed by then; 0 for NULL.
/// Since: 0.1
///
/// # Safety
/// `chan` is null or a channel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_len(chan: *mut gmx_chan) -> usize {
    // SAFETY: the caller's promise.
    unsafe { chan.cast::<Chan>().as_ref() }.map_or(0, Chan::len)
}

/// For how many values a channel has room.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the capacity, GMX_UNBOUNDED if it has no bound; 0 for NULL.
/// Since: 0.1
///
/// # Safety
/// `chan` is null or a channel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_cap(chan: *mut gmx_chan) -> usize {
    // SAFETY: the caller's promise.
    unsafe { chan.cast::<Chan>().as_ref() }.map_or(0, Chan::cap)
}

/// Whether a channel is closed: nothing can be sent any more. Values that are left in it can still be received, and
/// gmx_chan_len tells how many. A closed channel stays closed; false may be out of date when the call returns.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: true if it is closed; false otherwise, and for NULL and what is no channel of this process.
/// Since: 0.2
///
/// # Safety
/// `chan` is null or a channel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_is_closed(chan: *mut gmx_chan) -> bool {
    // SAFETY: the caller's promise.
    unsafe { ask(chan) }.is_ok_and(|known| known.is_some_and(|(chan, _inside)| chan.is_closed()))
}

/// How many goroutines and threads wait at a channel, to send and to receive: for tests, dumps and metrics. A
/// gmx_select counts once for each of its cases, except those that end in READY. Both numbers are of one moment. The
/// call looks at every waiter, and holds the channel meanwhile.
///
/// ```c
/// size_t senders;
/// do gmx_yield();
/// while (gmx_chan_waiters(c, &senders, NULL) == GMX_OK && senders == 0); // until a sender waits
/// ```
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK: senders and receivers, each of which may be NULL, have the numbers, which may be out of date
/// already; GMX_EINVAL if chan is NULL or no channel of this process.
/// Since: 0.2
///
/// # Safety
/// `chan` is null or a channel; `senders` and `receivers` are null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_chan_waiters(
    chan: *mut gmx_chan,
    senders: *mut usize,
    receivers: *mut usize,
) -> gmx_status {
    // SAFETY: the caller's promise.
    let (sending, receiving) = match unsafe { ask(chan) } {
        Ok(Some((chan, _inside))) => chan.waiters(),
        Ok(None) => return wrong(GMX_EINVAL),
        Err(status) => return status,
    };
    for (out, n) in [(senders, sending), (receivers, receiving)] {
        if !out.is_null() {
            // SAFETY: as above.
            unsafe { out.write(n) };
        }
    }
    GMX_OK
}

/// Does one of n cases: one that is ready, chosen at random if several are, or the first that becomes ready. Gives up
/// after timeout nanoseconds; 0 at once: what default is in Go. Without a case (n is 0, or every channel is NULL) it
/// waits for its timeout. A channel may stand in several cases: each of them is chosen as often.
///
/// A case with GMX_CASE_RECV_READY or GMX_CASE_SEND_READY receives and sends nothing: it is chosen, with GMX_OK, when a
/// receive (a send) would not wait at that moment. So a sender can make its value when there is a place for it. Another
/// caller may take the place before, so try without waiting, and select again on GMX_EAGAIN. All selects that wait for
/// the same moment are woken; callers that wait to send or receive come first. At a channel with a capacity of 0, two
/// selects that wait for each other in this way wait forever: one of the two sides has to send or receive.
///
/// ```c
/// gmx_select_case cases[] = {GMX_SEND_READY(frames), GMX_RECV(stop, NULL)};
/// size_t chosen;
/// while (gmx_select(cases, 2, GMX_FOREVER, &chosen) == GMX_OK && chosen == 0) {
///   frame = newest_frame(); // not one that has become old while it waited for room
///   if (gmx_chan_try_send(frames, &frame) == GMX_ECLOSED) break;
/// }
/// ```
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; never if timeout is 0.
/// Call from: G, attached thread, foreign thread; with timeout 0 every context.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: yes.
/// Owns: the cases, until it returns.
/// Returns: GMX_OK: the case chosen was done; GMX_ECLOSED: the channel of the case chosen is closed (and a receiver's
/// value zero); GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EINVAL if a case has an op that is not one of these, a channel of
/// another process, or nothing to send, or cases is NULL and n is not 0, or not aligned; GMX_ENOMEM if there is
/// no memory for the timer, or for what a case sends to a channel without a bound, and no case was done; GMX_ENOTG,
/// GMX_EINSYSCALL. chosen, which may be NULL, is always written: n if no case was chosen.
/// Since: 0.1
///
/// # Safety
/// `cases` points to `n` cases of which each is as for gmx_chan_send or gmx_chan_recv; `chosen` is null or may be
/// written.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_select(
    cases: *mut gmx_select_case,
    n: usize,
    timeout: i64,
    chosen: *mut usize,
) -> gmx_status {
    // SAFETY: the caller's promise.
    let (i, status) = match unsafe { select_one(cases, n, timeout) } {
        Ok(chosen) => chosen,
        Err(status) => (n, status),
    };
    if !chosen.is_null() {
        // SAFETY: as above.
        unsafe { chosen.write(i) };
    }
    status
}

/// # Safety
/// As for gmx_select.
#[inline(always)]
#[track_caller]
unsafe fn select_one(cases: *mut gmx_select_case, n: usize, timeout: i64) -> Result<(usize, gmx_status), gmx_status> {
    let m = if timeout <= 0 { any() } else { may_wait() }?;
    if (n != 0 && cases.is_null()) || !cases.is_aligned() || n > u32::MAX as usize {
        return Err(wrong(GMX_EINVAL));
    }
    // SAFETY: the caller's promise; the layouts agree, and the words are used by atomic operations only.
    let all: &[Case] = if n == 0 { &[] } else { unsafe { std::slice::from_raw_parts(cases.cast::<Case>(), n) } };
    // SAFETY: as above.
    if !all.iter().all(|case| unsafe { fits(*m, case) }) {
        return Err(wrong(GMX_EINVAL));
    }
    match select::select(*m, Cases(all), timeout) {
        Ok((i, r)) => Ok((i, tried(r))),
        Err(e) => Err(failed(e)),
    }
}

/// Whether a case can be done.
///
/// # Safety
/// As for gmx_select.
#[inline(always)]
unsafe fn fits(m: MRef, case: &Case) -> bool {
    let Some(op) = case.op() else { return false };
    let c = case.chan();
    if c.is_null() {
        return true;
    }
    // SAFETY: the caller's promise.
    match unsafe { chan(m, c.cast()) } {
        Some(c) => op == Op::Recv || case.watches() || !case.elem().is_null() || c.elem_size() == 0,
        None => false,
    }
}
