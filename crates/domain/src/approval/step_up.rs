//! Step-up authentication: an approver must have signed in recently, and not before the request (RFC 9470).

use crate::time::Timestamp;

/// Whether a sign-in at `auth_time` suffices to decide at `now` on what was requested at `requested_at`: it must be
/// younger than `max_age_s` seconds and not older than the request. Times are compared in whole seconds, the precision
/// of tokens. A sign-in in the future does not suffice.
#[must_use]
pub fn is_recent_sign_in(auth_time: Timestamp, requested_at: Timestamp, max_age_s: u32, now: Timestamp) -> bool {
    let (signed_in, requested, now) = (auth_time.timestamp(), requested_at.timestamp(), now.timestamp());
    signed_in <= now && now - signed_in < i64::from(max_age_s) && signed_in >= requested
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn at(milliseconds: i64) -> Timestamp {
        DateTime::from_timestamp_millis(1_800_000_000_000 + milliseconds).expect("a time")
    }

    #[test]
    fn a_sign_in_counts_if_it_is_young_not_in_the_future_and_not_before_the_request() {
        let check = |signed_in, requested, now| is_recent_sign_in(at(signed_in), at(requested), 300, at(now));
        assert!(check(10_000, 5_000, 20_000));
        assert!(check(10_000, 10_900, 10_950), "the same second counts as not before");
        assert!(!check(9_000, 10_900, 11_000), "before the request");
        assert!(!check(21_000, 5_000, 20_000), "in the future");
        assert!(check(20_000, 5_000, 20_100), "in the same second");
        assert!(check(10_000, 5_000, 309_999), "299 whole seconds ago");
        assert!(!check(10_000, 5_000, 310_000), "300 whole seconds ago");
    }
}
