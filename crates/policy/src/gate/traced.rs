//! The id of what a use case made, for the outcome row of a command that names none.

use super::pass::Traced;
use crate::caller::Caller;
use domain::access_token::AccessToken;
use domain::audit::sealed::SealedPages;
use domain::audit::{AuditRecord, Changed};
use domain::conversation::{Conversation, Message};
use domain::decision::{Decision, Verdict};
use domain::document::Document;
use domain::ids::ConversationId;
use domain::ledger::UsageReport;
use domain::mapping::TenantMapping;
use domain::memory::Memory;
use domain::model::EmbedResponse;
use domain::model_id::ModelId;
use domain::page::Page;
use domain::ports::ByteStream;
use domain::run::EventStream;
use domain::search::Retrieval;
use domain::tenant::{SettingsVersion, Tenant, TenantUsage};
use domain::tenant_change;
use domain::upload::UploadOutcome;
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
    ModelId;
    Vec<ModelId>;
    (ConversationId, EventStream): made => made.0.as_uuid();
    SealedPages;
    Retrieval;
    (Conversation, Vec<Message>);
    (Document, ByteStream);
    Conversation: made => made.id.as_uuid();
    Document: made => made.id.as_uuid();
    Memory: made => made.id.as_uuid();
    User: made => made.id.as_uuid();
    Tenant: made => made.id.as_uuid();
    UploadOutcome: made => match made {
        Self::Created(document) | Self::Duplicate(document) => document.id.as_uuid(),
    };
    Page<Conversation>;
    Page<Document>;
    Page<Memory>;
    Page<AuditRecord>;
    Page<User>;
    Page<Tenant>;
    AuditRecord;
    Page<SettingsVersion>;
    TenantUsage;
    UsageReport;
    Page<AccessToken>;
    Page<TenantMapping>;
}

impl Traced for EmbedResponse {
    fn facts(&self) -> Option<Value> {
        let spent = &self.spent;
        Some(json!({
            "texts": self.vectors.len(), "backend": spent.served_by.backend, "model": spent.served_by.model,
            "fallback": spent.served_by.fallback, "input_tokens": spent.usage.input_tokens,
        }))
    }
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

impl Traced for Changed<User> {
    fn facts(&self) -> Option<Value> {
        let facts = |user: &User| {
            json!({
                "role": user.role, "role_pinned": user.role_pinned, "grants": user.grants, "is_active": user.is_active,
            })
        };
        Some(json!({ "before": facts(&self.before), "after": facts(&self.after) }))
    }
}

impl Traced for Changed<Tenant> {
    fn made(&self) -> Option<Uuid> {
        Some(self.after.id.as_uuid())
    }

    fn facts(&self) -> Option<Value> {
        Some(tenant_change::of_tenant(self))
    }
}

impl Traced for Decision {
    fn facts(&self) -> Option<Value> {
        Some(json!({
            "allowed": self.verdict == Verdict::Allowed, "rule": self.rule(), "reason": self.verdict.reason(),
        }))
    }
}

impl Traced for AccessToken {
    fn made(&self) -> Option<Uuid> {
        Some(self.id.as_uuid())
    }

    fn facts(&self) -> Option<Value> {
        Some(json!({ "scopes": self.scopes, "expires_at": self.expires_at }))
    }
}

/// A mapping that was made.
pub(super) struct Added(pub(super) TenantMapping);

/// A mapping that was deleted.
pub(super) struct Removed(pub(super) TenantMapping);

impl Traced for Added {
    fn facts(&self) -> Option<Value> {
        Some(tenant_change::of_new_mapping(&self.0))
    }
}

impl Traced for Removed {
    fn facts(&self) -> Option<Value> {
        Some(tenant_change::of_deleted_mapping(&self.0))
    }
}
