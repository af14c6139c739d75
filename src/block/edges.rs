//! One direction of a descriptor: its events, counted, and the wait for the next one. protocol/netpoll.rs has the
//! paper.

use super::waitq::{self, After, How, Waited};
use crate::gmp::g::{GList, gflag};
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::sched::Sched;
use crate::protocol::{quiet, thread, wake};
use crate::sync::{AtomicU64, Ordering};
use std::ffi::c_void;

/// The count of edges. Never freed: a late event may come to it.
#[derive(Default)]
pub struct Edges(AtomicU64);

impl Edges {
    fn addr(&self) -> u64 {
        std::ptr::from_ref(self) as u64
    }

    /// The count, to be read before the call that may block (NETPOLL-A1).
    #[inline]
    pub fn seen(&self) -> u64 {
        // Acquire: pairs with the Release in `happen`.
        self.0.load(Ordering::Acquire)
    }

    /// NETPOLL-B1: one edge more. The Gs that waited for it are appended to the list; threads of the host are woken.
    pub fn happen(&self, sched: &Sched, list: &mut GList) {
        // Release: pairs with the Acquire in `seen`.
        self.0.fetch_add(1, Ordering::Release);
        let mut woken = GList::new();
        waitq::end_all(sched, self.addr(), &mut woken);
        while let Some(gp) = woken.pop_front() {
            if gp.has(gflag::THREAD_WAIT) {
                thread::ready(gp);
            } else {
                list.push_back(gp);
            }
        }
    }

    /// An edge that does not come from the kernel: each waiter makes its call again, and looks at what has changed.
    pub fn wake(&self, m: MRef) {
        self.0.fetch_add(1, Ordering::Release);
        let mut woken = GList::new();
        waitq::end_all(m.sched(), self.addr(), &mut woken);
        waitq::ready_all(m, woken);
    }

    /// NETPOLL-A1 to NETPOLL-A4: waits for an edge after the `seen` ones.
    ///
    /// # Migrates
    pub fn wait(&self, m: MRef, seen: u64, how: How) -> (MRef, Waited) {
        // NETPOLL-I1
        m.sched().net.waiters.fetch_add(1, Ordering::SeqCst);
        let after = After { f: waits, arg: std::ptr::null_mut() };
        let (m, waited) = waitq::wait_then(m, self.addr(), how, Some(after), |_| self.seen() == seen, |_| ());
        m.sched().net.waiters.fetch_sub(1, Ordering::SeqCst);
        if m.ctx() == Ctx::Foreign {
            // It was perhaps the last to wait for a descriptor. (A G runs now, and all goes idle after it.)
            quiet::notify_if_all_idle(m.sched());
        }
        (m, waited)
    }
}

/// NETPOLL-A3.
unsafe fn waits(m: MRef, _: *mut c_void) {
    wake::io_added_on_the_way(m.sched(), m);
}
