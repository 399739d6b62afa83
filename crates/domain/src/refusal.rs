//! The closed list of reasons for a refusal.

use crate::role::string_enum;

string_enum! {
    /// Why something was refused: the closed set of codes that stand in the audit log, in log lines and, where the
    /// caller may learn them, in problem documents.
    RefusalCode {
        /// The token names no tenant that the platform knows.
        TenantUnmapped = "tenant_unmapped",
        /// The tenant is deactivated.
        TenantSuspended = "tenant_suspended",
        /// The user is deactivated or does not exist.
        UserDisabled = "user_disabled",
        /// The token leaves out the groups.
        GroupsOverage = "groups_overage",
        /// Guests of the directory are not let in.
        GuestRefused = "guest_refused",
        /// The token lacks the scope or role that the platform requires.
        InsufficientScope = "insufficient_scope",
        /// The access token's scopes do not include the operation.
        TokenScope = "token_scope",
        /// Role and grants do not allow the operation on the resource.
        Matrix = "matrix",
        /// The thing is a colleague's, and the operation reaches the user's own only.
        NotOwner = "not_owner",
        /// The class to be given is above the user's own clearance.
        AboveOwnClearance = "above_own_clearance",
        /// A class may be lowered by an admin only.
        Declassification = "declassification",
        /// The content rests on something above the reader's clearance.
        AboveClearance = "above_clearance",
        /// Absent, or hidden from this user.
        NotFound = "not_found",
        /// No tool of that name is registered.
        UnknownTool = "unknown_tool",
        /// Tools act for users only.
        NoUser = "no_user",
        /// The tool writes to a plant system.
        Writes = "writes",
    }
}
