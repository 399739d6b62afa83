//! Errors of the tool layer.

use crate::mcp::McpError;
use domain::decision::RefusalCode;
use domain::error::{Classify, ErrorKind};
use domain::ports::{BlobError, PlantReadError, StoreError};
use domain::tool::ToolName;
use domain::upload::FieldError;
use std::borrow::Cow;
use std::time::Duration;

/// Why a tool call failed.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The registry has no tool of this name.
    #[error("unknown tool")]
    UnknownTool,
    /// The caller may not use the tool, the user is disabled, the tenant is suspended, or the tool writes to the plant.
    #[error("the tool call was refused: {reason}")]
    Denied {
        /// Stable code of the refusal.
        reason: RefusalCode,
    },
    /// The arguments do not match the tool's schema.
    #[error("invalid tool arguments: {detail}")]
    InvalidArguments {
        /// What is wrong with the arguments; may be shown to the model.
        detail: String,
    },
    /// The requested object does not exist, or the caller may not see it.
    #[error("not found")]
    NotFound,
    /// The audit log could not be written: either the tool was not run, or its result is withheld.
    #[error("the tool call could not be recorded")]
    AuditUnavailable(#[source] StoreError),
    /// The tool exceeded its time limit.
    #[error("tool {tool} timed out")]
    TimedOut {
        /// Name of the tool.
        tool: Cow<'static, str>,
    },
    /// The tool panicked, which is a bug in it.
    #[error("tool {tool} panicked")]
    Panicked {
        /// Name of the tool.
        tool: Cow<'static, str>,
    },
    /// The caller disconnected, or the process is shutting down.
    #[error("the tool call was cancelled")]
    Cancelled,
    /// The database failed.
    #[error("tool {tool} could not use the store")]
    Store {
        /// Name of the tool.
        tool: Cow<'static, str>,
        /// The database error.
        source: StoreError,
    },
    /// The plant systems could not be read.
    #[error(transparent)]
    Plant(#[from] PlantReadError),
    /// A tool of an MCP server could not be called.
    #[error(transparent)]
    Mcp(#[from] McpError),
}

impl ToolError {
    /// Returns a function for `map_err` that adds the tool's name to a store error.
    pub(crate) fn from_store(tool: ToolName) -> impl Fn(StoreError) -> Self {
        move |source| Self::Store { tool: tool.as_str().into(), source }
    }
}

impl Classify for ToolError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownTool | Self::InvalidArguments { .. } => ErrorKind::InvalidField,
            Self::Denied { .. } => ErrorKind::Forbidden,
            Self::NotFound => ErrorKind::NotFound,
            Self::AuditUnavailable(_) | Self::TimedOut { .. } | Self::Cancelled => ErrorKind::Unavailable,
            Self::Panicked { .. } => ErrorKind::Internal,
            Self::Store { source, .. } => source.kind(),
            Self::Plant(source) => source.kind(),
            Self::Mcp(source) => source.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Denied { .. } => "forbidden_tool",
            Self::AuditUnavailable(_) => "audit_unavailable",
            Self::Plant(source) => source.code(),
            Self::Mcp(source) => source.code(),
            other => other.kind().code(),
        }
    }

    fn public_detail(&self) -> Option<String> {
        match self {
            Self::Store { source, .. } => source.public_detail(),
            Self::Plant(source) => source.public_detail(),
            Self::Mcp(source) => source.public_detail(),
            Self::InvalidArguments { detail } => Some(detail.clone()),
            Self::AuditUnavailable(_) => Some("The audit log cannot be written, so nothing was done.".to_owned()),
            Self::TimedOut { .. } => Some("The tool exceeded its time limit.".to_owned()),
            Self::UnknownTool | Self::Denied { .. } | Self::NotFound | Self::Panicked { .. } | Self::Cancelled => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Store { source, .. } => source.retry_after(),
            Self::Mcp(source) => source.retry_after(),
            Self::AuditUnavailable(_) => Some(Duration::from_secs(5)),
            Self::Plant(source) => plant_retry_after(source),
            _ => None,
        }
    }
}

fn plant_retry_after(error: &PlantReadError) -> Option<Duration> {
    match error {
        PlantReadError::BudgetExhausted { retry_after_s } => Some(Duration::from_secs(*retry_after_s)),
        PlantReadError::PlantMode => Some(Duration::from_secs(60)),
        PlantReadError::NoPlantProcess | PlantReadError::Connector(_) => Some(Duration::from_secs(5)),
        PlantReadError::Store(source) => source.retry_after(),
        PlantReadError::UnknownTags { .. } | PlantReadError::NoHistory { .. } => None,
    }
}

/// Why an upload was refused, or a document's bytes could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A form field is invalid, or the file is missing or empty.
    #[error("invalid upload form")]
    InvalidForm(#[from] FieldError),
    /// No reader supports the content. The type is detected from the bytes, not from the file name.
    #[error("unsupported content type")]
    UnsupportedType,
    /// The blob store failed.
    #[error("the document's bytes could not be stored or read")]
    Blob(#[from] BlobError),
    /// The database failed.
    #[error("the document could not be recorded")]
    Store(#[from] StoreError),
    /// The upload exceeded its time limit.
    #[error("the upload took longer than {} s", limit.as_secs())]
    TimedOut {
        /// The time limit.
        limit: Duration,
    },
    /// The user was disabled, or the tenant suspended, after the upload had started.
    #[error("the upload was refused: {code}")]
    Refused {
        /// Stable code of the refusal.
        code: RefusalCode,
    },
    /// The user lost the right to upload after the upload had started.
    #[error("the user lost the right to upload")]
    PermissionLost,
    /// The tenant has reached its quota of documents or bytes.
    #[error("the tenant's storage quota is exhausted")]
    QuotaExceeded,
    /// The document to be superseded was uploaded by another user, and the caller is not an admin.
    #[error("only its uploader or an admin may supersede a document")]
    NotUploader,
    /// Only users can upload; the worker and the system cannot.
    #[error("an upload needs a user")]
    NoUser,
}

impl Classify for IngestError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidForm(_) => ErrorKind::InvalidField,
            Self::UnsupportedType => ErrorKind::UnsupportedType,
            Self::Blob(source) => source.kind(),
            Self::Store(source) => source.kind(),
            Self::TimedOut { .. } => ErrorKind::Malformed,
            Self::Refused { .. } | Self::PermissionLost | Self::NotUploader => ErrorKind::Forbidden,
            Self::QuotaExceeded => ErrorKind::Conflict,
            Self::NoUser => ErrorKind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::QuotaExceeded => "quota_exceeded",
            Self::TimedOut { .. } => "upload_timeout",
            Self::Refused { code } => code.as_str(),
            other => other.kind().code(),
        }
    }

    fn public_detail(&self) -> Option<String> {
        match self {
            Self::UnsupportedType => Some(
                "The content is not PDF, DOCX, XLSX, ODS, PPTX, CSV, HTML, EML, Markdown or plain text. The type is \
                 detected from the bytes; the file name only tells formats of text apart."
                    .to_owned(),
            ),
            Self::Blob(source) => source.public_detail(),
            Self::Store(source) => source.public_detail(),
            Self::TimedOut { limit } => {
                Some(format!("The upload took longer than the allowed {} s; nothing was stored.", limit.as_secs()))
            }
            Self::Refused { code: RefusalCode::TenantSuspended } => Some("The tenant was suspended.".to_owned()),
            Self::Refused { .. } => Some("The user was disabled.".to_owned()),
            Self::PermissionLost => Some("You are no longer allowed to upload documents.".to_owned()),
            Self::QuotaExceeded => Some(
                "The tenant has reached its quota of documents or bytes; delete some, or ask for a higher quota."
                    .to_owned(),
            ),
            Self::NotUploader => Some("Only its uploader or an admin may supersede a document.".to_owned()),
            // The HTTP layer reports a field error with its JSON pointer, so it needs no detail sentence.
            Self::InvalidForm(_) | Self::NoUser => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Store(source) => source.retry_after(),
            _ => None,
        }
    }
}
