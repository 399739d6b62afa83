//! `sessions`: lists and revokes the user's sessions.

use super::docs::note_next_page;
use crate::api::{Client, Query, show_pages};
use crate::args::SessionsCommand;
use crate::error::CliError;
use crate::terminal::{Console, Table};
use serde_json::{Value, json};

/// Lists or revokes sessions.
///
/// # Errors
/// If the platform cannot be reached, or refuses the request.
pub async fn run(client: &Client, command: &SessionsCommand, console: &mut Console) -> Result<(), CliError> {
    match command {
        SessionsCommand::List(args) => {
            let show_page = |page: &Value| show(page, args.all, console);
            show_pages(client, "v1/sessions", Query::default(), args, show_page).await
        }
        SessionsCommand::Revoke { ids } => {
            for id in ids {
                client.delete(&format!("v1/sessions/{id}")).await?;
                match console.is_json() {
                    true => console.json(&json!({ "id": id, "revoked": true }))?,
                    false => console.line(&format!("revoked {id}"))?,
                }
            }
            Ok(())
        }
    }
}

fn show(page: &Value, all: bool, console: &mut Console) -> Result<(), CliError> {
    let mut sessions = page["data"].as_array().into_iter().flatten();
    match (console.is_json(), all) {
        (true, true) => return sessions.try_for_each(|session| console.json(session)),
        (true, false) => return console.json(page),
        (false, _) => {}
    }
    let mut table = Table::new(&["id", "client", "created", "last seen", "expires", ""]);
    for session in sessions {
        let text = |name: &str| session[name].as_str().unwrap_or("-").to_owned();
        let mark = if session["current"] == true { "this one" } else { "" };
        let cells = ["id", "client", "created_at", "last_seen_at", "expires_at"].map(text);
        table.push_row(cells.into_iter().chain([mark.to_owned()]));
    }
    console.table(&table)?;
    note_next_page(page, all, console);
    Ok(())
}
