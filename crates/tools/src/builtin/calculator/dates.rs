//! Arithmetic of calendar dates, in the forms `DATE + 30 days`, `DATE - 2 months`, `DATE - DATE`,
//! `days from DATE to DATE` and `weekday of DATE`. Dates are written `2026-01-31`.

use super::expression::Evaluated;
use chrono::{Datelike as _, Days, Months, NaiveDate};

/// Evaluates an expression of dates; `None` if it has no date.
pub(super) fn evaluate(expression: &str) -> Option<Result<Evaluated, String>> {
    let words: Vec<&str> = expression.split_whitespace().collect();
    words.iter().any(|word| date(word).is_some()).then(|| {
        let result = calculate(&words).ok_or_else(|| {
            "Dates are calculated in these forms: `2026-01-31 + 30 days`, `2026-01-31 - 2 months`, `2026-03-01 - \
             2026-01-01`, `weeks from 2026-01-01 to 2026-03-01`, `weekday of 2026-01-31`."
                .to_owned()
        })?;
        Ok(Evaluated { result, is_exact: true })
    })
}

fn calculate(words: &[&str]) -> Option<String> {
    match *words {
        [from, "+", count, unit] => Some(shifted(date(from)?, count.parse().ok()?, unit)?.to_string()),
        [from, "-" | "−", count, unit] => {
            let count: i64 = count.parse().ok()?;
            Some(shifted(date(from)?, count.checked_neg()?, unit)?.to_string())
        }
        [end, "-" | "−", start] => Some(in_days(date(start)?, date(end)?)),
        [end, "-" | "−", start, "to" | "in", unit] => between(unit, date(start)?, date(end)?),
        [unit, "from" | "between", start, "to" | "and", end] => between(unit, date(start)?, date(end)?),
        ["weekday", "of", day] => Some(date(day)?.format("%A").to_string()),
        [day] => Some(date(day)?.to_string()),
        _ => None,
    }
}

fn date(word: &str) -> Option<NaiveDate> {
    let word = word.trim_start_matches('@');
    let has_form = word.len() == 10 && word.as_bytes().get(4) == Some(&b'-');
    has_form.then(|| NaiveDate::parse_from_str(word, "%Y-%m-%d").ok()).flatten()
}

/// Moves a date. A month later than the last day of a month is the last day of the next one, or the same day.
fn shifted(from: NaiveDate, count: i64, unit: &str) -> Option<NaiveDate> {
    let amount = count.unsigned_abs();
    let months = |per_unit: u64| Some(Months::new(u32::try_from(amount.checked_mul(per_unit)?).ok()?));
    match unit.trim_end_matches('s') {
        "day" | "d" => shift_days(from, amount, count < 0),
        "week" => shift_days(from, amount.checked_mul(7)?, count < 0),
        "month" => shift_months(from, months(1)?, count < 0),
        "year" => shift_months(from, months(12)?, count < 0),
        _ => None,
    }
}

fn shift_days(from: NaiveDate, days: u64, is_back: bool) -> Option<NaiveDate> {
    if is_back { from.checked_sub_days(Days::new(days)) } else { from.checked_add_days(Days::new(days)) }
}

fn shift_months(from: NaiveDate, months: Months, is_back: bool) -> Option<NaiveDate> {
    if is_back { from.checked_sub_months(months) } else { from.checked_add_months(months) }
}

fn between(unit: &str, start: NaiveDate, end: NaiveDate) -> Option<String> {
    let days = (end - start).num_days();
    match unit.trim_end_matches('s') {
        "day" => Some(in_days(start, end)),
        "week" => Some(format!("{} weeks {} days", days / 7, days % 7)),
        "month" | "year" => Some(in_months(start, end)),
        _ => None,
    }
}

fn in_days(start: NaiveDate, end: NaiveDate) -> String {
    format!("{} days", (end - start).num_days())
}

/// Whole months, and the days that are left.
fn in_months(start: NaiveDate, end: NaiveDate) -> String {
    let (first, last, sign) = if start <= end { (start, end, "") } else { (end, start, "-") };
    let months = i64::from(last.year() - first.year()) * 12 + i64::from(last.month()) - i64::from(first.month());
    let mut months = u32::try_from(months).unwrap_or_default();
    let mut reached = first.checked_add_months(Months::new(months)).unwrap_or(last);
    if reached > last {
        months = months.saturating_sub(1);
        reached = first.checked_add_months(Months::new(months)).unwrap_or(last);
    }
    format!("{sign}{months} months {} days", (last - reached).num_days())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(expression: &str) -> Option<Result<String, String>> {
        evaluate(expression).map(|result| result.map(|evaluated| evaluated.result))
    }

    #[test]
    fn dates_are_shifted_and_compared() {
        for (expression, expected) in [
            ("2026-01-31 + 30 days", "2026-03-02"),
            ("2026-01-31 + 1 month", "2026-02-28"),
            ("2024-02-29 + 1 year", "2025-02-28"),
            ("2026-03-01 - 2 weeks", "2026-02-15"),
            ("2026-03-31 - 1 month", "2026-02-28"),
            ("2026-03-01 - 2026-01-01", "59 days"),
            ("days from 2024-02-01 to 2024-03-01", "29 days"),
            ("weeks between 2026-01-01 and 2026-01-17", "2 weeks 2 days"),
            ("months from 2026-01-15 to 2026-04-14", "2 months 30 days"),
            ("weekday of 2026-01-31", "Saturday"),
        ] {
            assert_eq!(result(expression), Some(Ok(expected.to_owned())), "{expression}");
        }
    }

    #[test]
    fn what_is_no_date_is_left_to_arithmetic_and_other_forms_are_explained() {
        assert_eq!(result("17.5% of 2480"), None);
        assert_eq!(result("2026-13-01 + 1 day"), None);
        for other in ["2026-01-01 * 2", "2026-01-01 + 99999999999 years", "2026-01-01 + 1 fortnight"] {
            assert!(result(other).is_some_and(|result| result.is_err()), "{other}");
        }
    }
}
