//! Syscalls
//!
//! A goroutine that blocks its thread (a read, a lock of the host's) loses its processor to another goroutine at the
//! end of its slice. Around such a call the thread gives its processor away at once, and at a lower price: gmx_blocking
//! for one function, gmx_enter_syscall and gmx_exit_syscall around a piece of code.

use super::*;
use crate::gmp::m::{Ctx, MRef};
use crate::protocol::{park, syscall};
use crate::sys::arch::stack_pointer;
use crate::sys::call;
use std::ffi::c_void;

/// The goroutine is about to call something that may block its thread. After a short call it continues on the same P;
/// if the call lasts, another thread takes the P. Until gmx_exit_syscall only calls that never block are allowed.
///
/// Blocks: never.
/// Call from: G, attached thread.
/// Safepoint: yes.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINSYSCALL if it is in one already; GMX_ENOTG.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_enter_syscall() -> gmx_status {
    let m = match MRef::current() {
        Some(m) if m.is_free() => m,
        _ => return enter_slow(),
    };
    let (gp, sp) = (m.free_g(), stack_pointer());
    if let Some(m) = Inside::enter_to_leave(m, gp, sp) {
        syscall::entersyscall_free(*m, gp, sp);
        m.is_out();
    }
    GMX_OK
}

#[cold]
#[inline(never)]
#[track_caller]
fn enter_slow() -> gmx_status {
    let m = match on_g() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let (gp, sp) = (park::running(m), stack_pointer());
    if let Some(m) = Inside::enter_to_leave(m, gp, sp) {
        syscall::entersyscall(*m, gp, sp);
        m.is_out();
    }
    GMX_OK
}

/// Ends what gmx_enter_syscall began. Waits for a P if none is free.
///
/// Blocks: the goroutine, until it has a P.
/// Call from: G in a syscall.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EPERM without an enter.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_exit_syscall() -> gmx_status {
    if exit() { GMX_OK } else { wrong(GMX_EPERM) }
}

/// False if the caller is in no syscall.
#[inline(always)]
fn exit() -> bool {
    let Some(m) = MRef::current() else { return false };
    if !m.is_free_in_syscall() {
        return exit_with_care(m);
    }
    is_back(Inside::already(park::exit_syscall_free(m, park::running(m))))
}

#[cold]
#[inline(never)]
fn exit_with_care(m: MRef) -> bool {
    m.ctx() == Ctx::Syscall && is_back(Inside::already(park::exit_syscall(m, park::running(m))))
}

#[inline(always)]
fn is_back(m: Inside) -> bool {
    if m.must_p().requests() != 0 {
        m.then(park::safepoint).end();
    } else {
        m.end();
    }
    true
}

/// As gmx_enter_syscall for a call that is sure to block: the P is handed on at once.
///
/// Blocks: never.
/// Call from: G, attached thread.
/// Safepoint: yes.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINSYSCALL if it is in one already; GMX_ENOTG.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_enter_syscall_blocking() -> gmx_status {
    enter_blocking()
}

#[inline(always)]
#[track_caller]
fn enter_blocking() -> gmx_status {
    let m = match on_g() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let (gp, sp) = (park::running(m), stack_pointer());
    if let Some(m) = Inside::enter_to_leave(m, gp, sp) {
        syscall::entersyscallblock(*m, gp, sp);
    }
    GMX_OK
}

/// Runs fn(arg), which may block the thread, as between gmx_enter_syscall_blocking and gmx_exit_syscall. On a thread of
/// the host it just calls fn.
///
/// Blocks: the goroutine, or the thread, as long as fn does.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes, after fn.
/// Cancellable: no.
/// Owns: arg stays the caller's.
/// Returns: GMX_OK when fn has returned; GMX_EINVAL if fn is NULL; GMX_EINSYSCALL, GMX_ENOTG.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_blocking(r#fn: Option<extern "C" fn(*mut c_void)>, arg: *mut c_void) -> gmx_status {
    let Some(f) = r#fn else { return wrong(GMX_EINVAL) };
    if MRef::current().is_none_or(|m| m.ctx() == Ctx::Foreign) {
        call::plain(f, arg);
        return GMX_OK;
    }
    let status = enter_blocking();
    if status != GMX_OK {
        return status;
    }
    call::plain(f, arg);
    // fn may have left the syscall by itself.
    exit();
    GMX_OK
}
