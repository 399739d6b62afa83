//! Roles, resources, operations and classifications: what access decisions are based on.

/// Error: the string is not one of the allowed values.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{value:?} must be one of {expected}")]
pub struct UnknownValue {
    /// The rejected string.
    pub value: String,
    /// The allowed values, separated by `|`.
    pub expected: &'static str,
}

/// Defines an enum whose variants have the same spelling in JSON, SQL and logs.
///
/// `strum` would not be shorter: serde needs every value a second time, `ALL` and the `const fn as_str` need a wrapper,
/// and an error that lists the allowed values needs a function per enum.
macro_rules! string_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All values, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The value as it is spelled in JSON, SQL and logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::role::UnknownValue;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::role::UnknownValue {
                        value: text.to_owned(),
                        expected: $crate::role::string_enum!(@join $($word)+),
                    }),
                }
            }
        }
    };
    (@join $first:literal $($rest:literal)*) => { concat!($first $(, "|", $rest)*) };
}
pub(crate) use string_enum;

string_enum! {
    /// A user's role within a tenant, weakest first, so that roles can be compared: `role >= Role::User`.
    Role {
        /// Read access: chat, search, documents up to `internal`.
        Viewer = "viewer",
        /// Also uploads documents, and sees up to `restricted` unless the tenant sets a lower classification.
        User = "user",
        /// Administers the tenant: users, documents, audit log.
        Admin = "admin",
    }
}

string_enum! {
    /// An additional privilege, independent of the role.
    Grant {
        /// Creates, changes and deactivates tenants; granted only by configuration, to named (issuer, subject) pairs.
        PlatformAdmin = "platform_admin",
        /// Reads the tenant's audit log.
        Auditor = "auditor",
        /// Decides on approvals.
        Approver = "approver",
    }
}

string_enum! {
    /// Kinds of resource that operations act on.
    Resource {
        /// Conversations and their messages and runs.
        Conversations = "conversations",
        /// Documents, their content and status.
        Documents = "documents",
        /// Passages found by a search.
        Search = "search",
        /// Remembered facts about a user.
        Memories = "memories",
        /// The audit log.
        AuditLogs = "audit_logs",
        /// The tenant's users.
        Users = "users",
        /// Tenants of the platform.
        Tenants = "tenants",
        /// The caller's own account.
        Account = "account",
        /// Personal access tokens.
        AccessTokens = "access_tokens",
        /// The caller's own sessions.
        Sessions = "sessions",
        /// A tenant's settings.
        TenantSettings = "tenant_settings",
        /// Mappings from claims of token issuers to tenants.
        TenantMappings = "tenant_mappings",
        /// Recorded and simulated decisions of the policy gate, with their reasons.
        Decisions = "decisions",
        /// Models used directly, without the assistant.
        Models = "models",
        /// Aggregated usage of models.
        Usage = "usage",
        /// Ratings of answers.
        Feedback = "feedback",
        /// The reasoning that a model writes before its answer.
        Reasoning = "reasoning",
        /// The tools that a user may call.
        Tools = "tools",
        /// Approvals of writes.
        Approvals = "approvals",
        /// Rules on who approves the writes of a tool.
        ApprovalPolicies = "approval_policies",
        /// Work orders of the platform's own list.
        WorkOrders = "work_orders",
        /// The maintenance system to which approved work orders are written.
        MaintenanceSystem = "maintenance_system",
        /// Whether the tenant's plant systems may be read and written.
        PlantMode = "plant_mode",
        /// Channels that people are told of approvals by.
        Channels = "channels",
        /// Tags of plant systems (list) and their values (read).
        Readings = "readings",
        /// MCP servers, and the decisions on their tools.
        McpServers = "mcp_servers",
        /// Calls of the tools of MCP servers: `read`, and `create` for those that write.
        ForeignTools = "foreign_tools",
        /// Connectors to plant systems, and the catalogue of their tags.
        Connectors = "connectors",
        /// Teams, their members (share) and invitations to them.
        Teams = "teams",
        /// Agents that a part of the work can be handed to.
        Agents = "agents",
        /// Goals, with their plans and steps.
        Goals = "goals",
        /// The tenant's own glossary.
        Glossary = "glossary",
    }
}

string_enum! {
    /// Operations on resources.
    Operation {
        /// List the resources.
        List = "list",
        /// Read one resource.
        Read = "read",
        /// Create a resource.
        Create = "create",
        /// Change a resource.
        Update = "update",
        /// Delete a resource.
        Delete = "delete",
        /// Make a resource visible to another user.
        Share = "share",
        /// Export many resources at once.
        Export = "export",
        /// Lower the classification of a resource.
        Declassify = "declassify",
    }
}

string_enum! {
    /// Confidentiality level of content, lowest first.
    Classification {
        /// May leave the plant.
        Public = "public",
        /// For all users of the tenant. The default.
        Internal = "internal",
        /// For users whose work requires it.
        Confidential = "confidential",
        /// For few users; the highest level.
        Restricted = "restricted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip_and_errors_list_the_allowed_values() {
        for c in Classification::ALL {
            assert_eq!(c.as_str().parse(), Ok(*c));
        }
        let error = "secret".parse::<Classification>().expect_err("unknown");
        assert_eq!(error.to_string(), r#""secret" must be one of public|internal|confidential|restricted"#);
    }

    #[test]
    fn roles_and_classifications_are_ordered_from_lowest_to_highest() {
        assert!(Role::Viewer < Role::User && Role::User < Role::Admin);
        assert!(Classification::Public < Classification::Internal);
        assert!(Classification::Confidential < Classification::Restricted);
    }
}
