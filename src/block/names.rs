//! Questions to the resolver of the C library, which takes a thread for as long as it thinks.
//!
//! # Problem
//! getaddrinfo reads files and asks servers. It cannot be interrupted: a caller whose time is over must be able to
//! leave it behind, and the answer that comes later must be freed. And each question that is under way takes a thread,
//! so their number needs a limit.
//!
//! # Words
//! A question is a block of memory with the names, and a word: WAITING, DONE or LEFT. It belongs to two parties, the
//! caller and the asker, a G that is made for it.
//!
//! # Protocol
//! The caller:
//! * NAMES-A1 asks at once whether the names are numbers: that needs no file, and no other thread;
//! * NAMES-A2 otherwise writes a question, starts its asker, and waits until the word is not WAITING;
//! * NAMES-A3 changes the word to LEFT. If it was DONE, the question is the caller's: it takes the answer, and frees
//!   the question. If it was WAITING, the time is over or the token was canceled, and the question is the asker's.
//!
//! The asker:
//! * NAMES-B1 takes a permit, and waits for it if need be (offload.rs);
//! * NAMES-B2 if the caller has not left, gives its P away, asks, and comes back;
//! * NAMES-B3 changes WAITING to DONE. If that succeeds, it wakes the caller, and does not touch the question any more.
//!   Otherwise it frees the answer and the question.
//!
//! # Invariants
//! * NAMES-I1 the second party that changes the word frees the question, and no party reads it after that.
//! * NAMES-I2 the answer has one owner: the caller after it has seen DONE, otherwise the asker.
//! * NAMES-I3 no more threads are in the resolver than there are permits, except for callers with numbers.
//!
//! # Orderings
//! The changes of the word are AcqRel: what the asker has written is visible to the caller that sees DONE. The wake is
//! WAITQ-B1 with the word. It needs the address alone (WAITQ-M4).
//!
//! # Why it ends
//! The asker makes one call, which ends by the limits of the resolver.
//!
//! # Rejected
//! * One question for callers that ask the same at the same time: an answer is a list that its owner frees by
//!   freeaddrinfo, and the C library has no copy of it.
//! * Threads that do nothing but ask: they are there when nothing is asked.

use super::offload;
use super::waitq::{self, How};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GName, WaitReason};
use crate::gmp::m::MRef;
use crate::gmp::p::blocks::{alloc, dealloc};
use crate::protocol::{park, seize, store};
use crate::sync::{AtomicU32, Ordering, Watched, fence};
use crate::sys::arch::current_m;
use crate::sys::net::{self, NoAnswer, addrinfo};
use crate::sys::without::is_sealed;
use std::alloc::Layout;
use std::ffi::{CStr, c_void};
use std::ptr::{NonNull, null};

const WAITING: u32 = 0;
const DONE: u32 = 1;
const LEFT: u32 = 2;

/// The names that a question is about. None: any.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    pub node: Option<&'a CStr>,
    pub service: Option<&'a CStr>,
}

type Answer = std::result::Result<*mut addrinfo, NoAnswer>;

/// The names stand behind it.
struct Question {
    word: AtomicU32,
    layout: Layout,
    hints: addrinfo,
    has_hints: bool,
    /// The lengths of the names with their ends; 0: none.
    node: usize,
    service: usize,
    /// Owner: the asker until DONE.
    answer: Answer,
    watched: Watched,
}

fn failed(e: NoAnswer) -> Error {
    match e {
        NoAnswer::Name(net::NO_MEMORY) => Error::NoMemory,
        NoAnswer::Name(e) => Error::Name(e),
        NoAnswer::System(0) => Error::Os(libc::EIO),
        NoAnswer::System(e) => Error::Os(e),
    }
}

fn start(name: Option<&CStr>) -> *const std::ffi::c_char {
    name.map_or(null(), CStr::as_ptr)
}

/// The addresses of these names, as a list that the caller frees ([`net::free`]).
///
/// # Migrates
///
/// # Safety
/// `hints` is null, or as getaddrinfo wants it.
pub unsafe fn look_up(m: MRef, names: Names<'_>, hints: *const addrinfo, timeout: i64) -> Result<*mut addrinfo> {
    // NAMES-A1
    // SAFETY: the caller's promise.
    let numbers = unsafe { net::numeric(hints) };
    // SAFETY: the names are terminated.
    match unsafe { net::look_up(start(names.node), start(names.service), &raw const numbers) } {
        Ok(found) => return Ok(found),
        // SAFETY: the caller's promise.
        Err(NoAnswer::Name(net::NO_NAME)) if !unsafe { net::wants_a_number(hints) } => {}
        // A service by its name, with a host that is a number.
        Err(NoAnswer::Name(net::NO_NAME | net::NO_SERVICE)) if names.service.is_some_and(|s| !is_number(s)) => {}
        Err(e) => return Err(failed(e)),
    }
    if timeout <= 0 {
        return Err(Error::TimedOut);
    }
    if is_sealed() {
        return Err(Error::Os(libc::ENOTSUP));
    }
    // NAMES-A2
    // SAFETY: the caller's promise.
    let q = Question::new(names, unsafe { hints.as_ref() }).ok_or(Error::NoMemory)?;
    let entry = asks as extern "C" fn(*mut c_void) as *mut c_void;
    let what = store::Spawn { entry, arg: q.as_ptr().cast(), flags: 0, stack_size: 0, name: GName::NONE };
    match store::newproc_to_start(m, &what) {
        Ok(gp) => park::ready_queue(m, gp),
        Err(e) => {
            // SAFETY: no asker has it.
            unsafe { Question::end(q) };
            return Err(e);
        }
    }
    await_answer(m, q, timeout)
}

/// NAMES-A2, the wait, and NAMES-A3.
///
/// # Migrates
fn await_answer(m: MRef, q: NonNull<Question>, timeout: i64) -> Result<*mut addrinfo> {
    // SAFETY: it lives until NAMES-A3 (NAMES-I1).
    let word = unsafe { &(*q.as_ptr()).word };
    let how = How::event(WaitReason::NAMES, waitq::deadline_of(timeout));
    let (mut m, mut r) = (m, Ok(()));
    while r.is_ok() && word.load(Ordering::Acquire) == WAITING {
        let waited;
        (m, waited) = waitq::wait(m, word as *const AtomicU32 as u64, how, || word.load(Ordering::Acquire) == WAITING);
        r = waited.error().map_or(Ok(()), Err);
    }
    // NAMES-A3
    if word.swap(LEFT, Ordering::AcqRel) == WAITING {
        return Err(r.err().unwrap_or(Error::TimedOut));
    }
    // SAFETY: DONE: the asker does not touch it any more.
    let answer = unsafe { (*q.as_ptr()).answer };
    // SAFETY: as above.
    unsafe { (*q.as_ptr()).watched.touch() };
    // SAFETY: as above.
    unsafe { Question::end(q) };
    answer.map_err(failed)
}

fn is_number(name: &CStr) -> bool {
    name.to_bytes().iter().all(u8::is_ascii_digit)
}

impl Question {
    fn new(names: Names<'_>, hints: Option<&addrinfo>) -> Option<NonNull<Question>> {
        let len = |name: Option<&CStr>| name.map_or(0, |name| name.to_bytes_with_nul().len());
        let (node, service) = (len(names.node), len(names.service));
        let size = size_of::<Question>().checked_add(node)?.checked_add(service)?;
        let layout = Layout::from_size_align(size, align_of::<Question>()).ok()?;
        // SAFETY: the layout is not empty.
        let q = NonNull::new(unsafe { alloc(layout) }.cast::<Question>())?;
        let plain = net::Hints { family: net::ANY_FAMILY, kind: 0, passive: false };
        let question = Question {
            word: AtomicU32::new(WAITING),
            layout,
            hints: hints.copied().unwrap_or_else(|| plain.to_system()),
            has_hints: hints.is_some(),
            node,
            service,
            answer: Err(NoAnswer::System(0)),
            watched: Watched::default(),
        };
        // SAFETY: room for it was allocated.
        unsafe { q.write(question) };
        for (at, name) in [(0, names.node), (node, names.service)] {
            if let Some(name) = name {
                let name = name.to_bytes_with_nul();
                // SAFETY: an address in the block.
                let to = unsafe { q.add(1) }.cast::<u8>().as_ptr().wrapping_add(at);
                // SAFETY: room for both names was allocated behind the question.
                unsafe { to.copy_from_nonoverlapping(name.as_ptr(), name.len()) };
            }
        }
        Some(q)
    }

    /// NAMES-B2.
    ///
    /// # Safety
    /// The asker's.
    unsafe fn ask(q: NonNull<Question>) -> Answer {
        // SAFETY: the caller's promise; the other party uses the word alone.
        let this = unsafe { &*q.as_ptr() };
        // SAFETY: an address in the block.
        let names = unsafe { q.add(1) }.cast::<std::ffi::c_char>().as_ptr();
        let node = if this.node == 0 { null() } else { names.cast_const() };
        let service = if this.service == 0 { null() } else { names.wrapping_add(this.node).cast_const() };
        let hints = if this.has_hints { &raw const this.hints } else { null() };
        // SAFETY: the names are terminated, and the hints are a copy of the caller's.
        unsafe { net::look_up(node, service, hints) }
    }

    /// # Safety
    /// The question is the caller's, and is not used afterwards.
    unsafe fn end(q: NonNull<Question>) {
        // SAFETY: the caller's promise.
        let layout = unsafe { (*q.as_ptr()).layout };
        // SAFETY: `new` allocated it so.
        unsafe { dealloc(q.as_ptr().cast(), layout) };
    }
}

/// The asker.
extern "C" fn asks(arg: *mut c_void) {
    seize::come_back();
    // SAFETY: a G runs on an M.
    let Some(m) = (unsafe { MRef::from_ptr(current_m().cast()) }) else { return };
    if let Some(q) = NonNull::new(arg.cast::<Question>()) {
        // SAFETY: this is the asker.
        serve(m, q, |q| unsafe { Question::ask(q) });
    }
}

/// NAMES-B1 to NAMES-B3.
fn serve(mut m: MRef, q: NonNull<Question>, ask: impl FnOnce(NonNull<Question>) -> Answer) {
    // SAFETY: it lives until NAMES-B3 (NAMES-I1).
    let word = unsafe { &(*q.as_ptr()).word };
    let sched = m.sched();
    let asks = || match word.load(Ordering::Relaxed) {
        WAITING => ask(q),
        _ => Err(NoAnswer::System(0)),
    };
    // NAMES-B1, NAMES-B2, NAMES-I3
    let answer;
    (m, answer) = offload::run(m, &sched.offload.names, None, asks);
    let answer: Answer = answer.unwrap_or(Err(NoAnswer::System(0)));
    // NAMES-B3
    // SAFETY: this is the asker, and the word is not DONE yet.
    unsafe { (*q.as_ptr()).answer = answer };
    // SAFETY: as above.
    unsafe { (*q.as_ptr()).watched.touch() };
    if word.compare_exchange(WAITING, DONE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
        fence(Ordering::SeqCst);
        let addr = word as *const AtomicU32 as u64;
        if waitq::has_waiters(sched, addr) {
            waitq::wake_all(m, addr, |_| ());
        }
        return;
    }
    if let Ok(found) = answer {
        // SAFETY: no other party has it (NAMES-I2).
        unsafe { net::free(found) };
    }
    // SAFETY: the caller has left (NAMES-I1).
    unsafe { Question::end(q) };
}

/// For models: a question with its two parties, where a name is asked for without the C library.
#[cfg(all(test, any(loom, shuttle)))]
pub mod parties {
    use super::*;

    #[derive(Clone, Copy)]
    pub struct Asked(NonNull<Question>);

    // SAFETY: NAMES-I1 and NAMES-I2.
    unsafe impl Send for Asked {}

    pub fn question() -> Asked {
        Asked(Question::new(Names { node: Some(c"host"), service: None }, None).unwrap())
    }

    /// The caller. The error of the resolver stands for an answer.
    pub fn caller(m: MRef, q: Asked, timeout: i64) -> Error {
        await_answer(m, q.0, timeout).unwrap_err()
    }

    /// The asker, which finds that there is no such name.
    pub fn asker(m: MRef, q: Asked) {
        serve(m, q.0, |_| Err(NoAnswer::Name(net::NO_NAME)));
    }

    pub const ANSWER: Error = Error::Name(net::NO_NAME);
}
