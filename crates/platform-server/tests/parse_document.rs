//! The internal command that parses a document, which runs before the settings are read and the Tokio runtime starts.

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use std::process::Command;
use std::time::Duration;
use tools::ingest::isolate::{ChildParser, PagesReadSender, Parser as _, ParserProgram, SourceFile};
use tools::ingest::readers::Limits;

const PROGRAM: &str = env!("CARGO_BIN_EXE_platform-server");

#[tokio::test]
async fn the_program_parses_a_document_in_a_child_process() {
    let program = platform_server::document_parser::parser_program().expect("a path");
    let program = ParserProgram { program: PROGRAM.into(), ..program };
    let parser = ChildParser::new(program, Duration::from_secs(45), Limits::default());
    let bytes = Bytes::from_static(b"Check the level twice in each shift.");
    let file =
        SourceFile { name: "notes.txt".into(), size: bytes.len() as u64, bytes: stream::iter([Ok(bytes)]).boxed() };
    let document = parser.parse(file, &PagesReadSender::default()).await.expect("a parsed document");
    assert_eq!(document.pages[0].blocks[0].text, "Check the level twice in each shift.");
}

#[test]
fn help_does_not_list_the_internal_command() {
    let help = Command::new(PROGRAM).arg("--help").output().expect("the program runs");
    let help = String::from_utf8(help.stdout).expect("text");
    assert!(help.contains("check-config") && !help.contains("parse-document"), "{help}");
}
