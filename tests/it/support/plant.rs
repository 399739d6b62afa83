//! A tenant in which writes are asked for, decided on and executed.

use super::api_client::{ApiClient, ApiResponse};
use super::app::TestApp;
use domain::role::Role;
use fakes::eventually_within;
use serde_json::{Value, json};
use std::time::Duration;

pub const INVOKE: &str = "/v1/tools/plant_system_write/invoke";
pub const POLICY: &str = "/v1/admin/approval-policies/plant_system_write";
/// How long a worker may take for what is due.
pub const TIMEOUT: Duration = Duration::from_secs(20);
/// Longer than the time in which a worker takes up what is due.
pub const NO_CHANGE: Duration = Duration::from_secs(3);

/// A tenant with a requester (`ada`), an approver (`ines`) and another admin (`founder`).
pub struct Plant<'a> {
    pub app: &'a TestApp,
    pub tenant: &'static str,
}

impl<'a> Plant<'a> {
    pub async fn new(app: &'a TestApp, tenant: &'static str) -> Self {
        app.create_tenant(tenant).await;
        let plant = Self { app, tenant };
        plant.appoint("ines").await;
        plant
    }

    pub async fn shared(tenant: &'static str) -> Plant<'static> {
        Plant::new(TestApp::shared().await, tenant).await
    }

    pub fn caller(&self, name: &str, role: Role) -> ApiClient<'a> {
        self.app.caller(self.tenant, name, role)
    }

    pub fn founder(&self) -> ApiClient<'a> {
        self.caller("founder", Role::Admin)
    }

    pub fn requester(&self) -> ApiClient<'a> {
        self.caller("ada", Role::Admin)
    }

    pub async fn user_id(&self, name: &str, role: Role) -> String {
        text(&self.caller(name, role).get("/v1/me").await.expect_json(200)["id"])
    }

    /// Gives the grant `approver` to a user, and returns the user's id.
    pub async fn appoint(&self, name: &str) -> String {
        let role = if name == "ada" { Role::Admin } else { Role::User };
        let id = self.user_id(name, role).await;
        self.change_user(&id, &json!({ "grants": ["approver"] })).await;
        id
    }

    pub async fn change_user(&self, id: &str, change: &Value) {
        self.founder().patch(&format!("/v1/admin/users/{id}"), change).await.expect_json(200);
    }

    pub async fn put_policy(&self, policy: &Value) -> Value {
        self.founder().put(POLICY, policy).await.expect_json(200)
    }

    pub async fn set_mode(&self, mode: &str) {
        let body = json!({ "mode": mode, "reason": "A test" });
        self.founder().put("/v1/admin/plant-mode", &body).await.expect_json(200);
    }

    /// Sets the maintenance system; returns its settings.
    pub async fn set_system(&self, system: &Value) -> Value {
        self.founder().put("/v1/admin/maintenance-system", system).await.expect_json(200)
    }

    /// Asks for a work order as `ada`; returns the request.
    pub async fn request(&self, title: &str) -> Value {
        let pending = self.requester().post(INVOKE, &work_order(title)).await;
        let location = pending.header("location").expect("a location").to_owned();
        let body = pending.expect_json(202);
        assert_eq!(body["status"], "pending_approval", "{body}");
        let approval = self.requester().get(&location).await.expect_json(200);
        assert_eq!((&approval["id"], &approval["status"]), (&body["approval_id"], &json!("pending")), "{approval}");
        approval
    }

    /// Decides with a token of a user who has just signed in.
    pub async fn decide(&self, name: &str, approval: &Value, decision: &str) -> ApiResponse {
        decide(&self.caller(name, Role::User), approval, decision).await
    }

    pub async fn approve(&self, approval: &Value) -> Value {
        self.decide("ines", approval, "approve").await.expect_json(200)
    }

    pub async fn read(&self, approval: &Value) -> Value {
        self.requester().get(&path(approval)).await.expect_json(200)
    }

    pub async fn wait_for(&self, approval: &Value, status: &str) -> Value {
        eventually_within(TIMEOUT, &format!("{} is {status}", approval["id"]), || async {
            let current = self.read(approval).await;
            (current["status"] == status).then_some(current)
        })
        .await
    }

    pub async fn work_orders(&self, approval: &Value) -> Vec<Value> {
        let path = format!("/v1/work-orders?external_reference={}", text(&approval["id"]));
        self.requester().get(&path).await.expect_json(200)["data"].as_array().expect("a list").clone()
    }

    pub async fn expect_no_order(&self, approval: &Value) {
        assert_eq!(self.work_orders(approval).await, Vec::<Value>::new(), "{approval}");
    }

    /// The names of the audit events with the approval's correlation, oldest first. All of its events must be among
    /// them.
    pub async fn events(&self, approval: &Value) -> Vec<String> {
        let id = text(&approval["id"]);
        let rows = self.audit(&format!("correlation_id={id}")).await;
        for name in ["approval.requested", "approval.decided", "approval.expired", "approval.executed"] {
            for row in self.audit(&format!("event_type={name}&resource_id={id}")).await {
                assert_eq!(row["correlation_id"], approval["id"], "{row}");
            }
        }
        rows.iter().rev().map(|row| text(&row["event_type"])).collect()
    }

    pub async fn audit(&self, query: &str) -> Vec<Value> {
        let listed = self.founder().get(&format!("/v1/audit?limit=200&{query}")).await.expect_json(200);
        listed["data"].as_array().expect("rows").clone()
    }
}

pub fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

pub fn path(approval: &Value) -> String {
    format!("/v1/approvals/{}", text(&approval["id"]))
}

pub fn work_order(title: &str) -> Value {
    let data = json!({ "title": title, "description": "It leaks.", "priority": 2, "due": "2030-01-31" });
    json!({ "arguments": { "action": "create_work_order", "target": "P-101A", "data": data }, "reason": "A drip." })
}

pub async fn decide(caller: &ApiClient<'_>, approval: &Value, decision: &str) -> ApiResponse {
    let body = json!({ "decision": decision, "digest": approval["digest"], "comment": "Read." });
    caller.post(&format!("{}/decision", path(approval)), &body).await
}
