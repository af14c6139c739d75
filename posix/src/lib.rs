//! libgomax_posix: blocking calls of unmodified libraries park goroutines.
//!
//! # Problem
//! libpq waits for its server in poll(2), hiredis in recv(2). On a goroutine such a call takes the thread, and with it
//! a P for the rest of a slice. This library stands before the C library in the search order of the loader, so that
//! these calls of every other library of the process come here.
//!
//! # Words
//! | word | meaning |
//! |---|---|
//! | next | the function of the same name in the library behind this one, mostly the C library ([`next`]) |
//! | group | a few functions that are switched on together ([`api`]) |
//! | active | the group of the function is on, and the caller runs on a G |
//! | held | the caller's thread holds a mutex, or its G is held by `gmx_posix_hold` ([`held`]) |
//! | limits | what the caller has set: O_NONBLOCK, SO_RCVTIMEO, SO_SNDTIMEO ([`wait::Limits`]) |
//!
//! # Protocol
//! * SHIM-A1 A call that is not active, or that libgomax makes ([`caller`]), goes to the next function, with its
//!   arguments as they are.
//! * SHIM-A2 A call that is active is made without waiting: with MSG_DONTWAIT, or after poll(2) has found the
//!   descriptor ready. If that gives a result, the call ends.
//! * SHIM-A3 The system would wait. Only now it is asked for the limits. A descriptor with O_NONBLOCK: EAGAIN.
//! * SHIM-A4 If the thread is held, the next function is called; the P is given away meanwhile, and the G stays on the
//!   thread.
//! * SHIM-A5 Otherwise the G parks until the descriptor is ready or the time is over. Then SHIM-A2 again.
//! * SHIM-A6 If the G cannot park here (it is pinned, it is in a syscall, the library has no memory), the next
//!   function is called.
//!
//! # Invariants
//! * SHIM-I1 No state is kept about a descriptor between two calls. Nothing can be stale when a descriptor is closed,
//!   duplicated, passed on or changed, by whatever call.
//! * SHIM-I2 Nothing of the caller's descriptor is changed, not even for a moment.
//! * SHIM-I3 errno is written once, at the end of a call that fails, on the thread on which it returns.
//! * SHIM-I4 A call on a held thread returns on this thread.
//! * SHIM-I5 Each call is made as if it were the only one: a wait that ends for nothing leads to another try.
//!
//! # Rejected
//! * A table of descriptors: O_NONBLOCK and the timeouts can be changed by calls that this library does not see, and a
//!   number can be closed by close_range, fclose or exec. To ask costs two system calls before a wait, which costs more
//!   than these.
//! * errno of a G instead of a thread, by a function `__errno_location` of our own: the C library writes its own errno
//!   without asking.
//! * To write errno on the thread where the call began, too: another G runs there, and may be about to read its own.
//! * To set O_NONBLOCK while a connection is made: the flag belongs to all that share the socket. connect takes the
//!   thread.
#![no_std]

mod api;
mod caller;
mod close;
mod file;
mod gmx;
mod held;
mod mutex;
mod names;
mod next;
mod poll;
mod select;
mod sleep;
mod socket;
mod sys;
mod wait;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::abort() }
}

/// Finds the next functions before the program begins: a signal handler may call them, and may not ask the loader.
extern "C" fn load() {
    next::find_all();
    caller::find();
}

#[used]
#[unsafe(link_section = ".init_array")]
static LOAD: extern "C" fn() = load;
