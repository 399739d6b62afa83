//! `conversations`: lists conversations, or shows one.

use super::docs::note_next_page;
use super::sources::citation_line;
use crate::api::{Client, Query, show_pages};
use crate::args::{ConversationsArgs, ConversationsCommand};
use crate::error::CliError;
use crate::terminal::{Console, Table, to_single_line};
use serde_json::Value;
use uuid::Uuid;

/// Lists conversations, newest first, or shows one.
///
/// # Errors
/// If the platform cannot be reached, or refuses the request.
pub async fn run(client: &Client, args: &ConversationsArgs, console: &mut Console) -> Result<(), CliError> {
    if let Some(ConversationsCommand::Get { id }) = &args.command {
        return get(client, *id, console).await;
    }
    let all = args.page.all;
    show_pages(client, "v1/conversations", Query::default(), &args.page, |page| {
        let mut conversations = page["data"].as_array().into_iter().flatten();
        match (console.is_json(), all) {
            (true, true) => return conversations.try_for_each(|conversation| console.json(conversation)),
            (true, false) => return console.json(page),
            (false, _) => {}
        }
        let mut table = Table::new(&["id", "updated", "title"]);
        for conversation in conversations {
            let text = |name: &str| conversation[name].as_str().unwrap_or("-").to_owned();
            table.push_row(["id", "updated_at", "title"].map(text));
        }
        console.table(&table)?;
        note_next_page(page, all, console);
        Ok(())
    })
    .await
}

/// Returns the id of the conversation that was used last.
///
/// # Errors
/// If there is none, or the platform cannot be reached.
pub async fn latest_conversation_id(client: &Client) -> Result<String, CliError> {
    let mut query = Query::default();
    query.add("limit", Some(1));
    let page = client.get("v1/conversations", &query).await?;
    let id = page["data"][0]["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| CliError::Failed("there is no conversation to continue".to_owned()))
}

async fn get(client: &Client, id: Uuid, console: &mut Console) -> Result<(), CliError> {
    let conversation = client.get(&format!("v1/conversations/{id}"), &Query::default()).await?;
    if console.is_json() {
        return console.json(&conversation);
    }
    for message in conversation["messages"].as_array().into_iter().flatten() {
        show(message, console)?;
    }
    Ok(())
}

fn show(message: &Value, console: &mut Console) -> Result<(), CliError> {
    let text = |name: &str| message[name].as_str().unwrap_or_default();
    let state = match text("status") {
        "" | "complete" => String::new(),
        other => format!(", {other}"),
    };
    console.heading(&format!("{}{state} ({})", text("role"), text("created_at")))?;
    match message["withheld"] == true {
        true => console.line("(withheld: its classification is above your clearance)")?,
        false => console.line(text("content").trim_end())?,
    }
    let citations = message["citations"].as_array().into_iter().flatten();
    citations.map(|one| to_single_line(&citation_line(one))).try_for_each(|one| console.line(&one))?;
    console.line("")
}
