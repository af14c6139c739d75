//! Linux: address space. The contract is in [`crate::sys`].
//!
//! No memory stands behind a range until it is touched, and each range is NORESERVE: otherwise the kernel refuses a few
//! dozen gigabytes of stacks, most of which no G will ever touch.

use super::linux::KeepErrno;
use super::without::{is_sealed, may_map, may_open};
use super::{c, held};
use core::ptr;

/// Linux 6.13; not in libc.
const MADV_GUARD_INSTALL: i32 = 102;
/// A pidfd that stands for the caller (Linux 6.15). Older kernels say EBADF, and the loop of [`advise_each`] takes
/// over.
const PIDFD_SELF: i32 = -10001;
/// How many ranges one call gets. The array lies on a stack that may be small.
const IOV_MAX: usize = 32;

fn map(len: usize, flags: i32) -> Result<*mut u8, i32> {
    held::nothing_for("a mapping");
    if !may_map() {
        return Err(libc::ENOMEM);
    }
    let errno = KeepErrno::new();
    // SAFETY: a new mapping at an address of the kernel's choice.
    let p = unsafe {
        libc::mmap(
            ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | flags,
            -1,
            0,
        )
    };
    if p == libc::MAP_FAILED { Err(errno.now()) } else { Ok(p.cast()) }
}

/// `len` bytes of zeroes.
pub fn reserve(len: usize) -> Result<*mut u8, i32> {
    map(len, 0)
}

/// `len` bytes for stacks. Never huge pages, otherwise a G would cost 2 MiB.
pub fn reserve_stacks(len: usize) -> Result<*mut u8, i32> {
    let p = map(len, libc::MAP_STACK)?;
    let _errno = KeepErrno::new();
    // SAFETY: our fresh mapping. MAP_STACK says it too, but only since 6.7; a kernel without huge pages says EINVAL.
    unsafe { libc::madvise(p.cast(), len, libc::MADV_NOHUGEPAGE) };
    Ok(p)
}

/// Unmaps an address range.
///
/// # Safety
/// The range came from this file, and no code uses it.
pub unsafe fn release(p: *mut u8, len: usize) {
    held::nothing_for("a mapping");
    let _errno = KeepErrno::new();
    // SAFETY: the caller's.
    unsafe { libc::munmap(p.cast(), len) };
}

/// Makes a range of [`reserve`] longer. It may move. `p` may be null (then `old` is 0).
///
/// # Safety
/// The range is the caller's alone, and no pointer into it is used afterwards.
pub unsafe fn grow(p: *mut u8, old: usize, new: usize) -> Result<*mut u8, i32> {
    held::nothing_for("a mapping");
    if p.is_null() {
        return reserve(new);
    }
    if !may_map() {
        return Err(libc::ENOMEM);
    }
    let errno = KeepErrno::new();
    // SAFETY: the caller's.
    let q = unsafe { libc::mremap(p.cast(), old, new, libc::MREMAP_MAYMOVE) };
    if q == libc::MAP_FAILED { Err(errno.now()) } else { Ok(q.cast()) }
}

/// Makes each access to the range a SIGSEGV from now on, without a mapping of its own. EINVAL: the kernel is older than
/// 6.13, or the range is locked in memory.
///
/// # Safety
/// Page-aligned, mapped, and nothing in it is needed.
pub unsafe fn guard(p: *mut u8, len: usize) -> Result<(), i32> {
    // SAFETY: the caller's.
    unsafe { advise(p, len, MADV_GUARD_INSTALL) }
}

/// [`guard`] for many ranges in few calls. On an error returns how many of them, from the first on, are guarded.
///
/// # Safety
/// As for [`guard`].
pub unsafe fn guard_each(starts: &[*mut u8], len: usize) -> Result<(), (usize, i32)> {
    // SAFETY: the caller's.
    unsafe { advise_each(starts, len, MADV_GUARD_INSTALL) }
}

/// Whether [`guard`] works. Its result alone is no proof: emulators (qemu's user mode) accept advice that they do not
/// know. So a system call gets a guarded page, and must fail with EFAULT. The call is a futex wait, since only the
/// kernel reads its word: valgrind itself reads the memory that other calls point to, and would crash on it.
pub fn guards_work() -> bool {
    let page = super::page_size();
    let Ok(p) = reserve(page) else { return false };
    let errno = KeepErrno::new();
    // SAFETY: a page of our own.
    let guarded = unsafe { guard(p, page) }.is_ok();
    let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    let works = guarded
        // SAFETY: the page's word is 0 and not the 1 that is expected, so this never sleeps.
        && unsafe { libc::syscall(libc::SYS_futex, p, wait, 1, ptr::null::<libc::timespec>(), ptr::null::<u32>(), 0) }
            == -1
        && errno.now() == libc::EFAULT;
    // SAFETY: a page of our own, which nothing refers to.
    unsafe { release(p, page) };
    works
}

/// Returns the memory behind many ranges of `len` bytes to the system. They read as zeroes afterwards; guards stay. If
/// the system refuses (locked memory) the range stays as it is.
///
/// # Safety
/// Page-aligned, mapped, and nothing in them is needed.
pub unsafe fn discard(starts: &[*mut u8], len: usize) {
    // SAFETY: the caller's.
    let _ = unsafe { advise_each(starts, len, libc::MADV_DONTNEED) };
}

/// Sets whether core dumps contain a range.
///
/// # Safety
/// Page-aligned, and mapped.
pub unsafe fn dump(p: *mut u8, len: usize, yes: bool) -> Result<(), i32> {
    // SAFETY: the caller's.
    unsafe { advise(p, len, if yes { libc::MADV_DODUMP } else { libc::MADV_DONTDUMP }) }
}

/// Erases all that was written to a range: overwrites the pages in memory, and drops the others (pages on a swap
/// device). Pages that were never touched stay untouched. The range reads as zeroes afterwards.
///
/// # Safety
/// Page-aligned, mapped, and nothing in it is needed.
pub unsafe fn wipe(p: *mut u8, len: usize) {
    let page = super::page_size();
    let mut rest = 0..len / page;
    while !rest.is_empty() {
        let n = rest.len().min(PAGES_AT_ONCE);
        let mut there = [0u8; PAGES_AT_ONCE];
        // SAFETY: the caller's. If the system does not answer, no page counts as being in memory.
        unsafe { resident(p.wrapping_add(rest.start * page), n * page, &mut there) };
        for run in there[..n].chunk_by(|a, b| a & 1 == b & 1) {
            let (from, len) = (p.wrapping_add(rest.start * page), run.len() * page);
            if run[0] & 1 != 0 {
                // SAFETY: within the caller's range, which is mapped, and of which nothing is needed.
                unsafe { ptr::write_bytes(from, 0, len) };
            // SAFETY: whole pages within the caller's range, of which nothing is needed.
            } else if unsafe { advise(from, len, libc::MADV_DONTNEED) }.is_err() {
                // SAFETY: as for `advise`.
                unsafe { overwrite(from, len) };
            }
            rest.start += run.len();
        }
    }
}

/// How many pages [`wipe`] asks about in one call. The array lies on a stack that may be small.
const PAGES_AT_ONCE: usize = 256;

/// Bit 0 of each byte: whether the page is in memory.
unsafe fn resident(p: *mut u8, len: usize, there: &mut [u8; PAGES_AT_ONCE]) {
    held::nothing_for("mincore");
    let _errno = KeepErrno::new();
    // SAFETY: the caller's; there is a byte for each page.
    unsafe { libc::mincore(p.cast(), len, there.as_mut_ptr()) };
}

/// Overwrites a range that the system does not take back (locked memory). Only pages that are not zero are written: a
/// page that was never touched needs no memory.
#[cold]
unsafe fn overwrite(p: *mut u8, len: usize) {
    let page = super::page_size();
    for at in (0..len).step_by(page) {
        // SAFETY: a page within the caller's range, which is mapped, and which nothing else uses.
        let words = unsafe { std::slice::from_raw_parts_mut(p.wrapping_add(at).cast::<u64>(), page / 8) };
        if words.iter().any(|&word| word != 0) {
            words.fill(0);
        }
    }
}

/// Puts memory behind a range that is about to be written. A kernel before 5.14 cannot; then memory comes page by page,
/// with each first access.
///
/// # Safety
/// Page-aligned, and mapped.
pub unsafe fn populate(p: *mut u8, len: usize) {
    held::nothing_for("madvise");
    let _errno = KeepErrno::new();
    // SAFETY: the caller's.
    unsafe { libc::madvise(p.cast(), len, libc::MADV_POPULATE_WRITE) };
}

/// Makes each access to the range a SIGSEGV from now on. Costs up to two mappings.
///
/// # Safety
/// Page-aligned, mapped, and nothing in it is needed.
pub unsafe fn protect(p: *mut u8, len: usize) -> Result<(), i32> {
    held::nothing_for("mprotect");
    if is_sealed() {
        return Err(libc::ENOMEM);
    }
    let errno = KeepErrno::new();
    // SAFETY: the caller's.
    match unsafe { libc::mprotect(p.cast(), len, libc::PROT_NONE) } {
        0 => Ok(()),
        _ => Err(errno.now()),
    }
}

unsafe fn advise(p: *mut u8, len: usize, advice: i32) -> Result<(), i32> {
    held::nothing_for("madvise");
    let errno = KeepErrno::new();
    loop {
        // SAFETY: the caller's.
        if unsafe { libc::madvise(p.cast(), len, advice) } == 0 {
            return Ok(());
        }
        // EAGAIN and EINTR: the kernel asks for another try.
        let e = errno.now();
        if e != libc::EAGAIN && e != libc::EINTR {
            return Err(e);
        }
    }
}

// One call for many ranges costs a third of a call for each range (docs/measurements.md). If it is missing or stops
// half way (older kernel, seccomp), the loop does the rest and reports the error.
unsafe fn advise_each(starts: &[*mut u8], len: usize, advice: i32) -> Result<(), (usize, i32)> {
    held::nothing_for("madvise");
    let mut done = 0;
    if starts.len() > 1 {
        let _errno = KeepErrno::new();
        while done < starts.len() {
            let mut iov = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; IOV_MAX];
            let n = (starts.len() - done).min(IOV_MAX);
            for (v, &p) in iov.iter_mut().zip(&starts[done..done + n]) {
                *v = libc::iovec { iov_base: p.cast(), iov_len: len };
            }
            // SAFETY: the ranges are the caller's; the vector has `n` entries.
            let r = unsafe { libc::syscall(libc::SYS_process_madvise, PIDFD_SELF, iov.as_ptr(), n, advice, 0) };
            // The call returns a count of bytes, and stops at the first range that fails.
            let full = if r > 0 { r as usize / len } else { 0 };
            done += full;
            if full < n {
                break;
            }
        }
    }
    for (i, &p) in starts.iter().enumerate().skip(done) {
        // SAFETY: the caller's.
        unsafe { advise(p, len, advice) }.map_err(|e| (i, e))?;
    }
    Ok(())
}

/// How many mappings this process may have.
pub fn map_count_limit() -> usize {
    let _errno = KeepErrno::new();
    let mut buf = [0u8; 24];
    let fd = if may_open() {
        // SAFETY: a constant path.
        unsafe { libc::open(c"/proc/sys/vm/max_map_count".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC, 0) }
    } else {
        -1
    };
    if fd >= 0 {
        c::read(fd, &mut buf);
        c::close(fd);
    }
    let n = buf.iter().take_while(|b| b.is_ascii_digit()).fold(0usize, |n, b| n * 10 + (b - b'0') as usize);
    // The kernel's default, if /proc does not say.
    if n == 0 { 65530 } else { n }
}
