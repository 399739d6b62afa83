//! Commands on teams, their members and invitations to them.

use super::command;
use crate::audit::Change;
use crate::ids::{InvitationId, TeamId, UserId};
use crate::page::{Page, PageRequest};
use crate::team::{InvitationView, TeamMember, TeamPatch, TeamRole, TeamSlug, TeamView};
use crate::text::{ClaimText, ShortText};
use serde::Serialize;
use serde_json::json;

/// Create a team; the caller becomes its owner.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateTeam {
    /// Name for people.
    pub name: ShortText,
    /// Short name; unique in the tenant.
    pub slug: TeamSlug,
}
command! {
    CreateTeam: Create Teams as "team.create" -> TeamView,
    transaction Shared,
    id(view => view.team.id)
}

/// List the teams that the caller belongs to, those of other tenants included.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListTeams {
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListTeams: List Teams as "team.list" -> Page<TeamView>);

/// Read a team.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct GetTeam {
    /// The team; the caller must be a member.
    pub id: TeamId,
}
command!(GetTeam: Read Teams as "team.read" -> TeamView, target Team(id), space id, transaction Shared);

/// Change a team's name or slug.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateTeam {
    /// The team; the caller must be an owner.
    pub id: TeamId,
    /// What to change.
    pub patch: TeamPatch,
}
command! {
    UpdateTeam: Update Teams as "team.update" -> Change<TeamView>,
    target Team(id),
    space id,
    transaction Shared,
    outcome(change => json!({
        "name_changed": change.before.team.name != change.after.team.name,
        "slug_changed": change.before.team.slug != change.after.team.slug,
    }))
}

/// Mark a team for deletion.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct DeleteTeam {
    /// The team; the caller must be an owner.
    pub id: TeamId,
}
command!(DeleteTeam: Delete Teams as "team.delete" -> (), target Team(id), space id, transaction Shared);

/// Restore a team that is marked for deletion.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct RestoreTeam {
    /// The team; the caller must be an owner, or an admin of the tenant that owns it.
    pub id: TeamId,
}
command!(RestoreTeam: Delete Teams as "team.restore" -> (), target Team(id), transaction Shared);

/// List the members of a team.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ListTeamMembers {
    /// The team; the caller must be a member.
    pub team: TeamId,
}
command! {
    ListTeamMembers: Read Teams as "team.members_listed" -> Vec<TeamMember>,
    target Team(team),
    space team,
    transaction Shared
}

/// Make a user of the team's tenant a member, or change a member's role.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct PutTeamMember {
    /// The team; the caller must be an owner.
    pub team: TeamId,
    /// A user of the team's tenant, or a member already.
    pub user: UserId,
    /// The new role.
    pub role: TeamRole,
}
command! {
    PutTeamMember: Share Teams as "team.member_set" -> TeamMember,
    target Team(team),
    space team,
    metadata(command => json!({ "user": command.user, "team_role": command.role }))
}

/// Name a new owner of a team that no active owner is left of.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct NameTeamOwner {
    /// The team; it belongs to the caller's tenant.
    pub team: TeamId,
    /// The user who becomes its owner.
    pub user: UserId,
}
command! {
    NameTeamOwner: Update Teams as "team.owner_named" -> TeamMember,
    target Team(team),
    transaction Shared,
    metadata(command => json!({ "user": command.user }))
}

/// End a membership: one's own, or for an owner anyone's.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct RemoveTeamMember {
    /// The team; the caller must be a member.
    pub team: TeamId,
    /// Whose membership ends.
    pub user: UserId,
}
command! {
    RemoveTeamMember: Share Teams as "team.member_removed" -> (),
    target Team(team),
    space team,
    metadata(command => json!({ "user": command.user }))
}

/// Invite a user of another tenant.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct InviteToTeam {
    /// The team; the caller must be an owner.
    pub team: TeamId,
    /// Slug of the guest's tenant.
    pub tenant: ShortText,
    /// Email address that finds the guest.
    pub email: ClaimText,
}
command! {
    InviteToTeam: Share Teams as "team.invited" -> InvitationView,
    target Team(team),
    space team,
    outcome(invitation => json!({ "invitation": invitation.id }))
}

/// List the caller's pending and answered invitations.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListInvitations {
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListInvitations: List Teams as "team.invitations_listed" -> Page<InvitationView>, transaction Shared);

/// Accept an invitation and become a member.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct AcceptInvitation {
    /// The invitation; it must be the caller's.
    pub id: InvitationId,
}
command! {
    AcceptInvitation: Share Teams as "team.invitation_accepted" -> InvitationView,
    target Invitation(id)
}

/// Decline an invitation.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct DeclineInvitation {
    /// The invitation; it must be the caller's.
    pub id: InvitationId,
}
command! {
    DeclineInvitation: Share Teams as "team.invitation_declined" -> InvitationView,
    target Invitation(id)
}
