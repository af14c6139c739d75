//! Words with one writer at a time.
//!
//! The field's comment names the writer ("owner: the M that runs this G"). Other threads may read the word, and get a
//! value that it had at some time. If a read must come *after* something else, an atomic of the protocol orders it.
//! These words compile to plain loads and stores.

use std::sync::atomic::Ordering::Relaxed;

/// Tells a model of an access to a word, since the word may belong to an object of the host that is gone.
#[inline(always)]
fn touch<T>(_word: &T) {
    #[cfg(all(test, any(loom, shuttle)))]
    super::touch(_word);
}

macro_rules! own {
    ($($(#[$doc:meta])* $name:ident: $atomic:ident, $t:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Default)]
        #[repr(transparent)]
        pub struct $name(std::sync::atomic::$atomic);
        impl $name {
            pub const fn new(v: $t) -> Self {
                Self(std::sync::atomic::$atomic::new(v))
            }
            #[inline(always)]
            pub fn get(&self) -> $t {
                touch(self);
                self.0.load(Relaxed)
            }
            #[inline(always)]
            pub fn set(&self, v: $t) {
                touch(self);
                self.0.store(v, Relaxed)
            }
            #[inline(always)]
            pub fn replace(&self, v: $t) -> $t {
                let old = self.get();
                self.set(v);
                old
            }
        }
    )*};
}

own! {
    /// An owned `bool`.
    OwnBool: AtomicBool, bool;
    /// An owned `u8`.
    OwnU8: AtomicU8, u8;
    /// An owned `u16`.
    OwnU16: AtomicU16, u16;
    /// An owned `u32`.
    OwnU32: AtomicU32, u32;
    /// An owned `i32`.
    OwnI32: AtomicI32, i32;
    /// An owned `u64`.
    OwnU64: AtomicU64, u64;
    /// An owned `i64`.
    OwnI64: AtomicI64, i64;
    /// An owned `usize`.
    OwnUsize: AtomicUsize, usize;
}

impl OwnU64 {
    /// Counts up. For the owner only.
    #[inline(always)]
    pub fn bump(&self) {
        self.set(self.get().wrapping_add(1));
    }

    /// Adds. For the owner only.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        self.set(self.get().wrapping_add(n));
    }
}

/// An owned pointer.
#[repr(transparent)]
pub struct OwnPtr<T>(std::sync::atomic::AtomicPtr<T>);

impl<T> OwnPtr<T> {
    pub const fn null() -> Self {
        Self(std::sync::atomic::AtomicPtr::new(std::ptr::null_mut()))
    }
    #[inline(always)]
    pub fn get(&self) -> *mut T {
        touch(self);
        self.0.load(Relaxed)
    }
    #[inline(always)]
    pub fn set(&self, p: *mut T) {
        touch(self);
        self.0.store(p, Relaxed)
    }
    #[inline(always)]
    pub fn is_null(&self) -> bool {
        self.get().is_null()
    }
    /// Leaves null and returns the former pointer.
    #[inline(always)]
    pub fn take(&self) -> *mut T {
        let p = self.get();
        self.set(std::ptr::null_mut());
        p
    }
    /// The word itself, for the context switch that stores into it.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut *mut T {
        self.0.as_ptr()
    }
}

impl<T> Default for OwnPtr<T> {
    fn default() -> Self {
        Self::null()
    }
}
