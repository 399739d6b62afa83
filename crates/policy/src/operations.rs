//! All operations and who may execute them. A new endpoint touches no other file of this crate.

use crate::dispatch::{Authenticate, Execute, HasUseCase, operations};
use crate::idempotency::Idempotency;
use domain::audit::EventType;
use domain::command::{
    AcceptInvitation, ApprovePlan, AskAssistant, AskModel, BrowseConnector, CancelApproval, CancelGoal, CancelRun,
    CheckConnector, CloseWorkOrder, Command, CreateAgent, CreateChannel, CreateConnector, CreateConversation,
    CreateEmbeddings, CreateGoal, CreateMapping, CreateMcpServer, CreateMemory, CreateTeam, CreateTenant, CreateUser,
    DecideApproval, DeclineInvitation, DeleteAgent, DeleteChannel, DeleteConnector, DeleteConversation, DeleteDocument,
    DeleteFeedback, DeleteMapping, DeleteMcpServer, DeleteMemory, DeleteTeam, DownloadDocument, EditPlan, ExportAudit,
    ExportConversation, ExportGlossary, ExportWorkOrders, FollowGoal, GetAgent, GetApproval, GetApprovalPolicy,
    GetChannel, GetConnector, GetConversation, GetDocument, GetGoal, GetMaintenanceSystem, GetMcpServer, GetModel,
    GetPlantMode, GetTeam, GetUser, GetWorkOrder, ImportGlossary, ImportTags, InviteToTeam, InvokeTool,
    IssueAccessToken, ListAccessTokens, ListAgents, ListApprovals, ListAudit, ListBackends, ListChannels,
    ListConnectors, ListConversations, ListDeliveries, ListDocuments, ListFeedback, ListGoals, ListInvitations,
    ListMappings, ListMcpServers, ListMemories, ListModels, ListSessions, ListSettingsVersions, ListTeamMembers,
    ListTeams, ListTenantSettingsVersions, ListTenants, ListTools, ListUserSessions, ListUsers, ListWorkOrders,
    NameTeamOwner, PutApprovalPolicy, PutMaintenanceSystem, PutTeamMember, RateAnswer, ReadAccount, ReadDecision,
    ReadGlossary, ReadModelUsage, ReadQuotaUsage, ReadSettings, ReadTenantSettings, RemoveTeamMember, ReplaceGlossary,
    ReprocessDocument, RestoreTeam, ResumeRun, RetryStep, RevokeAccessToken, RevokeSession, RevokeUserSession,
    SearchDocuments, SendMessage, SetPlantMode, SimulateDecision, TestChannel, TrustCertificate, UpdateAgent,
    UpdateChannel, UpdateConnector, UpdateConversation, UpdateDocument, UpdateMcpServer, UpdateMemory, UpdateSettings,
    UpdateTeam, UpdateTenant, UpdateTenantSettings, UpdateUser, UploadDocument,
};
use domain::rights::Reach;
use domain::role::{Grant, Operation, Resource, Role};
use domain::team::TeamRole;
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
    /// Tools, approvals of what they write, and the policies on them.
    approvals: Approvals {
        ListTools, InvokeTool, ListApprovals, GetApproval, DecideApproval, CancelApproval, GetApprovalPolicy,
        PutApprovalPolicy
    }
    /// Channels that people are told of approvals by.
    channels: Channels {
        ListChannels, GetChannel, CreateChannel, UpdateChannel, DeleteChannel, TestChannel, ListDeliveries
    }
    /// Work orders of the platform's own list, and the plant mode.
    plant: Plant { ListWorkOrders, GetWorkOrder, CloseWorkOrder, ExportWorkOrders, GetPlantMode, SetPlantMode }
    /// The maintenance system to which approved work orders are written.
    maintenance: Maintenance { GetMaintenanceSystem, PutMaintenanceSystem }
    /// MCP servers, and the decisions on their tools.
    mcp_servers: McpServers { ListMcpServers, GetMcpServer, CreateMcpServer, UpdateMcpServer, DeleteMcpServer }
    /// Connectors to plant systems, and the catalogue of their tags.
    connectors: Connectors {
        ListConnectors, CreateConnector, GetConnector, UpdateConnector, DeleteConnector, CheckConnector,
        TrustCertificate, ImportTags, BrowseConnector
    }
    /// Teams, their members and invitations.
    teams: Teams {
        CreateTeam, ListTeams, GetTeam, UpdateTeam, DeleteTeam, RestoreTeam, ListTeamMembers, PutTeamMember,
        NameTeamOwner, RemoveTeamMember, InviteToTeam, ListInvitations, AcceptInvitation, DeclineInvitation
    }
    /// Agents, and goals with their plans.
    goals: Goals {
        ListAgents, GetAgent, CreateAgent, UpdateAgent, DeleteAgent, CreateGoal, ListGoals, GetGoal, EditPlan,
        ApprovePlan, CancelGoal, RetryStep, FollowGoal
    }
    /// The tenant's own glossary.
    glossary: Glossaries { ReadGlossary, ReplaceGlossary, ImportGlossary, ExportGlossary }
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
        AccessTokens, Account, Agents, ApprovalPolicies, Approvals, AuditLogs, Channels, Connectors, Conversations,
        Decisions, Documents, Feedback, ForeignTools, Glossary, Goals, MaintenanceSystem, McpServers, Memories, Models,
        PlantMode, Readings, Reasoning, Search, Sessions, Teams, TenantMappings, TenantSettings, Tenants, Tools, Usage,
        Users, WorkOrders,
    };

    match (resource, operation) {
        // Conversations, memories and goals are private to their user; not even an admin reads them. Nothing in a goal
        // may do more than its user.
        (Conversations | Memories | Goals, List | Read | Create | Update | Delete) => Some(Reach::Own),
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
        (Users, List | Read | Create | Update) | (Feedback, List) => (role == Role::Admin).then_some(Reach::Tenant),
        // Reading and simulating decisions count as reads, whichever user they concern.
        (Decisions, Read) | (TenantSettings, List | Read | Update) => (role == Role::Admin).then_some(Reach::Tenant),
        // Users manage their own tokens. An admin also lists and revokes those of the tenant, but cannot create one for
        // another user.
        (AccessTokens, Create) => Some(Reach::Own),
        (AccessTokens, List | Delete) => Some(if role == Role::Admin { Reach::Tenant } else { Reach::Own }),
        // Everybody calls tools; each tool requires a permission of its own.
        // An export holds what the list shows.
        (Tools, List | Create) | (WorkOrders, List | Read | Export) => Some(Reach::Tenant),
        // Closing a work order. Users close those that they asked for.
        (WorkOrders, Update) => match role {
            Role::Viewer => None,
            Role::User => Some(Reach::Own),
            Role::Admin => Some(Reach::Tenant),
        },
        // Permissions of the tools that read plant systems: everybody finds tags, users and admins read their values.
        // Everybody sees the agents, too.
        (Readings | Agents, List) => Some(Reach::Tenant),
        (Readings, Read) => (role >= Role::User).then_some(Reach::Tenant),
        // Tools of MCP servers are called by those who work in the plant, as plant systems are.
        (ForeignTools, Read) => (role >= Role::User).then_some(Reach::Tenant),
        // The permissions of write tools. A tenant's setting extends them to users: `Entitlements::may_request_writes`.
        (WorkOrders | ForeignTools, Create) => (role == Role::Admin).then_some(Reach::Tenant),
        // Everybody has own requests, and may be named as an approver of others'. An admin sees all, but decides
        // on none without being an approver.
        (Approvals, List | Read) => Some(if role == Role::Admin { Reach::Tenant } else { Reach::Own }),
        (Approvals, Update | Delete) => Some(Reach::Own),
        (ApprovalPolicies | MaintenanceSystem | PlantMode, Read | Update) => {
            (role == Role::Admin).then_some(Reach::Tenant)
        }
        (Glossary, Read | Update | Export) => (role == Role::Admin).then_some(Reach::Tenant),
        (Channels | Connectors | McpServers, List | Read | Create | Update | Delete) => {
            (role == Role::Admin).then_some(Reach::Tenant)
        }
        // Everybody sees the own teams, answers invitations and leaves; users create teams, and manage those they own.
        (Teams, List) => Some(Reach::Own),
        (Teams, Read) => Some(Reach::Tenant),
        (Teams, Create | Update | Delete) => (role >= Role::User).then_some(Reach::Tenant),
        (Teams, Share) => Some(if role == Role::Viewer { Reach::Own } else { Reach::Tenant }),
        (Agents, Read | Create | Update | Delete) => (role == Role::Admin).then_some(Reach::Tenant),
        // No use case exists for these. When one is added, allow its operation together with its route.
        (AccessTokens | Sessions | TenantMappings | TenantSettings | Decisions | Feedback | Models | Reasoning, _) => {
            None
        }
        (
            Tools | Approvals | ApprovalPolicies | WorkOrders | MaintenanceSystem | PlantMode | McpServers
            | ForeignTools,
            _,
        ) => None,
        (Channels | Readings | Connectors | Agents | Goals | Glossary, _) => None,
        (Tenants, _) | (_, Share | Export | Declassify) | (AuditLogs | Users | Account | Search | Usage, _) => None,
    }
}

/// Returns how far a member with `role` may execute `operation` on `resource` in the team's space, as far as the role
/// in the tenant allows it, too. What is not listed is not done there: the tenant's plant systems, approvals and
/// users, and everybody's memories, stay in the home space.
#[must_use]
pub fn team_reach(role: TeamRole, resource: Resource, operation: Operation) -> Option<Reach> {
    use Operation::{Create, Declassify, Delete, List, Read, Share, Update};
    match (resource, operation) {
        (Resource::Conversations | Resource::Documents, List | Read) => Some(Reach::Tenant),
        (Resource::Search | Resource::Teams | Resource::Reasoning, Read) => Some(Reach::Tenant),
        (Resource::Conversations | Resource::Documents, Create) => (role >= TeamRole::Member).then_some(Reach::Tenant),
        // Members change what they started or uploaded.
        (Resource::Conversations | Resource::Documents, Update | Delete) => match role {
            TeamRole::Viewer => None,
            TeamRole::Member => Some(Reach::Own),
            TeamRole::Owner => Some(Reach::Tenant),
        },
        (Resource::Documents, Declassify) | (Resource::Teams, Update | Delete) => {
            (role == TeamRole::Owner).then_some(Reach::Tenant)
        }
        // The own reach is to leave.
        (Resource::Teams, Share) => Some(if role == TeamRole::Owner { Reach::Tenant } else { Reach::Own }),
        _ => None,
    }
}

/// Returns how far `grant` reaches in addition to the role; `None` if it does not allow the operation.
#[must_use]
pub fn grant_reach(grant: Grant, resource: Resource, operation: Operation) -> Option<Reach> {
    use Operation::{Create, Delete, Export, List, Read, Update};
    match (grant, resource, operation) {
        (Grant::PlatformAdmin, Resource::Tenants, List | Read | Create | Update) => Some(Reach::Platform),
        (Grant::PlatformAdmin, Resource::TenantMappings, List | Create | Delete) => Some(Reach::Platform),
        // Decides on the tenant's requests, as far as their policy asks the grant. Which of them an approver reads
        // depends on the policy, too.
        (Grant::Approver, Resource::Approvals, Update) => Some(Reach::Tenant),
        // Approvers close any work order of the tenant.
        (Grant::Approver, Resource::WorkOrders, Update) => Some(Reach::Tenant),
        (Grant::Auditor, Resource::AuditLogs, List | Read | Export) => Some(Reach::Tenant),
        (Grant::Auditor, Resource::Decisions | Resource::Usage, Read) => Some(Reach::Tenant),
        _ => None,
    }
}
