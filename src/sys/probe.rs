//! Probes: places at which a debugger or a tracer may stop or count, from outside and without symbols.
//!
//! A probe is one `nop`, and a note in the ELF file (`.note.stapsdt`, the format of SystemTap's `sys/sdt.h`) that names
//! the address of the nop and where its arguments lie. gdb, perf, bpftrace and SystemTap read it. Each argument is a
//! field of an object whose address the compiler has in a register anyway, so nothing is loaded for a probe.
//!
//! Rejected: the semaphores of that format. A probe that nothing watches costs a nop without them, and a test of memory
//! with them; and not all tools set them.

/// `probe!(name, size, object, field, size, object, field)`: a probe with two arguments, each a field of `size` bytes,
/// as the offset from the address of its object.
macro_rules! probe {
    ($name:ident, $size1:literal, $base1:expr, $at1:expr, $size2:literal, $base2:expr, $at2:expr) => {
        // SAFETY: executes a nop. The addresses are only named in the note.
        unsafe {
            core::arch::asm!(
                "990: nop",
                ".pushsection .note.stapsdt,\"?\",\"note\"",
                ".balign 4",
                ".4byte 992f - 991f, 994f - 993f, 3",
                "991: .asciz \"stapsdt\"",
                "992: .balign 4",
                "993: .8byte 990b, _.stapsdt.base, 0", // the place, what tells how far the file was moved, no semaphore
                ".asciz \"gomax\"",
                concat!(".asciz \"", stringify!($name), "\""),
                concat!(
                    ".asciz \"",
                    $crate::sys::arch::probe_field!($size1, "base1", "at1"), " ",
                    $crate::sys::arch::probe_field!($size2, "base2", "at2"), "\""
                ),
                "994: .balign 4",
                ".popsection",
                ".ifndef _.stapsdt.base",
                ".pushsection .stapsdt.base,\"aGR\",\"progbits\",.stapsdt.base,comdat", // R: gdb wants it
                ".weak _.stapsdt.base",
                ".hidden _.stapsdt.base",
                "_.stapsdt.base: .space 1",
                ".size _.stapsdt.base, 1",
                ".popsection",
                ".endif",
                base1 = in(reg) $base1,
                at1 = const $at1,
                base2 = in(reg) $base2,
                at2 = const $at2,
                options(readonly, nostack, preserves_flags),
            )
        }
    };
}
#[allow(unused_imports, reason = "the lowest layers alone, which ci/aarch64.sh builds, have no probes")]
pub(crate) use probe;
