//! The objects that the host holds by handles: a slab for each kind, made at the first use of the kind, and kept as
//! long as the process lives.
//!
//! A module of `block` names its type and the type's [`Kind`], and asks for its own slab; it knows no other module's.

use crate::ds::slab::Slab;
use crate::gmp::error::{Error, Result};
use crate::gmp::sched::Sched;
use crate::sync::{AtomicPtr, Ordering};
use std::ffi::c_void;
use std::ptr::{from_ref, null_mut};

/// Which slab of a [`Sched`] holds the objects of a type.
#[derive(Clone, Copy)]
pub enum Kind {
    Token,
    Hook,
    Timer,
    Scope,
    Class,
    Fd,
    Process,
}

/// A type of such objects.
///
/// # Safety
/// No other type has the same kind.
pub unsafe trait Object: Default + Sync + 'static {
    const KIND: Kind;
}

/// The slabs of one runtime; null where none is made yet.
pub struct Slabs([AtomicPtr<c_void>; Kind::Process as usize + 1]);

impl Slabs {
    pub(super) fn new() -> Slabs {
        Slabs(std::array::from_fn(|_| AtomicPtr::new(null_mut())))
    }
}

impl Sched {
    /// The slab with the objects of this type. Stale if there is none: then no handle names such an object.
    #[inline]
    pub fn slab<T: Object>(&self) -> Result<&'static Slab<T>> {
        // Acquire: pairs with the Release in `make_slab`.
        let slab = self.slabs.0[T::KIND as usize].load(Ordering::Acquire).cast::<Slab<T>>();
        // SAFETY: null, or what `make_slab` leaked for this type, the only one of its kind.
        unsafe { slab.as_ref() }.ok_or(Error::Stale)
    }

    /// As [`Sched::slab`], for a caller that makes an object. NoMemory if there is none for the slab.
    #[inline]
    pub fn slab_to_fill<T: Object>(&self) -> Result<&'static Slab<T>> {
        self.slab().or_else(|_| self.make_slab())
    }

    #[cold]
    #[inline(never)]
    fn make_slab<T: Object>(&self) -> Result<&'static Slab<T>> {
        let new = Slab::<T>::try_leak().ok_or(Error::NoMemory)?;
        let p = from_ref(new).cast_mut();
        let slot = &self.slabs.0[T::KIND as usize];
        // Release, for a thread that finds the slab: pairs with the Acquire in `slab`.
        match slot.compare_exchange(null_mut(), p.cast(), Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Ok(new),
            Err(_) => {
                // Another thread was first. A model frees what it leaks.
                #[cfg(not(any(loom, shuttle)))]
                // SAFETY: just leaked, and no other thread knows it.
                unsafe {
                    crate::ds::leak::free(p)
                };
                self.slab()
            }
        }
    }
}
