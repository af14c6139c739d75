//! The records of what happens, and the file that holds them.
//!
//! The library writes this file; the tool in `inside/` includes this source and reads it. So there are no imports here.
//! Numbers are little-endian, as the machines that the library supports have them.
//!
//! # A record
//! 32 bytes:
//!
//! ```text
//!  time   when, in ticks of the clock that the header names
//!  head   63          32 31         8 7      0
//!        +--------------+------------+--------+
//!        |     seq      |    pid     |  kind  |
//!        +--------------+------------+--------+
//!  goid   the G, or 0
//!  aux    by the kind
//! ```
//!
//! `pid` is a P, or [`NO_P`]. A record is written by the thread that may change what the record tells, before the next
//! thread can change it again (RECORD-1). `seq` of a G counts its START and UNBLOCK records; `seq` of a P counts its
//! PROC_START, PROC_STEAL, SEIZE and SYS_BEGIN records (SEIZE counts twice). So records of several threads about one G
//! or one P can be put in order without trust in clocks. The first number in a file is anything: what happened before
//! is not in it. Between two records of a file no number is left out.
//!
//! Time of one M never goes back. Times of two Ms may differ by less than the hand-over from one to the other takes: at
//! the end of a file (`ended`) the last records of an M may rest on a record of another M that is not there. A reader
//! drops what cannot be put in order once no M can go on.
//!
//! Each M has a ring that forgets its oldest records. What is left of each begins at another time. The latest of these
//! times is where the whole trace begins; a reader finds the state at that point by looking ahead to the first record
//! of each G and P: START means that the G was runnable, UNBLOCK that it waited, SYS_END and SYS_BLOCKED that it was in
//! a syscall on this M, any other that it ran on this M; and so on for Ps.
//!
//! # The file
//! [`Header`], then sections. Each is a [`Section`] and as many bytes as that says, a multiple of 8. A reader skips the
//! sections that it does not know. The last one is [`section::END`]; a file without it was cut off.

/// The first bytes of a file.
pub const MAGIC: [u8; 8] = *b"gmxtrace";
/// The version of this format. A reader refuses others.
pub const VERSION: u32 = 1;

/// In a record: no P.
pub const NO_P: u32 = 0xff_ffff;
/// In tables: no M.
pub const NO_M: u32 = u32::MAX;

/// See the module.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Record {
    pub time: u64,
    pub head: u64,
    pub goid: u64,
    pub aux: u64,
}

impl Record {
    #[inline(always)]
    pub const fn new(time: u64, kind: u8, pid: u32, seq: u32, goid: u64, aux: u64) -> Record {
        Record { time, head: kind as u64 | ((pid & NO_P) as u64) << 8 | (seq as u64) << 32, goid, aux }
    }
    pub const fn kind(&self) -> u8 {
        self.head as u8
    }
    pub const fn pid(&self) -> u32 {
        (self.head >> 8) as u32 & NO_P
    }
    pub const fn seq(&self) -> u32 {
        (self.head >> 32) as u32
    }
}

/// The kinds of records. "M" is the M in whose ring the record is. Where `seq`, `goid` or `aux` are not mentioned they
/// are 0, and `pid` is [`NO_P`].
pub mod kind {
    /// M has taken P `pid`, which was idle. seq of the P.
    pub const PROC_START: u8 = 1;
    /// M gives P `pid` away: it is idle. M ran no G, or its G is in a syscall or just stopped.
    pub const PROC_STOP: u8 = 2;
    /// M takes P `pid`, which was in a syscall on M `aux`. The P is idle now. `aux` may be M itself: its syscall is
    /// over without a G to run. seq of the P.
    pub const PROC_STEAL: u8 = 3;
    /// M takes P `pid` from the code of the host that G `goid` ran on M `aux`: as if the G had been in a syscall. seq
    /// of the P, which has risen by two: SYS_BEGIN on M `aux` with seq - 1, which no record tells, and PROC_STEAL with
    /// seq.
    pub const SEIZE: u8 = 4;
    /// The G that runs on M has spawned G `goid`, which is runnable. `pid` is M's. `aux`: the address of its function.
    /// Its seq begins at 0. TEXT records before: its name.
    pub const CREATE: u8 = 5;
    /// As CREATE, by a thread without a P (`goid` is the new G).
    pub const CREATE_NO_P: u8 = 6;
    /// A new coroutine `goid`: as CREATE, but it waits. `pid` may be NO_P.
    pub const CREATE_WAITING: u8 = 7;
    /// G `goid`, which was runnable, runs on M, with P `pid`. seq of the G. `aux`: the address of its function.
    pub const START: u8 = 8;
    /// G `goid` has ended on M. `pid` is M's P, which it keeps.
    pub const DESTROY: u8 = 9;
    /// G `goid` does not run any more, and is runnable. `aux`: see [`super::stop`].
    pub const STOP: u8 = 10;
    /// G `goid` waits. The reason: TEXT records before, if there are any; otherwise `seq`, the number of a string.
    /// `aux`: the address in the host's code to which the waiting call returns, or 0.
    pub const BLOCK: u8 = 11;
    /// G `goid`, which waited, is runnable. seq of the G. `pid` is that of M, if it has one. If G `goid` has waited on
    /// M itself just now, it has refused to.
    pub const UNBLOCK: u8 = 12;
    /// G `goid` goes into a syscall on M. P `pid` stays with it until it is taken. seq of the P. `aux`: as in BLOCK.
    pub const SYS_BEGIN: u8 = 13;
    /// G `goid` is back, with P `pid`, which it never lost.
    pub const SYS_END: u8 = 14;
    /// G `goid` is back, without the P with which it went: it is runnable. If it ran before, its P was taken by a SEIZE
    /// of another M. If it was runnable before (it was held in the middle of the host's code, and went on without a
    /// P), this changes nothing.
    pub const SYS_BLOCKED: u8 = 15;
    /// Thread `aux` of the host is M from here on. Its G `goid` is in a syscall without a P.
    pub const FOREIGN_IN: u8 = 16;
    /// The thread leaves M; its G `goid` is gone. It was in a syscall.
    pub const FOREIGN_OUT: u8 = 17;
    /// Thread `aux` of the library is M from here on.
    pub const THREAD: u8 = 18;
    /// The G on M begins to stop the world. TEXT records before: why.
    pub const STW_BEGIN: u8 = 19;
    /// The G that had stopped the world starts it.
    pub const STW_END: u8 = 20;
    /// There are `aux` Ps from here on.
    pub const PROCS: u8 = 21;
    /// Text of the next record of another kind in this ring: `time`, `goid` and `aux` are 24 bytes of it, ended by a
    /// NUL or by the end. `seq`: how many such records come before this one. `pid`: how many there are in all.
    pub const TEXT: u8 = 22;
    /// G `goid` writes a line, which TEXT records before hold. `aux`: the task, or 0.
    pub const LOG: u8 = 23;
    /// G `goid` begins task `aux`, with the name in TEXT records before. `seq`: the task around it (its low half), or
    /// 0.
    pub const TASK_BEGIN: u8 = 24;
    /// Task `aux` is over.
    pub const TASK_END: u8 = 25;
    /// G `goid` enters a region, with the name in TEXT records before. `aux`: its task, or 0.
    pub const REGION_BEGIN: u8 = 26;
    /// G `goid` leaves the region that it entered last. It may have entered it before recording began.
    pub const REGION_END: u8 = 27;
}

/// Why a G stopped without a wait: `aux` of STOP.
pub mod stop {
    /// It asked for it.
    pub const YIELD: u64 = 1;
    /// The library asked for it: its slice was over, a stop of the world, a barrier, a timer.
    pub const PREEMPTED: u64 = 2;
    /// Its new child runs first.
    pub const CHILD_FIRST: u64 = 3;
    /// Its thread is held in the middle of the host's code.
    pub const HELD: u64 = 4;
    /// It waits for its own thread, or its thread for a P.
    pub const LOCKED: u64 = 5;

    /// As a reader shows it.
    pub const fn text(why: u64) -> &'static str {
        match why {
            YIELD => "yield",
            PREEMPTED => "preempted",
            CHILD_FIRST => "child runs first",
            HELD => "held",
            LOCKED => "locked to a thread",
            _ => "",
        }
    }
}

/// A moment on three clocks: ticks of the records, CLOCK_MONOTONIC and CLOCK_REALTIME in nanoseconds.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moment {
    pub ticks: u64,
    pub mono: u64,
    pub real: u64,
}

/// The beginning of a file. Ticks become nanoseconds by the two moments; if they are equal, a tick is a nanosecond.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    pub magic: [u8; 8],
    pub version: u32,
    /// The bytes of a [`Record`].
    pub record_size: u32,
    /// The process.
    pub process: u32,
    /// gomaxprocs when the file was written.
    pub procs: u32,
    /// [`flag`]s.
    pub flags: u32,
    /// The bytes of each ring.
    pub ring_bytes: u32,
    /// When the records began to be complete. None is older.
    pub began: Moment,
    /// Before the first ring was copied. No record is younger.
    pub ended: Moment,
    pub spare: [u64; 6],
}

/// Flags of the header.
pub mod flag {
    /// A tick is a nanosecond of CLOCK_MONOTONIC.
    pub const NANOSECONDS: u32 = 1;
}

/// What comes before the bytes of a section.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Section {
    /// [`section`].
    pub tag: u32,
    pub spare: u32,
    /// The bytes that follow, a multiple of 8.
    pub bytes: u64,
}

/// What a section holds.
pub mod section {
    /// A [`super::Thread`], then its records, the oldest first.
    pub const M: u32 = 1;
    /// A [`super::GRow`] for each G that there is, read after the rings were copied.
    pub const GS: u32 = 2;
    /// A [`super::PRow`] for each P, read after the rings were copied.
    pub const PS: u32 = 3;
    /// Strings, to the end of the section: number (u32), length (u32), bytes, and zeros up to a multiple of 8.
    pub const STRINGS: u32 = 4;
    /// The lines of /proc/self/maps that name a file with code, and zeros: for the addresses in records.
    pub const MAPS: u32 = 5;
    /// Nothing: the file is whole.
    pub const END: u32 = 6;
}

/// An M. Everything after `held` was read later than the records: it is good at `ended` too if `written_then` is
/// `written`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Thread {
    pub id: u32,
    /// Its thread of the system now, or the last one; 0: none yet.
    pub tid: i32,
    /// How many records its ring had got at `ended`, from its first one on.
    pub written: u64,
    /// How many of these follow, the last ones.
    pub held: u64,
    /// The time before which records of this M since `began` are lost; it may be later than `ended`. 0: none are lost.
    pub lost_before: u64,
    pub written_then: u64,
    /// The G on it; 0: none.
    pub goid: u64,
    /// The P that it has, or has left for a syscall and not lost; or [`NO_P`].
    pub pid: u32,
    /// [`thread`].
    pub flags: u32,
}

/// Flags of a [`Thread`].
pub mod thread {
    /// It stands for a thread of the host.
    pub const FOREIGN: u32 = 1;
    /// It has a thread now.
    pub const ALIVE: u32 = 2;
    /// Its G is in a syscall.
    pub const SYSCALL: u32 = 4;
}

/// A G.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GRow {
    pub goid: u64,
    /// The address of its function.
    pub entry: u64,
    /// On CLOCK_MONOTONIC, if it waits: since when, at most 10 ms late.
    pub wait_since: u64,
    /// [`status`].
    pub status: u32,
    /// The M on which it runs, or ran last; or `NO_M`.
    pub m: u32,
    /// If it waits, why: the number of a string. 0: the host's own reason.
    pub reason: u32,
    /// Its seq.
    pub seq: u32,
    /// Ended by zeros.
    pub name: [u8; 32],
}

/// The status of a G in a [`GRow`]. The numbers are those of `GMX_G_*`.
pub mod status {
    pub const RUNNABLE: u32 = 1;
    pub const RUNNING: u32 = 2;
    pub const SYSCALL: u32 = 3;
    /// Also that of a coroutine that no G has resumed.
    pub const WAITING: u32 = 4;
    /// By `gmx_park`.
    pub const PARKED: u32 = 5;
}

/// A P.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PRow {
    pub id: u32,
    /// [`p_status`].
    pub status: u32,
    /// The M that has it, or had it last; or `NO_M`.
    pub m: u32,
    /// Its seq.
    pub seq: u32,
}

/// The status of a P in a [`PRow`].
pub mod p_status {
    pub const IDLE: u32 = 1;
    /// An M has it, perhaps in a syscall.
    pub const RUNNING: u32 = 2;
    /// The world is stopped.
    pub const STOPPED: u32 = 3;
    /// Beyond gomaxprocs.
    pub const DEAD: u32 = 4;
}
