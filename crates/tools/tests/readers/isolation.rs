//! The child process per document: what it can and cannot do, and how its failures are reported.

use std::time::Duration;

use domain::document::FailureCode;
use domain::ports::BlobError;
use futures::stream::{self, StreamExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tools::ingest::isolate::{
    ChildLimits, ChildParser, PagesReadSender, ParseError, Parser as _, ParserProgram, SourceFile,
};
use tools::ingest::readers::{Limits, ParsedDocument, Warning};

use crate::support::{bytes, program, read_in_both_processes, source};

const TIME_LIMIT: Duration = Duration::from_secs(45);
/// Small limits, so that tests reach them quickly.
const SMALL_LIMITS: ChildLimits = ChildLimits { memory_bytes: 128 << 20, cpu_time: Duration::from_secs(3) };

/// The test program that misbehaves in this way instead of parsing.
fn misbehaving_parser(behavior: &str) -> ParserProgram {
    let program = env!("CARGO_BIN_EXE_misbehaving-parser").into();
    ParserProgram { program, args: vec![behavior.into()], limits: SMALL_LIMITS }
}

async fn parse(program: ParserProgram, timeout: Duration, limits: Limits) -> Result<ParsedDocument, ParseError> {
    let parser = ChildParser::new(program, timeout, limits);
    parser.parse(source(b"some text", "notes.txt"), &PagesReadSender::default()).await
}

/// The failure code of a document whose parser misbehaves in this way.
async fn failure_code(behavior: &str) -> FailureCode {
    let limits = Limits { max_pages: 3, max_text_bytes: 1000, ..Limits::default() };
    match parse(misbehaving_parser(behavior), TIME_LIMIT, limits).await {
        Err(ParseError::Document(failure)) => {
            assert!(failure.detail.ends_with('.'), "{}", failure.detail);
            failure.code
        }
        other => panic!("{behavior}: {other:?}"),
    }
}

#[test]
fn a_child_reads_the_same_as_a_thread() {
    for name in ["headers.pdf", "tables.pdf", "cjk.pdf", "hidden.pdf", "two_columns.pdf", "features.docx", "README.md"]
    {
        let document = read_in_both_processes(&bytes(name), name, &Limits::default()).unwrap();
        assert!(!document.is_empty(), "{name}");
    }
    for name in ["password.pdf", "scanned.pdf", "bomb.docx", "entities.docx"] {
        assert!(read_in_both_processes(&bytes(name), name, &Limits::default()).is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_misbehaving_parser_fails_only_its_document() {
    for (behavior, code) in [
        ("overflow-the-stack", FailureCode::Corrupt),
        ("panic", FailureCode::Corrupt),
        ("write-garbage", FailureCode::Corrupt),
        ("announce-too-much", FailureCode::Corrupt),
        ("close-in-the-middle", FailureCode::Corrupt),
        ("send-a-nul", FailureCode::Corrupt),
        ("loop", FailureCode::Timeout),
        ("take-all-memory", FailureCode::TooLarge),
        ("ask-for-too-much", FailureCode::TooLarge),
        ("send-too-many-pages", FailureCode::TooLarge),
        ("send-too-many-blocks", FailureCode::TooLarge),
        ("send-too-much-text", FailureCode::TooLarge),
    ] {
        assert_eq!(failure_code(behavior).await, code, "{behavior}");
    }
}

#[tokio::test]
async fn warnings_of_a_parser_are_limited_and_their_pages_checked() {
    let limits = Limits { max_pages: 3, ..Limits::default() };
    let document = parse(misbehaving_parser("send-too-many-warnings"), TIME_LIMIT, limits).await.expect("a document");
    assert!((1..=16).contains(&document.warnings.len()), "{}", document.warnings.len());
    for warning in document.warnings {
        assert_eq!(warning, Warning::DamagedPages { pages: vec![1, 2, 3] });
    }
}

#[tokio::test]
async fn a_parser_that_waits_is_killed_at_the_wall_clock_limit() {
    for behavior in ["sleep", "complain-without-end"] {
        let limits = ChildLimits { cpu_time: Duration::from_secs(30), ..SMALL_LIMITS };
        let program = ParserProgram { limits, ..misbehaving_parser(behavior) };
        let parsed = parse(program, Duration::from_millis(300), Limits::default()).await;
        assert!(
            matches!(&parsed, Err(ParseError::Document(failure)) if failure.code == FailureCode::Timeout),
            "{parsed:?}"
        );
    }
}

#[tokio::test]
async fn a_parser_killed_from_outside_is_retried_a_limited_number_of_times() {
    let parsed = parse(misbehaving_parser("be-killed"), TIME_LIMIT, Limits::default()).await;
    assert!(matches!(parsed, Err(ParseError::Unavailable { counts_as_attempt: true, .. })), "{parsed:?}");
}

#[tokio::test]
async fn a_missing_parser_does_not_count_as_an_attempt() {
    let missing = ParserProgram { program: "/nowhere/parser".into(), ..program() };
    let parsed = parse(missing, TIME_LIMIT, Limits::default()).await;
    assert!(matches!(parsed, Err(ParseError::Unavailable { counts_as_attempt: false, .. })), "{parsed:?}");
}

#[tokio::test]
async fn a_failing_blob_store_is_not_the_documents_fault() {
    let failing_bytes = stream::iter([Err(BlobError::Missing { key: "k".into() })]).boxed();
    let file = SourceFile { name: "notes.txt".into(), size: 9, bytes: failing_bytes };
    let parser = ChildParser::new(program(), TIME_LIMIT, Limits::default());
    let parsed = parser.parse(file, &PagesReadSender::default()).await;
    assert!(matches!(parsed, Err(ParseError::Blob(BlobError::Missing { .. }))), "{parsed:?}");
}

#[tokio::test]
async fn dropping_the_future_kills_the_child() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("the local address").port().to_string();
    let program = ParserProgram { args: vec!["hold".into(), port], ..misbehaving_parser("") };
    let parsing = parse(program, TIME_LIMIT, Limits::default());
    let mut connection = tokio::select! {
        parsed = parsing => panic!("{parsed:?}"),
        accepted = listener.accept() => accepted.expect("the child connects").0,
    };
    let mut buffer = [0];
    let result = connection.read(&mut buffer).await;
    assert!(matches!(result, Ok(0) | Err(_)), "the connection must close when the child is killed");
}

#[tokio::test]
async fn pages_are_counted_while_they_are_read() {
    let (pages, pages_read) = watch::channel(0);
    let parser = ChildParser::new(program(), TIME_LIMIT, Limits::default());
    let document =
        parser.parse(source(&bytes("headers.pdf"), "headers.pdf"), &pages).await.expect("the file is readable");
    assert_eq!((document.page_count, *pages_read.borrow()), (Some(5), 5));
}

fn lines(document: ParsedDocument) -> Vec<String> {
    document.pages.into_iter().flat_map(|page| page.blocks).map(|block| block.text).collect()
}

#[tokio::test]
async fn a_child_opens_no_file_no_socket_and_no_program() {
    let unconfined =
        parse(misbehaving_parser("probe-unconfined"), TIME_LIMIT, Limits::default()).await.expect("a report");
    for line in lines(unconfined) {
        assert!(line.ends_with(": yes"), "must be possible outside the sandbox: {line}");
    }
    let confined = lines(parse(misbehaving_parser("probe"), TIME_LIMIT, Limits::default()).await.expect("a report"));
    assert_eq!(confined.len(), 8);
    for line in confined {
        assert!(line.ends_with(": no"), "must be impossible in the sandbox: {line}");
    }
}

#[tokio::test]
async fn a_child_gets_no_environment() {
    assert!(std::env::vars_os().next().is_some(), "this process has an environment");
    let document = parse(misbehaving_parser("environment"), TIME_LIMIT, Limits::default()).await.expect("a report");
    assert_eq!(lines(document), ["0 variables"]);
}
