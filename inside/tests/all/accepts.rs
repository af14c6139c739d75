//! Traces that can have happened, also those that begin or end anywhere.

use crate::common::File;
use gomax_inside::raw::{self, NO_P, kind};

/// Two Ps. G1 is on M0 from the beginning on. It spawns, waits, and is readied by G2, which M1 has stolen. A syscall
/// stays short, another loses its P; a thread of the host comes and goes; the world stops; a P is seized.
pub fn whole() -> File {
    let mut f = File::new(4);
    f.create(0, 0, 2).proc_start(1, 1, 8).start(1, 1, 2, 1).block(0, 0, 1);
    f.unblock(1, 1, 1, 41).start(0, 0, 1, 42);
    f.enter(0, 0, 90, 1).exit(0, 0, 1);
    f.create(1, 1, 3).enter(0, 0, 91, 1).steal(2, 0, 92, 0).proc_start(2, 0, 93).start(2, 0, 3, 1);
    f.exit_blocked(0, 1).stop(2, 0, 3).start(2, 0, 1, 43);
    // a thread of the host comes in, runs on P1, and leaves it
    f.put(3, kind::FOREIGN_IN, NO_P, 0, 50, 777);
    f.block(1, 1, 2).proc_stop(1, 1);
    f.proc_start(3, 1, 9).exit_blocked(3, 50).start(3, 1, 50, 1);
    f.text(3, "a name that is longer than a record is").create(3, 1, 4);
    f.unblock(3, 1, 2, 2).enter(3, 1, 10, 50).steal(3, 1, 11, 3);
    f.put(3, kind::FOREIGN_OUT, NO_P, 0, 50, 0);
    // a thread without a P spawns
    f.put(3, kind::CREATE_NO_P, NO_P, 0, 5, 0);
    // the world stops, and there are more Ps
    f.text(2, "resize").put(2, kind::STW_BEGIN, NO_P, 0, 1, 0).put(2, kind::PROCS, NO_P, 0, 0, 4);
    f.put(2, kind::STW_END, NO_P, 0, 1, 0);
    // M0 seizes P0 from the code of the host that G1 runs on M2
    f.seize(0, 0, 95, 1, 2).proc_start(0, 0, 96).start(0, 0, 4, 1);
    f.proc_start(2, 1, 12).exit_blocked(2, 1).start(2, 1, 1, 44);
    // a coroutine
    f.put(0, kind::CREATE_WAITING, 0, 0, 6, 0).unblock(0, 0, 6, 1).block(0, 0, 4).start(0, 0, 6, 2);
    f.destroy(0, 0, 6);
    f.text(2, "request").put(2, kind::TASK_BEGIN, NO_P, 0, 1, 9);
    f.text(2, "parse").put(2, kind::REGION_BEGIN, NO_P, 0, 1, 9);
    f.text(2, "hello").put(2, kind::LOG, NO_P, 0, 1, 9);
    f.text(2, "field").put(2, kind::REGION_BEGIN, NO_P, 0, 1, 0).put(2, kind::REGION_END, NO_P, 0, 1, 0);
    f.put(2, kind::REGION_END, NO_P, 0, 1, 0).put(2, kind::REGION_END, NO_P, 0, 1, 0);
    f.put(2, kind::TASK_END, NO_P, 0, 1, 9);
    f.start(0, 0, 5, 1).destroy(0, 0, 5).proc_stop(0, 0).destroy(2, 1, 1);
    f
}

#[test]
fn a_whole_trace() {
    let f = whole();
    let records: usize = f.ms.iter().map(|(_, records)| records.len()).sum();
    assert_eq!(f.passes(), records);
    // (ci/inside.sh shows it to Go's own parser)
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/whole.gmxtrace"), f.bytes()).unwrap();
}

/// Times of two threads say little: the order comes from the numbers.
#[test]
fn clocks_that_differ() {
    for ahead in 0..4 {
        let mut f = whole();
        f.ms[ahead].1.iter_mut().filter(|r| r.kind() != kind::TEXT).for_each(|r| r.time += 7_500);
        f.now += 7_500;
        f.passes();
    }
}

/// Each place where a reader may begin.
#[test]
fn every_cut() {
    let f = whole();
    let length = f.now + 1_000_000 - f.began;
    for last in (1_000_000..length).step_by(500) {
        f.passes_last(Some(last));
    }
}

/// Rings that have lost their oldest records, each so many that another ring has fewer.
#[test]
fn rings_that_forget() {
    let f = whole();
    for m in 0..f.ms.len() {
        for keep in 0..f.ms[m].1.len() {
            let mut f = f.clone();
            f.forget(m, keep);
            f.passes();
        }
    }
}

/// A thief takes a P before it writes so. Its victim may be back before that record, and the trace begin between both.
#[test]
fn a_theft_that_is_written_late() {
    let mut f = File::new(2);
    f.create(0, 0, 2).start(0, 0, 2, 1).enter(0, 0, 5, 2).exit_blocked(0, 2);
    let back = f.now;
    f.steal(1, 0, 6, 0).proc_start(0, 1, 9).start(0, 1, 2, 2).proc_start(1, 0, 7).proc_stop(1, 0);
    assert_eq!(f.passes(), 9);
    // the victim has another P
    f.passes_last(Some(f.trace().header.ended.ticks - back - 1));
    // the ring has lost when the syscall began
    f.ms[0].1.drain(..3);
    f.ms[0].0.written = 6;
    f.ms[0].0.lost_before = back;
    f.passes_last(Some(f.trace().header.ended.ticks - back - 1));
    // it came from the code of the host
    let mut f = File::new(2);
    f.create(0, 0, 2).start(0, 0, 2, 1).exit_blocked(0, 2);
    let back = f.now;
    f.seize(1, 0, 6, 2, 0).proc_start(0, 1, 9).start(0, 1, 2, 2).proc_start(1, 0, 7).proc_stop(1, 0);
    assert_eq!(f.passes(), 8);
    f.passes_last(Some(f.trace().header.ended.ticks - back - 1));
}

/// A G that waits all the time is known by the table alone; a G that runs all the time by its thread.
#[test]
fn gs_without_records() {
    let mut f = whole();
    f.ms.push((
        raw::Thread { id: 9, tid: 109, written: 5, goid: 77, pid: 3, flags: raw::thread::ALIVE, ..Default::default() },
        Vec::new(),
    ));
    let row = raw::GRow { goid: 78, wait_since: f.began - 1, status: raw::status::PARKED, ..Default::default() };
    f.gs.push(row);
    f.gs.push(raw::GRow { goid: 79, wait_since: f.now, ..row });
    f.passes();
    let trace = f.trace();
    let begin = gomax_inside::begin::begin(&trace, None);
    assert!(begin.known_g.contains(&77) && begin.known_g.contains(&78) && !begin.known_g.contains(&79));
    assert_eq!(begin.machine.ps[&3].status, gomax_inside::order::PStatus::Running);
}

/// A G that was held in the middle of the host's code, and continues without a P.
#[test]
fn a_held_g_goes_on() {
    let mut f = File::new(1);
    f.create(0, 0, 2).put(0, kind::STOP, NO_P, 0, 1, raw::stop::HELD).proc_stop(0, 0);
    f.exit_blocked(0, 1).proc_start(0, 0, 4).start(0, 0, 1, 3);
    f.passes();
}

/// A G that has lost its P to a thief is held before it is back, and continues without a P.
#[test]
fn a_g_without_a_p_is_held() {
    let mut f = File::new(2);
    f.create(0, 0, 2).start(0, 0, 2, 1).seize(1, 0, 6, 2, 0).proc_start(1, 0, 7).exit_blocked(0, 2);
    f.exit_blocked(0, 2).proc_start(0, 1, 1).start(0, 1, 2, 2).destroy(0, 1, 2);
    f.passes();
}

/// The last records may rest on others that are not there.
#[test]
fn a_tail_that_hangs_in_the_air() {
    let mut f = whole();
    f.now += 1_000_000 - 1_000;
    f.unblock(0, NO_P, 99, 5);
    f.now -= 1_000_000;
    let trace = f.trace();
    let mut begin = gomax_inside::begin::begin(&trace, None);
    let mut machine = std::mem::take(&mut begin.machine);
    // (without the cause that the tables would have: the G has no other record)
    machine.gs.remove(&99);
    let tail = gomax_inside::begin::in_order(&trace, &begin.from, &mut machine, |_, _| {}).unwrap();
    assert_eq!(tail, 1);
}

#[test]
fn other_files_are_told_apart() {
    use gomax_inside::input::Trace;
    let good = whole().bytes();
    let error = |bytes: &[u8]| Trace::parse(bytes.to_vec()).err().unwrap();
    assert_eq!(error(b"hello"), "this is no trace of libgomax");
    assert!(error(&good[..good.len() - 16]).contains("cut off"));
    assert!(error(&good[..good.len() / 2]).contains("cut off"));
    let mut other = good.clone();
    other[8] = 9;
    assert_eq!(error(&other), "its format is 9, and this program reads 1");
    let mut overwritten = whole();
    overwritten.forget(2, 0);
    overwritten.ms[2].0.lost_before = overwritten.trace().header.ended.ticks + 1;
    assert!(error(&overwritten.bytes()).starts_with("nothing is left: the ring of M2 was overwritten"));
}
