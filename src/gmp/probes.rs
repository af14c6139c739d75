//! The probes of the library ([`crate::sys::probe`]): what debuggers and tracers can see of Gs, Ms and Ps without
//! symbols. docs/c.md lists them with their arguments.
//!
//! Each is one nop. It stands where its arguments are valid, and before any other thread may change what it tells.

use super::g::{Cold, G, GRef};
use super::m::{M, MRef};
use super::p::{P, PRef};
use super::sched::Sched;
use crate::sys::probe::probe;
use std::mem::offset_of;
use std::ptr::from_ref;

/// A G is made; it is in no queue yet.
#[inline(always)]
pub fn go_create(gp: GRef) {
    probe!(go_create, 8, gp.as_ptr(), offset_of!(G, goid), 8, gp.as_ptr(), offset_of!(G, entry));
}

/// A G runs from here on, with this P.
#[inline(always)]
pub fn go_start(gp: GRef, p: PRef) {
    probe!(go_start, 8, gp.as_ptr(), offset_of!(G, goid), 4, p.as_ptr(), offset_of!(P, id));
}

/// A G is about to wait, and says why.
#[inline(always)]
pub fn go_park(gp: &G) {
    probe!(go_park, 8, from_ref(gp), offset_of!(G, goid), 8, from_ref(gp.cold), offset_of!(Cold, wait_reason));
}

/// `m` ends the wait of a G.
#[inline(always)]
pub fn go_ready(gp: GRef, m: MRef) {
    probe!(go_ready, 8, gp.as_ptr(), offset_of!(G, goid), 4, m.as_ptr(), offset_of!(M, id));
}

/// The function of a G has ended.
#[inline(always)]
pub fn go_end(gp: GRef, p: PRef) {
    probe!(go_end, 8, gp.as_ptr(), offset_of!(G, goid), 4, p.as_ptr(), offset_of!(P, id));
}

/// An M has got a P.
#[inline(always)]
pub fn proc_start(m: &M, p: PRef) {
    probe!(proc_start, 4, p.as_ptr(), offset_of!(P, id), 4, from_ref(m), offset_of!(M, id));
}

/// An M gives its P away.
#[inline(always)]
pub fn proc_stop(m: &M, p: PRef) {
    probe!(proc_stop, 4, p.as_ptr(), offset_of!(P, id), 4, from_ref(m), offset_of!(M, id));
}

/// A G enters a syscall.
#[inline(always)]
pub fn syscall_enter(gp: GRef, m: MRef) {
    probe!(syscall_enter, 8, gp.as_ptr(), offset_of!(G, goid), 4, m.as_ptr(), offset_of!(M, id));
}

/// The syscall of a G is over; it may have to wait for a P.
#[inline(always)]
pub fn syscall_exit(gp: GRef, m: MRef) {
    probe!(syscall_exit, 8, gp.as_ptr(), offset_of!(G, goid), 4, m.as_ptr(), offset_of!(M, id));
}

/// The owner of `thief` has taken Gs from the queue of `victim`.
#[inline(always)]
pub fn steal(thief: PRef, victim: PRef) {
    probe!(steal, 4, thief.as_ptr(), offset_of!(P, id), 4, victim.as_ptr(), offset_of!(P, id));
}

/// `m` begins to stop the world.
#[inline(always)]
pub fn stop_begin(m: MRef, sched: &Sched) {
    probe!(stop_begin, 4, m.as_ptr(), offset_of!(M, id), 4, from_ref(sched), offset_of!(Sched, gomaxprocs));
}

/// `m` lets the world run again.
#[inline(always)]
pub fn stop_end(m: MRef, sched: &Sched) {
    probe!(stop_end, 4, m.as_ptr(), offset_of!(M, id), 4, from_ref(sched), offset_of!(Sched, gomaxprocs));
}
