//! Compiles and runs the C programs of ctests/, each in a process of its own with a time limit.
//!
//! A program passes with exit status 0, is skipped with 77 (its last line on stderr says why; `GMX_NO_SKIP=1` makes
//! that a failure) and fails otherwise. If a program runs into its limit, gdb prints every thread before the program is
//! killed. The output is shown for failed programs only.
//!
//! Lines that a program may hold, each a comment of its own:
//!
//! ```c
//! /* timeout: 120 */        seconds, instead of 60
//! /* env: GMX_MAXPROCS=4 */ for this program only; may be repeated
//! /* flags: -lm */          for the compiler, after the source file
//! /* alone: WHY */          after all others, and beside none
//! /* release: WHY */        not with the debug library, unless it is asked for by name
//! ```
//!
//! Arguments are parts of names: `cargo test --test ctests -- world`. Environment: `GMX_LIB` another libgomax.so than
//! the one built here, `GMX_RUNNER` a command to run each program under (`valgrind -q --error-exitcode=1`,
//! `qemu-aarch64 -L /usr/aarch64-linux-gnu`), `GMX_CC` and `GMX_CXX` other compilers, `GMX_TIMEOUT_SCALE` a factor for
//! all limits, `GMX_JOBS` how many at a time, `GMX_STRESS` minutes: takes ctests/stress too, whose programs read the
//! same variable, `GMX_HOST` a kind of `ctests/hosts/host.c`: each program is built as a shared object and runs in such
//! a host.

mod common;

use common::{compiler, have, scratch, shared_library, source};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use std::{env, thread};

const TIMEOUT: Duration = Duration::from_secs(60);
const SKIPPED: i32 = 77;

enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

struct Program {
    name: String,
    file: PathBuf,
    timeout: Duration,
    env: Vec<(String, String)>,
    flags: Vec<String>,
    alone: bool,
}

struct Args {
    filters: Vec<String>,
    exact: bool,
    list: bool,
    ignored_only: bool,
}

fn main() -> ExitCode {
    if cfg!(any(loom, shuttle)) {
        return ExitCode::SUCCESS;
    }
    let args = arguments();
    let programs = programs(&args);
    if args.list {
        for program in &programs {
            println!("{}: test", program.name);
        }
        return ExitCode::SUCCESS;
    }
    if !programs.is_empty() {
        shared_library();
    }

    let jobs = env::var("GMX_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    let counts = Mutex::new([0u32; 3]);
    let (alone, together): (Vec<_>, Vec<_>) = programs.into_iter().partition(|program| program.alone);
    for (programs, jobs) in [(together, jobs), (alone, 1)] {
        let queue = Mutex::new(programs.into_iter());
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().unwrap().next();
                        let Some(program) = next else { return };
                        let begin = Instant::now();
                        let outcome = compile(&program).and_then(|exe| run(&program, &exe));
                        let seconds = begin.elapsed().as_secs_f64();
                        // the lock also keeps the lines of one program together
                        let mut counts = counts.lock().unwrap();
                        counts[report(&program.name, seconds, outcome.unwrap_or_else(Outcome::Failed))] += 1;
                    }
                });
            }
        });
    }
    let [passed, failed, skipped] = *counts.lock().unwrap();
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Understands or ignores the libtest flags that cargo and editors pass.
fn arguments() -> Args {
    let mut args = Args { filters: Vec::new(), exact: false, list: false, ignored_only: false };
    let mut given = env::args().skip(1);
    while let Some(arg) = given.next() {
        match arg.as_str() {
            "--exact" => args.exact = true,
            "--list" => args.list = true,
            "--ignored" => args.ignored_only = true,
            "--test-threads" | "--format" | "--color" | "--skip" | "--logfile" | "-Z" => drop(given.next()),
            flag if flag.starts_with('-') => {}
            _ => args.filters.push(arg),
        }
    }
    args
}

fn programs(args: &Args) -> Vec<Program> {
    if args.ignored_only {
        return Vec::new();
    }
    let stress = env::var("GMX_STRESS").ok().filter(|minutes| !minutes.is_empty());
    let mut programs = Vec::new();
    for (dir, wanted) in [("ctests", true), ("ctests/stress", stress.is_some())] {
        let Ok(entries) = fs::read_dir(source(dir)) else { continue };
        for file in entries.map(|entry| entry.unwrap().path()).filter(|_| wanted) {
            if !file.extension().is_some_and(|e| e == "c" || e == "cpp") {
                continue;
            }
            let stem = file.file_stem().unwrap().to_str().unwrap();
            let name = if dir == "ctests" { stem.to_string() } else { format!("stress/{stem}") };
            let matches = |f: &String| if args.exact { *f == name } else { name.contains(f.as_str()) };
            if !args.filters.is_empty() && !args.filters.iter().any(matches) {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            let with_debug = cfg!(debug_assertions) && env::var_os("GMX_LIB").is_none_or(|lib| lib.is_empty());
            if with_debug && args.filters.is_empty() && directives(&text, "release").next().is_some() {
                continue;
            }
            let limit = directives(&text, "timeout").next().and_then(|seconds| seconds.parse().ok());
            let mut timeout = limit.map_or(TIMEOUT, Duration::from_secs);
            if let (true, Some(minutes)) = (dir != "ctests", &stress) {
                timeout += Duration::from_secs_f64(60.0 * minutes.parse::<f64>().expect("GMX_STRESS: minutes"));
            }
            if let Ok(factor) = env::var("GMX_TIMEOUT_SCALE") {
                timeout = timeout.mul_f64(factor.parse().expect("GMX_TIMEOUT_SCALE: a number"));
            }
            let env = directives(&text, "env")
                .map(|pair| pair.split_once('=').unwrap_or_else(|| panic!("{name}: env: NAME=VALUE")))
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect();
            let flags = directives(&text, "flags").flat_map(str::split_whitespace).map(str::to_string).collect();
            let alone = directives(&text, "alone").next().is_some();
            programs.push(Program { name, file, timeout, env, flags, alone });
        }
    }
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    programs
}

/// The values of the lines `/* key: ... */`.
fn directives<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let inner = line.trim().strip_prefix("/*")?.strip_suffix("*/")?;
        inner.trim().strip_prefix(key)?.strip_prefix(':').map(str::trim)
    })
}

/// The kind of host that the programs run in. None: each runs as a program of its own.
fn host_kind() -> Option<&'static str> {
    static KIND: OnceLock<Option<String>> = OnceLock::new();
    KIND.get_or_init(|| env::var("GMX_HOST").ok().filter(|kind| !kind.is_empty())).as_deref()
}

fn out_path(name: &str, extension: &str) -> PathBuf {
    // the library's own directory keeps debug, release and cross-compiled runs apart
    let profile = shared_library().parent().unwrap().to_string_lossy().replace(['/', '.'], "_");
    let dir = format!("ctests/{profile}{}", host_kind().unwrap_or_default());
    scratch(&dir).join(format!("{}.{extension}", name.replace('/', "-")))
}

/// The host program, built once.
fn host() -> Result<&'static Path, String> {
    static HOST: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = HOST.get_or_init(|| {
        let exe = out_path("host", "exe");
        let mut cc = cc(false)?;
        cc.arg("-rdynamic").arg("-o").arg(&exe).arg(source("ctests/hosts/host.c")).arg("-ldl");
        succeeds(cc).map(|()| exe)
    });
    built.as_deref().map_err(String::clone)
}

fn compile(program: &Program) -> Result<PathBuf, String> {
    let cpp = program.file.extension().is_some_and(|e| e == "cpp");
    let hosted = host_kind().is_some();
    let object = object(program, cpp)?;
    let exe = out_path(&program.name, if hosted { "so" } else { "exe" });
    let lib_dir = shared_library().parent().unwrap();
    let mut cc = cc(cpp)?;
    cc.arg("-o").arg(&exe);
    if hosted {
        cc.args(["-shared", "-fPIC", "-Wl,-Bsymbolic"]).arg(source("ctests/hosts/hosted.c"));
    }
    cc.arg(object).args(&program.flags);
    cc.arg("-L").arg(lib_dir).arg("-lgomax").arg(format!("-Wl,-rpath,{}", lib_dir.display()));
    succeeds(cc).map(|()| exe)
}

/// The object of a program. It serves every run with these flags: with the library of a debug build, with that of a
/// release, and in each kind of host.
fn object(program: &Program, cpp: bool) -> Result<PathBuf, String> {
    let mut cc = cc(cpp)?;
    cc.args(program.flags.iter().filter(|flag| !flag.starts_with("-l") && !flag.starts_with("-Wl,")));
    cc.arg("-fPIC"); // for the hosts
    let mut flags = DefaultHasher::new();
    (cc.get_program(), cc.get_args().collect::<Vec<_>>()).hash(&mut flags);
    let name = format!("{}-{:x}", program.name.replace('/', "-"), flags.finish());
    let object = scratch("ctests/objects").join(format!("{name}.o"));
    // (GMX_CC may be a script of the caller, which is not what it was the last time)
    let kept = env::var_os("GMX_CC").is_none() && env::var_os("GMX_CXX").is_none();
    if kept && fs::metadata(&object).and_then(|m| m.modified()).is_ok_and(|made| made > newest_source()) {
        return Ok(object);
    }
    let made = object.with_file_name(format!("{name}.{}.o", std::process::id()));
    cc.arg("-c").arg("-o").arg(&made).arg(&program.file);
    succeeds(cc)?;
    fs::rename(&made, &object).map_err(|e| format!("{}: {e}", object.display()))?;
    Ok(object)
}

/// When a file of ctests/ or include/ was changed last.
fn newest_source() -> SystemTime {
    fn newest(dir: &Path) -> SystemTime {
        let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        let of = |path: PathBuf| match path.is_dir() {
            true => newest(&path),
            false => fs::metadata(path).and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH),
        };
        entries.map(|entry| of(entry.unwrap().path())).max().unwrap_or(SystemTime::UNIX_EPOCH)
    }
    static NEWEST: OnceLock<SystemTime> = OnceLock::new();
    *NEWEST.get_or_init(|| newest(&source("ctests")).max(newest(&source("include"))))
}

fn cc(cpp: bool) -> Result<Command, String> {
    let mut cc = compiler(cpp)?;
    cc.arg(if cpp { "-std=c++17" } else { "-std=c11" });
    cc.args(["-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]);
    cc.arg("-I").arg(source("include")).arg("-I").arg(source("ctests"));
    Ok(cc)
}

fn succeeds(mut cc: Command) -> Result<(), String> {
    let result = cc.stdin(Stdio::null()).output().map_err(|e| format!("the compiler cannot be run: {e}"))?;
    match result.status.success() {
        true => Ok(()),
        false => Err(format!("does not compile\n{}", String::from_utf8_lossy(&result.stderr).trim_end())),
    }
}

fn run(program: &Program, exe: &Path) -> Result<Outcome, String> {
    let runner = env::var("GMX_RUNNER").unwrap_or_default();
    let mut words: Vec<&OsStr> = runner.split_whitespace().map(OsStr::new).collect();
    if let Some(kind) = host_kind() {
        words.extend([host()?.as_os_str(), OsStr::new(kind)]);
    }
    words.push(exe.as_os_str());
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    // cargo's LD_LIBRARY_PATH would come before the rpath
    command.env_remove("LD_LIBRARY_PATH").envs(program.env.iter().cloned());
    command.env("GMX_TEST_TIMEOUT", program.timeout.as_secs().to_string());
    let (out, err) = (out_path(&program.name, "stdout"), out_path(&program.name, "stderr"));
    let create = |path: &Path| File::create(path).map_err(|e| format!("{}: {e}", path.display()));
    command.stdin(Stdio::null()).stdout(create(&out)?).stderr(create(&err)?);
    // a group of its own, so that its child processes end with it
    command.process_group(0).current_dir(scratch("ctests"));
    let mut child = command.spawn().map_err(|e| format!("{}: {e}", exe.display()))?;

    let (status, threads) = match wait(&mut child, program.timeout) {
        Some(status) => (status, None),
        None => {
            let threads = all_threads(child.id());
            (end(&mut child), Some(threads))
        }
    };
    signal(&child, libc::SIGKILL);

    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).trim_end().to_string();
    let why = match (threads, status.code(), status.signal()) {
        (Some(threads), ..) => format!("still running after {} s\n{threads}", program.timeout.as_secs()),
        (None, Some(0), _) => return Ok(Outcome::Passed),
        (None, Some(SKIPPED), _) => {
            let reason = read(&err).lines().last().unwrap_or("no reason given").to_string();
            match env::var_os("GMX_NO_SKIP").is_some_and(|v| v == "1") {
                false => return Ok(Outcome::Skipped(reason)),
                true => format!("skipped, and GMX_NO_SKIP=1: {reason}"),
            }
        }
        (None, Some(code), _) => format!("exit status {code}"),
        (None, None, number) => format!("killed by signal {}", number.unwrap_or(0)),
    };
    Ok(Outcome::Failed(
        [why, read(&out), read(&err)].iter().filter(|s| !s.is_empty()).map(|s| format!("{s}\n")).collect(),
    ))
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + limit;
    let mut nap = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().expect("wait") {
            return Some(status);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(20));
    }
}

/// Sends SIGABRT, which leaves a core if the host wants one, and then SIGKILL, which a program cannot refuse.
fn end(child: &mut Child) -> ExitStatus {
    signal(child, libc::SIGABRT);
    if let Some(status) = wait(child, Duration::from_secs(2)) {
        return status;
    }
    signal(child, libc::SIGKILL);
    child.wait().expect("wait")
}

fn signal(child: &Child, number: i32) {
    // SAFETY: a plain system call; the group is the child's own (`process_group(0)`), so no other process gets it.
    unsafe { libc::kill(-(child.id() as i32), number) };
}

fn all_threads(pid: u32) -> String {
    if !have("gdb") {
        return String::from("(no gdb, so no backtraces)");
    }
    let mut gdb = Command::new("timeout");
    // gdb ignores the first signal while it waits for a thread to stop, and a thread without a CPU never stops
    gdb.args(["--kill-after=5", "60", "gdb", "--nx", "--batch", "-p", &pid.to_string()]);
    gdb.args(["-ex", "set pagination off", "-ex", "thread apply all bt 40"]);
    match gdb.stdin(Stdio::null()).stderr(Stdio::null()).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(e) => format!("(gdb: {e})"),
    }
}

fn report(name: &str, seconds: f64, outcome: Outcome) -> usize {
    let (index, word, text) = match outcome {
        Outcome::Passed => (0, "ok", String::new()),
        Outcome::Failed(text) => (1, "FAILED", text),
        Outcome::Skipped(reason) => (2, "skipped", reason),
    };
    if index == 1 {
        println!("{word:<8}{seconds:>7.2} s  {name}");
        for line in text.lines() {
            println!("    | {line}");
        }
    } else {
        let colon = if text.is_empty() { "" } else { ": " };
        println!("{word:<8}{seconds:>7.2} s  {name}{colon}{text}");
    }
    index
}
