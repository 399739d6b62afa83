//! A parser that deliberately does what a crafted file can make a parser do. Used by tests only.
//!
//! The first argument selects the misbehavior; the others are the usual arguments of a parser. The process sandboxes
//! itself like every parser; misbehavior that must happen before that is in `main`.

use rustix::process::{Signal, getpid, kill_process};
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;
use tools::ingest::isolate::child::{Request, run_with};
use tools::ingest::readers::{Block, BlockKind, Page, ParsedDocument, ReadError, Warning};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let behavior = args.next().unwrap_or_default().to_string_lossy().into_owned();
    let unconfined_report = (behavior == "probe-unconfined").then(probe);
    let _open_connection = (behavior == "hold").then(|| connect(&args.next().unwrap_or_default().to_string_lossy()));
    if behavior == "be-killed" {
        let _ = kill_process(getpid(), Signal::KILL);
    }
    run_with(args, move |request, bytes, _| misbehave(&behavior, unconfined_report, request, bytes))
}

fn misbehave(
    behavior: &str,
    unconfined_report: Option<Vec<String>>,
    request: &Request,
    bytes: &[u8],
) -> Result<ParsedDocument, ReadError> {
    match behavior {
        "overflow-the-stack" => Ok(single_page_document(vec![black_box(recurse(1)).to_string()])),
        "loop" => loop {
            black_box(request);
        },
        "sleep" | "hold" => loop {
            thread::sleep(Duration::from_secs(1));
        },
        "take-all-memory" => Ok(single_page_document(vec![exhaust_memory()])),
        "ask-for-too-much" => {
            Ok(single_page_document(vec![black_box(Vec::<u8>::with_capacity(1 << 40)).capacity().to_string()]))
        }
        "panic" => Ok(single_page_document(vec![[""; 0][black_box(bytes.len())].to_owned()])),
        "environment" => Ok(single_page_document(vec![format!("{} variables", std::env::vars_os().count())])),
        "write-garbage" => Ok(write_garbage_and_exit(b"not a frame, but long enough to be taken for one")),
        "announce-too-much" => Ok(write_garbage_and_exit(&u32::MAX.to_le_bytes())),
        "close-in-the-middle" => Ok(write_garbage_and_exit(&1000_u32.to_le_bytes())),
        "send-too-many-pages" => Ok(pages_of("page", request.limits.max_pages as usize + 1)),
        "send-too-much-text" => Ok(pages_of(&"x".repeat(request.limits.max_text_bytes / 2 + 1), 2)),
        "send-too-many-blocks" => Ok(pages_without_text(3, 150_000)),
        "send-too-many-warnings" => {
            let warnings = vec![Warning::DamagedPages { pages: (0..500).rev().collect() }; 100];
            Ok(ParsedDocument { warnings, ..pages_of("page", 1) })
        }
        "send-a-nul" => Ok(pages_of("a\0b", 1)),
        "complain-without-end" => Ok(write_endlessly()),
        _ => Ok(single_page_document(unconfined_report.unwrap_or_else(probe))),
    }
}

fn pages_of(text: &str, count: usize) -> ParsedDocument {
    let page = Page { blocks: vec![Block::new(BlockKind::Paragraph, text)], ..Page::default() };
    ParsedDocument { pages: vec![page; count], ..ParsedDocument::default() }
}

/// Pages with many empty blocks: a lot of JSON, but no text.
fn pages_without_text(pages: usize, blocks: usize) -> ParsedDocument {
    let page = Page { blocks: vec![Block::new(BlockKind::Paragraph, ""); blocks], ..Page::default() };
    ParsedDocument { pages: vec![page; pages], ..ParsedDocument::default() }
}

fn single_page_document(texts: Vec<String>) -> ParsedDocument {
    let blocks = texts.into_iter().map(|text| Block::new(BlockKind::Paragraph, text)).collect();
    ParsedDocument { pages: vec![Page { blocks, ..Page::default() }], ..ParsedDocument::default() }
}

fn recurse(depth: u64) -> u64 {
    let array = black_box([depth; 64]);
    array[0] + if depth == u64::MAX { 0 } else { recurse(black_box(depth + 1)) }
}

fn exhaust_memory() -> String {
    let mut text = String::new();
    loop {
        text.push_str(black_box("more and more and more"));
    }
}

/// Writes bytes that are not a valid frame to standard output, and exits.
fn write_garbage_and_exit(bytes: &[u8]) -> ParsedDocument {
    // The caller holds the lock of standard output, but on this thread, and the lock is reentrant.
    let mut output = io::stdout().lock();
    let _ = output.write_all(bytes).and_then(|()| output.flush());
    std::process::exit(0)
}

fn write_endlessly() -> ParsedDocument {
    let mut errors = io::stderr();
    while errors.write_all(&[b'!'; 4096]).is_ok() {}
    ParsedDocument::default()
}

/// Opens a connection to a local port; it closes when this process ends.
fn connect(port: &str) -> io::Result<TcpStream> {
    TcpStream::connect(("127.0.0.1", port.parse().map_err(io::Error::other)?))
}

/// Tries what a sandboxed process must not be able to do; returns one line per attempt.
fn probe() -> Vec<String> {
    let temporary_path = std::env::temp_dir().join(format!("misbehaving-parser-{}", std::process::id()));
    let attempts: [(&str, io::Result<()>); 8] = [
        ("read a file", File::open("/proc/self/status").map(drop)),
        ("write a file", File::create(&temporary_path).map(drop)),
        ("list a directory", std::fs::read_dir("/").map(drop)),
        ("listen", TcpListener::bind("127.0.0.1:0").map(drop)),
        ("send datagrams", UdpSocket::bind("127.0.0.1:0").map(drop)),
        ("make a local socket", UnixStream::pair().map(drop)),
        ("run a program", Command::new("/bin/true").spawn().and_then(|mut child| child.wait().map(drop))),
        ("start a thread", thread::Builder::new().spawn(|| ()).map(|thread| drop(thread.join()))),
    ];
    let _ = std::fs::remove_file(&temporary_path);
    attempts
        .into_iter()
        .map(|(name, result)| format!("{name}: {}", if result.is_ok() { "yes" } else { "no" }))
        .collect()
}
