//! The layout of the library's objects, for a reader of a process's memory from outside: `packaging/gomax-gdb.py`, by
//! way of [`crate::rt::gdb`]. The script names the words in this order.

use super::g::{Cold, G, Sudog};
use super::handles;
use super::m::M;
use super::p::P;
use crate::fiber::stack::SMALLEST;
use crate::gmp::allg::{G_CHUNK_BITS, G_DIR_BITS};
use crate::gmp::allp::AllP;
use crate::gmp::sched::Sched;
use std::mem::{offset_of, size_of};

pub const LAYOUT: [usize; 39] = [
    // the table of Gs: directories of chunks of Gs, of which the unused end is null
    offset_of!(Sched, allg),
    1 << G_DIR_BITS,
    1 << G_CHUNK_BITS,
    size_of::<G>(),
    // the table of Ps, the list of Ms
    offset_of!(Sched, allp),
    offset_of!(AllP, ps),
    offset_of!(Sched, allm),
    offset_of!(Sched, gomaxprocs),
    offset_of!(Sched, coarse),
    // a G
    offset_of!(G, state),
    offset_of!(G, sp),
    offset_of!(G, m),
    offset_of!(G, entry),
    offset_of!(G, arg),
    offset_of!(G, goid),
    offset_of!(G, flags),
    offset_of!(G, lockedm),
    // the rest of it
    offset_of!(G, cold),
    offset_of!(Cold, wait_reason),
    offset_of!(Cold, wait_since),
    offset_of!(Cold, name),
    // a P
    offset_of!(P, word),
    offset_of!(P, id),
    offset_of!(P, m),
    offset_of!(P, schedtick),
    // an M
    offset_of!(M, curg),
    offset_of!(M, id),
    offset_of!(M, kind),
    offset_of!(M, tid),
    offset_of!(M, all_link),
    offset_of!(M, alive),
    offset_of!(M, spinning),
    offset_of!(M, parked),
    // the address at which a G waits, in the rest of it
    offset_of!(Cold, sudog) + offset_of!(Sudog, addr),
    // the slab of the descriptors; null: none is made yet
    offset_of!(Sched, slabs) + handles::Kind::Fd as usize * size_of::<usize>(),
    // the stack of a G: its end; its class, and the usable size of class 0
    offset_of!(G, stack),
    offset_of!(G, stack_class),
    SMALLEST,
    // whether a signal holds the thread of an M
    offset_of!(M, held),
];
