//! The port of teams, their members and invitations.

use crate::ids::{InvitationId, RunId, TeamId, TenantId, UserId};
use crate::store_error::StoreError;
use crate::team::{
    Invitation, InvitationStatus, ReceivedInvitation, Team, TeamMember, TeamPatch, TeamRole, TeamSpace, TeamView,
};
use crate::time::Timestamp;
use crate::user::User;
use async_trait::async_trait;

/// Teams. In a team's space, only that team and its members are visible; in the home space, all of the tenant.
#[async_trait]
pub trait TeamRepo: Send {
    /// Inserts a team with its first owner.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the slug is taken.
    async fn insert(&mut self, team: &Team, owner: UserId) -> Result<(), StoreError>;
    /// Reads a team, also one that is marked for deletion.
    async fn get(&mut self, id: TeamId) -> Result<Option<Team>, StoreError>;
    /// Changes a team; `None` if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the slug is taken.
    async fn update(&mut self, id: TeamId, patch: &TeamPatch, now: Timestamp) -> Result<Option<Team>, StoreError>;
    /// Marks a team for deletion, or restores it with `None`. `false` if it does not exist, or already is in that
    /// state.
    async fn mark_deleted(
        &mut self,
        id: TeamId,
        deleted_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Locks a team that was deleted at `deleted_before` or earlier until the transaction ends, so that it is not
    /// restored meanwhile; `false` if it was restored, or does not exist.
    async fn lock_expired(&mut self, id: TeamId, deleted_before: Timestamp) -> Result<bool, StoreError>;
    /// Deletes a team that is marked for deletion, with its members and invitations; `false` if there is none.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it still has content.
    async fn delete(&mut self, id: TeamId) -> Result<bool, StoreError>;
    /// The spaces of the teams that the user belongs to, by the id of the team, at most 50: those of the scope's
    /// tenant, and those of other tenants where the user is a guest. Teams that are marked for deletion are left out
    /// where that is known.
    async fn spaces(&mut self, user: UserId) -> Result<Vec<TeamSpace>, StoreError>;
    /// All teams of the scope's tenant, also those that are marked for deletion.
    async fn all(&mut self) -> Result<Vec<TeamId>, StoreError>;
    /// The teams of the scope's tenant that the user belongs to, the newest first, at most 200.
    async fn list(&mut self, user: UserId) -> Result<Vec<TeamView>, StoreError>;
    /// The members of a team, those who joined first coming first.
    async fn members(&mut self, team: TeamId) -> Result<Vec<TeamMember>, StoreError>;
    /// Locks a team's members until the transaction ends, and returns them.
    async fn lock_members(&mut self, team: TeamId) -> Result<Vec<TeamMember>, StoreError>;
    /// Makes the user a member with this role, or changes the role.
    async fn put_member(
        &mut self,
        team: TeamId,
        user: UserId,
        role: TeamRole,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Ends a membership; `false` if the user was no member.
    async fn remove_member(&mut self, team: TeamId, user: UserId, now: Timestamp) -> Result<bool, StoreError>;
    /// Inserts the row under which a user of another tenant is a guest here. Does nothing if it exists.
    async fn insert_guest(&mut self, guest: &User, home: TenantId) -> Result<(), StoreError>;
    /// The own tenant of a guest of the scope's team, also of one who has left; `None` if the user is no guest.
    async fn guest_home(&mut self, user: UserId) -> Result<Option<TenantId>, StoreError>;
    /// Whether the scope's space has events of this run.
    async fn has_run(&mut self, run: RunId) -> Result<bool, StoreError>;
    /// Inserts an invitation into the hosting tenant.
    async fn insert_invitation(&mut self, invitation: &Invitation) -> Result<(), StoreError>;
    /// Reads an invitation of the hosting tenant, and locks it until the transaction ends.
    async fn lock_invitation(&mut self, id: InvitationId) -> Result<Option<Invitation>, StoreError>;
    /// Records the guest's answer to an invitation; `false` if it is not pending.
    async fn answer_invitation(
        &mut self,
        id: InvitationId,
        guest: UserId,
        status: InvitationStatus,
    ) -> Result<bool, StoreError>;
    /// Voids the pending and accepted invitations of a guest to a team: those to the guest's id, and those to the
    /// guest's address that are bound to nobody yet. Works in the team's space.
    async fn void_invitations(&mut self, team: TeamId, guest: UserId) -> Result<u64, StoreError>;
    /// The active user of the scope's tenant with this email address, ignoring case; `None` if there is none, or more
    /// than one.
    async fn find_user_by_email(&mut self, email: &str) -> Result<Option<UserId>, StoreError>;
    /// Inserts an invitation into the guest's tenant.
    async fn insert_received_invitation(&mut self, link: &ReceivedInvitation) -> Result<(), StoreError>;
    /// The invitations of a user, newest first, at most 200. Those to the user's address that belong to nobody yet
    /// become the user's, unless the tenant has several active users with it.
    async fn claim_received_invitations(
        &mut self,
        user: UserId,
        email: &str,
    ) -> Result<Vec<ReceivedInvitation>, StoreError>;
    /// Reads an invitation of the user.
    async fn received_invitation(
        &mut self,
        id: InvitationId,
        user: UserId,
    ) -> Result<Option<ReceivedInvitation>, StoreError>;
    /// Records what became of a pending invitation in the guest's tenant; `false` if it is not pending.
    async fn answer_received_invitation(
        &mut self,
        id: InvitationId,
        status: InvitationStatus,
    ) -> Result<bool, StoreError>;
    /// Voids what leads a user to a team: pending and accepted invitations to the user, and those to the user's address
    /// that are bound to nobody yet.
    async fn void_received_invitations(&mut self, team: TeamId, user: UserId) -> Result<u64, StoreError>;
}
