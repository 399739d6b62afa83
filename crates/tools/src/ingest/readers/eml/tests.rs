//! Messages with bodies and attachments.

use super::super::{Block, BlockKind, Warning};
use super::*;

fn read(source: &str) -> ParsedDocument {
    EmlReader.read(source.replace('\n', "\r\n").as_bytes(), &Limits::default()).unwrap()
}

fn blocks(document: &ParsedDocument) -> Vec<&Block> {
    document.pages.iter().flat_map(|page| &page.blocks).collect()
}

fn texts(document: &ParsedDocument) -> Vec<&str> {
    blocks(document).into_iter().map(|block| block.text.as_str()).collect()
}

const HEADER: &str = "From: Ana Petrova <ana@plant.example>\nTo: tunde@plant.example\n\
    Date: Thu, 12 Mar 2026 14:30:00 +0100\n\
    Subject: =?utf-8?Q?Druck_zu_hoch_=E2=80=93_P-101?=\nMIME-Version: 1.0\n";

#[test]
fn header_and_body_become_text() {
    let document = read(&format!("{HEADER}Content-Type: text/plain; charset=utf-8\n\nClose V-12.\n\nThen call.\n"));
    assert_eq!(document.title.as_deref(), Some("Druck zu hoch – P-101"));
    let header = "From: Ana Petrova <ana@plant.example>\nTo: tunde@plant.example\nDate: 2026-03-12 14:30";
    assert_eq!(texts(&document), ["Druck zu hoch – P-101", header, "Close V-12.", "Then call."]);
    assert_eq!(blocks(&document)[0].kind, BlockKind::Heading { level: 1 });
}

#[test]
fn the_displayed_alternative_is_read_and_its_hidden_text_is_not() {
    let document = read(&format!(
        "{HEADER}Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\nplain only\n\
         --b\nContent-Type: text/html\n\n<p>Shown<span style='display:none'>hidden</span>\n--b--\n"
    ));
    assert_eq!(texts(&document)[2..], ["Shown"]);
    assert_eq!(document.warnings, [Warning::HiddenText { pages: Vec::new() }]);
}

#[test]
fn attachments_of_supported_types_are_sections() {
    let document = read(&format!(
        "{HEADER}Content-Type: multipart/mixed; boundary=b\n\n--b\n\nSee below.\n\
         --b\nContent-Type: text/csv; name=alarms.csv\nContent-Disposition: attachment; filename=alarms.csv\n\n\
         Tag,Limit\nPIT-1001,16 bar\n\
         --b\nContent-Type: application/octet-stream\nContent-Disposition: attachment; filename=x.bin\n\
         Content-Transfer-Encoding: base64\n\nAAECAwQF\n\
         --b\nContent-Type: message/rfc822\n\nSubject: Earlier\nFrom: kim@plant.example\n\nFirst mail.\n--b--\n"
    ));
    let texts = texts(&document);
    for expected in
        ["See below.", "Attachment 'alarms.csv'", "Tag | Limit", "PIT-1001 | 16 bar", "Earlier", "First mail."]
    {
        assert!(texts.contains(&expected), "{expected}: {texts:?}");
    }
    assert!(texts[1].ends_with("Attachments: alarms.csv, x.bin"), "{texts:?}");
    assert_eq!(document.warnings, [Warning::UnreadAttachments { count: 1 }]);
}

#[test]
fn messages_within_messages_are_read_to_a_limited_depth() {
    let nested = |depth: usize| {
        let inner = (0..depth).map(|n| format!("Subject: s{n}\nContent-Type: message/rfc822\n\n")).collect::<String>();
        format!("{HEADER}Content-Type: message/rfc822\n\n{inner}Subject: last\n\ndeepest\n")
    };
    let document = read(&nested(1));
    assert!(texts(&document).contains(&"deepest"), "{:?}", texts(&document));
    let document = read(&nested(20));
    assert!(!texts(&document).contains(&"deepest"));
    assert_eq!(document.warnings, [Warning::UnreadAttachments { count: 1 }]);
    let source = nested(2_000).replace('\n', "\r\n");
    let read = EmlReader.read(source.as_bytes(), &Limits::default());
    assert!(matches!(read, Err(ReadError::TooLarge { .. })), "{read:?}");
}
