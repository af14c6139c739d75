//! The host's own loop: goroutines hand functions to it.
//!
//! # Problem
//! A host has a loop of its own (libuv, asyncio, a window system), which runs on one thread and waits for descriptors.
//! Any goroutine or thread may post a function to it. The loop learns of it by a descriptor, which must be readable as
//! long as a function waits. The danger: the host clears the descriptor just when another thread posts, and sleeps
//! although a function waits.
//!
//! # Words
//! * the list: the functions that wait, the oldest first. Its length and its descriptor; all under its lock.
//! * the descriptor: an eventfd, readable from a signal until it is cleared. It is made when the host asks for it.
//!
//! # Protocol
//! The poster:
//! * POST-A1 makes a node, with the lock open;
//! * POST-A2 puts it into the list. If the list was empty, and there is a descriptor, it signals it, with the lock open
//!   again.
//!
//! The host:
//! * POST-B1 takes the oldest node, and leaves when there is none;
//! * POST-B2 if that was the last one, clears the descriptor, with the lock open, and then looks again: if there is
//!   another function by now, it signals the descriptor;
//! * POST-B3 frees the node, and calls its function;
//! * POST-B4 if there is none when its turn begins, clears the descriptor in the same way: of two threads that run
//!   functions, one may have signaled it (POST-B2) for a function that the other one has taken since.
//!
//! The host that asks for the descriptor:
//! * POST-C1 makes it, and stores it under the lock. If a function waits already, it signals the descriptor.
//!
//! # Invariants
//! * POST-I1 while the list has a function, the descriptor is readable, or a thread is about to signal it. The poster
//!   of the first function signals it, and each clear is followed by a look: a post before this look is seen by it, and
//!   a post after it finds the list empty, or finds a function for which this holds.
//! * POST-I2 a function runs once, after the functions that its poster posted before it have begun.
//! * POST-I3 nothing is cleared between POST-B2 and the end of the function, unless that runs the loop itself. So a
//!   function that runs a loop within the loop (a dialog) sees what is posted meanwhile, and what waits behind it.
//!
//! # Why it ends
//! The host runs no more functions in a turn than were in the list when the turn began: functions that post themselves
//! again do not keep it from its loop.
//!
//! # Rejected
//! * A bounded queue: the poster would have to wait for the host, which may wait for the poster. A poster that is to be
//!   slowed down waits for an answer.
//! * An unbounded channel with a descriptor beside it: a receive does not say whether it has taken the last value,
//!   under the lock that a sender takes.

use crate::gmp::error::{Error, Result};
use crate::gmp::posts::{Node, Posted};
use crate::gmp::sched::Sched;
use crate::sync::widen::widen;
use crate::sys::event;
use crate::sys::heap::{alloc, dealloc};
use crate::sys::without::is_sealed;
use std::alloc::Layout;
use std::ffi::c_void;
use std::ptr::NonNull;

const NODE: Layout = Layout::new::<Node>();

/// POST-A1 and POST-A2.
pub fn post(sched: &Sched, f: Posted, arg: *mut c_void) -> Result<()> {
    // SAFETY: the layout is not empty.
    let node = NonNull::new(unsafe { alloc(NODE) }.cast::<Node>()).ok_or(Error::NoMemory)?;
    // SAFETY: just allocated, with room for a node.
    unsafe { node.write(Node::new(f, arg)) };
    widen!();
    let mut list = sched.posts.list.lock();
    let first = list.is_empty();
    list.push(node);
    drop(list);
    widen!();
    // A descriptor that is made after this look is signaled by POST-C1.
    if first && let Some(fd) = sched.posts.fd() {
        sched.posts.signal(fd);
    }
    Ok(())
}

/// POST-C1. The descriptor, which is the same one at each call.
pub fn fd(sched: &Sched) -> Result<i32> {
    if let Some(fd) = sched.posts.fd() {
        return Ok(fd);
    }
    if is_sealed() {
        return Err(Error::Os(libc::ENOTSUP));
    }
    let new = event::open().map_err(Error::Os)?;
    widen!();
    let list = sched.posts.list.lock();
    let (made, waits) = (sched.posts.fd(), !list.is_empty());
    if made.is_none() {
        sched.posts.set_fd(Some(new));
    }
    drop(list);
    match made {
        // Another thread was first.
        Some(_) => event::close(new),
        None if waits => sched.posts.signal(new),
        None => {}
    }
    Ok(made.unwrap_or(new))
}

/// How many functions wait.
pub fn waiting(sched: &Sched) -> usize {
    sched.posts.list.lock().len()
}

/// How many functions wait as the turn of a host begins.
pub fn turn(sched: &Sched) -> usize {
    let waiting = waiting(sched);
    if waiting == 0 {
        // POST-B4
        clear(sched);
    }
    waiting
}

/// POST-B2: the list was empty.
fn clear(sched: &Sched) {
    if let Some(fd) = sched.posts.fd() {
        sched.posts.clear(fd);
        widen!();
        // POST-I1
        let waits = waiting(sched) != 0;
        if waits {
            sched.posts.signal(fd);
        }
    }
}

/// POST-B1 to POST-B3: the oldest function, which the caller calls outside of the library.
pub fn take(sched: &Sched) -> Option<(Posted, *mut c_void)> {
    let mut list = sched.posts.list.lock();
    let node = list.pop()?;
    let last = list.is_empty();
    drop(list);
    widen!();
    if last {
        clear(sched);
    }
    // POST-I2, POST-I3
    // SAFETY: out of the list it is this thread's alone.
    let Node { f, arg, .. } = unsafe { node.read() };
    // SAFETY: allocated with this layout, and used no more.
    unsafe { dealloc(node.as_ptr().cast(), NODE) };
    Some((f, arg))
}

/// In a child of fork: closes its copy of the descriptor. The functions are the parent's.
pub fn close_copy(sched: &Sched) {
    if let Some(fd) = sched.posts.fd() {
        sched.posts.set_fd(None);
        event::close(fd);
    }
}
