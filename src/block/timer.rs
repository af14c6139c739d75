//! Timers of the host: a function on a fresh G, or a time in a channel, once or periodically.
//!
//! # Problem
//! A timer fires on some M while another thread stops, resets or frees it. When stop or reset has returned, no effect
//! of an earlier arm may come: no function begins, and no time can be received. A firing for which there is no memory
//! is not lost.
//!
//! # Words
//! All are under the timer's lock:
//! * `armed`: the timer is in a heap, or a firing is on its way;
//! * `seq`: counts arms and stops. A firing whose heap entry carries another number is late, and does nothing;
//! * `taken`: a receiver has already done the firing that is on its way (TIMER-T2);
//! * `pending`: the number of the G that was spawned to call the function and has not begun, or 0.
//!
//! | armed | pending | channel | the timer | stop says |
//! |---|---|---|---|---|
//! | - | 0 | empty | stopped, or has fired | false |
//! | set | 0 | empty | will fire | true |
//! | either | G | - | the function's G is spawned and has not begun | true |
//! | either | - | full | the time has not been received | true |
//!
//! # Protocol
//! * TIMER-A1 arm (new, reset): under the lock, stop as in TIMER-Z1; add 1 to seq; put the timer into a heap.
//!
//! Firing, on a scheduler's stack, under the lock:
//! * TIMER-F1 Check that `seq` is the one of the heap entry.
//! * TIMER-F2 A function: make a G, which becomes `pending`. While a G is pending the firing is left out, so a slow
//!   function loses ticks. A channel: send the time, if there is room.
//! * TIMER-F3 A periodic timer goes back into the heap, later by as many periods as have passed. Without memory for
//!   TIMER-F2 the timer goes back into the heap for a little later.
//! * TIMER-F4 With the lock open, put the G where it will run.
//!
//! A receiver that would get nothing:
//! * TIMER-T1 It looks whether the timer of its channel is due, and then fires it itself, on its own stack: under the
//!   lock, TIMER-F2 and TIMER-F3. A one-shot timer is taken out of its heap, and seq + 1 stops a callback that is on
//!   its way already.
//! * TIMER-T2 A periodic timer is postponed in its heap, without leaving it. If a callback is on its way, that finds
//!   `taken`, sends nothing, and goes back into the heap, in the room that it has kept (TIMER-I2).
//!
//! The G of a function:
//! * TIMER-G1 begins: under the lock, if `pending` names it, it clears `pending` and calls the function. Otherwise it
//!   ends.
//!
//! Stopping:
//! * TIMER-Z1 stop: under the lock, add 1 to seq, take the timer out of its heap, clear `pending`, and empty the
//!   channel.
//!
//! A channel of [`after_chan`] owns its timer: no caller knows a handle of that timer, and the timer is not one of the
//! channel's users.
//! * TIMER-O1 The free by the last user decides, under the latch, that the channel ends.
//! * TIMER-O2 Under the timer's lock: TIMER-Z1, and the timer's place in the slab is freed.
//! * TIMER-O3 The channel's memory is freed. So a firing has sent into the channel before TIMER-O2, or finds another
//!   `seq`.
//!
//! # Invariants
//! * TIMER-I1 All of these exclude each other by the timer's lock, which is taken before a channel's and a heap's. So a
//!   firing that TIMER-Z1 has prevented does not begin after it. A firing that had begun before TIMER-Z1 runs on; the
//!   result of stop tells which it was.
//! * TIMER-I2 A timer that fires has room to go back into the heap (`comes_back` in gmp/timers.rs).
//! * TIMER-I3 `seq` grows for as long as the place in the slab lives, so a firing that is late for one timer is late
//!   for its successor.
//! * TIMER-I4 Only TIMER-O2 frees the place of a timer that a channel owns: it is that channel's timer for as long as
//!   the channel lives.
//!
//! # Rejected
//! * One CAS word instead of the lock: stop must empty the channel in one step with the arm.
//! * A G that is made beforehand: a descriptor for each timer that may never fire.
//!
//! # Differences from Go
//! Stop of a function's timer returns true as long as the function has not begun, not only until its goroutine is
//! spawned.

use super::chan::{Chan, Op, Sender, SenderActs};
use super::waitq::FOREVER;
use crate::ds::slab::Slab;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GName, GRef};
use crate::gmp::handles::{self, Object};
use crate::gmp::m::MRef;
use crate::gmp::p::PRef;
use crate::gmp::sched::Sched;
use crate::gmp::timers::{Alarm, NEVER, Timer, Timers, later};
use crate::protocol::{park, store, wake};
use crate::sync::{Guard, Lock, Rank, now};
use std::ffi::c_void;
use std::ptr::{NonNull, from_ref};

/// The delay in ns after which a firing without memory is tried again.
const AGAIN: i64 = 1_000_000;

/// What a channel asks of a timer that sends to it.
const ACTS: &SenderActs = &SenderActs { fire_if_due, end_of_owner };

/// A timer of the host. Its memory is reused for later timers.
#[repr(C)]
pub struct HostTimer {
    /// The part that a channel knows: the first, so that the two have one address.
    sender: Sender,
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
    /// The pending G's number; 0: there is none.
    pending: u64,
    taken: bool,
    /// No caller holds its handle: it is freed when it fires.
    free: bool,
}

/// The action of a timer when it fires.
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
    /// The channel that receives the time.
    fn chan(self) -> Option<NonNull<Chan>> {
        match self {
            What::Send(c) | What::SendToOwner(c) => Some(c),
            What::Nothing | What::Call(..) => None,
        }
    }
}

// SAFETY: the pointers are the host's, which passed them for use by any thread.
unsafe impl Send for State {}

// SAFETY: the only type of this kind.
unsafe impl Object for HostTimer {
    const KIND: handles::Kind = handles::Kind::Timer;
}

impl Default for HostTimer {
    fn default() -> HostTimer {
        let timer = Timer::default();
        timer.comes_back.set(true);
        HostTimer {
            sender: Sender { acts: ACTS },
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

/// A new timer, not armed. If it is made, one use of the channel passes to it.
fn make(m: MRef, what: What) -> Result<u64> {
    let (handle, t) = m.sched().slab_to_fill::<HostTimer>()?.make(m.id).ok_or(Error::NoMemory)?;
    let mut s = t.state.lock();
    *s =
        State { handle, armed: false, when: NEVER, period: 0, what, pending: 0, taken: false, free: false, seq: s.seq };
    if let Some(c) = what.chan() {
        // SAFETY: the timer is one of its users from here on, or the channel owns the timer.
        unsafe { c.as_ref() }.set_timer(from_ref(t).cast(), matches!(what, What::SendToOwner(_)));
    }
    Ok(handle)
}

/// The timer of a handle, locked.
fn locked(timers: &'static Slab<HostTimer>, handle: u64) -> Result<(&'static HostTimer, Guard<'static, State>)> {
    let t = timers.get(handle).ok_or(Error::Stale)?;
    let s = t.state.lock();
    // The place may have become another timer's before the lock was taken.
    if s.handle == handle { Ok((t, s)) } else { Err(Error::Stale) }
}

/// As [`locked`], for a handle from the host: Stale for a timer that a channel owns (TIMER-I4).
fn find(timers: &'static Slab<HostTimer>, handle: u64) -> Result<(&'static HostTimer, Guard<'static, State>)> {
    locked(timers, handle).and_then(|(t, s)| match s.what {
        What::SendToOwner(_) => Err(Error::Stale),
        _ => Ok((t, s)),
    })
}

impl State {
    /// The time of the next firing: later by as many periods as have passed.
    fn next(&self, now: i64) -> i64 {
        let late = (now - self.when).max(0) / self.period;
        later(self.when, self.period.saturating_mul(late + 1))
    }
}

impl HostTimer {
    /// TIMER-Z1. Returns whether it prevented a firing, which then does not begin any more (TIMER-I1).
    fn stop(&self, s: &mut State) -> bool {
        let armed = std::mem::replace(&mut s.armed, false);
        if armed {
            Timers::remove(&self.timer);
        }
        self.forget(s) || armed
    }

    /// Voids the firings so far. Returns whether it prevented one.
    fn forget(&self, s: &mut State) -> bool {
        s.seq += 1;
        s.taken = false;
        let mut prevented = false;
        match s.what.chan() {
            Some(c) => {
                // SAFETY: the timer is one of its users, or the channel owns the timer and lives until TIMER-O3.
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

/// The end of a delay that begins now. A negative delay ends now: otherwise a period that began long ago would fire
/// once for each time that was missed.
fn at(delay: i64) -> i64 {
    later(now(), delay.max(0))
}

/// TIMER-A1. Fires after `delay`, then every `period` (0: once); [`FOREVER`]: never. Returns whether it prevented an
/// earlier firing. Without memory the timer is stopped.
pub fn reset(m: MRef, handle: u64, delay: i64, period: i64) -> Result<bool> {
    let (t, mut s) = find(m.sched().slab()?, handle)?;
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

/// The time, if the timer is now the first of its heap: the caller passes it to [`tell`] when the lock is open.
fn arm(m: MRef, t: &'static HostTimer, s: &mut State, delay: i64, period: i64) -> Result<Option<i64>> {
    if delay == FOREVER {
        return Ok(None);
    }
    s.when = at(delay);
    s.period = period;
    // SAFETY: it is stopped, and a place in the slab is never freed.
    let (_, first) = unsafe { Timers::add_somewhere(m.sched(), m, &t.timer, t.alarm(s)) }?;
    s.armed = true;
    Ok(first.then_some(s.when))
}

/// A P has a new first timer: tells the thread that keeps the time, for which it may call the system.
fn tell(m: MRef, first: Option<i64>) {
    if let Some(when) = first {
        wake::timer_added(m.sched(), m, when);
    }
}

/// A timer of this delay and period. `forget`: no caller gets its handle, and it is freed when it has fired.
pub fn after(m: MRef, delay: i64, period: i64, what: What, forget: bool) -> Result<u64> {
    let handle = make(m, what)?;
    let timers = m.sched().slab()?;
    let (t, mut s) = locked(timers, handle)?;
    s.free = forget;
    let armed = arm(m, t, &mut s, delay, period);
    if armed.is_err() {
        give_back(timers, &mut s);
    }
    drop(s);
    tell(m, armed?);
    Ok(handle)
}

/// A channel that receives the time once, after `delay`, and owns the timer that sends it. With a delay that has passed
/// it contains the time already, and has no timer; with [`FOREVER`] it has no timer either.
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
        // SAFETY: made above, and no other thread knows it.
        unsafe { Chan::free(chan) }?;
    }
    armed.map(|()| chan)
}

/// TIMER-O2, for a channel that ends and owns `t`. The caller holds no lock.
unsafe fn end_of_owner(t: *mut Sender, sched: &Sched, c: NonNull<Chan>) {
    // SAFETY: `make` gave the channel a timer, whose place is never freed.
    let t: &'static HostTimer = unsafe { &*t.cast::<HostTimer>() };
    let Ok(timers) = sched.slab::<HostTimer>() else { return };
    let mut s = t.state.lock();
    // It has no timer if there was no memory to arm it.
    if matches!(s.what, What::SendToOwner(owner) if owner == c) {
        t.stop(&mut s);
        give_back(timers, &mut s);
    }
}

/// TIMER-Z1. Returns whether it prevented a firing, or a function from beginning.
pub fn stop(m: MRef, handle: u64) -> Result<bool> {
    let (t, mut s) = find(m.sched().slab()?, handle)?;
    Ok(t.stop(&mut s))
}

/// TIMER-Z1; the handle is stale afterwards.
pub fn free(m: MRef, handle: u64) -> Result<bool> {
    let timers = m.sched().slab()?;
    let (t, mut s) = find(timers, handle)?;
    let was = t.stop(&mut s);
    if let What::Send(c) = s.what {
        // SAFETY: the timer is one of its users until this call. Busy: it is the last user, and a G waits there.
        unsafe { Chan::free(c) }?;
    }
    give_back(timers, &mut s);
    Ok(was)
}

/// Frees the place. The caller holds the timer's lock by `s`.
fn give_back(timers: &'static Slab<HostTimer>, s: &mut State) {
    let handle = std::mem::replace(&mut s.handle, 0);
    s.what = What::Nothing;
    timers.free(handle);
}

/// TIMER-F1 to TIMER-F4.
unsafe fn fire(m: MRef, pp: PRef, arg: *mut c_void, seq: u64) -> bool {
    let sched = m.sched();
    // SAFETY: `alarm` passed its timer, whose place is never freed.
    let t: &'static HostTimer = unsafe { &*arg.cast::<HostTimer>() };
    let mut s = t.state.lock();
    // TIMER-F1. A firing that is late finds another number, also of a later timer in this place (TIMER-I3).
    if s.seq != seq || !s.armed {
        return false;
    }
    let mut spawned = None;
    let mut next = NEVER;
    // TIMER-F2
    match s.what {
        What::Call(..) if s.pending == 0 => match call(m, t) {
            Some(gp) => {
                s.pending = gp.goid.get();
                spawned = Some(gp);
            }
            None => next = later(now(), AGAIN),
        },
        // TIMER-T2
        What::Send(_) if s.taken => next = s.when,
        What::Send(c) | What::SendToOwner(c) => send(m, c),
        _ => {}
    }
    s.taken = false;
    // TIMER-F3
    if next == NEVER && s.period > 0 {
        next = s.next(now());
    }
    s.armed = next != NEVER;
    let mut told = None;
    if s.armed {
        s.when = next;
        // SAFETY: it has just fired from the heap of `pp`, and under its lock no other thread arms it.
        let (_, first) = unsafe { Timers::put_back(sched, pp, &t.timer, t.alarm(&s)) };
        told = first.then_some(next);
    }
    let armed = s.armed;
    drop(s);
    if let Some(when) = told {
        wake::timer_added_on_the_way(sched, m, when);
    }
    // TIMER-F4
    if let Some(gp) = spawned
        && !park::start(m, gp)
    {
        // The runtime ends: the G will not begin.
        t.state.lock().pending = 0;
    }
    armed
}

/// Sends the time to a channel.
fn send(m: MRef, c: NonNull<Chan>) {
    let mut time = now();
    // SAFETY: the timer is one of its users, or the channel owns the timer. A full channel loses this time, a closed
    // one all.
    let _ = crate::sys::held::except(|| unsafe { c.as_ref() }.try_transfer(m, Op::Send, (&raw mut time).cast()));
}

/// TIMER-T1, for a channel whose timer is or was `t`. The caller holds no channel's lock.
unsafe fn fire_if_due(t: *mut Sender, m: MRef, c: &Chan) {
    // SAFETY: `make` gave the channel a timer, whose place is never freed.
    let t: &'static HostTimer = unsafe { &*t.cast::<HostTimer>() };
    let mut s = t.state.lock();
    let Some(mine) = s.what.chan() else { return };
    // The timer's place may serve another timer by now.
    if !s.armed || !std::ptr::eq(mine.as_ptr(), c) || s.when > now() {
        return;
    }
    if s.period > 0 {
        // TIMER-T2. (It may happen twice before the callback comes.)
        s.when = s.next(now());
        s.taken = !Timers::postpone(&t.timer, s.when, s.seq);
    } else {
        s.armed = false;
        s.seq += 1;
        Timers::remove(&t.timer);
    }
    send(m, mine);
}

/// A G for a firing, in no queue yet; None without memory.
fn call(m: MRef, t: &'static HostTimer) -> Option<GRef> {
    let entry = begin as extern "C" fn(*mut c_void) as *mut c_void;
    let arg = from_ref(t).cast_mut().cast();
    store::newproc(m, &store::Spawn { entry, arg, flags: 0, stack_size: 0, name: GName::NONE })
}

/// TIMER-G1.
extern "C" fn begin(arg: *mut c_void) {
    crate::protocol::seize::come_back();
    // SAFETY: a G runs on an M.
    let Some(m) = (unsafe { MRef::from_ptr(crate::sys::arch::current_m().cast()) }) else { return };
    // SAFETY: `call` passed its timer.
    let t: &'static HostTimer = unsafe { &*arg.cast::<HostTimer>() };
    if let What::Call(f, arg) = begins(m, t, park::running(m).goid.get()) {
        crate::protocol::seize::host(m, || crate::sys::call::plain(f, arg));
    }
}

/// The task of the G with this number: nothing, if the timer was stopped meanwhile.
fn begins(m: MRef, t: &'static HostTimer, goid: u64) -> What {
    let mut s = t.state.lock();
    if s.pending != goid {
        return What::Nothing;
    }
    s.pending = 0;
    let what = s.what;
    if s.free
        && let Ok(timers) = m.sched().slab()
    {
        give_back(timers, &mut s);
    }
    what
}

/// At the end of the runtime: no timer fires any more. Timers keep their handles.
pub fn stop_all(sched: &Sched) {
    let Ok(timers) = sched.slab::<HostTimer>() else { return };
    timers.each(|_, t| {
        let mut s = t.state.lock();
        t.stop(&mut s);
        if s.free && s.handle != 0 {
            give_back(timers, &mut s);
        }
    });
}
