//! Teams: creating, listing, changing, deleting and restoring them. Members and invitations have their own files.

mod invitations;
mod members;
pub mod purge;

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::audit::Change;
use domain::authorized::{Authorized, Permit};
use domain::command::{CreateTeam, DeleteTeam, GetTeam, ListTeams, RestoreTeam, UpdateTeam};
use domain::decision::RefusalCode;
use domain::ids::{TeamId, UserId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{Clock, IdGen, Store, TenantDirectory, TenantTx};
use domain::rights::Permission;
use domain::role::{Operation, Resource};
use domain::space::enter_team;
use domain::team::{MAX_TEAMS_PER_USER, Team, TeamRole, TeamView};
use domain::text::ShortText;
use std::cmp::Reverse;
use std::sync::Arc;
use tools::error::ToolError;

const NOT_FOUND: RuntimeError = RuntimeError::NotFound { target: "the team" };
/// Whoever may administer users may also restore a team, or name its new owner.
const ADMINISTER: Permission = Permission::new(Resource::Users, Operation::Update);

/// Use cases of teams.
pub struct TeamService {
    store: Arc<dyn Store>,
    directory: Arc<dyn TenantDirectory>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
}

impl TeamService {
    /// Creates the service. `directory` finds the tenants of invited users.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        directory: Arc<dyn TenantDirectory>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGen>,
    ) -> Self {
        Self { store, directory, clock, ids }
    }
}

fn acting_user(permit: &Permit) -> Result<UserId, RuntimeError> {
    permit.scope().user().ok_or(RuntimeError::NotFound { target: "the user" })
}

fn not_owner() -> RuntimeError {
    ToolError::Denied { reason: RefusalCode::NotOwner }.into()
}

/// Refuses members who are no owners.
fn require_owner(permit: &Permit) -> Result<(), RuntimeError> {
    if permit.covers_tenant() { Ok(()) } else { Err(not_owner()) }
}

/// Reads the team of the permit's space, with the role of the permit's user.
async fn view(tx: &mut dyn TenantTx, permit: &Permit, id: TeamId) -> Result<TeamView, RuntimeError> {
    let user = acting_user(permit)?;
    let team = tx.teams().get(id).await?.ok_or(NOT_FOUND)?;
    let members = tx.teams().members(id).await?;
    let role = members.iter().find(|member| member.user == user).map(|member| member.role).ok_or(NOT_FOUND)?;
    Ok(TeamView { team, host: permit.scope().tenant(), role })
}

/// One page of items that were all read, newest first.
fn page_of<T>(mut items: Vec<T>, request: &PageRequest, key: impl Fn(&T) -> PageKey) -> Page<T> {
    let position = |item: &T| {
        let key = key(item);
        (key.created_at, key.id)
    };
    items.sort_by_key(|item| Reverse(position(item)));
    if let Some(after) = request.after {
        items.retain(|item| position(item) < (after.created_at, after.id));
    }
    items.truncate(request.limit() as usize + 1);
    Page::from_rows(items, request, key)
}

#[async_trait]
impl UseCase<CreateTeam> for TeamService {
    async fn execute(&self, command: Authorized<CreateTeam>) -> Result<TeamView, RuntimeError> {
        let owner = acting_user(command.permit())?;
        let mut tx = command.begin(&*self.store).await?;
        let (permit, CreateTeam { name, slug }) = command.into_parts();
        if tx.teams().spaces(owner).await?.len() >= MAX_TEAMS_PER_USER {
            return Err(RuntimeError::Conflict { detail: "You belong to 50 teams already; leave one first." });
        }
        let now = self.clock.now();
        let team = Team {
            id: TeamId::from_uuid(self.ids.uuid()),
            name: ShortText::into_string(name),
            slug: slug.as_str().to_owned(),
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        tx.teams().insert(&team, owner).await?;
        tx.defer_commit();
        Ok(TeamView { team, host: permit.scope().tenant(), role: TeamRole::Owner })
    }
}

#[async_trait]
impl UseCase<ListTeams> for TeamService {
    /// Teams of other tenants are read there, one after the other, each in a transaction of its own.
    async fn execute(&self, command: Authorized<ListTeams>) -> Result<Page<TeamView>, RuntimeError> {
        let (user, scope) = (acting_user(command.permit())?, command.scope().clone());
        let mut tx = command.begin(&*self.store).await?;
        let at_home = tx.users().membership(user).await?.ok_or(NOT_FOUND)?;
        let mut views = tx.teams().list(user).await?;
        let spaces = tx.teams().spaces(user).await?;
        tx.commit().await?;
        for space in spaces.into_iter().filter(|space| space.host != scope.tenant()) {
            let Some(mut entered) = enter_team(&*self.store, &scope, &at_home, space).await? else { continue };
            let role = entered.membership.team.and_then(|team| team.role);
            let Some(role) = role.filter(|_| entered.membership.refusal().is_none()) else { continue };
            if let Some(team) = entered.tx.teams().get(space.team).await? {
                views.push(TeamView { team, host: space.host, role });
            }
        }
        let key = |view: &TeamView| PageKey { created_at: view.team.created_at, id: view.team.id.as_uuid() };
        Ok(page_of(views, &command.command().page, key))
    }
}

#[async_trait]
impl UseCase<GetTeam> for TeamService {
    async fn execute(&self, command: Authorized<GetTeam>) -> Result<TeamView, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let view = view(&mut *tx, command.permit(), command.command().id).await?;
        tx.defer_commit();
        Ok(view)
    }
}

#[async_trait]
impl UseCase<UpdateTeam> for TeamService {
    async fn execute(&self, command: Authorized<UpdateTeam>) -> Result<Change<TeamView>, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let UpdateTeam { id, patch } = command.command();
        let before = view(&mut *tx, command.permit(), *id).await?;
        let team = tx.teams().update(*id, patch, self.clock.now()).await?.ok_or(NOT_FOUND)?;
        tx.defer_commit();
        let after = TeamView { team, ..before.clone() };
        Ok(Change { before, after })
    }
}

#[async_trait]
impl UseCase<DeleteTeam> for TeamService {
    async fn execute(&self, command: Authorized<DeleteTeam>) -> Result<(), RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let now = self.clock.now();
        if !tx.teams().mark_deleted(command.command().id, Some(now), now).await? {
            return Err(NOT_FOUND);
        }
        tx.defer_commit();
        Ok(())
    }
}

#[async_trait]
impl UseCase<RestoreTeam> for TeamService {
    /// Works in the home space of the tenant that owns the team: a deleted team's own space is closed.
    async fn execute(&self, command: Authorized<RestoreTeam>) -> Result<(), RuntimeError> {
        let user = acting_user(command.permit())?;
        let id = command.command().id;
        let mut tx = command.begin(&*self.store).await?;
        let members = tx.teams().members(id).await?;
        let is_owner = members.iter().any(|member| member.user == user && member.role == TeamRole::Owner);
        if !is_owner && !command.permit().rights().allows(ADMINISTER) {
            return Err(NOT_FOUND);
        }
        let (now, settings) = (self.clock.now(), &command.permit().tenant().settings.teams);
        let team = tx.teams().get(id).await?.ok_or(NOT_FOUND)?;
        // Its content may be gone in part.
        if team.deleted_at.is_some_and(|deleted_at| deleted_at <= settings.expired_since(now)) {
            return Err(NOT_FOUND);
        }
        if !tx.teams().mark_deleted(id, None, now).await? {
            return Err(NOT_FOUND);
        }
        tx.defer_commit();
        Ok(())
    }
}
