//! What a prompt contains, and where.

use super::channels::Place;
use serde_json::Value;

/// Names of the tags around data.
const TAGS: [&str; 6] = ["passages", "memories", "readings", "tool_result", "client_instructions", "conversation"];
/// The digits of the examples in the system message.
const EXAMPLE_NONCE: &str = "0a1b2c3d";
/// Text that a chat template would take for the start of a role or a special token.
const TEMPLATE_TOKENS: [&str; 4] = ["<|im_start|>", "<|im_end|>", "[INST]", "\nHuman:"];

pub fn messages(request: &Value) -> &[Value] {
    request["messages"].as_array().map_or(&[], Vec::as_slice)
}

pub fn content(message: &Value) -> &str {
    message["content"].as_str().unwrap_or_default()
}

/// The content of the last message of a role.
pub fn last_content<'r>(request: &'r Value, role: &str) -> &'r str {
    messages(request).iter().rfind(|message| message["role"] == role).map(content).unwrap_or_default()
}

/// The digits in the tags of this prompt; `None` if it has no tags.
pub fn nonce(request: &Value) -> Option<String> {
    let digits = |text: &str, tag: &str| {
        let start = format!("<{tag}-");
        let nonces =
            text.match_indices(&start).filter_map(|(at, _)| text[at + start.len()..].get(..EXAMPLE_NONCE.len()));
        nonces.filter(|nonce| *nonce != EXAMPLE_NONCE).map(str::to_owned).next()
    };
    messages(request).iter().find_map(|message| TAGS.iter().find_map(|tag| digits(content(message), tag)))
}

/// The places of the first `marker` in each message.
pub fn places(request: &Value, marker: &str) -> Vec<Place> {
    let nonce = nonce(request).unwrap_or_default();
    let place = |message: &Value| {
        let text = content(message);
        let at = text.find(marker)?;
        let role = message["role"].as_str().unwrap_or_default().to_owned();
        let within = open_tags(&text[..at], &nonce).unwrap_or_default().pop().unwrap_or_default();
        Some(Place { role, within })
    };
    messages(request).iter().filter_map(place).collect()
}

/// What is wrong with a prompt: a tag of the platform that is closed from within, or a token of a chat template outside
/// the user's own messages.
pub fn defects(request: &Value) -> Vec<String> {
    let nonce = nonce(request).unwrap_or_default();
    let mut defects = Vec::new();
    for message in messages(request) {
        let text = content(message);
        // The rules name this tag once.
        let text = &text.replacen(&format!("<client_instructions-{nonce}> tags"), "", 1);
        if open_tags(text, &nonce) != Ok(Vec::new()) {
            defects.push(format!("tags are not balanced: {text}"));
        }
        let is_users_own = message["role"] == "user" && (nonce.is_empty() || !text.contains(&format!("-{nonce}>")));
        let written = if is_users_own { String::new() } else { format!("{text}{}", tool_calls(message)) };
        let tokens = TEMPLATE_TOKENS.iter().filter(|token| written.contains(**token));
        defects.extend(tokens.map(|token| format!("{token} in: {written}")));
    }
    defects
}

/// Names and arguments of the calls in a message of the assistant.
fn tool_calls(message: &Value) -> String {
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    let texts = calls.flat_map(|call| [&call["function"]["name"], &call["function"]["arguments"]]);
    texts.filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}

/// The tags of this prompt that are open at the end of `text`, outermost first, and the attribute if the text ends in
/// one.
///
/// # Errors
/// If a tag is closed that is not open.
fn open_tags(text: &str, nonce: &str) -> Result<Vec<String>, String> {
    let mut open: Vec<String> = Vec::new();
    for (at, _) in text.match_indices('<') {
        let tag = &text[at + 1..];
        let (is_end, tag) = tag.strip_prefix('/').map_or((false, tag), |name| (true, name));
        let Some((name, rest)) = tag.split_once('-').filter(|(name, _)| is_name(name)) else { continue };
        let Some(attributes) = rest.strip_prefix(nonce).filter(|_| !nonce.is_empty()) else { continue };
        if is_end {
            if open.pop().as_deref() != Some(name) {
                return Err(name.to_owned());
            }
            continue;
        }
        open.push(name.to_owned());
        if !attributes.contains('>') {
            let attribute = attributes.rsplit_once("=\"").map_or("", |(names, _)| names);
            open.push(attribute.rsplit(' ').next().unwrap_or_default().to_owned());
        }
    }
    Ok(open)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}
