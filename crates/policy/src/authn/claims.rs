//! Reads claims under whatever names an issuer has for them.

use super::reason::{Reason, loggable};
use super::settings::{ClaimNames, IssuerSettings};
use domain::login::Login;
use domain::time::Timestamp;
use domain::user::Identity;
use serde_json::{Map, Value};

/// Clock skew that is forgiven, in seconds.
pub const SKEW_SECONDS: i64 = 60;
/// Longest subject: what the database keeps as a user's external id.
const MAX_SUBJECT_CHARS: usize = 255;

/// A token's claims.
pub type Claims = Map<String, Value>;

/// The claim under the first of `names` that is there.
pub fn find<'a>(claims: &'a Claims, names: &[String]) -> Option<&'a Value> {
    names.iter().find_map(|name| claims.get(name).or_else(|| follow(claims, name)))
}

fn follow<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    let mut steps = path.split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

/// Text that may be stored and shown: not empty, not long, no control characters (U+0000 is none that a database takes).
fn text<'a>(claims: &'a Claims, names: &[String]) -> Option<&'a str> {
    find(claims, names).and_then(Value::as_str).filter(|text| fits(text))
}

fn fits(text: &str) -> bool {
    !text.is_empty() && text.len() <= 512 && !text.chars().any(char::is_control)
}

/// A claim that may be one string, several in one string, or a list.
fn texts<'a>(claims: &'a Claims, names: &[String]) -> Option<Vec<&'a str>> {
    match find(claims, names)? {
        Value::String(one) => Some(one.split_ascii_whitespace().collect()),
        Value::Array(many) => Some(many.iter().filter_map(Value::as_str).collect()),
        _ => Some(Vec::new()),
    }
}

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().filter(|text| fits(text)).map(str::to_owned).collect()
}

/// A number of seconds since 1970 (RFC 7519 `NumericDate`), if it is one.
fn seconds(value: &Value) -> Option<i64> {
    let seconds = value.as_f64().filter(|s| s.is_finite() && *s >= 0.0 && *s < 1e12)?;
    #[expect(clippy::cast_possible_truncation, reason = "bounded above; whole seconds are exact enough")]
    Some(seconds as i64)
}

/// Checks `exp`, `nbf` and `iat` (RFC 7519 §4.1) and returns when the token expires. A claim of the wrong type is not
/// an absent one.
pub fn check_times(claims: &Claims, now: Timestamp) -> Result<Timestamp, Reason> {
    let now = now.timestamp();
    let time = |name: &str, reason: Reason| match claims.get(name) {
        None => Ok(None),
        Some(value) => seconds(value).map(Some).ok_or(reason),
    };
    let exp = time("exp", Reason::Expiry)?.ok_or(Reason::Expiry)?;
    let (nbf, iat) = (time("nbf", Reason::NotYet)?, time("iat", Reason::IssuedInFuture)?);
    if now >= exp.saturating_add(SKEW_SECONDS) {
        return Err(Reason::Expired);
    }
    if nbf.is_some_and(|nbf| nbf > now + SKEW_SECONDS) {
        return Err(Reason::NotYet);
    }
    if iat.is_some_and(|iat| iat > now + SKEW_SECONDS) {
        return Err(Reason::IssuedInFuture);
    }
    Timestamp::from_timestamp(exp, 0).ok_or(Reason::Expiry)
}

/// Checks how long ago the user proved who they are, and returns until when that is recent enough. Who does not say is
/// refused like one who says too long ago (RFC 9470).
pub fn check_age(at: Option<Timestamp>, max_age_s: Option<u32>, now: Timestamp) -> Result<Option<Timestamp>, Reason> {
    let Some(max_age_s) = max_age_s else { return Ok(None) };
    let refused = Reason::TooLongAgo { max_age_s };
    let (at, now) = (at.ok_or(refused)?.timestamp(), now.timestamp());
    let end = at.saturating_add(i64::from(max_age_s));
    if at > now + SKEW_SECONDS || now >= end.saturating_add(SKEW_SECONDS) {
        return Err(refused);
    }
    Timestamp::from_timestamp(end, 0).map(Some).ok_or(refused)
}

/// `aud` (RFC 7519 §4.1.3): a string or a list of strings, one of which must be accepted.
pub fn check_audience(claims: &Claims, accepted: &[String]) -> Result<(), Reason> {
    let matches = |value: &Value| value.as_str().is_some_and(|aud| accepted.iter().any(|a| a == aud));
    let found = match claims.get("aud") {
        Some(Value::Array(many)) => many.iter().all(Value::is_string) && many.iter().any(matches),
        Some(one) => matches(one),
        None => false,
    };
    if found { Ok(()) } else { Err(Reason::Audience) }
}

/// The claim that must have one value: Entra's `tid`.
pub fn check_required(claims: &Claims, required: Option<&(String, String)>) -> Result<(), Reason> {
    match required {
        Some((name, value)) if claims.get(name).and_then(Value::as_str) != Some(value) => Err(Reason::RequiredClaim),
        _ => Ok(()),
    }
}

/// An ID token proves a login to a client, not a right to call an API; it carries a `nonce` or hashes of what it came
/// with (OpenID Connect Core §2, §3.3.2.11), or says what it is (Keycloak's `typ`, Cognito's `token_use`). A logout token
/// has `events`. Entra's tokens of version 1 have other names and another issuer: they are refused rather than half
/// understood (AD FS also says 1.0, and has no `tid`).
pub fn check_kind(claims: &Claims) -> Result<(), Reason> {
    let is = |name: &str, others: &[&str]| {
        claims.get(name).and_then(Value::as_str).is_some_and(|kind| others.iter().any(|o| o.eq_ignore_ascii_case(kind)))
    };
    let marks = ["nonce", "at_hash", "c_hash", "s_hash", "events"];
    if marks.iter().any(|name| claims.contains_key(*name))
        || is("typ", &["ID", "Refresh", "Offline", "Logout"])
        || is("token_use", &["id"])
    {
        return Err(Reason::Kind);
    }
    if is("ver", &["1.0"]) && claims.contains_key("tid") { Err(Reason::Version) } else { Ok(()) }
}

/// Who the token speaks of. The role is decided once the tenant is known. A claim that names the user must be text, also
/// where it is not the one that is used: two readers could see two users.
pub fn identity(claims: &Claims, issuer: &IssuerSettings) -> Result<Identity, Reason> {
    let names: &ClaimNames = &issuer.claims;
    let named = names.subject.iter().filter_map(|name| find(claims, std::slice::from_ref(name)));
    if !["sub", "oid"].iter().filter_map(|name| claims.get(*name)).chain(named).all(Value::is_string) {
        return Err(Reason::Subject);
    }
    let subject = text(claims, &names.subject).filter(|subject| subject.chars().count() <= MAX_SUBJECT_CHARS);
    Ok(Identity {
        issuer: issuer.issuer.clone(),
        subject: subject.ok_or(Reason::Subject)?.to_owned(),
        email: text(claims, &names.email).map(str::to_owned),
        name: text(claims, &names.name).map(str::to_owned),
        role: None,
        issued_at: claims.get("iat").and_then(time),
    })
}

fn time(value: &Value) -> Option<Timestamp> {
    seconds(value).and_then(|seconds| Timestamp::from_timestamp(seconds, 0))
}

/// What the token says of the login that it stands for.
pub fn login(claims: &Claims, issuer: &IssuerSettings, now: Timestamp) -> Login {
    let names = &issuer.claims;
    let required = issuer.required_claim.as_ref().and_then(|(name, _)| claims.get(name)).and_then(Value::as_str);
    Login {
        tenant_claim: text(claims, &names.tenant).map(str::to_owned),
        guest_of: guest_of(claims).map(|home| if fits(home) { home.to_owned() } else { String::new() }),
        groups_left_out: has_groups_overage(claims),
        is_application: is_application(claims),
        scopes: texts(claims, &names.scopes).map(owned).unwrap_or_default(),
        roles: texts(claims, &names.roles).map(owned),
        groups: texts(claims, &names.groups).map(owned),
        required_claim: required.map(str::to_owned),
        authenticated_at: find(claims, &names.auth_time).and_then(time),
        issued_at: claims.get("iat").and_then(time),
        seen_at: now,
    }
}

/// The token's own id, if it may be logged.
pub fn token_id(claims: &Claims, names: &ClaimNames) -> Option<String> {
    text(claims, &names.token_id).and_then(loggable)
}

/// The client that asked for the token, if it may be logged.
pub fn client(claims: &Claims, names: &ClaimNames) -> Option<String> {
    text(claims, &names.client).and_then(loggable)
}

/// When the user last proved who they are.
pub fn auth_time(claims: &Claims, names: &ClaimNames) -> Option<Timestamp> {
    Timestamp::from_timestamp(find(claims, &names.auth_time).and_then(seconds)?, 0)
}

/// How the user proved who they are (OpenID Connect Core §2), if it may be logged.
pub fn acr(claims: &Claims) -> Option<String> {
    claims.get("acr").and_then(Value::as_str).and_then(loggable)
}

/// The session at the identity provider (OpenID Connect Front-Channel Logout §3), if it may be logged.
pub fn session_id(claims: &Claims) -> Option<String> {
    claims.get("sid").and_then(Value::as_str).and_then(loggable)
}

/// More than 200 groups: Entra leaves them out and says where to ask (`_claim_names`). That address is never called.
fn has_groups_overage(claims: &Claims) -> bool {
    claims.get("_claim_names").and_then(|names| names.get("groups")).is_some()
        || claims.get("hasgroups").is_some_and(|flag| flag == &Value::Bool(true) || flag == "true")
}

/// The token of a program, not of a person: Entra's `idtyp`, Auth0's `gty`.
pub fn is_application(claims: &Claims) -> bool {
    claims.get("idtyp").is_some_and(|kind| kind == "app")
        || claims.get("gty").is_some_and(|g| g == "client-credentials")
}

/// The home directory of a guest (Entra: `acct` is 1, or `idp` names another directory than the token's); `None` for
/// everybody else. A guest whose home the token does not tell has an empty one.
fn guest_of(claims: &Claims) -> Option<&str> {
    let idp = claims.get("idp").and_then(Value::as_str);
    let is_marked = claims.get("acct").is_some_and(|acct| acct == 1 || acct == "1");
    let tid = claims.get("tid").and_then(Value::as_str);
    let is_foreign = matches!((idp, tid), (Some(idp), Some(tid)) if !idp.contains(tid));
    (is_marked || is_foreign).then(|| idp.unwrap_or_default())
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
    fn tokens_that_say_what_they_are_are_believed_where_it_is_no_access_token() {
        for (claim, reason) in [
            (json!({"typ": "ID"}), Err(Reason::Kind)),
            (json!({"typ": "Refresh"}), Err(Reason::Kind)),
            (json!({"token_use": "id"}), Err(Reason::Kind)),
            (json!({"events": {}}), Err(Reason::Kind)),
            (json!({"typ": "Bearer"}), Ok(())),
            (json!({"ver": "1.0", "tid": "t"}), Err(Reason::Version)),
            (json!({"ver": "1.0", "apptype": "Public"}), Ok(())),
            (json!({"ver": "2.0", "tid": "t"}), Ok(())),
        ] {
            assert_eq!(check_kind(&claims(claim.clone())), reason, "{claim}");
        }
    }

    #[test]
    fn a_guest_is_marked_or_comes_from_another_directory() {
        let home = "https://sts.windows.net/t1/";
        for (claim, guest) in [
            (json!({"acct": 1}), Some("")),
            (json!({"acct": 0}), None),
            (json!({"tid": "t1", "idp": home}), None),
            (json!({"tid": "t2", "idp": home}), Some(home)),
            (json!({"tid": "t2", "idp": "live.com"}), Some("live.com")),
            (json!({"idp": "github"}), None),
        ] {
            assert_eq!(guest_of(&claims(claim.clone())), guest, "{claim}");
        }
    }

    #[test]
    fn the_audience_may_be_a_list_and_must_be_there() {
        let accepted = ["api".to_owned()];
        assert_eq!(check_audience(&claims(json!({"aud": ["x", "api"]})), &accepted), Ok(()));
        assert_eq!(check_audience(&claims(json!({"aud": ["api", 7]})), &accepted), Err(Reason::Audience));
        assert_eq!(check_audience(&claims(json!({"aud": "x"})), &accepted), Err(Reason::Audience));
        assert_eq!(check_audience(&claims(json!({})), &accepted), Err(Reason::Audience));
    }
}
