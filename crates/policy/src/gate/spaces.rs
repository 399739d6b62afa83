//! Finds the space in which a command works, and decides there. A command names a team, or its target is looked for:
//! first in the home space, then in the caller's teams, each in a transaction of its own.

use super::decider::Decider;
use crate::caller::Caller;
use crate::decision::{self, AuthzRequest, DecisionTrace};
use crate::ownership;
use domain::audit::{AuditedOperation, EventType, Outcome, ResultStatus};
use domain::command::Target;
use domain::decision::{Decision, Verdict};
use domain::ids::{AuditId, DocumentId, TeamId};
use domain::ports::{StoreError, TenantTx};
use domain::scope::TenantScope;
use domain::space::{EnteredSpace, enter_team};
use domain::team::TeamSpace;
use domain::user::Membership;
use serde_json::json;
use std::time::Duration;

/// How often the spaces are searched for a run. One that has just started in another process is stored within
/// milliseconds.
const RUN_LOOKUPS: u32 = 4;
/// Interval between two of these attempts.
const RUN_LOOKUP_INTERVAL: Duration = Duration::from_millis(100);

/// A decision, with the transaction and the space in which it was made.
pub(super) struct SpacedDecision {
    pub(super) tx: Box<dyn TenantTx>,
    pub(super) scope: TenantScope,
    pub(super) member: Option<Membership>,
    pub(super) decision: Decision,
}

/// A team that a command searches beside its own space.
pub(super) struct SearchedTeam {
    pub(super) scope: TenantScope,
    pub(super) membership: Membership,
}

impl SpacedDecision {
    /// Refuses what would be allowed if the caller is no member of one of the searched teams (`None`).
    pub(super) fn unless_missing(self, teams: Option<&Vec<SearchedTeam>>) -> Self {
        match (teams, self.decision.verdict) {
            (None, Verdict::Allowed) => {
                Self { decision: DecisionTrace::refused_at_team(self.decision.entitlements), ..self }
            }
            _ => self,
        }
    }
}

impl Decider {
    /// Enters each of the teams that a command searches, one after the other; `None` if the caller is not a member of
    /// all of them, or may see one of the `documents` in none of them.
    pub(super) async fn searched_teams(
        &self,
        caller: &Caller,
        teams: &[TeamId],
        documents: &[DocumentId],
    ) -> Result<Option<Vec<SearchedTeam>>, StoreError> {
        if teams.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut tx = self.store.begin(caller.scope()).await?;
        let Some(member) = tx.users().membership(caller.user().id).await? else { return Ok(None) };
        let spaces = tx.teams().spaces(member.user.id).await?;
        drop(tx);
        let mut searched = Vec::with_capacity(teams.len());
        let mut missing = documents.to_vec();
        for team in teams {
            let Some(space) = spaces.iter().find(|space| space.team == *team) else { return Ok(None) };
            let Some(entered) = self.enter(caller, &member, *space).await? else { return Ok(None) };
            let EnteredSpace { mut tx, scope, membership } = entered;
            let clearance = membership.entitlements(&[]).clearance;
            let mut still_missing = Vec::new();
            for document in missing {
                if tx.documents().get(document, clearance).await?.is_none() {
                    still_missing.push(document);
                }
            }
            missing = still_missing;
            searched.push(SearchedTeam { scope, membership });
        }
        Ok(missing.is_empty().then_some(searched))
    }

    /// Decides in the space of the team that the command names or, without one, in the space of its target. What is in
    /// no space of the caller is decided in the home space.
    ///
    /// No two transactions are open at the same time, except for guests.
    pub(super) async fn decide_in_space(
        &self,
        caller: &Caller,
        team: Option<TeamId>,
        authz_request: &AuthzRequest<'_>,
    ) -> Result<SpacedDecision, StoreError> {
        let mut at_home = self.decide_at_home(caller, authz_request).await?;
        let Some(member) = at_home.member.clone().filter(|member| member.refusal().is_none()) else {
            return Ok(at_home);
        };
        if let Some(team) = team {
            let spaces = at_home.tx.teams().spaces(member.user.id).await?;
            drop(at_home.tx);
            if let Some(space) = spaces.into_iter().find(|space| space.team == team)
                && let Some(entered) = self.enter(caller, &member, space).await?
            {
                return self.decide_entered(caller, entered, authz_request).await;
            }
            let decision = DecisionTrace::refused_at_team(at_home.decision.entitlements);
            let tx = self.store.begin(caller.scope()).await?;
            return Ok(SpacedDecision { tx, decision, ..at_home });
        }
        let Some(target) = authz_request.target.filter(|target| target.may_be_in_team()) else { return Ok(at_home) };
        let is_unclear = match target {
            Target::Run(_) => at_home.decision.verdict == Verdict::Allowed,
            _ => at_home.decision.verdict == Verdict::NotFound,
        };
        if !is_unclear {
            return Ok(at_home);
        }
        let spaces = at_home.tx.teams().spaces(member.user.id).await?;
        if spaces.is_empty() || ownership::is_in_space(&mut *at_home.tx, target).await? {
            return Ok(at_home);
        }
        drop(at_home.tx);
        if let Some(entered) = self.find_in_teams(caller, &member, &spaces, target).await? {
            return self.decide_entered(caller, entered, authz_request).await;
        }
        Ok(SpacedDecision { tx: self.store.begin(caller.scope()).await?, ..at_home })
    }

    async fn decide_at_home(
        &self,
        caller: &Caller,
        authz_request: &AuthzRequest<'_>,
    ) -> Result<SpacedDecision, StoreError> {
        let mut tx = self.store.begin(caller.scope()).await?;
        let member = tx.users().membership(caller.user().id).await?;
        let configured_grants = |user: &_| self.authn.configured_grants_of(user);
        let decision = decision::decide(&mut *tx, member.as_ref(), configured_grants, authz_request).await?;
        Ok(SpacedDecision { tx, scope: caller.scope().clone(), member, decision })
    }

    /// Enters the space of a team; `None` if the user is no member, or is suspended.
    async fn enter(
        &self,
        caller: &Caller,
        member: &Membership,
        space: TeamSpace,
    ) -> Result<Option<EnteredSpace>, StoreError> {
        let entered = enter_team(&*self.store, caller.scope(), member, space).await?;
        Ok(entered.filter(|entered| entered.membership.refusal().is_none()))
    }

    /// Looks for the target in the caller's teams.
    async fn find_in_teams(
        &self,
        caller: &Caller,
        member: &Membership,
        spaces: &[TeamSpace],
        target: Target,
    ) -> Result<Option<EnteredSpace>, StoreError> {
        let lookups = if matches!(target, Target::Run(_)) { RUN_LOOKUPS } else { 1 };
        for lookup in 0..lookups {
            if lookup > 0 {
                tokio::time::sleep(RUN_LOOKUP_INTERVAL).await;
            }
            for space in spaces {
                let Some(mut entered) = self.enter(caller, member, *space).await? else { continue };
                if ownership::is_in_space(&mut *entered.tx, target).await? {
                    return Ok(Some(entered));
                }
            }
        }
        Ok(None)
    }

    async fn decide_entered(
        &self,
        caller: &Caller,
        entered: EnteredSpace,
        authz_request: &AuthzRequest<'_>,
    ) -> Result<SpacedDecision, StoreError> {
        let EnteredSpace { mut tx, scope, membership } = entered;
        let no_grants = |_: &_| Vec::new();
        let decision = decision::decide(&mut *tx, Some(&membership), no_grants, authz_request).await?;
        if decision.verdict == Verdict::Allowed && scope.guest_of().is_some() {
            self.record_guest_access(caller, &scope, authz_request).await?;
        }
        Ok(SpacedDecision { tx, scope, member: Some(membership), decision })
    }

    /// Records in the guest's own tenant what the guest is about to do in another tenant's team. The intent and the
    /// outcome are in the log of that tenant.
    async fn record_guest_access(
        &self,
        caller: &Caller,
        scope: &TenantScope,
        authz_request: &AuthzRequest<'_>,
    ) -> Result<(), StoreError> {
        let AuthzRequest { resource, operation, target, .. } = authz_request;
        let outcome = Outcome {
            operation: AuditedOperation {
                event: EventType::TEAM_GUEST_ACCESS,
                resource: Some(*resource),
                resource_id: target.map(Target::id),
                conversation_id: None,
                request_hash: None,
                metadata: json!({
                    "operation": operation.as_str(),
                    "team": scope.team(),
                    "host_tenant": scope.tenant(),
                }),
            },
            status: ResultStatus::Success,
            model: None,
            tools_used: Vec::new(),
        };
        let mut tx = self.store.begin(caller.scope()).await?;
        tx.audit().record_event(AuditId::from_uuid(self.ids.uuid()), &outcome, self.clock.now()).await?;
        tx.commit().await
    }
}
