//! How the Gs that wait for descriptors come back: which thread asks the kernel what is ready, and when.
//!
//! # Problem
//! The kernel tells what is ready to the thread that asks. If no thread asks, a G waits beside a socket that has data.
//! If each thread asks all the time, the asking costs more than the work. So: an idle thread sleeps in the kernel's
//! poll instead of elsewhere, and a busy one looks now and then. There must be no moment in which Gs wait, a thread is
//! idle, and no thread asks.
//!
//! # Words
//! | word | meaning | written by |
//! |---|---|---|
//! | `waiters` | the Gs and threads that wait for a descriptor, or are about to | each waiter, before and after |
//! | edges of a descriptor | counts its events, for each direction (block/edges.rs) | the thread that delivers |
//! | `timer_waiter` | the idle M that watches the timers (wake.rs), and the poll | the holder of `sched.lock` |
//! | `polls` | an M is in the poll: the timer waiter, or one on its way out | that M, under `sched.lock` |
//! | `looked` | when a thread asked last | that thread |
//!
//! # Protocol
//! The waiter, a G or a thread of the host, whose call would block:
//! * NETPOLL-A1 it has read the count of edges before that call. Now it adds itself to `waiters`;
//! * NETPOLL-A2 it waits at the address of the count, if the count is unchanged (WAITQ-A1 to WAITQ-A4). What the call
//!   has not seen comes as an edge;
//! * NETPOLL-A3 the commit of its park makes sure that a thread asks: if a P is idle and the timer waiter does not
//!   poll, it is told to, and if there is none, a searcher is started that becomes it (`wake::io_added`);
//! * NETPOLL-A4 awake again, it takes itself out of `waiters`, and makes its call again.
//!
//! The thread that has asked:
//! * NETPOLL-B1 for each event: one edge more in each direction that it is about. Then the waiters at that address are
//!   taken out of their queue (WAITQ-B1, WAITQ-B2);
//! * NETPOLL-B2 it puts their Gs behind those of its P, or into the global queue. If there are more than it runs next
//!   itself, it calls another M.
//!
//! The threads that ask:
//! * NETPOLL-C1 the timer waiter, if there are waiters when an M goes idle. It sleeps in the poll, until the first
//!   timer. A waker takes it last of all idle Ms, and wakes it by a kick. It counts as a searcher then (WAKE-I4), so
//!   another M comes to poll;
//! * NETPOLL-C2 an M that has no G in its own queues and the global one looks without waiting, before it searches
//!   further;
//! * NETPOLL-C3 each P looks without waiting in each fair slice (PARK-N2): its Gs may keep it busy forever;
//! * NETPOLL-C4 the watchdog, if no thread has asked for [`LATE`].
//!
//! The host may close the epoll, or the eventfd for the kicks, as a program does that closes all it does not know:
//! * NETPOLL-L1 a call on the two then fails: one that adds a descriptor, waits, looks or kicks. A thread that sleeps
//!   in an epoll whose number is gone sleeps on, and no kick reaches it. So each sleep ends after a second, and the
//!   sleeper kicks itself, to see whether that works;
//! * NETPOLL-L2 the template thread makes a new epoll and a new eventfd, adds all descriptors again (FD-L1), and
//!   reports it. What is ready becomes an event by that, so no edge is missed. If the system has no descriptors to
//!   give, the template thread tries again, and meanwhile the waiters wait;
//! * NETPOLL-L3 then a thread polls again (`wake::look_again`).
//!
//! # Invariants
//! * NETPOLL-I1 `waiters` is never below the number of those that wait.
//! * NETPOLL-I2 while there is a waiter and an idle P, a thread is in the poll or on its way, or the watchdog looks
//!   after [`LATE`].
//! * NETPOLL-I3 no thread has a P in the poll, or holds a lock. One at a time sleeps there, so a kick is for this one.
//!   A waker takes it out of its place before it has left the poll: until then the next timer waiter sleeps elsewhere.
//! * NETPOLL-I4 an event of a descriptor that was closed since changes nothing: its key is stale (block/fd.rs).
//! * NETPOLL-I5 an edge that comes behind the waiter's call is not lost: the count is another one then.
//! * NETPOLL-I6 no call here changes a descriptor of the host: a lost number is not closed, a kick changes nothing but
//!   the epoll (sys/linux_poll.rs), and a descriptor whose kind has changed is not used any more (FD-L2).
//!
//! # Orderings
//! * IO (the fence of WAITQ-A1, behind NETPOLL-A1) pairs with SPIN and WAITER of wake.rs: either the waiter sees the
//!   idle P or the timer waiter, or the idle M sees `waiters`.
//! * The count of edges is raised with Release and read with Acquire. WAITQ-A1 and WAITQ-B1 make sure that either the
//!   waiter sees the new count or the deliverer sees the waiter.
//!
//! # Why it ends
//! Each event is fetched once and adds one edge. A waiter waits again only after another edge.
//!
//! # Rejected
//! * A thread that does nothing but poll: with few connections each message pays for two more changes of threads.
//! * An M that polls beside one that watches the timers: two threads that are idle in their own ways, and a third rule
//!   for which of them a waker takes.
//! * A word for each direction that holds nothing, "ready" or the waiting G, as in Go. One reader only may wait, a
//!   reader that clears "ready" must not wipe a newer edge, and each end by time, token or close is a case of its own.
//!   Here the wait table has all of these already.
//!
//! * To tell by the inode whether an epoll or an eventfd is ours: all of them share one.
//! * To send a signal to a sleeper that was cut off: the host's handlers would see it, and all it saves is a second.
//!
//! # Differences from Go
//! Go asks only when a P has nothing to run, and otherwise every 10 ms from its watchdog. NETPOLL-C3 is what Go lacks:
//! a socket behind a hundred Gs that yield is served after 61 switches.

use crate::gmp::g::{GList, GStatus};
use crate::gmp::m::MRef;
use crate::gmp::probes;
use crate::gmp::record;
use crate::gmp::sched::Sched;
use crate::sync::{Events, Ordering, now};

/// How long the kernel may go unasked while there are waiters.
pub const LATE: i64 = 1_000_000;

/// Whether any G waits for a descriptor.
#[inline(always)]
pub fn is_wanted(sched: &Sched) -> bool {
    sched.net.waiters.load(Ordering::Relaxed) != 0
}

/// Whether a thread sleeps in the poll, or is about to.
fn is_polled(sched: &Sched) -> bool {
    sched.net.polls.load(Ordering::Relaxed)
}

/// When the watchdog has to look, if no thread does before (NETPOLL-C4). None: it need not.
pub fn next_look(sched: &Sched) -> Option<i64> {
    (is_wanted(sched) && !is_polled(sched)).then(|| sched.net.looked.get().saturating_add(LATE))
}

/// NETPOLL-B1 and the first half of NETPOLL-B2; returns how many Gs were readied. The caller holds no lock.
pub fn deliver(sched: &Sched, m: MRef, events: &mut Events) -> usize {
    let mut list = GList::new();
    let alone = m.p().is_some_and(|pp| pp.has_nothing());
    for (key, bits) in events.iter() {
        (sched.hooks.io_event)(sched, key, bits, &mut list);
    }
    events.clear();
    // An event of the library's own (a signal) may have readied Gs by itself.
    let itself = alone && m.p().is_some_and(|pp| !pp.has_nothing());
    let n = list.len() + usize::from(itself);
    while let Some(gp) = list.pop_front() {
        probes::go_ready(gp, m);
        record::unblock(&m, gp);
        gp.set_status(GStatus::Runnable);
        m.note_ready(&gp);
        match m.p() {
            Some(pp) => pp.put_last(gp),
            None => sched.globrunqput(gp),
        }
    }
    sched.net.polled.fetch_add(1, Ordering::Relaxed);
    sched.net.readied.fetch_add(n as u64, Ordering::Relaxed);
    sched.net.looked.set(now());
    n
}

/// NETPOLL-C2 to NETPOLL-C4: asks without waiting, unless another thread does. Returns how many Gs were readied; the
/// caller calls another M (NETPOLL-B2).
#[cold]
#[inline(never)]
pub fn look(sched: &Sched, m: MRef) -> usize {
    if is_polled(sched) || sched.net.looking.swap(true, Ordering::Acquire) {
        return 0;
    }
    let mut events = Events::default();
    sched.net.poll.look(&mut events);
    tell_if_lost(sched);
    // Release: pairs with the Acquire of the next one that looks.
    sched.net.looking.store(false, Ordering::Release);
    deliver(sched, m, &mut events)
}

/// NETPOLL-L1: has the template thread replace the epoll if it is lost. The caller holds no lock.
#[inline]
pub fn tell_if_lost(sched: &Sched) {
    if must_replace(sched) {
        sched.template_note.wakeup();
    }
}

/// Whether the template thread has to replace the epoll.
pub fn must_replace(sched: &Sched) -> bool {
    sched.net.poll.is_lost() && sched.net.retry.get() <= now()
}
