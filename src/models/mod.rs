//! What loom (every schedule of a small case) and shuttle (random schedules of a larger one) check: the protocols
//! themselves, over the facade of [`crate::sync`].
//!
//! # How a model drives them
//! A model never switches stacks. A G is a [`Token`], a list of steps that run on the thread of the M that runs the G.
//! Each step returns what the G asks of its M when it leaves ([`Mcall`]). [`World::work`] is the loop of a worker:
//! `sched::run` without the switch. The Gs of extra Ms need no switch in the library either, so for them a model calls
//! the same functions as the C interface.
//!
//! # What is asserted everywhere
//! * No wake-up is lost, and every thread ends. A thread that waits for an event that never comes is a deadlock, which
//!   the checkers report. Gs wait for each other on their threads and keep their Ps, so that no later scheduling hides
//!   a lost wake-up.
//! * A G runs on one thread at a time, each step once, and a P has one owner. Each G and each P has a [`Sole`], which a
//!   thread touches when it believes that it is the owner. Under loom two touches without a happens-before between them
//!   are an error, even if they do not overlap.
//! * At the end ([`World::end`]) all Ps are idle, no G is left in a run queue, nmspinning is 0 and no waiter is left in
//!   a wait queue.
//! * All `debug_assert!`s of the protocols hold (the profile `models` keeps them).
//!
//! # Showing that a model sees
//! A test named `finds_..` runs a model with a part of the protocol taken away, in a process of its own that must fail
//! ([`finds`]). It takes fences away by the name of their function ([`without`]), and other parts by a broken variant
//! in the model itself. [`fences`] checks that each fence of the protocols has such a test.

mod addresses;
mod anywhere;
mod asks;
mod barriers;
mod cancels;
mod chans;
mod classes;
mod closes;
mod copies;
mod coros;
mod fds;
mod fences;
mod foreigns;
mod glances;
mod legacy;
mod lifetimes;
mod locked;
mod mutexes;
mod notes;
mod offloads;
mod onces;
mod orphans;
mod parkings;
mod parks;
mod polls;
mod posts;
mod queues;
mod quiets;
mod rescues;
mod resizes;
mod rings;
mod rounds;
mod runqs;
mod rw;
mod scopes;
mod seizes;
mod selects;
mod stops;
mod syscalls;
mod tidies;
mod timer_waiters;
mod timers;
mod waits;
mod wakes;
mod watches;

#[cfg(loom)]
pub use loom as checker;
#[cfg(all(shuttle, not(loom)))]
pub use shuttle as checker;

use crate::block::edges::Edges;
use crate::block::join;
pub use crate::block::waitq::FOREVER;
use crate::ds::leak::leaked;
use crate::fiber::stack::{GuardKind, PoolOptions, StackPool};
use crate::gmp::config::Hooks;
use crate::gmp::g::{GList, GRef, GStatus, gflag};
use crate::gmp::m::{Ctx, Kind, MRef, Mcall, Place};
use crate::gmp::p::{PREEMPT, PRef, PStatus};
use crate::gmp::sched::Sched;
use crate::protocol::wake::{self, Idle};
use crate::protocol::{coro, foreign, idle, park, syscall};
use crate::sched::find::schedule;
use crate::sync::{Event, Note, Ordering, nothing_is_gone, refuse_heavy_fence, set_now, without_order};
use checker::thread::{self, JoinHandle, ThreadId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};

// ---- running a model
// -------------------------------------------------------------------------------------------------

/// How large a search may be.
#[derive(Clone, Copy)]
pub struct Size {
    /// loom: how often a thread may be interrupted where it need not wait.
    #[cfg_attr(not(loom), expect(dead_code))]
    pub preemptions: usize,
    /// shuttle: how many schedules, of each of its two kinds.
    #[cfg_attr(loom, expect(dead_code))]
    pub schedules: usize,
}

impl Default for Size {
    fn default() -> Self {
        Size { preemptions: 2, schedules: 2000 }
    }
}

/// Runs a model in every schedule (loom), or in many (shuttle).
pub fn check(size: Size, f: impl Fn() + Send + Sync + 'static) {
    let count = Arc::new(AtomicU32::new(0));
    let n = count.clone();
    let begun = std::time::Instant::now();
    // To find out by hand what an ordering in a line does: GMX_MODEL_WITHOUT=ds/runq.rs:120,protocol/wake.rs:7
    for place in std::env::var("GMX_MODEL_WITHOUT").iter().flat_map(|v| v.split(',')) {
        let (file, line) = place.split_once(':').expect("FILE:LINE");
        without_order(file, line.parse().expect("FILE:LINE"));
    }
    let run = Arc::new(move || {
        n.fetch_add(1, SeqCst);
        set_now(0);
        refuse_heavy_fence(false);
        nothing_is_gone();
        f();
        nothing_is_gone();
        leaked::free();
    });
    #[cfg(loom)]
    {
        let mut b = loom::model::Builder::new();
        b.preemption_bound = b.preemption_bound.or(Some(size.preemptions));
        b.max_branches = 20_000;
        b.check(move || run());
    }
    #[cfg(all(shuttle, not(loom)))]
    {
        let asked = std::env::var("GMX_SCHEDULES").ok().and_then(|n| n.parse().ok());
        // A model with one thread has one schedule.
        let n = asked.filter(|_| size.schedules > 1).unwrap_or(size.schedules);
        let mut config = shuttle::Config::new();
        config.stack_size = 256 << 10;
        let again = run.clone();
        shuttle::Runner::new(shuttle::scheduler::RandomScheduler::new(n), config.clone()).run(move || again());
        shuttle::Runner::new(shuttle::scheduler::PctScheduler::new(3, n), config).run(move || run());
    }
    let name = thread_name();
    eprintln!("model {name}: {} schedules in {:.1} s", count.load(SeqCst), begun.elapsed().as_secs_f32());
}

fn thread_name() -> String {
    std::thread::current().name().unwrap_or("?").to_string()
}

/// Runs this test again in a process of its own, which calls `broken` (it ends in a model). That process must fail, and
/// its output must hold one of `words`; otherwise the model does not notice what is missing.
///
/// It takes a process, because a panic that unwinds through `extern "C"` or past an owned P aborts.
pub fn finds(words: &[&str], broken: impl FnOnce()) {
    const KEY: &str = "GMX_MODEL_BROKEN";
    let name = thread_name();
    if std::env::var(KEY).is_ok_and(|n| n == name) {
        return broken();
    }
    let out = std::process::Command::new(std::env::current_exe().unwrap())
        .args([&name, "--exact", "--nocapture", "--test-threads=1"])
        .env(KEY, &name)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    assert!(!out.status.success(), "what was taken away is not missed\n{said}");
    assert!(words.iter().any(|w| said.contains(w)), "it failed, but by none of {words:?}:\n{said}");
    let line = said.lines().find(|l| words.iter().any(|w| l.contains(w))).unwrap_or_default();
    eprintln!("model {name}: found: {line}");
}

/// What the checkers say when every thread waits.
#[cfg(loom)]
pub const DEADLOCK: &[&str] = &["deadlock"];
/// What the checkers say when two threads believe that they own the same object.
#[cfg(loom)]
pub const TWO_OWNERS: &[&str] = &["Causality violation", "two owners"];

/// Takes away the fences in a function.
#[cfg(loom)]
pub fn without(file: &str, function: &str) {
    let all = fences::within(file, function);
    assert!(!all.is_empty(), "no fence in {function} of {file}");
    for line in all {
        without_order(file, line);
    }
}

/// Makes the accesses Relaxed in the lines of a function that hold `what`.
#[cfg(loom)]
pub fn relaxed(file: &str, function: &str, what: &str) {
    let all = fences::lines_with(file, function, what);
    assert!(!all.is_empty(), "no {what} in {function} of {file}");
    for line in all {
        without_order(file, line);
    }
}

// ---- owners
// ----------------------------------------------------------------------------------------------------------

/// An object that one thread at a time may touch.
pub use crate::sync::Watched as Sole;

// ---- a world
// ---------------------------------------------------------------------------------------------------------

/// One step of a G. It returns what the G asks of its M; [`Mcall::Stay`] means the next step.
pub type Step = Box<dyn Fn(&World, MRef, GRef) -> Mcall + Send + Sync>;

/// A G of a model.
pub struct Token {
    pub gp: GRef,
    steps: Vec<Step>,
    /// The index of the next step.
    at: AtomicUsize,
    sole: Sole,
    /// Happens when the G has ended.
    pub ended: Event,
}

/// One runtime of a model.
pub struct World {
    pub sched: &'static Sched,
    pub tokens: Vec<Token>,
    /// One for each P, up to the largest number of Ps in this model.
    ps: Vec<Sole>,
    /// How often a barrier's function ran for each P.
    pub served: Vec<AtomicU32>,
    /// How many Gs and threads have yet to end before the model does.
    open: AtomicUsize,
    /// Set when `open` reaches 0: a step may wait for it.
    pub all: Note,
    /// A lock of the host that the making of a thread needs, or the new thread itself, is free after this event.
    thread_needs: Option<(Needs, Arc<Event>)>,
    /// The model is about the words by which hosts are told (`asks`). Other models do without the writes to them.
    asks: bool,
}

thread_local! {
    static WORLD: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
    static THREADS: RefCell<Vec<JoinHandle<()>>> = const { RefCell::new(Vec::new()) };
    static MS: RefCell<Option<HashMap<ThreadId, MRef>>> = const { RefCell::new(None) };
}

static POLL: AtomicU32 = AtomicU32::new(0);

/// The keys of a model's descriptors are the addresses of their edges.
fn io_event(sched: &Sched, key: u64, _: u32, list: &mut GList) {
    // SAFETY: a model leaks its edges.
    unsafe { &*(key as *const Edges) }.happen(sched, list);
}

unsafe extern "C" fn no_entry(_: usize) -> ! {
    unreachable!()
}

#[derive(Clone, Copy, PartialEq)]
enum Needs {
    Maker,
    Newborn,
}

unsafe fn start_thread(m: MRef) -> Result<(), i32> {
    wait_for_host(Needs::Maker);
    start_after(m, || wait_for_host(Needs::Newborn));
    Ok(())
}

fn wait_for_host(now: Needs) {
    match &world().thread_needs {
        Some((needs, free)) if *needs == now => _ = free.wait(0, None),
        _ => (),
    }
}

fn fatal(_: &Sched, what: &str) -> ! {
    panic!("throw: {what}")
}

/// The world of this execution.
pub fn world() -> Arc<World> {
    WORLD.with_borrow(|w| w.clone().unwrap())
}

/// Starts a thread for an M. It works on the nextp of the M, or sleeps until it is given a P.
fn start(m: MRef) {
    start_after(m, || ());
}

/// As [`start`], for a thread that does something else first.
fn start_after(m: MRef, first: fn()) {
    m.alive.set(true);
    let w = world();
    let t = thread::spawn(move || {
        w.is_m(m);
        first();
        m.set_ctx(Ctx::Sched);
        if let Some(pp) = m.take_nextp() {
            wake::born(w.sched, m);
            m.acquirep(pp);
        } else if let Idle::Exit = wake::stopm(w.sched, m) {
            return;
        }
        w.work(m);
    });
    THREADS.with_borrow_mut(|v| v.push(t));
}

/// A world in the making.
pub struct Maker(World);

impl Maker {
    /// A world with `procs` idle Ps, which may have at most `most` Ps later.
    pub fn new(procs: u32, most: u32) -> Maker {
        Maker::with_events(procs, most, io_event)
    }

    /// As [`Maker::new`], for descriptors whose events `io_event` delivers.
    pub fn with_events(procs: u32, most: u32, io_event: fn(&Sched, u64, u32, &mut GList)) -> Maker {
        let hooks = Hooks { start_thread, g_entry: no_entry, io_event, report: |_, _| (), fatal };
        let stacks = StackPool::new(PoolOptions { force_guard: Some(GuardKind::Madvise), mprotect_limit: 1 });
        let sched = Sched::new(hooks, stacks, &POLL, 0).unwrap();
        assert!(crate::sched::life::first_procs(sched, procs));
        crate::sched::life::open(sched);
        MS.set(Some(HashMap::new()));
        Maker(World {
            sched,
            tokens: Vec::new(),
            ps: (0..most).map(|_| Sole::default()).collect(),
            served: (0..most).map(|_| AtomicU32::new(0)).collect(),
            open: AtomicUsize::new(0),
            all: Note::new(),
            thread_needs: None,
            asks: false,
        })
    }

    /// A Runnable G in no queue, with these steps.
    pub fn token(&mut self, steps: Vec<Step>) -> usize {
        let gp = self.0.sched.galloc().unwrap();
        gp.arg.set(self.0.tokens.len() as *mut _);
        // Looks as if it had a stack.
        gp.sp.set(std::ptr::dangling_mut());
        gp.set_status(GStatus::Runnable);
        *self.0.open.get_mut() += 1;
        self.0.tokens.push(Token { gp, steps, at: AtomicUsize::new(0), sole: Sole::default(), ended: Event::new() });
        self.0.tokens.len() - 1
    }

    pub fn make(self) -> Arc<World> {
        let w = Arc::new(self.0);
        WORLD.set(Some(w.clone()));
        w
    }
}

impl World {
    pub fn is_m(&self, m: MRef) {
        let id = thread::current().id();
        MS.with_borrow_mut(|ms| ms.as_mut().unwrap().insert(id, m));
    }

    /// The M of the calling thread.
    pub fn me(&self) -> MRef {
        let id = thread::current().id();
        MS.with_borrow(|ms| *ms.as_ref().unwrap().get(&id).unwrap())
    }

    pub fn gp(&self, token: usize) -> GRef {
        self.tokens[token].gp
    }

    /// Waits, as a thread, until a G has ended.
    pub fn ended(&self, token: usize) {
        self.tokens[token].ended.wait(0, None);
    }

    /// Counts a token as done whose G will never run.
    pub fn will_not_run(&self, token: usize) {
        self.tokens[token].at.store(usize::MAX, SeqCst);
        self.one_done();
    }

    /// A new worker M without a thread.
    pub fn new_worker(&self) -> MRef {
        let m = self.sched.malloc(Kind::Worker).unwrap();
        self.sched.lock.lock().nm += 1;
        m
    }

    /// A worker on an idle P, with Gs in its queue. It begins to run with [`World::go`].
    pub fn worker_with(&self, queue: &[usize]) -> MRef {
        let m = self.new_worker();
        let mut lk = self.sched.lock.lock();
        let pp = idle::pidleget(self.sched, &mut lk).unwrap();
        for &t in queue {
            pp.put_tail(self.gp(t));
        }
        m.set_nextp(pp);
        m
    }

    /// As [`World::worker_with`], but with empty queues and searching (spinning).
    pub fn searcher(&self) -> MRef {
        let m = self.worker_with(&[]);
        wake::become_spinning(self.sched, m);
        m
    }

    /// Starts the thread of a worker.
    pub fn go(&self, m: MRef) {
        start(m);
    }

    /// A foreign thread that does `f`, as an extra M outside of any call.
    pub fn host(self: &Arc<Self>, f: impl FnOnce(&Arc<World>, MRef) + Send + 'static) {
        let m = foreign::needm(self.sched, 1).unwrap();
        self.host_as(m, f);
    }

    /// As [`World::host`], for an existing M.
    pub fn host_as(self: &Arc<Self>, m: MRef, f: impl FnOnce(&Arc<World>, MRef) + Send + 'static) {
        let w = self.clone();
        w.open.fetch_add(1, SeqCst);
        let t = thread::spawn(move || {
            w.is_m(m);
            f(&w, m);
            w.one_done();
        });
        THREADS.with_borrow_mut(|v| v.push(t));
    }

    /// A foreign thread that the library does not know yet.
    pub fn stranger(self: &Arc<Self>, f: impl FnOnce(&Arc<World>) + Send + 'static) {
        let w = self.clone();
        w.open.fetch_add(1, SeqCst);
        let t = thread::spawn(move || {
            f(&w);
            w.one_done();
        });
        THREADS.with_borrow_mut(|v| v.push(t));
    }

    /// Sets the clock, and has each sleeping thread look at it.
    pub fn set_clock(&self, now: i64) {
        set_now(now);
        // A new M is pushed onto the list of Ms, so that this thread sees the list as it is now.
        let _ = self.sched.malloc(Kind::Worker);
        for m in self.sched.every_m() {
            m.park.look_at_clock();
        }
        self.sched.net.poll.look_at_clock();
    }

    /// A thread without a P that may hand Ps off, as sysmon does.
    pub fn watcher(self: &Arc<Self>, f: impl FnOnce(&Arc<World>, MRef) + Send + 'static) {
        let m = self.sched.malloc(Kind::Worker).unwrap();
        m.set_ctx(Ctx::Sched);
        self.host_as(m, f);
    }

    fn one_done(&self) {
        if self.open.fetch_sub(1, SeqCst) == 1 {
            self.all.wakeup();
            self.sched.template_note.wakeup();
        }
    }

    // ---- the work of an M
    // ----------------------------------------------------------------------------------------------

    /// The loop of a worker that has a P.
    pub fn work(&self, m: MRef) {
        while let Some((gp, inherit)) = schedule(self.sched, m) {
            self.run(m, gp, inherit);
        }
        self.sched.lock.lock().nm -= 1;
    }

    /// Runs a G until it leaves its M: `park::execute` and `sched::run::came_back` in one, on the thread's own stack.
    fn run(&self, m: MRef, gp: GRef, inherit: bool) {
        assert!(gp.status() == GStatus::Runnable, "a G in a queue is {:?}", gp.status());
        let pp = m.must_p();
        if !inherit {
            pp.schedtick.bump();
        }
        if self.asks {
            park::make_running(m, pp, gp);
        } else {
            pp.stats.switches.bump();
            gp.m.set(m.as_ptr());
            gp.set_status(GStatus::Running);
            m.curg.set(gp.as_ptr());
        }
        m.set_ctx(Ctx::G);
        let token = &self.tokens[gp.arg.get() as usize];
        loop {
            self.own_p(m);
            token.sole.touch();
            let at = token.at.load(SeqCst);
            assert!(at != usize::MAX, "a G runs after its end");
            let Some(step) = token.steps.get(at) else {
                return self.end_g(m, gp, token);
            };
            let call = step(self, m, gp);
            assert!(token.at.swap(at + 1, SeqCst) == at, "a step ran twice");
            match call {
                Mcall::Stay => continue,
                Mcall::ExitSyscallNoP => {
                    m.set_ctx(Ctx::Sched);
                    m.curg.set(std::ptr::null_mut());
                    if syscall::exitsyscall_no_p(self.sched, m, gp) != syscall::NoP::Runs {
                        if m.lockedg().is_none()
                            && let Idle::Exit = wake::stopm(self.sched, m)
                        {
                            m.exiting.set(true);
                        }
                        return;
                    }
                    gp.set_status(GStatus::Running);
                }
                call => {
                    self.own_p(m);
                    token.sole.touch();
                    m.set_ctx(Ctx::Sched);
                    m.curg.set(std::ptr::null_mut());
                    if !park::finish(m, gp, call) {
                        return;
                    }
                    gp.set_status(GStatus::Running);
                }
            }
            m.curg.set(gp.as_ptr());
            m.set_ctx(Ctx::G);
        }
    }

    /// `sched::run::end` and `park::goexit`.
    fn end_g(&self, m: MRef, gp: GRef, token: &Token) {
        token.at.store(usize::MAX, SeqCst);
        if gp.has(gflag::JOINABLE) {
            join::on_exit(m, gp);
            token.sole.touch();
        }
        if gp.has(gflag::CORO) {
            coro::on_exit(m, gp);
            token.sole.touch();
        }
        if !gp.has(gflag::ZOMBIE) {
            gp.set_status(GStatus::Dead);
        }
        m.set_ctx(Ctx::Sched);
        m.curg.set(std::ptr::null_mut());
        park::finish(m, gp, Mcall::Exit);
        token.ended.happen();
        self.one_done();
    }

    /// The caller believes that the P of its M is its own.
    pub fn own_p(&self, m: MRef) {
        self.ps[m.must_p().id as usize].touch();
    }

    /// The caller believes that this P is its own.
    pub fn own(&self, p: PRef) {
        self.ps[p.id as usize].touch();
    }

    /// The caller believes that no G runs: touches every P.
    pub fn own_all(&self) {
        for p in self.sched.live_ps() {
            self.own(p);
        }
    }

    /// Makes threads until every G and thread of the model is done. This is the part of the template thread without
    /// which no M would start.
    pub fn make_threads(&self, m: MRef) {
        while self.open.load(SeqCst) != 0 {
            self.sched.template_note.sleep();
            self.sched.template_note.clear();
            wake::make_threads(self.sched, m);
        }
        wake::make_threads(self.sched, m);
    }

    // ---- the end
    // -----------------------------------------------------------------------------------------------------

    /// Waits until every G and thread of the model is done (and makes threads meanwhile), ends the workers, and checks
    /// the state that they leave behind.
    pub fn finish(self: Arc<Self>) {
        let template = self.sched.malloc(Kind::Worker).unwrap();
        self.make_threads(template);
        // Every schedule that matters has been decided by now.
        #[cfg(loom)]
        loom::skip_branch();
        self.sched.exiting.store(true, Ordering::SeqCst);
        wake::wake_all(self.sched);
        while let Some(t) = THREADS.with_borrow_mut(Vec::pop) {
            t.join().unwrap();
        }
        self.end();
        MS.set(None);
        WORLD.set(None);
    }

    fn end(&self) {
        let sched = self.sched;
        let mut lk = sched.lock.lock();
        assert!(!lk.stopping && lk.stopwait == 0, "a stop is under way at the end");
        assert_eq!(sched.nmspinning.load(Ordering::SeqCst), 0, "WAKE-W2: searchers at the end");
        assert_eq!(sched.globq_len(), 0, "a G was left");
        for p in sched.live_ps() {
            assert!(p.runq_empty(), "a G was left in P {}", p.id);
            assert!(
                matches!(p.seen_status(), PStatus::Idle | PStatus::Syscall),
                "P {} is {:?} at the end",
                p.id,
                p.seen_status()
            );
            assert_eq!(p.word().requests(), 0, "a request is left in P {}", p.id);
            assert_eq!(p.timers.reserved(), 0, "room for a timer that is never armed");
        }
        let idle = sched.live_ps().filter(|p| p.status() == PStatus::Idle).count();
        assert_eq!(sched.npidle.load(Ordering::SeqCst) as usize, idle, "two owners made a P idle");
        let mut n = 0;
        while idle::pidle_unlink(sched, &mut lk).is_some() {
            n += 1;
        }
        assert_eq!(n, idle, "the idle list");
        for i in 0..2u64 {
            assert_eq!(sched.sems.root(i << 3).nwait.load(Ordering::SeqCst), 0, "a waiter was left");
        }
        assert!(self.tokens.iter().all(|t| t.at.load(SeqCst) == usize::MAX), "a G did not come to its end");
    }
}

// ---- steps
// -----------------------------------------------------------------------------------------------------------

/// A step that calls `f` and continues with the next step.
pub fn does(f: impl Fn(&World, MRef, GRef) + Send + Sync + 'static) -> Step {
    Box::new(move |w, m, gp| {
        f(w, m, gp);
        Mcall::Stay
    })
}

/// A step that makes another G runnable.
pub fn readies(token: usize) -> Step {
    does(move |w, m, _| park::ready_queue(m, w.gp(token)))
}

/// A step that waits for the end of another G and keeps its P.
pub fn awaits(token: usize) -> Step {
    does(move |w, _, _| w.ended(token))
}

/// A step that serves the requests to its P, as `gmx_safepoint` does.
pub fn safepoint() -> Step {
    Box::new(|_, m, gp| {
        let requests = m.must_p().requests();
        if requests == 0 {
            return Mcall::Stay;
        }
        gp.set_status(GStatus::Runnable);
        Mcall::Yield(if requests & PREEMPT != 0 { Place::Global } else { Place::Next })
    })
}

/// A step that puts its G at the end of the queue of its P.
pub fn yields() -> Step {
    Box::new(|_, _, gp| {
        gp.set_status(GStatus::Runnable);
        Mcall::Yield(Place::Tail)
    })
}

/// A step that enters a syscall and exits it.
pub fn in_and_out() -> Step {
    calls(|_, _| ())
}

/// A step that calls `f` in a syscall.
pub fn calls(f: impl Fn(&World, MRef) + Send + Sync + 'static) -> Step {
    Box::new(move |w, m, gp| {
        syscall::entersyscall(m, gp, std::ptr::dangling_mut());
        f(w, m);
        if syscall::exitsyscall(m, gp) { Mcall::Stay } else { Mcall::ExitSyscallNoP }
    })
}

/// A foreign thread enters, runs `f` as a G, and leaves for good.
pub fn visit(w: &World, m: MRef, f: impl FnOnce(GRef)) {
    let gp = foreign::enter_go(m).expect("the runtime is up");
    w.own_p(m);
    f(gp);
    w.own_p(m);
    foreign::leave_for_good(m, gp, std::ptr::dangling_mut());
}

/// Stops the world and starts it again, as a foreign thread without a P does. False: the deadline passed.
pub fn stop_and_start(w: &World, m: MRef, timeout: i64) -> bool {
    use crate::sched::world;
    if world::stop_the_world(m, timeout, |_| ()).is_err() {
        return false;
    }
    w.own_all();
    assert!(
        w.sched.live_ps().all(|p| p.status() == PStatus::Stopped || m.p().is_some_and(|own| own.p() == p)),
        "STW-Z1"
    );
    w.own_all();
    world::start_the_world(m);
    true
}
