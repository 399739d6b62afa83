//! The decision, in one transaction: user and tenant on, matrix, ownership, clearance, and the row that records it.

use super::PolicyGate;
use crate::caller::Caller;
use crate::error::GateError;
use crate::matrix;
use crate::ownership::{self, Finding};
use domain::audit::{AuditSubject, EventType, Outcome, ResultStatus};
use domain::authorized::Authorized;
use domain::command::{Command, Target};
use domain::ids::AuditId;
use domain::ports::{StoreError, TenantTx};
use domain::user::Standing;
use serde_json::{Value, json};

/// Why the answer is no, as recorded and as answered.
enum Verdict {
    Yes(Standing),
    No { reason: &'static str, error: GateError },
}

impl PolicyGate {
    /// Decides, records, and binds the command to both. Where the answer is no, that is recorded instead.
    pub(super) async fn admit<C: Command>(&self, by: &Caller, command: C) -> Result<Authorized<C>, GateError> {
        let mut tx = self.store.begin(by.scope()).await.map_err(GateError::Store)?;
        match self.verdict(&mut *tx, by, &command).await.map_err(GateError::Store)? {
            Verdict::Yes(standing) => {
                let subject = self.subject(&command);
                let id = AuditId::from_uuid(self.ids.uuid());
                let receipt = tx.audit().intent(id, &subject, self.clock.now()).await.map_err(GateError::Audit)?;
                tx.commit().await.map_err(GateError::Audit)?;
                Ok(authorized(by, standing, receipt, command))
            }
            Verdict::No { reason, error } => {
                let mut subject = self.subject(&command);
                subject.metadata = json!({ "reason": reason, "attempted": C::EVENT.as_str() });
                subject.event = EventType::PolicyDenied;
                let id = AuditId::from_uuid(self.ids.uuid());
                let outcome = Outcome { subject, status: ResultStatus::Denied, model: None, tools_used: Vec::new() };
                tx.audit().event(id, &outcome, self.clock.now()).await.map_err(GateError::Audit)?;
                tx.commit().await.map_err(GateError::Audit)?;
                tracing::info!(request_id = %by.scope().request(), event = C::EVENT.as_str(), reason, "denied");
                Err(error)
            }
        }
    }

    async fn verdict<C: Command>(
        &self,
        tx: &mut dyn TenantTx,
        by: &Caller,
        command: &C,
    ) -> Result<Verdict, StoreError> {
        let refused = |code: &'static str| Ok(Verdict::No { reason: code, error: GateError::Refused { code } });
        let denied = |reason: &'static str| Ok(Verdict::No { reason, error: GateError::Denied { reason } });
        let unknown = || Ok(Verdict::No { reason: "not_found", error: GateError::NotFound });

        let Some(member) = tx.users().membership(by.user().id).await? else {
            return refused("user_disabled");
        };
        if !member.tenant_active {
            return refused("tenant_suspended");
        }
        if !member.user.is_active {
            return refused("user_disabled");
        }
        let standing = member.standing(&self.authn.configured_grants(&member.user.issuer, &member.user.external_id));
        let Some(reach) = matrix::allowed(&standing, C::RESOURCE, C::OPERATION) else {
            return denied("matrix");
        };
        if let Some(target) = command.target() {
            match ownership::look_up(tx, target, by.user().id, &standing, (C::OPERATION, reach)).await? {
                Finding::Fine => {}
                Finding::Unknown => return unknown(),
                Finding::NotOwner => return denied("not_owner"),
            }
        }
        if !ownership::all_visible(tx, command.documents(), &standing).await? {
            return unknown();
        }
        Ok(Verdict::Yes(standing))
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
            metadata: Value::Object(serde_json::Map::new()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one site: the decision was made and its intent row committed")]
fn authorized<C>(
    by: &Caller,
    standing: Standing,
    receipt: domain::authorized::AuditReceipt,
    command: C,
) -> Authorized<C> {
    Authorized::mint(by.scope().clone(), standing, receipt, command)
}
