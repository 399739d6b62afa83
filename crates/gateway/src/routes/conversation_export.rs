//! The route that exports a conversation as a file.

use super::conversations::ConversationWithMessages;
use crate::body::PathId;
use crate::caller::AuthenticatedRequest;
use crate::error::ApiError;
use crate::file_name::{attachment_disposition, sanitize};
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::command::{Branches, ExportConversation};
use domain::conversation::{Citation, DocumentCitation, Message, MessageRole, MessageStatus, Transcript};
use domain::error::ErrorKind;
use domain::ids::{ConversationId, UserId};
use domain::plant::one_line;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Title and file name of a conversation that has no title.
const UNTITLED: &str = "Conversation";
/// Longest name of a tag in a Markdown export, in characters.
const MAX_TAG_CHARS: usize = 128;
/// Maximum length of an author's name in a heading.
const MAX_AUTHOR_CHARS: usize = 128;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(export))
}

/// The format of an exported conversation.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum ExportFormat {
    Markdown,
    Json,
}

/// Options of an export.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// `markdown` (the default) contains the active branch, `json` the messages of all branches.
    #[param(inline)]
    format: Option<ExportFormat>,
}

/// Exports a conversation as a file, without the content of messages that are above your clearance.
#[utoipa::path(
    get, path = "/v1/conversations/{id}/export", tag = "conversations", params(("id" = Uuid, Path), ExportQuery),
    responses((status = 200, description = "The file", content(
        (String = "text/markdown"),
        (ConversationWithMessages = "application/json"),
    )))
)]
async fn export(
    call: AuthenticatedRequest,
    PathId(id): PathId<ConversationId>,
    ApiQuery(query): ApiQuery<ExportQuery>,
) -> Result<Response, ApiError> {
    let format = query.format.unwrap_or(ExportFormat::Markdown);
    let branches = match format {
        ExportFormat::Markdown => Branches::Active,
        ExportFormat::Json => Branches::All,
    };
    let transcript = call.execute(ExportConversation { id, branches }).await?;
    let name = file_stem(transcript.conversation.title.as_deref());
    let (content_type, extension, content) = match format {
        ExportFormat::Markdown => {
            ("text/markdown; charset=utf-8", "md", to_markdown(&transcript, call.caller.user().id))
        }
        ExportFormat::Json => {
            let body = serde_json::to_string_pretty(&ConversationWithMessages::from(transcript));
            ("application/json", "json", body.map_err(|_| ApiError::from_kind(ErrorKind::Internal))?)
        }
    };
    let headers = [
        (CONTENT_TYPE, content_type.to_owned()),
        (CONTENT_DISPOSITION, attachment_disposition(&format!("{name}.{extension}"))),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
        (CACHE_CONTROL, "private, no-cache".to_owned()),
    ];
    Ok((headers, content).into_response())
}

/// Returns the file name without its extension.
fn file_stem(title: Option<&str>) -> String {
    let title: String = title.unwrap_or(UNTITLED).chars().take(80).collect();
    sanitize(&title.replace(['/', '\\'], "-")).unwrap_or_else(|_| UNTITLED.to_owned())
}

/// `reader` is the user who exports: the other members of a team are named.
fn to_markdown(Transcript { conversation, messages }: &Transcript, reader: UserId) -> String {
    let mut text = format!("# {}\n", conversation.title.as_deref().unwrap_or(UNTITLED));
    for message in messages {
        let speaker = match (message.role, &message.author) {
            (MessageRole::User, Some(author)) if author.id != reader => one_line(&author.name, MAX_AUTHOR_CHARS),
            (MessageRole::User, _) => "You".to_owned(),
            (MessageRole::Assistant | MessageRole::System | MessageRole::Tool, _) => "Assistant".to_owned(),
        };
        text += &format!("\n## {speaker}, {}\n\n", format_to_minute(message.created_at));
        text += if message.withheld { "*Left out: above your clearance.*" } else { message.content.trim_end() };
        text += "\n";
        text += status_note(message);
        if !message.citations.is_empty() {
            text += "\n";
            message.citations.iter().for_each(|citation| text += &citation_line(citation));
        }
    }
    text
}

fn format_to_minute(time: DateTime<Utc>) -> impl std::fmt::Display {
    time.format("%Y-%m-%d %H:%M UTC")
}

/// Returns a note about an answer that is not complete; empty if it is.
fn status_note(message: &Message) -> &'static str {
    match message.status {
        MessageStatus::Complete => "",
        MessageStatus::Streaming => "\n*This answer is still being written.*\n",
        MessageStatus::Cancelled => "\n*This answer was stopped.*\n",
        MessageStatus::Error => "\n*This answer failed.*\n",
    }
}

fn citation_line(citation: &Citation) -> String {
    let citation = match citation {
        Citation::Document(citation) => citation,
        Citation::Reading(reading) => {
            let chart = reading.chart().map(|chart| format!(", chart: {chart}")).unwrap_or_default();
            let tag = one_line(&reading.tag, MAX_TAG_CHARS);
            return format!("- [{}] {tag}: {} ({}){chart}\n", reading.n, reading.in_words(), reading.source);
        }
    };
    let DocumentCitation { n, file_name, page, section, quote, .. } = citation;
    let page = page.map(|page| format!(", page {page}")).unwrap_or_default();
    let section = section.as_ref().map(|section| format!(", {section}")).unwrap_or_default();
    let quote = quote.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("- [{n}] {file_name}{page}{section}: “{quote}”\n")
}
