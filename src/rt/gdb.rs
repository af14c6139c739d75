//! A table by which a debugger finds Gs, Ms and Ps in a process or a core. It lies in a section of its own, `.gmx.gdb`,
//! so that `packaging/gomax-gdb.py` finds it in a library without symbols.

use super::SCHED;
use crate::block::fd;
use crate::gmp::layout::LAYOUT;
use crate::gmp::sched::Sched;
use std::sync::atomic::AtomicPtr;

#[repr(C)]
struct Table {
    /// The digit counts changes of the fields that follow.
    magic: [u8; 8],
    sched: &'static AtomicPtr<Sched>,
    layout: [usize; LAYOUT.len()],
    slab: [usize; fd::SLAB.len()],
    fd: [usize; fd::LAYOUT.len()],
}

#[used]
#[unsafe(link_section = ".gmx.gdb")]
static TABLE: Table = Table { magic: *b"gmxgdb3\0", sched: &SCHED, layout: LAYOUT, slab: fd::SLAB, fd: fd::LAYOUT };

/// Keeps the table in the program: a linker that drops unreferenced symbols would drop it.
pub fn keep() {
    std::hint::black_box(&TABLE.magic);
}
