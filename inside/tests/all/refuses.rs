//! Planted faults: each is refused, with a sentence that names the G, the P, the M and the record.

use crate::common::File;
use gomax_inside::raw::{NO_P, kind};

/// One sentence, which has all these words.
#[track_caller]
fn says(f: &File, words: &[&str]) {
    let refused = f.refusals();
    assert_eq!(refused.len(), 1, "{refused:#?}");
    for word in words {
        assert!(refused[0].contains(word), "no '{word}' in: {}", refused[0]);
    }
}

#[test]
fn two_ms_have_one_p() {
    let mut f = File::new(2);
    f.proc_start(0, 0, 1).create(0, 0, 1).start(0, 0, 1, 1).proc_start(1, 0, 2).stop(0, 0, 1);
    says(
        &f,
        &[
            "M1, record 0 (PROC_START P0 seq 2)",
            "P0 is running on M0",
            "since record 0 (PROC_START P0 seq 1) of M0",
            "records end",
        ],
    );
}

#[test]
fn two_ms_take_one_p_by_one_number() {
    let mut f = File::new(2);
    f.proc_start(0, 0, 1).proc_stop(0, 0).proc_start(1, 0, 1).proc_stop(1, 0);
    says(
        &f,
        &["M1, record 0 (PROC_START P0 seq 1)", "it has the number 1, which record 0 (PROC_START P0 seq 1) of M0 had"],
    );
}

#[test]
fn a_g_on_two_threads() {
    let mut f = File::new(2);
    f.create(0, 0, 7).start(1, 1, 7, 1).start(0, 0, 7, 2).stop(0, 0, 7);
    says(
        &f,
        &[
            "M0, record 1 (START G7 P0 seq 2)",
            "G7 is running on M1",
            "record 0 (START G7 P1 seq 1) of M1",
            "records end",
        ],
    );
}

#[test]
fn a_lost_wake_up() {
    let mut f = File::new(2);
    f.create(0, 0, 7).start(0, 0, 7, 1).block(0, 0, 7).start(1, 1, 7, 2);
    says(
        &f,
        &[
            "M1, record 0 (START G7 P1 seq 2)",
            "no record has readied it",
            "waiting since record 2 (BLOCK G7 P0 'chan receive') of M0",
        ],
    );
}

#[test]
fn a_doubled_wake_up() {
    let mut f = File::new(3);
    f.create(0, 0, 7).start(0, 0, 7, 1).block(0, 0, 7).unblock(1, 1, 7, 2).unblock(2, 2, 7, 3).start(0, 0, 7, 4);
    // (the second M that readies it, and the start that comes after its number)
    let refused = f.refusals();
    assert!(refused[0].starts_with("M2, record 0 (UNBLOCK G7 P2 seq 3): it readies G7 a second time"), "{refused:#?}");
    let mut f = File::new(3);
    f.create(0, 0, 7).start(0, 0, 7, 1).block(0, 0, 7).unblock(1, 1, 7, 2).unblock(2, 2, 7, 2).start(0, 0, 7, 3);
    says(&f, &["M2, record 0 (UNBLOCK G7 P2 seq 2)", "the number 2, which record 0 (UNBLOCK G7 P1 seq 2) of M1 had"]);
}

#[test]
fn a_number_that_is_left_out() {
    let mut f = File::new(2);
    f.create(0, 0, 7).start(0, 0, 7, 1).block(0, 0, 7).unblock(1, 1, 7, 3);
    says(&f, &["M1, record 0 (UNBLOCK G7 P1 seq 3)", "with the number 1; no record of G7 has the number 2"]);
    let mut f = File::new(2);
    f.proc_start(0, 0, 1).proc_stop(0, 0).proc_start(1, 0, 3);
    says(&f, &["M1, record 0 (PROC_START P0 seq 3)", "with the number 1; no record of P0 has the number 2"]);
}

#[test]
fn a_start_of_a_g_that_has_ended() {
    let mut f = File::new(2);
    f.create(0, 0, 7).start(0, 0, 7, 1).destroy(0, 0, 7).start(1, 1, 7, 2);
    says(&f, &["M1, record 0 (START G7 P1 seq 2)", "G7 has ended, by record 2 (DESTROY G7 P0) of M0"]);
}

#[test]
fn a_g_that_is_created_twice() {
    let mut f = File::new(2);
    f.create(0, 0, 7).create(1, 1, 7);
    says(&f, &["M1, record 0 (CREATE G7 P1)", "it creates G7, which there is already"]);
    let mut f = File::new(2);
    f.create(0, 0, 7).put(1, kind::FOREIGN_IN, NO_P, 0, 7, 777);
    says(&f, &["M1, record 0 (FOREIGN_IN G7 thread 777)", "G7 comes in, and there is a G7 already"]);
}

#[test]
fn a_start_on_a_thread_that_has_a_g() {
    let mut f = File::new(1);
    f.create(0, 0, 7).create(0, 0, 8).start(0, 0, 7, 1).start(0, 0, 8, 1);
    says(&f, &["M0, record 3 (START G8 P0 seq 1)", "its thread has G7"]);
}

#[test]
fn a_record_of_another_g_or_another_p() {
    let mut f = File::new(1);
    f.create(0, 0, 7).start(0, 0, 7, 1).block(0, 0, 8);
    says(&f, &["M0, record 2 (BLOCK G8 P0 'chan receive')", "it names G8, and its thread has G7"]);
    let mut f = File::new(1);
    f.create(0, 0, 7).start(0, 0, 7, 1).block(0, 3, 7);
    says(&f, &["M0, record 2 (BLOCK G7 P3 'chan receive')", "it names P3, and its thread has P0"]);
}

#[test]
fn a_p_that_is_taken_without_a_number_and_lost() {
    // M0 is back without the P, and no thief has taken it
    let mut f = File::new(1);
    f.create(0, 0, 7).start(0, 0, 7, 1).enter(0, 0, 5, 7).exit_blocked(0, 7);
    says(&f, &["M0, record 3 (SYS_BLOCKED G7)", "no record takes P0 with the number 6"]);
    // it takes another P first
    let mut f = File::new(1);
    f.create(0, 0, 7).start(0, 0, 7, 1).enter(0, 0, 5, 7).proc_start(0, 1, 3).exit_blocked(0, 7);
    says(&f, &["M0, record 3 (PROC_START P1 seq 3)", "no record takes P0 with the number 6"]);
}

#[test]
fn a_syscall_that_ends_twice_without_its_p() {
    let mut f = File::new(2);
    f.create(0, 0, 7).start(0, 0, 7, 1).enter(0, 0, 5, 7).steal(1, 0, 6, 0).exit_blocked(0, 7).exit_blocked(0, 7);
    says(&f, &["M0, record 4 (SYS_BLOCKED G7)", "it names G7, and its thread has no G"]);
    // only a G that was held may run without a P
    let mut f = File::new(1);
    f.create(0, 0, 7).start(0, 0, 7, 1).stop(0, 0, 7).exit_blocked(0, 7);
    says(&f, &["M0, record 3 (SYS_BLOCKED G7)", "it names G7, and its thread has no G"]);
}

#[test]
fn a_p_that_is_taken_although_it_stayed() {
    let mut f = File::new(2);
    f.create(0, 0, 7)
        .start(0, 0, 7, 1)
        .enter(0, 0, 5, 7)
        .exit(0, 0, 7)
        .enter(0, 0, 6, 7)
        .exit(0, 0, 7)
        .steal(1, 0, 6, 0);
    says(&f, &["M1, record 0 (PROC_STEAL P0 seq 6 from M0)", "it has the number 6"]);
    let mut f = File::new(2);
    f.create(0, 0, 7).start(0, 0, 7, 1).enter(0, 0, 5, 7).exit(0, 0, 7).steal(1, 0, 6, 0).stop(0, 0, 7);
    // (as the clocks have it, the thief comes before the end)
    f.ms[1].1[0].time -= 1500;
    let refused = f.refusals();
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert!(refused[0].contains("M0, record 3 (SYS_END G7 P0): it names P0, and its thread has no P"), "{refused:#?}");
}

#[test]
fn a_thief_that_names_another_victim() {
    let mut f = File::new(3);
    f.create(0, 0, 7).start(0, 0, 7, 1).enter(0, 0, 5, 7).steal(1, 0, 6, 2);
    says(&f, &["M1, record 0 (PROC_STEAL P0 seq 6 from M2)", "it takes P0 from M2, and M0 has it"]);
}

#[test]
fn a_p_that_is_seized_from_a_g_that_blocks() {
    let mut f = File::new(2);
    f.create(0, 0, 7).start(0, 0, 7, 1).enter(0, 0, 5, 7).exit(0, 0, 7).seize(1, 0, 7, 7, 0).block(0, 0, 7);
    let refused = f.refusals();
    assert!(
        refused.iter().any(|r| r.contains("P0") && r.contains("M1, record 0 (SEIZE G7 P0 seq 7 from M0)")),
        "{refused:#?}"
    );
}

#[test]
fn a_p_that_is_seized_from_another_g() {
    let mut f = File::new(2);
    f.create(0, 0, 7).start(0, 0, 7, 1).seize(1, 0, 7, 8, 0);
    says(&f, &["M1, record 0 (SEIZE G8 P0 seq 7 from M0)", "it takes P0 from G8, and M0 has G7, and has no further"]);
    let mut f = File::new(1);
    f.create(0, 0, 7).start(0, 0, 7, 1).seize(0, 0, 7, 7, 0);
    says(&f, &["M0, record 2 (SEIZE G7 P0 seq 7 from M0)", "M0 runs G7, and takes it from itself"]);
}

#[test]
fn a_p_that_is_taken_although_it_is_idle() {
    let mut f = File::new(2);
    f.proc_start(0, 0, 1).proc_stop(0, 0).steal(1, 0, 2, 0);
    says(
        &f,
        &["M1, record 0 (PROC_STEAL P0 seq 2 from M0)", "it takes P0 out of a syscall; P0 is idle since record 1"],
    );
}

#[test]
fn a_p_that_is_started_although_it_is_in_a_syscall() {
    let mut f = File::new(2);
    f.create(0, 0, 7).start(0, 0, 7, 1).enter(0, 0, 5, 7).proc_start(1, 0, 6);
    says(
        &f,
        &["M1, record 0 (PROC_START P0 seq 6)", "it starts P0, which no record has taken; P0 is in a syscall on M0"],
    );
}

#[test]
fn a_g_in_a_syscall_that_spawns() {
    let mut f = File::new(1);
    f.create(0, 0, 7).start(0, 0, 7, 1).enter(0, 0, 5, 7).create(0, 0, 8);
    says(&f, &["M0, record 3 (CREATE G8 P0)", "it creates G8, and G7 of its thread is in a syscall"]);
}

#[test]
fn a_syscall_that_ends_with_another_p() {
    let mut f = File::new(1);
    f.create(0, 0, 7).start(0, 0, 7, 1).enter(0, 0, 5, 7).proc_stop(0, 0).proc_start(0, 1, 3).exit(0, 1, 7);
    says(&f, &["M0, record 5 (SYS_END G7 P1)", "G7 returns from its syscall with P1, which is running"]);
}

/// The P that a record names would tell these apart first.
#[test]
fn a_record_that_names_no_p() {
    let mut f = File::new(2);
    f.create(0, 0, 7).put(1, kind::CREATE, NO_P, 0, 8, 0);
    says(&f, &["M1, record 0 (CREATE G8)", "it creates G8, and its thread has no P"]);
    let mut f = File::new(2);
    f.create(0, 0, 7).put(1, kind::START, NO_P, 1, 7, 0);
    says(&f, &["M1, record 0 (START G7 seq 1)", "it starts G7, and its thread has no P"]);
    let mut f = File::new(1);
    f.create(0, 0, 7).start(0, 0, 7, 1).proc_stop(0, 0).put(0, kind::STOP, NO_P, 0, 7, 1);
    says(&f, &["M0, record 3 (STOP G7 'yield')", "its thread has G7, and no P"]);
    let mut f = File::new(1);
    f.create(0, 0, 7).start(0, 0, 7, 1).enter(0, 0, 5, 7).proc_stop(0, 0).put(0, kind::SYS_END, NO_P, 0, 7, 0);
    says(&f, &["M0, record 4 (SYS_END G7)", "G7 returns from its syscall with the P, and its thread has none"]);
}

#[test]
fn a_syscall_with_a_number_too_many() {
    let mut f = File::new(1);
    f.proc_start(0, 0, 1).create(0, 0, 7).start(0, 0, 7, 1).enter(0, 0, 3, 7);
    says(&f, &["M0, record 3 (SYS_BEGIN G7 P0 seq 3)", "P0 had the number 1, and the record has 3"]);
}

#[test]
fn a_world_that_is_stopped_twice() {
    let mut f = File::new(1);
    f.create(0, 0, 7).start(0, 0, 7, 1);
    f.text(0, "dump").put(0, kind::STW_BEGIN, NO_P, 0, 7, 0).text(0, "again").put(0, kind::STW_BEGIN, NO_P, 0, 7, 0);
    says(&f, &["M0, record 5 (STW_BEGIN G7 'again')", "G7 stops the world again"]);
}

#[test]
fn a_task_that_begins_twice() {
    let mut f = File::new(1);
    f.create(0, 0, 7).start(0, 0, 7, 1).put(0, kind::TASK_BEGIN, NO_P, 0, 7, 3).put(0, kind::TASK_BEGIN, NO_P, 0, 7, 3);
    says(&f, &["M0, record 3 (TASK_BEGIN G7 task 3)", "the task 3 has begun already"]);
}

#[test]
fn a_kind_that_there_is_not() {
    let mut f = File::new(1);
    f.put(0, 200, NO_P, 0, 0, 0);
    says(&f, &["M0, record 0", "there is no kind 200"]);
}

/// Each of two threads waits for what the other does later.
#[test]
fn a_circle() {
    let mut f = File::new(2);
    f.create(0, 0, 7).create(0, 0, 8).start(0, 0, 7, 1).block(0, 0, 7);
    f.proc_start(1, 1, 5);
    // M0 starts G8 with the number after M1's, M1 starts G7 with the number after M0's
    f.start(0, 0, 8, 3).unblock(0, 0, 7, 2).start(1, 1, 7, 3).unblock(1, 1, 8, 1).unblock(1, 1, 8, 2);
    let refused = f.refusals();
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert!(refused[0].starts_with("each waits for the next: "), "{refused:#?}");
    assert!(
        refused[0].contains("M0, record 4 (START G8") && refused[0].contains("M1, record 1 (START G7"),
        "{refused:#?}"
    );
}

/// A G that is runnable for long while a P is idle is no contradiction. The longest such time is told.
#[test]
fn a_g_that_is_late() {
    let mut f = File::new(2);
    f.proc_start(1, 1, 5).proc_stop(1, 1).create(0, 0, 7).create(0, 0, 8).start(0, 0, 7, 1);
    f.now += 50_000_000;
    f.stop(0, 0, 7).start(0, 0, 8, 1);
    f.passes();
    let trace = f.trace();
    let sums = gomax_inside::report::sums(&trace, gomax_inside::begin::begin(&trace, None)).unwrap();
    let late = sums.latest.unwrap();
    assert_eq!((late.g, late.p), (8, 1));
    assert!((50_000_000..51_000_000).contains(&late.nanos), "{late:?}");
    let said = gomax_inside::report::late(&trace, &late);
    assert!(said.contains("G8, P1, since record 1 (CREATE G8 P0) of M0"), "{said}");
}

/// What Go's parser refuses in Go's format, `goread` refuses, too.
#[test]
fn gos_format_with_faults() {
    use gomax_inside::go::{self, ev};
    use gomax_inside::goread;
    let mut f = File::new(1);
    f.create(0, 0, 7).start(0, 0, 7, 1).block(0, 0, 7);
    let trace = f.trace();
    let mut good = Vec::new();
    let begin = gomax_inside::begin::begin(&trace, None);
    go::write(&trace, begin, 26, &mut gomax_inside::symbols::Symbols::new(""), &mut good).unwrap();
    assert!(goread::check(&good).unwrap().is_ok());
    assert_eq!(good.last(), Some(&ev::END_OF_GENERATION));
    assert!(goread::check(&good[..good.len() - 1]).unwrap_err().contains("cut off"));
    assert!(goread::check(&good[..good.len() - 3]).unwrap_err().contains("cut off"));
    let mut other = good.clone();
    other[6] = b'7';
    assert!(goread::check(&other).unwrap_err().contains("1.27"));
    let at = good.iter().rposition(|b| *b == ev::GO_BLOCK).unwrap();
    let mut other = good.clone();
    other[at] = 200;
    assert!(goread::check(&other).unwrap_err().contains("there is no event 200"));
}
