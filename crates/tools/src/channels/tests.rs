//! Tests of what channels send and of how failures are told apart.

use super::*;
use domain::channel::{ChannelSecret, EmailConfig, EmailTls, Notification, NotificationEvent, Requester, UrlConfig};
use domain::ids::{ApprovalId, DeliveryId, UserId};
use domain::time::Timestamp;
use uuid::Uuid;

const HOSTILE_NAME: &str = "Eve\r\nBcc: all@plant.example\n<script>alert(1)</script> [click](https://evil.example)";

fn message() -> Message {
    let requester = UserId::from_uuid(Uuid::from_u128(7));
    let at = Timestamp::UNIX_EPOCH;
    let notification = Notification {
        approval: Some(ApprovalId::from_uuid(Uuid::from_u128(1))),
        tool: Some("plant_system_write".to_owned()),
        status: Some("pending".to_owned()),
        requested_by: Some(requester),
        expires_at: Some(at),
        approvals: Some(0),
        required: Some(2),
        ..Notification::new(NotificationEvent::ApprovalRequested, at)
    };
    Message {
        id: DeliveryId::from_uuid(Uuid::from_u128(2)),
        notification,
        requester: Some(Requester { id: requester, name: Some(HOSTILE_NAME.to_owned()) }),
        link: Some("https://platform.example/ui/approvals/1?a=1&b=2".to_owned()),
        sent_at: at,
    }
}

fn email() -> EmailConfig {
    EmailConfig {
        host: "mail.plant.example".to_owned(),
        port: 587,
        from: "Platform <platform@plant.example>".to_owned(),
        to: vec!["shift@plant.example".to_owned(), "lead@plant.example".to_owned()],
        tls: EmailTls::StartTls,
        username: None,
    }
}

fn webhook(url: &str) -> ChannelConfig {
    ChannelConfig::Webhook(UrlConfig { url: url.to_owned() })
}

fn destination(config: ChannelConfig) -> Destination {
    Destination { config, secrets: ChannelSecrets::default() }
}

#[test]
fn a_name_cannot_add_headers_markup_or_links() {
    let mail = email::compose(&email(), &message()).expect("a mail");
    let raw = String::from_utf8(mail.formatted()).expect("text");
    let (headers, body) = raw.split_once("\r\n\r\n").expect("headers and a body");
    assert!(!headers.contains("Bcc") && !headers.contains("Eve"), "{headers}");
    for header in ["Subject: Approval needed", "Auto-Submitted: auto-generated", "Message-ID: <00000000-", "Date: "] {
        assert!(headers.contains(header), "{header} in {headers}");
    }
    // In the plain part markup is only text.
    let (_, html) = body.split_once("text/html").expect("an HTML part");
    assert!(headers.contains("multipart/alternative") && !html.contains("<script>"), "{body}");
    let recipients: Vec<_> = mail.envelope().to().iter().map(ToString::to_string).collect();
    assert_eq!(recipients, ["shift@plant.example", "lead@plant.example"]);
    let card = teams::request(None, &message()).expect("a card").body;
    let card: serde_json::Value = serde_json::from_str(&card).expect("JSON");
    let elements = card["attachments"][0]["content"]["body"].as_array().expect("elements");
    let texts: Vec<_> = elements.iter().filter_map(|element| element["text"].as_str()).collect();
    assert_eq!(texts.len(), 2);
    assert!(texts.iter().all(|text| !text.contains("Eve")), "only text runs show names: {texts:?}");
    assert_eq!(card["attachments"][0]["content"]["actions"].as_array().map(Vec::len), Some(1));
}

#[test]
fn destinations_are_checked_field_by_field() {
    let sender = NetworkSender::new(EgressPolicy::default());
    let pointer = |destination: Destination| sender.check(&destination).map_err(|error| error.pointer);
    assert_eq!(pointer(destination(webhook("https://hooks.example/x"))), Ok(()));
    for refused in
        ["not a url", "ftp://hooks.example/", "http://169.254.169.254/", "https://10.0.0.1/", "http://[::1]/"]
    {
        assert_eq!(pointer(destination(webhook(refused))), Err("/config/url".to_owned()), "{refused}");
    }
    assert_eq!(pointer(destination(ChannelConfig::Email(email()))), Ok(()));
    let loopback = EmailConfig { host: "127.0.0.1".to_owned(), ..email() };
    assert_eq!(pointer(destination(ChannelConfig::Email(loopback))), Err("/config/host".to_owned()));
    let no_address = EmailConfig { to: vec!["shift@plant.example".to_owned(), "nobody".to_owned()], ..email() };
    assert_eq!(pointer(destination(ChannelConfig::Email(no_address))), Err("/config/to/1".to_owned()));
    let secrets = ChannelSecrets { secret: Some(ChannelSecret::Text("short".to_owned())), ..ChannelSecrets::default() };
    let unsigned = Destination { config: webhook("https://hooks.example/x"), secrets };
    assert_eq!(pointer(unsigned), Err("/secret".to_owned()));
}

#[test]
fn the_url_of_a_flow_is_the_secret_one() {
    let sender = NetworkSender::new(EgressPolicy::default());
    let url = Some("https://flows.example/run?sig=secret".to_owned());
    let config = ChannelConfig::Teams(UrlConfig { url: "https://flows.example/run".to_owned() });
    let flow = Destination { config, secrets: ChannelSecrets { url, ..ChannelSecrets::default() } };
    assert_eq!(sender.url(&flow).expect("a URL").query(), Some("sig=secret"));
    assert!(!format!("{flow:?}").contains("sig"));
}

#[test]
fn a_receiver_says_when_to_come_back() {
    let now = Timestamp::UNIX_EPOCH;
    let parse = |value| http::parse_retry_after(value, now).map(|pause| pause.as_secs());
    assert_eq!(parse("120"), Some(120));
    assert_eq!(parse("Thu, 01 Jan 1970 00:02:00 GMT"), Some(120));
    assert_eq!(parse("999999999"), Some(24 * 3600), "not for ever");
    for ignored in ["", "soon", "-5", "Wed, 31 Dec 1969 23:59:00 GMT"] {
        assert_eq!(parse(ignored), None, "{ignored:?}");
    }
}
