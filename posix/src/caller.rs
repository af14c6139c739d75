//! Calls that libgomax makes itself are passed on.
//!
//! # Problem
//! libgomax, too, is bound to the functions here. It closes a descriptor or writes a report in the middle of its own
//! calls, and in signal handlers. Such a call must not enter libgomax again, and must not park.
//!
//! # Protocol
//! * CALLER-A1 When the loader has found libgomax, the bounds of its code are noted.
//! * CALLER-A2 Each function that libgomax imports begins with a comparison of its return address with these bounds,
//!   and goes to the next function if the caller lies between them.
//!
//! Before CALLER-A1 the bounds are empty, and all groups are off.

use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Where the code of libgomax begins, and how long it is.
pub static BEGIN: AtomicUsize = AtomicUsize::new(0);
pub static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// CALLER-A1.
pub fn find() {
    // SAFETY: the function lives as long as the call, and its argument is not used.
    unsafe { libc::dl_iterate_phdr(Some(look), ptr::null_mut()) };
}

unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _size: usize, _: *mut c_void) -> c_int {
    // SAFETY: the loader's promise.
    let info = unsafe { &*info };
    let sought = crate::gmx::gmx_self as *const () as usize;
    for i in 0..usize::from(info.dlpi_phnum) {
        // SAFETY: the loader's promise: so many headers.
        let header = unsafe { &*info.dlpi_phdr.wrapping_add(i) };
        let (begin, length) = ((info.dlpi_addr + header.p_vaddr) as usize, header.p_memsz as usize);
        if header.p_type == libc::PT_LOAD && sought.wrapping_sub(begin) < length {
            BEGIN.store(begin, Ordering::Relaxed);
            LENGTH.store(length, Ordering::Relaxed);
            return 1;
        }
    }
    0
}

/// Defines functions of the C library: each calls `ours`, or, for libgomax, the next function (CALLER-A2). The
/// arguments stay in their registers.
macro_rules! not_for_libgomax {
    ($($name:ident = $ours:path;)*) => {
        $(
            /// # Safety
            /// As for the function of the C library.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name() {
                #[cfg(target_arch = "x86_64")]
                core::arch::naked_asm!(
                    "mov rax, qword ptr [rsp]",
                    "sub rax, qword ptr [rip + {begin}]",
                    "cmp rax, qword ptr [rip + {length}]",
                    "jb {next}",
                    "jmp {ours}",
                    begin = sym crate::caller::BEGIN,
                    length = sym crate::caller::LENGTH,
                    next = sym crate::next::passed::$name,
                    ours = sym $ours,
                );
                #[cfg(target_arch = "aarch64")]
                core::arch::naked_asm!(
                    "adrp x9, {begin}",
                    "ldr x9, [x9, :lo12:{begin}]",
                    "adrp x10, {length}",
                    "ldr x10, [x10, :lo12:{length}]",
                    "sub x9, x30, x9",
                    "cmp x9, x10",
                    "b.lo 1f",
                    "b {ours}",
                    "1: b {next}",
                    begin = sym crate::caller::BEGIN,
                    length = sym crate::caller::LENGTH,
                    next = sym crate::next::passed::$name,
                    ours = sym $ours,
                );
            }
        )*
    };
}
pub(crate) use not_for_libgomax;
