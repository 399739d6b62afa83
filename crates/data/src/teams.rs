//! Teams of the current tenant: their members, and invitations as the hosting tenant and as the guest's tenant store
//! them.

mod expired;
mod invitations;
mod rows;

#[cfg(feature = "testing")]
pub(crate) use expired::STATEMENTS as EXPIRED_STATEMENTS;
pub(crate) use expired::find_expired;
#[cfg(feature = "testing")]
pub(crate) use invitations::STATEMENTS as INVITATION_STATEMENTS;

use crate::statement::{Scalar, Statement, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::ids::{InvitationId, RunId, TeamId, TenantId, UserId};
use domain::ports::{StoreError, TeamRepo};
use domain::team::{
    Invitation, InvitationStatus, ReceivedInvitation, Team, TeamMember, TeamPatch, TeamRole, TeamSlug, TeamSpace,
    TeamView,
};
use domain::time::Timestamp;
use domain::user::User;
use invitations::{
    ANSWER_INVITATION, ANSWER_RECEIVED_INVITATION, CLAIM_RECEIVED_INVITATIONS, FIND_BY_EMAIL, INSERT_INVITATION,
    INSERT_RECEIVED_INVITATION, LOCK_INVITATION, RECEIVED_INVITATION, RECEIVED_INVITATIONS, VOID_INVITATIONS,
    VOID_RECEIVED_INVITATIONS,
};
use rows::{MemberRow, SpaceRow, TeamRow, TeamViewRow, team_columns};
use uuid::Uuid;

/// Members with their names. The guests' rows among the users are visible in the team's space only, so in the home
/// space guests have no name and no home tenant, and count as active.
macro_rules! members {
    ($lock:literal) => {
        concat!(
            "SELECT m.user_id, coalesce(nullif(u.display_name, ''), nullif(u.email, ''), '') AS name, m.team_role,
                    u.home_tenant_id, coalesce(u.is_active, true) AS is_active, m.joined_at
             FROM team_memberships AS m
             LEFT JOIN users AS u ON u.tenant_id = m.tenant_id AND u.id = m.user_id
             WHERE m.team_id = $1 AND m.left_at IS NULL
             ORDER BY m.joined_at, m.user_id",
            $lock
        )
    };
}

statements! {
    INSERT: () = Statement::insert(
        "teams",
        "storing a team",
        "WITH team AS (
             INSERT INTO teams (id, tenant_id, name, slug, created_at, updated_at)
             VALUES ($1, app_tenant(), $2, $3, $4, $4) RETURNING tenant_id, id)
         INSERT INTO team_memberships (tenant_id, team_id, user_id, team_role, joined_at)
         SELECT tenant_id, id, $5, 'owner', $4 FROM team",
    );
    GET: TeamRow = Statement::select(
        "teams",
        "reading a team",
        concat!("SELECT ", team_columns!(), " FROM teams WHERE id = $1"),
    );
    UPDATE: TeamRow = Statement::update(
        "teams",
        "changing a team",
        concat!(
            "UPDATE teams SET name = coalesce($2, name), slug = coalesce($3, slug), updated_at = $4
             WHERE id = $1 RETURNING ",
            team_columns!()
        ),
    );
    MARK_DELETED: () = Statement::update(
        "teams",
        "marking a team for deletion",
        "UPDATE teams SET deleted_at = $2, updated_at = $3
         WHERE id = $1 AND (deleted_at IS NULL) <> ($2::timestamptz IS NULL)",
    );
    LOCK_EXPIRED: Scalar<Uuid> = Statement::select(
        "teams",
        "locking a deleted team",
        "SELECT id FROM teams WHERE id = $1 AND deleted_at <= $2 FOR UPDATE",
    );
    DELETE: () = Statement::delete(
        "teams",
        "deleting a team",
        "DELETE FROM teams WHERE id = $1 AND deleted_at IS NOT NULL",
    );
    SPACES: SpaceRow = Statement::select(
        "team_memberships",
        "looking for a user's teams",
        "SELECT m.team_id AS team, m.tenant_id AS host
         FROM team_memberships AS m
         JOIN teams AS t ON t.tenant_id = m.tenant_id AND t.id = m.team_id AND t.deleted_at IS NULL
         WHERE m.user_id = $1 AND m.left_at IS NULL
         UNION
         SELECT l.team_id, l.host_tenant_id FROM team_links AS l WHERE l.user_id = $1 AND l.status = 'accepted'
         ORDER BY team LIMIT 50",
    );
    ALL: Scalar<Uuid> = Statement::select("teams", "listing a tenant's teams", "SELECT id FROM teams ORDER BY id");
    LIST: TeamViewRow = Statement::select(
        "teams",
        "listing a user's teams",
        "SELECT t.id, t.tenant_id, t.name, t.slug, t.created_at, t.updated_at, t.deleted_at, m.team_role
         FROM team_memberships AS m
         JOIN teams AS t ON t.tenant_id = m.tenant_id AND t.id = m.team_id
         WHERE m.user_id = $1 AND m.left_at IS NULL AND (t.deleted_at IS NULL OR m.team_role = 'owner')
         ORDER BY t.created_at DESC, t.id DESC LIMIT 200",
    );
    MEMBERS: MemberRow = Statement::select("team_memberships", "reading a team's members", members!(""));
    LOCK_MEMBERS: MemberRow = Statement::select(
        "team_memberships",
        "locking a team's members",
        members!(" FOR UPDATE OF m"),
    );
    PUT_MEMBER: () = Statement::insert(
        "team_memberships",
        "storing a member",
        "INSERT INTO team_memberships AS known (tenant_id, team_id, user_id, team_role, joined_at)
         VALUES (app_tenant(), $1, $2, $3, $4)
         ON CONFLICT (tenant_id, team_id, user_id) DO UPDATE
         SET team_role = excluded.team_role, left_at = NULL,
             joined_at = CASE WHEN known.left_at IS NULL THEN known.joined_at ELSE excluded.joined_at END",
    );
    REMOVE_MEMBER: () = Statement::update(
        "team_memberships",
        "ending a membership",
        "UPDATE team_memberships SET left_at = $3 WHERE team_id = $1 AND user_id = $2 AND left_at IS NULL",
    );
    /// Has no conflict target: with one, PostgreSQL would check the new row against the policy for reading, and the
    /// guest is not visible before the membership exists.
    INSERT_GUEST: () = Statement::insert(
        "users",
        "storing a guest",
        "INSERT INTO users (id, tenant_id, home_tenant_id, issuer, external_id, email, display_name, role, created_at)
         VALUES ($1::uuid, app_tenant(), $2, 'urn:platform:guest', ($1::uuid)::text, $3, $4, 'viewer', now())
         ON CONFLICT DO NOTHING",
    );
    GUEST_HOME: Scalar<Uuid> = Statement::select(
        "users",
        "reading a guest's tenant",
        "SELECT home_tenant_id FROM users WHERE id = $1 AND home_tenant_id IS NOT NULL",
    );
    HAS_RUN: Scalar<bool> = Statement::select(
        "run_events",
        "looking for a run",
        "SELECT EXISTS (SELECT FROM run_events WHERE run_id = $1)",
    );
}

#[async_trait]
impl TeamRepo for PgTenantTx {
    async fn insert(&mut self, team: &Team, owner: UserId) -> Result<(), StoreError> {
        INSERT
            .query()
            .bind(team.id.as_uuid())
            .bind(&team.name)
            .bind(&team.slug)
            .bind(team.created_at)
            .bind(owner.as_uuid())
            .execute(self.connection())
            .await
    }

    async fn get(&mut self, id: TeamId) -> Result<Option<Team>, StoreError> {
        GET.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn update(&mut self, id: TeamId, patch: &TeamPatch, now: Timestamp) -> Result<Option<Team>, StoreError> {
        UPDATE
            .query()
            .bind(id.as_uuid())
            .bind(patch.name.as_ref().map(|name| name.as_str()))
            .bind(patch.slug.as_ref().map(TeamSlug::as_str))
            .bind(now)
            .fetch_optional(self.connection())
            .await
    }

    async fn mark_deleted(
        &mut self,
        id: TeamId,
        deleted_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mark = MARK_DELETED.query().bind(id.as_uuid()).bind(deleted_at).bind(now);
        Ok(mark.rows_affected(self.connection()).await? > 0)
    }

    async fn lock_expired(&mut self, id: TeamId, deleted_before: Timestamp) -> Result<bool, StoreError> {
        let found = LOCK_EXPIRED.query().bind(id.as_uuid()).bind(deleted_before).scalars(self.connection()).await?;
        Ok(!found.is_empty())
    }

    async fn delete(&mut self, id: TeamId) -> Result<bool, StoreError> {
        Ok(DELETE.query().bind(id.as_uuid()).rows_affected(self.connection()).await? > 0)
    }

    async fn spaces(&mut self, user: UserId) -> Result<Vec<TeamSpace>, StoreError> {
        SPACES.query().bind(user.as_uuid()).fetch_all(self.connection()).await
    }

    async fn all(&mut self) -> Result<Vec<TeamId>, StoreError> {
        let ids = ALL.query().scalars(self.connection()).await?;
        Ok(ids.into_iter().map(TeamId::from_uuid).collect())
    }

    async fn list(&mut self, user: UserId) -> Result<Vec<TeamView>, StoreError> {
        LIST.query().bind(user.as_uuid()).fetch_all(self.connection()).await
    }

    async fn members(&mut self, team: TeamId) -> Result<Vec<TeamMember>, StoreError> {
        MEMBERS.query().bind(team.as_uuid()).fetch_all(self.connection()).await
    }

    async fn lock_members(&mut self, team: TeamId) -> Result<Vec<TeamMember>, StoreError> {
        LOCK_MEMBERS.query().bind(team.as_uuid()).fetch_all(self.connection()).await
    }

    async fn put_member(
        &mut self,
        team: TeamId,
        user: UserId,
        role: TeamRole,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let put = PUT_MEMBER.query().bind(team.as_uuid()).bind(user.as_uuid()).bind(role.as_str()).bind(now);
        put.execute(self.connection()).await
    }

    async fn remove_member(&mut self, team: TeamId, user: UserId, now: Timestamp) -> Result<bool, StoreError> {
        let remove = REMOVE_MEMBER.query().bind(team.as_uuid()).bind(user.as_uuid()).bind(now);
        Ok(remove.rows_affected(self.connection()).await? > 0)
    }

    async fn insert_guest(&mut self, guest: &User, home: TenantId) -> Result<(), StoreError> {
        INSERT_GUEST
            .query()
            .bind(guest.id.as_uuid())
            .bind(home.as_uuid())
            .bind(&guest.email)
            .bind(&guest.display_name)
            .execute(self.connection())
            .await
    }

    async fn guest_home(&mut self, user: UserId) -> Result<Option<TenantId>, StoreError> {
        let home = GUEST_HOME.query().bind(user.as_uuid()).scalars(self.connection()).await?;
        Ok(home.first().copied().map(TenantId::from_uuid))
    }

    async fn has_run(&mut self, run: RunId) -> Result<bool, StoreError> {
        HAS_RUN.query().bind(run.as_uuid()).scalar(self.connection()).await
    }

    async fn insert_invitation(&mut self, invitation: &Invitation) -> Result<(), StoreError> {
        INSERT_INVITATION
            .query()
            .bind(invitation.id.as_uuid())
            .bind(invitation.team.as_uuid())
            .bind(invitation.invited_by.as_uuid())
            .bind(&invitation.guest_tenant)
            .bind(&invitation.email)
            .bind(invitation.guest_tenant_id.map(|id| id.as_uuid()))
            .bind(invitation.guest_id.map(|id| id.as_uuid()))
            .bind(invitation.status.as_str())
            .bind(invitation.created_at)
            .bind(invitation.expires_at)
            .execute(self.connection())
            .await
    }

    async fn lock_invitation(&mut self, id: InvitationId) -> Result<Option<Invitation>, StoreError> {
        LOCK_INVITATION.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn answer_invitation(
        &mut self,
        id: InvitationId,
        guest: UserId,
        status: InvitationStatus,
    ) -> Result<bool, StoreError> {
        let answer = ANSWER_INVITATION.query().bind(id.as_uuid()).bind(guest.as_uuid()).bind(status.as_str());
        Ok(answer.rows_affected(self.connection()).await? > 0)
    }

    async fn void_invitations(&mut self, team: TeamId, guest: UserId) -> Result<u64, StoreError> {
        VOID_INVITATIONS.query().bind(team.as_uuid()).bind(guest.as_uuid()).rows_affected(self.connection()).await
    }

    async fn find_user_by_email(&mut self, email: &str) -> Result<Option<UserId>, StoreError> {
        let found = FIND_BY_EMAIL.query().bind(email).scalars(self.connection()).await?;
        Ok(match found[..] {
            [id] => Some(id.into()),
            _ => None,
        })
    }

    async fn insert_received_invitation(&mut self, link: &ReceivedInvitation) -> Result<(), StoreError> {
        INSERT_RECEIVED_INVITATION
            .query()
            .bind(link.invitation.as_uuid())
            .bind(link.user.map(|id| id.as_uuid()))
            .bind(&link.email)
            .bind(link.space.host.as_uuid())
            .bind(link.space.team.as_uuid())
            .bind(&link.team_name)
            .bind(link.status.as_str())
            .bind(link.created_at)
            .bind(link.expires_at)
            .execute(self.connection())
            .await
    }

    async fn claim_received_invitations(
        &mut self,
        user: UserId,
        email: &str,
    ) -> Result<Vec<ReceivedInvitation>, StoreError> {
        CLAIM_RECEIVED_INVITATIONS.query().bind(user.as_uuid()).bind(email).execute(self.connection()).await?;
        RECEIVED_INVITATIONS.query().bind(user.as_uuid()).fetch_all(self.connection()).await
    }

    async fn received_invitation(
        &mut self,
        id: InvitationId,
        user: UserId,
    ) -> Result<Option<ReceivedInvitation>, StoreError> {
        RECEIVED_INVITATION.query().bind(id.as_uuid()).bind(user.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn answer_received_invitation(
        &mut self,
        id: InvitationId,
        status: InvitationStatus,
    ) -> Result<bool, StoreError> {
        let set = ANSWER_RECEIVED_INVITATION.query().bind(id.as_uuid()).bind(status.as_str());
        Ok(set.rows_affected(self.connection()).await? > 0)
    }

    async fn void_received_invitations(&mut self, team: TeamId, user: UserId) -> Result<u64, StoreError> {
        VOID_RECEIVED_INVITATIONS
            .query()
            .bind(team.as_uuid())
            .bind(user.as_uuid())
            .rows_affected(self.connection())
            .await
    }
}
