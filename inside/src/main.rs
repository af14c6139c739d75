//! The command `gomax-trace`. docs/inside.md shows how to use it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gomax_inside::begin::begin;
use gomax_inside::go::Failure;
use gomax_inside::input::Trace;
use gomax_inside::order::Refusal;
use gomax_inside::symbols::Symbols;
use gomax_inside::{chrome, go, goread, perfetto, report, svg};

const HELP: &str = "\
gomax-trace: reads the traces that libgomax writes

  gomax-trace check FILE...         says whether the records can have happened, in this order; also of a
                                    trace in Go's format
  gomax-trace info FILE             what happened, in numbers
  gomax-trace dump FILE             each record, in order
  gomax-trace convert FILE OUT      for another tool, by the ending of OUT:
                                      .trace    go tool trace, gotraceui
                                      .pftrace  ui.perfetto.dev
                                      .json     chrome://tracing, ui.perfetto.dev, speedscope
  gomax-trace draw FILE OUT.svg     a picture: Ps, and the goroutines on them

  --last MS         only the last MS milliseconds
  --format NAME     of convert: go, go1.26, perfetto, json
  --late MS         of check: refuse a G that was runnable for longer while the same P was idle
  --from MS, --to MS, --width PX, --title TEXT
                    of draw: which part, since the first goroutine ran; how wide, under which title
  --by-thread       of dump: as the file has them, without order
  --version, --help

The status is 0, or 1 if a trace is refused, or 2 if a file cannot be read or written.
";

#[derive(Default)]
struct Options {
    last: Option<u64>,
    late: Option<u64>,
    format: Option<String>,
    by_thread: bool,
    from: Option<u64>,
    to: Option<u64>,
    width: Option<u64>,
    title: String,
    words: Vec<String>,
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(why) => {
            eprintln!("gomax-trace: {why}");
            ExitCode::from(2)
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options::default();
    let mut args = std::env::args().skip(1);
    let nanos = |value: Option<String>, name: &str| -> Result<Option<u64>, String> {
        let millis: f64 = value.and_then(|v| v.parse().ok()).ok_or(format!("{name} needs milliseconds"))?;
        Ok(Some((millis * 1e6) as u64))
    };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--last" => options.last = nanos(args.next(), "--last")?,
            "--late" => options.late = nanos(args.next(), "--late")?,
            "--format" => options.format = Some(args.next().ok_or("--format needs a name")?),
            "--from" => options.from = nanos(args.next(), "--from")?,
            "--to" => options.to = nanos(args.next(), "--to")?,
            "--width" => options.width = Some(args.next().and_then(|v| v.parse().ok()).ok_or("--width needs pixels")?),
            "--title" => options.title = args.next().ok_or("--title needs a text")?,
            "--by-thread" => options.by_thread = true,
            "--help" | "-h" => options.words = vec!["help".into()],
            "--version" => options.words = vec!["version".into()],
            other if other.starts_with("--") => {
                return Err(format!("there is no option {other}: see gomax-trace --help"));
            }
            _ => options.words.push(arg),
        }
    }
    Ok(options)
}

fn run() -> Result<ExitCode, String> {
    let options = options()?;
    let words: Vec<&str> = options.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["help"] => print!("{HELP}"),
        ["version"] => println!("gomax-trace {}", env!("CARGO_PKG_VERSION")),
        ["check", files @ ..] if !files.is_empty() => return check(&options, files),
        ["info", file] => return info(&options, Path::new(file)),
        ["dump", file] => return dump(&options, Path::new(file)),
        ["draw", file, out] => return convert(&options, Path::new(file), Path::new(out), Some("svg")),
        ["convert", file, out] => return convert(&options, Path::new(file), Path::new(out), None),
        _ => {
            eprint!("{HELP}");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The standard output: a reader that has seen enough ends the program.
fn said(done: io::Result<()>) -> Result<(), String> {
    match done {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.map_err(|e| e.to_string()),
    }
}

fn refused(file: &Path, refusals: &[Refusal]) -> ExitCode {
    const SHOWN: usize = 8;
    for refusal in refusals.iter().take(SHOWN) {
        eprintln!("{}: {refusal}", file.display());
    }
    if refusals.len() > SHOWN {
        eprintln!("{}: and {} more", file.display(), refusals.len() - SHOWN);
    }
    ExitCode::from(1)
}

fn check(options: &Options, files: &[&str]) -> Result<ExitCode, String> {
    let mut code = ExitCode::SUCCESS;
    for file in files.iter().map(Path::new) {
        let bytes = std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
        let failed = |e| format!("{}: {e}", file.display());
        if goread::is_go(&bytes) {
            match goread::check(&bytes).map_err(failed)? {
                Ok(events) => println!("{}: {events} events of Go's format in order", file.display()),
                Err(refusals) => code = refused(file, &refusals),
            }
            continue;
        }
        let trace = Trace::parse(bytes).map_err(failed)?;
        match report::sums(&trace, begin(&trace, options.last)) {
            Err(refusals) => code = refused(file, &refusals),
            Ok(sums) => {
                println!("{}: {}", file.display(), report::summary(&sums));
                if let (Some(limit), Some(late)) = (options.late, sums.latest)
                    && late.nanos > limit
                {
                    let refusal = Refusal { at: late.since, text: report::late(&trace, &late) };
                    code = refused(file, &[refusal]);
                }
            }
        }
    }
    Ok(code)
}

fn info(options: &Options, file: &Path) -> Result<ExitCode, String> {
    let trace = Trace::load(file)?;
    let mut text = Vec::new();
    let done = report::info(&trace, begin(&trace, options.last), &mut text);
    said(io::stdout().write_all(&text))?;
    match done.map_err(|e| e.to_string())? {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(refusals) => Ok(refused(file, &refusals)),
    }
}

fn dump(options: &Options, file: &Path) -> Result<ExitCode, String> {
    let trace = Trace::load(file)?;
    let mut out = BufWriter::new(io::stdout().lock());
    if options.by_thread {
        said(report::dump_threads(&trace, &mut out).and_then(|()| out.flush()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut symbols = Symbols::new(&trace.maps);
    let mut done = Ok(0);
    let written = report::dump(&trace, begin(&trace, options.last), &mut symbols, &mut out).map(|d| done = d);
    said(written.and_then(|()| out.flush()))?;
    match done {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(refusals) => Ok(refused(file, &refusals)),
    }
}

fn convert(options: &Options, file: &Path, to: &Path, format: Option<&str>) -> Result<ExitCode, String> {
    let format = match format.or(options.format.as_deref()) {
        Some(name) => name,
        None => match to.extension().and_then(|e| e.to_str()) {
            Some("trace") => "go",
            Some("pftrace" | "perfetto-trace") => "perfetto",
            Some("json") => "json",
            _ => return Err(format!("{}: which format? --format go, go1.26, perfetto or json", to.display())),
        },
    };
    let trace = Trace::load(file)?;
    let begin = begin(&trace, options.last);
    let mut symbols = Symbols::new(&trace.maps);
    // Beside it, and then in its place: a trace that is refused leaves no half of a file.
    let part = PathBuf::from(format!("{}.part", to.display()));
    let failed = |e: io::Error| format!("{}: {e}", to.display());
    let mut out = BufWriter::new(File::create(&part).map_err(failed)?);
    let done = match format {
        "go" => go::write(&trace, begin, 23, &mut symbols, &mut out),
        "go1.26" => go::write(&trace, begin, 26, &mut symbols, &mut out),
        "perfetto" => perfetto::write(&trace, begin, &mut symbols, &mut out),
        "json" => chrome::write(&trace, begin, &mut symbols, &mut out),
        "svg" => {
            let part = svg::Options {
                from: options.from.unwrap_or(0),
                to: options.to.unwrap_or(u64::MAX),
                width: options.width.and_then(|w| u32::try_from(w).ok()).unwrap_or(960),
                title: options.title.clone(),
            };
            svg::write(&trace, begin, &part, &mut symbols, &mut out)
        }
        other => {
            let _ = std::fs::remove_file(&part);
            return Err(format!("there is no format {other}: go, go1.26, perfetto, json"));
        }
    };
    let done = done.and_then(|tail| Ok(out.flush().map(|()| tail)?));
    match done {
        Ok(_) => {
            std::fs::rename(&part, to).map_err(failed)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => {
            let _ = std::fs::remove_file(&part);
            match why {
                Failure::Refused(refusals) => Ok(refused(file, &refusals)),
                Failure::Io(e) => Err(failed(e)),
            }
        }
    }
}
