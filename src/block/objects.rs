//! The objects that the host holds by handles. Made at the first use, and kept as long as the process lives.

use super::cancel::Token;
use super::class::Class;
use super::hook::Hook;
use super::scope::Scope;
use super::timer::HostTimer;
use crate::ds::leak::try_leak;
use crate::ds::slab::Slab;
use crate::gmp::error::{Error, Result};
use crate::gmp::sched::Sched;
use crate::sync::Ordering;

#[derive(Default)]
pub struct Objects {
    pub tokens: Slab<Token>,
    pub hooks: Slab<Hook>,
    pub timers: Slab<HostTimer>,
    pub scopes: Slab<Scope>,
    pub classes: Slab<Class>,
}

/// The objects of this runtime.
#[inline]
pub fn objects(sched: &Sched) -> Result<&'static Objects> {
    existing(sched).map_or_else(|| make(sched), Ok)
}

/// As [`objects`], for a caller that does not make any.
#[inline]
pub fn existing(sched: &Sched) -> Option<&'static Objects> {
    // SAFETY: null, or the objects that `make` leaked. Acquire: pairs with its Release.
    unsafe { sched.objects.load(Ordering::Acquire).cast::<Objects>().as_ref() }
}

#[cold]
fn make(sched: &Sched) -> Result<&'static Objects> {
    let new = try_leak(Objects::default()).ok_or(Error::NoMemory)?;
    let p = std::ptr::from_ref(new).cast_mut();
    match sched.objects.compare_exchange(std::ptr::null_mut(), p.cast(), Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Ok(new),
        Err(_) => {
            // Another thread was first. A model frees what it leaks.
            #[cfg(not(any(loom, shuttle)))]
            // SAFETY: just leaked with the layout of a box, and no other thread knows it.
            drop(unsafe { Box::from_raw(p) });
            existing(sched).ok_or(Error::NoMemory)
        }
    }
}
