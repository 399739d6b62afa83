//! The in-memory repository of teams.

use super::users::new_user_row;
use super::{InMemoryTx, Row, State};
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::ids::{InvitationId, RunId, TeamId, TenantId, UserId};
use domain::ports::{StoreError, TeamRepo};
use domain::role::Role;
use domain::scope::TenantScope;
use domain::team::{
    Invitation, InvitationStatus, MAX_TEAMS_PER_USER, ReceivedInvitation, Team, TeamMember, TeamPatch, TeamRole,
    TeamSpace, TeamStanding, TeamView,
};
use domain::time::Timestamp;
use domain::user::{NewUser, User};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Teams, members and invitations of all tenants.
#[derive(Clone, Debug, Default)]
pub(super) struct TeamState {
    teams: Vec<Row<Team>>,
    memberships: Vec<StoredMembership>,
    invitations: Vec<Row<Invitation>>,
    links: Vec<Row<ReceivedInvitation>>,
    /// The own tenants of guests, by the tenant where they are guests.
    guests: BTreeMap<(TenantId, UserId), TenantId>,
}

/// A membership; it stays when it has ended.
#[derive(Clone, Debug)]
struct StoredMembership {
    tenant: TenantId,
    team: TeamId,
    user: UserId,
    role: TeamRole,
    joined_at: Timestamp,
    has_left: bool,
}

impl TeamState {
    /// The tenant that owns the team.
    pub(super) fn host(&self, team: TeamId) -> Option<TenantId> {
        self.teams.iter().find(|row| row.value.id == team).map(|row| row.tenant)
    }

    /// Teams that were deleted longer ago than `days` of their tenant says, with that tenant.
    pub(super) fn expired(&self, now: Timestamp, days: impl Fn(TenantId) -> u32) -> Vec<TeamSpace> {
        let is_expired = |row: &&Row<Team>| {
            let kept = TimeDelta::days(i64::from(days(row.tenant)));
            row.value.deleted_at.is_some_and(|deleted_at| deleted_at + kept <= now)
        };
        let expired = self.teams.iter().filter(is_expired);
        expired.map(|row| TeamSpace { team: row.value.id, host: row.tenant }).collect()
    }

    /// What the user is in the team.
    pub(super) fn standing(&self, team: TeamId, user: UserId, tenant: TenantId) -> TeamStanding {
        let mut teams = self.teams.iter().filter(|row| row.tenant == tenant && row.value.deleted_at.is_none());
        let is_there = teams.any(|row| row.value.id == team);
        let mut current = self.memberships.iter().filter(|m| m.tenant == tenant && m.team == team && !m.has_left);
        let role = current.find(|m| m.user == user && is_there).map(|m| m.role);
        let is_guest = self.guests.contains_key(&(tenant, user));
        TeamStanding { role: role.filter(|_| !is_guest), guest_role: role.filter(|_| is_guest), guest_clearance: None }
    }

    /// Whether the row of a user is visible in the scope: own users in the home space, members in a team's.
    pub(super) fn shows_user(&self, scope: &TenantScope, user: UserId) -> bool {
        match scope.team() {
            None => !self.guests.contains_key(&(scope.tenant(), user)),
            Some(team) => {
                self.memberships.iter().any(|m| m.tenant == scope.tenant() && m.team == team && m.user == user)
            }
        }
    }
}

impl State {
    /// Name or email address of a user of any tenant.
    pub(super) fn display_name(&self, user: UserId) -> String {
        let row = self.users.iter().find(|row| row.value.id == user);
        row.map(|row| row.value.display_name.clone().unwrap_or_else(|| row.value.email.clone())).unwrap_or_default()
    }

    fn members(&self, tenant: TenantId, team: TeamId) -> Vec<TeamMember> {
        let is_current = |m: &&StoredMembership| m.tenant == tenant && m.team == team && !m.has_left;
        let mut members: Vec<_> = self
            .teams
            .memberships
            .iter()
            .filter(is_current)
            .map(|m| TeamMember {
                user: m.user,
                name: self.display_name(m.user),
                role: m.role,
                guest_of: self.teams.guests.get(&(tenant, m.user)).copied(),
                is_active: self.users.iter().any(|r| r.tenant == tenant && r.value.id == m.user && r.value.is_active),
                joined_at: m.joined_at,
            })
            .collect();
        members.sort_by_key(|member| (member.joined_at, member.user));
        members
    }
}

impl InMemoryTx {
    fn shows_team(&self) -> impl Fn(&Row<Team>) -> bool + use<> {
        let (tenant, team) = (self.scope.tenant(), self.scope.team());
        move |row| row.tenant == tenant && team.is_none_or(|team| row.value.id == team)
    }
}

const SLUG_TAKEN: StoreError = StoreError::Conflict { reason: "A team with this slug already exists." };

#[async_trait]
impl TeamRepo for InMemoryTx {
    async fn insert(&mut self, team: &Team, owner: UserId) -> Result<(), StoreError> {
        let tenant = self.tenant();
        let state = self.write().await?;
        if state.teams.teams.iter().any(|row| row.tenant == tenant && row.value.slug == team.slug) {
            return Err(SLUG_TAKEN);
        }
        state.teams.teams.push(Row { tenant, user: None, value: team.clone() });
        let (team, joined_at) = (team.id, team.created_at);
        let role = TeamRole::Owner;
        state.teams.memberships.push(StoredMembership { tenant, team, user: owner, role, joined_at, has_left: false });
        Ok(())
    }

    async fn get(&mut self, id: TeamId) -> Result<Option<Team>, StoreError> {
        let is_visible = self.shows_team();
        Ok(self.read(|s| {
            s.teams.teams.iter().find(|row| is_visible(row) && row.value.id == id).map(|row| row.value.clone())
        }))
    }

    async fn update(&mut self, id: TeamId, patch: &TeamPatch, now: Timestamp) -> Result<Option<Team>, StoreError> {
        let (is_visible, tenant) = (self.shows_team(), self.tenant());
        let teams = &mut self.write().await?.teams.teams;
        let slug = patch.slug.as_ref().map(|slug| slug.as_str().to_owned());
        let is_taken =
            |row: &Row<Team>| row.tenant == tenant && row.value.id != id && Some(&row.value.slug) == slug.as_ref();
        if teams.iter().any(is_taken) {
            return Err(SLUG_TAKEN);
        }
        let Some(row) = teams.iter_mut().find(|row| is_visible(row) && row.value.id == id) else { return Ok(None) };
        if let Some(name) = &patch.name {
            name.as_str().clone_into(&mut row.value.name);
        }
        row.value.slug = slug.unwrap_or_else(|| row.value.slug.clone());
        row.value.updated_at = now;
        Ok(Some(row.value.clone()))
    }

    async fn mark_deleted(
        &mut self,
        id: TeamId,
        deleted_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let is_visible = self.shows_team();
        let mut teams = self.write().await?.teams.teams.iter_mut();
        let changes = |row: &&mut Row<Team>| {
            is_visible(row) && row.value.id == id && row.value.deleted_at.is_none() != deleted_at.is_none()
        };
        let Some(row) = teams.find(changes) else { return Ok(false) };
        (row.value.deleted_at, row.value.updated_at) = (deleted_at, now);
        Ok(true)
    }

    async fn lock_expired(&mut self, id: TeamId, deleted_before: Timestamp) -> Result<bool, StoreError> {
        let is_visible = self.shows_team();
        let mut teams = self.write().await?.teams.teams.iter();
        let is_expired = |row: &Row<Team>| row.value.deleted_at.is_some_and(|deleted_at| deleted_at <= deleted_before);
        Ok(teams.any(|row| is_visible(row) && row.value.id == id && is_expired(row)))
    }

    async fn delete(&mut self, id: TeamId) -> Result<bool, StoreError> {
        let tenant = self.tenant();
        let teams = &mut self.write().await?.teams;
        let count_before = teams.teams.len();
        teams.teams.retain(|row| !(row.tenant == tenant && row.value.id == id && row.value.deleted_at.is_some()));
        if teams.teams.len() == count_before {
            return Ok(false);
        }
        teams.memberships.retain(|membership| membership.team != id);
        teams.invitations.retain(|row| row.value.team != id);
        Ok(true)
    }

    async fn spaces(&mut self, user: UserId) -> Result<Vec<TeamSpace>, StoreError> {
        let tenant = self.tenant();
        Ok(self.read(|s| {
            let is_live = |team| s.teams.standing(team, user, tenant).role.is_some();
            let own = s.teams.memberships.iter().filter(|m| m.tenant == tenant && m.user == user && is_live(m.team));
            let own = own.map(|m| TeamSpace { team: m.team, host: tenant });
            let is_accepted = |row: &&Row<ReceivedInvitation>| {
                row.tenant == tenant && row.value.user == Some(user) && row.value.status == InvitationStatus::Accepted
            };
            let mut spaces: Vec<_> =
                own.chain(s.teams.links.iter().filter(is_accepted).map(|row| row.value.space)).collect();
            spaces.sort_by_key(|space| space.team);
            spaces.dedup();
            spaces.truncate(MAX_TEAMS_PER_USER);
            spaces
        }))
    }

    async fn all(&mut self) -> Result<Vec<TeamId>, StoreError> {
        let is_visible = self.shows_team();
        Ok(self.read(|s| s.teams.teams.iter().filter(|row| is_visible(row)).map(|row| row.value.id).collect()))
    }

    async fn list(&mut self, user: UserId) -> Result<Vec<TeamView>, StoreError> {
        let tenant = self.tenant();
        Ok(self.read(|s| {
            let view = |row: &Row<Team>| {
                let is_membership = |m: &&StoredMembership| {
                    m.tenant == tenant && m.team == row.value.id && m.user == user && !m.has_left
                };
                let role = s.teams.memberships.iter().find(is_membership)?.role;
                let is_listed = row.value.deleted_at.is_none() || role == TeamRole::Owner;
                is_listed.then(|| TeamView { team: row.value.clone(), host: tenant, role })
            };
            let mut views: Vec<_> = s.teams.teams.iter().filter(|row| row.tenant == tenant).filter_map(view).collect();
            views.sort_by_key(|view| Reverse((view.team.created_at, view.team.id)));
            views
        }))
    }

    async fn members(&mut self, team: TeamId) -> Result<Vec<TeamMember>, StoreError> {
        let tenant = self.tenant();
        Ok(self.read(|s| s.members(tenant, team)))
    }

    async fn lock_members(&mut self, team: TeamId) -> Result<Vec<TeamMember>, StoreError> {
        let tenant = self.tenant();
        Ok(self.write().await?.members(tenant, team))
    }

    async fn put_member(
        &mut self,
        team: TeamId,
        user: UserId,
        role: TeamRole,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let tenant = self.tenant();
        let memberships = &mut self.write().await?.teams.memberships;
        let known = memberships.iter_mut().find(|m| m.tenant == tenant && m.team == team && m.user == user);
        match known {
            Some(known) => {
                known.joined_at = if known.has_left { now } else { known.joined_at };
                (known.role, known.has_left) = (role, false);
            }
            None => {
                memberships.push(StoredMembership { tenant, team, user, role, joined_at: now, has_left: false });
            }
        }
        Ok(())
    }

    async fn remove_member(&mut self, team: TeamId, user: UserId, _now: Timestamp) -> Result<bool, StoreError> {
        let tenant = self.tenant();
        let mut memberships = self.write().await?.teams.memberships.iter_mut();
        let known = memberships.find(|m| m.tenant == tenant && m.team == team && m.user == user && !m.has_left);
        Ok(known.map(|known| known.has_left = true).is_some())
    }

    async fn insert_guest(&mut self, guest: &User, home: TenantId) -> Result<(), StoreError> {
        let tenant = self.tenant();
        let new = NewUser {
            id: guest.id,
            issuer: "urn:platform:guest".to_owned(),
            external_id: guest.id.to_string(),
            email: guest.email.clone(),
            display_name: guest.display_name.clone(),
            role: Role::Viewer,
        };
        let value = new_user_row(&new, guest.created_at);
        let state = self.write().await?;
        if state.teams.guests.insert((tenant, guest.id), home).is_none() {
            state.users.push(Row { tenant, user: None, value });
        }
        Ok(())
    }

    async fn guest_home(&mut self, user: UserId) -> Result<Option<TenantId>, StoreError> {
        let tenant = self.tenant();
        Ok(self.read(|s| s.teams.guests.get(&(tenant, user)).copied()))
    }

    /// The fake keeps no events of runs.
    async fn has_run(&mut self, _run: RunId) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn insert_invitation(&mut self, invitation: &Invitation) -> Result<(), StoreError> {
        let tenant = self.tenant();
        self.write().await?.teams.invitations.push(Row { tenant, user: None, value: invitation.clone() });
        Ok(())
    }

    async fn lock_invitation(&mut self, id: InvitationId) -> Result<Option<Invitation>, StoreError> {
        let (tenant, team) = (self.tenant(), self.scope.team());
        let invitations = &self.write().await?.teams.invitations;
        let is_visible = |row: &&Row<Invitation>| {
            row.tenant == tenant && row.value.id == id && team.is_none_or(|team| row.value.team == team)
        };
        Ok(invitations.iter().find(is_visible).map(|row| row.value.clone()))
    }

    async fn answer_invitation(
        &mut self,
        id: InvitationId,
        guest: UserId,
        status: InvitationStatus,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant();
        let is_open = |row: &&mut Row<Invitation>| {
            row.tenant == tenant
                && row.value.id == id
                && row.value.status == InvitationStatus::Pending
                && row.value.guest_id.is_none_or(|known| known == guest)
        };
        let Some(row) = self.write().await?.teams.invitations.iter_mut().find(is_open) else { return Ok(false) };
        (row.value.guest_id, row.value.status) = (Some(guest), status);
        Ok(true)
    }

    async fn void_invitations(&mut self, team: TeamId, guest: UserId) -> Result<u64, StoreError> {
        let tenant = self.tenant();
        let state = self.write().await?;
        let home = state.teams.guests.get(&(tenant, guest)).copied();
        let row = state.users.iter().find(|row| row.tenant == tenant && row.value.id == guest);
        let email = row.map(|row| row.value.email.clone()).filter(|email| !email.is_empty());
        let is_addressed = |invitation: &Invitation| {
            let to_address = email.as_ref().is_some_and(|email| invitation.email.eq_ignore_ascii_case(email));
            invitation
                .guest_id
                .map_or(home.is_some() && invitation.guest_tenant_id == home && to_address, |known| known == guest)
        };
        let is_open = |row: &&mut Row<Invitation>| {
            row.tenant == tenant
                && row.value.team == team
                && is_addressed(&row.value)
                && matches!(row.value.status, InvitationStatus::Pending | InvitationStatus::Accepted)
        };
        let open = state.teams.invitations.iter_mut().filter(is_open);
        Ok(open.map(|row| row.value.status = InvitationStatus::Voided).count() as u64)
    }

    async fn find_user_by_email(&mut self, email: &str) -> Result<Option<UserId>, StoreError> {
        let in_tenant = self.tenant_filter();
        Ok(self.read(|s| {
            let is_match = |row: &&Row<User>| {
                in_tenant(row)
                    && row.value.is_active
                    && row.value.email.eq_ignore_ascii_case(email)
                    && s.teams.shows_user(&self.scope, row.value.id)
            };
            let found: Vec<_> = s.users.iter().filter(is_match).map(|row| row.value.id).collect();
            match found[..] {
                [id] => Some(id),
                _ => None,
            }
        }))
    }

    async fn insert_received_invitation(&mut self, link: &ReceivedInvitation) -> Result<(), StoreError> {
        let tenant = self.tenant();
        self.write().await?.teams.links.push(Row { tenant, user: link.user, value: link.clone() });
        Ok(())
    }

    async fn claim_received_invitations(
        &mut self,
        user: UserId,
        email: &str,
    ) -> Result<Vec<ReceivedInvitation>, StoreError> {
        let tenant = self.tenant();
        let is_unique = self.find_user_by_email(email).await?.is_some();
        let links = &mut self.write().await?.teams.links;
        let is_unclaimed = |row: &&mut Row<ReceivedInvitation>| {
            row.tenant == tenant
                && row.value.user.is_none()
                && row.value.status == InvitationStatus::Pending
                && is_unique
                && !email.is_empty()
                && row.value.email.eq_ignore_ascii_case(email)
        };
        links.iter_mut().filter(is_unclaimed).for_each(|row| row.value.user = Some(user));
        let own = links.iter().filter(|row| row.tenant == tenant && row.value.user == Some(user));
        let mut own: Vec<_> = own.map(|row| row.value.clone()).collect();
        own.sort_by_key(|link| Reverse((link.created_at, link.invitation)));
        Ok(own)
    }

    async fn received_invitation(
        &mut self,
        id: InvitationId,
        user: UserId,
    ) -> Result<Option<ReceivedInvitation>, StoreError> {
        let tenant = self.tenant();
        Ok(self.read(|s| {
            let mut links = s.teams.links.iter().filter(|row| row.tenant == tenant && row.value.user == Some(user));
            links.find(|row| row.value.invitation == id).map(|row| row.value.clone())
        }))
    }

    async fn answer_received_invitation(
        &mut self,
        id: InvitationId,
        status: InvitationStatus,
    ) -> Result<bool, StoreError> {
        let tenant = self.tenant();
        let mut links = self.write().await?.teams.links.iter_mut();
        let is_pending = |row: &&mut Row<ReceivedInvitation>| {
            row.tenant == tenant && row.value.invitation == id && row.value.status == InvitationStatus::Pending
        };
        let known = links.find(is_pending);
        Ok(known.map(|row| row.value.status = status).is_some())
    }

    async fn void_received_invitations(&mut self, team: TeamId, user: UserId) -> Result<u64, StoreError> {
        let tenant = self.tenant();
        let state = self.write().await?;
        let row = state.users.iter().find(|row| row.tenant == tenant && row.value.id == user);
        let email = row.map(|row| row.value.email.clone()).filter(|email| !email.is_empty());
        let is_addressed = |link: &ReceivedInvitation| {
            let to_address = email.as_ref().is_some_and(|email| link.email.eq_ignore_ascii_case(email));
            link.user.map_or(to_address, |known| known == user)
        };
        let leads_there = |row: &&mut Row<ReceivedInvitation>| {
            row.tenant == tenant
                && row.value.space.team == team
                && is_addressed(&row.value)
                && matches!(row.value.status, InvitationStatus::Pending | InvitationStatus::Accepted)
        };
        let links = state.teams.links.iter_mut().filter(leads_there);
        Ok(links.map(|row| row.value.status = InvitationStatus::Voided).count() as u64)
    }
}
