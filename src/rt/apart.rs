//! A report from a thread of its own: for the template thread, which others wait for, and which must therefore not wait
//! for the host's function.
//!
//! The thread lives for one report, and there is one at a time. If no thread can be made the template thread tells it
//! itself: then nothing moves anyway, and a report that may hold it up is better than none.

use crate::gmp::sched::Sched;
use crate::sys;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

/// Makes the text and tells it.
pub type Report = fn(&Sched);

/// A report is on its way.
static BUSY: AtomicBool = AtomicBool::new(false);

/// False: another report is on its way.
#[must_use]
pub fn tell(sched: &Sched, report: Report) -> bool {
    if BUSY.swap(true, Ordering::Acquire) {
        return false;
    }
    // SAFETY: `start` takes any Report.
    if unsafe { sys::spawn_thread(256 << 10, "gomax-report", start, report as *mut c_void) }.is_err() {
        report(sched);
        BUSY.store(false, Ordering::Release);
    }
    true
}

extern "C" fn start(report: *mut c_void) -> *mut c_void {
    // No one joins it: an end of the runtime must not wait for the host's function. What it reads is never freed.
    sys::detach_self();
    // SAFETY: `tell` passes a Report.
    let report = unsafe { std::mem::transmute::<*mut c_void, Report>(report) };
    if let Some(sched) = super::up() {
        report(sched);
    }
    BUSY.store(false, Ordering::Release);
    std::ptr::null_mut()
}

/// A child of fork has no such thread.
pub fn forget() {
    BUSY.store(false, Ordering::Relaxed);
}
