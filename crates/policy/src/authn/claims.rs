//! Reads and checks claims (RFC 7519 §4). Issuers name some claims differently; the settings list the names to try.

use super::settings::{ClaimNames, IssuerSettings};
use super::token_error::{TokenError, loggable_text};
use domain::login::LoginClaims;
use domain::time::Timestamp;
use domain::user::Identity;
use serde_json::{Map, Value};

/// Leeway for clock skew when `exp`, `nbf`, `iat` and `auth_time` are checked (RFC 7519 §4.1.4), in seconds.
pub const LEEWAY_SECONDS: i64 = 60;
/// Maximum length of a subject, in characters: the width of the database column for a user's external id.
const MAX_SUBJECT_CHARS: usize = 255;

/// The JWT Claims Set (RFC 7519 §4).
pub type Claims = Map<String, Value>;

/// Returns the first claim found under one of `names`, tried in order: as a literal name, then as a dotted path.
pub fn first_claim<'a>(claims: &'a Claims, names: &[String]) -> Option<&'a Value> {
    names.iter().find_map(|name| claims.get(name).or_else(|| claim_at_path(claims, name)))
}

fn claim_at_path<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    let mut steps = path.split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

/// Returns a claim's text if it can be stored and displayed: not empty, at most 512 bytes, no control characters.
/// PostgreSQL does not accept U+0000 in text.
fn text_claim<'a>(claims: &'a Claims, names: &[String]) -> Option<&'a str> {
    first_claim(claims, names).and_then(Value::as_str).filter(|text| is_storable(text))
}

fn is_storable(text: &str) -> bool {
    !text.is_empty() && text.len() <= 512 && !text.chars().any(char::is_control)
}

/// Returns a claim that holds a list: a JSON array of strings, or one string with space-separated values.
fn list_claim<'a>(claims: &'a Claims, names: &[String]) -> Option<Vec<&'a str>> {
    match first_claim(claims, names)? {
        Value::String(list) => Some(list.split_ascii_whitespace().collect()),
        Value::Array(items) => Some(items.iter().filter_map(Value::as_str).collect()),
        _ => Some(Vec::new()),
    }
}

fn storable_values(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().filter(|text| is_storable(text)).map(str::to_owned).collect()
}

/// Parses a NumericDate (RFC 7519 §2). Returns `None` if the value is not a number between 0 and 10^12.
fn numeric_date(value: &Value) -> Option<i64> {
    let seconds = value.as_f64().filter(|s| s.is_finite() && *s >= 0.0 && *s < 1e12)?;
    #[expect(clippy::cast_possible_truncation, reason = "bounded above; whole seconds are exact enough")]
    Some(seconds as i64)
}

/// Checks `exp`, `nbf` and `iat` (RFC 7519 §4.1) and returns the expiry. A claim of the wrong type is an error, not a
/// missing claim.
pub fn check_validity_period(claims: &Claims, now: Timestamp) -> Result<Timestamp, TokenError> {
    let now = now.timestamp();
    let numeric_date_claim = |name: &str, error: TokenError| match claims.get(name) {
        None => Ok(None),
        Some(value) => numeric_date(value).map(Some).ok_or(error),
    };
    let exp = numeric_date_claim("exp", TokenError::InvalidExpiry)?.ok_or(TokenError::InvalidExpiry)?;
    let (nbf, iat) =
        (numeric_date_claim("nbf", TokenError::NotYetValid)?, numeric_date_claim("iat", TokenError::IssuedInFuture)?);
    if now >= exp.saturating_add(LEEWAY_SECONDS) {
        return Err(TokenError::Expired);
    }
    if nbf.is_some_and(|nbf| nbf > now + LEEWAY_SECONDS) {
        return Err(TokenError::NotYetValid);
    }
    if iat.is_some_and(|iat| iat > now + LEEWAY_SECONDS) {
        return Err(TokenError::IssuedInFuture);
    }
    Timestamp::from_timestamp(exp, 0).ok_or(TokenError::InvalidExpiry)
}

/// Checks the age of the user's authentication against the maximum and returns when it becomes too old. A token without
/// an authentication time is refused like one that is too old (RFC 9470).
pub fn check_auth_age(
    auth_time: Option<Timestamp>,
    max_age_s: Option<u32>,
    now: Timestamp,
) -> Result<Option<Timestamp>, TokenError> {
    let Some(max_age_s) = max_age_s else { return Ok(None) };
    let too_old = TokenError::AuthenticationTooOld { max_age_s };
    let (auth_time, now) = (auth_time.ok_or(too_old)?.timestamp(), now.timestamp());
    let end = auth_time.saturating_add(i64::from(max_age_s));
    if auth_time > now + LEEWAY_SECONDS || now >= end.saturating_add(LEEWAY_SECONDS) {
        return Err(too_old);
    }
    Timestamp::from_timestamp(end, 0).map(Some).ok_or(too_old)
}

/// Checks `aud` (RFC 7519 §4.1.3): a string or an array of strings, at least one of which must be accepted.
pub fn check_audience(claims: &Claims, accepted: &[String]) -> Result<(), TokenError> {
    let matches = |value: &Value| value.as_str().is_some_and(|aud| accepted.iter().any(|a| a == aud));
    let is_accepted = match claims.get("aud") {
        Some(Value::Array(items)) => items.iter().all(Value::is_string) && items.iter().any(matches),
        Some(value) => matches(value),
        None => false,
    };
    if is_accepted { Ok(()) } else { Err(TokenError::AudienceMismatch) }
}

/// Checks the claim that must have a configured value, such as Entra's `tid`.
pub fn check_required_claim(claims: &Claims, required: Option<&(String, String)>) -> Result<(), TokenError> {
    match required {
        Some((name, value)) if claims.get(name).and_then(Value::as_str) != Some(value) => {
            Err(TokenError::RequiredClaimMismatch)
        }
        _ => Ok(()),
    }
}

/// Refuses tokens that are not access tokens. An ID token carries a `nonce` or a hash (OpenID Connect Core §2,
/// §3.3.2.11) or a type claim (Keycloak's `typ`, Cognito's `token_use`); a logout token has `events`.
///
/// Entra's version 1 tokens use other claim names and another issuer and are refused. AD FS also sends version 1.0, but
/// no `tid`; its tokens are accepted.
pub fn check_is_access_token(claims: &Claims) -> Result<(), TokenError> {
    let has_value = |name: &str, values: &[&str]| {
        claims.get(name).and_then(Value::as_str).is_some_and(|text| values.iter().any(|v| v.eq_ignore_ascii_case(text)))
    };
    let other_token_claims = ["nonce", "at_hash", "c_hash", "s_hash", "events"];
    if other_token_claims.iter().any(|name| claims.contains_key(*name))
        || has_value("typ", &["ID", "Refresh", "Offline", "Logout"])
        || has_value("token_use", &["id"])
    {
        return Err(TokenError::NotAnOAuthAccessToken);
    }
    if has_value("ver", &["1.0"]) && claims.contains_key("tid") { Err(TokenError::UnsupportedVersion) } else { Ok(()) }
}

/// Reads the user's identity. The role stays unset until the tenant is known. Every claim that could name the user must
/// be a string, even if it is not used, so that no other service that reads the token sees a different user.
pub fn identity(claims: &Claims, issuer: &IssuerSettings) -> Result<Identity, TokenError> {
    let names: &ClaimNames = &issuer.claims;
    let subject_claims = names.subject.iter().filter_map(|name| first_claim(claims, std::slice::from_ref(name)));
    if !["sub", "oid"].iter().filter_map(|name| claims.get(*name)).chain(subject_claims).all(Value::is_string) {
        return Err(TokenError::InvalidSubject);
    }
    let subject = text_claim(claims, &names.subject).filter(|subject| subject.chars().count() <= MAX_SUBJECT_CHARS);
    Ok(Identity {
        issuer: issuer.issuer.clone(),
        subject: subject.ok_or(TokenError::InvalidSubject)?.to_owned(),
        email: text_claim(claims, &names.email).map(str::to_owned),
        name: text_claim(claims, &names.name).map(str::to_owned),
        role: None,
        issued_at: claims.get("iat").and_then(timestamp),
    })
}

fn timestamp(value: &Value) -> Option<Timestamp> {
    numeric_date(value).and_then(|seconds| Timestamp::from_timestamp(seconds, 0))
}

/// Extracts the properties of the login that decide whether the user is admitted.
pub fn login(claims: &Claims, issuer: &IssuerSettings, now: Timestamp) -> LoginClaims {
    let names = &issuer.claims;
    let required = issuer.required_claim.as_ref().and_then(|(name, _)| claims.get(name)).and_then(Value::as_str);
    LoginClaims {
        tenant_claim: text_claim(claims, &names.tenant).map(str::to_owned),
        guest_of: guest_home_directory(claims)
            .map(|home| if is_storable(home) { home.to_owned() } else { String::new() }),
        groups_left_out: has_groups_overage(claims),
        is_application: is_application(claims),
        scopes: list_claim(claims, &names.scopes).map(storable_values).unwrap_or_default(),
        roles: list_claim(claims, &names.roles).map(storable_values),
        groups: list_claim(claims, &names.groups).map(storable_values),
        required_claim: required.map(str::to_owned),
        authenticated_at: first_claim(claims, &names.auth_time).and_then(timestamp),
        issued_at: claims.get("iat").and_then(timestamp),
        seen_at: now,
    }
}

/// The token's `jti` or its equivalent, if it can be logged.
pub fn token_id(claims: &Claims, names: &ClaimNames) -> Option<String> {
    text_claim(claims, &names.token_id).and_then(loggable_text)
}

/// The client that requested the token, if it can be logged.
pub fn client(claims: &Claims, names: &ClaimNames) -> Option<String> {
    text_claim(claims, &names.client).and_then(loggable_text)
}

/// The time of the user's last authentication (`auth_time`).
pub fn auth_time(claims: &Claims, names: &ClaimNames) -> Option<Timestamp> {
    Timestamp::from_timestamp(first_claim(claims, &names.auth_time).and_then(numeric_date)?, 0)
}

/// The authentication context class (`acr`, OpenID Connect Core §2), if it can be logged.
pub fn acr(claims: &Claims) -> Option<String> {
    claims.get("acr").and_then(Value::as_str).and_then(loggable_text)
}

/// The session at the identity provider (`sid`, OpenID Connect Front-Channel Logout §3), if the token names one.
pub fn session_id(claims: &Claims) -> Option<&str> {
    claims.get("sid").and_then(Value::as_str).filter(|sid| !sid.is_empty())
}

/// Entra omits the groups of a user with more than 200 and names an endpoint to query instead (`_claim_names`). The
/// platform never calls that endpoint.
fn has_groups_overage(claims: &Claims) -> bool {
    claims.get("_claim_names").and_then(|names| names.get("groups")).is_some()
        || claims.get("hasgroups").is_some_and(|flag| flag == &Value::Bool(true) || flag == "true")
}

/// Whether the token was issued to an application instead of a user (Entra's `idtyp`, Auth0's `gty`).
pub fn is_application(claims: &Claims) -> bool {
    claims.get("idtyp").is_some_and(|kind| kind == "app")
        || claims.get("gty").is_some_and(|grant_type| grant_type == "client-credentials")
}

/// The home directory of a guest, or `None` if the user is not a guest. A user is a guest if `acct` is 1 or `idp` names
/// another directory than `tid` (Entra). The string is empty if the token does not name the home directory.
fn guest_home_directory(claims: &Claims) -> Option<&str> {
    let idp = claims.get("idp").and_then(Value::as_str);
    let is_marked_as_guest = claims.get("acct").is_some_and(|acct| acct == 1 || acct == "1");
    let tid = claims.get("tid").and_then(Value::as_str);
    let is_from_other_directory = matches!((idp, tid), (Some(idp), Some(tid)) if !idp.contains(tid));
    (is_marked_as_guest || is_from_other_directory).then(|| idp.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: Value) -> Claims {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_claim_name_with_a_dot_is_looked_up_literally_before_it_is_used_as_a_path() {
        let names = ["extn.Tenant".to_owned(), "realm_access.roles".to_owned()];
        let flat = claims(json!({"extn.Tenant": "a", "extn": {"Tenant": "b"}}));
        assert_eq!(first_claim(&flat, &names), Some(&json!("a")));
        let nested = claims(json!({"realm_access": {"roles": ["x"]}}));
        assert_eq!(first_claim(&nested, &names), Some(&json!(["x"])));
    }

    #[test]
    fn times_are_checked_with_a_leeway_of_a_minute_and_wrong_types_are_refused() {
        let now = Timestamp::from_timestamp(10_000, 0).expect("valid");
        let check = |value: Value| check_validity_period(&claims(value), now).map(|at| at.timestamp());
        assert_eq!(check(json!({"exp": 10_100})), Ok(10_100));
        assert_eq!(check(json!({"exp": 9_941})), Ok(9_941));
        assert_eq!(check(json!({"exp": 9_940})), Err(TokenError::Expired));
        assert_eq!(check(json!({})), Err(TokenError::InvalidExpiry));
        assert_eq!(check(json!({"exp": "10100"})), Err(TokenError::InvalidExpiry));
        assert_eq!(check(json!({"exp": 1e300})), Err(TokenError::InvalidExpiry));
        assert_eq!(check(json!({"exp": 10_100, "nbf": 10_061})), Err(TokenError::NotYetValid));
        assert_eq!(check(json!({"exp": 10_100, "nbf": "1"})), Err(TokenError::NotYetValid));
        assert_eq!(check(json!({"exp": 10_100, "nbf": 10_060, "iat": 10_061})), Err(TokenError::IssuedInFuture));
    }

    #[test]
    fn an_id_token_is_not_an_access_token() {
        assert_eq!(check_is_access_token(&claims(json!({"nonce": "n"}))), Err(TokenError::NotAnOAuthAccessToken));
        assert_eq!(check_is_access_token(&claims(json!({"sub": "s"}))), Ok(()));
    }

    #[test]
    fn tokens_with_another_type_or_an_unsupported_version_are_refused() {
        for (claim, reason) in [
            (json!({"typ": "ID"}), Err(TokenError::NotAnOAuthAccessToken)),
            (json!({"typ": "Refresh"}), Err(TokenError::NotAnOAuthAccessToken)),
            (json!({"token_use": "id"}), Err(TokenError::NotAnOAuthAccessToken)),
            (json!({"events": {}}), Err(TokenError::NotAnOAuthAccessToken)),
            (json!({"typ": "Bearer"}), Ok(())),
            (json!({"ver": "1.0", "tid": "t"}), Err(TokenError::UnsupportedVersion)),
            (json!({"ver": "1.0", "apptype": "Public"}), Ok(())),
            (json!({"ver": "2.0", "tid": "t"}), Ok(())),
        ] {
            assert_eq!(check_is_access_token(&claims(claim.clone())), reason, "{claim}");
        }
    }

    #[test]
    fn a_guest_has_acct_1_or_comes_from_another_directory() {
        let home = "https://sts.windows.net/t1/";
        for (claim, guest) in [
            (json!({"acct": 1}), Some("")),
            (json!({"acct": 0}), None),
            (json!({"tid": "t1", "idp": home}), None),
            (json!({"tid": "t2", "idp": home}), Some(home)),
            (json!({"tid": "t2", "idp": "live.com"}), Some("live.com")),
            (json!({"idp": "github"}), None),
        ] {
            assert_eq!(guest_home_directory(&claims(claim.clone())), guest, "{claim}");
        }
    }

    #[test]
    fn the_audience_is_required_and_may_be_an_array() {
        let accepted = ["api".to_owned()];
        assert_eq!(check_audience(&claims(json!({"aud": ["x", "api"]})), &accepted), Ok(()));
        assert_eq!(check_audience(&claims(json!({"aud": ["api", 7]})), &accepted), Err(TokenError::AudienceMismatch));
        assert_eq!(check_audience(&claims(json!({"aud": "x"})), &accepted), Err(TokenError::AudienceMismatch));
        assert_eq!(check_audience(&claims(json!({})), &accepted), Err(TokenError::AudienceMismatch));
    }
}
