//! The order of the events, and the rules that they must keep.
//!
//! Each thread (M) writes its own events, in order. Between threads there are no locks, and clocks may differ, so time
//! does not order them. Sequence numbers do: each event that takes a G or a P from one thread to another carries a
//! number that is one higher than the last. This file keeps the state of each G, P and M, takes the earliest event
//! that the state allows, and so finds an order in which all of it can have happened. If there is none, the trace is
//! refused, and the reason names the G, the P, the M and the record.
//!
//! The rules are those of Go's own parser (internal/trace/order.go), so what passes here opens in `go tool trace`; and
//! four more, since a record of libgomax says more than an event of Go:
//!
//! - A record names the G and the P that its thread has. They must be those that the thread has by the records before.
//! - A thread without a P may create a G (`CreateOutside`) and stop the world (`Stop` without a P).
//! - A thread may seize the P of a G that runs code of the host: to Go's parser it shows the G in a syscall. The victim
//!   does not know when, so the theft comes just before its next record.
//! - A number that no record has, or that two records have, is refused even if no event waits for it.
//!
//! | event | the thread has | the G | the P |
//! |---|---|---|---|
//! | `ProcStart` | no P | | idle -> running; its next number |
//! | `ProcStop` | the P | | running or in a syscall -> idle |
//! | `ProcSteal` | | | in a syscall on the victim -> idle; its next number |
//! | `GoCreate`, `GoCreateBlocked` | a P, and no G that is in a syscall | unknown -> runnable, waiting | |
//! | `GoCreateSyscall` | no G | unknown -> in a syscall here | |
//! | `GoStart` | a P, no G | runnable -> running; its next number | |
//! | `GoStop`, `GoBlock`, `GoDestroy` | a P and the G | running -> runnable, waiting, gone | |
//! | `GoUnblock` | | waiting -> runnable; its next number | |
//! | `SyscallBegin` | a P and the G | running -> in a syscall | running -> in a syscall; its next number |
//! | `Seize` | | of the victim: running -> in a syscall | running on the victim -> idle; its next two numbers |
//! | `SyscallEnd` | the P and the G | in a syscall -> running | in a syscall -> running |
//! | `SyscallEndBlocked` | the G, and no P that is in a syscall | in a syscall -> runnable | |
//! | `GoDestroySyscall` | the G | in a syscall -> gone | it stays behind, for a thief |

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::fmt;

pub type Goid = u64;
pub type Pid = u32;
/// The number of a thread in a [`Source`].
pub type Thread = usize;

pub const NO_P: Pid = Pid::MAX;
pub const NO_G: Goid = 0;

/// The next sequence number after `seq`.
pub fn next(seq: u32) -> u32 {
    seq.wrapping_add(1)
}

/// How far `a` is behind `b`: numbers wrap.
pub fn distance(a: u32, b: u32) -> i32 {
    b.wrapping_sub(a) as i32
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GStatus {
    Runnable,
    Running,
    Syscall,
    Waiting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PStatus {
    Running,
    Idle,
    Syscall,
    /// In a syscall, on a thread that has gone.
    Abandoned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    ProcStatus {
        p: Pid,
        status: PStatus,
    },
    ProcStart {
        p: Pid,
        seq: u32,
    },
    ProcStop,
    ProcSteal {
        p: Pid,
        seq: u32,
        victim: Thread,
    },
    /// Takes the P from the G that runs on the victim, as if the G had gone into a syscall before.
    Seize {
        p: Pid,
        seq: u32,
        victim: Thread,
        g: Goid,
    },
    ProcsChange {
        n: u32,
    },
    GoStatus {
        g: Goid,
        status: GStatus,
        on: Option<Thread>,
    },
    GoCreate {
        g: Goid,
    },
    GoCreateBlocked {
        g: Goid,
    },
    /// By a thread that has no P.
    CreateOutside {
        g: Goid,
    },
    CreateOutsideBlocked {
        g: Goid,
    },
    GoCreateSyscall {
        g: Goid,
    },
    GoStart {
        g: Goid,
        seq: u32,
    },
    /// `held`: its thread is held in the middle of the host's code, and may continue it without a P.
    GoStop {
        held: bool,
    },
    GoBlock,
    GoDestroy,
    GoDestroySyscall,
    GoUnblock {
        g: Goid,
        seq: u32,
    },
    SyscallBegin {
        seq: u32,
    },
    SyscallEnd,
    SyscallEndBlocked,
    StopBegin,
    StopEnd,
    TaskBegin {
        task: u64,
        parent: u64,
    },
    TaskEnd {
        task: u64,
    },
    /// `name` is any number that equal names share.
    RegionBegin {
        task: u64,
        name: u64,
    },
    /// `of`: the task and the name, where the record says them.
    RegionEnd {
        of: Option<(u64, u64)>,
    },
    /// A label or a line of a log: needs a G.
    Note,
    /// Changes nothing, and needs nothing.
    Mark,
    Unknown {
        kind: u8,
    },
}

impl Event {
    /// Whether it is about the G that its thread has.
    pub fn is_of_current(self) -> bool {
        use Event::*;
        matches!(
            self,
            GoStop { .. }
                | GoBlock
                | GoDestroy
                | GoDestroySyscall
                | SyscallBegin { .. }
                | SyscallEnd
                | SyscallEndBlocked
                | TaskBegin { .. }
                | TaskEnd { .. }
                | RegionBegin { .. }
                | RegionEnd { .. }
                | Note
        )
    }

    /// Whether its thread must have a P that runs or is in a syscall, namely the one that it names.
    pub fn has_p(self) -> bool {
        use Event::*;
        matches!(
            self,
            ProcStop
                | GoCreate { .. }
                | GoCreateBlocked { .. }
                | GoStart { .. }
                | GoStop { .. }
                | GoBlock
                | GoDestroy
                | SyscallBegin { .. }
                | SyscallEnd
                | ProcsChange { .. }
        )
    }

    /// The G and its number, if the event takes one.
    fn numbers_g(self) -> Option<(Goid, u32)> {
        match self {
            Event::GoStart { g, seq } | Event::GoUnblock { g, seq } => Some((g, seq)),
            _ => None,
        }
    }

    /// Whether it takes the next number of a G that is waiting or of one that is runnable.
    fn creates(self) -> Option<Goid> {
        match self {
            Event::GoCreate { g }
            | Event::GoCreateBlocked { g }
            | Event::CreateOutside { g }
            | Event::CreateOutsideBlocked { g }
            | Event::GoCreateSyscall { g } => Some(g),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub ts: u64,
    pub event: Event,
    /// The G that the record names as its thread's own; `NO_G` if it names none.
    pub g: Goid,
    /// The P that the record names; `NO_P` if it names none.
    pub p: Pid,
}

impl Step {
    /// The P and its number, if the event takes one. Of a syscall that begins, the P is the one that the record names.
    /// A seizure takes the number before, too.
    pub fn numbers_p(&self) -> Option<(Pid, u32)> {
        match self.event {
            Event::ProcStart { p, seq } | Event::ProcSteal { p, seq, .. } | Event::Seize { p, seq, .. } => {
                Some((p, seq))
            }
            Event::SyscallBegin { seq } if self.p != NO_P => Some((self.p, seq)),
            _ => None,
        }
    }

    /// Whether it takes this number of the P.
    pub fn takes_p(&self, p: Pid, seq: u32) -> bool {
        let seizes = matches!(self.event, Event::Seize { .. });
        self.numbers_p().is_some_and(|(of, last)| of == p && (last == seq || seizes && last == next(seq)))
    }

    pub fn numbers_g(&self) -> Option<(Goid, u32)> {
        self.event.numbers_g()
    }

    pub fn creates(&self) -> Option<Goid> {
        self.event.creates()
    }
}

/// Where events come from. The events of a thread are in its own order.
pub trait Source {
    fn threads(&self) -> usize;
    fn len(&self, thread: Thread) -> usize;
    fn step(&self, thread: Thread, at: usize) -> Step;
    /// As people know it: `M3`.
    fn thread(&self, thread: Thread) -> String;
    /// As people know it: `record 17 (START of G4, seq 5)`.
    fn record(&self, thread: Thread, at: usize) -> String;
}

/// A thread and the number of a record there. `usize::MAX` as the number is the beginning of the trace.
pub type Place = (Thread, usize);
pub const BEGIN: Place = (0, usize::MAX);

#[derive(Clone, Debug)]
pub struct GState {
    pub status: GStatus,
    /// Where it runs or is in a syscall.
    pub on: Thread,
    pub seq: u32,
    pub since: Place,
    regions: Vec<(u64, u64)>,
    stops: bool,
    /// It has lost its P in the middle of the host's code: its thread may continue it without one while it is runnable.
    in_host: bool,
}

#[derive(Clone, Debug)]
pub struct PState {
    pub status: PStatus,
    pub on: Thread,
    pub seq: u32,
    pub since: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Has {
    pub p: Option<Pid>,
    pub g: Option<Goid>,
}

/// What an event waits for: a change of this G or this P, which an event of another thread makes; or any event of this
/// thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Wait {
    G(Goid),
    P(Pid),
    M(Thread),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub at: Place,
    pub text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A trace that has no order.
#[derive(Debug)]
pub struct Broken {
    /// Why, the earliest first.
    pub refusals: Vec<Refusal>,
    /// The first event of each thread that has no place in the order.
    pub stuck: Vec<Place>,
    /// Each of them waits for others; otherwise one of them can have no place.
    pub waits: bool,
}

/// An event in its place in the order.
pub struct Seen {
    pub at: Place,
    /// Repaired: not before the event before it.
    pub ts: u64,
    pub step: Step,
    pub before: Has,
    pub after: Has,
}

/// The states of all Gs, Ps and Ms.
#[derive(Default)]
pub struct Machine {
    pub gs: HashMap<Goid, GState>,
    pub ps: HashMap<Pid, PState>,
    pub ms: Vec<Has>,
    tasks: HashSet<u64>,
    /// The threads that have stopped the world without a G of their own.
    stops: Vec<bool>,
    names: Vec<String>,
    /// A stop of the world has begun: an end without a beginning belongs to one before the trace.
    stops_begun: bool,
    /// As Go's parser does: a thread stops the world only as a G.
    pub strict: bool,
}

impl Machine {
    /// By Go's rules alone.
    pub fn strict() -> Machine {
        Machine { strict: true, ..Machine::default() }
    }

    pub fn set_g(&mut self, g: Goid, status: GStatus, on: Option<Thread>, seq: u32, since: Place) {
        // (what came before the trace is not known)
        let in_host = since == BEGIN && status == GStatus::Syscall;
        let on_thread = on.unwrap_or(0);
        let state = GState { status, on: on_thread, seq, since, regions: Vec::new(), stops: false, in_host };
        self.gs.insert(g, state);
        if let (GStatus::Running | GStatus::Syscall, Some(on)) = (status, on) {
            self.ms[on].g = Some(g);
        }
    }

    pub fn set_p(&mut self, p: Pid, status: PStatus, on: Option<Thread>, seq: u32, since: Place) {
        self.ps.insert(p, PState { status, on: on.unwrap_or(0), seq, since });
        if let (PStatus::Running | PStatus::Syscall, Some(on)) = (status, on) {
            self.ms[on].p = Some(p);
        }
    }

    /// Does the event if the state allows it; otherwise says what it waits for. An error is for good: no event of
    /// another thread can make the event right.
    ///
    /// `after` is the next event of a thread.
    fn advance(
        &mut self,
        m: Thread,
        at: usize,
        step: &Step,
        after: impl Fn(Thread) -> Option<Step>,
    ) -> Result<Option<Wait>, String> {
        use Event::*;
        let has = self.ms[m];
        let here = (m, at);
        // It was runnable in the middle of the host's code, which continued without a P: this tells nothing new.
        if step.event == SyscallEndBlocked
            && has.g.is_none()
            && self.gs.get(&step.g).is_some_and(|gp| gp.status == GStatus::Runnable && gp.on == m && gp.in_host)
        {
            return Ok(None);
        }
        // (a P that another thread takes during a syscall is gone from the thread without its doing)
        if step.event.is_of_current() && step.g != NO_G && has.g != Some(step.g) {
            return Err(format!("it names G{}, and its thread has {}", step.g, say_g(has.g)));
        }
        if step.event.has_p() && step.p != NO_P && has.p != Some(step.p) {
            return Err(format!("it names P{}, and its thread has {}", step.p, say_p(has.p)));
        }
        match step.event {
            ProcStatus { p, status } => {
                if let Some(pp) = self.ps.get_mut(&p) {
                    let promoted = status == PStatus::Abandoned && pp.status == PStatus::Syscall;
                    if pp.status != status && !promoted {
                        return Err(format!("it says that P{p} is {}, and it is {}", status.say(), pp.status.say()));
                    }
                    pp.seq = 0;
                } else {
                    let on = matches!(status, PStatus::Running | PStatus::Syscall).then_some(m);
                    if on.is_some() && has.p.is_some_and(|had| had != p) {
                        return Err(format!("it gives P{p} to a thread that has {}", say_p(has.p)));
                    }
                    self.set_p(p, status, on, 0, here);
                }
            }
            GoStatus { g, status, on } => {
                if let Some(gp) = self.gs.get_mut(&g) {
                    if gp.status != status {
                        return Err(format!("it says that G{g} is {}, and it is {}", status.say(), gp.status.say()));
                    }
                    gp.seq = 0;
                } else {
                    let on = match status {
                        GStatus::Running => Some(m),
                        GStatus::Syscall => match on {
                            Some(on) => Some(on),
                            None => return Err(format!("it says that G{g} is in a syscall, on no thread")),
                        },
                        _ => None,
                    };
                    if let Some(on) = on
                        && self.ms[on].g.is_some_and(|had| had != g)
                    {
                        return Err(format!("it gives G{g} to a thread that has {}", say_g(self.ms[on].g)));
                    }
                    self.set_g(g, status, on, 0, here);
                }
            }
            ProcStart { p, seq } => {
                if let Some(own) = has.p {
                    // Another thread must take that one first, from a G in a syscall or in code of the host.
                    if has.g.is_none() {
                        return Err(format!("it takes P{p}, and its thread has P{own}"));
                    }
                    return Ok(Some(Wait::P(own)));
                }
                match self.ps.get_mut(&p) {
                    Some(pp) if pp.status == PStatus::Idle && seq == next(pp.seq) => {
                        *pp = PState { status: PStatus::Running, on: m, seq, since: here };
                        self.ms[m].p = Some(p);
                    }
                    _ => return Ok(Some(Wait::P(p))),
                }
            }
            ProcStop => {
                let Some(p) = has.p else { return Err("its thread has no P".into()) };
                let pp = self.ps.get_mut(&p).expect("a thread has a P that is known");
                pp.status = PStatus::Idle;
                pp.since = here;
                self.ms[m].p = None;
            }
            ProcSteal { p, seq, victim } => {
                let Some(pp) = self.ps.get(&p) else { return Ok(Some(Wait::P(p))) };
                if !matches!(pp.status, PStatus::Syscall | PStatus::Abandoned) || seq != next(pp.seq) {
                    return Ok(Some(Wait::P(p)));
                }
                if pp.status == PStatus::Syscall {
                    if pp.on != victim {
                        let (says, has) = (self.name(victim), self.name(pp.on));
                        return Err(format!("it takes P{p} from {says}, and {has} has it"));
                    }
                    self.ms[victim].p = None;
                }
                let pp = self.ps.get_mut(&p).expect("it is there: see above");
                (pp.status, pp.seq, pp.since) = (PStatus::Idle, seq, here);
            }
            Seize { p, seq, victim, g } => {
                let Some(pp) = self.ps.get_mut(&p) else { return Ok(Some(Wait::P(p))) };
                if pp.status != PStatus::Running || pp.on != victim || seq != next(next(pp.seq)) {
                    return Ok(Some(Wait::P(p)));
                }
                let comes_back = |s: &Step| match s.event {
                    SyscallEndBlocked => s.g == g,
                    ProcStart { .. } => true,
                    _ => false,
                };
                let gp = self.gs.get_mut(&g).filter(|gp| gp.status == GStatus::Running && gp.on == victim);
                let Some(gp) = gp.filter(|_| after(victim).is_none_or(|s| comes_back(&s))) else {
                    return Ok(Some(Wait::M(victim)));
                };
                (gp.status, gp.since, gp.in_host) = (GStatus::Syscall, here, true);
                (pp.status, pp.seq, pp.since) = (PStatus::Idle, seq, here);
                self.ms[victim].p = None;
            }
            ProcsChange { .. } => {}
            GoCreate { g } | GoCreateBlocked { g } | CreateOutside { g } | CreateOutsideBlocked { g } => {
                if matches!(step.event, GoCreate { .. } | GoCreateBlocked { .. }) {
                    if has.p.is_none() {
                        return Err(format!("it creates G{g}, and its thread has no P"));
                    }
                    if let Some(own) = has.g
                        && self.gs[&own].status != GStatus::Running
                    {
                        return Err(format!("it creates G{g}, and G{own} of its thread is in a syscall"));
                    }
                }
                if self.gs.contains_key(&g) {
                    return Err(format!("it creates G{g}, which there is already"));
                }
                let blocked = matches!(step.event, GoCreateBlocked { .. } | CreateOutsideBlocked { .. });
                let status = if blocked { GStatus::Waiting } else { GStatus::Runnable };
                self.set_g(g, status, None, 0, here);
            }
            GoCreateSyscall { g } => {
                if has.g.is_some() {
                    return Err(format!("G{g} comes in, and its thread has {}", say_g(has.g)));
                }
                if self.gs.contains_key(&g) {
                    return Err(format!("G{g} comes in, and there is a G{g} already"));
                }
                self.set_g(g, GStatus::Syscall, Some(m), 0, here);
            }
            GoStart { g, seq } => {
                match self.gs.get(&g) {
                    Some(gp) if gp.status == GStatus::Runnable && seq == next(gp.seq) => {}
                    _ => return Ok(Some(Wait::G(g))),
                }
                if has.p.is_none() {
                    return Err(format!("it starts G{g}, and its thread has no P"));
                }
                if has.g.is_some() {
                    return Err(format!("it starts G{g}, and its thread has {}", say_g(has.g)));
                }
                let gp = self.gs.get_mut(&g).expect("it is there: see above");
                (gp.status, gp.on, gp.seq, gp.since) = (GStatus::Running, m, seq, here);
                self.ms[m].g = Some(g);
            }
            GoStop { .. } | GoBlock | GoDestroy => {
                let g = self.running(m)?;
                if let GoDestroy = step.event {
                    self.gs.remove(&g);
                } else {
                    let gp = self.gs.get_mut(&g).expect("a thread has a G that is known");
                    let stops = matches!(step.event, GoStop { .. });
                    gp.status = if stops { GStatus::Runnable } else { GStatus::Waiting };
                    (gp.since, gp.in_host) = (here, step.event == GoStop { held: true });
                }
                self.ms[m].g = None;
            }
            GoUnblock { g, seq } => match self.gs.get_mut(&g) {
                Some(gp) if gp.status == GStatus::Waiting && seq == next(gp.seq) => {
                    (gp.status, gp.seq, gp.since) = (GStatus::Runnable, seq, here);
                }
                _ => return Ok(Some(Wait::G(g))),
            },
            SyscallBegin { seq } => {
                let g = self.running(m)?;
                let p = has.p.expect("a thread whose G runs has a P: see running");
                let pp = self.ps.get_mut(&p).expect("a thread has a P that is known");
                if seq != next(pp.seq) {
                    return Err(format!("P{p} had the number {}, and the record has {seq}", pp.seq));
                }
                (pp.status, pp.seq, pp.since) = (PStatus::Syscall, seq, here);
                let gp = self.gs.get_mut(&g).expect("a thread has a G that is known");
                (gp.status, gp.since, gp.in_host) = (GStatus::Syscall, here, false);
            }
            SyscallEnd => {
                let g = self.in_syscall(m)?;
                let Some(p) = has.p else {
                    return Err(format!("G{g} returns from its syscall with the P, and its thread has none"));
                };
                let pp = self.ps.get_mut(&p).expect("a thread has a P that is known");
                if pp.status != PStatus::Syscall {
                    return Err(format!("G{g} returns from its syscall with P{p}, which is {}", pp.status.say()));
                }
                (pp.status, pp.since) = (PStatus::Running, here);
                let gp = self.gs.get_mut(&g).expect("a thread has a G that is known");
                (gp.status, gp.since) = (GStatus::Running, here);
            }
            SyscallEndBlocked => {
                // A thread must take the P first. (A P that the thread has got since the syscall began is running.)
                if let (Some(p), Some(g)) = (has.p, has.g)
                    && (self.ps[&p].status == PStatus::Syscall || self.gs[&g].status == GStatus::Running)
                {
                    return Ok(Some(Wait::P(p)));
                }
                let g = self.in_syscall(m)?;
                let gp = self.gs.get_mut(&g).expect("a thread has a G that is known");
                (gp.status, gp.since) = (GStatus::Runnable, here);
                self.ms[m].g = None;
            }
            GoDestroySyscall => {
                let g = self.in_syscall(m)?;
                self.gs.remove(&g);
                self.ms[m].g = None;
                if let Some(p) = self.ms[m].p.take() {
                    let pp = self.ps.get_mut(&p).expect("a thread has a P that is known");
                    (pp.status, pp.since) = (PStatus::Abandoned, here);
                }
            }
            StopBegin | StopEnd => {
                let begins = step.event == StopBegin;
                if self.strict {
                    self.running(m)?;
                }
                // (a thread of the host stops the world without a G)
                let of = match has.g.and_then(|g| self.gs.get_mut(&g)) {
                    Some(gp) => &mut gp.stops,
                    None => {
                        let n = self.ms.len();
                        self.stops.resize(n, false);
                        &mut self.stops[m]
                    }
                };
                if !begins && !*of && !std::mem::replace(&mut self.stops_begun, true) && !self.strict {
                    return Ok(None);
                }
                self.stops_begun = true;
                if *of == begins {
                    let what = if begins { "stops the world again" } else { "starts a world that it has not stopped" };
                    return Err(format!("{} {what}", say_g(has.g)));
                }
                *of = begins;
            }
            TaskBegin { task, .. } => {
                if !self.tasks.insert(task) {
                    return Err(format!("the task {task} has begun already"));
                }
            }
            // (a task may have begun before the trace)
            TaskEnd { task } => _ = self.tasks.remove(&task),
            RegionBegin { task, name } => {
                let g = self.running(m)?;
                self.gs.get_mut(&g).expect("a thread has a G that is known").regions.push((task, name));
            }
            RegionEnd { of } => {
                let g = self.running(m)?;
                let regions = &mut self.gs.get_mut(&g).expect("a thread has a G that is known").regions;
                // (a region may have begun before the trace)
                if of.is_some_and(|of| regions.last().is_some_and(|last| *last != of)) {
                    return Err(format!("G{g} ends a region that is not its innermost one"));
                }
                regions.pop();
            }
            Note => _ = self.running(m)?,
            Mark => {}
            Unknown { kind } => return Err(format!("there is no kind {kind}")),
        }
        Ok(None)
    }

    /// Whether a G has stopped the world.
    pub fn stopped(&self) -> bool {
        self.gs.values().any(|gp| gp.stops)
    }

    fn name(&self, m: Thread) -> &str {
        self.names.get(m).map_or("an M that is not in the file", String::as_str)
    }

    /// The G that runs on a thread, with a P.
    fn running(&self, m: Thread) -> Result<Goid, String> {
        let has = self.ms[m];
        let Some(g) = has.g else { return Err("its thread has no G".into()) };
        if has.p.is_none() {
            return Err(format!("its thread has G{g}, and no P"));
        }
        match self.gs[&g].status {
            GStatus::Running => Ok(g),
            other => Err(format!("G{g} is {}", other.say())),
        }
    }

    fn in_syscall(&self, m: Thread) -> Result<Goid, String> {
        let Some(g) = self.ms[m].g else { return Err("its thread has no G".into()) };
        match self.gs[&g].status {
            GStatus::Syscall => Ok(g),
            other => Err(format!("G{g} is {}", other.say())),
        }
    }
}

impl GStatus {
    pub fn say(self) -> &'static str {
        match self {
            GStatus::Runnable => "runnable",
            GStatus::Running => "running",
            GStatus::Syscall => "in a syscall",
            GStatus::Waiting => "waiting",
        }
    }
}

impl PStatus {
    pub fn say(self) -> &'static str {
        match self {
            PStatus::Running => "running",
            PStatus::Idle => "idle",
            PStatus::Syscall => "in a syscall",
            PStatus::Abandoned => "in a syscall, on a thread that has gone",
        }
    }
}

fn say_g(g: Option<Goid>) -> String {
    g.map_or("no G".into(), |g| format!("G{g}"))
}

fn say_p(p: Option<Pid>) -> String {
    p.map_or("no P".into(), |p| format!("P{p}"))
}

/// Orders all events of the source, from `begin` of each thread on, and shows each to `see`.
///
/// # Errors
///
/// Why the events cannot have happened.
pub fn order<S: Source>(
    source: &S,
    begin: &[usize],
    machine: &mut Machine,
    mut see: impl FnMut(&Seen, &Machine),
) -> Result<(), Broken> {
    let n = source.threads();
    machine.ms.resize(n, Has::default());
    machine.names = (0..n).map(|m| source.thread(m)).collect();
    let mut at: Vec<usize> = begin.to_vec();
    at.resize(n, 0);
    // The threads whose next event may be tried, by its time; the others wait for a G or a P.
    let mut ready: BinaryHeap<Reverse<(u64, Thread)>> = BinaryHeap::new();
    let mut waiting: HashMap<Wait, Vec<Thread>> = HashMap::new();
    let mut last = 0;
    let push = |ready: &mut BinaryHeap<_>, m: Thread, at: usize| {
        if at < source.len(m) {
            ready.push(Reverse((source.step(m, at).ts, m)));
        }
    };
    for (m, &first) in at.iter().enumerate() {
        push(&mut ready, m, first);
    }
    while let Some(Reverse((ts, m))) = ready.pop() {
        let step = source.step(m, at[m]);
        let before = machine.ms[m];
        let after = |m: Thread| (at[m] < source.len(m)).then(|| source.step(m, at[m]));
        match machine.advance(m, at[m], &step, after) {
            Err(why) => {
                let text = format!("{}, {}: {why}", source.thread(m), source.record(m, at[m]));
                return Err(Broken {
                    refusals: vec![Refusal { at: (m, at[m]), text }],
                    stuck: vec![(m, at[m])],
                    waits: false,
                });
            }
            Ok(Some(wait)) => waiting.entry(wait).or_default().push(m),
            Ok(None) => {
                last = last.max(ts);
                let seen = Seen { at: (m, at[m]), ts: last, step, before, after: machine.ms[m] };
                see(&seen, machine);
                at[m] += 1;
                push(&mut ready, m, at[m]);
                // What it may have changed: the G and the P of the thread, before and after, and those that it names.
                let named_g = step.creates().or(step.numbers_g().map(|(g, _)| g)).or(match step.event {
                    Event::GoStatus { g, .. } => Some(g),
                    _ => None,
                });
                let named_p = match step.event {
                    Event::ProcStatus { p, .. } => Some(p),
                    _ => step.numbers_p().map(|(p, _)| p),
                };
                let changed = [
                    Some(Wait::M(m)),
                    named_g.map(Wait::G),
                    before.g.map(Wait::G),
                    named_p.map(Wait::P),
                    before.p.map(Wait::P),
                ];
                if !waiting.is_empty() {
                    for key in changed.into_iter().flatten() {
                        for m in waiting.remove(&key).unwrap_or_default() {
                            push(&mut ready, m, at[m]);
                        }
                    }
                }
            }
        }
    }
    if waiting.is_empty() {
        return Ok(());
    }
    let stuck = (0..n).filter(|&m| at[m] < source.len(m)).map(|m| (m, at[m])).collect();
    Err(Broken { refusals: Stuck { source, machine, at: &at }.reasons(), stuck, waits: true })
}

/// No event can be next. Each thread waits for a change that another thread makes, which waits itself; so the ways
/// lead to a record that no other can help, or round in a circle.
struct Stuck<'a, S> {
    source: &'a S,
    machine: &'a Machine,
    at: &'a [usize],
}

enum Cause {
    /// No record of any thread can help.
    Root(String),
    /// A record of this thread will, and has not had its turn.
    Behind(String, Thread),
}

impl<S: Source> Stuck<'_, S> {
    fn reasons(&self) -> Vec<Refusal> {
        let mut found: Vec<Refusal> = Vec::new();
        let mut circles: HashSet<Vec<Thread>> = HashSet::new();
        for m in (0..self.at.len()).filter(|&m| self.at[m] < self.source.len(m)) {
            let mut way: Vec<(Thread, String)> = Vec::new();
            let mut m = m;
            loop {
                if let Some(from) = way.iter().position(|(seen, _)| *seen == m) {
                    let mut members: Vec<Thread> = way[from..].iter().map(|(m, _)| *m).collect();
                    members.sort_unstable();
                    if circles.insert(members) {
                        let text = way[from..].iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("; ");
                        let at = (way[from].0, self.at[way[from].0]);
                        found.push(Refusal { at, text: format!("each waits for the next: {text}") });
                    }
                    break;
                }
                let record = format!("{}, {}", self.source.thread(m), self.source.record(m, self.at[m]));
                match self.cause(m) {
                    Cause::Root(why) => {
                        let refusal = Refusal { at: (m, self.at[m]), text: format!("{record}: {why}") };
                        if !found.contains(&refusal) {
                            found.push(refusal);
                        }
                        break;
                    }
                    Cause::Behind(why, other) => {
                        way.push((m, format!("{record}: {why}")));
                        m = other;
                    }
                }
            }
        }
        found.sort_by_key(|refusal| self.source.step(refusal.at.0, refusal.at.1).ts);
        found
    }

    /// As people know it: `record 9 of M1`.
    fn place(&self, (m, at): Place) -> String {
        if (m, at) == BEGIN {
            "the beginning of the trace".into()
        } else {
            format!("{} of {}", self.source.record(m, at), self.source.thread(m))
        }
    }

    /// The first event that has not had its turn and that the test accepts.
    fn later(&self, test: impl Fn(&Step) -> bool) -> Option<Place> {
        let found = (0..self.at.len()).flat_map(|m| {
            (self.at[m]..self.source.len(m)).find(|&at| test(&self.source.step(m, at))).map(|at| (m, at))
        });
        found.min_by_key(|&(m, at)| self.source.step(m, at).ts)
    }

    /// The earliest event before the turn that the test accepts.
    fn earlier(&self, test: impl Fn(&Step) -> bool) -> Option<Place> {
        (0..self.at.len())
            .find_map(|m| (0..self.at[m]).rev().find(|&at| test(&self.source.step(m, at))).map(|at| (m, at)))
    }

    fn behind(&self, why: String, (other, at): Place) -> Cause {
        if at == self.at[other] {
            return Cause::Behind(why, other);
        }
        Cause::Behind(format!("{why}, after its {}", self.source.record(other, self.at[other])), other)
    }

    /// A thread that has the G or the P, and must let go of it.
    fn held(&self, why: String, holder: Thread) -> Cause {
        if self.at[holder] >= self.source.len(holder) {
            return Cause::Root(format!("{why}, whose records end there"));
        }
        Cause::Behind(why, holder)
    }

    fn cause(&self, m: Thread) -> Cause {
        let step = self.source.step(m, self.at[m]);
        let own = self.machine.ms[m].p;
        match step.event {
            Event::GoStart { g, seq } | Event::GoUnblock { g, seq } => self.cause_g(m, g, seq, &step),
            Event::ProcStart { .. } | Event::SyscallEndBlocked if own.is_some() => self.never_taken(m, own.unwrap()),
            Event::ProcStart { p, seq } | Event::ProcSteal { p, seq, .. } => self.cause_p(m, p, seq, &step),
            Event::Seize { p, seq, victim, g } => self.cause_seized(m, p, seq, victim, g, &step),
            _ => Cause::Root("it waits for nothing".into()),
        }
    }

    /// The thread is in a syscall with its P, and its next event shows that it has lost the P.
    fn never_taken(&self, m: Thread, p: Pid) -> Cause {
        let seq = next(self.machine.ps[&p].seq);
        let why = format!("its thread has P{p}, and another must have taken it before");
        let takes = |s: &Step| matches!(s.event, Event::ProcSteal { .. } | Event::Seize { .. }) && s.takes_p(p, seq);
        match self.later(takes) {
            Some(place) if place.0 != m => self.behind(format!("{why}, by {}", self.place(place)), place),
            _ => Cause::Root(format!("{why}, and no record takes P{p} with the number {seq}")),
        }
    }

    fn cause_seized(&self, m: Thread, p: Pid, seq: u32, victim: Thread, g: Goid, step: &Step) -> Cause {
        let ready = self
            .machine
            .ps
            .get(&p)
            .is_some_and(|pp| pp.status == PStatus::Running && pp.on == victim && seq == next(next(pp.seq)));
        if !ready {
            return self.cause_p(m, p, seq.wrapping_sub(1), step);
        }
        let name = self.source.thread(victim);
        let why = match self.machine.ms[victim].g {
            Some(other) if other == g => format!("{name} runs G{g}"),
            other => format!("it takes P{p} from G{g}, and {name} has {}", say_g(other)),
        };
        if self.at[victim] >= self.source.len(victim) {
            return Cause::Root(format!("{why}, and has no further record"));
        }
        if victim == m {
            return Cause::Root(format!("{why}, and takes it from itself"));
        }
        Cause::Behind(why, victim)
    }

    fn cause_g(&self, m: Thread, g: Goid, seq: u32, step: &Step) -> Cause {
        let starts = matches!(step.event, Event::GoStart { .. });
        let Some(gp) = self.machine.gs.get(&g) else {
            if let Some(place) = self.later(|s| s.creates() == Some(g)).filter(|place| place.0 != m) {
                return self.behind(format!("G{g} is created only by {}", self.place(place)), place);
            }
            let ended = self.earlier(|s| s.g == g && matches!(s.event, Event::GoDestroy | Event::GoDestroySyscall));
            return Cause::Root(match ended {
                Some(place) => format!("G{g} has ended, by {}", self.place(place)),
                None => format!("there is no G{g}: no record creates it"),
            });
        };
        let state = match gp.status {
            GStatus::Running | GStatus::Syscall => format!("{} on {}", gp.status.say(), self.source.thread(gp.on)),
            other => other.say().into(),
        };
        let now = format!("G{g} is {state} since {}, with the number {}", self.place(gp.since), gp.seq);
        match distance(gp.seq, seq) {
            ..=0 => {
                let other = self.earlier(|s| s.numbers_g() == Some((g, seq)));
                let by = other.map_or(String::new(), |place| format!(", which {} had", self.place(place)));
                Cause::Root(format!("it has the number {seq}{by}; {now}"))
            }
            1 => match gp.status {
                GStatus::Waiting => {
                    debug_assert!(starts);
                    Cause::Root(format!("it starts G{g}, and no record has readied it; {now}"))
                }
                GStatus::Runnable => Cause::Root(format!("it readies G{g} a second time; {now}")),
                GStatus::Running | GStatus::Syscall if gp.on != m => self.held(now, gp.on),
                GStatus::Running | GStatus::Syscall => Cause::Root(now),
            },
            _ => {
                let wanted = next(gp.seq);
                match self.later(|s| s.numbers_g() == Some((g, wanted))) {
                    Some(place) if place.0 != m => {
                        self.behind(format!("{now}; the next is {}", self.place(place)), place)
                    }
                    Some(place) => {
                        Cause::Root(format!("{now}; {} comes later, and has a lower number", self.place(place)))
                    }
                    None => Cause::Root(format!("{now}; no record of G{g} has the number {wanted}")),
                }
            }
        }
    }

    fn cause_p(&self, m: Thread, p: Pid, seq: u32, step: &Step) -> Cause {
        let steals = matches!(step.event, Event::ProcSteal { .. } | Event::Seize { .. });
        let Some(pp) = self.machine.ps.get(&p) else {
            return Cause::Root(format!("there is no P{p}: no record says its state"));
        };
        let state = match pp.status {
            PStatus::Running | PStatus::Syscall => format!("{} on {}", pp.status.say(), self.source.thread(pp.on)),
            other => other.say().into(),
        };
        let now = format!("P{p} is {state} since {}, with the number {}", self.place(pp.since), pp.seq);
        match distance(pp.seq, seq) {
            ..=0 => {
                let other = self.earlier(|s| s.takes_p(p, seq));
                let by = other.map_or(String::new(), |place| format!(", which {} had", self.place(place)));
                Cause::Root(format!("it has the number {seq}{by}; {now}"))
            }
            1 => match pp.status {
                PStatus::Idle => {
                    debug_assert!(steals);
                    Cause::Root(format!("it takes P{p} out of a syscall; {now}"))
                }
                // The next number would be that of a theft or of a start, and it is this record's.
                PStatus::Syscall | PStatus::Abandoned if !steals => {
                    Cause::Root(format!("it starts P{p}, which no record has taken; {now}"))
                }
                // As long as it runs, its thread can let it go without a number.
                PStatus::Running if pp.on != m => self.held(now, pp.on),
                _ => Cause::Root(now),
            },
            _ => {
                let wanted = next(pp.seq);
                match self.later(|s| s.takes_p(p, wanted)) {
                    Some(place) if place.0 != m => {
                        self.behind(format!("{now}; the next is {}", self.place(place)), place)
                    }
                    Some(place) => {
                        Cause::Root(format!("{now}; {} comes later, and has a lower number", self.place(place)))
                    }
                    None => Cause::Root(format!("{now}; no record of P{p} has the number {wanted}")),
                }
            }
        }
    }
}
