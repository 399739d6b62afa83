//! Reserves budget for runs: before a model is called, so that concurrent runs cannot exceed a limit together, and
//! again when tool results make a run longer than estimated.

use super::budget::{self, AmountRange, BudgetGrant, BudgetReservation, TokenEstimate, limit_reached};
use super::ports::RunPorts;
use super::soft_limits::SoftLimits;
use crate::error::RuntimeError;
use chrono::TimeDelta;
use domain::budget::{BudgetAmount, Budgets, ReservationOutcome, ReservationRequest};
use domain::ids::ReservationId;
use domain::model_call::Price;
use domain::ports::TenantTx;
use domain::scope::TenantScope;
use domain::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Maximum time from a run's time limit until its end is stored, since storing is retried for ten minutes.
const SETTLE_TIME: Duration = Duration::from_secs(720);
/// `Retry-After` if the missing budget is reserved by other runs, which release it when they end.
const RETRY_AFTER_RESERVED: Duration = Duration::from_secs(10);

/// Reserves budget in the database.
#[derive(Clone)]
pub struct BudgetReserver {
    ports: RunPorts,
    /// Time limit of a run. Reservations expire only after it.
    time_limit: Duration,
    soft_limits: Arc<SoftLimits>,
}

/// The budgets that a run counts towards, and the amount that it needs.
#[derive(Clone, Copy, Debug)]
pub struct BudgetRequest {
    pub budgets: Budgets,
    pub estimate: TokenEstimate,
    /// The highest price that may apply; `None` if it is not known in advance.
    pub price: Option<Price>,
}

impl BudgetReserver {
    pub fn new(ports: RunPorts, time_limit: Duration) -> Self {
        Self { ports, time_limit, soft_limits: Arc::default() }
    }

    /// Reserves what a run needs, or less if less is left, in the caller's transaction. Call it as late as possible,
    /// since other runs of the tenant wait until the transaction ends.
    ///
    /// # Errors
    /// If the remaining budget is too small for a reply, or the store fails.
    pub async fn reserve(
        &self,
        tx: &mut dyn TenantTx,
        scope: &TenantScope,
        request: BudgetRequest,
    ) -> Result<BudgetReservation, RuntimeError> {
        let BudgetRequest { budgets, estimate, price } = request;
        if budgets.is_unlimited() || !self.ports.model.is_language_model() {
            return Ok(BudgetReservation::default());
        }
        let now = self.ports.clock.now();
        let AmountRange { minimum, requested } = AmountRange::from_estimate(estimate, price);
        let id = ReservationId::from_uuid(self.ports.ids.uuid());
        let reservation = ReservationRequest { id, minimum, requested, expires_at: self.expiry(now) };
        match tx.usage().reserve(&reservation, &budgets, now).await? {
            ReservationOutcome::Reserved { amount, spending } => {
                self.soft_limits.check(scope, &budgets, &spending, now);
                let exhausted_limit = limit_reached(&budgets, amount, requested);
                Ok(BudgetReservation::from_grant(BudgetGrant { id, budgets, price, amount, exhausted_limit }))
            }
            ReservationOutcome::Refused { limit, blocked_by_reservations } => {
                if !blocked_by_reservations {
                    return Err(budget::budget_exceeded(limit, now));
                }
                Err(RuntimeError::BudgetExceeded { limit, retry_after: RETRY_AFTER_RESERVED, is_reserved: true })
            }
        }
    }

    /// Reserves more if less than `needed.requested` is left after `spent`: as much as is available, unless that is
    /// less than `needed.minimum`.
    ///
    /// # Errors
    /// If the store fails. A refusal is not an error; it is recorded in `BudgetGrant::exhausted_limit`.
    pub async fn extend(
        &self,
        scope: &TenantScope,
        grant: &mut BudgetGrant,
        spent: BudgetAmount,
        needed: AmountRange,
    ) -> Result<(), RuntimeError> {
        let (minimum, requested) = (grant.shortfall(needed.minimum, spent), grant.shortfall(needed.requested, spent));
        let is_covered = limit_reached(&grant.budgets, BudgetAmount::default(), requested).is_none();
        if is_covered || grant.exhausted_limit.is_some() {
            return Ok(());
        }
        let now = self.ports.clock.now();
        let reservation = ReservationRequest { id: grant.id, minimum, requested, expires_at: self.expiry(now) };
        let mut tx = self.ports.store.begin(scope).await?;
        match tx.usage().reserve(&reservation, &grant.budgets, now).await? {
            ReservationOutcome::Reserved { amount, .. } => {
                tx.commit().await?;
                grant.exhausted_limit = limit_reached(&grant.budgets, amount, requested);
                grant.amount += amount;
            }
            ReservationOutcome::Refused { limit, .. } => grant.exhausted_limit = Some(limit),
        }
        Ok(())
    }

    fn expiry(&self, now: Timestamp) -> Timestamp {
        let lifetime = TimeDelta::from_std(self.time_limit + SETTLE_TIME).unwrap_or(TimeDelta::hours(1));
        now.checked_add_signed(lifetime).unwrap_or(now)
    }
}
