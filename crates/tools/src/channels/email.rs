//! Mail over SMTP: text and HTML, to a checked address of the server.

use super::wording::{FOOTER, explanation, facts, title};
use super::{SEND_TIMEOUT, SendError, invalid, root_cause};
use crate::egress::{AddressKind, EgressPolicy};
use domain::channel::{ChannelSecret, ChannelSecrets, EmailConfig, EmailTls, Message};
use domain::upload::FieldError;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::SystemTime;

const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// Checks addresses and secret.
pub(super) fn check(config: &EmailConfig, secret: Option<&ChannelSecret>) -> Result<(), FieldError> {
    let no_address = "must be an e-mail address";
    config.from.parse::<Mailbox>().map_err(|_| invalid("/config/from", no_address))?;
    for (index, address) in config.to.iter().enumerate() {
        address.parse::<Mailbox>().map_err(|_| invalid(format!("/config/to/{index}"), no_address))?;
    }
    match secret {
        Some(ChannelSecret::Login { username, password }) if username.is_empty() || password.is_empty() => {
            Err(invalid("/secret", "must have a user name and a password"))
        }
        _ => Ok(()),
    }
}

/// Sends the message to all recipients, or to none.
///
/// # Errors
/// If the server cannot be reached, or does not accept the message.
pub(super) async fn send(
    policy: &EgressPolicy,
    config: &EmailConfig,
    secrets: &ChannelSecrets,
    message: &Message,
) -> Result<(), SendError> {
    let mail = compose(config, message)?;
    let addresses = policy.resolve(&config.host, config.port).await?;
    let mut connection = connect(config, &addresses).await?;
    if let Some(credentials) = credentials(config, secrets.secret.as_ref()) {
        let is_local = addresses.iter().all(|address| AddressKind::of(address.ip()) == AddressKind::Loopback);
        if let Err(error) = sign_in(&mut connection, &credentials, is_local).await {
            connection.abort().await;
            return Err(error);
        }
    }
    connection.send(mail.envelope(), &mail.formatted()).await.map_err(|error| smtp_error(&error))?;
    // The server has accepted the message; a failed QUIT is ignored.
    let _ = connection.quit().await;
    Ok(())
}

async fn connect(config: &EmailConfig, addresses: &[SocketAddr]) -> Result<AsyncSmtpConnection, SendError> {
    let hello = ClientId::Domain(domain_of(&config.from).unwrap_or_else(|| "localhost".to_owned()));
    let tls = || TlsParameters::new(config.host.clone()).map_err(|error| smtp_error(&error));
    let implicit = if config.tls == EmailTls::Implicit { Some(tls()?) } else { None };
    let connecting = AsyncSmtpConnection::connect_tokio1(addresses, Some(SEND_TIMEOUT), &hello, implicit, None);
    let mut connection = connecting.await.map_err(|error| smtp_error(&error))?;
    if config.tls == EmailTls::StartTls {
        if !connection.can_starttls() {
            connection.abort().await;
            return Err(SendError::never("no_starttls", "Not sent: the mail server does not offer STARTTLS."));
        }
        connection.starttls(tls()?, &hello).await.map_err(|error| smtp_error(&error))?;
    }
    Ok(connection)
}

/// Authenticates if the server offers it. A password is only sent over an encrypted connection or to this machine.
async fn sign_in(
    connection: &mut AsyncSmtpConnection,
    credentials: &Credentials,
    is_local: bool,
) -> Result<(), SendError> {
    let info = connection.server_info();
    if !MECHANISMS.iter().any(|mechanism| info.supports_auth_mechanism(*mechanism)) {
        return Ok(());
    }
    if !connection.is_encrypted() && !is_local {
        return Err(SendError::never("unencrypted", "Not sent: a password needs tls or starttls."));
    }
    match connection.auth(&MECHANISMS, credentials).await {
        Ok(_) => Ok(()),
        Err(error) if error.status().is_some() => {
            Err(SendError::later("sign_in_refused", "The mail server does not accept the user name and password."))
        }
        Err(error) => Err(smtp_error(&error)),
    }
}

fn credentials(config: &EmailConfig, secret: Option<&ChannelSecret>) -> Option<Credentials> {
    Some(match secret? {
        ChannelSecret::Login { username, password } => Credentials::new(username.clone(), password.clone()),
        ChannelSecret::Text(password) => {
            let username = config.username.clone().or_else(|| address_of(&config.from))?;
            Credentials::new(username, password.clone())
        }
    })
}

fn address_of(mailbox: &str) -> Option<String> {
    mailbox.parse::<Mailbox>().ok().map(|mailbox| mailbox.email.to_string())
}

fn domain_of(mailbox: &str) -> Option<String> {
    mailbox.parse::<Mailbox>().ok().map(|mailbox| mailbox.email.domain().to_owned())
}

/// The mail. Headers hold addresses that were parsed, ids and the platform's own words.
pub(super) fn compose(config: &EmailConfig, message: &Message) -> Result<lettre::Message, SendError> {
    let invalid_address = |_| SendError::never("invalid_address", "Not sent: an address is not valid.");
    let from = config.from.parse::<Mailbox>().map_err(invalid_address)?;
    let id = format!("<{}@{}>", message.id, from.email.domain());
    let mut mail = lettre::Message::builder()
        .from(from)
        .subject(subject(message))
        .message_id(Some(id))
        .date(SystemTime::from(message.notification.at))
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
    for address in &config.to {
        mail = mail.to(address.parse::<Mailbox>().map_err(invalid_address)?);
    }
    let body = MultiPart::alternative_plain_html(text(message), html(message));
    mail.multipart(body).map_err(|_| SendError::never("invalid_address", "Not sent: the mail cannot be composed."))
}

fn subject(message: &Message) -> String {
    title(message.notification.event).to_owned()
}

fn text(message: &Message) -> String {
    let event = message.notification.event;
    let mut text = format!("{}\n\n{}\n\n", title(event), explanation(event));
    for fact in facts(message) {
        let _ = writeln!(text, "{}: {}", fact.title, fact.value);
    }
    if let Some(link) = &message.link {
        let _ = write!(text, "\n{link}\n");
    }
    let _ = write!(text, "\n-- \n{FOOTER}\n");
    text
}

fn html(message: &Message) -> String {
    let event = message.notification.event;
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><body><h1 style=\"font-size:1.2em\">{}</h1><p>{}</p><table>",
        escape(title(event)),
        escape(explanation(event))
    );
    for fact in facts(message) {
        let (title, value) = (escape(fact.title), escape(&fact.value));
        let _ = write!(html, "<tr><th align=\"left\">{title}</th><td>{value}</td></tr>");
    }
    html += "</table>";
    if let Some(link) = &message.link {
        let _ = write!(html, "<p><a href=\"{}\">Open in the console</a></p>", escape(link));
    }
    let _ = write!(html, "<p><small>{FOOTER}</small></p></body></html>");
    html
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            other => escaped.push(other),
        }
    }
    escaped
}

/// Describes why the server rejected the message. Its own text is left out: it may contain addresses.
fn smtp_error(error: &smtp::Error) -> SendError {
    if let Some(code) = error.status() {
        let detail = format!("The mail server refused the message ({code}).");
        return if error.is_permanent() {
            SendError::never("smtp_refused", detail)
        } else {
            SendError::later("smtp_deferred", detail)
        };
    }
    if error.is_timeout() {
        return SendError::later("timeout", "The mail server took too long.");
    }
    if error.is_client() {
        return SendError::never("smtp_unsupported", format!("Not sent: {}.", root_cause(error)));
    }
    let what = if error.is_tls() {
        "The connection to the mail server cannot be encrypted"
    } else {
        "The mail server cannot be reached"
    };
    let code = if error.is_tls() { "tls" } else { "unreachable" };
    SendError::later(code, format!("{what}: {}.", root_cause(error)))
}
