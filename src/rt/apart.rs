//! Reports from a separate thread. Other threads wait for the template thread, so it must not wait for the host's
//! report function.
//!
//! The thread lives for one report, and there is one at a time. If no thread can be made, the template thread reports
//! itself: then nothing moves anyway, and a report that may hold it up is better than none.

use crate::gmp::sched::Sched;
use crate::sys;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

/// Makes the text and reports it.
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
    // No thread joins it: an end of the runtime must not wait for the host's function. The memory that it reads is
    // never freed.
    sys::detach_self();
    // SAFETY: `tell` passes a Report.
    let report = unsafe { std::mem::transmute::<*mut c_void, Report>(report) };
    if let Some(sched) = super::up() {
        report(sched);
    }
    BUSY.store(false, Ordering::Release);
    std::ptr::null_mut()
}

/// In a child of fork, which has no such thread.
pub fn forget() {
    BUSY.store(false, Ordering::Relaxed);
}
