//! The command `gomaxctl`: the live page of a process at a command line, by its socket. docs/inside.md shows how to use
//! it.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
gomaxctl: looks into a running program that uses libgomax

  gomaxctl list                        the processes that serve the live page on their sockets
  gomaxctl PID|SOCKET top              Ps, goroutines and threads, once a second on a terminal
  gomaxctl PID|SOCKET stacks           the stacks of all goroutines
  gomaxctl PID|SOCKET trace SECONDS    records what happens, and writes a trace
  gomaxctl PID|SOCKET flight           writes a trace of what was recorded before, if the program records
  gomaxctl PID|SOCKET metrics          as OpenMetrics text
  gomaxctl PID|SOCKET state            as JSON

  --format NAME     of trace and flight: go (the default), go1.26, perfetto, json, gomax
  --output FILE     instead of the standard output
  --version, --help

A process serves it if it runs with GMXDEBUG=http=unix, or calls gmx_debug_serve(\"unix\", NULL). The status is 0, or 1 if
the process answers that it cannot, or 2 if it does not answer.
";

/// What the answer of a process may take, beside what it was asked to wait for.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Options {
    format: Option<String>,
    output: Option<PathBuf>,
    words: Vec<String>,
}

/// Why there is nothing to show, and the status.
struct Failed(u8, String);

impl From<String> for Failed {
    fn from(why: String) -> Failed {
        Failed(2, why)
    }
}

fn main() -> ExitCode {
    match options().map_err(Failed::from).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(status, why)) => {
            eprintln!("gomaxctl: {}", why.trim_end());
            ExitCode::from(status)
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options::default();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--format" => options.format = Some(args.next().ok_or("--format needs a name")?),
            "--output" | "-o" => options.output = Some(args.next().ok_or("--output needs a file")?.into()),
            "--help" | "-h" => options.words = vec!["help".into()],
            "--version" => options.words = vec!["version".into()],
            other if other.starts_with('-') => return Err(format!("there is no option {other}: see gomaxctl --help")),
            _ => options.words.push(arg),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), Failed> {
    let words: Vec<&str> = options.words.iter().map(String::as_str).collect();
    let format = options.format.as_deref().unwrap_or("go");
    match words.as_slice() {
        ["help"] => said(HELP.as_bytes(), None),
        ["version"] => said(format!("gomaxctl {}\n", env!("CARGO_PKG_VERSION")).as_bytes(), None),
        ["list"] => list(),
        [of, "top"] => top(&socket(of)?),
        [of, "stacks"] => show(of, "/debug/pprof/goroutine?debug=2", options),
        [of, "metrics"] => show(of, "/metrics", options),
        [of, "state"] => show(of, "/debug/state.json", options),
        [of, "flight"] => save(of, &format!("/debug/flight?format={format}"), 0, options),
        [of, "trace", seconds] => {
            let seconds: u64 = seconds.parse().map_err(|_| format!("{seconds} is no number of seconds"))?;
            save(of, &format!("/debug/pprof/trace?seconds={seconds}&format={format}"), seconds, options)
        }
        _ => Err(Failed(2, format!("what is to be done?\n\n{HELP}"))),
    }
}

/// The directory of the sockets.
fn directory() -> Result<PathBuf, String> {
    let at = std::env::var_os("XDG_RUNTIME_DIR").ok_or("XDG_RUNTIME_DIR is not set: name the socket")?;
    Ok(PathBuf::from(at).join("gomax"))
}

fn socket(of: &str) -> Result<PathBuf, String> {
    if of.bytes().all(|b| b.is_ascii_digit()) { Ok(directory()?.join(format!("{of}.sock"))) } else { Ok(of.into()) }
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

fn ask(socket: &Path, path: &str, seconds: u64) -> Result<Answer, String> {
    let failed = |e: io::Error| format!("{}: {e}", socket.display());
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE + Duration::from_secs(seconds))).map_err(failed)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").map_err(failed)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(failed)?;
    parse(&bytes).ok_or(format!("{}: the answer is not whole", socket.display()))
}

/// An answer with as many bytes as it promises.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length: usize = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?.parse().ok()?;
    let body = bytes[end + 4..].to_vec();
    (body.len() == length).then_some(Answer { status, body })
}

fn good(socket: &Path, path: &str, seconds: u64) -> Result<Vec<u8>, Failed> {
    let answer = ask(socket, path, seconds)?;
    match answer.status {
        200 => Ok(answer.body),
        _ => Err(Failed(1, String::from_utf8_lossy(&answer.body).into_owned())),
    }
}

/// A reader that has seen enough is no fault.
fn said(bytes: &[u8], output: Option<&Path>) -> Result<(), Failed> {
    let written = match output {
        Some(file) => fs::write(file, bytes).map_err(|e| format!("{}: {e}", file.display())),
        None => match io::stdout().write_all(bytes) {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(format!("standard output: {e}")),
            _ => Ok(()),
        },
    };
    Ok(written?)
}

fn show(of: &str, path: &str, options: &Options) -> Result<(), Failed> {
    said(&good(&socket(of)?, path, 0)?, options.output.as_deref())
}

fn save(of: &str, path: &str, seconds: u64, options: &Options) -> Result<(), Failed> {
    if options.output.is_none() && io::stdout().is_terminal() {
        return Err(Failed(2, "a trace is no text: --output FILE".into()));
    }
    said(&good(&socket(of)?, path, seconds)?, options.output.as_deref())
}

fn top(socket: &Path) -> Result<(), Failed> {
    let terminal = io::stdout().is_terminal();
    loop {
        let text = good(socket, "/debug/state.txt?gs=20", 0)?;
        if !terminal {
            return said(&text, None);
        }
        let clear = b"\x1b[H\x1b[2J";
        said(&[clear, text.as_slice()].concat(), None)?;
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn list() -> Result<(), Failed> {
    let directory = directory()?;
    let Ok(entries) = fs::read_dir(&directory) else { return Ok(()) };
    let pid = |name: &str| name.strip_suffix(".sock")?.parse::<u32>().ok();
    let mut pids: Vec<u32> = entries.flatten().filter_map(|e| pid(&e.file_name().to_string_lossy())).collect();
    pids.sort_unstable();
    for pid in pids {
        // One that has ended without a word leaves its socket.
        if ask(&directory.join(format!("{pid}.sock")), "/debug/state.txt?gs=0", 0).is_ok() {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            said(format!("{pid} {}\n", name.trim_end()).as_bytes(), None)?;
        }
    }
    Ok(())
}
