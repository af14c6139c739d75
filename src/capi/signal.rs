//! Signals
//!
//! A goroutine waits for signals as it waits for anything else: by a channel. The library's handler notes the signal
//! and calls the handler that the host had before; the value comes into the channel afterwards, from a thread of the
//! library.
//!
//! ```c
//! int32_t sigs[] = {SIGINT, SIGTERM};
//! gmx_chan *stop;
//! gmx_status s = gmx_chan_new(sizeof(gmx_siginfo), 4, &stop);
//! if (s == GMX_OK) s = gmx_signal_notify(stop, sigs, 2);
//! if (s != GMX_OK) return s;
//! gmx_siginfo info;
//! s = gmx_chan_recv(stop, &info);
//! printf("signal %d from process %d\n", info.signo, info.pid);
//! gmx_signal_stop(stop);
//! gmx_chan_free(stop);
//! ```
//!
//! A signal is handled on a thread of the host that does not block it: worker threads block what the main thread
//! blocked when the runtime began, and wait with all signals blocked. A host that has blocked a signal in all its
//! threads gets nothing.

use super::*;
use crate::block::chan::Chan;
use crate::rt::notify;
use std::ptr::NonNull;

/// A signal, as a value of a channel.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_siginfo {
    pub signo: i32,
    /// si_code of the last one: SI_USER, SI_TIMER and so on.
    pub code: i32,
    /// si_pid of the last one, if code says that a process has sent it.
    pub pid: i32,
    /// How often the signal came since it was delivered before, and at least 1.
    pub count: u32,
}

const _: () = assert!(size_of::<gmx_siginfo>() == size_of::<notify::Info>());

/// The channel of a call, if it is one of this runtime.
///
/// # Safety
/// `chan` is null, or a channel that lives as long as the call.
unsafe fn chan_of(m: MRef, chan: *mut gmx_chan) -> Option<NonNull<Chan>> {
    let chan = NonNull::new(chan.cast::<Chan>()).filter(|c| c.is_aligned())?;
    // SAFETY: the caller's promise.
    unsafe { chan.as_ref() }.belongs(m).then_some(chan)
}

/// Has the channel get a gmx_siginfo for each of the n signals in sigs when it comes. Signals that come in quick
/// succession may be one value, whose count tells. The library does not wait: if the channel has no room, this channel
/// does not get the value. So a channel for signals that must not be missed has room for one of each, or is unbounded.
///
/// Any number of channels may get a signal, and a channel more signals by another call. The default of the signal no
/// longer happens: SIGINT ends the process no more. A handler that the host had installed is called as before. One that
/// it installs later takes the signal away from the channels, unless it calls the one that it has found.
///
/// Refused are SIGKILL and SIGSTOP, which cannot be handled; SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT and
/// SIGSYS, which a thread raises by what it does; and the signal of gmx_config.preempt_signal, and 32 to 34, which this
/// library and the C library use. A child of fork has no channels: it has the host's handlers, and may call this again.
/// While a channel gets signals gmx_main finds no deadlock.
///
/// ```c
/// int32_t winch = SIGWINCH;
/// if (gmx_signal_notify(resized, &winch, 1) != GMX_OK) return;
/// ```
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the library has a reference to the channel until gmx_signal_stop.
/// Returns: GMX_OK; GMX_EINVAL if chan is no channel of this process, its values are not of the size of gmx_siginfo,
/// sigs is NULL, n is 0, or a signal is refused or none; GMX_ENOTSUP after a start with GMX_CONFIG_ALL_AT_START;
/// GMX_ENOMEM; GMX_ESHUTDOWN; the errno of the system, negated, if it has no descriptors for the library.
/// Since: 0.2
///
/// # Safety
/// `chan` is null or a channel that lives as long as the call, `sigs` is null or has n elements.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_signal_notify(chan: *mut gmx_chan, sigs: *const i32, n: usize) -> gmx_status {
    if sigs.is_null() || n == 0 {
        return wrong(GMX_EINVAL);
    }
    let mut wants = 0;
    for i in 0..n {
        // SAFETY: the caller's promise.
        let sig = unsafe { sigs.wrapping_add(i).read_unaligned() };
        if !notify::may_be_notified(sig) {
            return wrong(GMX_EINVAL);
        }
        wants |= notify::bit(sig);
    }
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    // SAFETY: the caller's promise.
    match unsafe { chan_of(*m, chan) } {
        // SAFETY: as above.
        Some(c) if unsafe { c.as_ref() }.elem_size() == size_of::<gmx_siginfo>() => map(notify::begin(*m, c, wants)),
        _ => wrong(GMX_EINVAL),
    }
}

/// The channel gets no more signals. Those that have come before are delivered first, as far as there is room. Signals
/// that no other channel gets have the host's handler again, or their default, unless the host has installed another
/// one meanwhile.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the library gives its reference to the channel back.
/// Returns: GMX_OK; GMX_EINVAL if chan is no channel of this process, or gets no signals.
/// Since: 0.2
///
/// # Safety
/// `chan` is null or a channel that lives as long as the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_signal_stop(chan: *mut gmx_chan) -> gmx_status {
    let m = match any() {
        Ok(m) => m,
        Err(status) => return status,
    };
    // SAFETY: the caller's promise.
    match unsafe { chan_of(*m, chan) } {
        Some(c) => map(notify::end(*m, c)),
        None => wrong(GMX_EINVAL),
    }
}
