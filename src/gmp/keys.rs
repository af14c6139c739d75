//! The keys of values that belong to one goroutine or one P.

use crate::ds::line::Line;
use crate::gmp::p::MAX_KEYS;
use crate::sync::own::OwnU32;
use crate::sync::{Lock, Rank};

/// The keys of G-local or P-local values. A key is a place and a generation: the number of keys that had the place
/// before. So a deleted key is never mistaken for its successor, and a value that was set under one key is never found
/// under another. A place whose generations are used up is retired.
pub struct Keys {
    /// Generation * 2, + 1 while in use. Written under the lock, read by all threads.
    words: [OwnU32; MAX_KEYS],
    destructors: Line<Lock<[Option<Destructor>; MAX_KEYS]>>,
}

/// The function that is called with a value when its G ends.
pub type Destructor = extern "C" fn(*mut std::ffi::c_void);

/// The number of keys that a place has in its life: a key has 24 bits for the generation.
const KEY_GENERATIONS: u32 = 1 << 24;

impl Keys {
    pub(super) fn new() -> Keys {
        Keys {
            words: [const { OwnU32::new(0) }; MAX_KEYS],
            destructors: Line::new(Lock::new(Rank::Keys, [None; MAX_KEYS])),
        }
    }

    /// The place of a key that is in use.
    #[inline]
    pub fn place(&self, key: u32) -> Option<usize> {
        let at = (key & 0xff).wrapping_sub(1) as usize;
        (self.words.get(at)?.get() == key >> 8 << 1 | 1).then_some(at)
    }

    /// A new key and its place; None when all places are in use or retired.
    pub fn create(&self, destructor: Option<Destructor>) -> Option<(u32, usize)> {
        let mut destructors = self.destructors.lock();
        let at = self.words.iter().position(|w| w.get() & 1 == 0 && w.get() >> 1 < KEY_GENERATIONS)?;
        let word = self.words[at].get() | 1;
        destructors[at] = destructor;
        self.words[at].set(word);
        Some((word >> 1 << 8 | (at as u32 + 1), at))
    }

    /// Deletes a key. False for a number that is not a key in use.
    pub fn delete(&self, key: u32) -> bool {
        let _destructors = self.destructors.lock();
        let Some(at) = self.place(key) else { return false };
        self.words[at].set(((key >> 8) + 1) << 1);
        true
    }

    pub fn destructor(&self, key: u32) -> Option<Destructor> {
        let destructors = self.destructors.lock();
        destructors[self.place(key)?]
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn no_key_comes_twice() {
        let keys = Keys::new();
        for (at, word) in keys.words.iter().enumerate() {
            word.set(if at == 5 { (KEY_GENERATIONS - 2) << 1 } else { KEY_GENERATIONS << 1 });
        }
        for _ in 0..2 {
            let (key, at) = keys.create(None).unwrap();
            assert_eq!((at, keys.place(key)), (5, Some(5)));
            assert!(keys.delete(key));
            assert_eq!(keys.place(key), None);
            assert!(!keys.delete(key));
        }
        assert!(keys.create(None).is_none(), "its 2^24 keys are used up");
        assert_eq!(keys.place(6), None, "its first key");
    }
}
