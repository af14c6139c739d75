//! Timers of the host: a function on a fresh G, or a time in a channel, once or again and again.
//!
//! # Problem
//! A timer fires on some M while somebody else stops it, resets it or gives it up. When stop or reset has returned
//! nothing of before may come: no function begins, no time can be received. A firing for which there is no memory is
//! not lost.
//!
//! # Words
//! `state`, under the timer's lock: `armed`, `seq`, `pending`, what to do and how often. `seq` counts arms and stops:
//! what the heap was given with another number is late. `taken`: the firing that is on its way was done by a receiver.
//! `pending`: the G that was spawned to call the function and has not begun, by its number for people.
//!
//! # Protocol
//! * A1 arm (new, reset): under the lock: stop, as below; seq + 1; into a heap.
//! * F1 fire, on a scheduler's stack: under the lock, with the right seq: F2 a G is made, which is `pending` then
//!   (while one is pending this firing is left out: a slow one loses ticks); or the time goes into the channel, if
//!   there is room. F3 again and again: back into the heap, later by as many periods as have passed. No memory: back
//!   into the heap, for a little later.
//! * F4 after the lock the G is put where it will run.
//! * T1 a receiver that would get nothing looks whether the timer of its channel is due, and fires it itself, on its
//!   own stack: under the lock, F2 and F3. A timer that fires once is taken out of its heap; seq + 1, for a callback
//!   that is on its way already. T2 One that fires again is put off in its heap, where it is; if a callback is on its
//!   way, that finds `taken` and only goes back into the heap, in the room that it has kept (I2).
//! * G1 the G begins: under the lock, if it is the one that is pending: nobody is, and it calls the function. Otherwise
//!   it ends.
//! * Z1 stop: under the lock: seq + 1, out of the heap, nobody is pending, the channel is emptied.
//!
//! A channel of [`after_chan`] owns its timer: the timer has no handle that anybody knows, and is not one of the channel's
//! users.
//! * O1 the free of the last user decides under the latch that the channel goes. O2 Under the timer's lock: Z1, and the
//!   timer's place is given back. O3 The channel's memory is given back. So a firing has sent into the channel before O2, or
//!   finds another `seq`.
//!
//! # Invariants
//! * I1 all of these exclude each other by the timer's lock, which comes before a channel's and a heap's. So what Z1
//!   has ended does not begin after it, and what began before it is no business of Z1's: stop says which.
//! * I2 a timer that fires has room to come back (`comes_back` in gmp/timers.rs).
//! * I3 `seq` grows as long as the place in the slab lives, so what is late for one timer is late for its successor.
//! * I4 only O2 gives back the place of a timer that a channel owns: it is that channel's timer as long as the channel lives.
//!
//! # Rejected
//! One CAS word instead of the lock: stop must empty the channel as one step with the arm. A G that is made beforehand:
//! a descriptor for each timer that may never fire.
//!
//! # Differences from Go
//! Stop of a function's timer says true as long as the function has not begun, not only until its goroutine is spawned.

use super::chan::{Chan, Op};
use super::objects::{Objects, objects};
use super::waitq::FOREVER;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GName, GRef};
use crate::gmp::m::MRef;
use crate::gmp::p::PRef;
use crate::gmp::sched::Sched;
use crate::gmp::timers::{Alarm, NEVER, Timer, Timers, later};
use crate::protocol::{park, store, wake};
use crate::sync::{Guard, Lock, Rank, now};
use std::ffi::c_void;
use std::ptr::{NonNull, from_ref};

/// How much later a firing without memory is tried again.
const AGAIN: i64 = 1_000_000;

/// A timer of the host. Its memory serves one after another.
pub struct HostTimer {
    timer: Timer,
    state: Lock<State>,
}

struct State {
    handle: u64,
    armed: bool,
    seq: u64,
    when: i64,
    /// 0: once.
    period: i64,
    what: What,
    /// 0: nobody.
    pending: u64,
    taken: bool,
    /// Nobody holds its handle: it is given back when it fires.
    free: bool,
}

/// What a timer does when it fires.
#[derive(Clone, Copy)]
pub enum What {
    Nothing,
    /// Calls this on a fresh G.
    Call(extern "C" fn(*mut c_void), *mut c_void),
    /// Sends the time, if there is room; the timer is one of the channel's users.
    Send(NonNull<Chan>),
    /// As `Send`, for a channel that owns the timer.
    SendToOwner(NonNull<Chan>),
}

impl What {
    /// The channel that gets the time.
    fn chan(self) -> Option<NonNull<Chan>> {
        match self {
            What::Send(c) | What::SendToOwner(c) => Some(c),
            What::Nothing | What::Call(..) => None,
        }
    }
}

// SAFETY: the pointers are the host's, which gave them to be used by any thread.
unsafe impl Send for State {}

impl Default for HostTimer {
    fn default() -> HostTimer {
        let timer = Timer::default();
        timer.comes_back.set(true);
        HostTimer {
            timer,
            state: Lock::new(
                Rank::Timer,
                State {
                    handle: 0,
                    armed: false,
                    seq: 0,
                    when: NEVER,
                    period: 0,
                    what: What::Nothing,
                    pending: 0,
                    taken: false,
                    free: false,
                },
            ),
        }
    }
}

/// A new timer, not armed. A channel's user is the timer's from here on, if it comes to be.
fn make(m: MRef, what: What) -> Result<u64> {
    let (handle, t) = objects(m.sched())?.timers.make(m.id).ok_or(Error::NoMemory)?;
    let mut s = t.state.lock();
    *s =
        State { handle, armed: false, when: NEVER, period: 0, what, pending: 0, taken: false, free: false, seq: s.seq };
    if let Some(c) = what.chan() {
        // SAFETY: the timer is one of its users from here on, or the channel is its owner.
        unsafe { c.as_ref() }.set_timer(t, matches!(what, What::SendToOwner(_)));
    }
    Ok(handle)
}

/// The timer of a handle, locked.
fn locked(objects: &'static Objects, handle: u64) -> Result<(&'static HostTimer, Guard<'static, State>)> {
    let t = objects.timers.get(handle).ok_or(Error::Stale)?;
    let s = t.state.lock();
    // It may have become another's before the lock was ours.
    if s.handle == handle { Ok((t, s)) } else { Err(Error::Stale) }
}

/// As [`locked`], for a handle of the host's: none of a timer that a channel owns (I4).
fn find(objects: &'static Objects, handle: u64) -> Result<(&'static HostTimer, Guard<'static, State>)> {
    locked(objects, handle).and_then(|(t, s)| match s.what {
        What::SendToOwner(_) => Err(Error::Stale),
        _ => Ok((t, s)),
    })
}

impl State {
    /// When it fires again: by as many periods later as have passed.
    fn next(&self, now: i64) -> i64 {
        let late = (now - self.when).max(0) / self.period;
        later(self.when, self.period.saturating_mul(late + 1))
    }
}

impl HostTimer {
    /// Z1. Whether something was prevented by it.
    fn stop(&self, s: &mut State) -> bool {
        let armed = std::mem::replace(&mut s.armed, false);
        if armed {
            Timers::remove(&self.timer);
        }
        self.forget(s) || armed
    }

    /// What has fired already is void.
    fn forget(&self, s: &mut State) -> bool {
        s.seq += 1;
        s.taken = false;
        let mut prevented = false;
        match s.what.chan() {
            Some(c) => {
                // SAFETY: the timer is one of its users, or the channel its owner, which lives until O3.
                let c = unsafe { c.as_ref() };
                prevented |= !c.is_empty();
                c.clear();
            }
            None => prevented |= std::mem::replace(&mut s.pending, 0) != 0,
        }
        prevented
    }

    fn alarm(&self, s: &State) -> Alarm {
        Alarm { when: s.when, fire, arg: from_ref(self).cast_mut().cast(), seq: s.seq }
    }
}

/// When a delay is over that begins now. One that has passed ends now: a period that began long ago would fire once for
/// each time that was missed.
fn at(delay: i64) -> i64 {
    later(now(), delay.max(0))
}

/// A1. Fires after `delay`, then every `period` (0: once); [`FOREVER`]: never. Whether that prevented a firing
/// of before. Without memory it is stopped.
pub fn reset(m: MRef, handle: u64, delay: i64, period: i64) -> Result<bool> {
    let (t, mut s) = find(objects(m.sched())?, handle)?;
    if s.armed && delay != FOREVER {
        t.forget(&mut s);
        s.when = at(delay);
        s.period = period;
        if Timers::postpone(&t.timer, s.when, s.seq) {
            return Ok(true);
        }
    }
    let was = t.stop(&mut s);
    let first = arm(m, t, &mut s, delay, period)?;
    drop(s);
    tell(m, first);
    Ok(was)
}

/// The time, if the timer is the first of its heap now: for [`tell`], when the lock is open.
fn arm(m: MRef, t: &'static HostTimer, s: &mut State, delay: i64, period: i64) -> Result<Option<i64>> {
    if delay == FOREVER {
        return Ok(None);
    }
    s.when = at(delay);
    s.period = period;
    // SAFETY: it is stopped, and a place in the slab is never given back.
    let (_, first) = unsafe { Timers::add_somewhere(m.sched(), m, &t.timer, t.alarm(s)) }?;
    s.armed = true;
    Ok(first.then_some(s.when))
}

/// A P has a new first timer. It may take the system to tell the thread that keeps the time.
fn tell(m: MRef, first: Option<i64>) {
    if let Some(when) = first {
        wake::timer_added(m.sched(), m, when);
    }
}

/// A timer of this delay and period. `forget`: it has no handle for anybody, and is given back when it has fired.
pub fn after(m: MRef, delay: i64, period: i64, what: What, forget: bool) -> Result<u64> {
    let handle = make(m, what)?;
    let objects = objects(m.sched())?;
    let (t, mut s) = locked(objects, handle)?;
    s.free = forget;
    let armed = arm(m, t, &mut s, delay, period);
    if armed.is_err() {
        give_back(objects, &mut s);
    }
    drop(s);
    tell(m, armed?);
    Ok(handle)
}

/// A channel that gets the time once, after `delay`, and owns the timer that brings it. One that is due at once has the time
/// in it already, and no timer; nor has one for ever.
pub fn after_chan(m: MRef, delay: i64) -> Result<NonNull<Chan>> {
    let chan = Chan::make(m.sched(), size_of::<i64>(), 1)?;
    let armed = match delay {
        FOREVER => Ok(()),
        ..=0 => {
            send(m, chan);
            Ok(())
        }
        _ => after(m, delay, 0, What::SendToOwner(chan), false).map(drop),
    };
    if armed.is_err() {
        // SAFETY: made above, and nobody else knows it.
        unsafe { Chan::free(chan) }?;
    }
    armed.map(|()| chan)
}

/// O2, for a channel that goes and owns `t`. No lock is held.
pub(super) fn end_of_owner(sched: &Sched, c: NonNull<Chan>, t: &'static HostTimer) {
    let Some(objects) = super::objects::existing(sched) else { return };
    let mut s = t.state.lock();
    // It has no timer if there was no memory to arm it.
    if matches!(s.what, What::SendToOwner(owner) if owner == c) {
        t.stop(&mut s);
        give_back(objects, &mut s);
    }
}

/// Z1. Whether it prevented a firing, or a function from beginning.
pub fn stop(m: MRef, handle: u64) -> Result<bool> {
    let (t, mut s) = find(objects(m.sched())?, handle)?;
    Ok(t.stop(&mut s))
}

/// Z1, and the handle is stale.
pub fn free(m: MRef, handle: u64) -> Result<bool> {
    let objects = objects(m.sched())?;
    let (t, mut s) = find(objects, handle)?;
    let was = t.stop(&mut s);
    if let What::Send(c) = s.what {
        // SAFETY: the timer is one of its users, and none afterwards. Busy, if it is the last one and somebody waits
        // there.
        unsafe { Chan::free(c) }?;
    }
    give_back(objects, &mut s);
    Ok(was)
}

/// Its lock is held by `s`.
fn give_back(objects: &'static Objects, s: &mut State) {
    let handle = std::mem::replace(&mut s.handle, 0);
    s.what = What::Nothing;
    objects.timers.free(handle);
}

/// F1 to F4.
unsafe fn fire(m: MRef, pp: PRef, arg: *mut c_void, seq: u64) -> bool {
    let sched = m.sched();
    // SAFETY: `alarm` passed its timer, whose place is never given back.
    let t: &'static HostTimer = unsafe { &*arg.cast::<HostTimer>() };
    let mut s = t.state.lock();
    if s.seq != seq || !s.armed {
        return false;
    }
    let mut spawned = None;
    let mut next = NEVER;
    // F2
    match s.what {
        What::Call(..) if s.pending == 0 => match call(m, t) {
            Some(gp) => {
                s.pending = gp.goid.get();
                spawned = Some(gp);
            }
            None => next = later(now(), AGAIN),
        },
        // T2
        What::Send(_) if s.taken => next = s.when,
        What::Send(c) | What::SendToOwner(c) => send(m, c),
        _ => {}
    }
    s.taken = false;
    // F3
    if next == NEVER && s.period > 0 {
        next = s.next(now());
    }
    s.armed = next != NEVER;
    let mut told = None;
    if s.armed {
        s.when = next;
        // SAFETY: it has just fired from the heap of `pp`, and under its lock nobody else arms it.
        let (_, first) = unsafe { Timers::put_back(sched, pp, &t.timer, t.alarm(&s)) };
        told = first.then_some(next);
    }
    let armed = s.armed;
    drop(s);
    if let Some(when) = told {
        wake::timer_added_on_the_way(sched, m, when);
    }
    // F4
    if let Some(gp) = spawned
        && !park::start(m, gp)
    {
        // The runtime ends: nobody is pending any more.
        t.state.lock().pending = 0;
    }
    armed
}

/// The time comes into a channel.
fn send(m: MRef, c: NonNull<Chan>) {
    let mut time = now();
    // SAFETY: the timer is one of its users, or the channel its owner. A full one loses this time, a closed one all.
    let _ = crate::sys::held::except(|| unsafe { c.as_ref() }.try_transfer(m, Op::Send, (&raw mut time).cast()));
}

/// T1, for a channel whose timer is `t`, or was. No lock of a channel is held.
pub fn fire_if_due(m: MRef, c: &Chan, t: &'static HostTimer) {
    let mut s = t.state.lock();
    let Some(mine) = s.what.chan() else { return };
    // Its place may serve another timer by now.
    if !s.armed || !std::ptr::eq(mine.as_ptr(), c) || s.when > now() {
        return;
    }
    if s.period > 0 {
        // T2. (It may be that twice.)
        s.when = s.next(now());
        s.taken = !Timers::postpone(&t.timer, s.when, s.seq);
    } else {
        s.armed = false;
        s.seq += 1;
        Timers::remove(&t.timer);
    }
    send(m, mine);
}

/// A G for a firing, not yet anywhere; None without memory.
fn call(m: MRef, t: &'static HostTimer) -> Option<GRef> {
    let entry = begin as extern "C" fn(*mut c_void) as *mut c_void;
    let arg = from_ref(t).cast_mut().cast();
    store::newproc(m, &store::Spawn { entry, arg, flags: 0, stack_size: 0, name: GName::NONE })
}

/// G1.
extern "C" fn begin(arg: *mut c_void) {
    // SAFETY: a G runs on an M.
    let Some(m) = (unsafe { MRef::from_ptr(crate::sys::arch::current_m().cast()) }) else { return };
    // SAFETY: `call` passed its timer.
    let t: &'static HostTimer = unsafe { &*arg.cast::<HostTimer>() };
    if let What::Call(f, arg) = begins(m, t, park::running(m).goid.get()) {
        crate::sys::call::plain(f, arg);
    }
}

/// What the G with this number is to do: nothing, if it was stopped meanwhile.
fn begins(m: MRef, t: &'static HostTimer, goid: u64) -> What {
    let mut s = t.state.lock();
    if s.pending != goid {
        return What::Nothing;
    }
    s.pending = 0;
    let what = s.what;
    if s.free
        && let Ok(objects) = objects(m.sched())
    {
        give_back(objects, &mut s);
    }
    what
}

/// The end of the runtime: nothing fires any more. Timers keep their handles.
pub fn stop_all(sched: &Sched) {
    let Some(objects) = super::objects::existing(sched) else { return };
    objects.timers.each(|_, t| {
        let mut s = t.state.lock();
        t.stop(&mut s);
        if s.free && s.handle != 0 {
            give_back(objects, &mut s);
        }
    });
}
