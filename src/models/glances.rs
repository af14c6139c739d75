//! gmp/glance.rs: a thread reads the stack of a G that waits, is readied, runs, waits again, ends, and whose descriptor
//! and stack serve another G.
//!
//! The words of a stack hold the number of the run that has written them last. So what a reader keeps must be a whole
//! stack of one number.

use super::*;
use crate::fiber::stack::Stack;
use crate::gmp::g::WaitReason;
use crate::gmp::glance::{self, Glance};
use crate::protocol::store::{self, Spawn};
use crate::sync::{AtomicUsize, light_fence};

/// A slot of the pool.
struct Slot([AtomicUsize; 2]);

impl Slot {
    fn new() -> Arc<Slot> {
        Arc::new(Slot([AtomicUsize::new(0), AtomicUsize::new(0)]))
    }

    fn lo(&self) -> *mut u8 {
        self.0.as_ptr().cast_mut().cast()
    }

    fn hi(&self) -> *mut u8 {
        self.0.as_ptr_range().end.cast_mut().cast()
    }
}

/// What a broken variant leaves out, or does at another time.
#[derive(Clone, Copy, PartialEq)]
enum Breaks {
    Nothing,
    OldSp,
    EarlySp,
    Count,
    SecondLook,
    LastLook,
    Generation,
}

/// An M with a P, which runs Gs.
fn runner(sched: &'static Sched) -> MRef {
    let m = sched.malloc(Kind::Worker).unwrap();
    let pp = idle::pidleget(sched, &mut sched.lock.lock()).unwrap();
    m.acquirep(pp);
    m.set_ctx(Ctx::Sched);
    m
}

/// Enters a G, which waits then: the `n`th run of all. As `park::execute`, `park::gopark` and the switches in them.
fn enter_and_wait(m: MRef, gp: GRef, slot: &Slot, n: usize, breaks: Breaks) {
    enter(m, gp, breaks);
    let sp = gp.sp.get();
    slot.0[0].store(n, Ordering::Relaxed);
    gp.begin_wait(WaitReason::SEMACQUIRE, 0);
    if breaks == Breaks::OldSp {
        gp.sp.set(sp);
    }
    gp.set_status(GStatus::Waiting);
    if breaks == Breaks::EarlySp {
        gp.sp.set(slot.lo());
    }
    // What is on the stack of the functions that leave it.
    slot.0[1].store(n, Ordering::Relaxed);
    light_fence();
    gp.sp.set(slot.lo());
    m.curg.set(std::ptr::null_mut());
}

fn enter(m: MRef, gp: GRef, breaks: Breaks) {
    if breaks == Breaks::Count {
        gp.set_status(GStatus::Running);
    } else {
        park::make_running(m, m.must_p(), gp);
    }
    light_fence();
}

/// A G ends on its stack, and its descriptor becomes that of a new G, which has a stack and has not begun. `joined`: it
/// was joined before it left its stack.
fn end_and_spawn(m: MRef, gp: GRef, slot: &Slot, joined: bool) {
    gp.set_flag(gflag::ZOMBIE, joined);
    gp.set_status(if joined { GStatus::Waiting } else { GStatus::Dead });
    // SAFETY: the M runs the G.
    unsafe { gp.take_stack() };
    store::recycle_now(m, gp);
    assert!(m.must_p().gfree_pop() == Some(gp));
    let null = std::ptr::null_mut();
    store::newproc_from(m, gp, &Spawn { entry: null, arg: null, flags: 0, stack_size: 0, name: Default::default() });
    // The run queue, or the lock of the pool.
    light_fence();
    give(gp, slot);
}

/// As `bind` of store.rs.
fn give(gp: GRef, slot: &Slot) {
    // SAFETY: it is in no queue and has no stack.
    unsafe { gp.give_stack(Stack { hi: slot.hi(), class: 0 }) };
    gp.sp.set(slot.lo());
}

/// GLANCE-L1 to GLANCE-L4: the words, if they are kept.
fn look(gp: GRef, slots: &[Arc<Slot>], breaks: Breaks) -> Option<[usize; 2]> {
    let holds = |glance: &Glance| {
        if breaks == Breaks::Generation { glance.has_not_run(gp) } else { glance.still_holds(gp) }
    };
    let glance = Glance::at(gp)?;
    glance::settle();
    if breaks != Breaks::SecondLook && !holds(&glance) {
        return None;
    }
    let slot = slots.iter().find(|slot| slot.lo() == glance.sp).unwrap();
    assert!(slot.hi() == glance.hi, "GLANCE-L2: between two stacks");
    let words = [0, 1].map(|i| slot.0[i].load(Ordering::Relaxed));
    glance::settle();
    (breaks == Breaks::LastLook || holds(&glance)).then_some(words)
}

/// What happens to the G while it is looked at.
#[derive(Clone, Copy)]
enum Meanwhile {
    /// It runs and waits again, at the same place.
    Runs,
    /// It ends, and another G gets its descriptor and its stack, and waits.
    Ends,
    /// It ends, and another G gets its descriptor; a third G has its stack.
    Moves,
    /// As `Moves`, but it is joined before it has left its stack, and the next G does not begin.
    IsJoined,
}

/// A G that waits, and the M that will run it. (Not inlined, as the next: threads of loom have small stacks.)
#[inline(never)]
fn waits(sched: &'static Sched, slot: &Slot, breaks: Breaks) -> (GRef, [MRef; 2]) {
    let gp = sched.galloc().unwrap();
    let ms = [runner(sched), runner(sched)];
    give(gp, slot);
    gp.set_status(GStatus::Runnable);
    enter_and_wait(ms[0], gp, slot, 1, breaks);
    (gp, ms)
}

#[inline(never)]
fn continues(m: MRef, gp: GRef, [own, other]: &[Arc<Slot>; 2], meanwhile: Meanwhile, breaks: Breaks) {
    gp.set_status(GStatus::Runnable);
    match meanwhile {
        Meanwhile::Runs => enter_and_wait(m, gp, own, 2, breaks),
        Meanwhile::Ends => {
            enter(m, gp, breaks);
            end_and_spawn(m, gp, own, false);
            enter_and_wait(m, gp, own, 2, breaks);
        }
        Meanwhile::Moves => {
            enter(m, gp, breaks);
            end_and_spawn(m, gp, other, false);
            own.0[1].store(3, Ordering::Relaxed);
            enter_and_wait(m, gp, other, 2, breaks);
        }
        Meanwhile::IsJoined => {
            enter(m, gp, breaks);
            own.0[0].store(2, Ordering::Relaxed);
            end_and_spawn(m, gp, other, true);
        }
    }
}

/// The G waits when the reader comes.
fn glance_against(meanwhile: Meanwhile, breaks: Breaks) -> impl Fn() {
    move || {
        let sched = Maker::new(2, 2).0.sched;
        let slots = [Slot::new(), Slot::new()];
        let (gp, ms) = waits(sched, &slots[0], breaks);
        let its = slots.clone();
        // The reader is the spawned thread, since it stores nothing: loom knows only the last access to a word, so the
        // load before a store of the same thread would hide the other thread's load from it.
        let reads = thread::spawn(move || {
            if let Some([low, high]) = look(gp, &its, breaks) {
                assert!(low == high && low != 0, "GLANCE-I2: a stack of the runs {low} and {high}");
            }
        });
        continues(ms[1], gp, &slots, meanwhile, breaks);
        reads.join().unwrap();
        // At rest a G that waits is seen.
        let rest = look(gp, &slots, breaks);
        assert_eq!(rest, gp.status().waits().then_some([2, 2]), "GLANCE-I2: at rest");
        for m in ms {
            m.releasep().forget();
        }
        MS.set(None);
    }
}

const SIZE: Size = Size { preemptions: 3, schedules: 4000 };

#[test]
fn glance_against_ready_and_park() {
    check(SIZE, glance_against(Meanwhile::Runs, Breaks::Nothing));
}

#[test]
fn glance_against_end_and_reuse() {
    check(SIZE, glance_against(Meanwhile::Ends, Breaks::Nothing));
}

#[test]
fn glance_against_reuse_with_another_stack() {
    check(SIZE, glance_against(Meanwhile::Moves, Breaks::Nothing));
}

#[test]
fn glance_against_end_that_is_joined() {
    check(SIZE, glance_against(Meanwhile::IsJoined, Breaks::Nothing));
}

#[cfg(loom)]
const MIXED: &[&str] = &["a stack of the runs"];

#[cfg(loom)]
fn finds_broken(words: &[&str], meanwhile: Meanwhile, breaks: Breaks) {
    finds(words, || check(SIZE, glance_against(meanwhile, breaks)));
}

/// GLANCE-W1.
#[cfg(loom)]
#[test]
fn finds_wait_with_an_old_sp() {
    finds_broken(MIXED, Meanwhile::Runs, Breaks::OldSp);
}

/// GLANCE-W2.
#[cfg(loom)]
#[test]
fn finds_sp_stored_early() {
    finds_broken(MIXED, Meanwhile::Runs, Breaks::EarlySp);
}

/// GLANCE-E1.
#[cfg(loom)]
#[test]
fn finds_run_that_is_not_counted() {
    finds_broken(MIXED, Meanwhile::Runs, Breaks::Count);
}

/// The orderings: a reader finds the number of a run, and the wait before it.
#[cfg(loom)]
#[test]
fn finds_run_counted_without_order() {
    finds(MIXED, || {
        relaxed("gmp/glance.rs", "count_run", "Ordering::Release");
        check(SIZE, glance_against(Meanwhile::Runs, Breaks::Nothing));
    });
}

#[cfg(loom)]
#[test]
fn finds_runs_read_without_order() {
    finds(MIXED, || {
        relaxed("gmp/glance.rs", "at", "Ordering::Acquire");
        check(SIZE, glance_against(Meanwhile::Runs, Breaks::Nothing));
    });
}

#[cfg(loom)]
#[test]
fn finds_stacks_read_without_a_second_look() {
    finds_broken(&["between two stacks"], Meanwhile::Moves, Breaks::SecondLook);
}

#[cfg(loom)]
#[test]
fn finds_stacks_kept_without_a_last_look() {
    finds_broken(MIXED, Meanwhile::Runs, Breaks::LastLook);
}

#[cfg(loom)]
#[test]
fn finds_glance_at_another_generation() {
    finds_broken(MIXED, Meanwhile::IsJoined, Breaks::Generation);
}

#[cfg(loom)]
#[test]
fn finds_glance_without_fence() {
    finds(MIXED, || {
        without("gmp/glance.rs", "settle");
        check(SIZE, glance_against(Meanwhile::Runs, Breaks::Nothing));
    });
}
