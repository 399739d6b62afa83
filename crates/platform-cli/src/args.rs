//! The command-line arguments. The doc comments become the help texts and the manual pages.

mod approvals;
mod goals;
mod teams;

pub use approvals::{ApprovalListArgs, ApprovalsCommand, DecisionArgs};
pub use goals::{GoalsArgs, GoalsCommand};
pub use teams::TeamsCommand;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use domain::audit::ResultStatus;
use domain::command::RetrievalMode;
use domain::document::DocumentStatus;
use domain::model::TierChoice;
use domain::role::Classification;
use std::path::PathBuf;
use uuid::Uuid;

/// Scopes that are requested from an issuer unless others are given.
pub const DEFAULT_SCOPE: &str = "openid offline_access";

const AFTER_HELP: &str = "\
Environment:
  PLATFORM_URL     URL of the platform
  PLATFORM_TOKEN   Access token, used instead of the stored login
  NO_COLOR         Disables colors if set

Exit codes:
  0  success
  1  failure: not found, invalid, or a server error
  2  invalid usage
  3  not signed in
  4  refused: you are not allowed to do this
  5  the platform is not reachable
  130  interrupted";

/// Ask questions about the plant's documents, search them and manage them.
#[derive(Debug, Parser)]
#[command(name = "platform", version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    pub options: GlobalOptions,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Args)]
pub struct GlobalOptions {
    /// URL of the platform [default: where you signed in last].
    #[arg(long, global = true, env = "PLATFORM_URL", hide_env_values = true, value_name = "URL")]
    pub url: Option<String>,
    /// How results are printed: as text, or as JSON.
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Text, value_name = "FORMAT")]
    pub output: OutputFormat,
    /// File with additional CA certificates to trust (PEM).
    #[arg(long, global = true, env = "PLATFORM_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Allow sending tokens to other machines without encryption.
    #[arg(long, global = true, env = "PLATFORM_ALLOW_HTTP", value_parser = clap::builder::FalseyValueParser::new())]
    pub allow_http: bool,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people; columns are separated by tabs if the output is not a terminal.
    Text,
    /// One JSON document; for uploads and with --all, one document per line.
    Json,
}

/// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign in and store the login.
    ///
    /// Without an option, opens a browser on this machine. Ask the platform's administrator for the issuer and the
    /// client id that are registered for this program.
    Login(LoginArgs),
    /// Sign out: revoke and delete the stored login.
    Logout,
    /// Show who is signed in, with role and tenant.
    Whoami,
    /// Ask a question and stream the answer, followed by its sources.
    ///
    /// Without MESSAGE, the question is read from standard input; on a terminal, a conversation starts. Ctrl-C also
    /// cancels the answer on the server.
    Chat(ChatArgs),
    /// List your conversations, or show one.
    Conversations(ConversationsArgs),
    /// Search the documents and show the matching passages.
    Search(SearchArgs),
    /// Upload, list, show and delete documents.
    #[command(subcommand)]
    Docs(DocsCommand),
    /// Requests for writes to plant systems: list, show, approve, reject and cancel them.
    #[command(subcommand)]
    Approvals(ApprovalsCommand),
    /// Teams: list and create them, and manage members and invitations.
    #[command(subcommand)]
    Teams(TeamsCommand),
    /// Goals that agents work on: list, show, create, approve, cancel them, and try steps again.
    Goals(GoalsArgs),
    /// List and revoke your sessions: where you are signed in.
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// List the audit log: your tenant's rows for admins and auditors, your own rows for others.
    Audit(AuditArgs),
    /// Print a shell completion script.
    Completions {
        /// The shell that the script is for.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write the pages of all commands.
    Man {
        /// Write one page for each command into this directory.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// How to sign in.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Show a code to enter on another device, instead of opening a browser here.
    #[arg(long, conflicts_with_all = ["no_browser", "token_stdin"])]
    pub device: bool,
    /// Print the URL to open on this machine, instead of opening a browser.
    #[arg(long)]
    pub no_browser: bool,
    /// Read an access token from standard input, and store it.
    #[arg(long, conflicts_with = "no_browser")]
    pub token_stdin: bool,
    /// Issuer of the tokens.
    #[arg(long, env = "PLATFORM_ISSUER", value_name = "URL")]
    pub issuer: Option<String>,
    /// Client id of this program at the issuer.
    #[arg(long, env = "PLATFORM_CLIENT_ID", value_name = "ID")]
    pub client_id: Option<String>,
    /// Scopes to request from the issuer, separated by spaces.
    #[arg(long, env = "PLATFORM_SCOPE", default_value = DEFAULT_SCOPE, value_name = "SCOPES")]
    pub scope: String,
}

/// The question, and how to answer it.
#[derive(Debug, Args)]
pub struct ChatArgs {
    /// The question to ask.
    pub message: Option<String>,
    /// Continue this conversation.
    #[arg(long, value_name = "ID", conflicts_with = "continue_latest")]
    pub conversation: Option<Uuid>,
    /// Start a conversation of this team, which searches its documents.
    #[arg(long, value_name = "ID", conflicts_with_all = ["conversation", "continue_latest"])]
    pub team: Option<Uuid>,
    /// Continue the conversation that was used last.
    #[arg(long = "continue")]
    pub continue_latest: bool,
    /// Model that answers.
    #[arg(long, value_parser = one_of(TierChoice::ALL.iter().map(|word| word.as_str())))]
    pub model: Option<String>,
    /// Whether to search the documents.
    #[arg(long, value_parser = one_of(RetrievalMode::ALL.iter().map(|word| word.as_str())))]
    pub retrieval: Option<String>,
    /// Search only this document; may be repeated.
    #[arg(long = "document", value_name = "ID")]
    pub documents: Vec<Uuid>,
    /// Search only documents with this tag; may be repeated.
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
}

/// Which conversations to show.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ConversationsArgs {
    #[command(flatten)]
    pub page: PageArgs,
    #[command(subcommand)]
    pub command: Option<ConversationsCommand>,
}

/// What to do with one conversation.
#[derive(Debug, Subcommand)]
pub enum ConversationsCommand {
    /// Show the messages of a conversation.
    Get {
        /// Id of the conversation.
        id: Uuid,
    },
}

/// What to search for, and in which documents.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// The words to search for.
    pub query: String,
    /// Maximum number of passages.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=50))]
    pub top_k: Option<u32>,
    /// Search only this document; may be repeated.
    #[arg(long = "document", value_name = "ID")]
    pub documents: Vec<Uuid>,
    /// Search only documents with this tag; may be repeated.
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Search only documents of this kind.
    #[arg(long, value_name = "KIND")]
    pub doc_type: Option<String>,
    /// Search the documents of this team instead of your tenant's; may be repeated.
    #[arg(long = "team", value_name = "ID")]
    pub teams: Vec<Uuid>,
    /// Also search revisions that are not in force.
    #[arg(long)]
    pub include_superseded: bool,
}

/// What to do with documents.
#[derive(Debug, Subcommand)]
pub enum DocsCommand {
    /// Upload files and wait until they can be searched.
    Upload(UploadArgs),
    /// List documents, newest first.
    List(DocumentListArgs),
    /// Show a document's metadata, or save its file.
    Get {
        /// Id of the document.
        id: Uuid,
        /// Save the file as it was uploaded; `-` writes it to standard output.
        #[arg(long, value_name = "FILE")]
        download: Option<PathBuf>,
    },
    /// Delete documents permanently.
    Delete {
        /// Ids of the documents.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<Uuid>,
    },
}

/// Which files to upload, and their metadata.
#[derive(Debug, Args)]
pub struct UploadArgs {
    /// Files to upload: PDF, DOCX, XLSX, ODS, PPTX, CSV, HTML, EML, Markdown or plain text.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Tag of the documents; may be repeated.
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Kind of the documents, such as procedure or manual.
    #[arg(long, value_name = "KIND")]
    pub doc_type: Option<String>,
    /// Classification, which decides who may see the documents.
    #[arg(long, value_parser = one_of(Classification::ALL.iter().map(|word| word.as_str())))]
    pub classification: Option<String>,
    /// Revision label of the document, as the plant writes it.
    #[arg(long)]
    pub revision: Option<String>,
    /// Document that this one replaces.
    #[arg(long, value_name = "ID")]
    pub supersedes: Option<Uuid>,
    /// Team that the documents are for.
    #[arg(long, value_name = "ID")]
    pub team: Option<Uuid>,
    /// First day on which the documents are in force, such as 2026-03-01.
    #[arg(long, value_name = "DAY")]
    pub effective_from: Option<chrono::NaiveDate>,
    /// Do not wait until the documents can be searched.
    #[arg(long)]
    pub no_wait: bool,
}

/// Which documents to list.
#[derive(Debug, Args)]
pub struct DocumentListArgs {
    /// Only documents with this status.
    #[arg(long, value_parser = one_of(DocumentStatus::ALL.iter().map(|word| word.as_str())))]
    pub status: Option<String>,
    /// Only documents with this tag.
    #[arg(long)]
    pub tag: Option<String>,
    /// Only documents of this kind.
    #[arg(long, value_name = "KIND")]
    pub doc_type: Option<String>,
    /// The documents of this team instead of your tenant's.
    #[arg(long, value_name = "ID")]
    pub team: Option<Uuid>,
    #[command(flatten)]
    pub page: PageArgs,
}

/// What to do with sessions.
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// List your sessions, newest first.
    List(PageArgs),
    /// Revoke sessions: their tokens are refused within seconds.
    Revoke {
        /// Ids of the sessions.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<Uuid>,
    },
}

/// Which rows of the audit log to list.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Only this event, such as chat.request.
    #[arg(long, value_name = "EVENT")]
    pub event_type: Option<String>,
    /// Only actions of this user.
    #[arg(long, value_name = "ID")]
    pub user_id: Option<Uuid>,
    /// Only actions on this resource.
    #[arg(long, value_name = "ID")]
    pub resource_id: Option<Uuid>,
    /// Only at or after this time (RFC 3339, or a day).
    #[arg(long, value_name = "TIME", value_parser = parse_timestamp)]
    pub from: Option<String>,
    /// Only before this time (RFC 3339, or a day).
    #[arg(long, value_name = "TIME", value_parser = parse_timestamp)]
    pub to: Option<String>,
    /// Only rows with this result.
    #[arg(long, value_name = "RESULT", value_parser = one_of(ResultStatus::ALL.iter().map(|word| word.as_str())))]
    pub result_status: Option<String>,
    /// Only rows of this session.
    #[arg(long, value_name = "ID")]
    pub session_id: Option<Uuid>,
    /// Only rows of this conversation.
    #[arg(long, value_name = "ID")]
    pub conversation_id: Option<Uuid>,
    /// Only the intent and the outcome of this operation.
    #[arg(long, value_name = "ID")]
    pub correlation_id: Option<Uuid>,
    /// Only rows that this request caused.
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    #[command(flatten)]
    pub page: PageArgs,
}

/// Which page of a list to show.
#[derive(Debug, Args)]
pub struct PageArgs {
    /// Number of entries on a page.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=200))]
    pub limit: Option<u32>,
    /// Cursor of the page to show, as printed after the previous page.
    #[arg(long, conflicts_with = "all")]
    pub cursor: Option<String>,
    /// Read all pages.
    #[arg(long)]
    pub all: bool,
}

fn one_of(words: impl Iterator<Item = &'static str>) -> PossibleValuesParser {
    PossibleValuesParser::new(words)
}

/// Parses an RFC 3339 timestamp or a date (midnight UTC). Returns RFC 3339 in UTC, as the server expects.
fn parse_timestamp(text: &str) -> Result<String, String> {
    if let Ok(day) = text.parse::<chrono::NaiveDate>() {
        return Ok(format!("{day}T00:00:00Z"));
    }
    match chrono::DateTime::parse_from_rfc3339(text) {
        Ok(moment) => Ok(moment.to_utc().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
        Err(_) => Err("expected a day such as 2026-03-01, or a time such as 2026-03-01T06:30:00Z".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_clap_definitions_are_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_date_and_a_timestamp_with_an_offset_are_parsed() {
        assert_eq!(parse_timestamp("2026-03-01").unwrap(), "2026-03-01T00:00:00Z");
        assert_eq!(parse_timestamp("2026-03-01T08:30:00+02:00").unwrap(), "2026-03-01T06:30:00Z");
        assert!(parse_timestamp("yesterday").unwrap_err().contains("2026-03-01"));
    }

    #[test]
    fn conversations_lists_without_a_subcommand_and_get_shows_one() {
        let parse = |words: &[&str]| Cli::try_parse_from([&["platform"], words].concat());
        let listed = parse(&["conversations", "--limit", "3"]).unwrap();
        assert!(matches!(listed.command, Command::Conversations(args) if args.command.is_none()));
        let id = "0197b2c0-7c1e-7000-8000-000000000001";
        let shown = parse(&["conversations", "get", id]).unwrap();
        assert!(matches!(shown.command, Command::Conversations(args) if args.command.is_some()));
    }
}
