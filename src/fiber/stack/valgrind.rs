//! What valgrind is told of stacks: otherwise a switch looks to it like one huge frame.

use crate::sys::arch::valgrind;

/// A request of memcheck; other tools ignore it.
pub(super) const VG_MAKE_MEM_DEFINED: usize = 0x4d43_0002;
const VG_STACK_REGISTER: usize = 0x1501;
const VG_STACK_DEREGISTER: usize = 0x1502;

pub(super) fn vg_register(lo: *mut u8, hi: *mut u8) -> u32 {
    valgrind(0, &[VG_STACK_REGISTER, lo as usize, hi as usize - 1, 0, 0, 0]) as u32
}

pub(super) fn vg_deregister(id: u32) {
    valgrind(0, &[VG_STACK_DEREGISTER, id as usize, 0, 0, 0, 0]);
}
