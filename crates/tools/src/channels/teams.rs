//! Cards in Microsoft Teams, by a flow of the app Workflows ("When a Teams webhook request is received").
//!
//! The card has a link and no other action: without a bot, Teams does not identify the user who pressed a button. Facts
//! are text runs, in which Teams interprets no Markdown, so a name cannot become a link.

use super::http::PostRequest;
use super::{SendError, invalid, wording};
use domain::channel::{ChannelSecret, Message};
use domain::upload::FieldError;
use serde_json::{Value, json};

/// Checks the secret, which is a bearer token for flows with restricted callers.
pub(super) fn check(secret: Option<&ChannelSecret>) -> Result<(), FieldError> {
    match secret {
        Some(ChannelSecret::Login { .. }) => Err(invalid("/secret", "must be a token")),
        Some(ChannelSecret::Text(token)) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(invalid("/secret", "must be a token of printable characters without spaces"))
        }
        _ => Ok(()),
    }
}

/// The request that posts the card.
///
/// # Errors
/// If the secret cannot be sent in a header.
pub(super) fn request(secret: Option<&ChannelSecret>, message: &Message) -> Result<PostRequest, SendError> {
    let mut request = PostRequest::new(body(message).to_string());
    if let Some(ChannelSecret::Text(token)) = secret {
        request.add("authorization", &format!("Bearer {token}"))?;
    }
    Ok(request)
}

/// A message with one adaptive card.
fn body(message: &Message) -> Value {
    let event = message.notification.event;
    let mut elements = vec![
        json!({
            "type": "TextBlock", "size": "Medium", "weight": "Bolder", "wrap": true, "text": wording::title(event),
        }),
        json!({ "type": "TextBlock", "wrap": true, "text": wording::explanation(event) }),
    ];
    elements.extend(wording::facts(message).into_iter().map(|fact| {
        json!({
            "type": "RichTextBlock",
            "inlines": [
                { "type": "TextRun", "weight": "Bolder", "text": format!("{}: ", fact.title) },
                { "type": "TextRun", "text": fact.value },
            ],
        })
    }));
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": elements,
    });
    if let Some(link) = &message.link {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "Open in the console", "url": link }]);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}
