//! `docs`: uploads, lists, shows, downloads and deletes documents.

use crate::api::{Client, Query, show_pages};
use crate::args::{DocsCommand, DocumentListArgs};
use crate::error::CliError;
use crate::terminal::{Console, Table};
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use uuid::Uuid;

/// Fields of a document that are shown if they have a value.
const FIELDS: &[&str] = &[
    "id",
    "filename",
    "title",
    "status",
    "classification",
    "mime_type",
    "file_size_bytes",
    "doc_type",
    "revision",
    "supersedes",
    "superseded_by",
    "effective_from",
    "page_count",
    "chunk_count",
    "sha256",
    "uploaded_by",
    "created_at",
    "updated_at",
];

/// Uploads, lists, shows, downloads or deletes documents.
///
/// # Errors
/// If the platform cannot be reached, or refuses the request.
pub async fn run(client: &Client, command: DocsCommand, console: &mut Console) -> Result<(), CliError> {
    match command {
        DocsCommand::Upload(args) => super::upload::run(client, &args, console).await,
        DocsCommand::List(args) => list(client, &args, console).await,
        DocsCommand::Get { id, download: Some(file) } => download(client, id, &file, console).await,
        DocsCommand::Get { id, download: None } => {
            let document = client.get(&format!("v1/documents/{id}"), &Query::default()).await?;
            show(&document, console)
        }
        DocsCommand::Delete { ids } => delete(client, &ids, console).await,
    }
}

/// Prints how to see the next page, if there is one.
pub fn note_next_page(page: &Value, all: bool, console: &Console) {
    if let Some(cursor) = page["next_cursor"].as_str().filter(|_| !all) {
        console.note(&format!("there are more: continue with --cursor {cursor}, or pass --all"));
    }
}

async fn list(client: &Client, args: &DocumentListArgs, console: &mut Console) -> Result<(), CliError> {
    let mut query = Query::default();
    query.add("status", args.status.as_ref());
    query.add("tag", args.tag.as_ref());
    query.add("doc_type", args.doc_type.as_ref());
    query.add("team_id", args.team);
    let all = args.page.all;
    show_pages(client, "v1/documents", query, &args.page, |page| {
        let mut documents = page["data"].as_array().into_iter().flatten();
        match (console.is_json(), all) {
            (true, true) => return documents.try_for_each(|document| console.json(document)),
            (true, false) => return console.json(page),
            (false, _) => {}
        }
        let mut table = Table::new(&["id", "status", "classification", "pages", "file", "title"]);
        for document in documents {
            let names = ["id", "status", "classification", "page_count", "filename", "title"];
            table.push_row(names.map(|name| display_value(&document[name]).unwrap_or_else(|| "-".to_owned())));
        }
        console.table(&table)?;
        note_next_page(page, all, console);
        Ok(())
    })
    .await
}

fn show(document: &Value, console: &mut Console) -> Result<(), CliError> {
    if console.is_json() {
        return console.json(document);
    }
    let field = |name: &str, value: &str| format!("{:17} {value}", format!("{}:", name.replace('_', " ")));
    for name in FIELDS {
        if let Some(value) = display_value(&document[*name]) {
            console.line(&field(name, &value))?;
        }
    }
    let texts = |name: &str| document[name].as_array().into_iter().flatten().filter_map(Value::as_str);
    let tags: Vec<_> = texts("tags").collect();
    if !tags.is_empty() {
        console.line(&field("tags", &tags.join(", ")))?;
    }
    if let Some(detail) = document["error"]["detail"].as_str() {
        console.line(&field("error", detail))?;
    }
    texts("warnings").try_for_each(|warning| console.line(&field("warning", warning)))
}

fn display_value(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

async fn delete(client: &Client, ids: &[Uuid], console: &mut Console) -> Result<(), CliError> {
    for id in ids {
        client.delete(&format!("v1/documents/{id}")).await?;
        match console.is_json() {
            true => console.json(&json!({ "id": id, "deleted": true }))?,
            false => console.line(&format!("deleted {id}"))?,
        }
    }
    Ok(())
}

/// Writes a document's file to standard output or to `file`, which is created only when the download is complete.
async fn download(client: &Client, id: Uuid, file: &Path, console: &mut Console) -> Result<(), CliError> {
    let request = client.request(Method::GET, &format!("v1/documents/{id}/content"), &Query::default())?;
    let response = client.send(request).await?;
    let mut bytes = response.bytes_stream();
    if file == Path::new("-") {
        while let Some(piece) = bytes.next().await {
            console.raw(&piece.map_err(|error| client.connection_error(error))?)?;
        }
        return Ok(());
    }
    let failed = |error| CliError::failed_locally(&file.display().to_string(), error);
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut partial_file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
    while let Some(piece) = bytes.next().await {
        partial_file.write_all(&piece.map_err(|error| client.connection_error(error))?).map_err(failed)?;
    }
    partial_file.persist(file).map_err(|error| failed(error.error))?;
    console.note(&format!("saved {}", file.display()));
    Ok(())
}
