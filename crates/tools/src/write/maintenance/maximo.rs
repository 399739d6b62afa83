//! IBM Maximo, by its JSON API (lean OSLC): a service request or a work order in an object structure, found again by a
//! field that holds the external reference.

use super::answer::{Answer, id_text};
use super::endpoint::Endpoint;
use super::{MaintenanceSystem, OrderDraft, StoredOrder};
use crate::write::error::WriteError;
use async_trait::async_trait;
use domain::maintenance::{MaintenanceKind, MaintenanceOptions};
use domain::scope::TenantScope;
use reqwest::Method;
use serde_json::{Map, Value, json};
use url::Url;

/// The object structure of service requests.
const DEFAULT_OBJECT_STRUCTURE: &str = "mxapisr";
/// The field that Maximo has in tickets for the id in an external system.
const DEFAULT_REFERENCE_FIELD: &str = "externalrecid";
/// Maximum length of a summary in Maximo, in characters.
const MAX_SUMMARY_CHARS: usize = 100;
/// Object structures of work orders begin with this; their fields have other names than those of tickets.
const WORK_ORDER_PREFIX: &str = "mxapiwo";

/// Writes to Maximo.
pub(super) struct MaximoMaintenance {
    endpoint: Endpoint,
    options: MaintenanceOptions,
}

/// The address of the JSON API, whether it was given with or without its path.
pub(super) fn api_url(mut base: Url) -> Url {
    let path = base.path().trim_end_matches('/').to_owned();
    let missing = match path.rsplit('/').next() {
        Some("api" | "oslc") => "",
        Some("maximo") => "/api",
        _ => "/maximo/api",
    };
    base.set_path(&format!("{path}{missing}"));
    base
}

impl MaximoMaintenance {
    pub(super) fn new(endpoint: Endpoint, options: MaintenanceOptions) -> Self {
        Self { endpoint, options }
    }

    fn object_structure(&self) -> &str {
        self.options.object_structure.as_deref().unwrap_or(DEFAULT_OBJECT_STRUCTURE)
    }

    fn reference_field(&self) -> &str {
        self.options.reference_field.as_deref().unwrap_or(DEFAULT_REFERENCE_FIELD)
    }

    fn path(&self) -> String {
        format!("os/{}", self.object_structure())
    }

    fn url(&self) -> Url {
        let mut url = self.endpoint.url(&self.path());
        url.query_pairs_mut().append_pair("lean", "1");
        url
    }
}

#[async_trait]
impl MaintenanceSystem for MaximoMaintenance {
    fn kind(&self) -> MaintenanceKind {
        MaintenanceKind::Maximo
    }

    fn endpoint(&self) -> Value {
        self.endpoint.describe(&self.path())
    }

    fn body(&self, order: &OrderDraft) -> Value {
        let request = &order.request;
        let is_work_order = self.object_structure().starts_with(WORK_ORDER_PREFIX);
        let (priority, due) =
            if is_work_order { ("wopriority", "targcompdate") } else { ("reportedpriority", "targetfinish") };
        let mut body = Map::new();
        body.insert("description".to_owned(), request.title.chars().take(MAX_SUMMARY_CHARS).collect::<String>().into());
        body.insert("description_longdescription".to_owned(), order.long_text().into());
        body.insert("assetnum".to_owned(), request.target.clone().into());
        body.insert(priority.to_owned(), request.priority.into());
        body.insert(self.reference_field().to_owned(), order.external_reference().into());
        if let Some(site) = &self.options.site {
            body.insert("siteid".to_owned(), site.clone().into());
        }
        if let Some(date) = &request.due {
            body.insert(due.to_owned(), date.clone().into());
        }
        Value::Object(body)
    }

    async fn find(&self, _: &TenantScope, external_reference: &str) -> Result<Option<StoredOrder>, WriteError> {
        let field = self.reference_field();
        let mut url = self.url();
        url.query_pairs_mut()
            .append_pair("oslc.where", &format!("{field}=\"{external_reference}\""))
            .append_pair("oslc.select", "*")
            .append_pair("oslc.pageSize", "2");
        let client = self.endpoint.client().await?;
        let answer = self.endpoint.send(self.endpoint.request(&client, Method::GET, url)?).await?;
        let body = answer.json();
        let members = body["member"].as_array().or_else(|| body["rdfs:member"].as_array());
        let Some(found) = members.filter(|_| answer.status.is_success()) else {
            return Err(self.endpoint.failure(&answer, words(&body)));
        };
        let is_ours = |order: &&Value| order[field].as_str().is_none_or(|reference| reference == external_reference);
        found.iter().find(is_ours).map(|order| self.stored(order, &answer)).transpose()
    }

    async fn create(&self, _: &TenantScope, order: &OrderDraft) -> Result<StoredOrder, WriteError> {
        let client = self.endpoint.client().await?;
        let request = self.endpoint.request(&client, Method::POST, self.url())?;
        // Without this header Maximo answers with an address and no body.
        let request = request.header("properties", "*").json(&self.body(order));
        let answer = self.endpoint.send(request).await?;
        let body = answer.json();
        if !answer.status.is_success() {
            return Err(self.endpoint.failure(&answer, words(&body)));
        }
        let location = answer.headers.get("location").and_then(|location| location.to_str().ok());
        let body = if body.is_object() { body } else { json!({ "href": location }) };
        self.stored(&body, &answer)
    }
}

impl MaximoMaintenance {
    fn stored(&self, order: &Value, answer: &Answer) -> Result<StoredOrder, WriteError> {
        let id = ["ticketid", "wonum", "href"].into_iter().find_map(|field| id_text(&order[field]));
        let id = id.ok_or_else(|| self.endpoint.failure(answer, None))?;
        Ok(StoredOrder { id, status: id_text(&order["status"]) })
    }
}

/// The reason in an error's body.
fn words(body: &Value) -> Option<&str> {
    [&body["Error"]["message"], &body["oslc:Error"]["oslc:message"]].into_iter().find_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_may_be_given_with_or_without_its_path() {
        for base in ["https://mas.example", "https://mas.example/maximo/", "https://mas.example/maximo/api"] {
            assert_eq!(api_url(base.parse().expect("a URL")).as_str(), "https://mas.example/maximo/api");
        }
        let oslc = "https://mas.example/maximo/oslc";
        assert_eq!(api_url(oslc.parse().expect("a URL")).as_str(), oslc);
    }
}
