//! Linux: threads, and what they inherit. The contract is in [`crate::sys`].
//!
//! A thread inherits the signal mask, the CPU affinity, the scheduling class and the nice value of its maker, and
//! passes them on to each process that it starts. The maker may be any thread of the host. So the library reads those
//! of the main thread ([`become_like_main_thread`]) and gives them to the one thread that makes all others.

use super::linux::{KeepErrno, now, page_size, prctl, sleep_until, yield_thread};
use super::without::{is_sealed, may_open};
use super::{c, heap, held};
use core::alloc::Layout;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use core::{mem, ptr};

/// A `pthread_t`, which is a number in glibc and a pointer in musl.
pub type ThreadId = u64;

struct Start {
    entry: extern "C" fn(*mut c_void) -> *mut c_void,
    arg: *mut c_void,
    name: [u8; 16],
    /// The next of [`USED`].
    next: *mut Start,
}

/// Blocks that no thread needs: a new thread puts its own there when it has read it.
static USED: AtomicPtr<Start> = AtomicPtr::new(ptr::null_mut());

/// Takes all blocks of [`USED`], frees all except one, and returns that one.
fn used() -> Option<ptr::NonNull<Start>> {
    // Pairs with the Release in `start`.
    let first = ptr::NonNull::new(USED.swap(ptr::null_mut(), Ordering::Acquire))?;
    // SAFETY: blocks of the list are whole; the swap made the list this thread's.
    let mut rest = unsafe { first.as_ref() }.next;
    while !rest.is_null() {
        // SAFETY: as above.
        let next = unsafe { (*rest).next };
        // SAFETY: out of the list.
        unsafe { free(rest) };
        rest = next;
    }
    Some(first)
}

/// # Safety
/// A block of `spawn_thread`, which no thread has.
unsafe fn free(p: *mut Start) {
    // SAFETY: allocated with this layout.
    unsafe { heap::dealloc(p.cast(), Layout::new::<Start>()) };
}

extern "C" fn start(p: *mut c_void) -> *mut c_void {
    let p: *mut Start = p.cast();
    // SAFETY: `spawn_thread` hands over a `Start`.
    let s = unsafe { p.read() };
    let mut first = USED.load(Ordering::Relaxed);
    loop {
        // SAFETY: already read, and this thread's until it is in the list.
        unsafe { (*p).next = first };
        match USED.compare_exchange_weak(first, p, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => break,
            Err(now) => first = now,
        }
    }
    // SAFETY: the name ends in a zero.
    unsafe { prctl(libc::PR_SET_NAME, s.name.as_ptr().addr()) };
    (s.entry)(s.arg)
}

/// The signals that a thread raises by its own actions. To block them would turn a fault into a silent kill.
const SYNCHRONOUS: [c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGSYS];

/// Whether a thread raises this signal by its own actions.
pub fn is_synchronous(sig: c_int) -> bool {
    SYNCHRONOUS.contains(&sig)
}

/// Starts a joinable thread. Up to 15 bytes of its name show in debuggers. `stack_size` 0 is the system's default; a
/// size that is too small is raised to the system's minimum. In the thread all signals except the synchronous ones are
/// blocked. Fails with EAGAIN or ENOMEM if there is no thread or no memory for it.
///
/// Not `std::thread`: that aborts the process if there is no memory, and lets the host's signals in.
///
/// # Safety
/// `entry(arg)` is sound on another thread.
pub unsafe fn spawn_thread(
    stack_size: usize,
    name: &str,
    entry: extern "C" fn(*mut c_void) -> *mut c_void,
    arg: *mut c_void,
) -> Result<ThreadId, i32> {
    held::nothing_for("a new thread");
    if is_sealed() {
        return Err(libc::EAGAIN);
    }
    let _errno = KeepErrno::new();
    let p: *mut Start = match used() {
        Some(p) => p.as_ptr(),
        // SAFETY: the layout is not empty.
        None => unsafe { heap::alloc(Layout::new::<Start>()) }.cast(),
    };
    if p.is_null() {
        return Err(libc::ENOMEM);
    }
    let mut s = Start { entry, arg, name: [0; 16], next: ptr::null_mut() };
    let n = name.len().min(15);
    s.name[..n].copy_from_slice(&name.as_bytes()[..n]);
    // SAFETY: `p` has room for one.
    unsafe { p.write(s) };
    // SAFETY: `p` is a whole Start, whose `entry(arg)` is sound on another thread.
    let made = unsafe { make(stack_size, p) };
    if made.is_err() {
        // SAFETY: no thread has it.
        unsafe { free(p) };
    }
    made
}

/// Makes the thread that runs [`start`] with `p`, all of its signals except the synchronous ones blocked.
///
/// # Safety
/// [`start`] may run with `p` on another thread.
unsafe fn make(stack_size: usize, p: *mut Start) -> Result<ThreadId, i32> {
    let mut attr = c::zeros();
    let mut attr = Attributes::init(&mut attr)?;
    if stack_size != 0 {
        // The C library takes the thread-locals from the stack, and with AVX-512 a signal frame alone is 3 KiB.
        let least = c::sysconf(libc::_SC_THREAD_STACK_MIN).max(libc::PTHREAD_STACK_MIN as _) as usize;
        let size = (stack_size.max(least) + STATIC_TLS.load(Ordering::Relaxed)).next_multiple_of(page_size());
        attr.set_stack_size(size);
    }
    // The new thread inherits the mask, so it is set here and restored afterwards: no signal can come in between.
    let old = c::mask_signals(libc::SIG_SETMASK, &c::signals_except(SYNCHRONOUS));
    let mut t: libc::pthread_t = c::zeros();
    // SAFETY: `t` is writable, the attributes are whole; the rest is the caller's promise.
    let r = unsafe { libc::pthread_create(&mut t, attr.0, start, p.cast()) };
    c::mask_signals(libc::SIG_SETMASK, &old);
    if r == 0 { Ok(t as ThreadId) } else { Err(r) }
}

/// The attributes of a thread, until they are dropped. They stay in their place, since the C library does not say that
/// they may be moved.
struct Attributes<'a>(&'a mut libc::pthread_attr_t);

impl Attributes<'_> {
    fn init(attr: &mut libc::pthread_attr_t) -> Result<Attributes<'_>, i32> {
        // SAFETY: the place is writable.
        match unsafe { libc::pthread_attr_init(attr) } {
            0 => Ok(Attributes(attr)),
            e => Err(e),
        }
    }

    /// A size that the C library refuses changes nothing.
    fn set_stack_size(&mut self, size: usize) {
        // SAFETY: the attributes are whole.
        unsafe { libc::pthread_attr_setstacksize(self.0, size) };
    }
}

impl Drop for Attributes<'_> {
    fn drop(&mut self) {
        // SAFETY: the attributes are whole, and not used again.
        unsafe { libc::pthread_attr_destroy(self.0) };
    }
}

/// The bytes that the C library takes from each thread's stack for thread-locals (a host may have a lot of them).
/// Looked up once, since a lookup waits while another thread loads a library.
static STATIC_TLS: AtomicUsize = AtomicUsize::new(0);

/// All questions to the loader. While the library is being loaded, the asking thread itself holds the loader's lock.
pub fn at_load() {
    type MinStack = unsafe extern "C" fn(*const libc::pthread_attr_t) -> usize;
    // SAFETY: a lookup by a constant name.
    let p = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__pthread_get_minstack".as_ptr()) };
    // SAFETY: null, or glibc's own function, which std uses as well. Where there is none the stack size stays as it is.
    let Some(min_stack) = (unsafe { mem::transmute::<*mut c_void, Option<MinStack>>(p) }) else { return };
    let mut attr = c::zeros();
    if let Ok(attr) = Attributes::init(&mut attr) {
        // SAFETY: the function reads whole attributes.
        let least = unsafe { min_stack(attr.0) };
        STATIC_TLS.store(least.saturating_sub(libc::PTHREAD_STACK_MIN), Ordering::Relaxed);
    }
}

unsafe extern "C" {
    /// glibc and musl have it. It uses the clock that can be set.
    fn pthread_timedjoin_np(t: libc::pthread_t, value: *mut *mut c_void, until: *const libc::timespec) -> c_int;
}

/// Waits until the thread has ended, or until the deadline. False after the deadline: then it may be called again. True
/// once per [`spawn_thread`].
pub fn join_thread_until(t: ThreadId, deadline: Option<i64>) -> bool {
    held::nothing_for("a join");
    let t = t as libc::pthread_t;
    let Some(deadline) = deadline else {
        // SAFETY: `t` is joinable, and was not joined: the caller's promise. A thread that joins itself gets an error.
        return unsafe { libc::pthread_join(t, ptr::null_mut()) } == 0;
    };
    loop {
        let left = deadline.saturating_sub(super::now()).max(0);
        let mut until = c::zeros::<libc::timespec>();
        // SAFETY: `until` is writable; the clock is there.
        unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut until) };
        let ns = until.tv_nsec + left % 1_000_000_000;
        until.tv_sec = until.tv_sec.saturating_add(left / 1_000_000_000 + ns / 1_000_000_000);
        until.tv_nsec = ns % 1_000_000_000;
        // SAFETY: `t` as above.
        match unsafe { pthread_timedjoin_np(t, ptr::null_mut(), &until) } {
            0 => return true,
            // The clock may have been set meanwhile.
            libc::ETIMEDOUT if super::now() < deadline => {}
            _ => return false,
        }
    }
}

/// The calling thread.
pub fn this_thread() -> ThreadId {
    // SAFETY: always succeeds.
    unsafe { libc::pthread_self() as ThreadId }
}

/// Detaches the calling thread: no thread joins it.
pub fn detach_self() {
    // SAFETY: the calling thread is joinable, and its creator leaves it alone from here on.
    unsafe { libc::pthread_detach(this_thread() as libc::pthread_t) };
}

// ---- what the main thread has ---------------------------------------------------------------------------------------

/// CPUs in the largest affinity mask that is copied; Linux is built for at most 8192.
const MOST_CPUS: usize = 8192;

/// A set of signals: bit n - 1 is signal n.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signals(pub u64);

/// The signals that the C library keeps for itself. No other code can block them. So in a mask they mean that the C
/// library is in the middle of something (making a thread or a process) and has blocked all signals for a moment.
const OF_THE_C_LIBRARY: u64 = 0b11 << 31;

/// What musl blocks at such a moment: all signals but its own three, and the two that cannot be blocked. A host can
/// block the same, but then it mostly sleeps.
const OF_MUSL: u64 = !(0b111 << 31 | 1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1));

/// Whether a thread in this state (a letter of /proc) blocks these signals because it is in the middle of something.
fn is_for_a_moment(bits: u64, state: u8) -> bool {
    bits & OF_THE_C_LIBRARY != 0 || cfg!(target_env = "musl") && bits == OF_MUSL && state != b'S'
}

impl Signals {
    /// The signals that the calling thread blocks.
    pub fn blocked_here() -> Signals {
        let set = c::blocked_signals();
        Signals((1..=64).filter(|&sig| c::has_signal(&set, sig)).fold(0, |bits, sig| bits | 1 << (sig - 1)))
    }

    /// Makes the calling thread block exactly these signals, except those that it raises by its own actions.
    pub fn block_here(self) {
        let which = (1..=64).filter(|sig| {
            self.0 >> (sig - 1) & 1 != 0 && !SYNCHRONOUS.contains(sig) && *sig != super::cpu_timer::signal()
        });
        c::mask_signals(libc::SIG_SETMASK, &c::signals(which));
    }

    /// The signals that the main thread blocks; those of the calling thread, if the main thread's cannot be read.
    pub fn blocked_by_main() -> Signals {
        let here = Signals::blocked_here();
        if is_main_thread() {
            return here;
        }
        let mut otherwise = here;
        for look in 0..200 {
            match read_blocked_by_main() {
                Some((bits, state)) if is_for_a_moment(bits, state) => {
                    if bits == OF_MUSL {
                        otherwise = Signals(bits);
                    }
                    // On a busy machine the main thread may wait for a CPU.
                    if look < 100 { yield_thread() } else { sleep_until(now() + 1_000_000) }
                }
                Some((bits, _)) => return Signals(bits),
                None => break,
            }
        }
        otherwise
    }
}

pub fn main_tid() -> i32 {
    // SAFETY: takes nothing, always succeeds.
    unsafe { libc::getpid() }
}

fn is_main_thread() -> bool {
    super::gettid() == main_tid()
}

/// Reads the main thread's mask and its state of /proc/self/status. Allocates nothing.
fn read_blocked_by_main() -> Option<(u64, u8)> {
    if !may_open() {
        return None;
    }
    let _errno = KeepErrno::new();
    let mut buf = [0u8; 4096];
    // SAFETY: a constant path.
    let fd = unsafe { libc::open(c"/proc/self/status".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC, 0) };
    if fd < 0 {
        return None;
    }
    let n = c::read(fd, &mut buf);
    c::close(fd);
    let n = usize::try_from(n).ok()?;
    let field =
        |name: &[u8]| buf[..n].split(|&b| b == b'\n').find_map(|line| line.strip_prefix(name)).map(<[u8]>::trim_ascii);
    let bits = u64::from_str_radix(core::str::from_utf8(field(b"SigBlk:")?).ok()?, 16).ok()?;
    Some((bits, *field(b"State:")?.first()?))
}

/// Gives the calling thread the affinity, the scheduling class and the nice value of the main thread. A setting that
/// the system refuses stays as it is (a lower nice value and a higher class need a right).
pub fn become_like_main_thread() {
    if is_main_thread() {
        return;
    }
    let _errno = KeepErrno::new();
    let main = main_tid();
    let mut cpus = [0usize; MOST_CPUS / usize::BITS as usize];
    // 0 is the calling thread.
    // SAFETY: the kernel writes at most as many bytes as it is told.
    if unsafe { libc::sched_getaffinity(main, size_of_val(&cpus), cpus.as_mut_ptr().cast()) } == 0 {
        // SAFETY: the kernel reads as many bytes as it is told.
        unsafe { libc::sched_setaffinity(0, size_of_val(&cpus), cpus.as_ptr().cast()) };
    }
    // Not by the functions of the C library: musl's refuse, because for POSIX they are about processes.
    // SAFETY: takes a number.
    let class = unsafe { libc::syscall(libc::SYS_sched_getscheduler, main) };
    let mut param: libc::sched_param = c::zeros();
    // SAFETY: the parameters are writable.
    if class >= 0 && unsafe { libc::syscall(libc::SYS_sched_getparam, main, &raw mut param) } == 0 {
        // SAFETY: the parameters are readable.
        unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, class, &raw const param) };
    }
    c::set_errno(0);
    // SAFETY: takes numbers.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, main as libc::id_t) };
    if c::errno() == 0 {
        // SAFETY: takes numbers.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    }
}

// ---- other hooks ----------------------------------------------------------------------------------------------------

/// Has `before` and `parent` called in the parent of each fork, before and after it, and `child` in each child, before
/// fork returns there. False if there is no memory for that.
pub fn at_fork(before: unsafe extern "C" fn(), parent: unsafe extern "C" fn(), child: unsafe extern "C" fn()) -> bool {
    // SAFETY: the functions live as long as the library, which is never unmapped.
    unsafe { libc::pthread_atfork(Some(before), Some(parent), Some(child)) == 0 }
}

/// A pthread key whose destructor runs at the end of a thread that the library did not make.
///
/// Not `thread_local!` with a destructor: that needs the library to stay mapped by other means, and registers with the
/// C++ runtime of whichever library was loaded first.
#[derive(Clone, Copy, Debug)]
pub struct ThreadExitKey(libc::pthread_key_t);

impl ThreadExitKey {
    /// `dtor` runs on each ending thread that called [`ThreadExitKey::set`] with a pointer other than null, and gets
    /// that pointer. `dtor` must stay callable until the process ends or the key is deleted.
    pub fn create(dtor: unsafe extern "C" fn(*mut c_void)) -> Result<ThreadExitKey, i32> {
        let mut key = 0;
        // SAFETY: `key` is writable; `dtor` is called with what `set` was given.
        match unsafe { libc::pthread_key_create(&mut key, Some(dtor)) } {
            0 => Ok(ThreadExitKey(key)),
            e => Err(e),
        }
    }

    /// A number for [`ThreadExitKey::of`]. Never `u32::MAX`: the system has far fewer keys.
    pub fn number(self) -> u32 {
        self.0
    }

    pub fn of(number: u32) -> ThreadExitKey {
        ThreadExitKey(number)
    }

    /// Sets the pointer for this thread. Null removes the thread's hook.
    #[expect(clippy::not_unsafe_ptr_arg_deref, reason = "it is kept, not followed")]
    pub fn set(self, p: *mut c_void) -> Result<(), i32> {
        // SAFETY: the key was created; the pointer is only kept.
        match unsafe { libc::pthread_setspecific(self.0, p) } {
            0 => Ok(()),
            e => Err(e),
        }
    }

    pub fn get(self) -> *mut c_void {
        // SAFETY: the key was created.
        unsafe { libc::pthread_getspecific(self.0) }
    }

    /// Deletes the key. No hook runs after this.
    pub fn delete(self) {
        // SAFETY: the key was created; its use afterwards gives errors, no more.
        unsafe { libc::pthread_key_delete(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::gettid;
    use super::*;
    use core::sync::atomic::AtomicBool;

    struct Seen {
        name: [u8; 16],
        tid: i32,
        blocked: [bool; 3],
    }

    extern "C" fn look(p: *mut c_void) -> *mut c_void {
        // SAFETY: the test's, which waits for this thread.
        let seen = unsafe { &mut *p.cast::<Seen>() };
        // SAFETY: a name has at most 16 bytes.
        unsafe { prctl(libc::PR_GET_NAME, seen.name.as_mut_ptr().expose_provenance()) };
        seen.tid = gettid();
        let mask = c::blocked_signals();
        seen.blocked = [libc::SIGSEGV, libc::SIGINT, libc::SIGUSR1].map(|s| c::has_signal(&mask, s));
        ptr::null_mut()
    }

    #[test]
    fn threads_have_name_and_mask() {
        for stack_size in [0, 1, 200_001] {
            let mut seen = Seen { name: [0; 16], tid: 0, blocked: [true; 3] };
            // SAFETY: `seen` outlives the thread.
            let t = unsafe { spawn_thread(stack_size, "gomax-a-long-name", look, (&raw mut seen).cast()) }.unwrap();
            assert!(join_thread_until(t, None));
            assert_eq!(&seen.name, b"gomax-a-long-na\0");
            assert_ne!(seen.tid, gettid());
            assert_eq!(seen.blocked, [false, true, true]);
        }
        assert!(!c::has_signal(&c::blocked_signals(), libc::SIGUSR1), "the parent's mask is put back");
    }

    #[test]
    fn thread_that_is_too_large_is_an_error() {
        // SAFETY: it never starts.
        assert!(unsafe { spawn_thread(1 << 46, "x", look, ptr::null_mut()) }.is_err());
    }

    #[test]
    fn signals_of_the_main_thread() {
        // The test's thread is not the main thread, which blocks no signal.
        Signals(1 << (libc::SIGUSR2 - 1) | 1 << (libc::SIGSEGV - 1)).block_here();
        assert_eq!(Signals::blocked_here(), Signals(1 << (libc::SIGUSR2 - 1)), "not the synchronous ones");
        assert!(!is_main_thread());
        assert_eq!(Signals::blocked_by_main(), Signals(0));
    }

    #[test]
    fn a_pinned_thread_becomes_like_the_main_one() {
        let cpus = |tid| {
            let mut set = [0usize; 16];
            // SAFETY: as long as said.
            let rc = unsafe { libc::sched_getaffinity(tid, size_of_val(&set), set.as_mut_ptr().cast()) };
            assert_eq!(rc, 0);
            set
        };
        let wanted = cpus(main_tid());
        let first = wanted[0].trailing_zeros();
        let one = [1usize << first];
        // SAFETY: as long as said.
        assert_eq!(unsafe { libc::sched_setaffinity(0, size_of_val(&one), one.as_ptr().cast()) }, 0);
        // SAFETY: the parameters are readable.
        unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &c::zeros()) };
        become_like_main_thread();
        assert_eq!(cpus(0), wanted);
        // SAFETY: asks.
        assert_eq!(unsafe { libc::sched_getscheduler(0) }, libc::SCHED_OTHER);
    }

    unsafe extern "C" fn gone(p: *mut c_void) {
        // SAFETY: the test's flag.
        unsafe { (*p.cast::<AtomicBool>()).store(true, Ordering::Release) }
    }

    #[test]
    fn exit_hook_runs() {
        let key = ThreadExitKey::create(gone).unwrap();
        let flag = AtomicBool::new(false);
        let at = (&raw const flag) as usize;
        let run = |take_away: bool| {
            std::thread::spawn(move || {
                key.set(at as *mut c_void).unwrap();
                assert_eq!(key.get() as usize, at);
                if take_away {
                    key.set(ptr::null_mut()).unwrap();
                }
            })
            .join()
            .unwrap();
            flag.load(Ordering::Acquire)
        };
        assert!(!run(true));
        assert!(run(false));
        key.delete();
    }
}
