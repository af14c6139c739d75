//! Processes
//!
//! gmx_spawn_process starts a program, and gmx_process_wait parks until it has ended. The parent's end of a pipe is a
//! gmx_poll, so a goroutine that reads what the program writes keeps no thread, while the program has an ordinary pipe.
//!
//! ```c
//! char *argv[] = {"sort", "-n", NULL};
//! gmx_poll in, out;
//! gmx_process_opts opts = {.path = "sort", .argv = argv, .flags = GMX_PROCESS_SEARCH};
//! opts.stdio[0] = (gmx_process_stdio){GMX_STDIO_PIPE, 0, &in};
//! opts.stdio[1] = (gmx_process_stdio){GMX_STDIO_PIPE, 0, &out};
//! gmx_process sort;
//! gmx_status s = gmx_spawn_process(&opts, &sort);
//! if (s != GMX_OK) return s;
//! s = gmx_write(in, text, size, GMX_FOREVER, NULL);
//! gmx_close(in); // sort sees the end of its input
//! if (s == GMX_OK) s = read_numbers(out);
//! gmx_close(out);
//! int status;
//! if (gmx_process_wait(sort, &status, GMX_FOREVER) != GMX_OK || status != 0) s = GMX_EINVAL;
//! gmx_process_release(sort);
//! ```
//!
//! The library waits for its own children only, and handles no signal for that: a handler of SIGCHLD is the host's. But
//! a host that waits for any child (waitpid with -1), or ignores SIGCHLD, takes the status away: gmx_process_wait then
//! returns -ECHILD when the child has ended.

use super::*;
use crate::block::process::{self, Want};
use crate::sys::proc::{Spawn, Stdio};
use std::ffi::c_char;

/// A child process. A handle is never used again, and 0 is no handle.
pub type gmx_process = u64;

/// For [`gmx_process_opts`]: looks for a path without a slash in the directories of PATH.
pub const GMX_PROCESS_SEARCH: u32 = 1;
/// For [`gmx_process_opts`]: the child begins a process group of its own, with its pid as the number. A signal of the
/// terminal does not reach it, and kill(-pid, sig) reaches it with its children.
pub const GMX_PROCESS_GROUP: u32 = 2;
/// For [`gmx_process_opts`]: the child begins a session of its own, without a terminal; and so a process group.
pub const GMX_PROCESS_SESSION: u32 = 4;

/// For [`gmx_process_stdio`]: the descriptor of the same number of this process.
pub const GMX_STDIO_INHERIT: u32 = 0;
/// For [`gmx_process_stdio`]: /dev/null.
pub const GMX_STDIO_NULL: u32 = 1;
/// For [`gmx_process_stdio`]: fd, a descriptor of this process, which stays the caller's.
pub const GMX_STDIO_FD: u32 = 2;
/// For [`gmx_process_stdio`]: a new pipe. The child has one end, which waits as a program expects; *pipe gets the
/// other.
pub const GMX_STDIO_PIPE: u32 = 3;
/// For [`gmx_process_stdio`] of descriptor 2: where descriptor 1 of the child goes.
pub const GMX_STDIO_OUTPUT: u32 = 4;

/// What a descriptor of a child is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_process_stdio {
    /// GMX_STDIO_INHERIT, GMX_STDIO_NULL, GMX_STDIO_FD, GMX_STDIO_PIPE, GMX_STDIO_OUTPUT.
    pub kind: u32,
    /// For GMX_STDIO_FD.
    pub fd: i32,
    /// For GMX_STDIO_PIPE: where to put the handle of the parent's end, which gmx_close closes.
    pub pipe: *mut gmx_poll,
}

/// How to start a process. Zero is the default of every field but path.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_process_opts {
    pub struct_size: usize,
    /// GMX_PROCESS_...
    pub flags: u32,
    pub reserved: u32,
    /// The file of the program.
    pub path: *const c_char,
    /// Its arguments, the first of which is its name, and NULL at the end. NULL: the path alone.
    pub argv: *const *mut c_char,
    /// Its environment, with NULL at the end. NULL: the environment of this process.
    pub envp: *const *mut c_char,
    /// Its working directory, from which a path that does not begin with a slash is looked up as well. NULL: that of
    /// this process.
    pub cwd: *const c_char,
    /// Its descriptors 0, 1 and 2.
    pub stdio: [gmx_process_stdio; 3],
}

/// None: the kind is not known, or lacks something.
fn want(at: usize, stdio: &gmx_process_stdio) -> Option<Want> {
    match stdio.kind {
        GMX_STDIO_INHERIT => Some(Want::Inherit),
        GMX_STDIO_NULL => Some(Want::Null),
        GMX_STDIO_FD => Some(Want::Fd(stdio.fd)),
        GMX_STDIO_PIPE if !stdio.pipe.is_null() => Some(Want::Pipe),
        GMX_STDIO_OUTPUT if at == 2 => Some(Want::Output),
        _ => None,
    }
}

/// Starts a program as a child of this process. In the child every signal has its default and none is blocked, and
/// only the descriptors 0, 1 and 2 are open, and those of the host that it has not made with O_CLOEXEC. The memory of
/// this process is not copied, and no function of pthread_atfork runs.
///
/// The call returns when the child executes the program, or could not: then it returns the reason, and nothing is left
/// of the child.
///
/// Blocks: the calling goroutine (on a foreign thread, the thread) until the child executes.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: opts and all in it stay the caller's; *out is to be given to gmx_process_release, each handle of a pipe to
/// gmx_close.
/// Returns: GMX_OK; the errno of the system, negated: -ENOENT, -EACCES, -ENOEXEC and so on if path cannot be executed
/// or cwd is no directory, GMX_EAGAIN if there may be no more processes, -EMFILE; GMX_EBADF if a descriptor is not
/// open; GMX_EINVAL if opts, path or out is NULL, a kind or a flag is unknown, a pipe has no place, or both
/// GMX_PROCESS_GROUP and GMX_PROCESS_SESSION are set; GMX_ENOTSUP after a start with GMX_CONFIG_ALL_AT_START;
/// GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
///
/// # Safety
/// `opts` is null or as its fields say, `out` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_spawn_process(opts: *const gmx_process_opts, out: *mut gmx_process) -> gmx_status {
    // SAFETY: the caller's promise.
    let opts = match unsafe { read_sized(opts) } {
        Ok(Some(opts)) => opts,
        Ok(None) => return wrong(GMX_EINVAL),
        Err(status) => return status,
    };
    const FLAGS: u32 = GMX_PROCESS_SEARCH | GMX_PROCESS_GROUP | GMX_PROCESS_SESSION;
    const BOTH: u32 = GMX_PROCESS_GROUP | GMX_PROCESS_SESSION;
    if out.is_null() || opts.path.is_null() || opts.flags & !FLAGS != 0 || opts.flags & BOTH == BOTH {
        return wrong(GMX_EINVAL);
    }
    let mut wants = [Want::Inherit; 3];
    for (at, (place, stdio)) in wants.iter_mut().zip(&opts.stdio).enumerate() {
        match want(at, stdio) {
            Some(want) => *place = want,
            None => return wrong(GMX_EINVAL),
        }
    }
    let alone = [opts.path, std::ptr::null()];
    let what = Spawn {
        path: opts.path,
        argv: if opts.argv.is_null() { alone.as_ptr() } else { opts.argv.cast() },
        envp: opts.envp.cast(),
        cwd: opts.cwd,
        stdio: [Stdio::Inherit; 3],
        search: opts.flags & GMX_PROCESS_SEARCH != 0,
        group: opts.flags & GMX_PROCESS_GROUP != 0,
        session: opts.flags & GMX_PROCESS_SESSION != 0,
    };
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    // SAFETY: the caller's promise.
    match unsafe { process::spawn(*m, what, wants) } {
        Ok((handle, pipes)) => {
            for (stdio, &pipe) in opts.stdio.iter().zip(&pipes).filter(|&(_, &pipe)| pipe != 0) {
                // SAFETY: the caller's promise: the kind is GMX_STDIO_PIPE.
                unsafe { *stdio.pipe = pipe };
            }
            // SAFETY: the caller's promise.
            unsafe { *out = handle };
            GMX_OK
        }
        Err(e) => failed(e),
    }
}

/// Waits until a child has ended. *status is what waitpid says: WIFEXITED, WEXITSTATUS, WIFSIGNALED and WTERMSIG tell
/// more. Any number of callers may wait, and each gets the status, also later, until gmx_process_release. After a
/// timeout the child runs on.
///
/// ```c
/// int status;
/// if (gmx_process_wait(child, &status, 1000000000) == GMX_ETIMEDOUT) {
///   gmx_process_kill(child, SIGTERM);
///   if (gmx_process_wait(child, &status, GMX_FOREVER) != GMX_OK) return;
/// }
/// ```
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ECANCELED; -ECHILD if the host has taken the status; GMX_ESTALE if p was
/// released, also meanwhile; GMX_EINVAL if status is NULL; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
///
/// # Safety
/// `status` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_process_wait(p: gmx_process, status: *mut i32, timeout: i64) -> gmx_status {
    if status.is_null() {
        return wrong(GMX_EINVAL);
    }
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    match process::wait(*m, p, timeout) {
        Ok(told) => {
            // SAFETY: the caller's promise.
            unsafe { *status = told };
            GMX_OK
        }
        Err(e) => failed(e),
    }
}

/// Sends a signal to a child, and to no other process: if the child has ended and a wait has seen that, its number may
/// be another's by now. 0 as sig sends none, and asks whether one could be sent.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; -ESRCH if the child has ended, as a wait has told; GMX_EINVAL if there is no such signal;
/// GMX_ESTALE if p was released; GMX_EPERM if the child has other rights by now.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_process_kill(p: gmx_process, sig: i32) -> gmx_status {
    match any() {
        Ok(m) => map(process::kill(*m, p, sig)),
        Err(status) => status,
    }
}

/// The number of a child. It is the child's until a wait has told its end.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the number; GMX_ESTALE if p was released.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_process_pid(p: gmx_process) -> gmx_status {
    match any().and_then(|m| process::pid(*m, p).map_err(|e| status::from(e))) {
        Ok(pid) => pid,
        Err(status) => status,
    }
}

/// A descriptor that is readable when the child has ended (a pidfd), for a loop of the host's or calls such as
/// process_madvise. It is good until gmx_process_release.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the descriptor is the library's.
/// Returns: the descriptor; GMX_ENOTSUP if the system has none (before Linux 5.3); GMX_ESTALE if p was released.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_process_pidfd(p: gmx_process) -> gmx_status {
    match any().and_then(|m| process::pidfd(*m, p).map_err(|e| status::from(e))) {
        Ok(fd) => fd,
        Err(status) => status,
    }
}

/// Ends a handle. Calls that wait for the child return GMX_ESTALE. A child that still runs continues to run, and leaves
/// no zombie: the library reaps it when it ends, while the runtime is up, without a goroutine or a thread for it. Until
/// then gmx_main finds no deadlock.
///
/// Blocks: the calling goroutine (on a foreign thread, the thread) for a moment.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: the handle is gone, and so is the descriptor of gmx_process_pidfd. Pipes stay open until gmx_close.
/// Returns: GMX_OK; GMX_ESTALE if it was released before; GMX_EBUSY if the child runs and the system has no pidfd: wait
/// for it first; GMX_ENOMEM; -EMFILE, or another errno of the system, negated: try again; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_process_release(p: gmx_process) -> gmx_status {
    match may_wait() {
        Ok(m) => tried(process::release(*m, p)),
        Err(status) => status,
    }
}
