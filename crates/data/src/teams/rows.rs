//! Rows of teams, members and invitations, and their conversion to the domain's types.

use crate::rows::TextEnum;
use crate::statement::row;
use domain::team::{Invitation, InvitationStatus, ReceivedInvitation, Team, TeamMember, TeamRole, TeamSpace, TeamView};
use domain::time::Timestamp;
use uuid::Uuid;

row! {
    pub(crate) struct TeamRow, columns = team_columns {
        id: Uuid,
        name: String,
        slug: String,
        created_at: Timestamp,
        updated_at: Timestamp,
        deleted_at: Option<Timestamp>,
    }
}

row! {
    pub(crate) struct TeamViewRow {
        id: Uuid,
        tenant_id: Uuid,
        name: String,
        slug: String,
        created_at: Timestamp,
        updated_at: Timestamp,
        deleted_at: Option<Timestamp>,
        team_role: TextEnum<TeamRole>,
    }
}

row! {
    pub(crate) struct SpaceRow {
        team: Uuid,
        host: Uuid,
    }
}

row! {
    pub(crate) struct MemberRow {
        user_id: Uuid,
        name: String,
        team_role: TextEnum<TeamRole>,
        home_tenant_id: Option<Uuid>,
        is_active: bool,
        joined_at: Timestamp,
    }
}

row! {
    pub(crate) struct InvitationRow, columns = invitation_columns {
        id: Uuid,
        team_id: Uuid,
        invited_by: Uuid,
        guest_tenant: String,
        email: String,
        guest_tenant_id: Option<Uuid>,
        guest_id: Option<Uuid>,
        status: TextEnum<InvitationStatus>,
        created_at: Timestamp,
        expires_at: Timestamp,
    }
}

row! {
    pub(crate) struct ReceivedInvitationRow, columns = received_invitation_columns {
        invitation_id: Uuid,
        user_id: Option<Uuid>,
        email: String,
        host_tenant_id: Uuid,
        team_id: Uuid,
        team_name: String,
        status: TextEnum<InvitationStatus>,
        created_at: Timestamp,
        expires_at: Timestamp,
    }
}

#[expect(clippy::single_component_path_imports, reason = "makes the macro visible to the repository")]
pub(super) use invitation_columns;
#[expect(clippy::single_component_path_imports, reason = "makes the macro visible to the repository")]
pub(super) use received_invitation_columns;
#[expect(clippy::single_component_path_imports, reason = "makes the macro visible to the repository")]
pub(super) use team_columns;

impl From<TeamRow> for Team {
    fn from(row: TeamRow) -> Self {
        let TeamRow { id, name, slug, created_at, updated_at, deleted_at } = row;
        Self { id: id.into(), name, slug, created_at, updated_at, deleted_at }
    }
}

impl From<TeamViewRow> for TeamView {
    fn from(row: TeamViewRow) -> Self {
        let TeamViewRow { id, tenant_id, name, slug, created_at, updated_at, deleted_at, team_role } = row;
        let team = Team { id: id.into(), name, slug, created_at, updated_at, deleted_at };
        Self { team, host: tenant_id.into(), role: team_role.0 }
    }
}

impl From<SpaceRow> for TeamSpace {
    fn from(row: SpaceRow) -> Self {
        Self { team: row.team.into(), host: row.host.into() }
    }
}

impl From<MemberRow> for TeamMember {
    fn from(row: MemberRow) -> Self {
        Self {
            user: row.user_id.into(),
            name: row.name,
            role: row.team_role.0,
            guest_of: row.home_tenant_id.map(Into::into),
            is_active: row.is_active,
            joined_at: row.joined_at,
        }
    }
}

impl From<InvitationRow> for Invitation {
    fn from(row: InvitationRow) -> Self {
        Self {
            id: row.id.into(),
            team: row.team_id.into(),
            invited_by: row.invited_by.into(),
            guest_tenant: row.guest_tenant,
            email: row.email,
            guest_tenant_id: row.guest_tenant_id.map(Into::into),
            guest_id: row.guest_id.map(Into::into),
            status: row.status.0,
            created_at: row.created_at,
            expires_at: row.expires_at,
        }
    }
}

impl From<ReceivedInvitationRow> for ReceivedInvitation {
    fn from(row: ReceivedInvitationRow) -> Self {
        Self {
            invitation: row.invitation_id.into(),
            user: row.user_id.map(Into::into),
            email: row.email,
            space: TeamSpace { team: row.team_id.into(), host: row.host_tenant_id.into() },
            team_name: row.team_name,
            status: row.status.0,
            created_at: row.created_at,
            expires_at: row.expires_at,
        }
    }
}
