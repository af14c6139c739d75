//! Records of what happens, as a file: trace/raw.rs says how it is laid out.

use super::report;
use crate::fiber::text::Line;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GStatus, WaitReason, gflag};
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::p::{PRef, PStatus};
use crate::gmp::record;
use crate::gmp::sched::Sched;
use crate::protocol::seize::Inside;
use crate::sched::tracing;
use crate::sync::Ordering;
use crate::sys::array::{Array, Full};
use crate::sys::{self, file};
use crate::trace::raw::{
    GRow, Header, MAGIC, NO_M, NO_P, PRow, Record, Section, Thread, VERSION, flag, kind, p_status, section, status,
    thread,
};
use std::ffi::{CStr, c_char};
use std::ops::RangeInclusive;
use std::sync::atomic::AtomicPtr;

/// The bytes of a ring, unless the host says otherwise. They stay in the cache of a CPU.
pub const RING_BYTES: usize = 256 << 10;
/// The most that a host may ask for.
pub const MOST_RING_BYTES: usize = 1 << 30;
/// The least: a text fits.
pub const LEAST_RING_BYTES: usize = 4 << 10;

/// The file as it grows. All parts of it are multiples of 8 bytes long.
#[derive(Default)]
pub struct File(Array<u64>);

impl From<Full> for Error {
    fn from(_: Full) -> Error {
        Error::NoMemory
    }
}

impl File {
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: words are bytes, too.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 8) }
    }

    /// Adds a struct of trace/raw.rs: they consist of numbers, without gaps.
    fn add<T: Copy>(&mut self, v: &T) -> Result<()> {
        const { assert!(size_of::<T>().is_multiple_of(8) && align_of::<T>() == 8) };
        // SAFETY: as above.
        let words = unsafe { std::slice::from_raw_parts(std::ptr::from_ref(v).cast(), size_of::<T>() / 8) };
        Ok(self.0.extend(words)?)
    }

    /// Adds bytes, and zeros up to a multiple of 8.
    fn add_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.reserve(bytes.len().div_ceil(8))?;
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.0.put(u64::from_ne_bytes(word));
        }
        Ok(())
    }

    /// Adds a section, whose bytes `fill` adds.
    fn section(&mut self, tag: u32, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
        self.add(&Section { tag, spare: 0, bytes: 0 })?;
        let begin = self.0.len();
        fill(self)?;
        // The last word of the head.
        self.0[begin - 1] = (self.0.len() - begin) as u64 * 8;
        Ok(())
    }
}

/// What the rings hold. Perm: there are no records, or no more.
pub fn snapshot(sched: &Sched) -> Result<File> {
    let trace = &sched.trace;
    let turns = trace.turns.get();
    if !trace.on.get() {
        return Err(Error::Perm);
    }
    let mut file = File::default();
    let (began, ended) = (trace.began(), trace.now());
    let flags = if trace.by_clock.get() { flag::NANOSECONDS } else { 0 };
    file.add(&Header {
        magic: MAGIC,
        version: VERSION,
        record_size: size_of::<Record>() as u32,
        process: std::process::id(),
        procs: sched.procs(),
        flags,
        ring_bytes: trace.records.get() * size_of::<Record>() as u32,
        began,
        ended,
        spare: [0; 6],
    })?;
    let mut room = Array::new();
    let copies = copy_rings(sched, &mut room)?;
    for copy in copies.iter() {
        add_m(sched, copy, &room[copy.begin..copy.end], began.ticks..=ended.ticks, &mut file)?;
    }
    file.section(section::GS, |file| add_gs(sched, file))?;
    file.section(section::PS, |file| sched.every_p().try_for_each(|p| file.add(&row_of_p(p))))?;
    file.section(section::STRINGS, add_strings)?;
    file.section(section::MAPS, add_maps)?;
    file.section(section::END, |_| Ok(()))?;
    if trace.turns.get() != turns {
        return Err(Error::Perm);
    }
    Ok(file)
}

/// What a ring held.
struct Copied {
    m: MRef,
    written: u64,
    begin: usize,
    end: usize,
}

/// Copies all rings, one quickly after another: what the last ones get until they are copied is of no use to the file,
/// and takes the place of what is.
fn copy_rings(sched: &Sched, room: &mut Array<Record>) -> Result<Array<Copied>> {
    let rings = || sched.every_m().filter_map(|m| Some((m, m.ring()?)));
    let mut copies = Array::new();
    copies.reserve(rings().count())?;
    room.reserve_exact(rings().map(|(_, ring)| ring.size()).sum())?;
    for (m, ring) in rings() {
        let begin = room.len();
        let written = ring.copy(room)?;
        copies.push(Copied { m, written, begin, end: room.len() })?;
    }
    Ok(copies)
}

/// Adds the records of an M of that time.
fn add_m(
    sched: &Sched,
    copy: &Copied,
    mut records: &[Record],
    time: RangeInclusive<u64>,
    file: &mut File,
) -> Result<()> {
    let (m, written) = (copy.m, copy.written);
    let whole = records.len() as u64 == written;
    // Others may have been written while the rings before this one were copied.
    let late = records.len() - begin_of(records, |t| t > *time.end());
    records = &records[..records.len() - late];
    let first = begin_of(records, |t| t >= *time.start());
    let kept = &records[first..];
    // A record from before shows that none is lost since. The time of a text is text.
    let of_time = |r: &&Record| r.kind() != kind::TEXT;
    let lost = !whole && !records[..first].iter().any(|r| of_time(&r));
    let lost_before = if lost { kept.iter().find(of_time).map_or(*time.end() + 1, |r| r.time) } else { 0 };
    let p = sched.every_p().find(|p| p.m() == m.as_ptr() && p.status() == PStatus::Running);
    let outside = matches!(m.ctx(), Ctx::Syscall | Ctx::Foreign);
    let mut flags = if m.is_extra() { thread::FOREIGN } else { 0 };
    flags |= if m.alive.get() { thread::ALIVE } else { 0 };
    flags |= if outside { thread::SYSCALL } else { 0 };
    let row = Thread {
        id: m.id,
        tid: m.tid.get(),
        written: written - late as u64,
        held: kept.len() as u64,
        lost_before,
        goid: m.g().map_or(0, |gp| gp.goid.get()),
        pid: p.map_or(NO_P, |p| p.id),
        flags,
        written_then: m.ring().map_or(0, |ring| ring.written()),
    };
    file.section(section::M, |file| {
        file.add(&row)?;
        file.0.reserve(kept.len() * 4)?;
        for r in kept {
            [r.time, r.head, r.goid, r.aux].into_iter().for_each(|word| file.0.put(word));
        }
        Ok(())
    })
}

/// Where the records begin whose time is late enough, with the texts of the first one.
fn begin_of(records: &[Record], is_late: impl Fn(u64) -> bool) -> usize {
    let late = |r: &Record| r.kind() != kind::TEXT && is_late(r.time);
    let first = records.iter().position(late).unwrap_or(records.len());
    let texts = records[..first].iter().rev().take_while(|r| r.kind() == kind::TEXT).count();
    first - texts
}

fn add_gs(sched: &Sched, file: &mut File) -> Result<()> {
    for gp in sched.every_g() {
        // SAFETY: null or an M, and Ms are never freed.
        let m = unsafe { MRef::from_ptr(gp.m.get()) };
        let now = gp.status();
        let status = match now {
            GStatus::Idle | GStatus::Dead => continue,
            // A thread that has left.
            GStatus::Syscall if gp.has(gflag::FOREIGN) && !m.is_some_and(|m| m.alive.get()) => continue,
            GStatus::Runnable => status::RUNNABLE,
            GStatus::Running => status::RUNNING,
            GStatus::Syscall => status::SYSCALL,
            GStatus::Waiting | GStatus::Suspended => status::WAITING,
            GStatus::Parked | GStatus::Parking | GStatus::Interruptible => status::PARKED,
        };
        if gp.has(gflag::ZOMBIE) {
            continue;
        }
        let waits = now.waits();
        let reason = gp.wait_reason.get().cast_const();
        // A reason of the host's may be gone by now.
        let reason = WaitReason::own_text(reason).map_or(0, |_| WaitReason::number_of(reason));
        let mut name = [0; 32];
        let words = gp.name();
        name[..words.bytes().len()].copy_from_slice(words.bytes());
        file.add(&GRow {
            goid: gp.goid.get(),
            entry: record::entry(sched, gp),
            wait_since: if waits { gp.wait_since.get() as u64 } else { 0 },
            status,
            m: m.map_or(NO_M, |m| m.id),
            reason: if waits { reason } else { 0 },
            seq: gp.trace_seq.get(),
            name,
        })?;
    }
    Ok(())
}

fn row_of_p(p: PRef) -> [u64; 2] {
    let status = match p.status() {
        PStatus::Idle => p_status::IDLE,
        PStatus::Running | PStatus::Syscall => p_status::RUNNING,
        PStatus::Stopped => p_status::STOPPED,
        PStatus::Dead => p_status::DEAD,
    };
    // SAFETY: null or an M, and Ms are never freed.
    let m = unsafe { MRef::from_ptr(p.m()) }.map_or(NO_M, |m| m.id);
    let row = PRow { id: p.id, status, m, seq: p.trace_seq.get() };
    // Its words, as they lie in memory.
    [u64::from(row.id) | u64::from(row.status) << 32, u64::from(row.m) | u64::from(row.seq) << 32]
}

fn add_strings(file: &mut File) -> Result<()> {
    for (reason, text) in WaitReason::OWN {
        let number = u64::from(WaitReason::number_of(reason.as_ptr()));
        file.0.push(number | (text.len() as u64) << 32)?;
        file.add_bytes(text.as_bytes())?;
    }
    Ok(())
}

/// The lines of /proc/self/maps for what is mapped from a file and may be executed.
fn add_maps(file: &mut File) -> Result<()> {
    let mut all = Array::new();
    sys::read_maps(&mut all)?;
    let is_code = |line: &&[u8]| {
        let mut words = line.split(|&b| b == b' ').filter(|word| !word.is_empty());
        words.nth(1).is_some_and(|rights| rights.get(2) == Some(&b'x')) && line.contains(&b'/')
    };
    let mut kept = Array::new();
    for line in all.split(|&b| b == b'\n').filter(is_code) {
        kept.extend(line)?;
        kept.push(b'\n')?;
    }
    file.add_bytes(&kept)
}

// ---- GMXDEBUG=trace -------------------------------------------------------------------------------------------------

/// The file that `GMXDEBUG=trace` asks for.
struct AtExit {
    sched: &'static Sched,
    process: u32,
    path: [u8; 512],
}

/// Written once.
static AT_EXIT: AtomicPtr<AtExit> = AtomicPtr::new(std::ptr::null_mut());

/// Records from here on, and writes the file when the process ends. For the start of the runtime.
pub fn until_exit(sched: &'static Sched, path: &[u8], bytes: usize) -> Result<()> {
    tracing::begin_early(sched, bytes.clamp(LEAST_RING_BYTES, MOST_RING_BYTES))?;
    if !AT_EXIT.load(Ordering::Relaxed).is_null() {
        return Ok(());
    }
    let mut room = [0; 512];
    // It came from a variable that is no longer than that.
    let len = path.len().min(room.len() - 1);
    room[..len].copy_from_slice(&path[..len]);
    let what = AtExit { sched, process: std::process::id(), path: room };
    let what = crate::ds::leak::try_leak(what).ok_or(Error::NoMemory)?;
    AT_EXIT.store(std::ptr::from_ref(what).cast_mut(), Ordering::Release);
    if sys::at_exit(at_exit) { Ok(()) } else { Err(Error::NoMemory) }
}

extern "C" fn at_exit() {
    // SAFETY: null or what `until_exit` has made, which is never freed.
    let Some(what) = (unsafe { AT_EXIT.load(Ordering::Acquire).as_ref() }) else { return };
    if what.process != std::process::id() {
        // A child of fork has no records of its own.
        return;
    }
    let inside = MRef::current().filter(|m| !m.is_inside()).map(Inside::enter);
    let file = snapshot(what.sched);
    drop(inside);
    let written = match file {
        // The host has ended it by itself.
        Err(Error::Perm) => return,
        Err(_) => Err(libc::ENOMEM),
        // SAFETY: the path is terminated.
        Ok(file) => write_to(unsafe { CStr::from_ptr(what.path.as_ptr().cast::<c_char>()) }, file.as_bytes()),
    };
    if let Err(errno) = written {
        let path = &what.path[..what.path.iter().position(|&b| b == 0).unwrap_or(0)];
        let path = std::str::from_utf8(path).unwrap_or("?");
        let mut line = Line::new();
        line.text("libgomax: no trace in ").text(path).text(": errno ").dec(errno as u64).text("\n");
        report::emit(line.as_bytes());
    }
}

fn write_to(path: &CStr, bytes: &[u8]) -> std::result::Result<(), i32> {
    // SAFETY: a terminated text.
    let fd = unsafe { file::open(path.as_ptr(), libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC, 0o600) };
    if fd < 0 {
        return Err(-fd);
    }
    let written = sys::write_quietly(fd, bytes);
    sys::io::close(fd);
    written
}
