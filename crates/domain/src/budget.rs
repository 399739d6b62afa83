//! Budgets: what a tenant and each of its users may spend on models, and how much of it a turn gets.
//!
//! A turn sets aside what it may come to before a model is called, and settles when it ends. Spent and set aside
//! together never pass a limit, however many turns begin at once.

use crate::ids::ReservationId;
use crate::role::string_enum;
use crate::served_by::MicroCost;
use crate::time::{Date, Timestamp};
use chrono::{Datelike, Days, Months, NaiveTime};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

string_enum! {
    /// What can be limited, by the name of its quota.
    BudgetLimit {
        /// The tenant's tokens of the day.
        TenantTokens = "tokens_per_day",
        /// The user's tokens of the day.
        UserTokens = "user_tokens_per_day",
        /// What the tenant's calls cost in the month.
        TenantCost = "cost_per_month",
        /// What the user's calls cost in the month.
        UserCost = "user_cost_per_month",
    }
}

impl BudgetLimit {
    /// Whether it is of one user.
    #[must_use]
    pub fn is_per_user(self) -> bool {
        matches!(self, Self::UserTokens | Self::UserCost)
    }

    /// When the period (UTC) of a moment began.
    #[must_use]
    pub fn period_begins(self, now: Timestamp) -> Date {
        match self {
            Self::TenantTokens | Self::UserTokens => now.date_naive(),
            Self::TenantCost | Self::UserCost => first_of_month(now.date_naive()),
        }
    }

    /// When the period (UTC) of a moment ends.
    #[must_use]
    pub fn period_ends(self, now: Timestamp) -> Timestamp {
        match self {
            Self::TenantTokens | Self::UserTokens => end_of_day(now),
            Self::TenantCost | Self::UserCost => {
                let begins = first_of_month(now.date_naive());
                start_of_day(begins.checked_add_months(Months::new(1)).unwrap_or(begins))
            }
        }
    }
}

/// The first day of a day's month.
#[must_use]
pub fn first_of_month(day: Date) -> Date {
    day.with_day(1).unwrap_or(day)
}

/// When the day (UTC) of a moment ends.
#[must_use]
pub fn end_of_day(now: Timestamp) -> Timestamp {
    let day = now.date_naive();
    start_of_day(day.checked_add_days(Days::new(1)).unwrap_or(day))
}

/// When a day (UTC) begins.
#[must_use]
pub fn start_of_day(day: Date) -> Timestamp {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// An amount of money as a person writes it: a decimal number of units of the currency that the prices are in, to a
/// millionth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Money(pub MicroCost);

impl Money {
    /// The highest amount, in units.
    pub const MAX_UNITS: f64 = 1_000_000_000.0;
    const MICROS: u32 = 1_000_000;

    /// An amount of `units` of the currency; `None` unless it is from 0 to [`Self::MAX_UNITS`].
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
        let micros = (units * f64::from(Self::MICROS)).round() as u64;
        Some(Self(MicroCost(micros)))
    }

    /// The amount in units of the currency.
    #[must_use]
    pub fn units(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "what is above 2^53 millionths is no amount that anybody reads")]
        let micros = self.0.0 as f64;
        micros / f64::from(Self::MICROS)
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

/// Tokens, read and written together, and what they cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amount {
    /// Tokens read and written.
    pub tokens: u64,
    /// Sum of the costs of all calls.
    pub cost: MicroCost,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.cost += other.cost;
    }
}

/// What was spent in a period, and what is set aside.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PeriodSpending {
    /// Metered tokens of the day.
    pub tokens: u64,
    /// Cost of the month.
    pub cost: MicroCost,
    /// What turns under way may still come to.
    pub reserved: Amount,
}

/// What a tenant and one of its users have spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spending {
    /// All of the tenant.
    pub tenant: PeriodSpending,
    /// The user; nothing where nobody in particular asks.
    pub user: PeriodSpending,
}

/// What a tenant and each of its users may spend; what is not set is not limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budgets {
    /// The tenant's tokens of a day.
    pub tokens_per_day: Option<u64>,
    /// A user's tokens of a day.
    pub user_tokens_per_day: Option<u64>,
    /// The tenant's cost of a month.
    pub cost_per_month: Option<MicroCost>,
    /// A user's cost of a month.
    pub user_cost_per_month: Option<MicroCost>,
    /// From how many percent of a limit on it is nearly used up.
    pub soft_percent: u8,
}

/// A request to reserve a part of the budgets, or to extend a reservation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reservation {
    /// Id of the reservation; a known id extends that reservation.
    pub id: ReservationId,
    /// Smallest amount worth reserving; the reservation fails below it.
    pub least: Amount,
    /// Amount to reserve if the limits leave as much.
    pub wanted: Amount,
    /// Time of expiry if nobody settles the reservation before.
    pub expires_at: Timestamp,
}

/// Result of a reservation request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReserveOutcome {
    /// Reserved: as much as was requested, or what is left.
    Reserved {
        /// Amount that the run may use.
        amount: Amount,
        /// Spending before this reservation.
        spending: Spending,
    },
    /// Less than the smallest useful amount is left; nothing is reserved.
    Refused {
        /// The limit that is exhausted.
        limit: BudgetLimit,
        /// Whether it would have been granted without the reservations of other turns.
        held: bool,
    },
}

impl Budgets {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        !self.limits_tokens() && !self.limits_cost()
    }

    /// Whether tokens are limited.
    #[must_use]
    pub fn limits_tokens(&self) -> bool {
        self.tokens_per_day.is_some() || self.user_tokens_per_day.is_some()
    }

    /// Whether cost is limited.
    #[must_use]
    pub fn limits_cost(&self) -> bool {
        self.cost_per_month.is_some() || self.user_cost_per_month.is_some()
    }

    /// The limit of this kind, in tokens or millionths of the currency.
    #[must_use]
    pub fn limit(&self, limit: BudgetLimit) -> Option<u64> {
        match limit {
            BudgetLimit::TenantTokens => self.tokens_per_day,
            BudgetLimit::UserTokens => self.user_tokens_per_day,
            BudgetLimit::TenantCost => self.cost_per_month.map(|cost| cost.0),
            BudgetLimit::UserCost => self.user_cost_per_month.map(|cost| cost.0),
        }
    }

    /// As much of what is wanted as each limit leaves.
    #[must_use]
    pub fn grant(&self, asked: &Reservation, spending: Spending) -> ReserveOutcome {
        let mut amount = asked.wanted;
        for limit in BudgetLimit::ALL {
            let Some(most) = self.limit(*limit) else { continue };
            let used = spending.usage_of(*limit);
            let left = most.saturating_sub(used.spent.saturating_add(used.reserved));
            let (least, granted) = match limit {
                BudgetLimit::TenantTokens | BudgetLimit::UserTokens => (asked.least.tokens, &mut amount.tokens),
                BudgetLimit::TenantCost | BudgetLimit::UserCost => (asked.least.cost.0, &mut amount.cost.0),
            };
            if left < least {
                return ReserveOutcome::Refused { limit: *limit, held: most.saturating_sub(used.spent) >= least };
            }
            *granted = left.min(*granted);
        }
        ReserveOutcome::Reserved { amount, spending }
    }

    /// Whether so much of a limit is spent that it is nearly used up.
    #[must_use]
    pub fn exceeds_soft_limit(&self, limit: BudgetLimit, spending: &Spending) -> bool {
        let passed = |most: u64| {
            u128::from(spending.usage_of(limit).spent) * 100 >= u128::from(most) * u128::from(self.soft_percent)
        };
        self.limit(limit).is_some_and(passed)
    }
}

/// How much of one limit is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitUsage {
    /// Spent in the period, in tokens or millionths.
    pub spent: u64,
    /// Reserved by runs under way, in tokens or millionths.
    pub reserved: u64,
}

impl Spending {
    /// How much of a limit is used.
    #[must_use]
    pub fn usage_of(&self, limit: BudgetLimit) -> LimitUsage {
        let spent = if limit.is_per_user() { &self.user } else { &self.tenant };
        match limit {
            BudgetLimit::TenantTokens | BudgetLimit::UserTokens => {
                LimitUsage { spent: spent.tokens, reserved: spent.reserved.tokens }
            }
            BudgetLimit::TenantCost | BudgetLimit::UserCost => {
                LimitUsage { spent: spent.cost.0, reserved: spent.reserved.cost.0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const LIMITED: Budgets = Budgets {
        tokens_per_day: Some(1_000),
        user_tokens_per_day: Some(400),
        cost_per_month: Some(MicroCost(500)),
        user_cost_per_month: None,
        soft_percent: 80,
    };

    fn amount(tokens: u64, cost: u64) -> Amount {
        Amount { tokens, cost: MicroCost(cost) }
    }

    fn reservation(least: Amount, wanted: Amount) -> Reservation {
        let id = ReservationId::from_uuid(Uuid::nil());
        Reservation { id, least, wanted, expires_at: Timestamp::UNIX_EPOCH }
    }

    fn spent(tokens: u64, cost: u64, reserved: u64) -> PeriodSpending {
        PeriodSpending { tokens, cost: MicroCost(cost), reserved: Amount { tokens: reserved, cost: MicroCost(0) } }
    }

    #[test]
    fn what_is_wanted_is_cut_to_what_each_limit_leaves() {
        let spending = Spending { tenant: spent(500, 450, 200), user: spent(100, 0, 50) };
        let ReserveOutcome::Reserved { amount, .. } =
            LIMITED.grant(&reservation(amount(10, 1), amount(600, 90)), spending)
        else {
            panic!("something is left")
        };
        assert_eq!(amount, Amount { tokens: 250, cost: MicroCost(50) });
    }

    #[test]
    fn a_refusal_names_the_limit_and_whether_others_hold_what_is_missing() {
        let spending = Spending { tenant: spent(500, 0, 0), user: spent(100, 0, 250) };
        let refused = |least, wanted| LIMITED.grant(&reservation(least, wanted), spending);
        assert_eq!(
            refused(amount(51, 0), amount(51, 0)),
            ReserveOutcome::Refused { limit: BudgetLimit::UserTokens, held: true }
        );
        assert_eq!(
            refused(amount(301, 0), amount(400, 0)),
            ReserveOutcome::Refused { limit: BudgetLimit::UserTokens, held: false }
        );
        assert_eq!(
            refused(amount(0, 501), amount(0, 501)),
            ReserveOutcome::Refused { limit: BudgetLimit::TenantCost, held: false }
        );
    }

    #[test]
    fn a_limit_is_nearly_used_up_from_its_soft_percentage_on() {
        let passed = |tokens| {
            let spending = Spending { tenant: spent(tokens, 0, 900), user: PeriodSpending::default() };
            LIMITED.exceeds_soft_limit(BudgetLimit::TenantTokens, &spending)
        };
        assert!(!passed(799) && passed(800));
        assert!(!LIMITED.exceeds_soft_limit(BudgetLimit::UserCost, &Spending::default()), "what is not limited");
    }

    #[test]
    fn periods_end_with_the_day_and_the_month() {
        let now: Timestamp = "2026-12-31T23:59:59Z".parse().expect("a moment");
        let next: Timestamp = "2027-01-01T00:00:00Z".parse().expect("a moment");
        assert_eq!(BudgetLimit::UserTokens.period_ends(now), next);
        assert_eq!(BudgetLimit::TenantCost.period_ends(now), next);
        assert_eq!(BudgetLimit::TenantCost.period_begins(now).to_string(), "2026-12-01");
        let now: Timestamp = "2028-02-29T00:00:00Z".parse().expect("a moment");
        assert_eq!(BudgetLimit::UserCost.period_ends(now).to_string(), "2028-03-01 00:00:00 UTC");
    }

    #[test]
    fn money_is_written_in_units_and_kept_to_a_millionth() {
        let read = |text: &str| serde_json::from_str::<Money>(text).ok();
        assert_eq!(read("250.5"), Some(Money(MicroCost(250_500_000))));
        assert_eq!(read("0.000001"), Some(Money(MicroCost(1))));
        assert_eq!(read("1e9").map(|m| m.0.0), Some(1_000_000_000_000_000));
        assert_eq!((read("-1"), read("1000000001"), read("\"5\"")), (None, None, None));
        for micros in [0, 1, 250_500_000, 999_999_999_999_999] {
            let money = Money(MicroCost(micros));
            let written = serde_json::to_string(&money).expect("a number");
            assert_eq!(read(&written), Some(money), "{written}");
        }
    }
}
