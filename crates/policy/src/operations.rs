//! All operations and who may execute them. A new endpoint touches no other file of this crate.

use crate::dispatch::{Authenticate, Execute, HasUseCase, operations};
use crate::idempotency::Idempotency;
use domain::audit::EventType;
use domain::command::{
    AskAssistant, AskModel, CancelRun, Command, CreateConversation, CreateEmbeddings, CreateMapping, CreateMemory,
    CreateTenant, CreateUser, DeleteConversation, DeleteDocument, DeleteFeedback, DeleteMapping, DeleteMemory,
    DownloadDocument, ExportAudit, ExportConversation, GetConversation, GetDocument, GetModel, GetUser,
    IssueAccessToken, ListAccessTokens, ListAudit, ListBackends, ListConversations, ListDocuments, ListFeedback,
    ListMappings, ListMemories, ListModels, ListSessions, ListSettingsVersions, ListTenantSettingsVersions,
    ListTenants, ListUserSessions, ListUsers, RateAnswer, ReadAccount, ReadDecision, ReadModelUsage, ReadQuotaUsage,
    ReadSettings, ReadTenantSettings, ReprocessDocument, ResumeRun, RevokeAccessToken, RevokeSession,
    RevokeUserSession, SearchDocuments, SendMessage, SimulateDecision, UpdateConversation, UpdateDocument,
    UpdateMemory, UpdateSettings, UpdateTenant, UpdateTenantSettings, UpdateUser, UploadDocument,
};
use domain::rights::Reach;
use domain::role::{Grant, Operation, Resource, Role};
use runtime::use_case::UseCase;
use std::sync::Arc;

operations! {
    /// Conversations and their messages.
    conversations: Conversations {
        CreateConversation, ListConversations, GetConversation, ExportConversation, UpdateConversation,
        DeleteConversation
    }
    /// Ratings of answers.
    feedback: FeedbackOnAnswers { RateAnswer, DeleteFeedback, ListFeedback }
    /// Chat turns and their runs.
    chat: Chat { SendMessage, AskAssistant, ResumeRun, CancelRun }
    /// Direct calls of models, without the assistant.
    models: Models { ListModels, ListBackends, GetModel, AskModel, CreateEmbeddings }
    /// Documents and their bytes.
    documents: Documents {
        UploadDocument, ListDocuments, GetDocument, UpdateDocument, DownloadDocument, ReprocessDocument, DeleteDocument
    }
    /// Search in documents, without a model.
    search: Search { SearchDocuments }
    /// Memories of users.
    memories: Memories { ListMemories, CreateMemory, UpdateMemory, DeleteMemory }
    /// Reading the audit log.
    audit_trail: AuditTrail { ListAudit, ReadDecision }
    /// Exporting the audit log.
    audit_export: AuditExport { ExportAudit }
    /// Users and tenants.
    administration: Administration {
        ListUsers, GetUser, CreateUser, UpdateUser, ListTenants, CreateTenant, UpdateTenant
    }
    /// Settings and usage of tenants.
    configuration: Configuration {
        ReadSettings, UpdateSettings, ListSettingsVersions, ReadTenantSettings, UpdateTenantSettings,
        ListTenantSettingsVersions, ReadQuotaUsage, ReadModelUsage
    }
    /// Personal access tokens.
    access_tokens: AccessTokens { IssueAccessToken, ListAccessTokens, RevokeAccessToken }
    /// Sessions of users.
    sessions: Sessions { ListSessions, RevokeSession, ListUserSessions, RevokeUserSession }
    /// Mappings from an issuer's tenant claim to a tenant.
    tenant_mappings: TenantMappings { ListMappings, CreateMapping, DeleteMapping }
    /// Accounts and decisions, which this crate implements itself.
    access: Access { ReadAccount, SimulateDecision }
}

/// Returns how far `role` may execute `operation` on `resource`, without grants; `None` if it may not.
#[must_use]
pub fn role_reach(role: Role, resource: Resource, operation: Operation) -> Option<Reach> {
    use Operation::{Create, Declassify, Delete, Export, List, Read, Share, Update};
    use Resource::{
        AccessTokens, Account, AuditLogs, Conversations, Decisions, Documents, Feedback, Memories, Models, Reasoning,
        Search, Sessions, TenantMappings, TenantSettings, Tenants, Usage, Users,
    };

    match (resource, operation) {
        // Conversations and memories are private to their user; not even an admin reads them.
        (Conversations | Memories, List | Read | Create | Update | Delete) => Some(Reach::Own),
        // An admin lists and revokes a user's sessions as a part of managing that user.
        (Account, Read) | (Feedback, Update | Delete) | (Sessions, List | Delete) => Some(Reach::Own),
        // Everyone who may chat may also call a model directly and list the models.
        (Search, Read) | (Models, List | Read | Create) => Some(Reach::Tenant),
        (Documents, List | Read) => Some(Reach::Tenant),
        (Documents, Create) => (role >= Role::User).then_some(Reach::Tenant),
        (Documents, Update | Delete) => match role {
            Role::Viewer => None,
            Role::User => Some(Reach::Own),
            Role::Admin => Some(Reach::Tenant),
        },
        (AuditLogs, List | Read) | (Usage, Read) => Some(if role == Role::Admin { Reach::Tenant } else { Reach::Own }),
        // Only admins see the reasoning of a model.
        (Documents, Declassify) | (Reasoning, Read) => (role == Role::Admin).then_some(Reach::Tenant),
        (Documents | AuditLogs, Export) => (role == Role::Admin).then_some(Reach::Tenant),
        // An admin sees the users' ratings, but not the rated answers.
        (Feedback, List) => (role == Role::Admin).then_some(Reach::Tenant),
        (Users, List | Read | Create | Update) => (role == Role::Admin).then_some(Reach::Tenant),
        // Reading and simulating decisions count as reads, whichever user they concern.
        (Decisions, Read) | (TenantSettings, List | Read | Update) => (role == Role::Admin).then_some(Reach::Tenant),
        // Users manage their own tokens. An admin also lists and revokes those of the tenant, but cannot create one for
        // another user.
        (AccessTokens, Create) => Some(Reach::Own),
        (AccessTokens, List | Delete) => Some(if role == Role::Admin { Reach::Tenant } else { Reach::Own }),
        // No use case exists for these. When one is added, allow its operation together with its route.
        (AccessTokens | Sessions | TenantMappings | TenantSettings | Decisions | Feedback | Models | Reasoning, _) => {
            None
        }
        (Tenants, _) | (_, Share | Export | Declassify) | (AuditLogs | Users | Account | Search | Usage, _) => None,
    }
}

/// Returns how far `grant` reaches in addition to the role; `None` if it does not allow the operation.
#[must_use]
pub fn grant_reach(grant: Grant, resource: Resource, operation: Operation) -> Option<Reach> {
    use Operation::{Create, Delete, Export, List, Read, Update};
    match (grant, resource, operation) {
        (Grant::PlatformAdmin, Resource::Tenants, List | Read | Create | Update) => Some(Reach::Platform),
        (Grant::PlatformAdmin, Resource::TenantMappings, List | Create | Delete) => Some(Reach::Platform),
        (Grant::Auditor, Resource::AuditLogs, List | Read | Export) => Some(Reach::Tenant),
        (Grant::Auditor, Resource::Decisions | Resource::Usage, Read) => Some(Reach::Tenant),
        _ => None,
    }
}
