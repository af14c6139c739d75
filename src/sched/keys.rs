//! The values of a goroutine's keys, and the destructors that run when it ends.

use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GRef, extra};
use crate::gmp::m::MRef;
use crate::gmp::p::{MAX_KEYS, blocks};
use crate::gmp::sched::Sched;
use std::alloc::Layout;
use std::ffi::c_void;

/// The values of a G's keys, each with the number of the key under which it was set.
pub struct KeyValues(pub [(u32, *mut c_void); MAX_KEYS]);

/// In so many rounds destructors may set new values; values set in the last one are dropped, as in POSIX.
const DESTRUCTOR_ROUNDS: u32 = 4;

/// Calls the destructors of the values that a G has set, on that G.
///
/// # Migrates
pub fn run_key_destructors(gp: GRef) {
    let table: *mut KeyValues = gp.keys.get().cast();
    // As in a callback: a destructor may not end the G or detach its thread, which would call this function again.
    gp.callbacks.set(gp.callbacks.get() + 1);
    for _ in 0..DESTRUCTOR_ROUNDS {
        let mut again = false;
        for i in 0..MAX_KEYS {
            // SAFETY: the table is the G's, and lives until below.
            let (key, value) = unsafe { std::mem::replace(&mut (*table).0[i], (0, std::ptr::null_mut())) };
            if value.is_null() {
                continue;
            }
            let Some(m) = MRef::current() else { break };
            if let Some(f) = m.sched().gkeys.destructor(key) {
                again = true;
                crate::protocol::seize::host(m, || crate::sys::call::plain(f, value));
            }
        }
        if !again {
            break;
        }
    }
    gp.callbacks.set(gp.callbacks.get() - 1);
    forget_key_values(gp);
}

/// Frees the table of values of a G.
pub fn forget_key_values(gp: GRef) {
    let table: *mut KeyValues = gp.keys.take().cast();
    if !table.is_null() {
        // SAFETY: made by `key_set`, with this layout, and taken once.
        unsafe { blocks::dealloc(table.cast(), Layout::new::<KeyValues>()) };
    }
}

pub fn key_set(gp: GRef, sched: &Sched, key: u32, value: *mut c_void) -> Result<()> {
    let at = sched.gkeys.place(key).ok_or(Error::Invalid)?;
    let mut table: *mut KeyValues = gp.keys.get().cast();
    if table.is_null() {
        if value.is_null() {
            return Ok(());
        }
        // SAFETY: the layout is not empty.
        table = unsafe { blocks::alloc(Layout::new::<KeyValues>()) }.cast();
        if table.is_null() {
            return Err(Error::NoMemory);
        }
        // SAFETY: a new block for a table.
        unsafe { table.write(KeyValues([(0, std::ptr::null_mut()); MAX_KEYS])) };
        gp.note_extra(extra::KEYS);
        gp.keys.set(table.cast());
    }
    // SAFETY: the table is the running G's.
    unsafe { (*table).0[at] = (key, value) };
    Ok(())
}

pub fn key_get(gp: GRef, sched: &Sched, key: u32) -> *mut c_void {
    let table: *mut KeyValues = gp.keys.get().cast();
    match sched.gkeys.place(key) {
        Some(at) if !table.is_null() => {
            // SAFETY: the table is the running G's.
            let (set, value) = unsafe { (*table).0[at] };
            if set == key { value } else { std::ptr::null_mut() }
        }
        _ => std::ptr::null_mut(),
    }
}

/// Makes a new P-local key. Its value is NULL on every P.
pub fn p_key_create(sched: &Sched) -> Result<u32> {
    let (key, at) = sched.pkeys.create(None).ok_or(Error::Again)?;
    for p in sched.every_p() {
        // No other thread knows the key yet.
        p.slots[at].set(std::ptr::null_mut());
    }
    Ok(key)
}
