//! Budgets: limits on what a tenant and each of its users may spend on models, and reservations for running turns.
//!
//! A turn reserves its estimated consumption before it calls a model, and settles the reservation when it ends.
//! Spending plus reservations never exceed a limit, regardless of how many turns start concurrently.

use crate::ids::ReservationId;
use crate::role::string_enum;
use crate::served_by::MicroCost;
use crate::time::{Date, Timestamp};
use chrono::{Datelike, Days, Months, NaiveTime};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

string_enum! {
    /// The kinds of limit, named as the quotas in the tenant's settings.
    BudgetLimit {
        /// Tokens of the whole tenant per day (UTC).
        TenantTokens = "tokens_per_day",
        /// Tokens of one user per day (UTC).
        UserTokens = "user_tokens_per_day",
        /// Cost of the whole tenant's model calls per month (UTC).
        TenantCost = "cost_per_month",
        /// Cost of one user's model calls per month (UTC).
        UserCost = "user_cost_per_month",
    }
}

impl BudgetLimit {
    /// Whether the limit applies to one user, not to the whole tenant.
    #[must_use]
    pub fn is_per_user(self) -> bool {
        matches!(self, Self::UserTokens | Self::UserCost)
    }

    /// First day of the limit's period (day or month, UTC) that contains `now`.
    #[must_use]
    pub fn period_start(self, now: Timestamp) -> Date {
        match self {
            Self::TenantTokens | Self::UserTokens => now.date_naive(),
            Self::TenantCost | Self::UserCost => first_of_month(now.date_naive()),
        }
    }

    /// End of the limit's period (day or month, UTC) that contains `now`; exclusive.
    #[must_use]
    pub fn period_end(self, now: Timestamp) -> Timestamp {
        match self {
            Self::TenantTokens | Self::UserTokens => end_of_day(now),
            Self::TenantCost | Self::UserCost => {
                let month_start = first_of_month(now.date_naive());
                start_of_day(month_start.checked_add_months(Months::new(1)).unwrap_or(month_start))
            }
        }
    }
}

/// The first day of the month that contains `day`.
#[must_use]
pub fn first_of_month(day: Date) -> Date {
    day.with_day(1).unwrap_or(day)
}

/// End of the day (UTC) that contains `now`: midnight of the next day.
#[must_use]
pub fn end_of_day(now: Timestamp) -> Timestamp {
    let day = now.date_naive();
    start_of_day(day.checked_add_days(Days::new(1)).unwrap_or(day))
}

/// Midnight (UTC) at the start of `day`.
#[must_use]
pub fn start_of_day(day: Date) -> Timestamp {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// An amount of money as a decimal number of currency units, with a resolution of one millionth. The currency is that
/// of the configured prices.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Money(pub MicroCost);

impl Money {
    /// The largest accepted amount, in currency units.
    pub const MAX_UNITS: f64 = 1_000_000_000.0;
    const MICROS_PER_UNIT: u32 = 1_000_000;

    /// The amount of `units` currency units, rounded to a millionth; `None` unless it is between 0 and
    /// [`Self::MAX_UNITS`].
    #[must_use]
    pub fn from_units(units: f64) -> Option<Self> {
        if !(0.0..=Self::MAX_UNITS).contains(&units) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 10^15, which is exact in both types"
        )]
        let micros = (units * f64::from(Self::MICROS_PER_UNIT)).round() as u64;
        Some(Self(MicroCost(micros)))
    }

    /// The amount in currency units.
    #[must_use]
    pub fn units(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "amounts above 2^53 millionths do not occur in practice")]
        let micros = self.0.0 as f64;
        micros / f64::from(Self::MICROS_PER_UNIT)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.units())
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let units = f64::deserialize(deserializer)?;
        Self::from_units(units).ok_or_else(|| D::Error::custom("must be from 0 to 1,000,000,000"))
    }
}

/// A number of tokens and their cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BudgetAmount {
    /// Input and output tokens, added up.
    pub tokens: u64,
    /// Cost in millionths of the currency.
    pub cost: MicroCost,
}

impl std::ops::AddAssign for BudgetAmount {
    fn add_assign(&mut self, other: Self) {
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.cost += other.cost;
    }
}

/// Spending and reservations of one tenant or user in the current periods.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PeriodSpending {
    /// Metered tokens since the start of the day (UTC).
    pub tokens: u64,
    /// Cost since the start of the month (UTC).
    pub cost: MicroCost,
    /// Amount reserved by turns in progress.
    pub reserved: BudgetAmount,
}

/// Spending of a tenant and of one of its users.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spending {
    /// Spending of the whole tenant, including this user.
    pub tenant: PeriodSpending,
    /// Spending of the user; zero if the scope has no user.
    pub user: PeriodSpending,
}

/// Budgets of a tenant and of each of its users; an unset limit is unlimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budgets {
    /// Tokens of the whole tenant per day (UTC).
    pub tokens_per_day: Option<u64>,
    /// Tokens of one user per day (UTC).
    pub user_tokens_per_day: Option<u64>,
    /// Cost of the whole tenant per month (UTC).
    pub cost_per_month: Option<MicroCost>,
    /// Cost of one user per month (UTC).
    pub user_cost_per_month: Option<MicroCost>,
    /// Percentage of a limit from which users are warned.
    pub soft_percent: u8,
}

/// A request to reserve a part of the budgets, or to extend a reservation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReservationRequest {
    /// Id of the reservation; if it exists already, that reservation is extended.
    pub id: ReservationId,
    /// Minimum useful amount; the request is refused if less is left.
    pub minimum: BudgetAmount,
    /// Amount to reserve, or as much of it as the limits leave.
    pub requested: BudgetAmount,
    /// When the reservation expires unless it was settled before.
    pub expires_at: Timestamp,
}

/// Result of a reservation request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReservationOutcome {
    /// Reserved: the requested amount, or as much of it as is left.
    Reserved {
        /// Amount that the run may use.
        amount: BudgetAmount,
        /// Spending before this reservation.
        spending: Spending,
    },
    /// Less than the minimum amount is left; nothing is reserved.
    Refused {
        /// The limit that is exhausted.
        limit: BudgetLimit,
        /// Whether the request would succeed without the reservations of other turns.
        blocked_by_reservations: bool,
    },
}

impl Budgets {
    /// Whether no limit is set.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        !self.limits_tokens() && !self.limits_cost()
    }

    /// Whether a token limit is set.
    #[must_use]
    pub fn limits_tokens(&self) -> bool {
        self.tokens_per_day.is_some() || self.user_tokens_per_day.is_some()
    }

    /// Whether a cost limit is set.
    #[must_use]
    pub fn limits_cost(&self) -> bool {
        self.cost_per_month.is_some() || self.user_cost_per_month.is_some()
    }

    /// The value of a limit, in tokens or millionths of the currency; `None` if it is not set.
    #[must_use]
    pub fn limit(&self, limit: BudgetLimit) -> Option<u64> {
        match limit {
            BudgetLimit::TenantTokens => self.tokens_per_day,
            BudgetLimit::UserTokens => self.user_tokens_per_day,
            BudgetLimit::TenantCost => self.cost_per_month.map(|cost| cost.0),
            BudgetLimit::UserCost => self.user_cost_per_month.map(|cost| cost.0),
        }
    }

    /// Computes how much of the requested amount the limits allow. Does not store anything.
    #[must_use]
    pub fn evaluate(&self, request: &ReservationRequest, spending: Spending) -> ReservationOutcome {
        let mut amount = request.requested;
        for limit in BudgetLimit::ALL {
            let Some(max) = self.limit(*limit) else { continue };
            let used = spending.usage_of(*limit);
            let remaining = max.saturating_sub(used.spent.saturating_add(used.reserved));
            let (minimum, granted) = match limit {
                BudgetLimit::TenantTokens | BudgetLimit::UserTokens => (request.minimum.tokens, &mut amount.tokens),
                BudgetLimit::TenantCost | BudgetLimit::UserCost => (request.minimum.cost.0, &mut amount.cost.0),
            };
            if remaining < minimum {
                return ReservationOutcome::Refused {
                    limit: *limit,
                    blocked_by_reservations: max.saturating_sub(used.spent) >= minimum,
                };
            }
            *granted = remaining.min(*granted);
        }
        ReservationOutcome::Reserved { amount, spending }
    }

    /// Whether spending, without reservations, has reached [`Self::soft_percent`] of a limit. `false` if it is not set.
    #[must_use]
    pub fn exceeds_soft_limit(&self, limit: BudgetLimit, spending: &Spending) -> bool {
        let reached = |max: u64| {
            u128::from(spending.usage_of(limit).spent) * 100 >= u128::from(max) * u128::from(self.soft_percent)
        };
        self.limit(limit).is_some_and(reached)
    }
}

/// How much of one limit is used and reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitUsage {
    /// Spent in the period, in tokens or millionths of the currency.
    pub spent: u64,
    /// Reserved by turns in progress, in tokens or millionths of the currency.
    pub reserved: u64,
}

impl Spending {
    /// How much of `limit` is used and reserved.
    #[must_use]
    pub fn usage_of(&self, limit: BudgetLimit) -> LimitUsage {
        let period = if limit.is_per_user() { &self.user } else { &self.tenant };
        match limit {
            BudgetLimit::TenantTokens | BudgetLimit::UserTokens => {
                LimitUsage { spent: period.tokens, reserved: period.reserved.tokens }
            }
            BudgetLimit::TenantCost | BudgetLimit::UserCost => {
                LimitUsage { spent: period.cost.0, reserved: period.reserved.cost.0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const BUDGETS: Budgets = Budgets {
        tokens_per_day: Some(1_000),
        user_tokens_per_day: Some(400),
        cost_per_month: Some(MicroCost(500)),
        user_cost_per_month: None,
        soft_percent: 80,
    };

    fn amount(tokens: u64, cost: u64) -> BudgetAmount {
        BudgetAmount { tokens, cost: MicroCost(cost) }
    }

    fn reservation(minimum: BudgetAmount, requested: BudgetAmount) -> ReservationRequest {
        let id = ReservationId::from_uuid(Uuid::nil());
        ReservationRequest { id, minimum, requested, expires_at: Timestamp::UNIX_EPOCH }
    }

    fn period_spending(tokens: u64, cost: u64, reserved: u64) -> PeriodSpending {
        PeriodSpending {
            tokens,
            cost: MicroCost(cost),
            reserved: BudgetAmount { tokens: reserved, cost: MicroCost(0) },
        }
    }

    #[test]
    fn a_reservation_is_capped_by_every_limit() {
        let spending = Spending { tenant: period_spending(500, 450, 200), user: period_spending(100, 0, 50) };
        let ReservationOutcome::Reserved { amount, .. } =
            BUDGETS.evaluate(&reservation(amount(10, 1), amount(600, 90)), spending)
        else {
            panic!("the budget is not exhausted")
        };
        assert_eq!(amount, BudgetAmount { tokens: 250, cost: MicroCost(50) });
    }

    #[test]
    fn a_refusal_names_the_limit_and_whether_reservations_caused_it() {
        let spending = Spending { tenant: period_spending(500, 0, 0), user: period_spending(100, 0, 250) };
        let outcome = |minimum, requested| BUDGETS.evaluate(&reservation(minimum, requested), spending);
        assert_eq!(
            outcome(amount(51, 0), amount(51, 0)),
            ReservationOutcome::Refused { limit: BudgetLimit::UserTokens, blocked_by_reservations: true }
        );
        assert_eq!(
            outcome(amount(301, 0), amount(400, 0)),
            ReservationOutcome::Refused { limit: BudgetLimit::UserTokens, blocked_by_reservations: false }
        );
        assert_eq!(
            outcome(amount(0, 501), amount(0, 501)),
            ReservationOutcome::Refused { limit: BudgetLimit::TenantCost, blocked_by_reservations: false }
        );
    }

    #[test]
    fn the_soft_limit_is_reached_at_its_percentage() {
        let is_exceeded = |tokens| {
            let spending = Spending { tenant: period_spending(tokens, 0, 900), user: PeriodSpending::default() };
            BUDGETS.exceeds_soft_limit(BudgetLimit::TenantTokens, &spending)
        };
        assert!(!is_exceeded(799) && is_exceeded(800));
        assert!(!BUDGETS.exceeds_soft_limit(BudgetLimit::UserCost, &Spending::default()), "no limit is set");
    }

    #[test]
    fn periods_end_with_the_day_and_the_month() {
        let now: Timestamp = "2026-12-31T23:59:59Z".parse().expect("a timestamp");
        let next: Timestamp = "2027-01-01T00:00:00Z".parse().expect("a timestamp");
        assert_eq!(BudgetLimit::UserTokens.period_end(now), next);
        assert_eq!(BudgetLimit::TenantCost.period_end(now), next);
        assert_eq!(BudgetLimit::TenantCost.period_start(now).to_string(), "2026-12-01");
        let now: Timestamp = "2028-02-29T00:00:00Z".parse().expect("a timestamp");
        assert_eq!(BudgetLimit::UserCost.period_end(now).to_string(), "2028-03-01 00:00:00 UTC");
    }

    #[test]
    fn money_round_trips_in_currency_units_to_a_millionth() {
        let parse = |text: &str| serde_json::from_str::<Money>(text).ok();
        assert_eq!(parse("250.5"), Some(Money(MicroCost(250_500_000))));
        assert_eq!(parse("0.000001"), Some(Money(MicroCost(1))));
        assert_eq!(parse("1e9").map(|m| m.0.0), Some(1_000_000_000_000_000));
        assert_eq!((parse("-1"), parse("1000000001"), parse("\"5\"")), (None, None, None));
        for micros in [0, 1, 250_500_000, 999_999_999_999_999] {
            let money = Money(MicroCost(micros));
            let json = serde_json::to_string(&money).expect("a number");
            assert_eq!(parse(&json), Some(money), "{json}");
        }
    }
}
