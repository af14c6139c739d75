//! The stacks of all goroutines, while everything runs: `gmx_dump_goroutines`.
//!
//! Gs are looked at in batches, by the protocol of gmp/glance.rs. What is told of a G is read between its steps, with
//! the frames, and becomes text only after the last step: so no entry shows a mixture of two waits. A G that runs again
//! and again while it is looked at is shown without frames.
//!
//! The walk happens while the loader's list of objects cannot change (sys/elf.rs): otherwise an object could be
//! unloaded between two reads of its tables. It allocates nothing there. Most goroutines wait in the same few places,
//! so what the tables say of a place is kept as long as the objects are the same, and so is its text (`form`).

mod form;
mod groups;

use super::report::{self, Text};
use crate::block::spawn;
use crate::gmp::g::{GName, GRef, GStatus, WaitReason, gflag};
use crate::gmp::glance::{self, Glance};
use crate::gmp::m::MRef;
use crate::gmp::sched::Sched;
use crate::sync::own::OwnUsize;
use crate::sys::array::Array;
use crate::sys::cfi::{self, Rules};
use crate::sys::{arch, elf};

/// How many Gs are looked at together.
const BATCH: usize = 64;
/// How many frames of a stack are shown.
const FRAMES: usize = 48;
/// The objects of a process whose functions are found.
const OBJECTS: usize = 512;
/// Places for what is known of an address, by its hash. A power of two.
const PLACES: usize = 1024;

/// The form of the text.
#[derive(Clone, Copy)]
pub struct Form {
    /// JSON; otherwise as Go writes it.
    pub json: bool,
    /// Goroutines with the same stack are one entry.
    pub groups: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Frame {
    /// The begin of the function.
    function: usize,
    pc: usize,
    /// Of this library: shown if the function has a name. A call may have left the exported function for another.
    is_own: bool,
}

impl Frame {
    /// The begin of a function of the host.
    fn begin(function: usize) -> Frame {
        Frame { function, pc: function, is_own: false }
    }
}

/// What is told of a G beside its frames.
#[derive(Clone, Copy)]
struct About {
    goid: u64,
    name: GName,
    status: GStatus,
    /// Only the library's own: the host's text may be gone by now.
    reason: Option<&'static str>,
    /// Since when it waits, if it waits.
    since: i64,
    /// Where it runs, if it runs.
    thread: Option<i32>,
    /// Its function. None for a thread of the host.
    began: Option<usize>,
}

impl About {
    fn of(gp: GRef) -> About {
        let status = gp.status();
        // SAFETY: null or an M, and Ms are never freed.
        let m = unsafe { MRef::from_ptr(gp.m.get()) };
        About {
            goid: gp.goid.get(),
            name: gp.name(),
            status,
            reason: WaitReason::own_text(gp.wait_reason.get()).filter(|_| status.waits()),
            since: gp.wait_since.get(),
            thread: m.filter(|_| matches!(status, GStatus::Running | GStatus::Syscall)).map(|m| m.tid.get()),
            began: (!gp.has(gflag::FOREIGN)).then(|| spawn::call_of(gp).0 as usize),
        }
    }
}

/// A G of a batch.
#[derive(Clone, Copy)]
struct Seen {
    gp: GRef,
    glance: Option<Glance>,
    about: About,
    frames: usize,
}

/// The text. None if there is no memory.
pub fn text(sched: &Sched, form: Form) -> Option<Text> {
    let mut writer = form::Writer::new(form.json)?;
    if form.groups {
        let mut groups = groups::Groups::new();
        look_at_all(sched, &mut |seen, frames| groups.add(&seen.about, frames))?;
        groups.sort();
        for group in groups.iter() {
            writer.entry(&group.about, Some(group.count), groups.frames(group))?;
        }
    } else {
        look_at_all(sched, &mut |seen, frames| writer.entry(&seen.about, None, frames))?;
    }
    writer.end()
}

/// Calls `tell` for each G. None if there is no memory, or if `tell` said so.
fn look_at_all(sched: &Sched, tell: &mut dyn FnMut(&Seen, &[Frame]) -> Option<()>) -> Option<()> {
    let mut frames = Array::of(BATCH * FRAMES, |_| Frame::default())?;
    let mut walker = Walker { known: Array::of(PLACES, |_| Known::default())? };
    let mut objects = elf::Objects::new(OBJECTS)?;
    let mut batch = Array::<Seen>::new();
    batch.reserve_exact(BATCH).ok()?;
    let mut gs = report::live_gs(sched).filter(|gp| !gp.has(gflag::THREAD_WAIT));
    loop {
        batch.truncate(0);
        while batch.len() < BATCH
            && let Some(gp) = gs.next()
        {
            batch.put(Seen { gp, glance: None, about: About::of(gp), frames: 0 });
        }
        if batch.is_empty() {
            return Some(());
        }
        look(&mut batch, &mut frames, &mut objects, &mut walker);
        for (seen, frames) in batch.iter().zip(frames.chunks(FRAMES)) {
            // Ended meanwhile.
            if !matches!(seen.about.status, GStatus::Idle | GStatus::Dead) {
                tell(seen, &frames[..seen.frames])?;
            }
        }
    }
}

/// GLANCE-L1 to GLANCE-L4; once more for the Gs that have run meanwhile.
fn look(batch: &mut [Seen], frames: &mut [Frame], objects: &mut elf::Objects, walker: &mut Walker) {
    if !glance::is_possible() {
        return;
    }
    for _ in 0..2 {
        for seen in batch.iter_mut().filter(|seen| seen.glance.is_none()) {
            seen.glance = Glance::at(seen.gp);
            seen.frames = 0;
            if let Some(glance) = &seen.glance {
                (0..4).for_each(|line| arch::prefetch(glance.sp.wrapping_add(64 * line)));
            }
        }
        glance::settle();
        for seen in batch.iter_mut() {
            seen.glance = seen.glance.filter(|g| g.still_holds(seen.gp));
            if seen.frames == 0 {
                seen.about = About::of(seen.gp);
            }
        }
        objects.while_they_stay(&mut |objects, changed| {
            if changed {
                walker.known.fill(Known::default());
            }
            for (seen, frames) in batch.iter_mut().zip(frames.chunks_mut(FRAMES)) {
                if let Some(glance) = seen.glance
                    && seen.frames == 0
                {
                    seen.frames = walker.walk(objects, &glance, frames);
                }
            }
        });
        glance::settle();
        for seen in batch.iter_mut() {
            seen.glance = seen.glance.filter(|g| g.still_holds(seen.gp));
            if seen.glance.is_none() {
                seen.frames = 0;
                seen.about = About::of(seen.gp);
            }
        }
    }
}

/// The place for what is known of an address.
fn place_for(at: usize) -> usize {
    (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) % PLACES
}

/// What the tables say of a place in the code.
#[derive(Clone, Copy, Default)]
struct Known {
    at: usize,
    /// None if the place is in no function with tables.
    rules: Option<Rules>,
    /// It is in this library.
    is_own: bool,
}

struct Walker {
    known: Array<Known>,
}

impl Walker {
    fn known_of(&mut self, objects: &elf::Objects, at: usize) -> &Known {
        let known = &mut self.known[place_for(at)];
        if known.at != at {
            let object = objects.of(at);
            // SAFETY: the object stays while this runs (`while_they_stay`), and with it its tables.
            let rules = object.and_then(|o| unsafe { cfi::rules(o.table, at) });
            *known = Known { at, rules, is_own: object.is_some_and(|o| o.is_own) };
        }
        known
    }

    /// GLANCE-L3. Frames of the library are left out, except the function that the host has called.
    fn walk(&mut self, objects: &elf::Objects, glance: &Glance, frames: &mut [Frame]) -> usize {
        let (lo, hi) = (glance.sp as usize, glance.hi as usize);
        let read = |at: usize| {
            let inside = at >= lo && at < hi && hi - at >= size_of::<usize>() && at.is_multiple_of(size_of::<usize>());
            // SAFETY: within the stack, which stays mapped (GLANCE-I1).
            inside.then(|| unsafe { &*(at as *const OwnUsize) }.get())
        };
        let Some(mut regs) = arch::saved_by(lo, read) else { return 0 };
        let (mut n, mut at) = (0, regs.pc);
        let mut entered = None;
        while n < frames.len() {
            let &Known { rules: Some(rules), is_own, .. } = self.known_of(objects, at) else { break };
            let frame = Frame { function: rules.function, pc: regs.pc, is_own };
            if is_own {
                entered = Some(frame);
            } else {
                for frame in [entered.take(), Some(frame)].into_iter().flatten() {
                    if n < frames.len() {
                        frames[n] = frame;
                        n += 1;
                    }
                }
            }
            let Some(next) = rules.caller(&regs, read) else { break };
            regs = next;
            at = regs.pc.wrapping_sub(1);
        }
        n
    }
}
