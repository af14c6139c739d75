//! The lists, with chunks from the allocator of the test: also under Miri.

use super::*;
use crate::ds::rng::{Rng, rounds, seeds};
use std::collections::BTreeMap;

/// A heap whose chunks are freed at its end.
struct Test {
    heap: Heap,
    chunks: Vec<*mut u8>,
}

const CHUNK: usize = 3;

fn chunk_layout() -> Layout {
    Layout::from_size_align(CHUNK * SPAN, SPAN).unwrap()
}

impl Test {
    fn new() -> Test {
        Test { heap: Heap::new(), chunks: Vec::new() }
    }

    fn alloc(&mut self, class: Class) -> *mut u8 {
        loop {
            if let Some(block) = self.heap.take(class) {
                return block.cast();
            }
            // SAFETY: the layout is not empty.
            let p = unsafe { System.alloc_zeroed(chunk_layout()) };
            self.chunks.push(p);
            // SAFETY: zeroes, which live as long as the heap.
            unsafe { self.heap.add_chunk(p, CHUNK) };
        }
    }

    /// Returns whether a span was to be returned to the system; it was.
    fn free(&mut self, p: *mut u8) -> bool {
        // SAFETY: the tests free what they have.
        let unused = unsafe { self.heap.give(p.cast()) };
        if let Some(s) = unused {
            // SAFETY: an unused span.
            unsafe { s.cast::<u8>().write_bytes(0, SPAN) };
            push(&mut self.heap.clean, s);
        }
        unused.is_some()
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        for &p in &self.chunks {
            // SAFETY: made with this layout.
            unsafe { System.dealloc(p, chunk_layout()) };
        }
    }
}

fn class(size: usize) -> Class {
    Class::of(Layout::from_size_align(size, 16).unwrap()).unwrap()
}

/// Random blocks, each full of its own number: none overlaps another, each is aligned, and freed ones are used again.
#[test]
fn blocks_do_not_overlap() {
    seeds(3).for_each(|seed| {
        let rng = Rng::new(seed);
        let mut t = Test::new();
        let mut live: BTreeMap<usize, (*mut u8, Layout, u8)> = BTreeMap::new();
        for i in 0..rounds(20_000) {
            let grows = (i / 2000) % 2 == 0;
            if rng.next() % 8 < if grows { 5 } else { 3 } || live.is_empty() {
                let align = 1 << (rng.next() % 8);
                let size = 1 + rng.next() as usize % (1 << (rng.next() % 16));
                let layout = Layout::from_size_align(size.min(MOST_SMALL), align).unwrap();
                let p = t.alloc(Class::of(layout).unwrap());
                assert!(p.addr().is_multiple_of(align));
                let before = live.range(..=p.addr()).next_back().map(|(at, (_, l, _))| at + l.size());
                assert!(before.is_none_or(|end| end <= p.addr()));
                let after = live.range(p.addr()..).next();
                assert!(after.is_none_or(|(at, _)| p.addr() + layout.size() <= *at));
                // SAFETY: the test's block.
                unsafe { p.write_bytes(i as u8, layout.size()) };
                live.insert(p.addr(), (p, layout, i as u8));
            } else {
                let at = *live.keys().nth(rng.next() as usize % live.len()).unwrap();
                let (p, layout, byte) = live.remove(&at).unwrap();
                // SAFETY: the test's block, all of which was written.
                let bytes = unsafe { core::slice::from_raw_parts(p, layout.size()) };
                assert!(bytes.iter().all(|&b| b == byte));
                t.free(p);
            }
        }
        for (p, ..) in std::mem::take(&mut live).into_values() {
            t.free(p);
        }
        let used: usize = t.chunks.len() * CHUNK;
        assert_eq!(t.heap.spans, used);
        assert_eq!(spans_in_use(&t.heap), 0);
    });
}

/// The spans with blocks in use, among those with free blocks.
fn spans_in_use(heap: &Heap) -> usize {
    let mut n = 0;
    for &first in &heap.partial {
        let mut s = first;
        // SAFETY: null, or a span in use.
        while let Some(span) = unsafe { s.as_ref() } {
            n += usize::from(span.used != 0);
            s = span.next;
        }
    }
    n
}

/// What one class had, another gets: a spike does not stay with its class (HEAP-4). All but a few of its spans return
/// their memory (HEAP-5).
#[test]
fn a_spike_leaves_its_class() {
    let mut t = Test::new();
    let (one, other) = (class(MOST_SMALL), class(MOST_SMALL / 2));
    let each = (SPAN - size_of::<Span>()) / one.size();
    let spike = 3 * (MOST_DIRTY + 5);
    let blocks: Vec<*mut u8> = (0..each * spike).map(|_| t.alloc(one)).collect();
    assert_eq!(t.chunks.len() * CHUNK, spike);
    let returned = blocks.into_iter().filter(|&p| t.free(p)).count();
    assert_eq!((t.heap.dirty_len, returned), (MOST_DIRTY, spike - MOST_DIRTY - 1), "one stays with its class");
    let blocks: Vec<*mut u8> = (0..(2 * each) * (spike - 1)).map(|_| t.alloc(other)).collect();
    assert_eq!(t.chunks.len() * CHUNK, spike, "no new chunk");
    blocks.into_iter().for_each(|p| _ = t.free(p));
}

/// A class with few blocks keeps its span: a pair of calls does not set a span up each time.
#[test]
fn the_last_span_of_a_class_stays() {
    let mut t = Test::new();
    let p = t.alloc(class(64));
    for _ in 0..10 {
        assert!(!t.free(p));
        assert_eq!((t.heap.dirty_len, t.alloc(class(64))), (0, p));
    }
    t.free(p);
}

/// Two threads may bring a chunk at the same time: no span of the first is lost.
#[test]
fn a_second_chunk_keeps_the_rest_of_the_first() {
    let mut t = Test::new();
    let first = t.alloc(class(MOST_SMALL));
    // SAFETY: the layout is not empty.
    let p = unsafe { System.alloc_zeroed(chunk_layout()) };
    t.chunks.push(p);
    // SAFETY: zeroes, which live as long as the heap.
    unsafe { t.heap.add_chunk(p, CHUNK) };
    let each = (SPAN - size_of::<Span>()) / MOST_SMALL;
    let blocks: Vec<*mut u8> = (1..each * 2 * CHUNK).map(|_| t.alloc(class(MOST_SMALL))).collect();
    assert_eq!(t.chunks.len(), 2);
    blocks.into_iter().chain([first]).for_each(|p| _ = t.free(p));
}

#[test]
fn large_blocks_are_kept_by_their_length() {
    let mut heap = Heap::new();
    let mut heads: Vec<Head> =
        (0..KEPT + 2).map(|i| Head { len: (i + 1) * 4096, hosts: false, next: null_mut() }).collect();
    heads[0].len = MOST_KEPT + 1;
    // SAFETY: the test's.
    let keep = |heap: &mut Heap, head: *mut Head| unsafe { heap.keep(head) };
    let at = heads.as_mut_ptr();
    assert_eq!(keep(&mut heap, at), Some(at), "too large");
    assert!((1..=KEPT).all(|i| keep(&mut heap, at.wrapping_add(i)).is_none()));
    assert_eq!(keep(&mut heap, at.wrapping_add(KEPT + 1)), Some(at.wrapping_add(1)), "the oldest");
    assert_eq!(heap.take_kept(4096), None);
    for i in [3, 5, 4, 2] {
        assert_eq!(heap.take_kept((i + 1) * 4096), Some(at.wrapping_add(i)));
        assert_eq!(heap.take_kept((i + 1) * 4096), None);
    }
    assert_eq!((heap.kept, heap.kept_len), (null_mut(), 0));
}

/// The heap of the process, from several threads, through lists as the Ps have them.
#[cfg(not(miri))]
#[test]
fn lists_fill_and_spill_beside_other_threads() {
    std::thread::scope(|s| {
        for seed in 0..3u64 {
            s.spawn(move || {
                let rng = Rng::new(seed + 1);
                let mut list = Blocks::NONE;
                let mut mine: Vec<(*mut u8, Layout)> = Vec::new();
                let c = class(512);
                for _ in 0..rounds(20_000) {
                    match rng.next() % 4 {
                        0 => fill(c, 7, &mut list),
                        1 => spill(&mut list, 3),
                        2 => {
                            let size = 1 + rng.next() as usize % (3 * MOST_SMALL);
                            let layout = Layout::from_size_align(size, 64).unwrap();
                            // SAFETY: the layout is not empty.
                            let p = unsafe { alloc(layout) };
                            // SAFETY: the test's block.
                            unsafe { p.write_bytes(seed as u8, size) };
                            mine.push((p, layout));
                        }
                        _ => {
                            let Some((p, layout)) = mine.pop() else { continue };
                            // SAFETY: the test's block, all of which was written.
                            let bytes = unsafe { core::slice::from_raw_parts(p, layout.size()) };
                            assert!(bytes.iter().all(|&b| b == seed as u8));
                            // SAFETY: made with this layout.
                            unsafe { dealloc(p, layout) };
                        }
                    }
                    assert!(list.len() < 4000);
                    if list.len() > 1000 {
                        spill(&mut list, 0);
                        assert_eq!(list.len(), 0);
                    }
                }
                spill(&mut list, 0);
                for (p, layout) in mine {
                    // SAFETY: as above.
                    unsafe { dealloc(p, layout) };
                }
            });
        }
    });
    trim();
}
