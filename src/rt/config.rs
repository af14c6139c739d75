//! The settings that the runtime starts with: the caller's options, then the environment, then defaults.
//!
//! This is the only file of the library that reads the environment (`tests/sources.rs`). It does so once for each start
//! of the runtime, before the first thread. In a process that has more rights than its starter (set-user-ID and the
//! like) the environment counts as empty. A value that is not understood changes nothing, and [`Environment::remark`]
//! says so.
//!
//! [`inherited`] reads it once more, at each call: the starter passes descriptors on there.
//!
//! To add a setting of `GMXDEBUG`: a field of `Debug` and a row of `SETTINGS`.

use super::report::{Report, Text, Words};
use crate::fiber::stack::{GuardKind, Rules};
use crate::gmp::permits::FILES;
use crate::gmp::sched::Sched;
use std::ffi::{CStr, c_void};
use std::fmt::{self, Write};
use std::sync::atomic::Ordering;

/// The caller's options. Zero everywhere is the default.
#[derive(Clone, Copy, Default)]
pub struct Options {
    pub maxprocs: i32,
    pub stack_size: usize,
    pub g0_stack_size: usize,
    pub slice_ns: i64,
    pub max_threads: i32,
    pub report: Option<Report>,
    pub report_arg: usize,
    /// The library installs no handler for the signals of faults.
    pub no_sigsegv: bool,
    pub no_membarrier: bool,
    pub preempt: Preempt,
    /// The signal by which threads are held. 0: the default.
    pub preempt_signal: i32,
    /// The library opens no file.
    pub no_files: bool,
    /// All threads and all memory are made at the start, for this many goroutines. 0: when they are needed.
    pub all_at_start: usize,
    /// Whether goroutines may run on stacks without a guard.
    pub guards: Guards,
    /// Cores do not contain the stacks of goroutines.
    pub no_stack_dump: bool,
    /// Dumps and reports contain addresses.
    pub addresses: bool,
    /// Functions of the host, and their argument: addresses, 0 if there is none.
    pub on_preempt: usize,
    pub on_thread_start: usize,
    pub on_thread_end: usize,
    pub on_arg: usize,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Guards {
    /// Required in a process that has more rights than its starter.
    #[default]
    ByRights,
    Required,
    Optional,
}

/// What may be done about code that does not call the library (protocol/seize.rs), from least to most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Preempt {
    /// It keeps its P.
    Off,
    /// Its P is taken.
    NoSignal,
    /// And its thread is held.
    #[default]
    On,
}

/// The number of Ps to begin with, and whether it follows the machine.
pub struct Procs {
    pub n: i32,
    pub follow: bool,
}

const DEFAULT_STACK: usize = 256 << 10;
const DEFAULT_SLICE: i64 = 10_000_000;
const DEFAULT_THREADS: i32 = 10_000;

/// `GMX_MAXPROCS` may ask for at most this many Ps for each CPU. The user that starts a process may decide how fast it
/// is, but not how much memory it takes; the program itself may ask for more.
const ENV_PROCS_PER_CPU: i32 = 16;

fn or<T: Default + PartialEq>(v: T, default: T) -> T {
    if v == T::default() { default } else { v }
}

impl Options {
    pub fn apply(&self, sched: &Sched, env: &Environment) {
        sched.cfg.stack_size.set(or(self.stack_size, DEFAULT_STACK));
        sched.cfg.g0_stack_size.set(or(self.g0_stack_size, DEFAULT_STACK));
        sched.cfg.slice_ns.set(or(self.slice_ns, DEFAULT_SLICE));
        sched.cfg.max_threads.set(or(self.max_threads, DEFAULT_THREADS));
        super::report::set_function(self.report, self.report_arg as *mut c_void);
        sched.cfg.sealed.set(self.all_at_start != 0);
        sched.cfg.on_arg.set(self.on_arg as *mut c_void);
        sched.cfg.on_preempt.set(self.on_preempt as *mut c_void);
        sched.cfg.on_thread_start.set(self.on_thread_start as *mut c_void);
        sched.cfg.on_thread_end.set(self.on_thread_end as *mut c_void);
        if self.on_preempt != 0 {
            sched.tells.store(true, Ordering::Relaxed);
        }
        sched.schedtrace_ms.set(env.debug.schedtrace_ms);
        sched.scheddetail.set(env.debug.scheddetail);
        crate::sync::record_holds(env.debug.locks);
        sched.offload.files.reset(env.debug.file_calls as u32);
        super::strict::set(env.debug.strict);
        super::report::show_addresses(self.addresses || env.debug.addresses);
    }

    /// The rules for stacks.
    pub fn rules(&self) -> Rules {
        let guard_required = match self.guards {
            Guards::ByRights => crate::sys::has_more_rights(),
            guards => guards == Guards::Required,
        };
        Rules { guard_required, no_dump: self.no_stack_dump }
    }

    pub fn procs(&self, env: &Environment) -> Procs {
        if self.maxprocs > 0 {
            return Procs { n: self.maxprocs, follow: false };
        }
        let machine = super::machine_procs();
        match env.maxprocs {
            MaxProcs::Asked(n) => Procs { n: n.min(most_by_env(machine)), follow: false },
            MaxProcs::Unset | MaxProcs::Wrong => Procs { n: machine, follow: true },
        }
    }
}

fn most_by_env(machine: i32) -> i32 {
    machine.saturating_mul(ENV_PROCS_PER_CPU)
}

// ---- GMXDEBUG -------------------------------------------------------------------------------------------------------

/// The settings of `GMXDEBUG`: `name=value`, separated by commas.
#[derive(Clone, Copy)]
pub struct Debug {
    help: bool,
    pub schedtrace_ms: u64,
    pub scheddetail: bool,
    pub membarrier: bool,
    pub cxx: bool,
    /// How stacks are guarded, instead of the best way that the system has.
    pub guard: Option<GuardKind>,
    pub sigsegv: bool,
    pub preempt: Option<Preempt>,
    /// Goroutines that compute are named on stderr, too.
    pub hogs: bool,
    pub locks: bool,
    /// Whether memory comes from malloc; None: under a checker.
    pub malloc: Option<bool>,
    addresses: bool,
    /// How many calls on files may block threads at a time.
    file_calls: u64,
    pub strict: Strict,
    /// Where in the text the name of the file for records begins and how long it is; 0 bytes: none is written.
    trace: (usize, usize),
    /// The size of the rings for records.
    pub trace_kb: u64,
    /// As `trace`, the address of the live page.
    http: (usize, usize),
}

/// What becomes of a wrong call, beside its status (strict.rs).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Strict {
    Off,
    Report,
    Abort,
}

impl Debug {
    const DEFAULT: Debug = Debug {
        help: false,
        schedtrace_ms: 0,
        scheddetail: false,
        membarrier: true,
        cxx: true,
        guard: None,
        sigsegv: true,
        preempt: None,
        hogs: false,
        locks: false,
        malloc: None,
        addresses: false,
        file_calls: FILES as u64,
        strict: Strict::Off,
        trace: (0, 0),
        trace_kb: (super::trace::RING_BYTES >> 10) as u64,
        http: (0, 0),
    };
}

/// A name that `GMXDEBUG` knows.
struct Setting {
    name: &'static str,
    value: Value,
    /// For `GMXDEBUG=help`, below 90 letters.
    what: &'static str,
    /// Puts the value into its field. The value is the number, or 0 or 1, or the index of the word.
    set: fn(&mut Debug, u64),
}

/// The values that a setting takes.
enum Value {
    /// No value at all.
    Bare,
    /// 0 or 1.
    Switch,
    /// A whole number from 0 to the bound.
    Number { unit: &'static str, most: u64 },
    /// One of these words.
    Word(&'static [&'static str]),
    /// The name of a file. The setting gets where it begins in the text, and in the upper half how long it is.
    File,
    /// As a file.
    Address,
}

const SETTINGS: &[Setting] = &[
    Setting { name: "help", value: Value::Bare, what: "print this list", set: |d, _| d.help = true },
    Setting {
        name: "schedtrace",
        value: Value::Number { unit: "MS", most: i64::MAX as u64 / 1_000_000 },
        what: "print a line about the scheduler every MS milliseconds; 0: never, the default",
        set: |d, v| d.schedtrace_ms = v,
    },
    Setting {
        name: "scheddetail",
        value: Value::Switch,
        what: "1: and a line for each P, thread and goroutine",
        set: |d, v| d.scheddetail = v == 1,
    },
    Setting {
        name: "membarrier",
        value: Value::Switch,
        what: "0: do not call membarrier; each way into a syscall has a fence of its own",
        set: |d, v| d.membarrier = v == 1,
    },
    Setting {
        name: "cxx",
        value: Value::Switch,
        what: "0: do not load the C++ runtime at the start of a program that has none yet",
        set: |d, v| d.cxx = v == 1,
    },
    Setting {
        name: "guard",
        value: Value::Word(&["mprotect", "none"]),
        what: "how stacks are guarded; with mprotect gdb and gcore can write their memory to a core",
        set: |d, v| d.guard = Some(if v == 0 { GuardKind::Mprotect } else { GuardKind::None }),
    },
    Setting {
        name: "sigsegv",
        value: Value::Switch,
        what: "0: leave the signals of faults alone, and SIGABRT; a fault then names no goroutine",
        set: |d, v| d.sigsegv = v == 1,
    },
    Setting {
        name: "preempt",
        value: Value::Word(&["0", "nosignal", "1"]),
        what: "0: code that calls nothing keeps its P; nosignal: it loses the P, and no thread is held",
        set: |d, v| d.preempt = Some([Preempt::Off, Preempt::NoSignal, Preempt::On][v as usize]),
    },
    Setting {
        name: "hogs",
        value: Value::Switch,
        what: "1: name each goroutine from which 200 slices were taken, also without a report function",
        set: |d, v| d.hogs = v == 1,
    },
    Setting {
        name: "locks",
        value: Value::Switch,
        what: "1: debug builds print at the end how long each lock was held at most",
        set: |d, v| d.locks = v == 1,
    },
    Setting {
        name: "malloc",
        value: Value::Switch,
        what: "1: take all memory except stacks from malloc; 0: none, not even for a checker",
        set: |d, v| d.malloc = Some(v == 1),
    },
    Setting {
        name: "addresses",
        value: Value::Switch,
        what: "1: dumps and reports contain addresses, not only names for what is the same",
        set: |d, v| d.addresses = v == 1,
    },
    Setting {
        name: "filecalls",
        value: Value::Number { unit: "N", most: 10_000 },
        what: "how many calls on files may block threads at a time; 0 is taken as 1",
        set: |d, v| d.file_calls = v.max(1),
    },
    Setting {
        name: "strict",
        value: Value::Word(&["0", "1", "2"]),
        what: "1: report each kind of wrong call of the library once; 2: report the first, and abort",
        set: |d, v| d.strict = [Strict::Off, Strict::Report, Strict::Abort][v as usize],
    },
    Setting {
        name: "trace",
        value: Value::File,
        what: "record what happens, and write the last of it to FILE at the end of the process",
        set: |d, v| d.trace = (v as u32 as usize, (v >> 32) as usize),
    },
    Setting {
        name: "tracekb",
        value: Value::Number { unit: "N", most: (super::trace::MOST_RING_BYTES >> 10) as u64 },
        what: "for how many KiB of records each thread has room; 256 by default, 4 at least",
        set: |d, v| d.trace_kb = v,
    },
    Setting {
        name: "http",
        value: Value::Address,
        what: "serve the live page; unix, unix:PATH, 127.0.0.1:PORT or [::1]:PORT",
        set: |d, v| d.http = (v as u32 as usize, (v >> 32) as usize),
    },
];

impl Value {
    fn parse(&self, text: Option<&[u8]>) -> Option<u64> {
        match (self, text) {
            (Value::Bare, None) => Some(0),
            (Value::Switch, Some(b"0")) => Some(0),
            (Value::Switch, Some(b"1")) => Some(1),
            (Value::Number { most, .. }, Some(text)) => number(text).filter(|n| n <= most),
            (Value::Word(words), Some(text)) => {
                words.iter().position(|word| word.as_bytes() == text).map(|index| index as u64)
            }
            _ => None,
        }
    }
}

/// `name=VALUES`, as the remark and the help show it.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match self.value {
            Value::Bare => Ok(()),
            Value::Switch => f.write_str("=0|1"),
            Value::Number { unit, .. } => write!(f, "={unit}"),
            Value::File => f.write_str("=FILE"),
            Value::Address => f.write_str("=ADDRESS"),
            Value::Word(words) => {
                for (i, word) in words.iter().enumerate() {
                    write!(f, "{}{word}", if i == 0 { '=' } else { '|' })?;
                }
                Ok(())
            }
        }
    }
}

/// The setting whose name is this part's, or nearly so: two letters may be missing, too many or others, but not more
/// than a third of them.
fn meant(part: &[u8]) -> Option<&'static Setting> {
    let name = part.split(|&b| b == b'=').next().unwrap_or(part).trim_ascii();
    let near = |s: &&Setting| distance(name, s.name.as_bytes()) <= (s.name.len() / 3).min(2);
    SETTINGS.iter().filter(near).min_by_key(|s| distance(name, s.name.as_bytes()))
}

/// How many letters are to be changed, added or removed to make one word of the other, in whatever case.
fn distance(a: &[u8], b: &[u8]) -> usize {
    const MOST: usize = 24;
    if a.len() >= MOST || b.len() >= MOST {
        return usize::MAX;
    }
    let mut row = [0; MOST];
    row.iter_mut().enumerate().for_each(|(i, n)| *n = i);
    for (i, x) in a.iter().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = before + usize::from(!x.eq_ignore_ascii_case(y));
            before = row[j + 1];
            row[j + 1] = changed.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Decimal digits, nothing else.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The settings in a text. Passes each part that is not a valid setting to `wrong`.
fn settings(text: &[u8], mut wrong: impl FnMut(&[u8])) -> Debug {
    let mut debug = Debug::DEFAULT;
    for part in text.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|part| !part.is_empty()) {
        let (name, value) = match part.iter().position(|&b| b == b'=') {
            Some(at) => (&part[..at], Some(&part[at + 1..])),
            None => (part, None),
        };
        let setting = SETTINGS.iter().find(|s| s.name.as_bytes() == name);
        // Within the text, so that it needs no memory of its own.
        let place = |v: &[u8]| (v.as_ptr() as u64 - text.as_ptr() as u64) | (v.len() as u64) << 32;
        let parse = |s: &Setting| match (&s.value, value) {
            (Value::File | Value::Address, Some(v)) if !v.is_empty() && !v.contains(&0) => Some(place(v)),
            _ => s.value.parse(value),
        };
        match setting.and_then(|s| Some((s, parse(s)?))) {
            Some((setting, value)) => (setting.set)(&mut debug, value),
            None => wrong(part),
        }
    }
    debug
}

// ---- the environment ------------------------------------------------------------------------------------------------

/// The settings in the environment.
pub struct Environment {
    gmxdebug: Variable,
    gmx_maxprocs: Variable,
    pub debug: Debug,
    maxprocs: MaxProcs,
}

#[derive(Clone, Copy)]
enum MaxProcs {
    Unset,
    Asked(i32),
    Wrong,
}

impl MaxProcs {
    fn parse(text: &[u8]) -> MaxProcs {
        match number(text.trim_ascii()) {
            _ if text.trim_ascii().is_empty() => MaxProcs::Unset,
            None | Some(0) => MaxProcs::Wrong,
            // A number that no `i32` holds is above every cap too.
            Some(n) => MaxProcs::Asked(i32::try_from(n).unwrap_or(i32::MAX)),
        }
    }
}

impl Environment {
    pub fn read() -> Environment {
        let (gmxdebug, gmx_maxprocs) = (Variable::read(c"GMXDEBUG"), Variable::read(c"GMX_MAXPROCS"));
        let maxprocs = if gmx_maxprocs.long { MaxProcs::Wrong } else { MaxProcs::parse(gmx_maxprocs.bytes()) };
        Environment { debug: settings(gmxdebug.bytes(), |_| {}), maxprocs, gmxdebug, gmx_maxprocs }
    }

    /// The file that records are to be written to.
    pub fn trace(&self) -> Option<&[u8]> {
        let (begin, len) = self.debug.trace;
        self.gmxdebug.bytes().get(begin..begin + len).filter(|path| !path.is_empty())
    }

    /// Where the live page is to be served. The address is terminated.
    pub fn http<'a>(&self, room: &'a mut [u8; ADDRESS_BYTES]) -> Option<&'a CStr> {
        let (begin, len) = self.debug.http;
        let address = self.gmxdebug.bytes().get(begin..begin + len).filter(|address| !address.is_empty())?;
        room[..len].copy_from_slice(address);
        room[len] = 0;
        CStr::from_bytes_with_nul(&room[..=len]).ok()
    }

    /// The remarks for the user about the variables: a line for each variable with a part that was not understood, and
    /// the list that `GMXDEBUG=help` asks for. Empty if there is nothing to say. `procs`: the number of Ps after the
    /// start.
    pub fn remark(&self, out: &mut Text, options: &Options, procs: i32) -> fmt::Result {
        self.remark_on_debug(out)?;
        if options.maxprocs <= 0 {
            self.remark_on_maxprocs(out, procs)?;
        }
        Ok(())
    }

    fn remark_on_debug(&self, out: &mut Text) -> fmt::Result {
        if self.debug.help {
            out.write_str("libgomax: GMXDEBUG=NAME=VALUE,... knows\n")?;
            for setting in SETTINGS {
                // (Padding is up to each `Display`, so the name is padded by hand.)
                let mut name = Text::new();
                write!(name, "{setting}")?;
                let room = 24usize.saturating_sub(name.as_bytes().len());
                writeln!(out, "  {setting}{:room$} {}", "", setting.what)?;
            }
        }
        let mut first = true;
        let mut result = Ok(());
        settings(self.gmxdebug.bytes(), |part| {
            result = result.and_then(|()| {
                out.write_str(if first { "libgomax: GMXDEBUG: not understood: " } else { ", " })?;
                first = false;
                write!(out, "\"{}\"", Words(part))?;
                match meant(part) {
                    Some(setting) => write!(out, " (perhaps {setting})"),
                    None => Ok(()),
                }
            });
        });
        result?;
        if self.gmxdebug.long {
            let most = self.gmxdebug.room.len();
            write!(out, "libgomax: GMXDEBUG: not read, since it has more than {most} bytes")?;
        } else if first {
            return Ok(());
        }
        out.write_str("; known:")?;
        for setting in SETTINGS {
            write!(out, " {setting}")?;
        }
        out.write_str("\n")
    }

    fn remark_on_maxprocs(&self, out: &mut Text, procs: i32) -> fmt::Result {
        match self.maxprocs {
            MaxProcs::Asked(n) if n > procs => writeln!(
                out,
                "libgomax: GMX_MAXPROCS={}: lowered to {procs}, {ENV_PROCS_PER_CPU} for each CPU; gmx_gomaxprocs and \
                 gmx_init may ask for more",
                Words(self.gmx_maxprocs.bytes()),
            ),
            MaxProcs::Wrong => writeln!(
                out,
                "libgomax: GMX_MAXPROCS: not understood: \"{}{}\"; known: a whole number from 1; using {procs}, the \
                 machine's",
                Words(self.gmx_maxprocs.bytes()),
                if self.gmx_maxprocs.long { "..." } else { "" },
            ),
            _ => Ok(()),
        }
    }
}

/// A variable of the environment, copied without an allocation.
struct Variable {
    room: [u8; 512],
    len: usize,
    /// It does not fit, and counts as empty.
    long: bool,
}

/// Room for an address of the live page, with its NUL: one of a variable fits, and so does that of [`socket_path`].
pub const ADDRESS_BYTES: usize = 640;

/// The address of the live page's socket for this process, `unix:DIRECTORY/gomax/PID.sock`. None: the user has no
/// directory for such files, or one with a long name.
pub fn socket_path(room: &mut [u8; ADDRESS_BYTES]) -> Option<&CStr> {
    let directory = Variable::read(c"XDG_RUNTIME_DIR");
    if directory.bytes().first() != Some(&b'/') {
        return None;
    }
    let mut rest = &mut room[..];
    let end = {
        use std::io::Write;
        let whole = rest.len();
        let directory = directory.bytes();
        rest.write_all(b"unix:").ok()?;
        rest.write_all(directory).ok()?;
        write!(rest, "/gomax/{}.sock\0", std::process::id()).ok()?;
        whole - rest.len()
    };
    CStr::from_bytes_with_nul(&room[..end]).ok()
}

/// systemd's protocol: the number of a descriptor that the process was started with, counted from 0. None: there are
/// not so many, or they are for another process.
pub fn inherited(index: usize) -> Option<i32> {
    const FIRST: usize = 3;
    let number = |name| std::str::from_utf8(Variable::read(name).bytes()).ok()?.parse::<usize>().ok();
    let ours = number(c"LISTEN_PID") == Some(std::process::id() as usize);
    let is_one = ours && number(c"LISTEN_FDS").is_some_and(|n| index < n);
    if is_one { i32::try_from(index.checked_add(FIRST)?).ok() } else { None }
}

unsafe extern "C" {
    /// Null in a process that has more rights than its starter. glibc and musl have it.
    fn secure_getenv(name: *const std::ffi::c_char) -> *const std::ffi::c_char;
}

impl Variable {
    fn read(name: &CStr) -> Variable {
        let mut variable = Variable { room: [0; 512], len: 0, long: false };
        // SAFETY: the name is terminated.
        let found = unsafe { secure_getenv(name.as_ptr()) };
        if found.is_null() {
            return variable;
        }
        // SAFETY: it is terminated, and stays while the environment is not changed; a host that changes it while other
        // threads run breaks the rules of the C library.
        let found = unsafe { CStr::from_ptr(found) }.to_bytes();
        match variable.room.get_mut(..found.len()) {
            Some(room) => {
                room.copy_from_slice(found);
                variable.len = found.len();
            }
            None => variable.long = true,
        }
        variable
    }

    fn bytes(&self) -> &[u8] {
        &self.room[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong_in(text: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        settings(text.as_bytes(), |part| wrong.push(String::from_utf8_lossy(part).into_owned()));
        wrong
    }

    #[test]
    fn each_setting_is_listed_once_and_shortly() {
        for (i, setting) in SETTINGS.iter().enumerate() {
            assert!(SETTINGS[..i].iter().all(|other| other.name != setting.name), "{}", setting.name);
            assert!(setting.what.len() < 90 && !setting.what.ends_with('.'), "{}", setting.name);
            assert!(format!("{setting}").len() < 24, "{setting} does not fit into its column");
        }
    }

    #[test]
    fn a_name_that_is_nearly_right_is_found() {
        let found = |part: &str| meant(part.as_bytes()).map(|s| s.name);
        for s in SETTINGS {
            assert_eq!(found(s.name), Some(s.name));
            assert_eq!(found(&format!("{}=?", s.name.to_uppercase())), Some(s.name));
            assert_eq!(found(&s.name[1..]), Some(s.name));
            assert_eq!(found(&format!("{}s=1", s.name)), Some(s.name));
        }
        let cases = [("shedtrace=1", "schedtrace"), ("scheddetial=1", "scheddetail"), ("stict", "strict")];
        for (part, name) in cases {
            assert_eq!(found(part), Some(name), "{part}");
        }
        for part in ["", "=", "=3", "a", "xyz=1", "gctrace=1", &"s".repeat(600)] {
            assert_eq!(found(part), None, "{part}");
        }
        let far = [("abc", "abc", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "BA", 2)];
        assert!(far.iter().all(|&(a, b, n)| distance(a.as_bytes(), b.as_bytes()) == n));
    }

    /// Every kind of value: the values that it takes are set, and the others are reported.
    #[test]
    fn what_is_not_understood_is_told_and_changes_nothing() {
        for setting in SETTINGS {
            let (good, bad): (Vec<String>, &[&str]) = match setting.value {
                Value::Bare => (vec![String::new()], &["=", "=1"]),
                Value::Switch => (vec!["=0".into(), "=1".into()], &["", "=", "=2", "=on", "=01", "=-1", "=1 2"]),
                Value::Number { most, .. } => {
                    let bad: &[&str] = &["", "=", "=x", "=-1", "=+1", "=1.5", "=99999999999999999999", "=1s"];
                    (vec!["=0".into(), "=17".into(), format!("={most}")], bad)
                }
                Value::Word(words) => (words.iter().map(|w| format!("={w}")).collect(), &["", "=", "=none of them"]),
                Value::File | Value::Address => (vec!["=a".into(), "=/tmp/a=b".into()], &["", "="]),
            };
            for value in good {
                assert_eq!(wrong_in(&format!("{}{value}", setting.name)), [""; 0]);
            }
            for value in bad {
                let part = format!("{}{value}", setting.name);
                assert_eq!(wrong_in(&format!("{part},schedtrace=3")), [part]);
            }
        }
        assert_eq!(wrong_in("schedtrac=1, =,=3,,SCHEDTRACE=1,"), ["schedtrac=1", "=", "=3", "SCHEDTRACE=1"]);
        let debug = settings(b" schedtrace=20 , scheddetail=x,membarrier=0", |_| {});
        assert!(debug.schedtrace_ms == 20 && !debug.scheddetail && !debug.membarrier && !debug.help);
    }
}
