//! An arena: one mapping, from which a class cuts its slots. Its first page says what is where.

pub(super) const FIRST_ARENA: usize = 4 << 20;
pub(super) const LARGEST_ARENA: usize = 1 << 30;

/// Lies in the first page of its mapping. All fields except `vg_ids` are fixed before it is published.
pub(super) struct Arena {
    pub(super) next: *mut Arena,
    pub(super) len: usize,
    pub(super) slots: *mut u8,
    pub(super) slot_size: usize,
    pub(super) n: usize,
    /// valgrind's ids of the stacks, one a slot; none if valgrind does not run.
    pub(super) vg_ids: *mut u32,
}

pub(super) fn arena_ref<'a>(arena: *mut Arena) -> &'a Arena {
    // SAFETY: arenas live as long as their pool, and are not written once they are published.
    unsafe { &*arena }
}
