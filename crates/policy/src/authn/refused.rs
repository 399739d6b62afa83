//! Refusals: in the log and the audit log with their reason, to the caller without it.

use super::reason::{Reason, Refusal};
use super::{Authenticator, system_scope, user_scope};
use crate::decision::{self, Trace};
use crate::error::GateError;
use domain::audit::{AuditSubject, EventType, Outcome, ResultStatus};
use domain::decision::RefusalCode;
use domain::ids::{AuditId, RequestId, TenantId, UserId};
use domain::ports::{StoreError, TenantTx};
use serde_json::json;

impl Authenticator {
    pub(super) async fn refuse_token(&self, refusal: Refusal, request: &RequestId) -> GateError {
        let Refusal { reason, issuer, key_id, token_id } = refusal;
        tracing::warn!(
            request_id = %request, reason = reason.code(), issuer = issuer.as_deref(), key_id, token_id, "token refused"
        );
        let metadata = json!({ "reason": reason.code(), "issuer": issuer });
        self.record_refusal(TenantId::PLATFORM, None, metadata, request).await;
        match reason {
            Reason::NoKeys => GateError::KeysUnavailable,
            Reason::Missing => GateError::TokenMissing,
            Reason::TooLongAgo { max_age_s } => GateError::StepUp { max_age_s },
            other => GateError::Unauthenticated { reason: other.code() },
        }
    }

    pub(super) async fn refuse(
        &self,
        tenant: TenantId,
        user: Option<UserId>,
        code: RefusalCode,
        request: &RequestId,
    ) -> GateError {
        let grounds = decision::recorded(&Trace::refused_at_the_door(code));
        let decision = self.record_refusal(tenant, user, grounds, request).await;
        let decision_id = decision.map(tracing::field::display);
        tracing::warn!(request_id = %request, tenant_id = %tenant, decision_id, reason = code.as_str(), "caller refused");
        GateError::Refused { code, decision }
    }

    /// A refusal stands whether or not it can be recorded: nothing runs either way. Returns the row's id.
    async fn record_refusal(
        &self,
        tenant: TenantId,
        user: Option<UserId>,
        metadata: serde_json::Value,
        request: &RequestId,
    ) -> Option<AuditId> {
        let scope = match user {
            Some(user) => user_scope(tenant, user, request.clone()),
            None => system_scope(tenant, request.clone()),
        };
        let recorded = async {
            let mut tx = self.store.begin(&scope).await?;
            let id = self.event(&mut *tx, EventType::AuthDenied, ResultStatus::Denied, metadata).await?;
            tx.commit().await.map(|()| id)
        };
        match recorded.await {
            Ok(id) => Some(id),
            Err(error) => {
                tracing::error!(request_id = %request, error = %error, "a refusal could not be recorded");
                None
            }
        }
    }

    pub(super) async fn event(
        &self,
        tx: &mut dyn TenantTx,
        event: EventType,
        status: ResultStatus,
        metadata: serde_json::Value,
    ) -> Result<AuditId, StoreError> {
        let subject =
            AuditSubject { event, resource: None, resource_id: None, session: None, request_hash: None, metadata };
        let outcome = Outcome { subject, status, model: None, tools_used: Vec::new() };
        let id = AuditId::from_uuid(self.ids.uuid());
        tx.audit().event(id, &outcome, self.clock.now()).await.map(|()| id)
    }
}
