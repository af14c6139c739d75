//! The C ABI: check, convert, call, map. No logic.
//!
//! A file for each section of the header. Every function's documentation ends with the same lines: Blocks, Call from,
//! Safepoint, Migrates, Cancellable, Owns, Returns, Since.
#![allow(non_camel_case_types, non_upper_case_globals)]
// A closure stands in the lines of its function, by which `wrong` knows it; a function that is passed does not.
#![allow(clippy::redundant_closure)]

pub mod address;
pub mod barrier;
pub mod cancel;
pub mod chan;
pub mod class;
pub mod cleanup;
pub mod cond;
pub mod coro;
pub mod file;
pub mod foreign;
pub mod g;
pub mod io;
pub mod listen;
pub mod message;
pub mod metrics;
pub mod mutex;
pub mod names;
pub mod net;
pub mod once;
pub mod p;
pub mod parallel;
pub mod poll;
pub mod post;
pub mod process;
pub mod rmutex;
pub mod runtime;
pub mod rwmutex;
pub mod scope;
pub mod sema;
pub mod signal;
pub mod stats;
pub mod status;
pub mod syscall;
pub mod time;
pub mod timer;
pub mod token;
mod trace;
pub mod waitgroup;
pub mod world;

pub use address::*;
pub use barrier::*;
pub use cancel::*;
pub use chan::*;
pub use class::*;
pub use cleanup::*;
pub use cond::*;
pub use coro::*;
pub use file::*;
pub use foreign::*;
pub use g::*;
pub use io::*;
pub use listen::*;
pub use message::*;
pub use metrics::*;
pub use mutex::*;
pub use names::*;
pub use net::*;
pub use once::*;
pub use p::*;
pub use parallel::*;
pub use poll::*;
pub use post::*;
pub use process::*;
pub use rmutex::*;
pub use runtime::*;
pub use rwmutex::*;
pub use scope::*;
pub use sema::*;
pub use signal::*;
pub use stats::*;
pub use status::*;
pub use syscall::*;
pub use time::*;
pub use timer::*;
pub use token::*;
pub use trace::*;
pub use waitgroup::*;
pub use world::*;

use crate::block::waitq::FOREVER;
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::sched::Sched;
use crate::protocol::seize::Inside;
use crate::rt;

/// The M of the caller, from any context, for what needs no runtime. It starts none.
#[inline(always)]
fn any() -> Result<Inside, gmx_status> {
    match MRef::current() {
        Some(m) => Ok(Inside::enter(m)),
        None => any_slow().get(),
    }
}

#[cold]
#[inline(never)]
fn any_slow() -> MOrStatus {
    MOrStatus::new(rt::enter_without().map_err(status::plain))
}

/// The M of the caller, from any context, in a runtime that is up.
#[inline(always)]
fn started() -> Result<Inside, gmx_status> {
    match MRef::current() {
        Some(m) if m.ctx() != Ctx::Foreign => Ok(Inside::enter(m)),
        _ => started_slow().get(),
    }
}

#[cold]
#[inline(never)]
fn started_slow() -> MOrStatus {
    MOrStatus::new(rt::enter().map_err(status::plain))
}

/// An M or a status, in one register: a `Result` would go through memory, and with it the M of every fast path.
struct MOrStatus(isize);

impl MOrStatus {
    fn new(r: Result<MRef, gmx_status>) -> MOrStatus {
        MOrStatus(match r {
            Ok(m) => m.as_ptr() as isize,
            Err(status) => status as isize,
        })
    }

    #[inline(always)]
    fn get(self) -> Result<Inside, gmx_status> {
        self.outside().map(Inside::enter)
    }

    #[inline(always)]
    fn outside(self) -> Result<MRef, gmx_status> {
        // SAFETY: not a status, hence the M that `new` was given.
        match unsafe { MRef::from_ptr(self.0 as *mut _) } {
            Some(m) if !(-4096..0).contains(&self.0) => Ok(m),
            _ => Err(self.0 as gmx_status),
        }
    }
}

/// The status of a call that uses the interface in a wrong way. `GMXDEBUG=strict` reports such a call. A status that a
/// correct program may meet, because of another thread or of the system, does not come through here.
///
/// The place in the sources tells which exported function it is, so a function that several of them share is
/// `#[track_caller]`; and there a closure must not call this, since closures do not pass the caller on.
#[cold]
#[inline(never)]
#[track_caller]
fn wrong(status: gmx_status) -> gmx_status {
    if rt::strict::is_on() {
        let row = status::row(status);
        rt::strict::wrong(row.name, row.text, std::panic::Location::caller());
    }
    status
}

/// A struct of the header that stands for a type of the library's.
///
/// # Safety
/// Their fields agree, of which each is a word that is used by atomic operations only; whatever bits are in them, it is
/// one of both.
unsafe trait Object: Sized {
    type Is;

    const AGREE: () =
        assert!(size_of::<Self>() == size_of::<Self::Is>() && align_of::<Self>() == align_of::<Self::Is>());
}

/// None: there is no such object.
///
/// # Safety
/// `o` is null, or points to an object that lives as long as it is used.
#[inline(always)]
unsafe fn object<'a, T: Object>(o: *mut T) -> Option<&'a T::Is> {
    const { T::AGREE };
    if o.is_null() || !o.is_aligned() {
        return None;
    }
    // SAFETY: the caller's promise, and that of `Object`.
    Some(unsafe { &*o.cast::<T::Is>() })
}

/// The M of a caller that may wait.
#[inline(always)]
#[track_caller]
fn may_wait() -> Result<Inside, gmx_status> {
    match MRef::current() {
        Some(m) if m.is_free() => Ok(Inside::enter_free(m)),
        _ => may_wait_slow().get(),
    }
}

/// The M of a caller that may wait, on the fast path of a call that has a slow one: None for every caller that needs a
/// closer look.
#[inline(always)]
fn free() -> Option<Inside> {
    let m = MRef::current()?;
    if m.is_free() { Inside::try_enter_free(m) } else { None }
}

/// The number by which a lock knows its owner, if the caller is a G that may leave its stack ([`is_free`]). Every
/// other caller goes through `may_wait` or `any`.
#[inline(always)]
fn free_id() -> Option<u64> {
    let m = MRef::current()?;
    if m.is_free() { Some(m.free_goid()) } else { None }
}

/// As [`free_id`], and `None` also if there is a request to the caller's P: for the fast paths of calls that are safe
/// points. A loop that takes only fast paths would otherwise never serve a request.
#[inline(always)]
fn calm_id() -> Option<u64> {
    let m = MRef::current()?;
    if m.is_free() && m.is_calm() { Some(m.free_goid()) } else { None }
}

/// As [`may_wait`], and a safe point: what is asked of the caller's P is served.
///
/// # Migrates
#[track_caller]
fn may_wait_calmly() -> Result<Inside, gmx_status> {
    may_wait().map(|m| m.then(crate::block::vain::serve))
}

/// Whether the caller is a G on a worker that is free to go.
#[inline(always)]
fn is_free() -> bool {
    MRef::current().is_some_and(|m| m.is_free())
}

/// Whether gmx_enter_syscall would succeed.
fn may_leave() -> bool {
    MRef::current().is_some_and(|m| m.ctx() == Ctx::G && m.pins() == 0)
}

#[cold]
#[inline(never)]
#[track_caller]
fn may_wait_slow() -> MOrStatus {
    MOrStatus::new(match rt::enter() {
        Ok(m) if m.ctx() == Ctx::G && m.pins() == 0 => Ok(m),
        Ok(m) if m.ctx() == Ctx::Foreign => Ok(m),
        Ok(m) => Err(why_not(m)),
        Err(e) => Err(status::plain(e)),
    })
}

/// The M of a G that may leave its P, which it comes in for by itself: the P may have been taken.
#[inline(always)]
#[track_caller]
fn on_g() -> Result<MRef, gmx_status> {
    match MRef::current() {
        Some(m) if m.is_free() => Ok(m),
        m => on_g_slow(m).outside(),
    }
}

/// Starts no runtime: the answer to a thread outside is known.
#[cold]
#[inline(never)]
#[track_caller]
fn on_g_slow(m: Option<MRef>) -> MOrStatus {
    MOrStatus::new(match m {
        Some(m) if m.ctx() == Ctx::G && m.pins() == 0 => Ok(m),
        Some(m) => Err(why_not(m)),
        None => Err(wrong(GMX_ENOTG)),
    })
}

/// Why a caller may not wait, or is not on a G.
#[cold]
#[track_caller]
fn why_not(m: MRef) -> gmx_status {
    match m.ctx() {
        Ctx::Syscall => wrong(GMX_EINSYSCALL),
        _ => wrong(GMX_ENOTG),
    }
}

/// How many wait for the object at an address, which is only a name here. It starts no runtime.
fn waiters<T>(p: *const T, count: impl FnOnce(&Sched, u64) -> u32) -> u32 {
    if p.is_null() || !p.is_aligned() {
        return 0;
    }
    let _inside = MRef::current().map(Inside::enter);
    rt::up().map_or(0, |sched| count(sched, p as u64))
}

/// Ok or an error, as a status.
#[inline(always)]
#[track_caller]
fn map(r: crate::gmp::Result<()>) -> gmx_status {
    match r {
        Ok(()) => GMX_OK,
        Err(e) => status::from(e),
    }
}

/// As [`map`], for a call that waits or tries: one that has come to nothing lets others run every so often.
///
/// # Migrates
#[inline(always)]
#[track_caller]
fn tried(r: crate::gmp::Result<()>) -> gmx_status {
    match r {
        Ok(()) => GMX_OK,
        Err(e) => failed(e),
    }
}

/// As [`failed`], for a call that has not needed an M.
///
/// # Migrates
#[cold]
#[track_caller]
fn failed_outside(e: crate::gmp::error::Error) -> gmx_status {
    let _inside = MRef::current().map(Inside::enter);
    failed(e)
}

#[cold]
#[inline(never)]
#[track_caller]
fn failed(e: crate::gmp::error::Error) -> gmx_status {
    // The caller may be on another thread by now. A thread without an M has no P, and no other goroutine to let run.
    if let Some(m) = MRef::current() {
        crate::block::vain::in_vain(m);
    }
    status::from(e)
}

/// Reads a struct that begins with its size: a caller with an older header leaves the rest zero, one with a newer
/// header must have zeros in what we do not know.
///
/// # Safety
/// `p` is null or points to as many bytes as its first word says.
#[track_caller]
unsafe fn read_sized<T: Copy>(p: *const T) -> Result<Option<T>, gmx_status> {
    if p.is_null() {
        return Ok(None);
    }
    let ours = std::mem::size_of::<T>();
    // SAFETY: the caller's promise.
    let theirs = unsafe { p.cast::<usize>().read_unaligned() };
    // 0 is the size of 0.2, for good.
    if theirs == ours || theirs == 0 {
        // SAFETY: as above.
        return Ok(Some(unsafe { p.read_unaligned() }));
    }
    if theirs < std::mem::size_of::<usize>() || theirs > SIZE_LIMIT {
        return Err(wrong(GMX_EINVAL));
    }
    let bytes = p.cast::<u8>();
    // SAFETY: as above.
    if (ours..theirs).any(|i| unsafe { bytes.wrapping_add(i).read() } != 0) {
        return Err(wrong(GMX_EINVAL));
    }
    let mut v = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: no more is copied than both have.
    unsafe { std::ptr::copy_nonoverlapping(bytes, v.as_mut_ptr().cast::<u8>(), ours.min(theirs)) };
    // SAFETY: T is a C struct of integers and pointers, for which zero is a value, as is what a caller wrote.
    Ok(Some(unsafe { v.assume_init() }))
}

/// Writes a struct that begins with the size that the caller has for it; the tail of a newer caller's is left alone.
///
/// # Safety
/// `p` points to as many bytes as its first word says.
#[track_caller]
unsafe fn write_sized<T: Copy>(p: *mut T, v: &T) -> gmx_status {
    // SAFETY: the caller's promise.
    let said = unsafe { p.cast::<usize>().read_unaligned() };
    let word = std::mem::size_of::<usize>();
    let theirs = if said == 0 { std::mem::size_of::<T>() } else { said };
    if theirs < word || theirs > SIZE_LIMIT {
        return wrong(GMX_EINVAL);
    }
    let n = std::mem::size_of::<T>().min(theirs);
    let from = std::ptr::from_ref(v).cast::<u8>().wrapping_add(word);
    // SAFETY: as above; the size itself stays what the caller wrote.
    unsafe { std::ptr::copy_nonoverlapping(from, p.cast::<u8>().wrapping_add(word), n - word) };
    GMX_OK
}

/// No struct of this interface will ever be this large: a size beyond is garbage.
const SIZE_LIMIT: usize = 4096;
