//! Every route of the OpenAPI document, called by three roles of two tenants: the authorization matrix applies,
//! resources of another tenant or a colleague look as if they did not exist, and requests without a token are refused.

use crate::support::api_client::{ApiClient, ApiResponse, multipart_body, multipart_content_type};
use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::files;
use domain::ports::IdGen as _;
use domain::role::Role;
use platform_server::system::TimeOrderedIds;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// One route with a valid request.
struct Route {
    method: Method,
    /// The path as in the OpenAPI document.
    path: &'static str,
    body: SampleBody,
    /// The kind of resource that the path, or the simulation, refers to.
    resource_kind: ResourceKind,
    /// Who may call the route.
    access: Access,
}

/// The body of the request.
enum SampleBody {
    Nothing,
    Json(Value),
    Csv(&'static str),
    File,
}

/// The kind of resource whose id a route needs.
#[derive(Clone, Copy, PartialEq)]
enum ResourceKind {
    Nothing,
    Conversation,
    Message,
    Document,
    Run,
    Memory,
    User,
    Tenant,
    Decision,
    Mapping,
    Token,
    Session,
    UserSession,
    Approval,
    WorkOrder,
    Channel,
    Connector,
    McpServer,
    Tool,
    WriteTool,
    ProblemType,
    Goal,
    Agent,
}

/// Who may call a route, as in a row of `docs/generated/authz-matrix.txt`.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    Anyone,
    Authenticated,
    Users,
    Admins,
    /// Platform administrators, which no role includes. No caller in these tests is one.
    PlatformAdmins,
}

impl Access {
    fn admits(self, role: Role) -> bool {
        match self {
            Self::Anyone | Self::Authenticated => true,
            Self::Users => role != Role::Viewer,
            Self::Admins => role == Role::Admin,
            Self::PlatformAdmins => false,
        }
    }
}

/// Routes without a row in [`routes`]. Anyone may call this one, but only for users of the demo tenant; `console.rs`
/// tests it. Decisions and cancellations depend on the state of the request and on who made it; `approvals.rs` tests
/// them. `teams.rs` calls the routes of teams as each kind of member. What changes a goal depends on its state, and its
/// events may go on; `goals.rs` tests them.
const TESTED_ELSEWHERE: &[&str] = &[
    "POST /v1/development/users/{id}/token",
    "POST /v1/approvals/{id}/decision",
    "POST /v1/approvals/{id}/cancel",
    "GET /v1/readings/chart",
    "GET /v1/teams",
    "POST /v1/teams",
    "GET /v1/teams/{id}",
    "PATCH /v1/teams/{id}",
    "DELETE /v1/teams/{id}",
    "POST /v1/teams/{id}/restore",
    "GET /v1/teams/{id}/members",
    "PUT /v1/teams/{id}/members/{user}",
    "DELETE /v1/teams/{id}/members/{user}",
    "POST /v1/teams/{id}/invitations",
    "GET /v1/invitations",
    "POST /v1/invitations/{id}/accept",
    "POST /v1/invitations/{id}/decline",
    "GET /v1/goals/{id}/events",
    "PATCH /v1/goals/{id}/plan",
    "POST /v1/goals/{id}/approve",
    "POST /v1/goals/{id}/cancel",
    "POST /v1/goals/{id}/steps/{step}/retry",
];

fn routes() -> Vec<Route> {
    let by_audience = [
        public_routes(),
        user_routes(),
        write_routes(),
        channel_routes(),
        mcp_routes(),
        connector_routes(),
        goal_routes(),
        glossary_routes(),
        openai_routes(),
        admin_routes(),
    ];
    by_audience.into_iter().flatten().collect()
}

fn route(method: Method, path: &'static str, body: SampleBody, resource_kind: ResourceKind, access: Access) -> Route {
    Route { method, path, body, resource_kind, access }
}

fn public_routes() -> Vec<Route> {
    use ResourceKind as Kind;
    let get = |path, kind| route(Method::GET, path, SampleBody::Nothing, kind, Access::Anyone);
    vec![
        get("/health", Kind::Nothing),
        get("/v1/health", Kind::Nothing),
        get("/ready", Kind::Nothing),
        get("/problems/{type}", Kind::ProblemType),
        get("/v1/development/users", Kind::Nothing),
    ]
}

fn user_routes() -> Vec<Route> {
    use ResourceKind as Kind;
    use SampleBody::{File, Nothing};
    let json = SampleBody::Json;
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    let chat = json!({ "message": "Which bolts?", "stream": false });
    let new_token = json!({ "name": "T", "scopes": ["account:read"] });
    vec![
        route(get.clone(), "/v1/me", Nothing, Kind::Nothing, Access::Authenticated),
        route(get.clone(), "/v1/audit", Nothing, Kind::Nothing, Access::Authenticated),
        route(get.clone(), "/v1/audit/export", Nothing, Kind::Nothing, Access::Admins),
        route(post.clone(), "/v1/search", json(json!({ "query": "bolts" })), Kind::Nothing, Access::Authenticated),
        route(get.clone(), "/v1/conversations", Nothing, Kind::Nothing, Access::Authenticated),
        route(post.clone(), "/v1/conversations", json(json!({})), Kind::Nothing, Access::Authenticated),
        route(get.clone(), "/v1/conversations/{id}", Nothing, Kind::Conversation, Access::Authenticated),
        route(
            patch.clone(),
            "/v1/conversations/{id}",
            json(json!({ "title": "T" })),
            Kind::Conversation,
            Access::Authenticated,
        ),
        route(post.clone(), "/v1/conversations/{id}/chat", json(chat), Kind::Conversation, Access::Authenticated),
        route(get.clone(), "/v1/runs/{id}/events", Nothing, Kind::Run, Access::Authenticated),
        route(post.clone(), "/v1/runs/{id}/cancel", Nothing, Kind::Run, Access::Authenticated),
        route(get.clone(), "/v1/conversations/{id}/export", Nothing, Kind::Conversation, Access::Authenticated),
        route(
            Method::PUT,
            "/v1/messages/{id}/feedback",
            json(json!({ "rating": "up" })),
            Kind::Message,
            Access::Authenticated,
        ),
        route(delete.clone(), "/v1/messages/{id}/feedback", Nothing, Kind::Message, Access::Authenticated),
        route(delete.clone(), "/v1/conversations/{id}", Nothing, Kind::Conversation, Access::Authenticated),
        route(get.clone(), "/v1/memories", Nothing, Kind::Nothing, Access::Authenticated),
        route(post.clone(), "/v1/memories", json(json!({ "content": "M" })), Kind::Nothing, Access::Authenticated),
        route(
            patch.clone(),
            "/v1/memories/{id}",
            json(json!({ "importance": 0.7 })),
            Kind::Memory,
            Access::Authenticated,
        ),
        route(delete.clone(), "/v1/memories/{id}", Nothing, Kind::Memory, Access::Authenticated),
        route(get.clone(), "/v1/documents", Nothing, Kind::Nothing, Access::Authenticated),
        route(post.clone(), "/v1/documents/upload", File, Kind::Nothing, Access::Users),
        route(get.clone(), "/v1/documents/{id}", Nothing, Kind::Document, Access::Authenticated),
        route(patch, "/v1/documents/{id}", json(json!({ "title": "T" })), Kind::Document, Access::Users),
        route(get.clone(), "/v1/documents/{id}/content", Nothing, Kind::Document, Access::Authenticated),
        route(post.clone(), "/v1/documents/{id}/reprocess", Nothing, Kind::Document, Access::Users),
        route(delete.clone(), "/v1/documents/{id}", Nothing, Kind::Document, Access::Users),
        route(get.clone(), "/v1/usage", Nothing, Kind::Nothing, Access::Authenticated),
        route(get, "/v1/tokens", Nothing, Kind::Nothing, Access::Authenticated),
        route(post, "/v1/tokens", json(new_token), Kind::Nothing, Access::Authenticated),
        route(delete.clone(), "/v1/tokens/{id}", Nothing, Kind::Token, Access::Authenticated),
        route(Method::GET, "/v1/sessions", Nothing, Kind::Nothing, Access::Authenticated),
        route(delete, "/v1/sessions/{id}", Nothing, Kind::Session, Access::Authenticated),
    ]
}

/// Tools, approvals and what they write.
fn write_routes() -> Vec<Route> {
    use ResourceKind as Kind;
    use SampleBody::Nothing;
    let json = SampleBody::Json;
    let (get, put) = (Method::GET, Method::PUT);
    let policy = json!({ "quorum": 1 });
    let mode = json!({ "mode": "normal", "reason": "As usual" });
    let system = json!({ "kind": "builtin", "config": {} });
    vec![
        route(get.clone(), "/v1/tools", Nothing, Kind::Nothing, Access::Authenticated),
        route(Method::POST, "/v1/tools/{name}/invoke", json(json!({})), Kind::Tool, Access::Authenticated),
        route(get.clone(), "/v1/approvals", Nothing, Kind::Nothing, Access::Authenticated),
        route(get.clone(), "/v1/approvals/{id}", Nothing, Kind::Approval, Access::Authenticated),
        route(get.clone(), "/v1/work-orders", Nothing, Kind::Nothing, Access::Authenticated),
        route(get.clone(), "/v1/work-orders/export", Nothing, Kind::Nothing, Access::Authenticated),
        route(get.clone(), "/v1/work-orders/{id}", Nothing, Kind::WorkOrder, Access::Authenticated),
        route(Method::POST, "/v1/work-orders/{id}/close", Nothing, Kind::WorkOrder, Access::Users),
        route(get.clone(), "/v1/admin/maintenance-system", Nothing, Kind::Nothing, Access::Admins),
        route(put.clone(), "/v1/admin/maintenance-system", json(system), Kind::Nothing, Access::Admins),
        route(get.clone(), "/v1/admin/approval-policies/{tool}", Nothing, Kind::WriteTool, Access::Admins),
        route(put.clone(), "/v1/admin/approval-policies/{tool}", json(policy), Kind::WriteTool, Access::Admins),
        route(get, "/v1/admin/plant-mode", Nothing, Kind::Nothing, Access::Admins),
        route(put, "/v1/admin/plant-mode", json(mode), Kind::Nothing, Access::Admins),
    ]
}

/// Agents and goals. The last route deletes the agent that the others use.
fn goal_routes() -> Vec<Route> {
    use ResourceKind::{Agent, Goal, Nothing};
    let (goals, agents, agent) = ("/v1/goals", "/v1/admin/agents", "/v1/admin/agents/{name}");
    let new_goal = SampleBody::Json(json!({ "objective": "Compare the limits." }));
    let new_agent = json!({ "name": "", "description": "D", "instructions": "I", "tools": ["rag_search"] });
    let change = SampleBody::Json(json!({ "description": "E" }));
    vec![
        route(Method::GET, goals, SampleBody::Nothing, Nothing, Access::Authenticated),
        route(Method::POST, goals, new_goal, Nothing, Access::Authenticated),
        route(Method::GET, "/v1/goals/{id}", SampleBody::Nothing, Goal, Access::Authenticated),
        route(Method::GET, "/v1/agents", SampleBody::Nothing, Nothing, Access::Authenticated),
        route(Method::POST, agents, SampleBody::Json(new_agent), Nothing, Access::Admins),
        route(Method::GET, agent, SampleBody::Nothing, Agent, Access::Admins),
        route(Method::PATCH, agent, change, Agent, Access::Admins),
        route(Method::DELETE, agent, SampleBody::Nothing, Agent, Access::Admins),
    ]
}

/// Channels that people are told of approvals by.
fn channel_routes() -> Vec<Route> {
    use ResourceKind as Kind;
    use SampleBody::Nothing;
    let json = SampleBody::Json;
    let config = json!({ "url": "http://127.0.0.1:9/" });
    let (new, change) = (json!({ "kind": "webhook", "config": config }), json!({ "config": config }));
    vec![
        route(Method::GET, "/v1/admin/channels", Nothing, Kind::Nothing, Access::Admins),
        route(Method::POST, "/v1/admin/channels", json(new), Kind::Nothing, Access::Admins),
        route(Method::GET, "/v1/admin/channels/{id}", Nothing, Kind::Channel, Access::Admins),
        route(Method::PATCH, "/v1/admin/channels/{id}", json(change), Kind::Channel, Access::Admins),
        route(Method::POST, "/v1/admin/channels/{id}/test", Nothing, Kind::Channel, Access::Admins),
        route(Method::GET, "/v1/admin/channels/{id}/deliveries", Nothing, Kind::Channel, Access::Admins),
        route(Method::DELETE, "/v1/admin/channels/{id}", Nothing, Kind::Channel, Access::Admins),
    ]
}

/// MCP servers whose tools the tenant may call.
fn mcp_routes() -> Vec<Route> {
    use ResourceKind::{McpServer, Nothing};
    let (list, one) = ("/v1/admin/mcp-servers", "/v1/admin/mcp-servers/{id}");
    let new_server = json!({ "name": "", "url": "http://127.0.0.1:1/mcp" });
    vec![
        route(Method::GET, list, SampleBody::Nothing, Nothing, Access::Admins),
        route(Method::POST, list, SampleBody::Json(new_server), Nothing, Access::Admins),
        route(Method::GET, one, SampleBody::Nothing, McpServer, Access::Admins),
        route(Method::PATCH, one, SampleBody::Json(json!({ "tools": [] })), McpServer, Access::Admins),
        route(Method::DELETE, one, SampleBody::Nothing, McpServer, Access::Admins),
    ]
}

/// The tenant's own glossary.
fn glossary_routes() -> Vec<Route> {
    use SampleBody::{Csv, Nothing};
    let path = "/v1/admin/glossary";
    let admins = |method, path, body| route(method, path, body, ResourceKind::Nothing, Access::Admins);
    let csv = Csv("concept,language,term\nisolation,de,Freischaltschein\n");
    vec![
        admins(Method::GET, path, Nothing),
        admins(Method::PUT, path, SampleBody::Json(json!({ "concepts": [] }))),
        admins(Method::POST, "/v1/admin/glossary/import", csv),
        admins(Method::GET, "/v1/admin/glossary/export", Nothing),
    ]
}

/// Connectors to plant systems. The last route deletes the one that the others use.
fn connector_routes() -> Vec<Route> {
    use SampleBody::{Csv, Nothing};
    let json = SampleBody::Json;
    let admins = |method, path, body, kind| route(method, path, body, kind, Access::Admins);
    let (get, post, one) = (Method::GET, Method::POST, ResourceKind::Connector);
    let new = json!({ "name": "isolation", "kind": "simulator" });
    let thumbprint = json!({ "thumbprint": "ab".repeat(32) });
    let csv = Csv("tag,address\nISO-1,iso-1\n");
    vec![
        admins(get.clone(), "/v1/admin/connectors", Nothing, ResourceKind::Nothing),
        admins(post.clone(), "/v1/admin/connectors", json(new), ResourceKind::Nothing),
        admins(get.clone(), "/v1/admin/connectors/{id}", Nothing, one),
        admins(Method::PATCH, "/v1/admin/connectors/{id}", json(json!({ "stale_after_s": 60 })), one),
        admins(post.clone(), "/v1/admin/connectors/{id}/check", Nothing, one),
        admins(post.clone(), "/v1/admin/connectors/{id}/trust", json(thumbprint), one),
        admins(post, "/v1/admin/connectors/{id}/tags/import", csv, one),
        admins(get, "/v1/admin/connectors/{id}/browse", Nothing, one),
        admins(Method::DELETE, "/v1/admin/connectors/{id}", Nothing, one),
    ]
}

fn openai_routes() -> Vec<Route> {
    use ResourceKind as Kind;
    let chat = json!({ "model": "auto", "messages": [{ "role": "user", "content": "Which bolts?" }] });
    let embeddings = json!({ "model": "embed", "input": "bolts" });
    vec![
        route(Method::GET, "/openai/v1/models", SampleBody::Nothing, Kind::Nothing, Access::Authenticated),
        route(Method::GET, "/openai/v1/models/{model}", SampleBody::Nothing, Kind::Nothing, Access::Authenticated),
        route(
            Method::POST,
            "/openai/v1/chat/completions",
            SampleBody::Json(chat),
            Kind::Nothing,
            Access::Authenticated,
        ),
        route(
            Method::POST,
            "/openai/v1/embeddings",
            SampleBody::Json(embeddings),
            Kind::Nothing,
            Access::Authenticated,
        ),
    ]
}

fn admin_routes() -> Vec<Route> {
    use ResourceKind as Kind;
    use SampleBody::Nothing;
    let json = SampleBody::Json;
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    let simulation = json!({ "user_id": "", "resource": "documents", "operation": "read" });
    let quotas = json!({ "quotas": { "documents": 1000 } });
    let mapping = json!({ "issuer": platform_server::config::DEVELOPMENT_ISSUER, "claim": "c" });
    let new_user = json!({ "external_id": Uuid::from_u128(1), "email": "n@plant.example" });
    vec![
        route(get.clone(), "/v1/admin/users", Nothing, Kind::Nothing, Access::Admins),
        route(post.clone(), "/v1/admin/users", json(new_user), Kind::Nothing, Access::Admins),
        route(get.clone(), "/v1/admin/users/{id}", Nothing, Kind::User, Access::Admins),
        route(patch.clone(), "/v1/admin/users/{id}", json(json!({ "is_active": true })), Kind::User, Access::Admins),
        route(get.clone(), "/v1/admin/users/{id}/sessions", Nothing, Kind::User, Access::Admins),
        route(delete.clone(), "/v1/admin/users/{id}/sessions/{session}", Nothing, Kind::UserSession, Access::Admins),
        route(get.clone(), "/v1/admin/models", Nothing, Kind::Nothing, Access::Admins),
        route(get.clone(), "/v1/admin/feedback", Nothing, Kind::Nothing, Access::Admins),
        route(get.clone(), "/v1/admin/decisions/{id}", Nothing, Kind::Decision, Access::Admins),
        route(post.clone(), "/v1/admin/decisions/simulate", json(simulation), Kind::User, Access::Admins),
        route(get.clone(), "/v1/admin/settings", Nothing, Kind::Nothing, Access::Admins),
        route(
            patch.clone(),
            "/v1/admin/settings",
            json(json!({ "language": "english" })),
            Kind::Nothing,
            Access::Admins,
        ),
        route(get.clone(), "/v1/admin/settings/versions", Nothing, Kind::Nothing, Access::Admins),
        route(get.clone(), "/v1/admin/usage", Nothing, Kind::Nothing, Access::Admins),
        route(get.clone(), "/v1/admin/tenants/{id}/settings", Nothing, Kind::Tenant, Access::PlatformAdmins),
        route(patch.clone(), "/v1/admin/tenants/{id}/settings", json(quotas), Kind::Tenant, Access::PlatformAdmins),
        route(get.clone(), "/v1/admin/tenants/{id}/settings/versions", Nothing, Kind::Tenant, Access::PlatformAdmins),
        route(get.clone(), "/v1/admin/tenants", Nothing, Kind::Nothing, Access::PlatformAdmins),
        route(
            post.clone(),
            "/v1/admin/tenants",
            json(json!({ "name": "N", "slug": "n" })),
            Kind::Nothing,
            Access::PlatformAdmins,
        ),
        route(patch, "/v1/admin/tenants/{id}", json(json!({ "name": "N" })), Kind::Tenant, Access::PlatformAdmins),
        route(get, "/v1/admin/tenants/{id}/mappings", Nothing, Kind::Tenant, Access::PlatformAdmins),
        route(post, "/v1/admin/tenants/{id}/mappings", json(mapping), Kind::Tenant, Access::PlatformAdmins),
        route(delete, "/v1/admin/tenants/{id}/mappings/{mapping}", Nothing, Kind::Mapping, Access::PlatformAdmins),
    ]
}

/// The ids of one resource of each kind.
#[derive(Debug)]
struct ResourceIds {
    conversation: String,
    message: String,
    document: String,
    run: String,
    memory: String,
    user: String,
    tenant: String,
    decision: String,
    token: String,
    session: String,
    user_session: String,
    approval: String,
    work_order: String,
    channel: String,
    mcp_server: String,
    connector: String,
    goal: String,
    agent: String,
}

impl ResourceIds {
    /// Creates one resource of each kind. The document is an argument, because not every caller may upload. The user
    /// is `colleague`, because admins cannot deactivate themselves. The session belongs to another token of the
    /// caller, because ending the session of the token in use would refuse all further requests.
    async fn create(
        app: &TestApp,
        caller: &ApiClient<'_>,
        document: &str,
        colleague: &ApiClient<'_>,
        other_session: &ApiClient<'_>,
    ) -> Self {
        // The colleague is a viewer, so this request is refused, which stores a decision.
        let refusal = colleague.get("/v1/admin/users").await.expect_problem(403, "policy_denied");
        let (user_session, colleague) =
            (current_session(colleague).await, colleague.get("/v1/me").await.expect_json(200));
        let conversation = caller.create_conversation().await;
        let answer = caller.chat(&conversation, "Which bolts?").await;
        let memory = caller.post("/v1/memories", &json!({ "content": "Bolts are in store 4." })).await.expect_json(201);
        let token = json!({ "name": "T", "scopes": ["account:read"] });
        let token = caller.post("/v1/tokens", &token).await.expect_json(201);
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        Self {
            conversation,
            message: text(&answer["message_id"]),
            document: document.to_owned(),
            run: text(&answer["run_id"]),
            memory: text(&memory["id"]),
            user: text(&colleague["id"]),
            tenant: text(&colleague["tenant"]["id"]),
            decision: text(&refusal["decision_id"]),
            token: text(&token["id"]),
            session: current_session(other_session).await,
            user_session,
            approval: insert_approval(app, caller).await,
            work_order: insert_work_order(app, caller).await,
            channel: insert_channel(app, caller).await,
            mcp_server: insert_mcp_server(app, caller).await,
            connector: insert_connector(app, caller).await,
            goal: create_goal(caller).await,
            agent: insert_agent(app, caller).await,
        }
    }

    /// Ids of resources that do not exist.
    fn missing() -> Self {
        let id = || "00000000-0000-7000-8000-00000000dead".to_owned();
        Self {
            conversation: id(),
            message: id(),
            document: id(),
            run: id(),
            memory: id(),
            user: id(),
            tenant: id(),
            decision: id(),
            token: id(),
            session: id(),
            user_session: id(),
            approval: id(),
            work_order: id(),
            channel: id(),
            mcp_server: id(),
            connector: id(),
            goal: id(),
            agent: "missing".to_owned(),
        }
    }

    fn id_of_kind(&self, kind: ResourceKind) -> &str {
        match kind {
            ResourceKind::Nothing => "",
            ResourceKind::Conversation => &self.conversation,
            ResourceKind::Message => &self.message,
            ResourceKind::Document => &self.document,
            ResourceKind::Run => &self.run,
            ResourceKind::Memory => &self.memory,
            ResourceKind::User | ResourceKind::UserSession => &self.user,
            ResourceKind::Session => &self.session,
            ResourceKind::Tenant | ResourceKind::Mapping => &self.tenant,
            ResourceKind::Token => &self.token,
            ResourceKind::Decision => &self.decision,
            ResourceKind::Approval => &self.approval,
            ResourceKind::WorkOrder => &self.work_order,
            ResourceKind::Channel => &self.channel,
            ResourceKind::McpServer => &self.mcp_server,
            ResourceKind::Connector => &self.connector,
            ResourceKind::Goal => &self.goal,
            ResourceKind::Agent => &self.agent,
            ResourceKind::Tool => "document_list",
            ResourceKind::WriteTool => "plant_system_write",
            ResourceKind::ProblemType => "not-found",
        }
    }
}

impl Route {
    /// Sends the route's request for one of the resources. `unique` makes uploads and new users distinct.
    async fn call(&self, caller: &ApiClient<'_>, resources: &ResourceIds, unique: &str) -> ApiResponse {
        let id = resources.id_of_kind(self.resource_kind);
        let path =
            self.path.replace("{id}", id).replace("{mapping}", id).replace("{type}", id).replace("{model}", "auto");
        let path = path.replace("{name}", id).replace("{tool}", id);
        let path = path.replace("{session}", &resources.user_session);
        let request = caller.request(self.method.clone(), &path);
        let request = match &self.body {
            SampleBody::Nothing => request,
            SampleBody::Json(body) => {
                let mut body = body.clone();
                if let Some(external) = body.get_mut("external_id") {
                    *external = json!(unique);
                }
                if ["/v1/admin/channels", "/v1/admin/mcp-servers"].contains(&self.path) {
                    body["name"] = json!(unique);
                }
                if self.path == "/v1/admin/agents" {
                    let letters = unique.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "");
                    body["name"] = json!(format!("a{letters}"));
                }
                if let Some(user) = body.get_mut("user_id") {
                    *user = json!(resources.user);
                }
                request.json(&body)
            }
            SampleBody::Csv(text) => request.header("content-type", "text/csv").body(*text),
            SampleBody::File => request.header("content-type", multipart_content_type()).body(multipart_body(
                "n.md",
                &files::note(unique),
                &[],
            )),
        };
        ApiResponse::send(request).await
    }

    fn label(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// The session that the caller's token belongs to.
async fn current_session(caller: &ApiClient<'_>) -> String {
    let listed = caller.get("/v1/sessions?limit=200").await.expect_json(200);
    let current =
        listed["data"].as_array().and_then(|sessions| sessions.iter().find(|session| session["current"] == true));
    current.and_then(|session| session["id"].as_str()).expect("a session").to_owned()
}

/// Inserts a request of the caller, because not every role may make one; returns its id.
async fn insert_approval(app: &TestApp, caller: &ApiClient<'_>) -> String {
    insert_row(
        app,
        caller,
        "INSERT INTO approvals (id, tenant_id, tool, tool_version, target, arguments, preview, digest, requested_by,
             policy_version, terms, approver_grant, expires_at, created_at, updated_at)
         VALUES ($1::uuid, $2::uuid, 'tool', 1, '', '{}', '{}', 'sha256:' || repeat('0', 64), $3::uuid, 0,
                 '{\"approvers\": [], \"approver_grant\": true, \"quorum\": 1, \"expires_after_s\": 60,
                   \"on_expiry\": \"reject\", \"escalate_to\": [], \"max_auth_age_s\": 60}',
                 true, now() + interval '1 day', now(), now())",
    )
    .await
}

async fn create_goal(caller: &ApiClient<'_>) -> String {
    let created = caller.post("/v1/goals", &json!({ "objective": "Compare the limits." })).await.expect_json(201);
    created["id"].as_str().expect("an id").to_owned()
}

/// Inserts an agent of the caller's tenant; returns its name.
async fn insert_agent(app: &TestApp, caller: &ApiClient<'_>) -> String {
    let id = insert_row(
        app,
        caller,
        "INSERT INTO agents (tenant_id, name, description, instructions, tools, model, updated_by, created_at,
         updated_at)
         VALUES ($2::uuid, 'a' || replace($1, '-', ''), '', '', '{rag_search}', 'auto', $3::uuid, now(), now())",
    )
    .await;
    format!("a{}", id.replace('-', ""))
}

/// Inserts a work order of the caller's tenant, as a worker would; returns its id.
async fn insert_work_order(app: &TestApp, caller: &ApiClient<'_>) -> String {
    insert_row(
        app,
        caller,
        "INSERT INTO work_orders (id, tenant_id, external_reference, target, title, description, priority, requested_by,
             created_at)
         VALUES ($1::uuid, $2::uuid, $1, '', '', '', 1, $3::uuid, now())",
    )
    .await
}

/// Inserts a channel of the caller's tenant; returns its id.
async fn insert_channel(app: &TestApp, caller: &ApiClient<'_>) -> String {
    insert_row(
        app,
        caller,
        "INSERT INTO channels (id, tenant_id, name, kind, config, created_by, created_at, updated_at)
         VALUES ($1::uuid, $2::uuid, $1, 'webhook', '{\"url\": \"http://127.0.0.1:9/\"}', $3::uuid, now(), now())",
    )
    .await
}

/// Inserts an MCP server of the caller's tenant that nothing listens at; returns its id.
async fn insert_mcp_server(app: &TestApp, caller: &ApiClient<'_>) -> String {
    insert_row(
        app,
        caller,
        "INSERT INTO mcp_servers (id, tenant_id, name, url, updated_by, created_at, updated_at)
         VALUES ($1::uuid, $2::uuid, 'server-' || left(md5($1), 8), 'http://127.0.0.1:1/mcp', $3::uuid, now(), now())",
    )
    .await
}

/// Inserts a simulated plant, because only an admin may create one; returns its id.
async fn insert_connector(app: &TestApp, caller: &ApiClient<'_>) -> String {
    insert_row(
        app,
        caller,
        "INSERT INTO connectors (id, tenant_id, name, kind, endpoint, config, classification, stale_after_s, enabled,
             revision, created_at, updated_at)
         VALUES ($1::uuid, $2::uuid, $1, 'simulator', '', '{}', 'internal', 60, $3 <> '', 1, now(), now())",
    )
    .await
}

/// Runs an INSERT with a new id (`$1`), the caller's tenant (`$2`) and the caller (`$3`); returns the id.
async fn insert_row(app: &TestApp, caller: &ApiClient<'_>, statement: &str) -> String {
    let me = caller.get("/v1/me").await.expect_json(200);
    let id = TimeOrderedIds.uuid().to_string();
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    let (tenant, user) = (text(&me["tenant"]["id"]), text(&me["id"]));
    SuperuserDb::connect(app).await.execute(statement, &[&id, &tenant, &user]).await;
    id
}

async fn upload_note(caller: &ApiClient<'_>, subject: &str) -> String {
    let answer = caller.upload("isolation.md", &files::note(subject), &[]).await.expect_json(202);
    answer["document_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn the_table_has_every_route_of_the_openapi_document() {
    let app = TestApp::shared().await;
    let document = app.without_token().get("/openapi.json").await.expect_json(200);
    let mut served_routes = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let methods = ["get", "post", "put", "patch", "delete", "head", "options"];
        let path_methods = item.as_object().expect("methods").keys().filter(|key| methods.contains(&key.as_str()));
        served_routes.extend(path_methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let mut tested_routes: Vec<_> = routes().iter().map(Route::label).collect();
    tested_routes.extend(TESTED_ELSEWHERE.iter().map(|label| (*label).to_owned()));
    tested_routes.sort_unstable();
    served_routes.sort_unstable();
    assert_eq!(served_routes, tested_routes, "add each route to `routes`");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    assert_eq!(app.without_token().get("/docs/").await.status, 200);
}

#[tokio::test]
async fn each_role_may_call_the_routes_that_the_authorization_matrix_allows() {
    let app = TestApp::shared().await;
    for tenant in [TENANT_A, TENANT_B] {
        for role in [Role::Viewer, Role::User, Role::Admin] {
            let unique = format!("isolation-{tenant}-{}", role.as_str());
            let caller = app.caller(tenant, &unique, role);
            let owner = if role == Role::Viewer { app.as_user(tenant) } else { caller.clone() };
            let document = upload_note(&owner, &unique).await;
            let other_session = app.caller(tenant, &unique, role);
            let resources = ResourceIds::create(app, &caller, &document, &app.as_viewer(tenant), &other_session).await;
            for route in routes() {
                let answer = route.call(&caller, &resources, &format!("{unique}-new")).await;
                let label = format!("{} as {} of {tenant}: {answer:?}", route.label(), role.as_str());
                if route.access.admits(role) {
                    assert!((200..300).contains(&answer.status), "{label}");
                } else {
                    assert_eq!(answer.status, 403, "{label}");
                    answer.expect_problem(403, "policy_denied");
                }
            }
        }
    }
}

#[tokio::test]
async fn without_a_token_every_route_but_the_public_ones_is_401() {
    let app = TestApp::shared().await;
    let missing_resources = ResourceIds::missing();
    for route in routes() {
        let answer = route.call(&app.without_token(), &missing_resources, "nobody").await;
        if route.access == Access::Anyone {
            assert_eq!(answer.status, 200, "{}: {answer:?}", route.label());
        } else {
            if route.path.starts_with("/openai/") {
                assert_eq!(answer.expect_json(401)["error"]["code"], "invalid_api_key", "{}", route.label());
            } else {
                answer.expect_problem(401, "invalid_token");
            }
            let challenge = answer.header("www-authenticate").unwrap_or_default();
            assert!(challenge.starts_with("Bearer"), "{}: {challenge}", route.label());
        }
    }
}

/// Asserts that routes with a resource of these kinds respond to `others_resources` as if they did not exist.
async fn assert_indistinguishable_from_missing(
    caller: &ApiClient<'_>,
    others_resources: &ResourceIds,
    kinds: &[ResourceKind],
    caller_role: &str,
) {
    let missing_resources = ResourceIds::missing();
    for route in routes().iter().filter(|route| kinds.contains(&route.resource_kind)) {
        let label = format!("{} {caller_role}", route.label());
        let response = route.call(caller, others_resources, "x").await;
        let missing_response = route.call(caller, &missing_resources, "x").await;
        assert_eq!(response.without_request_ids(), missing_response.without_request_ids(), "{label}");
        assert!([403, 404].contains(&response.status), "{label}: {response:?}");
        if route.access == Access::Authenticated {
            response.expect_problem(404, "not_found");
        }
    }
}

#[tokio::test]
async fn resources_of_another_tenant_look_like_missing_ones() {
    let app = TestApp::shared().await;
    let owner = app.caller(TENANT_B, "owner", Role::Admin);
    let document = upload_note(&owner, "theirs").await;
    let others_resources = ResourceIds::create(app, &owner, &document, &app.as_viewer(TENANT_B), &owner).await;
    let kinds = [
        ResourceKind::Conversation,
        ResourceKind::Message,
        ResourceKind::Document,
        ResourceKind::Run,
        ResourceKind::Memory,
        ResourceKind::User,
        ResourceKind::Tenant,
        ResourceKind::Mapping,
        ResourceKind::Token,
        ResourceKind::Session,
        ResourceKind::UserSession,
        ResourceKind::Decision,
        ResourceKind::Approval,
        ResourceKind::WorkOrder,
        ResourceKind::Channel,
        ResourceKind::Connector,
    ];
    for (name, role) in [("spy-v", Role::Viewer), ("spy-u", Role::User), ("spy-a", Role::Admin)] {
        let caller = app.caller(TENANT_A, name, role);
        assert_indistinguishable_from_missing(&caller, &others_resources, &kinds, role.as_str()).await;
        let filters = json!({ "query": "strainer", "filters": { "document_ids": [others_resources.document] } });
        let response = caller.post("/v1/search", &filters).await;
        let missing_filters =
            json!({ "query": "strainer", "filters": { "document_ids": [ResourceIds::missing().document] } });
        let without_time = |(status, mut body): (u16, Value)| {
            body.as_object_mut().map(|fields| fields.remove("took_ms"));
            (status, body)
        };
        assert_eq!(
            without_time(response.without_request_ids()),
            without_time(caller.post("/v1/search", &missing_filters).await.without_request_ids())
        );
    }
    // All of the owner's resources still exist.
    for route in
        routes().iter().filter(|route| kinds.contains(&route.resource_kind) && route.access != Access::PlatformAdmins)
    {
        if route.method != Method::DELETE {
            let answer = route.call(&owner, &others_resources, "x").await;
            assert!((200..300).contains(&answer.status), "{}: {answer:?}", route.label());
        }
    }
}

#[tokio::test]
async fn private_resources_of_a_colleague_look_like_missing_ones() {
    let app = TestApp::shared().await;
    let owner = app.caller(TENANT_A, "colleague", Role::User);
    let document = upload_note(&owner, "colleague").await;
    let colleagues_resources = ResourceIds::create(app, &owner, &document, &app.as_viewer(TENANT_A), &owner).await;
    let private_kinds = [
        ResourceKind::Conversation,
        ResourceKind::Message,
        ResourceKind::Run,
        ResourceKind::Memory,
        ResourceKind::Session,
    ];
    for (name, role) in [("peer-v", Role::Viewer), ("peer-u", Role::User), ("peer-a", Role::Admin)] {
        let peer = app.caller(TENANT_A, name, role);
        assert_indistinguishable_from_missing(&peer, &colleagues_resources, &private_kinds, role.as_str()).await;
        if role != Role::Admin {
            let kinds = [ResourceKind::Token, ResourceKind::Approval];
            assert_indistinguishable_from_missing(&peer, &colleagues_resources, &kinds, role.as_str()).await;
        }
    }
    let peer = app.caller(TENANT_A, "peer-u", Role::User);
    assert_eq!(
        peer.get(&format!("/v1/documents/{}", colleagues_resources.document)).await.status,
        200,
        "documents belong to the tenant"
    );
    peer.delete(&format!("/v1/documents/{}", colleagues_resources.document)).await.expect_problem(403, "policy_denied");
    let reprocess_path = format!("/v1/documents/{}/reprocess", colleagues_resources.document);
    peer.post(&reprocess_path, &json!({})).await.expect_problem(403, "policy_denied");
    let revision = [("supersedes", colleagues_resources.document.as_str())];
    peer.upload("mine.md", &files::note("a revision of theirs"), &revision).await.expect_problem(403, "policy_denied");
    owner.get(&format!("/v1/conversations/{}", colleagues_resources.conversation)).await.expect_json(200);
}

#[tokio::test]
async fn lists_and_searches_return_nothing_of_another_tenant() {
    let app = TestApp::shared().await;
    let (user_a, user_b) = (app.as_user(TENANT_A), app.as_user(TENANT_B));
    user_b.ingest("secret-of-b.md", &files::note("BETA-77 of plant b"), &[]).await;
    user_a.ingest("ours-of-a.md", &files::note("ALPHA-77 of plant a"), &[]).await;
    for path in ["/v1/documents?limit=200", "/v1/conversations?limit=200", "/v1/memories?limit=200"] {
        let tenant = user_b.get("/v1/me").await.expect_json(200)["tenant"]["id"].to_string();
        let listed = user_a.get(path).await.expect_json(200).to_string();
        assert!(!listed.contains("secret-of-b") && !listed.contains(&tenant), "{path}");
    }
    let search = json!({ "query": "strainer of BETA-77 ALPHA-77", "top_k": 50 });
    let found = user_a.post("/v1/search", &search).await.expect_json(200).to_string();
    assert!(found.contains("ours-of-a.md") && !found.contains("secret-of-b.md"), "{found}");
    let found = user_b.post("/v1/search", &search).await.expect_json(200).to_string();
    assert!(found.contains("secret-of-b.md") && !found.contains("ours-of-a.md"), "{found}");
    let audit = app.as_admin(TENANT_A).get("/v1/audit?limit=200").await.expect_json(200);
    let tenants: std::collections::BTreeSet<_> =
        audit["data"].as_array().expect("rows").iter().map(|row| row["tenant_id"].to_string()).collect();
    assert_eq!(tenants.len(), 1, "{tenants:?}");
}
