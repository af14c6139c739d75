//! The functions that write records of what Gs, Ms and Ps do.
//!
//! # Problem
//! A record of a G must say what happened in the order in which it happened, although the thread that readies the G and
//! the thread that runs it next each write into a ring of their own, by clocks that nothing compares. And while no
//! records are wanted, the paths that would write them must not be slower.
//!
//! # Words
//! * ring of an M: where it writes its records; null while none are wanted. Written under the lock of the list of Ms
//!   (sched/tracing.rs).
//! * TRACED, a bit in the mode of an M: it has a ring. Written by the M alone, when it takes a P and where it runs the
//!   function of a barrier ([`settle`]). With the bit no code on the M is free ([`M::is_free`]), so it goes the slow
//!   ways, and only these write records.
//! * `trace_seq` of a G and of a P: the number of its last record that has one. It belongs to the owner of the G or P.
//!
//! # Rules
//! * RECORD-1 a record of a G or P is written by the thread that may change what it tells, before the next thread can:
//!   before the G is in a queue or is published by its commit, before the P is in a list or with another M; and after a
//!   P was taken, by its taker.
//! * RECORD-2 a record of START and UNBLOCK has the next number of the G; one of PROC_START, PROC_STEAL and SYS_BEGIN
//!   the next number of the P. The number goes with the ownership, so what orders the hand-over orders the numbers, and
//!   no operation on them is atomic.
//! * RECORD-3 from the moment at which recording has begun to the moment at which it ends, no record is left out. So
//!   what the rings hold of a G or a P is the end of what happened to it (TRACE-1 to TRACE-4, sched/tracing.rs).
//! * RECORD-4 a thread that writes a record calls nothing that waits, and nothing of the host.
//!
//! # Rejected
//! * Records by the thread that sees a change: two threads see the same one.
//! * A test of its own in each path: a nanosecond in each yield, of twenty. The paths test the mode of the M anyway.

use super::g::{GRef, WaitReason};
use super::m::{M, MRef};
use super::p::{P, PRef, Taken};
use super::sched::Sched;
use crate::sync::AtomicU64;
use crate::sync::own::{OwnBool, OwnPtr, OwnU32, OwnU64};
use crate::sys::arch;
use crate::trace::raw::{Moment, NO_P, Record, kind, stop};
use crate::trace::ring::Ring;
use std::ffi::{c_char, c_void};

/// What is the same for all rings. Written by the holder of worldsema, `on` under the lock of the list of Ms too.
#[derive(Default)]
pub struct Trace {
    /// Each M has a ring.
    pub on: OwnBool,
    /// How many records a new ring has room for.
    pub records: OwnU32,
    /// A tick of a record is a nanosecond of the clock.
    pub by_clock: OwnBool,
    /// How many tasks of the program have begun. Only for numbers that differ.
    pub tasks: AtomicU64,
    began_ticks: OwnU64,
    began_mono: OwnU64,
    began_real: OwnU64,
    /// How often recording has begun or ended.
    pub turns: OwnU64,
    /// Functions of the library with which Gs of the host begin: the function of the host is the argument of the first,
    /// and `child` of a G that begins with the second.
    pub copied: OwnPtr<c_void>,
    pub scoped: OwnPtr<c_void>,
}

impl Trace {
    /// The time of a record that is written now.
    #[inline(always)]
    pub fn ticks(&self) -> u64 {
        if self.by_clock.get() { crate::sync::now() as u64 } else { arch::ticks() }
    }

    pub fn now(&self) -> Moment {
        Moment { ticks: self.ticks(), mono: crate::sync::now() as u64, real: crate::sys::wall_clock() as u64 }
    }

    /// When recording began.
    pub fn began(&self) -> Moment {
        Moment { ticks: self.began_ticks.get(), mono: self.began_mono.get(), real: self.began_real.get() }
    }

    pub fn set_began(&self, at: Moment) {
        self.began_ticks.set(at.ticks);
        self.began_mono.set(at.mono);
        self.began_real.set(at.real);
    }
}

/// The ring of an M, for its own thread.
#[inline(always)]
fn ring(m: &M) -> Option<&'static Ring> {
    m.ring()
}

fn pid(m: &M) -> u32 {
    m.p().map_or(NO_P, |pp| pp.id)
}

/// RECORD-4
#[inline(always)]
fn write(m: &M, ring: &Ring, kind: u8, pid: u32, seq: u32, goid: u64, aux: u64) {
    ring.put(Record::new(m.sched().trace.ticks(), kind, pid, seq, goid, aux));
}

/// The next number of a P, for its owner (RECORD-2).
fn p_seq(p: &P, by: u32) -> u32 {
    let seq = p.trace_seq.get().wrapping_add(by);
    p.trace_seq.set(seq);
    seq
}

/// The next number of a G, for its owner (RECORD-2).
fn g_seq(gp: GRef) -> u32 {
    let seq = gp.trace_seq.get().wrapping_add(1);
    gp.trace_seq.set(seq);
    seq
}

/// The M has a P, or runs the function of a barrier: from here on it writes records if it has a ring, and none if not.
#[inline]
pub fn settle(m: &M) {
    let on = m.ring().is_some();
    if on != m.is_traced() {
        m.set_traced(on);
    }
}

// ---- Ps -------------------------------------------------------------------------------------------------------------

/// The M has taken a P that was idle.
#[cold]
#[inline(never)]
pub fn proc_start(m: &M, p: PRef) {
    if let Some(ring) = ring(m) {
        write(m, ring, kind::PROC_START, p.id, p_seq(&p, 1), 0, 0);
    }
}

/// The M is about to give a P away.
#[cold]
#[inline(never)]
pub fn proc_stop(m: &M, p: PRef) {
    if let Some(ring) = ring(m) {
        write(m, ring, kind::PROC_STOP, p.id, 0, 0, 0);
    }
}

/// `me` has taken this P from another M.
#[cold]
#[inline(never)]
pub fn taken(me: &M, taken: &Taken) {
    let p = taken.pp.p();
    // Its M was in a call of the host without a G, and has said that it is idle.
    let was_idle = p.shown_idle.replace(false);
    let Some(ring) = ring(me) else { return };
    // SAFETY: null or an M, and Ms are never freed.
    let victim = unsafe { MRef::from_ptr(p.m()) }.map_or(0, |m| u64::from(m.id));
    match taken.from {
        Some(_) => write(me, ring, kind::SEIZE, p.id, p_seq(&p, 2), taken.goid, victim),
        None if was_idle => {}
        None => write(me, ring, kind::PROC_STEAL, p.id, p_seq(&p, 1), 0, victim),
    }
}

/// The syscall in which the M left this P is over, but its G does not come back: the M gives the P away.
#[cold]
#[inline(never)]
pub fn took_back(m: &M, p: PRef) {
    if let Some(ring) = ring(m) {
        write(m, ring, kind::PROC_STEAL, p.id, p_seq(&p, 1), 0, u64::from(m.id));
    }
}

/// The number of Ps has changed.
#[cold]
pub fn procs(m: &M, n: u32) {
    if let Some(ring) = ring(m)
        && m.p().is_some()
    {
        write(m, ring, kind::PROCS, pid(m), 0, 0, u64::from(n));
    }
}

// ---- Gs -------------------------------------------------------------------------------------------------------------

/// A new G, in no queue yet.
#[cold]
#[inline(never)]
pub fn create(m: &M, gp: GRef, entry: *mut c_void, arg: *mut c_void, waits: bool) {
    let Some(ring) = ring(m) else { return };
    gp.trace_seq.set(0);
    text(ring, gp.name().bytes());
    let kind = match m.p() {
        _ if waits => kind::CREATE_WAITING,
        Some(_) => kind::CREATE,
        None => kind::CREATE_NO_P,
    };
    let copied = entry == m.sched().trace.copied.get();
    write(m, ring, kind, pid(m), 0, gp.goid.get(), if copied { arg } else { entry } as u64);
}

/// The M runs this G from here on, with its P.
#[cold]
#[inline(never)]
pub fn start(m: &M, gp: GRef) {
    if let Some(ring) = ring(m) {
        write(m, ring, kind::START, pid(m), g_seq(gp), gp.goid.get(), entry(m.sched(), gp));
    }
}

/// The function of the host that a G runs.
pub fn entry(sched: &Sched, gp: GRef) -> u64 {
    let trace = &sched.trace;
    let entry = gp.entry.get();
    if entry == trace.copied.get() {
        gp.arg.get() as u64
    } else if entry == trace.scoped.get() {
        gp.child.get() as u64
    } else {
        entry as u64
    }
}

/// The G that runs here has ended.
#[cold]
#[inline(never)]
pub fn destroy(m: &M, gp: GRef) {
    if let Some(ring) = ring(m) {
        write(m, ring, kind::DESTROY, pid(m), 0, gp.goid.get(), 0);
    }
}

/// The G that runs here stops, and is in no queue yet. `why`: [`stop`].
#[cold]
#[inline(never)]
fn stop_for(m: &M, gp: GRef, why: u64) {
    if let Some(ring) = ring(m) {
        write(m, ring, kind::STOP, pid(m), 0, gp.goid.get(), why);
    }
}

pub fn yields(m: &M, gp: GRef) {
    stop_for(m, gp, stop::YIELD);
}

pub fn preempted(m: &M, gp: GRef) {
    stop_for(m, gp, stop::PREEMPTED);
}

pub fn child_first(m: &M, gp: GRef) {
    stop_for(m, gp, stop::CHILD_FIRST);
}

pub fn held(m: &M, gp: GRef) {
    stop_for(m, gp, stop::HELD);
}

/// The G that runs here is about to wait, and nothing has published it yet.
#[cold]
#[inline(never)]
pub fn block(m: &M, gp: GRef, reason: WaitReason) {
    let Some(ring) = ring(m) else { return };
    let number = match reason.number() {
        Some(number) => number,
        None => {
            text(ring, reason.bytes());
            0
        }
    };
    write(m, ring, kind::BLOCK, pid(m), number, gp.goid.get(), 0);
}

/// A G that waited is runnable, and in no queue yet.
#[cold]
#[inline(never)]
pub fn unblock(m: &M, gp: GRef) {
    if let Some(ring) = ring(m) {
        write(m, ring, kind::UNBLOCK, pid(m), g_seq(gp), gp.goid.get(), 0);
    }
}

// ---- syscalls -------------------------------------------------------------------------------------------------------

/// The G here is about to leave its P for a syscall.
#[cold]
#[inline(never)]
pub fn sys_begin(m: &M, gp: GRef) {
    if let Some(ring) = ring(m)
        && let Some(pp) = m.p()
    {
        write(m, ring, kind::SYS_BEGIN, pp.id, p_seq(pp, 1), gp.goid.get(), 0);
    }
}

/// The G here is back from a syscall, and has the P that it left.
#[cold]
#[inline(never)]
pub fn sys_end(m: &M, gp: GRef) {
    if let Some(ring) = ring(m) {
        write(m, ring, kind::SYS_END, pid(m), 0, gp.goid.get(), 0);
    }
}

/// The G here is back from a syscall, without the P that it left; in no queue yet.
#[cold]
#[inline(never)]
pub fn sys_blocked(m: &M, gp: GRef) {
    if let Some(ring) = ring(m) {
        write(m, ring, kind::SYS_BLOCKED, NO_P, 0, gp.goid.get(), 0);
    }
}

// ---- threads and the world ------------------------------------------------------------------------------------------

/// A thread of the host has this M from here on.
#[cold]
pub fn foreign_in(m: &M, gp: GRef) {
    if let Some(ring) = ring(m) {
        gp.trace_seq.set(0);
        write(m, ring, kind::FOREIGN_IN, NO_P, 0, gp.goid.get(), m.tid.get() as u64);
    }
}

/// The thread of the host leaves its M, which is in no list yet.
#[cold]
pub fn foreign_out(m: &M, gp: GRef) {
    if let Some(ring) = ring(m) {
        write(m, ring, kind::FOREIGN_OUT, NO_P, 0, gp.goid.get(), 0);
    }
}

/// A thread of the library has this M from here on.
#[cold]
pub fn thread(m: &M) {
    if let Some(ring) = ring(m) {
        write(m, ring, kind::THREAD, NO_P, 0, 0, m.tid.get() as u64);
    }
}

/// The G here begins to stop the world.
#[cold]
pub fn stops_world(m: &M, why: &[u8]) {
    says(m, kind::STW_BEGIN, 0, 0, why);
}

/// The G here starts the world that it has stopped.
#[cold]
pub fn starts_world(m: &M) {
    says(m, kind::STW_END, 0, 0, b"");
}

/// What the G here says of itself, or of the world. Of a thread without a P there is no record: the format of Go has no
/// place for it.
#[cold]
#[inline(never)]
pub fn says(m: &M, kind: u8, seq: u32, aux: u64, said: &[u8]) {
    if let Some(ring) = ring(m)
        && let (Some(pp), Some(gp)) = (m.p(), m.g())
    {
        text(ring, said);
        write(m, ring, kind, pp.id, seq, gp.goid.get(), aux);
    }
}

// ---- texts ----------------------------------------------------------------------------------------------------------

/// The bytes of a text that one record holds.
const PART: usize = 24;
/// How many such records a text may have.
const PARTS: usize = 42;

/// The text of the record that follows, which fits into a ring: longer ones are cut.
fn text(ring: &Ring, bytes: &[u8]) {
    let most = PARTS.min(ring.size() / 4) * PART;
    let bytes = &bytes[..bytes.len().min(most)];
    let all = bytes.len().div_ceil(PART) as u32;
    for (i, part) in bytes.chunks(PART).enumerate() {
        let word = |at: usize| {
            let bytes = part.get(at * 8..).unwrap_or(&[]);
            bytes.iter().take(8).enumerate().fold(0, |w, (i, &b)| w | u64::from(b) << (8 * i))
        };
        ring.put(Record::new(word(0), kind::TEXT, all, i as u32, word(1), word(2)));
    }
}

impl WaitReason {
    /// The number of a reason of the library's: the distance of its text from the first one. None: it is the host's.
    pub fn number(self) -> Option<u32> {
        let p = self.as_ptr();
        (p == WaitReason::NONE.as_ptr() || WaitReason::own_text(p).is_some()).then(|| WaitReason::number_of(p))
    }

    /// The number of one of the library's own texts.
    pub fn number_of(p: *const c_char) -> u32 {
        (p as usize).wrapping_sub(WaitReason::NONE.as_ptr() as usize) as u32
    }

    /// The text, which must still be there.
    fn bytes(self) -> &'static [u8] {
        // SAFETY: it is terminated, and the wait has not begun yet.
        unsafe { std::ffi::CStr::from_ptr(self.as_ptr()) }.to_bytes()
    }
}
