//! The library's own reports: deadlocks, lack of threads and stacks, stops that timed out, broken invariants.

use super::descriptor;
use crate::block::{mutex, rwmutex, spawn};
use crate::fiber::text::Line;
use crate::gmp::g::{GRef, GStatus, WaitReason, gflag};
use crate::gmp::hogs::Hog;
use crate::gmp::m::{Kind, MRef};
use crate::gmp::p::{FN, PStatus, STOP};
use crate::gmp::sched::Sched;
use crate::protocol::stw::Late;
use crate::sched::world::Latecomers;
use crate::sync::{Ordering, now};
use crate::sys::array::Array;
use crate::sys::{self, elf};
use std::ffi::{CStr, c_char, c_void};
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize};

static ADDRESSES: AtomicBool = AtomicBool::new(false);

pub fn show_addresses(yes: bool) {
    ADDRESSES.store(yes, Ordering::Relaxed);
}

pub fn shows_addresses() -> bool {
    ADDRESSES.load(Ordering::Relaxed)
}

/// The function that receives reports: the host's. Without it reports go to stderr.
pub type Report = extern "C" fn(arg: *mut c_void, text: *const c_char, len: usize);

static REPORT: AtomicUsize = AtomicUsize::new(0);
static REPORT_ARG: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

pub fn set_function(f: Option<Report>, arg: *mut c_void) {
    REPORT_ARG.store(arg, Ordering::Relaxed);
    // Release: pairs with the Acquire in `function`, which then sees the argument.
    REPORT.store(f.map_or(0, |f| f as usize), Ordering::Release);
}

fn function() -> Option<(Report, *mut c_void)> {
    let f = REPORT.load(Ordering::Acquire);
    if f == 0 {
        return None;
    }
    // SAFETY: `set_function` stored a function of this type.
    let f = unsafe { std::mem::transmute::<usize, Report>(f) };
    Some((f, REPORT_ARG.load(Ordering::Relaxed)))
}

/// An address, if reports may contain addresses; otherwise a name that only shows which addresses are equal. A reader
/// of reports must not learn where memory lies.
pub struct Place(pub u64);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if shows_addresses() {
            return write!(f, "{:#x}", self.0);
        }
        let x = (self.0 ^ sys::random_seed()).wrapping_mul(0xd6e8_feb8_6659_fd93);
        write!(f, "#{:06x}", (x ^ x >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 40)
    }
}

/// A text that grows while there is memory, and notes when it stopped growing.
#[derive(Default)]
pub struct Text {
    bytes: Array<u8>,
    full: bool,
}

impl Text {
    pub fn new() -> Text {
        Text::default()
    }
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// Whether all of the text found room.
    pub fn whole(&self) -> bool {
        !self.full
    }
}

impl Write for Text {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if self.full || self.bytes.extend(s.as_bytes()).is_err() {
            self.full = true;
            return Err(fmt::Error);
        }
        Ok(())
    }
}

pub use crate::ds::escape::Escaped as Words;

/// Passes a report to the host's function, or to stderr. Waits for neither a reader nor a lock of the library.
pub fn emit(bytes: &[u8]) {
    match function() {
        Some((f, arg)) => {
            let report = || sys::call::report(f, arg, bytes);
            MRef::current().map_or_else(report, |m| m.tell_host(report));
        }
        None => sys::stderr::say(bytes),
    }
}

pub fn tell(_: &Sched, text: &str) {
    emit(text.as_bytes());
}

/// Reports how long each lock was held at most: debug builds with `GMXDEBUG=locks=1`.
pub fn lock_holds() {
    let mut out = Text::new();
    crate::sync::tell_holds(|words| _ = out.write_fmt(words));
    if !out.as_bytes().is_empty() {
        sys::stderr::say(out.as_bytes());
    }
}

/// For a broken invariant: reports the state and aborts. It waits for no lock and allocates nothing.
pub fn fatal(sched: &Sched, what: &str) -> ! {
    let mut line = Line::new();
    line.text("libgomax: fatal error: ").text(what).text("\n");
    emit(line.as_bytes());
    for p in sched.live_ps() {
        let mut line = Line::new();
        line.text("  P").dec(u64::from(p.id)).text(": ").text(status_text(p.seen_status()));
        line.text(" queued=").dec(p.runq_len() as u64).text("\n");
        emit(line.as_bytes());
    }
    std::process::abort()
}

pub fn status_text(s: PStatus) -> &'static str {
    match s {
        PStatus::Idle => "idle",
        PStatus::Running => "running",
        PStatus::Syscall => "syscall",
        PStatus::Stopped => "stopped",
        PStatus::Dead => "dead",
    }
}

/// `goroutine 7 "name"`.
pub fn g_name(out: &mut Text, gp: GRef) -> fmt::Result {
    write!(out, "goroutine {}", gp.goid.get())?;
    let name = gp.name();
    if !name.bytes().is_empty() {
        write!(out, " \"{}\"", Words(name.bytes()))?;
    }
    Ok(())
}

/// `goroutine 7 "name" in work (program+0x1234)`.
fn g_call(out: &mut Text, gp: GRef) -> fmt::Result {
    g_name(out, gp)?;
    if gp.has(gflag::FOREIGN) {
        return out.write_str(" (thread of the host)");
    }
    write!(out, " in {}", Code(spawn::call_of(gp).0))
}

/// Names a goroutine that computes and calls nothing of the library.
pub fn hog(hog: &Hog) {
    let mut out = Text::new();
    let _ = hog_text(&mut out, hog);
    emit(out.as_bytes());
}

/// Reports that the host has closed the descriptors by which the library waits.
pub fn poll_was_lost(watched: u32, lost: u32) {
    let mut out = Text::new();
    let _ = writeln!(
        out,
        "libgomax: the host has closed the epoll or the eventfd of the library; there are new ones now. Descriptors that \
         are watched again: {watched}; that are lost: {lost}"
    );
    emit(out.as_bytes());
}

fn hog_text(out: &mut Text, hog: &Hog) -> fmt::Result {
    write!(out, "libgomax: goroutine {}", hog.goid)?;
    if !hog.name.bytes().is_empty() {
        write!(out, " \"{}\"", Words(hog.name.bytes()))?;
    }
    let ms = (hog.last - hog.since) / 1_000_000;
    writeln!(out, " computes without a call of the library: {} slices were taken from it in {ms} ms", hog.slices)
}

/// One line about a G that stands still: `goroutine 7 "name" [semacquire, 1500ms]`.
pub fn g_line(out: &mut Text, sched: &Sched, gp: GRef) -> fmt::Result {
    g_words(out, sched, gp)?;
    writeln!(out)
}

/// [`g_line`] without its line end.
fn g_words(out: &mut Text, sched: &Sched, gp: GRef) -> fmt::Result {
    g_name(out, gp)?;
    let status = gp.status();
    if status.waits() {
        let ms = (now() - gp.wait_since.get()).max(0) / 1_000_000;
        let reason = match gp.wait_reason.get() {
            p if p.is_null() => c"",
            // SAFETY: the goroutine waits, and keeps waiting during this; reasons are NUL-terminated and outlive the
            // wait.
            p => unsafe { CStr::from_ptr(p) },
        };
        write!(out, " [{}", Words(reason.to_bytes()))?;
        if let Some(descriptor) = descriptor::of(sched, gp) {
            write!(out, ", {descriptor}")?;
        }
        write!(out, ", {ms}ms]")?;
    } else {
        // SAFETY: null or an M, and Ms are never freed.
        let locked = unsafe { MRef::from_ptr(gp.lockedm.get()) };
        // SAFETY: as above.
        let on = unsafe { MRef::from_ptr(gp.m.get()) };
        let is_held = status == GStatus::Runnable && locked.is_some_and(|m| m.held.get());
        let is_out = status == GStatus::Running && on.is_some_and(|m| m.out.get());
        let words = if is_held { "held" } else { status.text() };
        write!(out, " [{words}{}]", if is_out { " without a P" } else { "" })?;
    }
    if !gp.lockedm.is_null() && (gp.ties.get() == 0 || gp.locks.get() != 0) {
        out.write_str(if gp.has(gflag::FOREIGN) { " (thread of the host)" } else { " (locked to its thread)" })?;
    }
    Ok(())
}

/// The live Gs.
pub fn live_gs(sched: &Sched) -> impl Iterator<Item = GRef> + '_ {
    sched.every_g().filter(|gp| match gp.status() {
        GStatus::Idle | GStatus::Dead => false,
        // A thread of the host outside of any call.
        GStatus::Syscall => !gp.has(gflag::FOREIGN),
        _ => !gp.has(gflag::ZOMBIE),
    })
}

/// The most Gs that a report names.
const MOST: usize = 100;

/// Reports that `gmx_main` will not end.
pub fn deadlock(sched: &Sched) {
    tell_deadlock(sched, "libgomax: all goroutines are asleep: deadlock");
}

/// As [`deadlock`], where no thread waits in `gmx_main`: names the waiting threads of the host with the Gs.
pub fn deadlock_of_threads(sched: &Sched) {
    tell_deadlock(sched, "libgomax: all goroutines and all threads are asleep: deadlock");
}

fn tell_deadlock(sched: &Sched, what: &str) {
    let mut out = Text::new();
    let _ = writeln!(out, "{what}");
    let queued = sched.globq_len();
    if queued != 0 {
        let most = sched.cfg.max_threads.get();
        let _ = writeln!(out, "goroutines that wait for a thread: {queued}; all {most} (max_threads) are taken");
    }
    let mut n = 0;
    for gp in live_gs(sched) {
        n += 1;
        if n <= MOST {
            let _ = waiter_line(&mut out, sched, gp);
        }
    }
    if n > MOST {
        let _ = writeln!(out, "... and {} more", n - MOST);
    }
    emit(out.as_bytes());
}

/// As [`g_line`], with its function and the object that it waits for: `goroutine 7 "name" [mutex lock, 1500ms] in work,
/// at #3f9a1c, held by goroutine 3`. For a G that waits for good.
fn waiter_line(out: &mut Text, sched: &Sched, gp: GRef) -> fmt::Result {
    g_words(out, sched, gp)?;
    let (f, _) = spawn::call_of(gp);
    if !gp.has(gflag::FOREIGN) {
        write!(out, " in {}", Code(f))?;
    }
    if gp.status() == GStatus::Waiting {
        waits_for(out, sched, gp)?;
    }
    writeln!(out)
}

/// The object of a wait, as far as the library knows it.
fn waits_for(out: &mut Text, sched: &Sched, gp: GRef) -> fmt::Result {
    let is = |reason: WaitReason| std::ptr::eq(gp.wait_reason.get(), reason.as_ptr());
    let addr = gp.sudog.addr.get();
    if is(WaitReason::CHAN_RECV) || is(WaitReason::CHAN_SEND) {
        return write!(out, ", chan {}", Place(gp.wait_on.get() as u64));
    }
    // A descriptor is named with its reason.
    if addr == 0 || descriptor::is_waited_for(gp) {
        return Ok(());
    }
    if is(WaitReason::JOIN) {
        return match sched.every_g().find(|other| other.as_ptr() as u64 == addr) {
            Some(other) => write!(out, ", for goroutine {}", other.goid.get()),
            None => Ok(()),
        };
    }
    write!(out, ", at {}", Place(addr))?;
    let held_by = if is(WaitReason::MUTEX) {
        sys::read_word(addr).map(mutex::owner_of)
    } else if is(WaitReason::RWMUTEX_R) || is(WaitReason::RWMUTEX_W) {
        rwmutex::owner_words(addr).and_then(|(owner, writers)| {
            let owner = sys::read_word(owner)?;
            if owner != 0 { Some(owner) } else { sys::read_word(writers).map(mutex::owner_of) }
        })
    } else {
        None
    };
    match held_by {
        // Not readable, or without an owner.
        None | Some(0) => Ok(()),
        // The waiter is the writer that holds the writers' mutex.
        Some(id) if id == gp.goid.get() => out.write_str(", held by readers"),
        Some(id) if id >> 61 != 0 => out.write_str(", held by a callback of the scheduler"),
        Some(id) => {
            write!(out, ", held by goroutine {id}")?;
            if live_gs(sched).chain(foreign_gs(sched)).all(|gp| gp.goid.get() != id) {
                out.write_str(", which has ended")?;
            }
            Ok(())
        }
    }
}

/// The Gs of threads with an M that are outside of any call.
fn foreign_gs(sched: &Sched) -> impl Iterator<Item = GRef> + '_ {
    sched.every_g().filter(|gp| gp.status() == GStatus::Syscall && gp.has(gflag::FOREIGN))
}

/// Reports that Gs lack threads, and nothing has moved for a while.
pub fn lack_of_threads(sched: &Sched) {
    let mut out = Text::new();
    let _ = lack_of_threads_text(sched, &mut out);
    emit(out.as_bytes());
}

fn lack_of_threads_text(sched: &Sched, out: &mut Text) -> fmt::Result {
    let (n, waiting, errno) = (sched.lock.lock().nm, sched.globq_len(), sched.thread_errno.get());
    write!(out, "libgomax: nothing has moved for a second; goroutines that wait for a thread: {waiting}; ")?;
    match errno {
        0 => writeln!(
            out,
            "all {n} (max_threads) are taken; raise gmx_config.max_threads, or wait by calls of the library, not in syscalls"
        )?,
        errno => writeln!(
            out,
            "the system gives no more than {n} (errno {errno}); raise what limits it: ulimit -u, pids.max of the cgroup, \
             memory"
        )?,
    }
    let holders = sched.every_m().filter(|m| m.kind == Kind::Worker && m.alive.get());
    let mut more = 0;
    for (i, gp) in holders.filter_map(|m| m.lockedg().or_else(|| m.g())).enumerate() {
        if i < MOST {
            moving_line(out, gp)?;
        } else {
            more += 1;
        }
    }
    if more > 0 {
        writeln!(out, "... and {more} more")?;
    }
    Ok(())
}

/// Reports that Gs lack memory for their stacks, and nothing has moved for a while.
pub fn lack_of_stacks(sched: &Sched) {
    let mut out = Text::new();
    let waiting = sched.stackwait_len.load(Ordering::Relaxed).max(1);
    let _ = writeln!(
        out,
        "libgomax: nothing has moved for a second; goroutines that wait for memory for a stack: {waiting} of {} ({} bytes each \
         unless they asked for another size); raise ulimit -v or vm.max_map_count, or make gmx_config.stack_size smaller",
        sched.num_g(),
        sched.cfg.stack_size.get(),
    );
    emit(out.as_bytes());
}

/// The library's own reason of a G's wait, for a G that may run meanwhile.
pub fn own_reason(gp: GRef) -> Option<&'static str> {
    let waits = matches!(gp.status(), GStatus::Waiting | GStatus::Suspended);
    WaitReason::own_text(gp.wait_reason.get()).filter(|_| waits)
}

/// One line about a G that may run meanwhile: the host's text for its wait may be gone.
fn moving_line(out: &mut Text, gp: GRef) -> fmt::Result {
    g_name(out, gp)?;
    write!(out, " [{}]", own_reason(gp).unwrap_or(gp.status().text()))?;
    if !gp.lockedm.is_null() {
        out.write_str(" (locked to its thread)")?;
    }
    writeln!(out)
}

/// A function: its name, if a symbol of its object begins there, and its place in the file.
struct Code(*mut std::ffi::c_void);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: a G's function is never unloaded, since it may run or has yet to run.
        let Some(place) = (unsafe { elf::place_of(self.0 as usize) }) else { return Place(self.0 as u64).fmt(f) };
        write_place(f, place.name.map(CStr::to_bytes), place.file.to_bytes(), place.offset)
    }
}

/// The name of a function, if it has one, and its place in a file.
pub fn write_place(out: &mut impl Write, name: Option<&[u8]>, file: &[u8], offset: usize) -> fmt::Result {
    if let Some(name) = name {
        write!(out, "{} ", Words(name))?;
    }
    write!(out, "({}+{offset:#x})", Words(elf::base_name(file)))
}

/// Reports a stop of the world that timed out: the Ps that did not stop.
pub fn stop_timed_out(reason: &[u8], waited: i64, late: &Latecomers, anywhere: bool) {
    let mut out = Text::new();
    let did_not = if anywhere { "could not be held" } else { "did not reach a safe point" };
    let _ = writeln!(
        out,
        "libgomax: stop-the-world ({}) timed out after {} ms: goroutines that {did_not}: {}",
        Words(reason),
        waited / 1_000_000,
        late.n
    );
    for p in late.some() {
        let _ = late_line(&mut out, p);
    }
    if !anywhere {
        let _ = out.write_str(HOW_TO_STOP);
    }
    emit(out.as_bytes());
}

const HOW_TO_STOP: &str = "  A goroutine stops at its next call of the library: gmx_safepoint in loops, gmx_blocking around calls that block\n";

/// One line about what did not stop.
fn late_line(out: &mut Text, late: Late) -> fmt::Result {
    match late.p {
        Some(p) => write!(out, "  P{}: ", p.id)?,
        None => write!(out, "  no P: ")?,
    }
    match late.g {
        // The world runs again: only fields that may be read of a running G.
        Some((gp, goid)) if gp.goid.get() == goid => g_call(out, gp)?,
        Some((_, goid)) => return writeln!(out, "goroutine {goid}, which has ended since"),
        None => return writeln!(out, "between two goroutines"),
    }
    match late.p.and_then(|p| p.slice_began()) {
        Some(began) => writeln!(out, " [running for {} ms]", (now() - began) / 1_000_000),
        None => writeln!(out, " [running]"),
    }
}

/// Reports that a stop of the world or a barrier waits for long, and for what.
pub fn slow_wait(sched: &Sched) {
    let since = sched.world_waits.get();
    if since == 0 {
        return;
    }
    let mut out = Text::new();
    let _ = writeln!(
        out,
        "libgomax: a stop of the world or gmx_for_each_p has waited for {} ms for:",
        (now() - since) / 1_000_000
    );
    for p in sched.live_ps().filter(|p| p.seen_status() == PStatus::Running && p.requests() & (STOP | FN) != 0) {
        // SAFETY: null or an M, and Ms are never freed.
        let m = unsafe { MRef::from_ptr(p.m()) };
        let _ = late_line(&mut out, Late { p: Some(p), g: m.and_then(|m| m.g()).map(|gp| (gp, gp.goid.get())) });
    }
    for m in sched.every_m().filter(|m| m.out.get()) {
        let _ = late_line(&mut out, Late { p: None, g: m.g().map(|gp| (gp, gp.goid.get())) });
    }
    let _ = out.write_str(HOW_TO_STOP);
    emit(out.as_bytes());
}

/// Reports that gomaxprocs does not follow the machine, because a G does not come to a safe point.
pub fn resize_put_off(from: u32, to: i32, tries: u32, late: Option<Late>) {
    let mut out = Text::new();
    let _ = writeln!(
        out,
        "libgomax: gomaxprocs stays at {from} though the machine offers {to}: {tries} times the world did not stop in 5 ms"
    );
    if let Some(p) = late {
        let _ = late_line(&mut out, p);
    }
    emit(out.as_bytes());
}
