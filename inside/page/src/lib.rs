//! The live page of libgomax: a small server of HTTP that libgomax loads and starts when the program asks for it.
//! docs/inside.md tells how to use it; `table` is what libgomax and this library know of each other.
//!
//! `address` makes the socket, `server` has the thread that reads requests and answers them, `http` says which requests
//! are answered, and `answers` with what. `state` asks libgomax what there is, `show` makes JSON, text and a page of
//! that, with names of functions from `names`. `jobs` has the threads for what takes longer: stacks and traces.
//!
//! # What holds
//! * The page is served while every goroutine hangs. So nothing here waits for the program: the memory is this
//!   library's own, and not malloc's, whose lock a goroutine that hangs may hold; a thread is made at the start only;
//!   and names come from the files of the objects, and not from the loader.
//! * A fault of this library ends an answer and not the program: each panic ends here.
//! * No thread here gets a signal of the program.

mod address;
mod answers;
mod http;
mod jobs;
mod names;
mod server;
mod show;
mod state;
#[path = "../../../src/rt/table.rs"]
#[allow(dead_code)]
mod table;

use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicPtr, Ordering};

use server::Server;
use table::{Library, Page, VERSION};

#[global_allocator]
static HEAP: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// What libgomax offers, once it has asked for the page.
static LIBRARY: AtomicPtr<Library> = AtomicPtr::new(std::ptr::null_mut());
/// The one server. libgomax lets one thread at a time change it.
static SERVER: AtomicPtr<Server> = AtomicPtr::new(std::ptr::null_mut());

/// What libgomax offers. There is a server only after it has said so.
fn library() -> Option<&'static Library> {
    // SAFETY: null, or libgomax's, which stays. Acquire: pairs with the Release in `gmx_page_open`.
    unsafe { LIBRARY.load(Ordering::Acquire).as_ref() }
}

/// See [`table::Open`].
///
/// # Safety
/// As it says there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_page_open(library: *const Library, page: *mut Page) -> bool {
    // SAFETY: the caller's; every version begins with its number.
    if unsafe { (*library).version } != VERSION {
        return false;
    }
    // SAFETY: before the first allocation.
    unsafe { dlmalloc::enable_alloc_after_fork() };
    LIBRARY.store(library.cast_mut(), Ordering::Release);
    // SAFETY: the caller's.
    unsafe { page.write(Page { version: VERSION, reserved: 0, serve, stop, at_exit, in_child }) };
    true
}

extern "C" fn serve(address: *const c_char, flags: u32, url: *mut c_char, url_size: usize) -> i32 {
    if !SERVER.load(Ordering::Relaxed).is_null() {
        return -libc::EBUSY;
    }
    // SAFETY: terminated, as libgomax promises.
    let address = unsafe { CStr::from_ptr(address) };
    let begun = catch_unwind(|| -> Result<_, address::Errno> {
        let (server, place) = Server::begin(address, flags, url_size)?;
        SERVER.store(Box::into_raw(Box::new(server)), Ordering::Relaxed);
        Ok(place)
    });
    match begun {
        Ok(Ok(place)) => {
            let bytes = place.as_bytes_with_nul();
            // SAFETY: `begin` has compared the lengths.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), url.cast(), bytes.len()) };
            0
        }
        Ok(Err(errno)) => -errno,
        Err(_) => -libc::ENOMEM,
    }
}

extern "C" fn stop() -> bool {
    let server = SERVER.swap(std::ptr::null_mut(), Ordering::Relaxed);
    if server.is_null() {
        return false;
    }
    // SAFETY: made by `serve`, and taken out above.
    let server = unsafe { Box::from_raw(server) };
    let _ = catch_unwind(AssertUnwindSafe(|| server.end()));
    true
}

extern "C" fn at_exit() {
    // SAFETY: null, or made by `serve`; libgomax lets no other thread change it meanwhile.
    if let Some(server) = unsafe { SERVER.load(Ordering::Relaxed).as_ref() } {
        server.remove_file();
    }
}

extern "C" fn in_child() {
    // Its memory stays, as does all that its threads had.
    SERVER.store(std::ptr::null_mut(), Ordering::Relaxed);
    server::close_copies();
}
