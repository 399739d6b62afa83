//! What can go wrong in the tool layer.

use domain::decision::RefusalCode;
use domain::error::{Classify, ErrorKind};
use domain::ports::{BlobError, StoreError};
use domain::upload::FieldError;
use std::time::Duration;

/// Why a tool call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// No tool of that name is in the registry.
    #[error("there is no tool of that name")]
    Unknown,
    /// The user may not call it, user or tenant were switched off, or it writes.
    #[error("the tool may not be called: {reason}")]
    Denied {
        /// Why.
        reason: RefusalCode,
    },
    /// The arguments do not fit the tool's schema.
    #[error("the arguments do not fit: {detail}")]
    Arguments {
        /// Why; may be shown to the model.
        detail: String,
    },
    /// The thing asked for is not there, or not for this caller.
    #[error("nothing of that id is there")]
    NotFound,
    /// The call could not be recorded in the audit log, so nothing was done, or nothing of it is handed out.
    #[error("the tool call could not be recorded")]
    Audit(#[source] StoreError),
    /// The tool ran longer than it may.
    #[error("tool {tool} ran longer than it may")]
    TimedOut {
        /// Which tool.
        tool: &'static str,
    },
    /// A defect of the tool.
    #[error("tool {tool} panicked")]
    Panicked {
        /// Which tool.
        tool: &'static str,
    },
    /// Whoever called went away, or the process is shutting down.
    #[error("the tool call was stopped")]
    Stopped,
    /// The database failed.
    #[error("tool {tool} could not use the store")]
    Store {
        /// Which tool.
        tool: &'static str,
        /// Why.
        source: StoreError,
    },
}

impl Classify for ToolError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unknown | Self::Arguments { .. } => ErrorKind::InvalidField,
            Self::Denied { .. } => ErrorKind::Forbidden,
            Self::NotFound => ErrorKind::NotFound,
            Self::Audit(_) | Self::TimedOut { .. } | Self::Stopped => ErrorKind::Unavailable,
            Self::Panicked { .. } => ErrorKind::Internal,
            Self::Store { source, .. } => source.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Denied { .. } => "forbidden_tool",
            Self::Audit(_) => "audit_unavailable",
            other => other.kind().code(),
        }
    }

    fn public_detail(&self) -> Option<String> {
        match self {
            Self::Store { source, .. } => source.public_detail(),
            Self::Arguments { detail } => Some(detail.clone()),
            Self::Audit(_) => Some("The audit log cannot be written, so nothing was done.".to_owned()),
            Self::TimedOut { .. } => Some("The tool took longer than it may.".to_owned()),
            Self::Unknown | Self::Denied { .. } | Self::NotFound | Self::Panicked { .. } | Self::Stopped => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Store { source, .. } => source.retry_after(),
            Self::Audit(_) => Some(Duration::from_secs(5)),
            _ => None,
        }
    }
}

/// Why an upload was not taken, or a document's bytes could not be handled.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A form field is not allowed, or the file is missing or empty.
    #[error("the upload form is not valid")]
    Form(#[from] FieldError),
    /// The content is of no type that a reader handles, whatever the file is called.
    #[error("the content is of no supported type")]
    UnsupportedType,
    /// The bytes could not be kept or fetched.
    #[error("the document's bytes could not be handled")]
    Blob(#[from] BlobError),
    /// The database failed.
    #[error("the document could not be recorded")]
    Store(#[from] StoreError),
    /// It took longer than an upload may.
    #[error("the upload took longer than {} s", limit.as_secs())]
    TookTooLong {
        /// How long it may take.
        limit: Duration,
    },
    /// User or tenant were switched off since the upload began.
    #[error("the uploader was refused: {code}")]
    Refused {
        /// The stable code that the caller reads.
        code: RefusalCode,
    },
    /// The uploader lost the right to upload since the upload began.
    #[error("the uploader may not upload any more")]
    NoLongerAllowed,
    /// The tenant keeps as much as it may.
    #[error("the tenant keeps as much as it may")]
    QuotaExceeded,
    /// The document to be superseded is a colleague's.
    #[error("only its uploader or an admin may supersede a document")]
    NotYours,
    /// Only a user uploads; the worker and the system do not.
    #[error("an upload needs a user")]
    NoUser,
}

impl Classify for IngestError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Form(_) => ErrorKind::InvalidField,
            Self::UnsupportedType => ErrorKind::UnsupportedType,
            Self::Blob(source) => source.kind(),
            Self::Store(source) => source.kind(),
            Self::TookTooLong { .. } => ErrorKind::Malformed,
            Self::Refused { .. } | Self::NoLongerAllowed | Self::NotYours => ErrorKind::Forbidden,
            Self::QuotaExceeded => ErrorKind::Conflict,
            Self::NoUser => ErrorKind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::QuotaExceeded => "quota_exceeded",
            Self::TookTooLong { .. } => "upload_timeout",
            Self::Refused { code } => code.as_str(),
            other => other.kind().code(),
        }
    }

    fn public_detail(&self) -> Option<String> {
        match self {
            Self::UnsupportedType => Some(
                "The content is none of PDF, DOCX, Markdown or plain text. The type is recognized from the bytes, not from the name."
                    .to_owned(),
            ),
            Self::Blob(source) => source.public_detail(),
            Self::Store(source) => source.public_detail(),
            Self::TookTooLong { limit } => Some(format!(
                "The upload took longer than the allowed {} s; nothing of it was kept.",
                limit.as_secs()
            )),
            Self::Refused { code: RefusalCode::TenantSuspended } => Some("The tenant was switched off.".to_owned()),
            Self::Refused { .. } => Some("The user was switched off.".to_owned()),
            Self::NoLongerAllowed => Some("You may not upload documents any more.".to_owned()),
            Self::QuotaExceeded => Some(
                "The tenant keeps as many documents or bytes as it may; delete some, or ask for a higher quota.".to_owned(),
            ),
            Self::NotYours => Some("Only its uploader or an admin may supersede a document.".to_owned()),
            // The field goes along with its own words, which are no sentence without its name.
            Self::Form(_) | Self::NoUser => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Store(source) => source.retry_after(),
            _ => None,
        }
    }
}
