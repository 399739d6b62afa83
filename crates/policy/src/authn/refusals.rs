//! Records refusals. Each one is logged. Per minute and [`RefusalKey`] (tenant, user, reason and address), the audit
//! log gets one row for the first refusal and one with the number of the others.

use super::refusal_counter::{CountedMinutes, RefusalCount, RefusalKey};
use super::token_error::{RefusedToken, TokenError};
use super::{Authenticator, system_scope, user_scope};
use crate::caller::RequestOrigin;
use crate::decision::{self, DecisionTrace};
use crate::error::GateError;
use domain::audit::{AuditedOperation, EventType, Outcome, ResultStatus};
use domain::decision::RefusalCode;
use domain::ids::{AuditId, RequestId, TenantId, UserId};
use domain::ports::{StoreError, TenantTx};
use domain::scope::TenantScope;
use domain::time::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// Interval between checks for counts to record.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

impl Authenticator {
    pub(super) async fn refuse_token(&self, token: RefusedToken, origin: &RequestOrigin) -> GateError {
        let RefusedToken { error, issuer, key_id, token_id } = token;
        tracing::warn!(
            request_id = %origin.request, reason = error.code(), issuer = issuer.as_deref(), key_id, token_id,
            "token refused"
        );
        let metadata = json!({ "reason": error.code(), "issuer": issuer });
        let key = RefusalKey { tenant: TenantId::PLATFORM, user: None, reason: error.code(), peer: origin.peer };
        self.count_refusal(key, metadata, origin).await;
        match error {
            TokenError::KeysUnavailable => GateError::KeysUnavailable,
            TokenError::Missing => GateError::TokenMissing,
            TokenError::AuthenticationTooOld { max_age_s } => GateError::StepUpRequired { max_age_s },
            other => GateError::Unauthenticated { reason: other.code() },
        }
    }

    pub(super) async fn refuse_caller(
        &self,
        tenant: TenantId,
        user: Option<UserId>,
        code: RefusalCode,
        origin: &RequestOrigin,
    ) -> GateError {
        let metadata = decision::audit_metadata(&DecisionTrace::refused_at_authentication(code));
        // Refusals of a known user are counted together, whatever address they come from.
        let key = RefusalKey { tenant, user, reason: code.as_str(), peer: user.map_or(origin.peer, |_| None) };
        let CountedRefusal { decision_id: decision, total } = self.count_refusal(key, metadata, origin).await;
        let decision_id = decision.map(tracing::field::display);
        tracing::warn!(
            request_id = %origin.request, tenant_id = %tenant, decision_id, reason = code.as_str(), "caller refused"
        );
        if code == RefusalCode::SessionRevoked {
            return GateError::Unauthenticated { reason: code.as_str() };
        }
        if user.is_some() && total > u64::from(self.refusals_per_minute) {
            return GateError::RefusedTooOften { retry_after: time_until_next_minute(self.clock.now()) };
        }
        GateError::CallerRefused { code, decision_id: decision }
    }

    /// Counts a refusal, and records it at once if it is the first with its key in this minute. The request is refused
    /// even if recording fails.
    async fn count_refusal(&self, key: RefusalKey, mut metadata: Value, origin: &RequestOrigin) -> CountedRefusal {
        let increment = self.refusals.add(key.clone(), self.clock.now());
        if !increment.is_first {
            return CountedRefusal { decision_id: increment.first_row_id, total: increment.total };
        }
        metadata["peer"] = json!(origin.peer);
        let scope = scope_for(&key, origin.request.clone());
        match self.record_refusals(&scope, metadata).await {
            Ok(id) => {
                self.refusals.mark_first_recorded(&increment, id);
                CountedRefusal { decision_id: Some(id), total: increment.total }
            }
            Err(error) => {
                tracing::error!(request_id = %origin.request, error = %error, "failed to record a refusal");
                CountedRefusal { decision_id: None, total: increment.total }
            }
        }
    }

    async fn record_refusals(&self, scope: &TenantScope, metadata: Value) -> Result<AuditId, StoreError> {
        let mut tx = self.store.begin(scope).await?;
        let id = self.record_event(&mut *tx, EventType::AUTH_DENIED, ResultStatus::Denied, metadata).await?;
        tx.commit().await.map(|()| id)
    }

    /// Writes the audit rows of refusals that were only counted, for the minutes that have ended. Counts that cannot be
    /// written are kept.
    pub async fn record_refusals_of_ended_minutes(&self) {
        self.record_counts(CountedMinutes::Ended).await;
    }

    /// Like [`Self::record_refusals_of_ended_minutes`], but includes the current minute. For shutdown.
    pub async fn record_all_refusals(&self) {
        self.record_counts(CountedMinutes::EndedAndCurrent).await;
    }

    async fn record_counts(&self, minutes: CountedMinutes) {
        for count in self.refusals.unrecorded_counts(self.clock.now(), minutes) {
            let RefusalCount { key, total, unrecorded, counted_by_reason_only, first_row_id: first, .. } = &count;
            let metadata = json!({
                "reason": key.reason, "peer": key.peer, "count": unrecorded, "total": total,
                "minute": count.started_at(), "first": first, "overflow": counted_by_reason_only,
            });
            let scope = scope_for(key, RequestId::from_uuid(self.ids.uuid()));
            match self.record_refusals(&scope, metadata).await {
                Ok(_) => self.refusals.mark_recorded(&count),
                Err(error) => {
                    tracing::error!(error = %error, "failed to record counted refusals");
                    return;
                }
            }
        }
    }

    /// Records counted refusals in the background. Never returns; drop the future to stop, then record the rest with
    /// [`Self::record_all_refusals`].
    pub async fn keep_recording_refusals(&self) {
        loop {
            tokio::time::sleep(FLUSH_INTERVAL).await;
            self.record_refusals_of_ended_minutes().await;
        }
    }

    pub(super) async fn record_event(
        &self,
        tx: &mut dyn TenantTx,
        event: EventType,
        status: ResultStatus,
        metadata: Value,
    ) -> Result<AuditId, StoreError> {
        let operation = AuditedOperation {
            event,
            resource: None,
            resource_id: None,
            conversation_id: None,
            request_hash: None,
            metadata,
        };
        let outcome = Outcome { operation, status, model: None, tools_used: Vec::new() };
        let id = AuditId::from_uuid(self.ids.uuid());
        tx.audit().record_event(id, &outcome, self.clock.now()).await.map(|()| id)
    }
}

/// A refusal that was counted.
struct CountedRefusal {
    /// Audit row of the first refusal with the same key in this minute.
    decision_id: Option<AuditId>,
    /// Number of refusals with the same key in this minute, up to this one.
    total: u64,
}

fn scope_for(key: &RefusalKey, request: RequestId) -> TenantScope {
    match key.user {
        Some(user) => user_scope(key.tenant, user, request),
        None => system_scope(key.tenant, request),
    }
}

fn time_until_next_minute(now: Timestamp) -> Duration {
    let seconds = 60 - now.timestamp().rem_euclid(60);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(60))
}
