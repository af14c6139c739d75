//! Cleanup at the end of a goroutine
//!
//! A goroutine may end in the middle of its functions, by gmx_goexit or by an exception, and must still release what it
//! has taken. In C++ destructors do this; these functions are for C and for languages that emit C.

use super::*;
use crate::block::cleanup::{self, Cleanup};
use std::ffi::c_void;

/// A function that is to run when the goroutine ends. The fields are the library's from gmx_cleanup_push until the
/// function is popped or has run. The struct may lie in the frame of the function that pushes it, if that function pops
/// it before it returns.
#[repr(C)]
pub struct gmx_cleanup {
    pub r#fn: Option<extern "C" fn(*mut c_void)>,
    pub arg: *mut c_void,
    pub below: *mut c_void,
}

const _: () = assert!(size_of::<gmx_cleanup>() == size_of::<Cleanup>());
const _: () = assert!(align_of::<gmx_cleanup>() == align_of::<Cleanup>());

/// # Safety
/// `c` is null, or points to a node that the caller alone uses.
unsafe fn node<'a>(c: *mut gmx_cleanup) -> Option<&'a mut Cleanup> {
    if c.is_null() || !c.is_aligned() {
        return None;
    }
    // SAFETY: the caller's promise; the layouts agree.
    Some(unsafe { &mut *c.cast::<Cleanup>() })
}

/// Registers fn(arg): the library calls it if the calling goroutine ends before gmx_cleanup_pop, by gmx_goexit anywhere
/// or by the return of its function. The functions run on the goroutine, the last one pushed first, and before the
/// destructors of keys. They may wait, but not call gmx_goexit. On an attached thread no function is called that was
/// not popped.
///
/// A node in the frame of a function must be popped before the function returns. A goroutine whose function returns
/// with a node in its frames ends the process, with a report. A node elsewhere (in an object of the heap, or among the
/// arguments of gmx_spawn_copy) may be left to the return.
///
/// ```c
/// gmx_cleanup c;
/// char *buffer = malloc(size);
/// gmx_cleanup_push(&c, free, buffer);
/// parse(buffer); // may end the goroutine
/// gmx_cleanup_pop(&c, true);
/// ```
///
/// Blocks: never.
/// Call from: G, attached thread, also in a syscall or a stopped world.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: c is the library's until it is popped or its function is called.
/// Returns: GMX_OK; GMX_EINVAL if c or fn is NULL, c is not aligned, or c was pushed last already; GMX_ENOTG on a
/// foreign thread or in a scheduler's callback.
/// Since: 0.2
///
/// # Safety
/// `c` is null, or points to memory that stays until the node is popped or has run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_cleanup_push(
    c: *mut gmx_cleanup,
    r#fn: Option<extern "C" fn(*mut c_void)>,
    arg: *mut c_void,
) -> gmx_status {
    // SAFETY: the caller's promise.
    let (Some(node), true) = (unsafe { node(c) }, r#fn.is_some()) else { return wrong(GMX_EINVAL) };
    let Some(gp) = super::g::own() else { return wrong(GMX_ENOTG) };
    if gp.cleanups.get() == c.cast() {
        return wrong(GMX_EINVAL);
    }
    node.f = r#fn;
    node.arg = arg;
    cleanup::push(gp, node);
    GMX_OK
}

/// Takes back what was pushed last, and calls it first if run is true.
///
/// Blocks: as the function does.
/// Call from: G, attached thread, also in a syscall or a stopped world.
/// Safepoint: no, except for what the function does.
/// Migrates: as the function does.
/// Cancellable: no, except for what the function does.
/// Owns: c is the caller's again.
/// Returns: GMX_OK; GMX_EINVAL if c is NULL or not aligned; GMX_EPERM if c is not what was pushed last; GMX_ENOTG on a
/// foreign thread or in a scheduler's callback.
/// Since: 0.2
///
/// # Safety
/// `c` is null or was pushed; all that was pushed is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_cleanup_pop(c: *mut gmx_cleanup, run: bool) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(node) = (unsafe { node(c) }) else { return wrong(GMX_EINVAL) };
    let Some(gp) = super::g::own() else { return wrong(GMX_ENOTG) };
    // SAFETY: as above.
    if !unsafe { cleanup::pop(gp, node) } {
        return wrong(GMX_EPERM);
    }
    if let (true, Some(f)) = (run, node.f) {
        crate::sys::call::plain(f, node.arg);
    }
    GMX_OK
}
