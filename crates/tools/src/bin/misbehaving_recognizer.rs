//! Replaces the OCR program in tests and tries what a crafted image could make it do. Used by tests only.
//!
//! It takes the arguments of `tesseract`; the language selects the misbehavior. Each line that it prints is a paragraph
//! of the recognized text, so tests read the results there.

use rustix::process::{Signal, kill_process};
use std::ffi::OsString;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Size of an allocation, in bytes, that exceeds the memory limit of every test.
const LARGE_ALLOCATION: usize = 512 << 20;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let behavior = args.iter().skip_while(|arg| *arg != "-l").nth(1).map(String::as_str).unwrap_or_default();
    match behavior {
        "loop" => loop {
            black_box(&args);
        },
        "sleep" => loop {
            thread::sleep(Duration::from_secs(1));
        },
        "chatter" => loop {
            print_lines(&["more and more".to_owned()]);
        },
        "copy" => print_lines(&[read_standard_input()]),
        "environment" => print_lines(&environment()),
        "memory" => print_lines(&[format!(
            "{LARGE_ALLOCATION} bytes: {}",
            yes_or_no(Vec::<u8>::new().try_reserve_exact(LARGE_ALLOCATION).is_ok())
        )]),
        _ => {
            print_lines(&probe());
            // `exec_another_program` only returns if the exec was refused.
            print_lines(&[format!("become another program: {}", yes_or_no(exec_another_program()))]);
        }
    }
}

/// Writes the lines to standard output in the TSV format of `tesseract`.
fn print_lines(lines: &[String]) {
    let mut output = io::stdout();
    for (index, line) in lines.iter().enumerate() {
        let _ = writeln!(output, "5\t1\t1\t{index}\t1\t1\t0\t0\t1\t1\t99\t{line}");
    }
    let _ = output.flush();
}

fn environment() -> Vec<String> {
    let line = |(name, value): (OsString, OsString)| format!("{} is {}", name.display(), value.display());
    std::env::vars_os().map(line).collect()
}

fn read_standard_input() -> String {
    let mut text = String::new();
    let _ = io::stdin().read_to_string(&mut text);
    text.replace('\n', " ")
}

fn yes_or_no(succeeded: bool) -> &'static str {
    if succeeded { "yes" } else { "no" }
}

/// Tries what a sandboxed process must not be able to do; returns one line per attempt.
fn probe() -> Vec<String> {
    let temporary_path = std::env::temp_dir().join(format!("misbehaving-recognizer-{}", std::process::id()));
    let parent = rustix::process::getppid();
    let attempts: [(&str, bool); 14] = [
        ("read a file of the system", File::open("/etc/passwd").is_ok()),
        ("read its own environment as a file", std::fs::read("/proc/self/environ").is_ok()),
        ("read a device", File::open("/dev/zero").is_ok()),
        ("list a folder", std::fs::read_dir("/usr").is_ok()),
        ("write a file", File::create(&temporary_path).is_ok()),
        ("make a folder", std::fs::create_dir(temporary_path.with_extension("d")).is_ok()),
        ("write to its own file", File::options().append(true).open(own_executable_path()).is_ok()),
        ("listen", TcpListener::bind("127.0.0.1:0").is_ok()),
        ("connect", connect().is_ok()),
        ("send datagrams", UdpSocket::bind("127.0.0.1:0").is_ok()),
        ("make a local socket", UnixStream::pair().is_ok()),
        ("run a program", Command::new("/bin/true").spawn().and_then(|mut child| child.wait().map(drop)).is_ok()),
        ("start a thread", thread::Builder::new().spawn(|| ()).map(|thread| drop(thread.join())).is_ok()),
        ("signal its parent", parent.is_some_and(|parent| kill_process(parent, Signal::CONT).is_ok())),
    ];
    let _ = std::fs::remove_file(&temporary_path);
    let _ = std::fs::remove_dir(temporary_path.with_extension("d"));
    attempts.into_iter().map(|(name, done)| format!("{name}: {}", yes_or_no(done))).collect()
}

/// Path of this program's executable.
fn own_executable_path() -> PathBuf {
    std::env::args_os().next().map(PathBuf::from).unwrap_or_default()
}

/// Connects to a listener of this process.
fn connect() -> io::Result<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    TcpStream::connect(listener.local_addr()?)
}

/// Replaces this process with a shell that reports success; returns only if `exec` fails.
fn exec_another_program() -> bool {
    let line = "5\\t1\\t2\\t1\\t1\\t1\\t0\\t0\\t1\\t1\\t99\\tbecome another program: yes\\n";
    let _exec_error = Command::new("/bin/sh").args(["-c", &format!("printf '{line}'")]).exec();
    false
}
