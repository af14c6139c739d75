//! AArch64: a call that gives every register back.

use core::arch::asm;

/// On this instruction set the state is the same on every machine: what SVE adds is lost in a call.
pub fn look_at_registers() {}

/// Whether the thread rounds, traps and flushes as a new program does.
pub fn float_modes_are_default() -> bool {
    let fpcr: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack, preserves_flags)) };
    fpcr == 0
}

/// The body of a naked function `extern "C" fn()` that calls `$f`, an `extern "C" fn()`, and gives the registers of the
/// caller back as they were: x0 to x29 and v0 to v31 with FPSR. Not the flags, not x30, which the call writes, and not
/// what SVE adds to the vectors.
///
/// ```text
///   sp on entry ->  (end of the frame)
///                   v30 v31 ... v0 v1
///                   x18, FPSR
///                   x16 x17 ... x0 x1
///   x29, sp ->      x29 x30
/// ```
macro_rules! keep_registers {
    ($f:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "hint #34", // bti c: compilers call it through the GOT
            "sub sp, sp, #688",
            ".cfi_def_cfa_offset 688",
            "stp x29, x30, [sp]",
            ".cfi_offset x29, -688",
            ".cfi_offset x30, -680",
            "stp x0, x1, [sp, #16]",
            "stp x2, x3, [sp, #32]",
            "stp x4, x5, [sp, #48]",
            "stp x6, x7, [sp, #64]",
            "stp x8, x9, [sp, #80]",
            "stp x10, x11, [sp, #96]",
            "stp x12, x13, [sp, #112]",
            "stp x14, x15, [sp, #128]",
            "stp x16, x17, [sp, #144]",
            "mrs x17, fpsr",
            "stp x18, x17, [sp, #160]",
            "stp q0, q1, [sp, #176]",
            "stp q2, q3, [sp, #208]",
            "stp q4, q5, [sp, #240]",
            "stp q6, q7, [sp, #272]",
            "stp q8, q9, [sp, #304]",
            "stp q10, q11, [sp, #336]",
            "stp q12, q13, [sp, #368]",
            "stp q14, q15, [sp, #400]",
            "stp q16, q17, [sp, #432]",
            "stp q18, q19, [sp, #464]",
            "stp q20, q21, [sp, #496]",
            "stp q22, q23, [sp, #528]",
            "stp q24, q25, [sp, #560]",
            "stp q26, q27, [sp, #592]",
            "stp q28, q29, [sp, #624]",
            "stp q30, q31, [sp, #656]",
            "mov x29, sp",
            "bl {f}",
            "ldp q0, q1, [sp, #176]",
            "ldp q2, q3, [sp, #208]",
            "ldp q4, q5, [sp, #240]",
            "ldp q6, q7, [sp, #272]",
            "ldp q8, q9, [sp, #304]",
            "ldp q10, q11, [sp, #336]",
            "ldp q12, q13, [sp, #368]",
            "ldp q14, q15, [sp, #400]",
            "ldp q16, q17, [sp, #432]",
            "ldp q18, q19, [sp, #464]",
            "ldp q20, q21, [sp, #496]",
            "ldp q22, q23, [sp, #528]",
            "ldp q24, q25, [sp, #560]",
            "ldp q26, q27, [sp, #592]",
            "ldp q28, q29, [sp, #624]",
            "ldp q30, q31, [sp, #656]",
            "ldp x18, x17, [sp, #160]",
            "msr fpsr, x17",
            "ldp x16, x17, [sp, #144]",
            "ldp x14, x15, [sp, #128]",
            "ldp x12, x13, [sp, #112]",
            "ldp x10, x11, [sp, #96]",
            "ldp x8, x9, [sp, #80]",
            "ldp x6, x7, [sp, #64]",
            "ldp x4, x5, [sp, #48]",
            "ldp x2, x3, [sp, #32]",
            "ldp x0, x1, [sp, #16]",
            "ldp x29, x30, [sp]",
            ".cfi_restore x29",
            ".cfi_restore x30",
            "add sp, sp, #688",
            ".cfi_def_cfa_offset 0",
            "ret",
            ".cfi_endproc",
            f = sym $f,
        )
    };
}
#[cfg(not(any(loom, shuttle)))]
pub(crate) use keep_registers;

#[cfg(test)]
mod tests {
    use super::*;
    use core::arch::naked_asm;

    #[unsafe(naked)]
    extern "C" fn kept() {
        keep_registers!(ruin)
    }

    /// Writes what a C function may write.
    #[unsafe(naked)]
    extern "C" fn ruin() {
        naked_asm!(
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17",
            "mov x\\n, #-1",
            ".endr",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "movi v\\n\\().2d, #0",
            ".endr",
            ".irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
            "movi v\\n\\().2d, #0",
            ".endr",
            "msr fpsr, xzr",
            "ret",
        )
    }

    /// Calls `kept` with `regs` in v0 to v31, x0 to x17; puts what is there afterwards in their place, and FPSR.
    #[unsafe(naked)]
    unsafe extern "C" fn through(_regs: *mut [u64; 84]) {
        naked_asm!(
            "stp x29, x30, [sp, #-96]!",
            "stp x19, x20, [sp, #16]",
            "stp d8, d9, [sp, #32]",
            "stp d10, d11, [sp, #48]",
            "stp d12, d13, [sp, #64]",
            "stp d14, d15, [sp, #80]",
            "mov x19, x0",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "ldr q\\n, [x19, #16 * \\n]",
            ".endr",
            ".irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
            "ldr q\\n, [x19, #16 * \\n]",
            ".endr",
            "mov x0, #16", // an inexact result, as the flags say
            "msr fpsr, x0",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17",
            "ldr x\\n, [x19, #512 + 8 * \\n]",
            ".endr",
            "bl {kept}",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17",
            "str x\\n, [x19, #512 + 8 * \\n]",
            ".endr",
            "mrs x0, fpsr",
            "str x0, [x19, #664]",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "str q\\n, [x19, #16 * \\n]",
            ".endr",
            ".irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
            "str q\\n, [x19, #16 * \\n]",
            ".endr",
            "ldp d14, d15, [sp, #80]",
            "ldp d12, d13, [sp, #64]",
            "ldp d10, d11, [sp, #48]",
            "ldp d8, d9, [sp, #32]",
            "ldp x19, x20, [sp, #16]",
            "ldp x29, x30, [sp], #96",
            "ret",
            kept = sym kept,
        )
    }

    #[test]
    fn every_register_comes_back() {
        let mut regs = [0; 84];
        for (i, r) in regs.iter_mut().enumerate() {
            *r = 0x0123_4567_89ab_cdef ^ (i as u64) << 32;
        }
        let given = regs;
        // SAFETY: as `through` says.
        unsafe { through(&mut regs) };
        assert_eq!(regs[..82], given[..82]);
        assert_eq!(regs[83], 16, "FPSR");
        assert!(float_modes_are_default());
    }
}
