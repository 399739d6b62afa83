//! SAP S/4HANA Plant Maintenance, by the OData service `API_MAINTNOTIFICATION`: a maintenance notification, found again
//! by a field that holds the external reference.
//!
//! SAP accepts a change only with a token against cross-site requests and with the cookies of the session in which the
//! token was fetched. Both may have ended by the time they are used; then they are fetched again, once.

use super::answer::{Answer, id_text};
use super::endpoint::Endpoint;
use super::{MaintenanceSystem, OrderDraft, StoredOrder};
use crate::write::error::WriteError;
use async_trait::async_trait;
use domain::maintenance::{MaintenanceKind, MaintenanceOptions};
use domain::scope::TenantScope;
use domain::time::{Date, Timestamp};
use reqwest::header::{COOKIE, HeaderValue, SET_COOKIE};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Map, Value};
use url::Url;

/// Path of the service at an S/4HANA system.
const SERVICE_PATH: &str = "/sap/opu/odata/sap/API_MAINTNOTIFICATION";
/// Name of the service, which an address given in full ends with.
const SERVICE: &str = "API_MAINTNOTIFICATION";
/// The entity set of notifications.
const ENTITY_SET: &str = "MaintenanceNotification";
/// SAP's own type of malfunction reports.
const DEFAULT_NOTIFICATION_TYPE: &str = "M1";
/// An extension field, since the service has none for ids of other systems.
const DEFAULT_REFERENCE_FIELD: &str = "YY1_ExternalReference";
/// Maximum length of a notification's short text in SAP, in characters.
const MAX_SHORT_TEXT_CHARS: usize = 40;
const TOKEN_HEADER: &str = "x-csrf-token";

/// Writes to SAP.
pub(super) struct SapMaintenance {
    endpoint: Endpoint,
    options: MaintenanceOptions,
}

/// The token against cross-site requests, and the cookies of the session in which it is valid.
struct Session {
    token: HeaderValue,
    cookies: Option<HeaderValue>,
}

/// The address of the service, whether it was given with or without its path.
pub(super) fn service_url(mut base: Url) -> Url {
    let path = base.path().trim_end_matches('/').to_owned();
    let missing = if path.ends_with(SERVICE) { "" } else { SERVICE_PATH };
    base.set_path(&format!("{path}{missing}"));
    base
}

impl SapMaintenance {
    pub(super) fn new(endpoint: Endpoint, options: MaintenanceOptions) -> Self {
        Self { endpoint, options }
    }

    fn reference_field(&self) -> &str {
        self.options.reference_field.as_deref().unwrap_or(DEFAULT_REFERENCE_FIELD)
    }

    /// Begins a session. What fails here has sent nothing that changes anything.
    async fn begin_session(&self, client: &Client) -> Result<Session, WriteError> {
        let mut url = self.endpoint.url("");
        url.query_pairs_mut().append_pair("$format", "json");
        let request = self.endpoint.request(client, Method::GET, url)?.header(TOKEN_HEADER, "Fetch");
        let answer = self.endpoint.send(request).await.map_err(nothing_sent)?;
        if !answer.status.is_success() {
            return Err(nothing_sent(self.endpoint.failure(&answer, words(&answer.json()).as_deref())));
        }
        let token = answer.headers.get(TOKEN_HEADER).cloned().ok_or_else(|| WriteError::Misconfigured {
            detail: "what answers at its address gives no token against cross-site requests".to_owned(),
        })?;
        Ok(Session { token, cookies: cookies(&answer) })
    }

    async fn post(&self, client: &Client, session: &Session, body: &Value) -> Result<Answer, WriteError> {
        let request = self.endpoint.request(client, Method::POST, self.endpoint.url(ENTITY_SET))?;
        let request = request.header(TOKEN_HEADER, session.token.clone()).json(body);
        let request = match &session.cookies {
            Some(cookies) => request.header(COOKIE, cookies.clone()),
            None => request,
        };
        self.endpoint.send(request).await
    }

    fn stored(&self, order: &Value, answer: &Answer) -> Result<StoredOrder, WriteError> {
        let id = id_text(&order[ENTITY_SET]).ok_or_else(|| self.endpoint.failure(answer, None))?;
        Ok(StoredOrder { id, status: id_text(&order["NotifProcessingPhase"]) })
    }
}

#[async_trait]
impl MaintenanceSystem for SapMaintenance {
    fn kind(&self) -> MaintenanceKind {
        MaintenanceKind::SapPm
    }

    fn endpoint(&self) -> Value {
        self.endpoint.describe(ENTITY_SET)
    }

    fn body(&self, order: &OrderDraft) -> Value {
        let request = &order.request;
        let short_text: String = request.title.chars().take(MAX_SHORT_TEXT_CHARS).collect();
        let notification_type = self.options.notification_type.as_deref().unwrap_or(DEFAULT_NOTIFICATION_TYPE);
        let mut body = Map::new();
        let mut set = |field: &str, value: String| body.insert(field.to_owned(), value.into());
        set("NotificationType", notification_type.to_owned());
        set("NotificationText", short_text);
        set("MaintNotifLongTextForEdit", format!("{}\n\n{}", request.title, order.long_text()));
        set("MaintPriority", request.priority.to_string());
        set("TechnicalObject", request.target.clone());
        set("TechObjIsEquipOrFuncnlLoc", "EAMS_FL".to_owned());
        set(self.reference_field(), order.external_reference());
        if let Some(date) = request.due.as_deref().and_then(odata_date) {
            set("RequiredEndDate", date);
        }
        Value::Object(body)
    }

    async fn find(&self, _: &TenantScope, external_reference: &str) -> Result<Option<StoredOrder>, WriteError> {
        let field = self.reference_field();
        let mut url = self.endpoint.url(ENTITY_SET);
        url.query_pairs_mut()
            .append_pair("$filter", &format!("{field} eq '{external_reference}'"))
            .append_pair("$top", "2")
            .append_pair("$format", "json");
        let client = self.endpoint.client().await?;
        let answer = self.endpoint.send(self.endpoint.request(&client, Method::GET, url)?).await?;
        let body = answer.json();
        let Some(found) = body["d"]["results"].as_array().filter(|_| answer.status.is_success()) else {
            return Err(self.endpoint.failure(&answer, words(&body).as_deref()));
        };
        let is_ours = |order: &&Value| order[field].as_str().is_none_or(|reference| reference == external_reference);
        found.iter().find(is_ours).map(|order| self.stored(order, &answer)).transpose()
    }

    async fn create(&self, _: &TenantScope, order: &OrderDraft) -> Result<StoredOrder, WriteError> {
        let client = self.endpoint.client().await?;
        let body = self.body(order);
        let mut answer = self.post(&client, &self.begin_session(&client).await?, &body).await?;
        if is_token_refused(&answer) {
            answer = self.post(&client, &self.begin_session(&client).await?, &body).await?;
        }
        let reply = answer.json();
        if !answer.status.is_success() {
            return Err(self.endpoint.failure(&answer, words(&reply).as_deref()));
        }
        self.stored(&reply["d"], &answer)
    }
}

/// Whether SAP refused the token or the session, before it looked at the request.
fn is_token_refused(answer: &Answer) -> bool {
    let token = answer.headers.get(TOKEN_HEADER).and_then(|token| token.to_str().ok());
    answer.status == StatusCode::FORBIDDEN && token.is_some_and(|token| token.eq_ignore_ascii_case("required"))
}

/// A failure before the request that creates the order.
fn nothing_sent(error: WriteError) -> WriteError {
    match error {
        WriteError::Unclear { detail, .. } => WriteError::Unreachable { detail },
        other => other,
    }
}

/// The cookies that an answer sets, as they are sent back.
fn cookies(answer: &Answer) -> Option<HeaderValue> {
    let set = answer.headers.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
    let pairs: Vec<_> = set.filter_map(|cookie| cookie.split(';').next()).map(str::trim).collect();
    if pairs.is_empty() {
        return None;
    }
    HeaderValue::from_str(&pairs.join("; ")).ok()
}

/// A date in the JSON of OData version 2: milliseconds since 1970. `None` if it cannot be parsed.
fn odata_date(due: &str) -> Option<String> {
    let midnight = |date: Date| date.and_time(Default::default()).and_utc();
    let at = due.parse::<Timestamp>().ok().or_else(|| due.parse::<Date>().ok().map(midnight))?;
    Some(format!("/Date({})/", at.timestamp_millis()))
}

/// The reason in OData's shape of errors: a text in version 4, an object with a text in version 2.
fn words(body: &Value) -> Option<String> {
    let error = &body["error"];
    let message = error["message"]["value"].as_str().or_else(|| error["message"].as_str())?;
    Some(match error["code"].as_str() {
        Some(code) if !code.is_empty() => format!("{code} {message}"),
        _ => message.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn dates_are_written_as_odata_does() {
        assert_eq!(odata_date("2030-01-31").as_deref(), Some("/Date(1896048000000)/"));
        assert_eq!(odata_date("2030-01-31T00:00:01Z").as_deref(), Some("/Date(1896048001000)/"));
        assert_eq!(odata_date("soon"), None);
    }

    #[test]
    fn the_reason_is_found_in_both_versions_of_odata() {
        let version_2 = json!({ "error": { "code": "IM/123", "message": { "lang": "en", "value": "Unknown" } } });
        assert_eq!(words(&version_2).as_deref(), Some("IM/123 Unknown"));
        assert_eq!(words(&json!({ "error": { "code": "", "message": "Unknown" } })).as_deref(), Some("Unknown"));
        assert_eq!(words(&json!([])), None);
    }

    #[test]
    fn the_address_may_be_given_with_or_without_its_path() {
        let full = "https://s4.example/sap/opu/odata/sap/API_MAINTNOTIFICATION";
        for base in ["https://s4.example", "https://s4.example/", full] {
            assert_eq!(service_url(base.parse().expect("a URL")).as_str(), full);
        }
    }
}
