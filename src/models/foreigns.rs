//! foreign.rs: foreign threads call in for the first time, and end.

use super::*;

/// Two threads take an M each, run as a G, and end. One M may serve both, one after the other.
fn come_and_end(times: usize, take: fn(&World) -> MRef) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        // A spare M is in the list.
        foreign::dropm(foreign::needm(w.sched, 1).unwrap());
        let ms: Arc<Vec<Sole>> = Arc::new((0..4).map(|_| Sole::default()).collect());
        for _ in 0..2 {
            let ms = ms.clone();
            w.stranger(move |w| {
                for _ in 0..times {
                    let m = take(w);
                    w.is_m(m);
                    ms[m.id as usize].touch();
                    visit(w, m, |_| ms[m.id as usize].touch());
                    ms[m.id as usize].touch();
                    foreign::dropm(m);
                }
            });
        }
        w.finish();
    }
}

fn needm(w: &World) -> MRef {
    foreign::needm(w.sched, 1).unwrap()
}

#[test]
fn two_come_and_end() {
    check(Size { preemptions: 1, ..Size::default() }, come_and_end(1, needm));
}

#[cfg(shuttle)]
#[test]
fn two_come_and_end_again_and_again() {
    check(Size::default(), come_and_end(3, needm));
}

/// A thread that leaves for good from within a syscall hands its P off, unless another thread has taken it.
fn detaches_in_a_syscall() {
    let w = Maker::new(1, 1).make();
    w.stranger(|w| {
        let m = needm(w);
        let gp = foreign::enter_go(m).expect("the runtime is up");
        w.own_p(m);
        syscall::entersyscall(m, gp, std::ptr::dangling_mut());
        foreign::leave_for_good(m, gp, std::ptr::dangling_mut());
        foreign::dropm(m);
    });
    w.stranger(|w| {
        let m = needm(w);
        stop_and_start(w, m, FOREVER);
        visit(w, m, |_| ());
        foreign::dropm(m);
    });
    w.finish();
}

#[test]
fn one_detaches_in_a_syscall() {
    check(Size::default(), detaches_in_a_syscall);
}

/// FOREIGN-U1, broken: a thread takes the lock twice, to look at the first spare M and to take it.
#[cfg(loom)]
fn needm_in_two_steps(w: &World) -> MRef {
    // SAFETY: the list holds Ms.
    let seen = unsafe { MRef::from_ptr(*w.sched.extram.lock()) };
    if let Some(m) = seen {
        *w.sched.extram.lock() = m.link.take();
    }
    seen.unwrap_or_else(|| needm(w))
}

#[cfg(loom)]
#[test]
fn finds_needm_in_two_steps() {
    finds(TWO_OWNERS, || check(Size::default(), come_and_end(1, needm_in_two_steps)));
}
