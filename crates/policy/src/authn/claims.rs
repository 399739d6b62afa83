//! Reads claims under whatever names an issuer has for them.

use super::Reason;
use super::settings::{ClaimNames, IssuerSettings};
use domain::role::Role;
use domain::time::Timestamp;
use domain::user::Identity;
use serde_json::{Map, Value};

/// Clock skew that is forgiven, in seconds.
pub const SKEW_SECONDS: i64 = 60;

type Claims = Map<String, Value>;

/// The claim under the first of `names` that is there.
pub fn find<'a>(claims: &'a Claims, names: &[String]) -> Option<&'a Value> {
    names.iter().find_map(|name| claims.get(name).or_else(|| follow(claims, name)))
}

fn follow<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    let mut steps = path.split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

fn text<'a>(claims: &'a Claims, names: &[String]) -> Option<&'a str> {
    find(claims, names).and_then(Value::as_str).filter(|text| !text.is_empty() && text.len() <= 512)
}

/// A claim that may be one string, several in one string, or a list.
fn texts<'a>(claims: &'a Claims, names: &[String]) -> Option<Vec<&'a str>> {
    match find(claims, names)? {
        Value::String(one) => Some(one.split_ascii_whitespace().collect()),
        Value::Array(many) => Some(many.iter().filter_map(Value::as_str).collect()),
        _ => Some(Vec::new()),
    }
}

/// Checks `exp`, `nbf` and `iat` (RFC 7519 §4.1) and returns when the token expires. A claim of the wrong type is not
/// an absent one.
pub fn check_times(claims: &Claims, now: Timestamp) -> Result<Timestamp, Reason> {
    let now_s = now.timestamp();
    let seconds = |name: &str, reason: Reason| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().filter(|s| s.is_finite() && *s >= 0.0 && *s < 1e12).map(Some).ok_or(reason),
    };
    let exp = seconds("exp", Reason::Expiry)?.ok_or(Reason::Expiry)?;
    #[expect(clippy::cast_possible_truncation, reason = "bounded above; whole seconds are exact enough")]
    let (exp, nbf, iat) = (
        exp as i64,
        seconds("nbf", Reason::NotYet)?.map(|s| s as i64),
        seconds("iat", Reason::IssuedInFuture)?.map(|s| s as i64),
    );
    if now_s >= exp.saturating_add(SKEW_SECONDS) {
        return Err(Reason::Expired);
    }
    if nbf.is_some_and(|nbf| nbf > now_s + SKEW_SECONDS) {
        return Err(Reason::NotYet);
    }
    if iat.is_some_and(|iat| iat > now_s + SKEW_SECONDS) {
        return Err(Reason::IssuedInFuture);
    }
    Timestamp::from_timestamp(exp, 0).ok_or(Reason::Expiry)
}

/// `aud` (RFC 7519 §4.1.3): a string or a list, one of which must be accepted.
pub fn check_audience(claims: &Claims, accepted: &[String]) -> Result<(), Reason> {
    let matches = |value: &Value| value.as_str().is_some_and(|aud| accepted.iter().any(|a| a == aud));
    let found = match claims.get("aud") {
        Some(Value::Array(many)) => many.iter().any(matches),
        Some(one) => matches(one),
        None => false,
    };
    if found { Ok(()) } else { Err(Reason::Audience) }
}

/// An ID token proves a login to a client, not a right to call an API; it carries a `nonce` or hashes of what it came
/// with (OpenID Connect Core §2).
pub fn check_kind(claims: &Claims) -> Result<(), Reason> {
    let is_id_token = ["nonce", "at_hash", "c_hash"].iter().any(|name| claims.contains_key(*name));
    if is_id_token { Err(Reason::Kind) } else { Ok(()) }
}

/// Who the token speaks of, and the value that the tenant is looked up by.
pub fn identity(claims: &Claims, issuer: &IssuerSettings) -> Result<(Identity, Option<String>), Reason> {
    let names: &ClaimNames = &issuer.claims;
    let subject = text(claims, &names.subject).ok_or(Reason::Subject)?;
    let identity = Identity {
        issuer: issuer.issuer.clone(),
        subject: subject.to_owned(),
        email: text(claims, &names.email).map(str::to_owned),
        name: text(claims, &names.name).map(str::to_owned),
        role: role(claims, issuer),
    };
    Ok((identity, text(claims, &names.tenant).map(str::to_owned)))
}

/// The strongest role that the token's role values map to. A role claim with no known value is the weakest role, not
/// a missing claim: whoever lost a role at the issuer loses it here.
fn role(claims: &Claims, issuer: &IssuerSettings) -> Option<Role> {
    let values = texts(claims, &issuer.claims.roles)?;
    let strongest = values.iter().filter_map(|value| issuer.roles.get(*value)).max();
    Some(strongest.copied().unwrap_or(Role::Viewer))
}

/// Whether the token carries `scope`.
pub fn has_scope(claims: &Claims, names: &ClaimNames, scope: &str) -> bool {
    texts(claims, &names.scopes).is_some_and(|scopes| scopes.contains(&scope))
}

/// More than 200 groups: Entra leaves them out and says where to ask (`_claim_names`).
pub fn has_groups_overage(claims: &Claims) -> bool {
    claims.get("_claim_names").and_then(|names| names.get("groups")).is_some()
        || claims.get("hasgroups").is_some_and(|flag| flag == &Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: Value) -> Claims {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_claim_name_with_a_dot_is_tried_as_it_stands_before_it_is_a_path() {
        let names = ["extn.Tenant".to_owned(), "realm_access.roles".to_owned()];
        let flat = claims(json!({"extn.Tenant": "a", "extn": {"Tenant": "b"}}));
        assert_eq!(find(&flat, &names), Some(&json!("a")));
        let nested = claims(json!({"realm_access": {"roles": ["x"]}}));
        assert_eq!(find(&nested, &names), Some(&json!(["x"])));
    }

    #[test]
    fn times_are_checked_with_a_minute_of_skew_and_wrong_types_are_refused() {
        let now = Timestamp::from_timestamp(10_000, 0).expect("valid");
        let check = |value: Value| check_times(&claims(value), now).map(|at| at.timestamp());
        assert_eq!(check(json!({"exp": 10_100})), Ok(10_100));
        assert_eq!(check(json!({"exp": 9_941})), Ok(9_941));
        assert_eq!(check(json!({"exp": 9_940})), Err(Reason::Expired));
        assert_eq!(check(json!({})), Err(Reason::Expiry));
        assert_eq!(check(json!({"exp": "10100"})), Err(Reason::Expiry));
        assert_eq!(check(json!({"exp": 1e300})), Err(Reason::Expiry));
        assert_eq!(check(json!({"exp": 10_100, "nbf": 10_061})), Err(Reason::NotYet));
        assert_eq!(check(json!({"exp": 10_100, "nbf": "1"})), Err(Reason::NotYet));
        assert_eq!(check(json!({"exp": 10_100, "nbf": 10_060, "iat": 10_061})), Err(Reason::IssuedInFuture));
    }

    #[test]
    fn an_id_token_is_no_access_token() {
        assert_eq!(check_kind(&claims(json!({"nonce": "n"}))), Err(Reason::Kind));
        assert_eq!(check_kind(&claims(json!({"sub": "s"}))), Ok(()));
    }

    #[test]
    fn the_audience_may_be_a_list_and_must_be_there() {
        let accepted = ["api".to_owned()];
        assert_eq!(check_audience(&claims(json!({"aud": ["x", "api"]})), &accepted), Ok(()));
        assert_eq!(check_audience(&claims(json!({"aud": "x"})), &accepted), Err(Reason::Audience));
        assert_eq!(check_audience(&claims(json!({})), &accepted), Err(Reason::Audience));
    }
}
