//! The contract between the library and the operating system.
//!
//! Each system's files must hold:
//!
//! - Times are nanoseconds of the monotonic clock; deadlines are absolute.
//! - Errors are errno values that are returned. Nothing here panics or aborts because memory or threads are short.
//! - `errno` of the calling thread is unchanged afterwards, so that a G's `errno` survives the scheduler's own calls.
//! - A wake by address never touches the word: its owner may have freed it by then.
//! - Threads made here begin with all signals blocked except the synchronous ones; the host's handlers stay the host's.

pub mod arch;
pub mod array;
pub mod c;
pub mod call;
pub mod cfi;
pub mod checker;
pub mod cpu_timer;
pub mod elf;
pub mod heap;
pub mod held;
pub mod ncpu;
pub mod probe;
pub mod stderr;
pub mod without;

#[cfg(target_os = "linux")]
#[path = "linux_event.rs"]
pub mod event;
#[path = "linux_file.rs"]
pub mod file;
#[cfg(target_os = "linux")]
#[path = "linux_io.rs"]
pub mod io;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod linux_mem;
#[cfg(target_os = "linux")]
mod linux_thread;
#[cfg(target_os = "linux")]
#[path = "linux_name.rs"]
pub mod name;
#[cfg(target_os = "linux")]
#[path = "linux_net.rs"]
pub mod net;
#[cfg(target_os = "linux")]
#[path = "linux_poll.rs"]
pub mod poll;
#[cfg(target_os = "linux")]
#[path = "linux_proc.rs"]
pub mod proc;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(target_os = "linux")]
use linux_mem as os_mem;
#[cfg(target_os = "linux")]
use linux_thread as os_thread;

pub use os::{
    KeepErrno, asymmetric_fence_heavy, at_exit, exit_now, fence_is_lost, first_to_tell_of_it, futex_wait, futex_wake,
    gettid, has_asymmetric_fence, has_loader, has_more_rights, lock_wait, lock_wake, now, page_size, physical_memory,
    process_cpu_time, random_seed, read_maps, read_word, register_membarrier, sleep_until, thread_count, wake_on_time,
    wall_clock, write_all, write_quietly, yield_thread,
};
pub use os_thread::{
    Signals, ThreadExitKey, ThreadId, at_fork, at_load, become_like_main_thread, detach_self, is_synchronous,
    join_thread_until, main_tid, spawn_thread, this_thread,
};

pub use os::thread_stack;

/// Address space, from which stacks are cut.
pub mod mem {
    pub use super::os_mem::{
        discard, dump, grow, guard, guard_each, guards_work, map_count_limit, populate, protect, release, reserve,
        reserve_stacks, wipe,
    };
}
