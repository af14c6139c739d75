//! Child processes, and the wait for their end.
//!
//! # Problem
//! A wait for a child keeps a thread, and the number of a child names another process as soon as the child was reaped:
//! a signal that is sent then goes to a stranger. Several Gs may wait for one child, and the system tells its status
//! once. The host has children of its own, and may wait for any child, or ignore SIGCHLD. And a child that no caller
//! waits for any more would stay as a zombie.
//!
//! # Words
//! | word | meaning |
//! |---|---|
//! | `lock` | guards all others; held for system calls that do not wait, so it has no rank |
//! | `handle` | the handle that the object serves; 0: none, or the host has let go of it |
//! | `pid` | the child's number |
//! | `pidfd`, `number` | the handle of its pidfd (fd.rs), and the descriptor; 0: the system has none |
//! | `state`, `status` | runs, has ended with this status, or was lost |
//!
//! # Protocol
//! The maker:
//! * PROC-A1 makes all that may fail (the pipes, their handles, the object), then the child, without its P, since the
//!   system says only after the exec whether that worked;
//! * PROC-A2 asks for the child's pidfd. The child is not reaped yet, so the number is its own. If there is none
//!   (before Linux 5.3, a filter, no descriptor), the child is known by its number.
//!
//! The waiter:
//! * PROC-B1 looks: under the lock it asks the system, unless the end is known, and keeps the answer for the others;
//! * PROC-B2 waits until the pidfd is ready, under its token and its timeout. Then PROC-B1;
//! * PROC-B3 without a pidfd, or if the child is ready and yet has no status (a debugger has it), it sleeps a while:
//!   1 ms at first, 32 ms at last. Then PROC-B1.
//!
//! The sender of a signal:
//! * PROC-C1 sends it under the lock, while the state is "runs".
//!
//! The host lets go:
//! * PROC-D1 of a child that has ended: it looks first (PROC-B1), so the child is reaped. The handle ends, and with the
//!   pidfd's handle the waits of others;
//! * PROC-D2 of a child that runs: it duplicates the pidfd, has the epoll watch the copy, ends the handle, puts the
//!   object among the orphans, and does PROC-D3 once. Each orphan counts as a waiter (NETPOLL-I1), so that a thread
//!   asks the epoll. The handle of the pidfd ends, and with it the waits of others;
//! * PROC-D3 the deliverer of an event whose key is the pidfd of an orphan reaps the child, and if it has ended, takes
//!   the object out of the list, closes the pidfd and frees the object. There may be several deliverers: they take
//!   turns until the object is out of the list.
//!
//! # Invariants
//! * PROC-I1 a number is used only under the lock and while the state is "runs". The library reaps under the lock, too,
//!   and only here: so the number is the child's, unless the host waits for any child.
//! * PROC-I2 the status is asked for once, and stays until the handle ends.
//! * PROC-I3 a child of which the host has let go is reaped: at once, or by PROC-D3 when it ends, while the runtime is
//!   up; if it is down, after the next beginning. An end before the object was in the list is found by the look of
//!   PROC-D2, and each later one makes an event.
//! * PROC-I4 no descriptor of the library comes into a child except the ends that it is to have: all are closed by
//!   exec.
//! * PROC-I5 a deliverer uses the descriptor of the pidfd only while the object is in the list, and in its turn. The
//!   descriptor is closed after that, so its number has not become another child's.
//!
//! # Why it ends
//! A pidfd is ready when the child has ended, and remains so. Then PROC-B1 has an answer, or PROC-B3 sleeps.
//!
//! # Rejected
//! * A call of waitid that waits: a thread for each child, which no timeout and no token ends.
//! * A handler of SIGCHLD: the signal is the host's.
//! * A goroutine that reaps the orphans: gmx_shutdown would wait for it, and so for the child.
//!
//! # Differences from Go
//! Go's Wait blocks a thread for each child. A child of which a Go program has let go (Release) stays as a zombie.

use super::fd::{self, FOREVER};
use super::offload::{self, Lasts};
use super::sleep;
use super::waitq::deadline_of;
use crate::gmp::error::{Error, Result};
use crate::gmp::handles::{self, Object};
use crate::gmp::m::MRef;
use crate::gmp::orphans::Orphan;
use crate::gmp::sched::Sched;
use crate::protocol::{quiet, wake};
use crate::sync::own::{OwnI32, OwnU8, OwnU64};
use crate::sync::widen::widen;
use crate::sync::{Ordering, RawMutex, fence, now};
use crate::sys::poll::IN;
use crate::sys::proc::{self, Child, Stdio};
use crate::sys::without::is_sealed;
use crate::sys::{io, proc::Spawn};

/// A child. Its memory is reused for later ones.
pub struct Process {
    lock: RawMutex,
    handle: OwnU64,
    pid: OwnI32,
    pidfd: OwnU64,
    number: OwnI32,
    state: OwnU8,
    status: OwnI32,
    orphan: Orphan,
}

impl Default for Process {
    fn default() -> Process {
        Process {
            lock: RawMutex::new(),
            handle: OwnU64::new(0),
            pid: OwnI32::new(0),
            pidfd: OwnU64::new(0),
            number: OwnI32::new(0),
            state: OwnU8::new(RUNS),
            status: OwnI32::new(0),
            orphan: Orphan::default(),
        }
    }
}

/// In `state`.
const RUNS: u8 = 0;
const ENDED: u8 = 1;
const LOST: u8 = 2;

const FIRST_NAP: i64 = 1_000_000;
const LAST_NAP: i64 = 32_000_000;

// SAFETY: the only type of this kind.
unsafe impl Object for Process {
    const KIND: handles::Kind = handles::Kind::Process;
}

impl Process {
    fn with<R>(&self, f: impl FnOnce(&Process) -> R) -> R {
        self.lock.lock();
        let r = f(self);
        self.lock.unlock();
        r
    }

    /// The descriptor, if there is one.
    fn number(&self) -> Option<i32> {
        (self.pidfd.get() != 0).then(|| self.number.get())
    }

    /// PROC-B1; the caller has the lock.
    fn look(&self) -> u8 {
        if self.state.get() == RUNS {
            match proc::reap(self.pid.get(), self.number()) {
                Child::Runs => {}
                // PROC-I2
                Child::Ended(status) => {
                    self.status.set(status);
                    self.state.set(ENDED);
                }
                Child::Lost => self.state.set(LOST),
            }
        }
        self.state.get()
    }
}

/// Calls `f` under the lock of the object that a handle names. It does not leave its stack.
fn locked<R>(m: MRef, handle: u64, f: impl FnOnce(&'static Process) -> R) -> Result<R> {
    let p = m.sched().slab::<Process>()?.get(handle).ok_or(Error::Stale)?;
    widen!();
    p.with(|_| if p.handle.get() == handle { Ok(f(p)) } else { Err(Error::Stale) })
}

// ---- begin ----------------------------------------------------------------------------------------------------------

/// What a descriptor of the child is to be.
#[derive(Clone, Copy)]
pub enum Want {
    Inherit,
    Null,
    /// A copy of a descriptor of the host's.
    Fd(i32),
    Output,
    Pipe,
}

/// The descriptors of a child that is being made.
struct Ends {
    /// The child's, which are closed here when it has its copies; -1: none.
    child: [i32; 3],
    /// The handles of the parent's ends of pipes; 0: none.
    parent: [u64; 3],
}

impl Ends {
    fn make(m: MRef, want: [Want; 3], stdio: &mut [Stdio; 3]) -> (Ends, Result<()>) {
        let mut ends = Ends { child: [-1; 3], parent: [0; 3] };
        for i in 0..3 {
            if let Err(e) = ends.make_one(m, i, want[i], &mut stdio[i]) {
                return (ends, Err(e));
            }
        }
        (ends, Ok(()))
    }

    fn make_one(&mut self, m: MRef, i: usize, want: Want, stdio: &mut Stdio) -> Result<()> {
        *stdio = match want {
            Want::Inherit => Stdio::Inherit,
            Want::Null => Stdio::Null,
            Want::Output => Stdio::Output,
            // PROC-I4. A copy: the child may overwrite the number before it copies it, and the host may close it
            // meanwhile.
            Want::Fd(fd) => match io::duplicate(fd) {
                e if e < 0 => return Err(Error::Os(-e)),
                copy => {
                    self.child[i] = copy;
                    Stdio::Fd(copy)
                }
            },
            Want::Pipe => {
                let [reads, writes] = proc::pipe().map_err(Error::Os)?;
                let (childs, parents) = if i == 0 { (reads, writes) } else { (writes, reads) };
                self.child[i] = childs;
                self.parent[i] = fd::open(m, parents, false, false).inspect_err(|_| io::close(parents))?;
                Stdio::Fd(childs)
            }
        };
        Ok(())
    }

    /// The child has its copies, or there is none.
    fn close_childs(&self) {
        self.child.into_iter().filter(|&fd| fd >= 0).for_each(io::close);
    }

    fn close_parents(&self) {
        for handle in self.parent.into_iter().filter(|&handle| handle != 0) {
            // No caller knows the handle, so nothing waits there.
            if let Some(m) = MRef::current() {
                let _ = fd::close(m, handle);
            }
        }
    }
}

/// PROC-A1 and PROC-A2. Returns the handle, and those of the parent's ends of pipes (0: there is none).
///
/// # Migrates
///
/// # Safety
/// The pointers of `what` are as it says.
pub unsafe fn spawn(m: MRef, mut what: Spawn, want: [Want; 3]) -> Result<(u64, [u64; 3])> {
    if is_sealed() {
        return Err(Error::Os(libc::ENOTSUP));
    }
    let (ends, made) = Ends::make(m, want, &mut what.stdio);
    let object = made.and_then(|()| m.sched().slab_to_fill::<Process>()?.make(m.id).ok_or(Error::NoMemory));
    let (handle, p) = match object {
        Ok(object) => object,
        Err(e) => {
            ends.close_childs();
            ends.close_parents();
            return Err(e);
        }
    };
    // SAFETY: the caller's promise.
    let (m, begun) = offload::in_syscall(m, Lasts::Long, || unsafe { proc::spawn(&what) });
    ends.close_childs();
    let pid = match begun {
        Ok(pid) => pid,
        Err(errno) => {
            m.sched().slab::<Process>()?.free(handle);
            ends.close_parents();
            return Err(Error::Os(errno));
        }
    };
    // PROC-A2
    let number = proc::pidfd(pid).unwrap_or(-1);
    let pidfd =
        if number < 0 { 0 } else { fd::open(m, number, false, false).inspect_err(|_| io::close(number)).unwrap_or(0) };
    p.with(|p| {
        p.pid.set(pid);
        p.pidfd.set(pidfd);
        p.number.set(number);
        p.state.set(RUNS);
        p.handle.set(handle);
    });
    Ok((handle, ends.parent))
}

// ---- wait -----------------------------------------------------------------------------------------------------------

/// Waits for the end of a child. Returns its status, as waitpid tells it; ECHILD if it was lost.
///
/// # Migrates
pub fn wait(m: MRef, handle: u64, timeout: i64) -> Result<i32> {
    let until = deadline_of(timeout);
    let (mut m, mut nap) = (m, FIRST_NAP);
    loop {
        // PROC-B1
        let (state, status, pidfd) = locked(m, handle, |p| (p.look(), p.status.get(), p.pidfd.get()))?;
        match state {
            ENDED => return Ok(status),
            LOST => return Err(Error::Os(libc::ECHILD)),
            _ if timeout <= 0 => return Err(Error::TimedOut),
            _ => {}
        }
        widen!();
        let left = until.map_or(FOREVER, |at| at - now());
        if pidfd != 0 && nap == FIRST_NAP {
            // PROC-B2
            match fd::ready::wait(m, pidfd, IN, left.max(0)) {
                Ok(_) => {}
                Err(Error::Gone | Error::Os(libc::EBADF)) => return Err(Error::Stale),
                Err(e) => return Err(e),
            }
            m = m.by_now();
            if locked(m, handle, |p| p.look())? != RUNS {
                continue;
            }
        }
        // PROC-B3
        let next = now().saturating_add(nap);
        let slept;
        (m, slept) = sleep::sleep_until(m, until.map_or(next, |at| at.min(next)));
        slept?;
        if until.is_some_and(|at| at <= now()) && locked(m, handle, |p| p.look())? == RUNS {
            return Err(Error::TimedOut);
        }
        nap = LAST_NAP.min(nap * 2);
    }
}

// ---- use ------------------------------------------------------------------------------------------------------------

/// PROC-C1. ESRCH if the end of the child is known.
pub fn kill(m: MRef, handle: u64, sig: i32) -> Result<()> {
    let errno = locked(m, handle, |p| match p.state.get() {
        // PROC-I1
        RUNS => proc::signal(p.pid.get(), p.number(), sig),
        _ => libc::ESRCH,
    })?;
    if errno == 0 { Ok(()) } else { Err(Error::Os(errno)) }
}

/// The number of a child, which it has until it is reaped.
pub fn pid(m: MRef, handle: u64) -> Result<i32> {
    locked(m, handle, |p| p.pid.get())
}

/// The pidfd of a child. ENOTSUP: it has none.
pub fn pidfd(m: MRef, handle: u64) -> Result<i32> {
    locked(m, handle, |p| p.number())?.ok_or(Error::Os(libc::ENOTSUP))
}

// ---- end ------------------------------------------------------------------------------------------------------------

/// PROC-D1 and PROC-D2. Busy, and nothing changes, if the child runs and has no pidfd.
///
/// # Migrates
pub fn release(m: MRef, handle: u64) -> Result<()> {
    let copy = match locked(m, handle, |p| (p.look(), p.number()))? {
        (RUNS, None) => return Err(Error::Busy),
        (RUNS, Some(number)) => watched_copy(m, number)?,
        _ => 0,
    };
    let p = locked(m, handle, |p| {
        p.handle.set(0);
        p
    });
    let p = match p {
        Ok(p) => p,
        Err(e) => {
            // Another release was faster.
            close(m, copy);
            return Err(e);
        }
    };
    let (sched, pidfd) = (m.sched(), p.pidfd.get());
    if copy == 0 {
        sched.slab::<Process>()?.free(handle);
    } else {
        // PROC-D2
        sched.net.waiters.fetch_add(1, Ordering::SeqCst);
        widen!();
        sched.orphans.add(&p.orphan, handle, copy);
        // PROC-I3: it may have ended before it was in the list.
        event(sched, copy);
        fence(Ordering::SeqCst);
        wake::io_added(sched, m);
    }
    close(m, pidfd);
    Ok(())
}

/// A handle for a copy of a pidfd, which the epoll watches.
fn watched_copy(m: MRef, number: i32) -> Result<u64> {
    let copy = io::duplicate(number);
    if copy < 0 {
        return Err(Error::Os(-copy));
    }
    let handle = fd::open(m, copy, false, false).inspect_err(|_| io::close(copy))?;
    fd::epoll::watch(m, handle).inspect_err(|_| close(m, handle))?;
    Ok(handle)
}

fn close(m: MRef, pidfd: u64) {
    if pidfd != 0 {
        let _ = fd::close(m.by_now(), pidfd);
    }
}

/// PROC-D3, after an event of the descriptor with this handle.
pub fn event(sched: &Sched, pidfd: u64) {
    let Some(m) = MRef::current() else { return };
    let ended = || fd::number(m, pidfd).is_ok_and(|number| proc::reap(0, Some(number)) != Child::Runs);
    if let Some(orphan) = sched.orphans.take_ended(pidfd, ended) {
        // No other caller knows the handle, so it waits for none.
        let _ = fd::close(m, pidfd);
        if let Ok(processes) = sched.slab::<Process>() {
            processes.free(orphan.process.get());
        }
        sched.net.waiters.fetch_sub(1, Ordering::SeqCst);
        quiet::notify_if_all_idle(sched);
    }
}
