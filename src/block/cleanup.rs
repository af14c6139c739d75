//! Cleanups: functions that a goroutine runs at its end, or at the point where it pops them if it gets that far; the
//! last one first.
//!
//! The nodes are the host's, and lie mostly in frames of the goroutine's functions. `gmx_goexit` runs the list on top
//! of these frames. When the goroutine's function returns, its frames are gone, and with them the nodes in them.
//! Running such a node would call whatever bytes lie there by then, so that ends the process, with a report.

use crate::gmp::g::{GRef, extra};
use crate::gmp::m::MRef;
use crate::protocol::seize;
use crate::sys::{arch, call, stderr};
use std::ffi::c_void;
use std::ops::Range;
use std::ptr::from_ref;

/// Laid out as the C struct. While it is on a list, only the goroutine touches it.
#[repr(C)]
pub struct Cleanup {
    pub f: Option<extern "C" fn(*mut c_void)>,
    pub arg: *mut c_void,
    pub below: *mut Cleanup,
}

/// Puts `c` on the list of the goroutine that runs here.
pub fn push(gp: GRef, c: &mut Cleanup) {
    gp.note_extra(extra::CLEANUP);
    c.below = gp.cleanups.get().cast();
    gp.cleanups.set((c as *mut Cleanup).cast());
}

/// Takes the last node from the list. False: the last node is not `c`.
///
/// # Safety
/// The nodes of the list exist.
#[must_use]
pub unsafe fn pop(gp: GRef, c: &Cleanup) -> bool {
    let last = std::ptr::eq(gp.cleanups.get().cast(), from_ref(c));
    if last {
        gp.cleanups.set(c.below.cast());
    }
    last
}

/// Runs the list of a goroutine that ends: in the middle of its function, or after its return; then `alive` is the part
/// of the stack that its arguments still occupy.
///
/// # Migrates
#[cold]
pub fn run(gp: GRef, returned: bool, alive: Range<usize>) {
    // As in a callback: a cleanup may not end the goroutine, which would come back here.
    gp.callbacks.set(gp.callbacks.get() + 1);
    while !gp.cleanups.is_null() {
        let c = gp.cleanups.get().cast::<Cleanup>();
        if returned && !alive.contains(&c.addr()) && is_on_stack(gp, c.addr()) {
            stderr::say(
                b"libgomax: fatal error: the function of a goroutine has returned, and a gmx_cleanup in its frame was not popped\n",
            );
            std::process::abort();
        }
        // SAFETY: the host keeps a node until it is popped, or until this loop has taken it.
        let &Cleanup { f, arg, below, .. } = unsafe { &*c };
        gp.cleanups.set(below.cast());
        if let Some(f) = f {
            seize::outside(|| call::plain(f, arg));
        }
    }
    gp.callbacks.set(gp.callbacks.get() - 1);
}

fn is_on_stack(gp: GRef, addr: usize) -> bool {
    // SAFETY: the goroutine runs here.
    unsafe { gp.stack() }.is_some_and(|s| (s.lo() as usize..s.hi as usize).contains(&addr))
}

/// The M of this thread, after a function of the host during which the goroutine may have moved.
pub(super) fn here() -> Option<MRef> {
    // SAFETY: the slot holds null or an M.
    unsafe { MRef::from_ptr(arch::current_m().cast()) }
}
