//! block/post.rs: posts against runs and against the making of the descriptor. While a function waits, the descriptor
//! is readable when every call has returned (POST-I1). It is a descriptor of the system that runs the model.

use super::*;
use crate::block::post;
use crate::sys::io;
use crate::sys::poll::IN;
use std::ffi::c_void;

extern "C" fn posted(_: *mut c_void) {}

fn posts(sched: &Sched) {
    assert_eq!(post::post(sched, posted, std::ptr::null_mut()), Ok(()));
}

fn takes(sched: &Sched) -> usize {
    usize::from(post::take(sched).is_some())
}

/// `before` functions wait. The parties do what they do, and say how many functions they took.
fn meet(has_fd: bool, before: usize, parties: &'static [(usize, fn(&Sched) -> usize)]) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let sched = w.sched;
        if has_fd {
            post::fd(sched).unwrap();
        }
        for _ in 0..before {
            posts(sched);
        }
        let taken = Arc::new(AtomicUsize::new(0));
        for (_, party) in parties {
            let taken = taken.clone();
            w.stranger(move |w| _ = taken.fetch_add(party(w.sched), SeqCst));
        }
        w.finish();
        let all: usize = before + parties.iter().map(|party| party.0).sum::<usize>();
        let left = post::waiting(sched);
        assert_eq!(left, all - taken.load(SeqCst), "POST-I2");
        let fd = post::fd(sched).unwrap();
        assert!(left == 0 || io::ready(fd, IN) != 0, "a function waits, and the host is not told");
        while post::turn(sched) != 0 {
            assert!(post::take(sched).is_some());
        }
        assert_eq!(io::ready(fd, IN), 0, "nothing waits, and the host is told for good");
        post::close_copy(sched);
    }
}

const POSTS: (usize, fn(&Sched) -> usize) = (1, |sched| {
    posts(sched);
    0
});
const TAKES: (usize, fn(&Sched) -> usize) = (0, takes);
/// The descriptor is readable for nothing, or for a function that comes now.
const TURNS: (usize, fn(&Sched) -> usize) = (0, |sched| if post::turn(sched) != 0 { takes(sched) } else { 0 });
const ASKS: (usize, fn(&Sched) -> usize) = (0, |sched| {
    post::fd(sched).unwrap();
    0
});

#[test]
fn post_beside_a_take() {
    check(Size { preemptions: 3, ..Size::default() }, meet(true, 1, &[POSTS, TAKES]));
}

#[test]
fn posts_beside_two_that_take() {
    check(Size::default(), meet(true, 1, &[POSTS, TAKES, TAKES]));
}

#[test]
fn post_beside_a_turn_without_a_function() {
    check(Size { preemptions: 3, ..Size::default() }, meet(true, 0, &[POSTS, TURNS]));
}

#[test]
fn post_beside_the_first_question_for_the_descriptor() {
    check(Size { preemptions: 3, ..Size::default() }, meet(false, 0, &[POSTS, ASKS, ASKS]));
}

/// POST-B2 without the second look.
#[cfg(loom)]
#[test]
fn finds_take_without_a_look_after_the_clear() {
    const CLEARS: (usize, fn(&Sched) -> usize) = (0, |sched| {
        let mut list = sched.posts.list.lock();
        let (node, last) = (list.pop(), list.is_empty());
        drop(list);
        if let (true, Some(fd)) = (last, sched.posts.fd()) {
            sched.posts.clear(fd);
        }
        usize::from(node.is_some())
    });
    finds(&["the host is not told"], || check(Size::default(), meet(true, 1, &[POSTS, CLEARS])));
}

/// POST-C1 without the look under the lock.
#[cfg(loom)]
#[test]
fn finds_descriptor_without_a_look() {
    const ONLY_STORES: (usize, fn(&Sched) -> usize) = (0, |sched| {
        let _list = sched.posts.list.lock();
        sched.posts.set_fd(Some(crate::sys::event::open().unwrap()));
        0
    });
    finds(&["the host is not told"], || check(Size::default(), meet(false, 0, &[POSTS, ONLY_STORES])));
}
