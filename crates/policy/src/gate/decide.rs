//! The decision about a command, in one transaction with the row that records it.

use super::PolicyGate;
use crate::caller::Caller;
use crate::decision::{self, Question};
use crate::error::GateError;
use crate::matrix;
use domain::audit::{AuditSubject, EventType, Outcome, ResultStatus};
use domain::authorized::{AccessGrant, AuditReceipt, Authorized, Permit, Space};
use domain::command::{Command, Target};
use domain::decision::{Decision, RefusalCode, Verdict};
use domain::ids::AuditId;
use domain::ports::{StoreError, TenantTx};
use domain::rights::Permission;
use domain::user::{Entitlements, User};
use serde_json::Value;
use std::sync::Arc;

impl PolicyGate {
    /// Decides, records, and binds the command to both. Where the answer is no, that is recorded instead.
    pub(super) async fn admit<C: Command>(&self, by: &Caller, command: C) -> Result<Authorized<C>, GateError> {
        let mut tx = self.store.begin(by.scope()).await.map_err(GateError::Store)?;
        let question = Question::of(&command, by.credential());
        let decision = self.decide(&mut *tx, by, &question).await.map_err(GateError::Store)?;
        let id = AuditId::from_uuid(self.ids.uuid());
        let Decision { verdict: Verdict::Allowed, entitlements: Some(entitlements), .. } = decision else {
            let refusal = self.refusal(&command, &decision);
            tx.audit().event(id, &refusal, self.clock.now()).await.map_err(GateError::Audit)?;
            tx.commit().await.map_err(GateError::Audit)?;
            let reason = decision.verdict.reason().map(RefusalCode::as_str);
            tracing::info!(
                request_id = %by.scope().request(), decision_id = %id, event = C::EVENT.as_str(), reason, "denied"
            );
            return Err(told(decision.verdict, id));
        };
        let subject = self.subject(&command);
        let receipt = tx.audit().intent(id, &subject, self.clock.now()).await.map_err(GateError::Audit)?;
        tx.commit().await.map_err(GateError::Audit)?;
        Ok(authorized(by, &entitlements, receipt, command))
    }

    /// What the one deciding function says for a caller.
    pub(super) async fn decide(
        &self,
        tx: &mut dyn TenantTx,
        by: &Caller,
        question: &Question<'_>,
    ) -> Result<Decision, StoreError> {
        decision::decide(tx, by.user().id, |user| self.grants_of(user), question).await
    }

    /// The grants that the configuration gives a user.
    pub(super) fn grants_of(&self, user: &User) -> Vec<domain::role::Grant> {
        self.authn.configured_grants(&user.issuer, &user.external_id)
    }

    /// The row of a refusal: what was attempted, and the grounds.
    pub(super) fn refusal<C: Command>(&self, command: &C, decision: &Decision) -> Outcome {
        let mut subject = self.subject(command);
        subject.metadata = decision::recorded(decision);
        subject.metadata["attempted"] = C::EVENT.as_str().into();
        subject.metadata["operation"] = C::OPERATION.as_str().into();
        subject.event = EventType::PolicyDenied;
        Outcome { subject, status: ResultStatus::Denied, model: None, tools_used: Vec::new() }
    }

    /// What the rows of this command say. The request's content goes in as a keyed hash only.
    pub(super) fn subject<C: Command>(&self, command: &C) -> AuditSubject {
        let target = command.target();
        let content = serde_json::to_vec(command).unwrap_or_default();
        AuditSubject {
            event: C::EVENT,
            resource: Some(C::RESOURCE),
            resource_id: target.map(Target::id),
            session: match target {
                Some(Target::Conversation(id)) => Some(id),
                _ => None,
            },
            request_hash: Some(self.request_key.hash(&content)),
            metadata: command.facts().unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        }
    }
}

/// A refusal as the caller learns it. What is not there has no decision to ask about: foreign and absent are told alike.
pub(super) fn told(verdict: Verdict, id: AuditId) -> GateError {
    match verdict {
        Verdict::Refused { code } => GateError::Refused { code, decision: Some(id) },
        Verdict::Denied { reason } => GateError::Denied { reason, decision: Some(id) },
        Verdict::NotFound => GateError::NotFound,
        // A yes without a standing: there is none.
        Verdict::Allowed => GateError::Denied { reason: RefusalCode::Matrix, decision: Some(id) },
    }
}

#[expect(clippy::disallowed_methods, reason = "the one site: the decision was made and its intent row committed")]
fn authorized<C: Command>(
    by: &Caller,
    entitlements: &Entitlements,
    receipt: AuditReceipt,
    command: C,
) -> Authorized<C> {
    let granted = AccessGrant {
        rights: matrix::rights(entitlements, by.credential()),
        credential: Arc::clone(by.shared_credential()),
        space: Space::Home,
    };
    let permission = Permission::new(C::RESOURCE, C::OPERATION);
    Authorized::mint(Permit::mint(by.scope().clone(), permission, granted, receipt), command)
}
