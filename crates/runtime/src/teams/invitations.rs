//! Invitations of users of other tenants.
//!
//! An invitation is a row in the hosting tenant and one in the guest's, each written in a transaction of that tenant
//! and recorded in its log. No row and no function crosses over: the guest's tenant gets its row as the platform's own
//! work. The guest's row comes first. One without its counterpart, because the second transaction failed, cannot be
//! accepted.

use super::{NOT_FOUND, TeamService, acting_user, page_of, require_owner};
use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::audit::{AuditedOperation, EventType, Outcome, ResultStatus};
use domain::authorized::{Authorized, Permit};
use domain::command::{AcceptInvitation, DeclineInvitation, InviteToTeam, ListInvitations};
use domain::decision::RefusalCode;
use domain::ids::{AuditId, InvitationId, TeamId, TenantId, UserId};
use domain::page::{Page, PageKey};
use domain::ports::{StoreError, TenantTx};
use domain::role::Resource;
use domain::scope::TenantScope;
use domain::space::enter_guest;
use domain::team::{
    INVITATION_DAYS, Invitation, InvitationStatus, InvitationView, MAX_TEAMS_PER_USER, ReceivedInvitation, TeamRole,
    TeamSpace,
};
use domain::text::{ClaimText, ShortText};
use domain::upload::FieldError;
use domain::user::User;
use serde_json::{Value, json};
use tools::error::ToolError;

const NO_INVITATION: RuntimeError = RuntimeError::NotFound { target: "the invitation" };
const ANSWERED: RuntimeError = RuntimeError::Conflict { detail: "The invitation was answered or withdrawn already." };

/// The scope in which the platform delivers something to another tenant.
#[expect(
    clippy::disallowed_methods,
    reason = "the platform delivers invitations; no user reads anything in this scope"
)]
pub(super) fn delivery_scope(scope: &TenantScope, tenant: TenantId) -> TenantScope {
    scope.in_other_tenant(tenant)
}

fn denied() -> RuntimeError {
    ToolError::Denied { reason: RefusalCode::InsufficientRights }.into()
}

impl TeamService {
    /// Records what the platform did in a tenant for a request of another one.
    pub(super) async fn record_delivery(
        &self,
        tx: &mut dyn TenantTx,
        event: EventType,
        team: TeamId,
        metadata: Value,
    ) -> Result<(), StoreError> {
        let operation = AuditedOperation {
            event,
            resource: Some(Resource::Teams),
            resource_id: Some(team.as_uuid()),
            conversation_id: None,
            request_hash: None,
            metadata,
        };
        let outcome = Outcome { operation, status: ResultStatus::Success, model: None, tools_used: Vec::new() };
        tx.audit().record_event(AuditId::from_uuid(self.ids.uuid()), &outcome, self.clock.now()).await
    }

    /// Stores the invitation in the guest's tenant, if that lets its users join others' teams. Returns whether it did,
    /// and the user with the address. An unknown tenant costs as many statements as one that is not willing.
    async fn deliver(
        &self,
        scope: &TenantScope,
        tenant: Option<TenantId>,
        link: ReceivedInvitation,
    ) -> Result<Option<Option<UserId>>, StoreError> {
        let nobody = TenantId::PLATFORM;
        let mut tx = self.store.begin(&delivery_scope(scope, tenant.unwrap_or(nobody))).await?;
        let settings = tx.users().tenant_settings().await?;
        let user = tx.teams().find_user_by_email(&link.email).await?;
        if tenant.is_none() || !settings.teams.join_others {
            return Ok(None);
        }
        let team = link.space.team;
        let details = json!({ "invitation": link.invitation, "host_tenant": link.space.host, "user": user });
        tx.teams().insert_received_invitation(&ReceivedInvitation { user, ..link }).await?;
        self.record_delivery(&mut *tx, EventType::TEAM_INVITATION_DELIVERED, team, details).await?;
        tx.commit().await?;
        Ok(Some(user))
    }

    fn new_received_invitation(
        &self,
        id: InvitationId,
        space: TeamSpace,
        team_name: String,
        email: String,
    ) -> ReceivedInvitation {
        let now = self.clock.now();
        ReceivedInvitation {
            invitation: id,
            user: None,
            email,
            space,
            team_name,
            status: InvitationStatus::Pending,
            created_at: now,
            expires_at: now + TimeDelta::days(INVITATION_DAYS),
        }
    }
}

#[async_trait]
impl UseCase<InviteToTeam> for TeamService {
    async fn execute(&self, command: Authorized<InviteToTeam>) -> Result<InvitationView, RuntimeError> {
        require_owner(command.permit())?;
        let invited_by = acting_user(command.permit())?;
        let scope = command.scope().clone();
        let mut tx = command.begin(&*self.store).await?;
        let (permit, InviteToTeam { team, tenant, email }) = command.into_parts();
        let team_row = tx.teams().get(team).await?.ok_or(NOT_FOUND)?;
        drop(tx);
        if !permit.tenant().settings.teams.host_guests {
            return Err(denied());
        }
        let (slug, email) = (ShortText::into_string(tenant), ClaimText::into_string(email));
        let found = self.directory.tenant(&slug).await?.filter(|found| found.is_active && found.slug == slug);
        let guest_tenant = found.map(|tenant| tenant.id);
        if guest_tenant == Some(scope.tenant()) {
            let detail = "is the tenant of the team itself; add its users as members".to_owned();
            return Err(FieldError { pointer: "/tenant".to_owned(), detail }.into());
        }
        let id = InvitationId::from_uuid(self.ids.uuid());
        let space = TeamSpace { team, host: scope.tenant() };
        let link = self.new_received_invitation(id, space, team_row.name, email);
        let delivered = self.deliver(&scope, guest_tenant, link.clone()).await?;
        let invitation = Invitation {
            id,
            team,
            invited_by,
            guest_tenant: slug,
            email: link.email.clone(),
            guest_tenant_id: guest_tenant.filter(|_| delivered.is_some()),
            guest_id: delivered.flatten(),
            status: InvitationStatus::Pending,
            created_at: link.created_at,
            expires_at: link.expires_at,
        };
        let mut tx = self.store.begin(&scope).await?;
        tx.teams().insert_invitation(&invitation).await?;
        tx.commit().await?;
        Ok(link.into())
    }
}

#[async_trait]
impl UseCase<ListInvitations> for TeamService {
    async fn execute(&self, command: Authorized<ListInvitations>) -> Result<Page<InvitationView>, RuntimeError> {
        let user = acting_user(command.permit())?;
        let mut tx = command.begin(&*self.store).await?;
        let links = if command.permit().tenant().settings.teams.join_others {
            let user = tx.users().get(user).await?.ok_or(NOT_FOUND)?;
            tx.teams().claim_received_invitations(user.id, &user.email).await?
        } else {
            Vec::new()
        };
        tx.defer_commit();
        let now = self.clock.now();
        let is_listed = |link: &ReceivedInvitation| link.status != InvitationStatus::Pending || link.is_open(now);
        let views = links.into_iter().filter(is_listed).map(InvitationView::from).collect();
        let key = |view: &InvitationView| PageKey { created_at: view.created_at, id: view.id.as_uuid() };
        Ok(page_of(views, &command.command().page, key))
    }
}

/// An invitation that its guest may answer, with the guest.
struct OpenInvitation {
    link: ReceivedInvitation,
    guest: User,
}

impl TeamService {
    /// Finds an open invitation of the permit's user in the user's own tenant.
    async fn open_invitation(
        &self,
        tx: &mut dyn TenantTx,
        permit: &Permit,
        id: InvitationId,
    ) -> Result<OpenInvitation, RuntimeError> {
        if !permit.tenant().settings.teams.join_others {
            return Err(NO_INVITATION);
        }
        let guest = tx.users().get(acting_user(permit)?).await?.ok_or(NO_INVITATION)?;
        tx.teams().claim_received_invitations(guest.id, &guest.email).await?;
        let link = tx.teams().received_invitation(id, guest.id).await?.ok_or(NO_INVITATION)?;
        if link.status == InvitationStatus::Pending && !link.is_open(self.clock.now()) {
            return Err(NO_INVITATION);
        }
        if link.status != InvitationStatus::Pending {
            return Err(ANSWERED);
        }
        Ok(OpenInvitation { link, guest })
    }

    /// Answers in the hosting tenant: the guest becomes a member, or does not.
    async fn answer_at_host(
        &self,
        scope: &TenantScope,
        invitation: &OpenInvitation,
        status: InvitationStatus,
    ) -> Result<(), RuntimeError> {
        let OpenInvitation { link, guest } = invitation;
        let (id, team) = (link.invitation, link.space.team);
        let mut tx = enter_guest(&*self.store, scope, link.space).await?;
        let stored = tx.teams().lock_invitation(id).await?.ok_or(NO_INVITATION)?;
        let is_addressee = stored.guest_tenant_id == Some(scope.tenant())
            && stored.team == team
            && stored.guest_id.is_none_or(|known| known == guest.id);
        let is_open =
            stored.status == InvitationStatus::Pending || stored.status == status && stored.guest_id == Some(guest.id);
        if !is_addressee || !is_open {
            return Err(NO_INVITATION);
        }
        if stored.status == status {
            // Answered before, but the guest's tenant did not get to know.
            return Ok(());
        }
        if status == InvitationStatus::Accepted {
            let is_hosted = tx.users().tenant_settings().await?.teams.host_guests;
            let team_row = tx.teams().get(team).await?.filter(|team| team.deleted_at.is_none() && is_hosted);
            team_row.ok_or(NO_INVITATION)?;
            tx.teams().insert_guest(guest, scope.tenant()).await?;
            tx.teams().put_member(team, guest.id, TeamRole::Member, self.clock.now()).await?;
        }
        tx.teams().answer_invitation(id, guest.id, status).await?;
        let details = json!({
            "invitation": id, "guest": guest.id, "guest_tenant": scope.tenant(), "status": status,
        });
        self.record_delivery(&mut *tx, EventType::TEAM_INVITATION_ANSWERED, team, details).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn answer(
        &self,
        scope: &TenantScope,
        invitation: OpenInvitation,
        status: InvitationStatus,
    ) -> Result<InvitationView, RuntimeError> {
        self.answer_at_host(scope, &invitation, status).await?;
        let mut tx = self.store.begin(scope).await?;
        if !tx.teams().answer_received_invitation(invitation.link.invitation, status).await? {
            return Err(ANSWERED);
        }
        tx.commit().await?;
        Ok(ReceivedInvitation { status, ..invitation.link }.into())
    }
}

#[async_trait]
impl UseCase<AcceptInvitation> for TeamService {
    async fn execute(&self, command: Authorized<AcceptInvitation>) -> Result<InvitationView, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let invitation = self.open_invitation(&mut *tx, command.permit(), command.command().id).await?;
        if tx.teams().spaces(invitation.guest.id).await?.len() >= MAX_TEAMS_PER_USER {
            return Err(RuntimeError::Conflict { detail: "You belong to 50 teams already; leave one first." });
        }
        tx.commit().await?;
        self.answer(command.scope(), invitation, InvitationStatus::Accepted).await
    }
}

#[async_trait]
impl UseCase<DeclineInvitation> for TeamService {
    async fn execute(&self, command: Authorized<DeclineInvitation>) -> Result<InvitationView, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let invitation = self.open_invitation(&mut *tx, command.permit(), command.command().id).await?;
        tx.commit().await?;
        self.answer(command.scope(), invitation, InvitationStatus::Declined).await
    }
}
