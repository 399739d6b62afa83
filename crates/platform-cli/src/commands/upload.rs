//! `docs upload`: sends files and waits until they can be searched.

use crate::api::{Client, Query};
use crate::args::UploadArgs;
use crate::error::CliError;
use crate::terminal::{Console, spinner, upload_bar};
use futures::StreamExt as _;
use indicatif::ProgressBar;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

/// Pauses between two polls of a document's status: short at first, because small files are ingested quickly.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Uploads the files one after the other, and then waits until all of them are ingested. If the platform refuses one
/// file, the others are still uploaded.
///
/// # Errors
/// If the platform cannot be reached, or if a file could not be read, uploaded or ingested.
pub async fn run(client: &Client, args: &UploadArgs, console: &mut Console) -> Result<(), CliError> {
    let (mut document_ids, mut failed_count) = (Vec::new(), 0);
    for file in &args.files {
        match upload(client, args, file).await {
            Ok(id) => document_ids.push(id),
            Err(CliError::Failed(reason)) => {
                failed_count += 1;
                console.note(&format!("{}: {reason}", file.display()));
            }
            Err(other) => return Err(other),
        }
    }
    for id in document_ids {
        let document =
            if args.no_wait { get_document(client, &id).await? } else { wait_until_ingested(client, &id).await? };
        failed_count += usize::from(document["status"] == "failed");
        show(&document, console)?;
    }
    match failed_count {
        0 => Ok(()),
        1 => Err(CliError::Failed("1 file failed".to_owned())),
        _ => Err(CliError::Failed(format!("{failed_count} files failed"))),
    }
}

/// Sends a file; returns the document's id.
async fn upload(client: &Client, args: &UploadArgs, path: &Path) -> Result<String, CliError> {
    let failed = |error| CliError::Failed(format!("the file cannot be read: {error}"));
    let file = File::open(path).await.map_err(failed)?;
    let metadata = file.metadata().await.map_err(failed)?;
    if !metadata.is_file() {
        return Err(CliError::Failed("this is not a regular file".to_owned()));
    }
    let size = metadata.len();
    let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy()).into_owned();
    let bar = upload_bar(&name, size);
    let mut query = Query::default();
    query.add("team_id", args.team);
    let form = fields(args).part("file", file_part(file, size, name, &bar));
    let request = client.request(Method::POST, "v1/documents/upload", &query)?.multipart(form);
    let answer = client.send(request).await;
    bar.finish_and_clear();
    let answer = client.json(answer?).await?;
    let id = answer["document_id"].as_str().map(str::to_owned);
    id.ok_or_else(|| CliError::Failed("the platform returned no document id".to_owned()))
}

/// Builds the form without the file.
fn fields(args: &UploadArgs) -> Form {
    let fields = [
        ("tags", (!args.tags.is_empty()).then(|| json!(args.tags).to_string())),
        ("doc_type", args.doc_type.clone()),
        ("classification", args.classification.clone()),
        ("revision", args.revision.clone()),
        ("supersedes", args.supersedes.map(|id| id.to_string())),
        ("effective_from", args.effective_from.map(|day| day.to_string())),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    given.fold(Form::new(), |form, (name, value)| form.text(name, value))
}

/// Builds the part with the file, which advances the progress bar as it is sent.
fn file_part(file: File, size: u64, name: String, bar: &ProgressBar) -> Part {
    let bar = bar.clone();
    let bytes = ReaderStream::new(file).inspect(move |piece| {
        if let Ok(piece) = piece {
            bar.inc(piece.len() as u64);
        }
    });
    Part::stream_with_length(reqwest::Body::wrap_stream(bytes), size).file_name(name)
}

async fn get_document(client: &Client, id: &str) -> Result<Value, CliError> {
    client.get(&format!("v1/documents/{id}"), &Query::default()).await
}

/// Waits until a document is `ready` or `failed`.
async fn wait_until_ingested(client: &Client, id: &str) -> Result<Value, CliError> {
    let spinner = spinner("");
    let mut pause = FIRST_PAUSE;
    loop {
        let document = get_document(client, id).await?;
        if document["status"] == "ready" || document["status"] == "failed" {
            spinner.finish_and_clear();
            return Ok(document);
        }
        spinner.set_message(progress_message(&document));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Describes the progress of a document's ingestion.
fn progress_message(document: &Value) -> String {
    let name = document["filename"].as_str().unwrap_or_default();
    let progress = &document["progress"];
    let count = |done: &str, all: &str| Some(format!("{} of {}", progress[done].as_u64()?, progress[all].as_u64()?));
    if let Some(embedded) = count("chunks_embedded", "chunk_count") {
        return format!("{name}: {embedded} passages embedded");
    }
    match count("pages_read", "page_count") {
        Some(read) => format!("{name}: {read} pages read"),
        None => format!("{name}: {}", document["status"].as_str().unwrap_or("waiting")),
    }
}

fn show(document: &Value, console: &mut Console) -> Result<(), CliError> {
    if console.is_json() {
        return console.json(document);
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut line = ["id", "status", "filename"].map(|name| text(&document[name])).join("\t");
    if let Some(reason) = document["error"]["detail"].as_str() {
        line += &format!("\t{reason}");
    }
    console.line(&line)?;
    for warning in document["warnings"].as_array().into_iter().flatten() {
        console.note(&format!("{}: {}", text(&document["filename"]), text(warning)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_shows_the_latest_stage_with_known_counts() {
        let waiting = |progress: Value| {
            progress_message(&json!({ "filename": "a.pdf", "status": "processing", "progress": progress }))
        };
        assert_eq!(waiting(Value::Null), "a.pdf: processing");
        let reading = json!({ "pages_read": 3, "page_count": 9, "chunks_embedded": 0, "chunk_count": null });
        assert_eq!(waiting(reading), "a.pdf: 3 of 9 pages read");
        let embedding = json!({ "pages_read": 9, "page_count": 9, "chunks_embedded": 32, "chunk_count": 64 });
        assert_eq!(waiting(embedding), "a.pdf: 32 of 64 passages embedded");
    }
}
