//! Which operations there are, and who may do them: the only file of this crate that a new endpoint touches.

use crate::gate::dispatch::{Provides, operations};
use crate::gate::{Authenticate, Execute, Idempotency, PolicyGate};
use domain::audit::EventType;
use domain::command::{
    AskAssistant, AskModel, CancelRun, Command, CreateConversation, CreateEmbeddings, CreateMapping, CreateMemory,
    CreateTenant, CreateUser, DeleteConversation, DeleteDocument, DeleteMapping, DeleteMemory, DownloadDocument,
    ExportAudit, GetConversation, GetDocument, GetModel, GetUser, IssueAccessToken, ListAccessTokens, ListAudit,
    ListConversations, ListDocuments, ListMappings, ListMemories, ListModels, ListSettingsVersions,
    ListTenantSettingsVersions, ListTenants, ListUsers, ReadAccount, ReadCalls, ReadDecision, ReadSettings,
    ReadTenantSettings, ReadUsage, ReprocessDocument, ResumeRun, RevokeAccessToken, SearchDocuments, SendMessage,
    SimulateDecision, UpdateConversation, UpdateDocument, UpdateSettings, UpdateTenant, UpdateTenantSettings,
    UpdateUser, UploadDocument,
};
use domain::rights::Reach;
use domain::role::{Grant, Operation, Resource, Role};
use runtime::use_case::UseCase;
use std::sync::Arc;

operations! {
    policy { ReadAccount, SimulateDecision }
    /// Conversations and their messages.
    conversations: Conversations {
        CreateConversation, ListConversations, GetConversation, UpdateConversation, DeleteConversation
    }
    /// Chat turns and their runs.
    chat: Chat { SendMessage, AskAssistant, ResumeRun, CancelRun }
    /// Models without the assistant around them.
    models: Models { ListModels, GetModel, AskModel, CreateEmbeddings }
    /// Documents.
    documents: Documents {
        UploadDocument, ListDocuments, GetDocument, UpdateDocument, DownloadDocument, ReprocessDocument, DeleteDocument
    }
    /// Search without a model.
    search: Search { SearchDocuments }
    /// What users asked to remember.
    memories: Memories { ListMemories, CreateMemory, DeleteMemory }
    /// The audit log, to read.
    audit_trail: AuditTrail { ListAudit, ReadDecision }
    /// The audit log, to export.
    audit_export: AuditExport { ExportAudit }
    /// Users and tenants.
    administration: Administration {
        ListUsers, GetUser, CreateUser, UpdateUser, ListTenants, CreateTenant, UpdateTenant
    }
    /// Settings and usage of tenants.
    configuration: Configuration {
        ReadSettings, UpdateSettings, ListSettingsVersions, ReadTenantSettings, UpdateTenantSettings,
        ListTenantSettingsVersions, ReadUsage, ReadCalls
    }
    /// Personal access tokens.
    access_tokens: AccessTokens { IssueAccessToken, ListAccessTokens, RevokeAccessToken }
    /// Which claim of which issuer stands for which tenant.
    tenant_mappings: TenantMappings { ListMappings, CreateMapping, DeleteMapping }
}

/// How far `role` alone may do `operation` on `resource`; `None`: not at all.
#[must_use]
pub fn reach(role: Role, resource: Resource, operation: Operation) -> Option<Reach> {
    use Operation::{Create, Declassify, Delete, Export, List, Read, Share, Update};
    use Resource::{
        AccessTokens, Account, AuditLogs, Conversations, Decisions, Documents, Memories, Models, Reasoning, Search,
        TenantMappings, TenantSettings, Tenants, Usage, Users,
    };

    match (resource, operation) {
        // A conversation is its user's; a colleague's is not an everyday right, not even an admin's.
        (Conversations | Memories, List | Read | Create | Update | Delete) => Some(Reach::Own),
        (Account, Read) => Some(Reach::Own),
        // Whoever may chat may ask a model alone, and see which there are.
        (Search, Read) | (Models, List | Read | Create) => Some(Reach::Tenant),
        (Documents, List | Read) => Some(Reach::Tenant),
        (Documents, Create) => (role >= Role::User).then_some(Reach::Tenant),
        (Documents, Update | Delete) => match role {
            Role::Viewer => None,
            Role::User => Some(Reach::Own),
            Role::Admin => Some(Reach::Tenant),
        },
        (AuditLogs, List | Read) | (Usage, Read) => Some(if role == Role::Admin { Reach::Tenant } else { Reach::Own }),
        // How a model thinks is for those who run the tenant.
        (Documents, Declassify) | (Reasoning, Read) => (role == Role::Admin).then_some(Reach::Tenant),
        (Documents | AuditLogs, Export) => (role == Role::Admin).then_some(Reach::Tenant),
        (Users, List | Read | Create | Update) => (role == Role::Admin).then_some(Reach::Tenant),
        // Why something was refused, and what would be: reads, whoever is asked about.
        (Decisions, Read) | (TenantSettings, List | Read | Update) => (role == Role::Admin).then_some(Reach::Tenant),
        // One's own tokens; an admin sees and revokes the tenant's, and makes none for others.
        (AccessTokens, Create) => Some(Reach::Own),
        (AccessTokens, List | Delete) => Some(if role == Role::Admin { Reach::Tenant } else { Reach::Own }),
        // No use case yet: each of these is opened together with its route.
        (AccessTokens | TenantMappings | TenantSettings | Decisions | Models | Reasoning, _) => None,
        (Tenants, _) | (_, Share | Export | Declassify) | (AuditLogs | Users | Account | Search | Usage, _) => None,
    }
}

/// How far `grant` adds to any role.
#[must_use]
pub fn granted(grant: Grant, resource: Resource, operation: Operation) -> Option<Reach> {
    use Operation::{Create, Delete, Export, List, Read, Update};
    match (grant, resource, operation) {
        (Grant::PlatformAdmin, Resource::Tenants, List | Read | Create | Update) => Some(Reach::Platform),
        (Grant::PlatformAdmin, Resource::TenantMappings, List | Create | Delete) => Some(Reach::Platform),
        (Grant::Auditor, Resource::AuditLogs, List | Read | Export) => Some(Reach::Tenant),
        (Grant::Auditor, Resource::Decisions | Resource::Usage, Read) => Some(Reach::Tenant),
        _ => None,
    }
}
