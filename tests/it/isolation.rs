//! Every route of the OpenAPI document, as two tenants and three roles: the authorization matrix applies, what belongs
//! to another tenant or a colleague looks like something that does not exist, and requests without a token are refused.

use crate::support::app::{A, App, B};
use crate::support::caller::{Answer, Caller, form, form_type};
use crate::support::files;
use domain::role::Role;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// One route with a valid request.
struct Route {
    method: Method,
    /// The path as in the OpenAPI document.
    path: &'static str,
    sample: Sample,
    /// The kind of resource that the path names.
    names: Names,
    /// The callers that are allowed.
    open_to: Who,
}

/// The body of the request.
enum Sample {
    Nothing,
    Json(Value),
    File,
}

/// The kind of resource in the `{…}` of a path.
#[derive(Clone, Copy, PartialEq)]
enum Names {
    Nothing,
    Conversation,
    Document,
    Run,
    Memory,
    User,
    Tenant,
    Decision,
    Mapping,
    Token,
    ProblemType,
}

/// The callers that a route admits, as in a row of `docs/generated/authz-matrix.txt`.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    World,
    Everyone,
    Users,
    Admins,
    /// Callers with a grant that nobody has in these tests; no role is enough.
    PlatformAdmins,
}

impl Who {
    fn admits(self, role: Role) -> bool {
        match self {
            Self::World | Self::Everyone => true,
            Self::Users => role != Role::Viewer,
            Self::Admins => role == Role::Admin,
            Self::PlatformAdmins => false,
        }
    }
}

fn routes() -> Vec<Route> {
    everyday().into_iter().chain(for_openai_clients()).chain(administration()).collect()
}

fn route(method: Method, path: &'static str, sample: Sample, names: Names, open_to: Who) -> Route {
    Route { method, path, sample, names, open_to }
}

fn everyday() -> Vec<Route> {
    use Names as N;
    use Sample::{File, Nothing};
    let json = Sample::Json;
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    let chat = json!({ "message": "Which bolts?", "stream": false });
    let new_token = json!({ "name": "T", "scopes": ["account:read"] });
    vec![
        route(get.clone(), "/health", Nothing, N::Nothing, Who::World),
        route(get.clone(), "/v1/health", Nothing, N::Nothing, Who::World),
        route(get.clone(), "/ready", Nothing, N::Nothing, Who::World),
        route(get.clone(), "/problems/{type}", Nothing, N::ProblemType, Who::World),
        route(get.clone(), "/v1/me", Nothing, N::Nothing, Who::Everyone),
        route(get.clone(), "/v1/audit", Nothing, N::Nothing, Who::Everyone),
        route(get.clone(), "/v1/audit/export", Nothing, N::Nothing, Who::Admins),
        route(post.clone(), "/v1/search", json(json!({ "query": "bolts" })), N::Nothing, Who::Everyone),
        route(get.clone(), "/v1/conversations", Nothing, N::Nothing, Who::Everyone),
        route(post.clone(), "/v1/conversations", json(json!({})), N::Nothing, Who::Everyone),
        route(get.clone(), "/v1/conversations/{id}", Nothing, N::Conversation, Who::Everyone),
        route(patch.clone(), "/v1/conversations/{id}", json(json!({ "title": "T" })), N::Conversation, Who::Everyone),
        route(post.clone(), "/v1/conversations/{id}/chat", json(chat), N::Conversation, Who::Everyone),
        route(get.clone(), "/v1/runs/{id}/events", Nothing, N::Run, Who::Everyone),
        route(post.clone(), "/v1/runs/{id}/cancel", Nothing, N::Run, Who::Everyone),
        route(delete.clone(), "/v1/conversations/{id}", Nothing, N::Conversation, Who::Everyone),
        route(get.clone(), "/v1/memories", Nothing, N::Nothing, Who::Everyone),
        route(post.clone(), "/v1/memories", json(json!({ "content": "M" })), N::Nothing, Who::Everyone),
        route(delete.clone(), "/v1/memories/{id}", Nothing, N::Memory, Who::Everyone),
        route(get.clone(), "/v1/documents", Nothing, N::Nothing, Who::Everyone),
        route(post.clone(), "/v1/documents/upload", File, N::Nothing, Who::Users),
        route(get.clone(), "/v1/documents/{id}", Nothing, N::Document, Who::Everyone),
        route(patch, "/v1/documents/{id}", json(json!({ "title": "T" })), N::Document, Who::Users),
        route(get.clone(), "/v1/documents/{id}/content", Nothing, N::Document, Who::Everyone),
        route(post.clone(), "/v1/documents/{id}/reprocess", Nothing, N::Document, Who::Users),
        route(delete.clone(), "/v1/documents/{id}", Nothing, N::Document, Who::Users),
        route(get.clone(), "/v1/usage", Nothing, N::Nothing, Who::Everyone),
        route(get, "/v1/tokens", Nothing, N::Nothing, Who::Everyone),
        route(post, "/v1/tokens", json(new_token), N::Nothing, Who::Everyone),
        route(delete, "/v1/tokens/{id}", Nothing, N::Token, Who::Everyone),
    ]
}

fn for_openai_clients() -> Vec<Route> {
    use Names as N;
    let chat = json!({ "model": "auto", "messages": [{ "role": "user", "content": "Which bolts?" }] });
    let embeddings = json!({ "model": "embed", "input": "bolts" });
    vec![
        route(Method::GET, "/openai/v1/models", Sample::Nothing, N::Nothing, Who::Everyone),
        route(Method::GET, "/openai/v1/models/{model}", Sample::Nothing, N::Nothing, Who::Everyone),
        route(Method::POST, "/openai/v1/chat/completions", Sample::Json(chat), N::Nothing, Who::Everyone),
        route(Method::POST, "/openai/v1/embeddings", Sample::Json(embeddings), N::Nothing, Who::Everyone),
    ]
}

fn administration() -> Vec<Route> {
    use Names as N;
    use Sample::Nothing;
    let json = Sample::Json;
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    let simulation = json!({ "user_id": "", "resource": "documents", "operation": "read" });
    let quotas = json!({ "quotas": { "documents": 1000 } });
    let mapping = json!({ "issuer": platform_server::config::DEVELOPMENT_ISSUER, "claim": "c" });
    let new_user = json!({ "external_id": Uuid::from_u128(1), "email": "n@plant.example" });
    vec![
        route(get.clone(), "/v1/admin/users", Nothing, N::Nothing, Who::Admins),
        route(post.clone(), "/v1/admin/users", json(new_user), N::Nothing, Who::Admins),
        route(get.clone(), "/v1/admin/users/{id}", Nothing, N::User, Who::Admins),
        route(patch.clone(), "/v1/admin/users/{id}", json(json!({ "is_active": true })), N::User, Who::Admins),
        route(get.clone(), "/v1/admin/decisions/{id}", Nothing, N::Decision, Who::Admins),
        route(post.clone(), "/v1/admin/decisions/simulate", json(simulation), N::User, Who::Admins),
        route(get.clone(), "/v1/admin/settings", Nothing, N::Nothing, Who::Admins),
        route(patch.clone(), "/v1/admin/settings", json(json!({ "language": "english" })), N::Nothing, Who::Admins),
        route(get.clone(), "/v1/admin/settings/versions", Nothing, N::Nothing, Who::Admins),
        route(get.clone(), "/v1/admin/usage", Nothing, N::Nothing, Who::Admins),
        route(get.clone(), "/v1/admin/tenants/{id}/settings", Nothing, N::Tenant, Who::PlatformAdmins),
        route(patch.clone(), "/v1/admin/tenants/{id}/settings", json(quotas), N::Tenant, Who::PlatformAdmins),
        route(get.clone(), "/v1/admin/tenants/{id}/settings/versions", Nothing, N::Tenant, Who::PlatformAdmins),
        route(get.clone(), "/v1/admin/tenants", Nothing, N::Nothing, Who::PlatformAdmins),
        route(
            post.clone(),
            "/v1/admin/tenants",
            json(json!({ "name": "N", "slug": "n" })),
            N::Nothing,
            Who::PlatformAdmins,
        ),
        route(patch, "/v1/admin/tenants/{id}", json(json!({ "name": "N" })), N::Tenant, Who::PlatformAdmins),
        route(get, "/v1/admin/tenants/{id}/mappings", Nothing, N::Tenant, Who::PlatformAdmins),
        route(post, "/v1/admin/tenants/{id}/mappings", json(mapping), N::Tenant, Who::PlatformAdmins),
        route(delete, "/v1/admin/tenants/{id}/mappings/{mapping}", Nothing, N::Mapping, Who::PlatformAdmins),
    ]
}

/// The ids of one resource of each kind.
#[derive(Debug)]
struct Things {
    conversation: String,
    document: String,
    run: String,
    memory: String,
    user: String,
    tenant: String,
    decision: String,
    token: String,
}

impl Things {
    /// Creates one resource of each kind. The document is an argument, because not every caller may upload; the user
    /// is `colleague`, because an admin cannot deactivate themselves.
    async fn of(caller: &Caller<'_>, document: &str, colleague: &Caller<'_>) -> Self {
        // The colleague is a viewer, so this is refused and leaves a decision.
        let refusal = colleague.get("/v1/admin/users").await.problem(403, "policy_denied");
        let colleague = colleague.get("/v1/me").await.expect(200);
        let conversation = caller.conversation().await;
        let answer = caller.chat(&conversation, "Which bolts?").await;
        let memory = caller.post("/v1/memories", &json!({ "content": "Bolts are in store 4." })).await.expect(201);
        let token = json!({ "name": "T", "scopes": ["account:read"] });
        let token = caller.post("/v1/tokens", &token).await.expect(201);
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        Self {
            conversation,
            document: document.to_owned(),
            run: text(&answer["run_id"]),
            memory: text(&memory["id"]),
            user: text(&colleague["id"]),
            tenant: text(&colleague["tenant"]["id"]),
            decision: text(&refusal["decision_id"]),
            token: text(&token["id"]),
        }
    }

    /// Ids of resources that do not exist.
    fn of_nobody() -> Self {
        let id = || "00000000-0000-7000-8000-00000000dead".to_owned();
        Self {
            conversation: id(),
            document: id(),
            run: id(),
            memory: id(),
            user: id(),
            tenant: id(),
            decision: id(),
            token: id(),
        }
    }

    fn id(&self, names: Names) -> &str {
        match names {
            Names::Nothing => "",
            Names::Conversation => &self.conversation,
            Names::Document => &self.document,
            Names::Run => &self.run,
            Names::Memory => &self.memory,
            Names::User => &self.user,
            Names::Tenant | Names::Mapping => &self.tenant,
            Names::Token => &self.token,
            Names::Decision => &self.decision,
            Names::ProblemType => "not-found",
        }
    }
}

impl Route {
    /// Sends the route's request for one of the resources. `unique` makes uploads and new users distinct.
    async fn call(&self, caller: &Caller<'_>, things: &Things, unique: &str) -> Answer {
        let id = things.id(self.names);
        let path =
            self.path.replace("{id}", id).replace("{mapping}", id).replace("{type}", id).replace("{model}", "auto");
        let request = caller.request(self.method.clone(), &path);
        let request = match &self.sample {
            Sample::Nothing => request,
            Sample::Json(body) => {
                let mut body = body.clone();
                if let Some(external) = body.get_mut("external_id") {
                    *external = json!(unique);
                }
                if let Some(user) = body.get_mut("user_id") {
                    *user = json!(things.user);
                }
                request.json(&body)
            }
            Sample::File => request.header("content-type", form_type()).body(form("n.md", &files::note(unique), &[])),
        };
        Answer::of(request).await
    }

    fn label(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

async fn uploaded(caller: &Caller<'_>, subject: &str) -> String {
    let answer = caller.upload("walk.md", &files::note(subject), &[]).await.expect(202);
    answer["document_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn the_table_has_every_route_of_the_openapi_document() {
    let app = App::shared().await;
    let document = app.as_nobody().get("/openapi.json").await.expect(200);
    let mut served = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let methods = ["get", "post", "put", "patch", "delete", "head", "options"];
        let of_path = item.as_object().expect("methods").keys().filter(|key| methods.contains(&key.as_str()));
        served.extend(of_path.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let mut known: Vec<_> = routes().iter().map(Route::label).collect();
    known.sort_unstable();
    served.sort_unstable();
    assert_eq!(served, known, "add a row for each route to `routes`");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    assert_eq!(app.as_nobody().get("/docs/").await.status, 200);
}

#[tokio::test]
async fn each_role_of_each_tenant_gets_what_the_matrix_says() {
    let app = App::shared().await;
    for tenant in [A, B] {
        for role in [Role::Viewer, Role::User, Role::Admin] {
            let unique = format!("walk-{tenant}-{}", role.as_str());
            let caller = app.caller(tenant, &unique, role);
            let owner = if role == Role::Viewer { app.as_user(tenant) } else { caller.clone() };
            let things = Things::of(&caller, &uploaded(&owner, &unique).await, &app.as_viewer(tenant)).await;
            for route in routes() {
                let answer = route.call(&caller, &things, &format!("{unique}-new")).await;
                let label = format!("{} as {} of {tenant}: {answer:?}", route.label(), role.as_str());
                if route.open_to.admits(role) {
                    assert!((200..300).contains(&answer.status), "{label}");
                } else {
                    assert_eq!(answer.status, 403, "{label}");
                    answer.problem(403, "policy_denied");
                }
            }
        }
    }
}

#[tokio::test]
async fn without_a_token_everything_but_the_open_pages_is_401() {
    let app = App::shared().await;
    let nothing = Things::of_nobody();
    for route in routes() {
        let answer = route.call(&app.as_nobody(), &nothing, "nobody").await;
        if route.open_to == Who::World {
            assert_eq!(answer.status, 200, "{}: {answer:?}", route.label());
        } else {
            if route.path.starts_with("/openai/") {
                assert_eq!(answer.expect(401)["error"]["code"], "invalid_api_key", "{}", route.label());
            } else {
                answer.problem(401, "invalid_token");
            }
            let challenge = answer.header("www-authenticate").unwrap_or_default();
            assert!(challenge.starts_with("Bearer"), "{}: {challenge}", route.label());
        }
    }
}

/// Asserts that every route that names one of these kinds responds to a foreign resource as if it did not exist.
async fn assert_as_good_as_absent(caller: &Caller<'_>, theirs: &Things, names: &[Names], who: &str) {
    let absent = Things::of_nobody();
    for route in routes().iter().filter(|route| names.contains(&route.names)) {
        let label = format!("{} {who}", route.label());
        let foreign = route.call(caller, theirs, "x").await;
        let nothing = route.call(caller, &absent, "x").await;
        assert_eq!(foreign.distinguishable(), nothing.distinguishable(), "{label}");
        assert!([403, 404].contains(&foreign.status), "{label}: {foreign:?}");
        if route.open_to == Who::Everyone {
            foreign.problem(404, "not_found");
        }
    }
}

#[tokio::test]
async fn what_another_tenant_has_is_as_good_as_absent() {
    let app = App::shared().await;
    let owner = app.caller(B, "owner", Role::Admin);
    let theirs = Things::of(&owner, &uploaded(&owner, "theirs").await, &app.as_viewer(B)).await;
    let named = [
        Names::Conversation,
        Names::Document,
        Names::Run,
        Names::Memory,
        Names::User,
        Names::Tenant,
        Names::Mapping,
        Names::Token,
        Names::Decision,
    ];
    for (name, role) in [("spy-v", Role::Viewer), ("spy-u", Role::User), ("spy-a", Role::Admin)] {
        let caller = app.caller(A, name, role);
        assert_as_good_as_absent(&caller, &theirs, &named, role.as_str()).await;
        let filters = json!({ "query": "strainer", "filters": { "document_ids": [theirs.document] } });
        let foreign = caller.post("/v1/search", &filters).await;
        let absent = json!({ "query": "strainer", "filters": { "document_ids": [Things::of_nobody().document] } });
        let without_time = |(status, mut body): (u16, Value)| {
            body.as_object_mut().map(|fields| fields.remove("took_ms"));
            (status, body)
        };
        assert_eq!(
            without_time(foreign.distinguishable()),
            without_time(caller.post("/v1/search", &absent).await.distinguishable())
        );
    }
    // All of the owner's resources still exist.
    for route in routes().iter().filter(|route| named.contains(&route.names) && route.open_to != Who::PlatformAdmins) {
        if route.method != Method::DELETE {
            let answer = route.call(&owner, &theirs, "x").await;
            assert!((200..300).contains(&answer.status), "{}: {answer:?}", route.label());
        }
    }
}

#[tokio::test]
async fn what_a_colleague_has_is_as_good_as_absent() {
    let app = App::shared().await;
    let owner = app.caller(A, "colleague", Role::User);
    let theirs = Things::of(&owner, &uploaded(&owner, "colleague").await, &app.as_viewer(A)).await;
    let private = [Names::Conversation, Names::Run, Names::Memory];
    for (name, role) in [("peer-v", Role::Viewer), ("peer-u", Role::User), ("peer-a", Role::Admin)] {
        let peer = app.caller(A, name, role);
        assert_as_good_as_absent(&peer, &theirs, &private, role.as_str()).await;
        if role != Role::Admin {
            assert_as_good_as_absent(&peer, &theirs, &[Names::Token], role.as_str()).await;
        }
    }
    let peer = app.caller(A, "peer-u", Role::User);
    assert_eq!(peer.get(&format!("/v1/documents/{}", theirs.document)).await.status, 200, "documents are the tenant's");
    peer.delete(&format!("/v1/documents/{}", theirs.document)).await.problem(403, "policy_denied");
    let again = format!("/v1/documents/{}/reprocess", theirs.document);
    peer.post(&again, &json!({})).await.problem(403, "policy_denied");
    let revision = [("supersedes", theirs.document.as_str())];
    peer.upload("mine.md", &files::note("a revision of theirs"), &revision).await.problem(403, "policy_denied");
    owner.get(&format!("/v1/conversations/{}", theirs.conversation)).await.expect(200);
}

#[tokio::test]
async fn lists_and_searches_hold_nothing_of_another_tenant() {
    let app = App::shared().await;
    let (ours, theirs) = (app.as_user(A), app.as_user(B));
    theirs.ingest("secret-of-b.md", &files::note("BETA-77 of plant b"), &[]).await;
    ours.ingest("ours-of-a.md", &files::note("ALPHA-77 of plant a"), &[]).await;
    for path in ["/v1/documents?limit=200", "/v1/conversations?limit=200", "/v1/memories?limit=200"] {
        let tenant = theirs.get("/v1/me").await.expect(200)["tenant"]["id"].to_string();
        let listed = ours.get(path).await.expect(200).to_string();
        assert!(!listed.contains("secret-of-b") && !listed.contains(&tenant), "{path}");
    }
    let search = json!({ "query": "strainer of BETA-77 ALPHA-77", "top_k": 50 });
    let found = ours.post("/v1/search", &search).await.expect(200).to_string();
    assert!(found.contains("ours-of-a.md") && !found.contains("secret-of-b.md"), "{found}");
    let found = theirs.post("/v1/search", &search).await.expect(200).to_string();
    assert!(found.contains("secret-of-b.md") && !found.contains("ours-of-a.md"), "{found}");
    let audit = app.as_admin(A).get("/v1/audit?limit=200").await.expect(200);
    let tenants: std::collections::BTreeSet<_> =
        audit["data"].as_array().expect("rows").iter().map(|row| row["tenant_id"].to_string()).collect();
    assert_eq!(tenants.len(), 1, "{tenants:?}");
}
