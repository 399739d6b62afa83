//! Why a request was refused.

use crate::role::string_enum;

string_enum! {
    /// Reason codes of refusals. They appear in the audit log, in log lines and, if the caller may know the reason, in
    /// problem documents.
    RefusalCode {
        /// The token's tenant claim is not mapped to a tenant.
        TenantUnmapped = "tenant_unmapped",
        /// The tenant is deactivated.
        TenantSuspended = "tenant_suspended",
        /// The user is deactivated or does not exist.
        UserDisabled = "user_disabled",
        /// The session of the token was revoked.
        SessionRevoked = "session_revoked",
        /// The token omits its groups because there are too many (groups overage).
        GroupsOverage = "groups_overage",
        /// The token belongs to a guest user whose home directory is not allowed.
        GuestRefused = "guest_refused",
        /// The token lacks the scope or role that the platform requires.
        InsufficientScope = "insufficient_scope",
        /// The access token's scopes do not include the operation.
        TokenScope = "token_scope",
        /// Role and grants do not allow the operation on the resource.
        InsufficientRights = "matrix",
        /// The resource belongs to another user, and the operation is limited to the user's own resources.
        NotOwner = "not_owner",
        /// The requested classification is above the user's own clearance.
        RequestedClassificationAboveClearance = "above_own_clearance",
        /// The request would lower a classification, which only an admin may do.
        Declassification = "declassification",
        /// The content is derived from something above the reader's clearance.
        ContentAboveClearance = "above_clearance",
        /// The resource does not exist, or is hidden from this user.
        NotFound = "not_found",
        /// No tool of that name is registered.
        UnknownTool = "unknown_tool",
        /// A tool was called without a user; tools run on behalf of users only.
        NoUser = "no_user",
        /// The user is no member of the team any more, or the team, or its guests, were suspended.
        NotTeamMember = "not_team_member",
        /// The tool writes to a plant system.
        ToolWrites = "writes",
    }
}
