//! What a goroutine is to do at its end, or where it goes on if it does not end before: functions on a list, the last first.
//!
//! The nodes are the host's and lie mostly in frames of the goroutine's functions. `gmx_goexit` runs the list on top of these
//! frames. When the goroutine's function returns, its frames are gone, and a node that is in one of them with it: to run it
//! would call what happens to lie there. That ends the process, with a report.

use crate::gmp::g::{GRef, extra};
use crate::gmp::m::MRef;
use crate::sys::{arch, call, stderr};
use std::ffi::c_void;
use std::ops::Range;
use std::ptr::from_ref;

/// As the C struct lays it out. While it is on a list, nobody but the goroutine touches it.
#[repr(C)]
pub struct Cleanup {
    pub f: Option<extern "C" fn(*mut c_void)>,
    pub arg: *mut c_void,
    pub below: *mut Cleanup,
}

/// Puts `c` on the list of a goroutine that runs.
pub fn push(gp: GRef, c: &mut Cleanup) {
    gp.note_extra(extra::CLEANUP);
    c.below = gp.cleanups.get().cast();
    gp.cleanups.set((c as *mut Cleanup).cast());
}

/// Takes the last one from the list. False: `c` is another.
///
/// # Safety
/// The nodes of the list are there.
#[must_use]
pub unsafe fn pop(gp: GRef, c: &Cleanup) -> bool {
    let last = std::ptr::eq(gp.cleanups.get().cast(), from_ref(c));
    if last {
        gp.cleanups.set(c.below.cast());
    }
    last
}

/// Runs the list of a goroutine that ends: in the middle of its function, or where that has returned and `alive` is what is
/// left of its arguments.
///
/// # Migrates
#[cold]
pub fn run(gp: GRef, returned: bool, alive: Range<usize>) {
    // As in a callback: they may not end the goroutine, which would come back here.
    gp.callbacks.set(gp.callbacks.get() + 1);
    while !gp.cleanups.is_null() {
        let c = gp.cleanups.get().cast::<Cleanup>();
        if returned && !alive.contains(&c.addr()) && is_on_stack(gp, c.addr()) {
            stderr::say(
                b"libgomax: fatal error: the function of a goroutine has returned, and a gmx_cleanup in its frame was not popped\n",
            );
            std::process::abort();
        }
        // SAFETY: the host keeps a node until it is popped, or this has taken it.
        let (f, arg, below) = unsafe { ((*c).f, (*c).arg, (*c).below) };
        gp.cleanups.set(below.cast());
        if let Some(f) = f {
            call::plain(f, arg);
        }
    }
    gp.callbacks.set(gp.callbacks.get() - 1);
}

fn is_on_stack(gp: GRef, addr: usize) -> bool {
    // SAFETY: the goroutine runs here.
    unsafe { gp.stack() }.is_some_and(|s| (s.lo() as usize..s.hi as usize).contains(&addr))
}

/// The M of this thread, after a function of the host that may have been anywhere.
pub(super) fn here() -> Option<MRef> {
    // SAFETY: the slot holds null or an M.
    unsafe { MRef::from_ptr(arch::current_m().cast()) }
}
