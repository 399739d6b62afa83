//! The id of what a use case made, for the outcome row of a command that names none.

use super::pass::Traced;
use crate::caller::Caller;
use domain::audit::sealed::SealedPages;
use domain::audit::{AuditRecord, Changed};
use domain::conversation::{Conversation, Message};
use domain::decision::{Decision, Verdict};
use domain::document::Document;
use domain::memory::Memory;
use domain::page::Page;
use domain::ports::ByteStream;
use domain::run::EventStream;
use domain::search::Retrieval;
use domain::tenant::Tenant;
use domain::upload::Accepted;
use domain::user::User;
use serde_json::{Value, json};
use uuid::Uuid;

macro_rules! traced {
    ($($type:ty $(: $value:ident => $id:expr)?;)*) => {$(
        impl Traced for $type {
            $(fn made(&self) -> Option<Uuid> {
                let $value = self;
                Some($id)
            })?
        }
    )*};
}

traced! {
    ();
    Caller;
    EventStream;
    SealedPages;
    Retrieval;
    (Conversation, Vec<Message>);
    (Document, ByteStream);
    Conversation: made => made.id.as_uuid();
    Document: made => made.id.as_uuid();
    Memory: made => made.id.as_uuid();
    User: made => made.id.as_uuid();
    Tenant: made => made.id.as_uuid();
    Accepted: made => match made {
        Self::New(document) | Self::Known(document) => document.id.as_uuid(),
    };
    Page<Conversation>;
    Page<Document>;
    Page<Memory>;
    Page<AuditRecord>;
    Page<User>;
    Page<Tenant>;
    AuditRecord;
}

/// Titles, tags and client data are content: that they changed is all that is said.
impl Traced for Changed<Document> {
    fn facts(&self) -> Option<Value> {
        let Self { before, after } = self;
        let changed = [
            ("title", before.title != after.title),
            ("doc_type", before.doc_type != after.doc_type),
            ("tags", before.tags != after.tags),
            ("classification", before.classification != after.classification),
            ("metadata", before.metadata != after.metadata),
        ];
        let changed: Vec<_> = changed.iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
        Some(json!({
            "before": { "classification": before.classification },
            "after": { "classification": after.classification },
            "changed": changed,
        }))
    }
}

impl Traced for Decision {
    fn facts(&self) -> Option<Value> {
        Some(json!({
            "allowed": self.verdict == Verdict::Allowed, "rule": self.rule(), "reason": self.verdict.reason(),
        }))
    }
}
