//! Refusals: in the log and, counted by the minute, in the audit log with their reason; to the caller without it.

use super::reason::{Reason, Refusal};
use super::tally::{Counted, Kind};
use super::{Authenticator, system_scope, user_scope};
use crate::caller::Origin;
use crate::decision::{self, DecisionTrace};
use crate::error::GateError;
use domain::audit::{AuditSubject, EventType, Outcome, ResultStatus};
use domain::decision::RefusalCode;
use domain::ids::{AuditId, RequestId, TenantId, UserId};
use domain::ports::{StoreError, TenantTx};
use domain::scope::TenantScope;
use domain::time::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// How often it is looked whether a minute is over.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

impl Authenticator {
    pub(super) async fn refuse_token(&self, refusal: Refusal, origin: &Origin) -> GateError {
        let Refusal { reason, issuer, key_id, token_id } = refusal;
        tracing::warn!(
            request_id = %origin.request, reason = reason.code(), issuer = issuer.as_deref(), key_id, token_id,
            "token refused"
        );
        let metadata = json!({ "reason": reason.code(), "issuer": issuer });
        let kind = Kind { tenant: TenantId::PLATFORM, user: None, reason: reason.code(), peer: origin.peer };
        self.count_refusal(kind, metadata, origin).await;
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
        origin: &Origin,
    ) -> GateError {
        let grounds = decision::recorded(&DecisionTrace::refused_at_authentication(code));
        let kind = Kind { tenant, user, reason: code.as_str(), peer: user.map_or(origin.peer, |_| None) };
        let Refused { decision, total } = self.count_refusal(kind, grounds, origin).await;
        let decision_id = decision.map(tracing::field::display);
        tracing::warn!(
            request_id = %origin.request, tenant_id = %tenant, decision_id, reason = code.as_str(), "caller refused"
        );
        if user.is_some() && total > u64::from(self.refusals_per_minute) {
            return GateError::RefusedTooOften { retry_after: until_the_next_minute(self.clock.now()) };
        }
        GateError::Refused { code, decision }
    }

    /// Counts a refusal, and records it at once if it is the first of its kind in this minute. It stands whether or not
    /// it can be recorded: nothing runs either way.
    async fn count_refusal(&self, kind: Kind, mut metadata: Value, origin: &Origin) -> Refused {
        let place = self.refusals.count(kind.clone(), self.clock.now());
        if !place.is_first {
            return Refused { decision: place.first, total: place.total };
        }
        metadata["peer"] = json!(origin.peer);
        let scope = scope_of(&kind, origin.request.clone());
        match self.record_refusals(&scope, metadata).await {
            Ok(id) => {
                self.refusals.first_written(&place, id);
                Refused { decision: Some(id), total: place.total }
            }
            Err(error) => {
                tracing::error!(request_id = %origin.request, error = %error, "a refusal could not be recorded");
                Refused { decision: None, total: place.total }
            }
        }
    }

    async fn record_refusals(&self, scope: &TenantScope, metadata: Value) -> Result<AuditId, StoreError> {
        let mut tx = self.store.begin(scope).await?;
        let id = self.event(&mut *tx, EventType::AUTH_DENIED, ResultStatus::Denied, metadata).await?;
        tx.commit().await.map(|()| id)
    }

    /// Records the refusals that were only counted, of the minutes that are over; with `all`, of the present one too.
    /// What cannot be recorded stays counted.
    pub async fn record_counted_refusals(&self, all: bool) {
        for counted in self.refusals.due(self.clock.now(), all) {
            let Counted { kind, total, unwritten, is_overflow, first, .. } = &counted;
            let metadata = json!({
                "reason": kind.reason, "peer": kind.peer, "count": unwritten, "total": total, "minute": counted.from(),
                "first": first, "overflow": is_overflow,
            });
            let scope = scope_of(kind, RequestId::from_uuid(self.ids.uuid()));
            match self.record_refusals(&scope, metadata).await {
                Ok(_) => self.refusals.written(&counted),
                Err(error) => {
                    tracing::error!(error = %error, "refusals that were counted could not be recorded");
                    return;
                }
            }
        }
    }

    /// Records counted refusals, minute by minute. Never ends: run it beside the server, drop it to stop, and record the
    /// rest after that.
    pub async fn keep_recording_refusals(&self) {
        loop {
            tokio::time::sleep(FLUSH_EVERY).await;
            self.record_counted_refusals(false).await;
        }
    }

    pub(super) async fn event(
        &self,
        tx: &mut dyn TenantTx,
        event: EventType,
        status: ResultStatus,
        metadata: Value,
    ) -> Result<AuditId, StoreError> {
        let subject =
            AuditSubject { event, resource: None, resource_id: None, session: None, request_hash: None, metadata };
        let outcome = Outcome { subject, status, model: None, tools_used: Vec::new() };
        let id = AuditId::from_uuid(self.ids.uuid());
        tx.audit().event(id, &outcome, self.clock.now()).await.map(|()| id)
    }
}

/// What became of a refusal.
struct Refused {
    /// The row that tells of it: of the first one of its kind in this minute.
    decision: Option<AuditId>,
    /// How many of its kind there were in this minute.
    total: u64,
}

fn scope_of(kind: &Kind, request: RequestId) -> TenantScope {
    match kind.user {
        Some(user) => user_scope(kind.tenant, user, request),
        None => system_scope(kind.tenant, request),
    }
}

fn until_the_next_minute(now: Timestamp) -> Duration {
    let left = 60 - now.timestamp().rem_euclid(60);
    Duration::from_secs(u64::try_from(left).unwrap_or(60))
}
