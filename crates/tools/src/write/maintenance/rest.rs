//! A system that speaks the platform's own small REST interface: `GET work-orders?external_reference=` finds an order,
//! `POST work-orders` creates one.

use super::answer::{Answer, id_text};
use super::endpoint::Endpoint;
use super::{MaintenanceSystem, OrderDraft, StoredOrder};
use crate::write::error::WriteError;
use async_trait::async_trait;
use domain::maintenance::MaintenanceKind;
use domain::scope::TenantScope;
use reqwest::Method;
use serde_json::{Value, json};

const PATH: &str = "work-orders";

/// Writes to such a system.
pub(super) struct RestMaintenance {
    pub(super) endpoint: Endpoint,
}

#[async_trait]
impl MaintenanceSystem for RestMaintenance {
    fn kind(&self) -> MaintenanceKind {
        MaintenanceKind::Rest
    }

    fn endpoint(&self) -> Value {
        self.endpoint.describe(PATH)
    }

    fn body(&self, order: &OrderDraft) -> Value {
        let request = &order.request;
        json!({
            "external_reference": order.external_reference(),
            "target": request.target,
            "title": request.title,
            "description": order.long_text(),
            "priority": request.priority,
            "due": request.due,
        })
    }

    async fn find(&self, _: &TenantScope, external_reference: &str) -> Result<Option<StoredOrder>, WriteError> {
        let mut url = self.endpoint.url(PATH);
        url.query_pairs_mut().append_pair("external_reference", external_reference);
        let client = self.endpoint.client().await?;
        let answer = self.endpoint.send(self.endpoint.request(&client, Method::GET, url)?).await?;
        let body = answer.json();
        let Some(found) = body["data"].as_array().filter(|_| answer.status.is_success()) else {
            return Err(self.endpoint.failure(&answer, words(&body)));
        };
        // A system that ignores the filter must not pass off another order as ours.
        let is_ours = |order: &&Value| {
            order["external_reference"].as_str().is_none_or(|reference| reference == external_reference)
        };
        found.iter().find(is_ours).map(|order| stored(order, &answer, &self.endpoint)).transpose()
    }

    async fn create(&self, _: &TenantScope, order: &OrderDraft) -> Result<StoredOrder, WriteError> {
        let client = self.endpoint.client().await?;
        let request = self.endpoint.request(&client, Method::POST, self.endpoint.url(PATH))?;
        let request = request.header("idempotency-key", order.external_reference()).json(&self.body(order));
        let answer = self.endpoint.send(request).await?;
        let body = answer.json();
        if !answer.status.is_success() {
            return Err(self.endpoint.failure(&answer, words(&body)));
        }
        stored(&body, &answer, &self.endpoint)
    }
}

fn stored(order: &Value, answer: &Answer, endpoint: &Endpoint) -> Result<StoredOrder, WriteError> {
    let id = id_text(&order["id"]).ok_or_else(|| endpoint.failure(answer, None))?;
    Ok(StoredOrder { id, status: id_text(&order["status"]) })
}

/// The reason in an error's body, in one of the usual places.
fn words(body: &Value) -> Option<&str> {
    let places = [&body["detail"], &body["message"], &body["error"]["message"], &body["error"], &body["title"]];
    places.into_iter().find_map(Value::as_str)
}
