//! `audit`: lists the audit log, newest rows first.

use super::docs::note_next_page;
use crate::api::{Client, Query, show_pages};
use crate::args::AuditArgs;
use crate::error::CliError;
use crate::terminal::{Console, Table};
use serde_json::Value;

/// Queries `GET /v1/audit` with the filters in `args`, and prints each page as a table or as JSON.
///
/// # Errors
/// If the platform cannot be reached, or refuses the request.
pub async fn run(client: &Client, args: AuditArgs, console: &mut Console) -> Result<(), CliError> {
    let mut query = Query::default();
    query.add("event_type", args.event_type);
    query.add("user_id", args.user_id);
    query.add("resource_id", args.resource_id);
    query.add("from", args.from);
    query.add("to", args.to);
    query.add("result_status", args.result_status);
    query.add("session_id", args.session_id);
    query.add("conversation_id", args.conversation_id);
    query.add("correlation_id", args.correlation_id);
    query.add("request_id", args.request_id);
    show_pages(client, "v1/audit", query, &args.page, |page| show(page, args.page.all, console)).await
}

fn show(page: &Value, all: bool, console: &mut Console) -> Result<(), CliError> {
    let rows = page["data"].as_array().into_iter().flatten();
    match (console.is_json(), all) {
        (true, true) => return rows.into_iter().try_for_each(|row| console.json(row)),
        (true, false) => return console.json(page),
        (false, _) => {}
    }
    let mut table = Table::new(&["time", "event", "phase", "result", "user", "resource", "correlation id"]);
    for row in rows {
        let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
        let resource = match row["resource_id"].as_str() {
            Some(id) => format!("{} {id}", text("resource_type")),
            None => text("resource_type"),
        };
        let leading_cells = ["created_at", "event_type", "phase", "result_status", "user_id"].map(text);
        table.push_row(leading_cells.into_iter().chain([resource, text("correlation_id")]));
    }
    console.table(&table)?;
    note_next_page(page, all, console);
    Ok(())
}
