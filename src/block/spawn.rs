//! Goroutines with something more at their begin or end: a copy of arguments, or a wait group that counts them.
//!
//! The arguments travel beside the descriptor, and are copied to the goroutine's stack when it begins: a goroutine that
//! waits for its first turn owns no stack. A stack bound at the spawn would cost a page for each goroutine that waits.
//!
//! The wait group is counted down as the goroutine's last step, in whichever way its function ends.

use super::cleanup;
use super::waitgroup::WaitGroup;
use crate::gmp::allg::copied;
use crate::gmp::error::Result;
use crate::gmp::g::{Copied, GName, GRef, extra};
use crate::gmp::m::MRef;
use crate::protocol::{park, seize, store};
use crate::sys::{arch, call};
use std::ffi::c_void;
use std::ptr::from_ref;

type Entry = extern "C" fn(*mut c_void);

/// A goroutine of the default kind.
#[inline(always)]
fn plain(entry: Entry, arg: *mut c_void) -> store::Spawn {
    store::Spawn { entry: entry as *mut c_void, arg, flags: 0, stack_size: 0, name: GName::NONE }
}

/// A new goroutine that runs `f` with the address of a copy of the `len` bytes at `args`; in no queue yet. Until it
/// begins, its argument is `f`.
///
/// # Safety
/// `args` is readable for `len` bytes, which are no more than [`Copied`] has.
#[inline]
pub unsafe fn copying(m: MRef, f: Entry, args: *const u8, len: usize) -> Option<GRef> {
    let gp = store::newproc(m, &plain(begin_copied, f as *mut c_void))?;
    // SAFETY: the caller's promise; the goroutine belongs to this caller until it is in a queue.
    unsafe { copied(gp).cast::<u8>().copy_from_nonoverlapping(args, len) };
    Some(gp)
}

extern "C" fn begin_copied(f: *mut c_void) {
    seize::come_back();
    // SAFETY: a G runs on an M.
    let Some(m) = (unsafe { MRef::from_ptr(arch::current_m().cast()) }) else { return };
    let gp = park::running(m);
    // Copies the whole area, whatever the size: that is shorter than a loop.
    // SAFETY: the arguments are the goroutine's.
    let mut here = unsafe { copied(gp).read() };
    let here = (&raw mut here).cast::<c_void>();
    // As if the goroutine had been spawned with these.
    gp.entry.set(f);
    gp.arg.set(here);
    // SAFETY: `copying` has passed a function of this type.
    let f = unsafe { std::mem::transmute::<*mut c_void, Entry>(f) };
    seize::host(m, || call::plain(f, here));
    // The arguments' memory ends with this frame. (The function may have moved to another M, or be in the child of a
    // fork.)
    if let Some(gp) = cleanup::here().and_then(|m| m.g()).filter(|gp| !gp.cleanups.is_null()) {
        cleanup::run(gp, true, here.addr()..here.addr() + size_of::<Copied>());
    }
}

/// The function of the library with which a goroutine begins whose arguments were copied.
pub fn begin_copied_entry() -> *mut c_void {
    begin_copied as Entry as *mut c_void
}

/// The function of the host that a goroutine runs and its argument, for reports.
pub fn call_of(gp: GRef) -> (*mut c_void, *mut c_void) {
    let (entry, arg) = (gp.entry.get(), gp.arg.get());
    if entry == begin_copied as Entry as *mut c_void {
        (arg, copied(gp).cast())
    } else if entry == super::scope::begin as Entry as *mut c_void {
        (gp.child.get(), arg)
    } else {
        (entry, arg)
    }
}

/// Starts a goroutine that `wg` counts until it has ended.
pub fn counted(m: MRef, wg: &WaitGroup, f: Entry, arg: *mut c_void) -> Result<()> {
    wg.add(m, 1)?;
    let gp = match store::newproc_to_start(m, &plain(f, arg)) {
        Ok(gp) => gp,
        Err(e) => {
            wg.add(m, -1)?;
            return Err(e);
        }
    };
    gp.note_extra(extra::GROUP);
    gp.group.set(from_ref(wg).cast_mut().cast());
    park::ready_queue(m, gp);
    Ok(())
}

/// The end of a goroutine: its wait group counts it no more, and may be gone after this.
#[inline]
pub fn on_exit(m: MRef, gp: GRef) {
    if gp.group.is_null() {
        return;
    }
    // SAFETY: the host keeps a wait group until every goroutine that it counts has ended.
    let wg = unsafe { &*gp.group.take().cast::<WaitGroup>() };
    // The host may have counted wrong itself: then the count is zero already, and the call fails.
    let _ = wg.add(m, -1);
}
