//! preempt.rs, ASK-1 to ASK-4: the library tells the host that a G is asked to yield. A request from before a G began
//! to run does not count as told to that G.

use super::*;
use crate::protocol::preempt::{self, tell};
use std::ffi::c_void;

/// How often the host was told of each token.
static TOLD: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];

fn told(token: usize) -> u32 {
    TOLD[token].load(SeqCst)
}

/// The callback of the host. `heard` is an Event of the model, or null.
extern "C" fn on_preempt(heard: *mut c_void, g: u64) {
    let token = super::world().tokens.iter().position(|t| t.gp.handle() == g).expect("a G that there is");
    TOLD[token].fetch_add(1, SeqCst);
    // SAFETY: an Event that the model keeps until all its threads have ended.
    if let Some(heard) = unsafe { heard.cast::<Event>().as_ref() } {
        heard.happen();
    }
}

/// A world whose host has a callback for preemption.
fn maker(ps: u32, heard: *const Event) -> Maker {
    let mut mk = Maker::new(ps, ps);
    mk.0.asks = true;
    mk.0.sched.cfg.on_preempt.set(on_preempt as *mut c_void);
    mk.0.sched.cfg.on_arg.set(heard.cast_mut().cast());
    mk.0.sched.tells.store(true, Ordering::Relaxed);
    TOLD.iter().for_each(|n| n.store(0, SeqCst));
    mk
}

fn want(m: MRef) {
    assert!(m.must_p().request(PREEMPT).1, "PREEMPT-P1");
}

/// What `gmx_safepoint_slow` does.
fn answers() -> Step {
    Box::new(|_, m, gp| {
        if !preempt::answer(m, gp) {
            return Mcall::Stay;
        }
        gp.set_status(GStatus::Runnable);
        Mcall::Yield(Place::Global)
    })
}

/// As [`answers`], for a host that looks at the word first.
fn polls() -> Step {
    let answers = answers();
    Box::new(move |w, m, gp| if gp.asked.is_set() { answers(w, m, gp) } else { Mcall::Stay })
}

/// The next round of sysmon, after all other tellers. PREEMPT-P2: a G that runs on a P with requests is told by then.
/// ASK-4: a G that runs on a P without requests is not asked.
fn round(w: &World, m: MRef, gp: GRef) {
    tell(w.sched, false);
    assert_eq!(gp.asked.is_set(), m.must_p().requests() != 0, "PREEMPT-P2, ASK-4: what the word says after a round");
}

/// PREEMPT-P2: the next round tells the G of a new request, whatever it was told before `before` was counted.
fn told_anew(w: &World, m: MRef, gp: GRef, token: usize, before: u32) {
    if m.must_p().requests() == 0 {
        want(m);
    }
    round(w, m, gp);
    assert!(told(token) > before, "PREEMPT-P2: a new request, and the host is not told");
}

/// Two threads ask one G, and the host is told once. A later round tells it again. After the answer the word is 0.
#[test]
fn two_ask_one() {
    check(Size::default(), || {
        let mut mk = maker(1, std::ptr::null());
        let (begun, done) = (Arc::new(Event::new()), [(); 2].map(|()| Arc::new(Event::new())));
        let (b, d) = (begun.clone(), done.clone());
        let g = mk.token(vec![
            does(move |w, m, gp| {
                want(m);
                b.happen();
                d.iter().for_each(|done| _ = done.wait(0, None));
                assert_eq!(told(0), 1, "ASK-2: told once");
                round(w, m, gp);
                assert_eq!(told(0), 1, "ASK-2: told once");
                tell(w.sched, true);
                assert_eq!(told(0), 2, "ASK-2: told again while the request stands");
                assert!(gp.asked.is_set());
            }),
            answers(),
            does(|w, m, gp| {
                assert!(!gp.asked.is_set(), "ASK-4");
                tell(w.sched, true);
                assert_eq!(told(0), 2, "told of no request");
                told_anew(w, m, gp, 0, 2);
            }),
            answers(),
        ]);
        let w = mk.make();
        let m = w.worker_with(&[g]);
        w.go(m);
        for done in done {
            let begun = begun.clone();
            w.watcher(move |w, _| {
                begun.wait(0, None);
                tell(w.sched, false);
                done.happen();
            });
        }
        w.finish();
    });
}

/// A G leaves its P while it is asked, and comes back. The G, and the other G that ran meanwhile, are told of later
/// requests. `behind`: the G lets the other thread go first, an order that loom would not try by itself.
fn leaves_while_asked(size: Size, behind: bool, polled: bool) {
    check(size, move || {
        let mut mk = maker(1, std::ptr::null());
        let (begun, done) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let before = Arc::new(AtomicU32::new(0));
        let (b, d, n) = (begun.clone(), done.clone(), before.clone());
        let first = mk.token(vec![
            does(move |_, _, _| {
                b.happen();
                if behind {
                    checker::thread::yield_now();
                }
            }),
            if polled { polls() } else { does(|_, _, _| ()) },
            does(move |_, _, _| n.store(told(0), SeqCst)),
            yields(),
            does(move |w, m, gp| {
                d.wait(0, None);
                told_anew(w, m, gp, 0, before.load(SeqCst));
            }),
            answers(),
            does(|w, m, gp| round(w, m, gp)),
        ]);
        let d = done.clone();
        let second = mk.token(vec![
            does(move |w, m, gp| {
                d.wait(0, None);
                round(w, m, gp);
                told_anew(w, m, gp, 1, 0);
            }),
            answers(),
        ]);
        let w = mk.make();
        let m = w.worker_with(&[first, second]);
        let p = w.sched.p_at(0).unwrap();
        w.go(m);
        w.watcher(move |w, _| {
            begun.wait(0, None);
            p.request(PREEMPT);
            tell(w.sched, false);
            done.happen();
        });
        w.finish();
    });
}

#[test]
fn leaves_while_it_is_asked() {
    leaves_while_asked(Size::default(), false, false);
}

#[test]
fn leaves_when_it_was_asked() {
    leaves_while_asked(Size::default(), true, false);
}

#[test]
fn answers_while_it_is_asked() {
    leaves_while_asked(Size { preemptions: 1, ..Size::default() }, true, true);
}

/// sysmon withdraws a request while a stopper, which may have seen it, tells the G too. The G is still told of the next
/// request.
#[test]
fn withdrawn_while_another_asks() {
    check(Size::default(), || {
        let mut mk = maker(1, std::ptr::null());
        let (begun, done) = (Arc::new(Event::new()), [(); 2].map(|()| Arc::new(Event::new())));
        let (b, d) = (begun.clone(), done.clone());
        let g = mk.token(vec![
            does(move |w, m, gp| {
                b.happen();
                d.iter().for_each(|done| _ = done.wait(0, None));
                round(w, m, gp);
                told_anew(w, m, gp, 0, told(0));
            }),
            answers(),
        ]);
        let w = mk.make();
        let m = w.worker_with(&[g]);
        let p = w.sched.p_at(0).unwrap();
        w.go(m);
        let [sysmon, stopper] = done;
        let b = begun.clone();
        w.watcher(move |w, _| {
            b.wait(0, None);
            p.request(PREEMPT);
            tell(w.sched, false);
            p.clear_request(PREEMPT);
            tell(w.sched, false);
            sysmon.happen();
        });
        w.watcher(move |w, _| {
            begun.wait(0, None);
            tell(w.sched, false);
            stopper.happen();
        });
        w.finish();
    });
}

/// The host answers a withdrawn request before the next round of sysmon. (One thread, and so one schedule.)
#[test]
fn answers_what_was_withdrawn() {
    check(Size { schedules: 1, ..Size::default() }, || {
        let mut mk = maker(1, std::ptr::null());
        let g = mk.token(vec![
            does(|w, m, gp| {
                want(m);
                round(w, m, gp);
                m.must_p().clear_request(PREEMPT);
            }),
            answers(),
            does(|w, m, gp| told_anew(w, m, gp, 0, 1)),
            answers(),
        ]);
        let w = mk.make();
        let m = w.worker_with(&[g]);
        w.go(m);
        w.finish();
    });
}

/// A G that is asked leaves its P without an answer. (One schedule, too.)
#[test]
fn is_entered_after_it_was_asked() {
    check(Size { schedules: 1, ..Size::default() }, || {
        let mut mk = maker(1, std::ptr::null());
        let g = mk.token(vec![
            does(|w, m, gp| {
                want(m);
                round(w, m, gp);
            }),
            yields(),
            does(|w, m, gp| {
                assert!(!gp.asked.is_set(), "ASK-4");
                told_anew(w, m, gp, 0, 1);
            }),
            answers(),
        ]);
        let w = mk.make();
        let m = w.worker_with(&[g]);
        w.go(m);
        w.finish();
    });
}

/// ASK-1: the thread that wants something tells the G itself. There is no sysmon here.
fn told_by(wants: fn(&Arc<World>, MRef)) -> impl Fn() {
    move || {
        let heard = Arc::new(Event::new());
        let mut mk = maker(1, &raw const *heard);
        let begun = Arc::new(Event::new());
        let b = begun.clone();
        let g = mk.token(vec![
            does(move |_, _, gp| {
                b.happen();
                heard.wait(0, None);
                assert!(gp.asked.is_set(), "ASK-2: told, and the word is 0");
            }),
            answers(),
            does(|_, _, gp| assert!(!gp.asked.is_set(), "ASK-4")),
        ]);
        let w = mk.make();
        let m = w.worker_with(&[g]);
        w.go(m);
        w.host(move |w, m| {
            begun.wait(0, None);
            wants(w, m);
        });
        w.finish();
    }
}

#[test]
fn a_stop_tells() {
    check(Size::default(), told_by(|w, m| assert!(stop_and_start(w, m, FOREVER))));
}

#[test]
fn a_barrier_tells() {
    check(Size::default(), told_by(barriers::barrier));
}
