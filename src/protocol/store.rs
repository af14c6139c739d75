//! Descriptors of goroutines and their stacks: how a G gets both, and where they go when it ends. They come from the
//! caches of a P or, if these are empty, from the common stores.
//!
//! Invariants: a free descriptor has no stack and is in at most one list. A goroutine that is made counts as spawned
//! exactly once, and a goroutine that is freed counts as ended exactly once.

use super::wake;
use crate::fiber;
use crate::fiber::host::HostState;
use crate::fiber::stack::Stack;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GList, GName, GRef, GStatus, WaitReason, gflag};
use crate::gmp::m::MRef;
use crate::gmp::p::OwnedP;
use crate::gmp::probes;
use crate::gmp::record;
use crate::gmp::sched::Sched;
use crate::sync::Ordering;
use std::ffi::c_void;

/// How many free descriptors a P fetches at once.
const G_BATCH: usize = 64;

/// How many free descriptors a P keeps at most.
pub const G_KEEP: u32 = 2048;

/// How many ids a P takes at once.
const GOID_BATCH: u64 = 16;

/// The properties of a new G.
#[derive(Clone, Copy)]
pub struct Spawn {
    pub entry: *mut c_void,
    pub arg: *mut c_void,
    pub flags: u32,
    pub stack_size: u32,
    pub name: GName,
}

/// Makes a new G, Runnable and in no queue yet. None if there is no memory, or if guards are required and there is no
/// guarded stack.
#[inline]
pub fn newproc(m: MRef, what: &Spawn) -> Option<GRef> {
    if !m.is_free() {
        return newproc_with_care(m, what);
    }
    newproc_with_p(m.sched(), m.free_p(), what)
}

/// [`newproc`] for every caller that is not free.
#[cold]
#[inline(never)]
fn newproc_with_care(m: MRef, what: &Spawn) -> Option<GRef> {
    let gp = match m.p() {
        Some(pp) => newproc_with_p(m.sched(), pp, what)?,
        None => newproc_no_p(m.sched(), what)?,
    };
    record::create(&m, gp, what.entry, what.arg, what.flags & gflag::CORO != 0);
    Some(gp)
}

#[inline(always)]
fn newproc_with_p(sched: &Sched, pp: &OwnedP, what: &Spawn) -> Option<GRef> {
    let gp = match pp.gfree_pop() {
        Some(gp) => gp,
        None => refill(sched, pp)?,
    };
    let id = pp.goid_next.get();
    if id == pp.goid_end.get() {
        return newproc_slow(sched, pp, gp, what);
    }
    pp.goid_next.set(id + 1);
    pp.stats.spawned.bump();
    make(gp, id, what);
    Some(gp)
}

/// As [`newproc`], for a G that the caller will start in any case. ShutDown if a caller without a P finds that the
/// runtime ends. It checks after the G is counted: so either the thread that ends the runtime sees the count, or this
/// caller sees the end.
#[inline]
pub fn newproc_to_start(m: MRef, what: &Spawn) -> Result<GRef> {
    let gp = newproc(m, what).ok_or(Error::NoMemory)?;
    if m.p().is_none() && m.sched().is_closing() {
        unmake(m, gp);
        return Err(Error::ShutDown);
    }
    Ok(gp)
}

#[inline(always)]
fn make(gp: GRef, goid: u64, what: &Spawn) {
    gp.goid.set(goid);
    gp.entry.set(what.entry);
    gp.arg.set(what.arg);
    gp.set_flags(what.flags);
    gp.stack_size.set(what.stack_size);
    gp.set_name(&what.name);
    gp.sp.set(std::ptr::null_mut());
    probes::go_create(gp);
    gp.set_status(GStatus::Runnable);
}

/// As [`newproc`], with a descriptor that [`Sched::galloc`] returned earlier: it cannot fail. The stack is bound when
/// the G first runs.
pub fn newproc_from(m: MRef, gp: GRef, what: &Spawn) -> GRef {
    make(gp, m.sched().goids(1), what);
    m.sched().stats.spawned.fetch_add(1, Ordering::Relaxed);
    record::create(&m, gp, what.entry, what.arg, false);
    gp
}

/// The P has no more ids. While stacks are bound at the spawn a P never has ids, so that each spawn comes here.
#[cold]
#[inline(never)]
fn newproc_slow(sched: &Sched, pp: &OwnedP, gp: GRef, what: &Spawn) -> Option<GRef> {
    if !sched.stacks.bind_at_spawn() {
        let id = sched.goids(GOID_BATCH);
        pp.goid_next.set(id + 1);
        pp.goid_end.set(id + GOID_BATCH);
        pp.stats.spawned.bump();
        make(gp, id, what);
        return Some(gp);
    }
    let kept = if what.stack_size == 0 { pp.pop_stack() } else { None };
    let Some(stack) = kept.or_else(|| scarce_stack(sched, what)) else {
        pp.gfree_push(gp);
        return None;
    };
    pp.stats.spawned.bump();
    make_with_stack(sched, gp, what, stack);
    Some(gp)
}

#[cold]
fn newproc_no_p(sched: &Sched, what: &Spawn) -> Option<GRef> {
    let stack = if sched.stacks.bind_at_spawn() { Some(scarce_stack(sched, what)?) } else { None };
    let gp = sched.galloc();
    match (gp, stack) {
        (Some(gp), Some(stack)) => make_with_stack(sched, gp, what, stack),
        (Some(gp), None) => make(gp, sched.goids(1), what),
        (None, stack) => stack.into_iter().for_each(|stack| sched.free_stack(stack)),
    }
    if gp.is_some() {
        sched.stats.spawned.fetch_add(1, Ordering::Relaxed);
    }
    gp
}

fn size_of_stack(sched: &Sched, what: &Spawn) -> u32 {
    if what.stack_size != 0 { what.stack_size } else { sched.cfg.stack_size.get() as u32 }
}

fn scarce_stack(sched: &Sched, what: &Spawn) -> Option<Stack> {
    sched.stacks.alloc(size_of_stack(sched, what) as usize).ok()
}

/// Such a G counts as one with its own stack size: so its scarce stack goes back to the pool, not to the cache of one
/// P.
fn make_with_stack(sched: &Sched, gp: GRef, what: &Spawn, stack: Stack) {
    make(gp, sched.goids(1), &Spawn { stack_size: size_of_stack(sched, what), ..*what });
    bind(sched, gp, stack);
}

#[cold]
#[inline(never)]
fn refill(sched: &Sched, pp: &OwnedP) -> Option<GRef> {
    sched.galloc_batch(G_BATCH, |gp| pp.gfree_push(gp)).then_some(())?;
    pp.gfree_pop()
}

/// Gives its stack to a G that has never run. False if there is no memory.
#[inline(always)]
pub fn bind_stack(m: MRef, pp: &OwnedP, gp: GRef) -> bool {
    if gp.sp.get().is_null() { bind_stack_slow(m, pp, gp) } else { true }
}

#[inline(never)]
fn bind_stack_slow(m: MRef, pp: &OwnedP, gp: GRef) -> bool {
    let sched = m.sched();
    let stack = if gp.stack_size.get() != 0 {
        sched.stacks.alloc(gp.stack_size.get() as usize).ok()
    } else {
        pp.pop_stack().or_else(|| new_stack(sched, pp))
    };
    stack.is_some_and(|stack| bind(sched, gp, stack))
}

/// As [`bind_stack`], only with a stack from the cache of the P. False if the cache has none for this G.
#[inline(always)]
pub(super) fn bind_kept_stack(m: MRef, pp: &OwnedP, gp: GRef) -> bool {
    if gp.sp.get().is_null() { bind_kept_slow(m, pp, gp) } else { true }
}

#[inline(never)]
fn bind_kept_slow(m: MRef, pp: &OwnedP, gp: GRef) -> bool {
    gp.stack_size.get() == 0 && pp.pop_stack().is_some_and(|stack| bind(m.sched(), gp, stack))
}

#[inline(always)]
fn bind(sched: &Sched, gp: GRef, stack: Stack) -> bool {
    // SAFETY: the G is ours, and has no stack.
    unsafe { gp.give_stack(stack) };
    // SAFETY: the G is ours.
    unsafe { *gp.host.get() = HostState::NEW };
    // SAFETY: the pool's stacks end at 16 bytes, and this one is used by this G alone.
    gp.sp.set(unsafe { fiber::prepare(stack.hi, sched.hooks.g_entry) }.0);
    true
}

#[cold]
fn new_stack(sched: &Sched, pp: &OwnedP) -> Option<Stack> {
    let mut batch = [const { std::mem::MaybeUninit::uninit() }; 16];
    let n = sched.stacks.alloc_batch(sched.cfg.stack_size.get(), &mut batch);
    // SAFETY: the first n were written.
    let mut got = batch[..n].iter().map(|s| unsafe { s.assume_init_read() });
    let first = got.next();
    got.for_each(|s| pp.push_stack(s, |spill| sched.stacks.free_batch(spill)));
    first
}

/// Frees the stack and the descriptor of an ended G that is off its stack.
pub fn free(m: MRef, gp: GRef) {
    let sched = m.sched();
    // SAFETY: the G has ended and this M holds it.
    if let Some(stack) = unsafe { gp.take_stack() } {
        match m.p() {
            Some(pp) if gp.stack_size.get() == 0 => pp.push_stack(stack, |spill| sched.stacks.free_batch(spill)),
            _ => {
                if gp.has(gflag::WIPE) {
                    sched.stacks.wipe(stack);
                }
                sched.stacks.free(stack);
            }
        }
        if sched.stackwait_len.load(Ordering::Relaxed) != 0 {
            stack_came_free(m);
        }
    }
    recycle(m, gp);
}

/// Lets one G that waits for a stack try again.
#[cold]
pub fn stack_came_free(m: MRef) {
    let sched = m.sched();
    let gp = {
        let mut q = sched.stackwait.lock();
        let gp = q.pop_front();
        sched.stackwait_len.store(q.len() as u32, Ordering::Relaxed);
        gp
    };
    if let Some(gp) = gp {
        sched.globrunqput(gp);
        wake::wakep(sched, m);
    }
}

/// Queues a G for which there is no memory for a stack.
pub fn wait_for_stack(m: MRef, gp: GRef) {
    let sched = m.sched();
    gp.wait_reason.set(WaitReason::STACK.as_ptr().cast_mut());
    gp.wait_since.set(sched.coarse_now());
    let mut q = sched.stackwait.lock();
    q.push_back(gp);
    sched.stackwait_len.store(q.len() as u32, Ordering::Relaxed);
}

/// Makes the descriptor free, unless the G is a zombie that waits to be joined. If it was joined in the meantime its
/// status is Waiting, and this thread frees it (block/join.rs).
#[inline(always)]
pub(super) fn recycle(m: MRef, gp: GRef) {
    if gp.has(gflag::ZOMBIE) && gp.cas_status(GStatus::Running, GStatus::Dead) {
        return;
    }
    recycle_now(m, gp);
}

/// Makes the descriptor of an ended G free.
#[inline(always)]
pub fn recycle_now(m: MRef, gp: GRef) {
    gp.sp.set(std::ptr::null_mut());
    gp.callbacks.set(0);
    if gp.has(gflag::RETIRED) {
        gp.set_status(GStatus::Idle);
        if gp.is_last_generation() {
            return;
        }
    } else if !gp.next_generation() {
        return;
    }
    match m.p() {
        Some(pp) => {
            pp.gfree_push(gp);
            if pp.gfree_len.get() > G_KEEP {
                spill(m.sched(), pp);
            }
        }
        None => m.sched().gfree(gp),
    }
}

#[cold]
#[inline(never)]
fn spill(sched: &Sched, pp: &OwnedP) {
    let mut list = GList::new();
    while pp.gfree_len.get() > G_KEEP / 2 {
        match pp.gfree_pop() {
            Some(gp) => list.push_back(gp),
            None => break,
        }
    }
    sched.gfree_list(&mut list);
}

/// Takes back a new G that the caller has just made, still on the same P: it counts neither as spawned nor as ended.
pub fn unmake(m: MRef, gp: GRef) {
    match m.p() {
        Some(pp) => pp.stats.spawned.set(pp.stats.spawned.get() - 1),
        None => {
            m.sched().stats.spawned.fetch_sub(1, Ordering::Relaxed);
        }
    }
    drop_unbegun(m, gp);
}

/// Ends a G that has never begun to run.
pub fn forget(m: MRef, gp: GRef) {
    match m.p() {
        Some(pp) => pp.stats.ended.bump(),
        None => {
            m.sched().stats.ended.fetch_add(1, Ordering::Relaxed);
        }
    }
    drop_unbegun(m, gp);
}

fn drop_unbegun(m: MRef, gp: GRef) {
    // SAFETY: the G is ours, and has never run.
    if let Some(stack) = unsafe { gp.take_stack() } {
        m.sched().stacks.free(stack);
    }
    recycle_now(m, gp);
}
