//! Members of teams.

use super::invitations::delivery_scope;
use super::{ADMINISTER, NOT_FOUND, TeamService, acting_user, not_owner, require_owner};
use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::audit::EventType;
use domain::authorized::Authorized;
use domain::command::{ListTeamMembers, NameTeamOwner, PutTeamMember, RemoveTeamMember};
use domain::ids::{TenantId, UserId};
use domain::ports::TenantTx;
use domain::scope::TenantScope;
use domain::team::{MAX_TEAMS_PER_USER, TeamMember, TeamRole};
use domain::time::Timestamp;
use domain::upload::FieldError;
use serde_json::json;

const LAST_OWNER: RuntimeError =
    RuntimeError::Conflict { detail: "A team keeps at least one owner; make another member an owner first." };
const TOO_MANY_TEAMS: RuntimeError =
    RuntimeError::Conflict { detail: "The user belongs to 50 teams already, and must leave one first." };
const NO_MEMBER: RuntimeError = RuntimeError::NotFound { target: "the member" };

fn find(members: &[TeamMember], user: UserId) -> Option<&TeamMember> {
    members.iter().find(|member| member.user == user)
}

/// Refuses to take the last owner away: `user` ceases to be one.
fn keep_an_owner(members: &[TeamMember], user: UserId) -> Result<(), RuntimeError> {
    let is_owner = |member: &&TeamMember| member.role == TeamRole::Owner;
    let was_owner = members.iter().filter(is_owner).any(|member| member.user == user);
    let has_other = members.iter().filter(is_owner).any(|member| member.user != user);
    if was_owner && !has_other { Err(LAST_OWNER) } else { Ok(()) }
}

/// A user of the transaction's tenant as a member.
async fn as_member(
    tx: &mut dyn TenantTx,
    user: UserId,
    role: TeamRole,
    joined_at: Timestamp,
) -> Result<TeamMember, RuntimeError> {
    let user = tx.users().get(user).await?.ok_or(RuntimeError::NotFound { target: "the user" })?;
    Ok(TeamMember {
        user: user.id,
        name: user.display_name.unwrap_or(user.email),
        role,
        guest_of: None,
        is_active: user.is_active,
        joined_at,
    })
}

#[async_trait]
impl UseCase<ListTeamMembers> for TeamService {
    async fn execute(&self, command: Authorized<ListTeamMembers>) -> Result<Vec<TeamMember>, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let members = tx.teams().members(command.command().team).await?;
        tx.defer_commit();
        Ok(members)
    }
}

#[async_trait]
impl UseCase<PutTeamMember> for TeamService {
    /// Guests are changed in the team's space, where they are visible. Who is no member yet is looked for in the home
    /// space of the team's tenant.
    async fn execute(&self, command: Authorized<PutTeamMember>) -> Result<TeamMember, RuntimeError> {
        require_owner(command.permit())?;
        let PutTeamMember { team, user, role } = *command.command();
        let now = self.clock.now();
        let mut tx = command.begin(&*self.store).await?;
        let members = tx.teams().lock_members(team).await?;
        if let Some(known) = find(&members, user) {
            if role != TeamRole::Owner {
                keep_an_owner(&members, user)?;
            } else if known.guest_of.is_some() {
                let detail = "cannot be `owner` for a guest; owners belong to the tenant of the team";
                let pointer = "/team_role".to_owned();
                return Err(FieldError { pointer, detail: detail.to_owned() }.into());
            }
            tx.teams().put_member(team, user, role, now).await?;
            tx.commit().await?;
            return Ok(TeamMember { role, ..known.clone() });
        }
        drop(tx);
        let mut tx = self.store.begin(&command.scope().at_home()).await?;
        let member = as_member(&mut *tx, user, role, now).await?;
        if !member.is_active {
            return Err(RuntimeError::Conflict { detail: "The user is deactivated." });
        }
        if tx.teams().spaces(user).await?.len() >= MAX_TEAMS_PER_USER {
            return Err(TOO_MANY_TEAMS);
        }
        tx.teams().put_member(team, user, role, now).await?;
        tx.commit().await?;
        Ok(member)
    }
}

#[async_trait]
impl UseCase<NameTeamOwner> for TeamService {
    /// Works in the home space, because the admin is no member.
    async fn execute(&self, command: Authorized<NameTeamOwner>) -> Result<TeamMember, RuntimeError> {
        if !command.permit().rights().allows(ADMINISTER) {
            return Err(NOT_FOUND);
        }
        let NameTeamOwner { team, user } = *command.command();
        let now = self.clock.now();
        let mut tx = command.begin(&*self.store).await?;
        tx.teams().get(team).await?.ok_or(NOT_FOUND)?;
        let members = tx.teams().lock_members(team).await?;
        if members.iter().any(|member| member.role == TeamRole::Owner && member.is_active) {
            return Err(NOT_FOUND);
        }
        let member = as_member(&mut *tx, user, TeamRole::Owner, now).await?;
        if !member.is_active {
            return Err(RuntimeError::Conflict { detail: "The user is deactivated." });
        }
        tx.teams().put_member(team, user, TeamRole::Owner, now).await?;
        tx.defer_commit();
        Ok(member)
    }
}

#[async_trait]
impl UseCase<RemoveTeamMember> for TeamService {
    async fn execute(&self, command: Authorized<RemoveTeamMember>) -> Result<(), RuntimeError> {
        let RemoveTeamMember { team, user } = *command.command();
        if user != acting_user(command.permit())? && !command.permit().covers_tenant() {
            return Err(not_owner());
        }
        let mut tx = command.begin(&*self.store).await?;
        let members = tx.teams().lock_members(team).await?;
        keep_an_owner(&members, user)?;
        let was_member = tx.teams().remove_member(team, user, self.clock.now()).await?;
        // Also of a guest who has left: the links may still be there, because the second transaction failed.
        let home = tx.teams().guest_home(user).await?;
        tx.teams().void_invitations(team, user).await?;
        tx.commit().await?;
        let had_links = match home {
            Some(home) => self.void_received_invitations(command.scope(), home, command.command()).await?,
            None => false,
        };
        if was_member || had_links { Ok(()) } else { Err(NO_MEMBER) }
    }
}

impl TeamService {
    /// Voids what leads a guest to the team, in the guest's own tenant. The membership has ended already. Returns
    /// whether there was anything.
    async fn void_received_invitations(
        &self,
        scope: &TenantScope,
        home: TenantId,
        removed: &RemoveTeamMember,
    ) -> Result<bool, RuntimeError> {
        let mut tx = self.store.begin(&delivery_scope(scope, home)).await?;
        let RemoveTeamMember { team, user } = *removed;
        if tx.teams().void_received_invitations(team, user).await? == 0 {
            return Ok(false);
        }
        let details = json!({ "host_tenant": scope.tenant(), "user": user });
        self.record_delivery(&mut *tx, EventType::TEAM_MEMBERSHIP_ENDED, team, details).await?;
        tx.commit().await?;
        Ok(true)
    }
}
