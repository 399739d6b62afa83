//! Decides whether a command is allowed and records the decision in the same transaction.

use super::spaces::{SearchedTeam, SpacedDecision};
use crate::authn::Authenticator;
use crate::caller::Caller;
use crate::decision::{self, AuthzRequest};
use crate::error::GateError;
use crate::keyed_hash::HashKey;
use crate::matrix;
use domain::audit::{AuditedOperation, EventType, Outcome, ResultStatus};
use domain::authorized::{AuditReceipt, Authorized, DataSpace, GrantedAccess, Permit, TenantProfile};
use domain::command::{Command, Target, TransactionUse};
use domain::credential::Credential;
use domain::decision::{Decision, RefusalCode, Verdict};
use domain::ids::AuditId;
use domain::ports::{Clock, IdGen, Store};
use domain::rights::Permission;
use domain::scope::TenantScope;
use domain::space::current_membership;
use domain::transaction::SharedTransaction;
use serde_json::Value;
use std::sync::Arc;

pub(super) struct Decider {
    pub(super) authn: Arc<Authenticator>,
    pub(super) store: Arc<dyn Store>,
    /// Key for the hash of a request in its audit rows.
    pub(super) request_key: HashKey,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdGen>,
}

/// The attempted command, for the audit row of a refusal.
pub(super) struct Attempt {
    pub(super) audited_operation: AuditedOperation,
    pub(super) operation: &'static str,
}

impl Decider {
    /// Decides, records the intent, and returns the authorized command. A refusal is recorded instead of the intent.
    /// If the command shares the transaction, the intent is not committed yet.
    pub(super) async fn authorize<C: Command>(
        &self,
        caller: &Caller,
        command: C,
        audited_operation: &AuditedOperation,
    ) -> Result<Authorized<C>, GateError> {
        let mut authz_request = AuthzRequest::for_command(&command, caller.credential());
        let mut in_teams = Vec::new();
        if !command.searched_teams().is_empty() {
            in_teams = std::mem::take(&mut authz_request.referenced_documents);
        }
        let teams = self.searched_teams(caller, command.searched_teams(), &in_teams).await;
        let teams = teams.map_err(GateError::Store)?;
        let decided = self.decide_in_space(caller, command.team(), &authz_request).await.map_err(GateError::Store)?;
        let SpacedDecision { mut tx, scope, member, decision } = decided.unless_missing(teams.as_ref());
        let id = AuditId::from_uuid(self.ids.uuid());
        let (Decision { verdict: Verdict::Allowed, entitlements: Some(entitlements), .. }, Some(member)) =
            (&decision, member)
        else {
            let attempt = Attempt { audited_operation: audited_operation.clone(), operation: C::OPERATION.as_str() };
            let outcome = denied_outcome(attempt, &decision);
            tx.audit().record_event(id, &outcome, self.clock.now()).await.map_err(GateError::Audit)?;
            tx.commit().await.map_err(GateError::Audit)?;
            let reason = decision.verdict.reason().map(RefusalCode::as_str);
            let request_id = caller.scope().request();
            tracing::info!(%request_id, decision_id = %id, event = C::EVENT.as_str(), reason, "denied");
            return Err(to_error(decision.verdict, id));
        };
        let receipt =
            tx.audit().record_intent(id, audited_operation, self.clock.now()).await.map_err(GateError::Audit)?;
        let transaction = match C::TRANSACTION {
            TransactionUse::Shared => SharedTransaction::open(tx),
            TransactionUse::Own => {
                tx.commit().await.map_err(GateError::Audit)?;
                SharedTransaction::intent_committed()
            }
        };
        let granted_access = GrantedAccess {
            rights: matrix::rights(entitlements, caller.credential()),
            credential: Arc::clone(caller.credential_arc()),
            space: scope.team().map_or(DataSpace::OwnTenant, DataSpace::Team),
            tenant: Arc::new(TenantProfile { name: member.tenant_name, settings: member.settings }),
        };
        let permission = Permission::new(C::RESOURCE, C::OPERATION);
        let permit = mint_permit(&scope, permission, granted_access, receipt);
        let team_permits = teams.into_iter().flatten().map(|team| team_permit(team, caller, permission, receipt));
        Ok(mint_authorized(permit, command, transaction, team_permits.collect()))
    }

    /// Repeats the decision about a command that was authorized earlier. A refusal is recorded and logged.
    pub(super) async fn authorize_again<C: Command + Sync>(
        &self,
        scope: &TenantScope,
        credential: &Credential,
        command: &C,
    ) -> Result<(), GateError> {
        let authz_request = AuthzRequest::for_command(command, credential);
        let mut tx = self.store.begin(scope).await.map_err(GateError::Store)?;
        let member = current_membership(&*self.store, &mut *tx, scope).await.map_err(GateError::Store)?;
        let configured_grants = |user: &_| self.authn.configured_grants_of(user);
        let decision = decision::decide(&mut *tx, member.as_ref(), configured_grants, &authz_request)
            .await
            .map_err(GateError::Store)?;
        if decision.verdict == Verdict::Allowed {
            return Ok(());
        }
        let id = AuditId::from_uuid(self.ids.uuid());
        let attempt = Attempt { audited_operation: self.audited_operation(command), operation: C::OPERATION.as_str() };
        let outcome = denied_outcome(attempt, &decision);
        tx.audit().record_event(id, &outcome, self.clock.now()).await.map_err(GateError::Audit)?;
        tx.commit().await.map_err(GateError::Audit)?;
        let event = C::EVENT.as_str();
        tracing::info!(request_id = %scope.request(), decision_id = %id, event, "denied while in progress");
        Err(to_error(decision.verdict, id))
    }

    /// Describes the command for its audit rows. The content of the request is only included as a keyed hash.
    pub(super) fn audited_operation<C: Command>(&self, command: &C) -> AuditedOperation {
        let target = command.target();
        let content = serde_json::to_vec(command).unwrap_or_default();
        AuditedOperation {
            event: C::EVENT,
            resource: Some(C::RESOURCE),
            resource_id: target.map(Target::id),
            conversation_id: match target {
                Some(Target::Conversation(id)) => Some(id),
                _ => None,
            },
            request_hash: Some(self.request_key.hash(&content)),
            metadata: command.intent_metadata().unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        }
    }
}

/// Audit row of a refusal: the attempted command and the evaluated rules.
fn denied_outcome(attempt: Attempt, decision: &Decision) -> Outcome {
    let Attempt { mut audited_operation, operation } = attempt;
    audited_operation.metadata = decision::audit_metadata(decision);
    audited_operation.metadata["attempted"] = audited_operation.event.as_str().into();
    audited_operation.metadata["operation"] = operation.into();
    audited_operation.event = EventType::POLICY_DENIED;
    Outcome { operation: audited_operation, status: ResultStatus::Denied, model: None, tools_used: Vec::new() }
}

/// The error that the caller sees. A not-found error has no decision id, so that absent resources and those of other
/// users cannot be told apart.
fn to_error(verdict: Verdict, id: AuditId) -> GateError {
    match verdict {
        // The client must sign in again, as with any token that is no longer valid.
        Verdict::CallerRefused { code: code @ RefusalCode::SessionRevoked } => {
            GateError::Unauthenticated { reason: code.as_str() }
        }
        Verdict::CallerRefused { code } => GateError::CallerRefused { code, decision_id: Some(id) },
        Verdict::OperationDenied { reason } => GateError::OperationDenied { reason, decision_id: Some(id) },
        Verdict::NotFound => GateError::NotFound,
        // Allowed without entitlements; `decide` never returns this.
        Verdict::Allowed => {
            GateError::OperationDenied { reason: RefusalCode::InsufficientRights, decision_id: Some(id) }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "only minted here, after the decision and the insertion of its intent row"
)]
fn mint_permit(
    scope: &TenantScope,
    permission: Permission,
    granted_access: GrantedAccess,
    receipt: AuditReceipt,
) -> Permit {
    Permit::mint(scope.clone(), permission, granted_access, receipt)
}

#[expect(
    clippy::disallowed_methods,
    reason = "only minted here, after the decision and the insertion of its intent row"
)]
fn mint_authorized<C: Command>(
    permit: Permit,
    command: C,
    transaction: SharedTransaction,
    team_permits: Vec<Permit>,
) -> Authorized<C> {
    Authorized::mint(permit, command, transaction).with_team_permits(team_permits)
}

/// The permit for a team that the command searches.
fn team_permit(team: SearchedTeam, caller: &Caller, permission: Permission, receipt: AuditReceipt) -> Permit {
    let SearchedTeam { scope, membership } = team;
    let access = GrantedAccess {
        rights: matrix::rights(&membership.entitlements(&[]), caller.credential()),
        credential: Arc::clone(caller.credential_arc()),
        space: scope.team().map_or(DataSpace::OwnTenant, DataSpace::Team),
        tenant: Arc::new(TenantProfile { name: membership.tenant_name, settings: membership.settings }),
    };
    mint_permit(&scope, permission, access, receipt)
}
