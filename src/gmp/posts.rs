//! What was posted to the host's loop: block/post.rs has the paper.

#[cfg(any(loom, shuttle))]
use crate::sync::AtomicU32;
use crate::sync::{AtomicI32, Lock, Ordering, Rank};
use crate::sys::event;
use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};

/// A function for the host to call.
pub type Posted = extern "C" fn(*mut c_void);

/// Such a function, with its argument.
pub struct Node {
    next: *mut Node,
    pub f: Posted,
    pub arg: *mut c_void,
}

impl Node {
    pub fn new(f: Posted, arg: *mut c_void) -> Node {
        Node { next: null_mut(), f, arg }
    }
}

/// The functions that wait, the oldest first.
pub struct List {
    head: *mut Node,
    tail: *mut Node,
    len: usize,
}

impl List {
    /// Puts a node that is the caller's behind the others.
    pub fn push(&mut self, node: NonNull<Node>) {
        match NonNull::new(self.tail) {
            // SAFETY: a node in the list belongs to the list.
            Some(last) => unsafe { (*last.as_ptr()).next = node.as_ptr() },
            None => self.head = node.as_ptr(),
        }
        self.tail = node.as_ptr();
        self.len += 1;
    }

    /// Takes the oldest node, which is the caller's from here on.
    pub fn pop(&mut self) -> Option<NonNull<Node>> {
        let node = NonNull::new(self.head)?;
        // SAFETY: as in `push`.
        self.head = unsafe { node.as_ref() }.next;
        if self.head.is_null() {
            self.tail = null_mut();
        }
        self.len -= 1;
        Some(node)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// See the module.
pub struct Posts {
    pub list: Lock<List>,
    /// The descriptor + 1; 0: not made yet. Written under the lock.
    fd: AtomicI32,
    #[cfg(any(loom, shuttle))]
    steps: AtomicU32,
}

impl Default for Posts {
    fn default() -> Posts {
        let none = List { head: null_mut(), tail: null_mut(), len: 0 };
        Posts {
            list: Lock::new(Rank::Posts, none),
            fd: AtomicI32::new(0),
            #[cfg(any(loom, shuttle))]
            steps: AtomicU32::new(0),
        }
    }
}

impl Posts {
    pub fn fd(&self) -> Option<i32> {
        // Relaxed: the number alone is shared.
        Some(self.fd.load(Ordering::Relaxed) - 1).filter(|&fd| fd >= 0)
    }

    pub fn set_fd(&self, fd: Option<i32>) {
        self.fd.store(fd.map_or(0, |fd| fd + 1), Ordering::Relaxed);
    }

    /// The descriptor is readable from here on.
    pub fn signal(&self, fd: i32) {
        self.step();
        event::signal(fd);
    }

    /// The descriptor is not readable any more.
    pub fn clear(&self, fd: i32) {
        self.step();
        event::clear(fd);
    }

    /// A call of the system is no step of a model by itself.
    #[inline(always)]
    fn step(&self) {
        #[cfg(any(loom, shuttle))]
        self.steps.fetch_add(1, Ordering::AcqRel);
    }
}
