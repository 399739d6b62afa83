//! Teams: what every kind of caller reaches of a team's space, with secrets planted in each space; invitations across
//! tenants; and how soon access ends.

use crate::support::api_client::{ApiClient, ApiResponse, BOUNDARY, SseStream, multipart_body, multipart_content_type};
use crate::support::app::TestApp;
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use domain::role::Role;
use fakes::eventually_within;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// How soon a change of members or settings must be in force.
const IN_FORCE: Duration = Duration::from_secs(5);
/// How long an answer may still be written for a member who was removed.
const STREAM_TIMEOUT: Duration = Duration::from_secs(60);

/// Two tenants with a team in the first one, and one caller of each kind.
struct World<'a> {
    app: &'a TestApp,
    name: String,
    team: String,
    owner: ApiClient<'a>,
    member: ApiClient<'a>,
    viewer: ApiClient<'a>,
    colleague: ApiClient<'a>,
    admin: ApiClient<'a>,
    guest: ApiClient<'a>,
    guest_viewer: ApiClient<'a>,
    stranger: ApiClient<'a>,
    guests_admin: ApiClient<'a>,
}

impl<'a> World<'a> {
    /// Creates two tenants whose settings allow guests, a team, and its members. `name` is unique among the tests.
    async fn create_in(app: &'a TestApp, name: &str) -> Self {
        let (host, guests) = (format!("host-{name}"), format!("guests-{name}"));
        for tenant in [&host, &guests] {
            app.create_tenant(tenant).await;
        }
        let user = |tenant: &str, user: &str| app.caller(tenant, user, Role::User);
        let world = Self {
            app,
            name: name.to_owned(),
            team: String::new(),
            owner: user(&host, "olga"),
            member: user(&host, "max"),
            viewer: user(&host, "vic"),
            colleague: user(&host, "carl"),
            admin: app.as_admin(&host),
            guest: user(&guests, "gina"),
            guest_viewer: user(&guests, "gus"),
            stranger: user(&guests, "sam"),
            guests_admin: app.as_admin(&guests),
        };
        let allow = |key: &str| json!({ "teams": { key: true } });
        world.admin.patch("/v1/admin/settings", &allow("host_guests")).await.expect_json(200);
        world.guests_admin.patch("/v1/admin/settings", &allow("join_others")).await.expect_json(200);
        let new = json!({ "name": "Turnaround", "slug": "turnaround" });
        let team = world.owner.post("/v1/teams", &new).await.expect_json(201);
        assert_eq!(team["team_role"], "owner");
        let world = Self { team: text(&team["id"]), ..world };
        world.put_member(&world.member, "member").await;
        world.put_member(&world.viewer, "viewer").await;
        for (guest, email) in [(&world.guest, "gina@guests.example"), (&world.guest_viewer, "gus@guests.example")] {
            world.set_email(guest, email).await;
            world.invite(email).await;
            world.accept_only_invitation(guest).await;
        }
        world.put_member(&world.guest_viewer, "viewer").await;
        world
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/teams/{}{rest}", self.team)
    }

    /// The members in the order owner, member, viewer, guest member, guest viewer.
    fn members(&self) -> [&ApiClient<'a>; 5] {
        [&self.owner, &self.member, &self.viewer, &self.guest, &self.guest_viewer]
    }

    /// Users of both tenants who are no members.
    fn others(&self) -> [&ApiClient<'a>; 4] {
        [&self.colleague, &self.admin, &self.stranger, &self.guests_admin]
    }

    async fn put_member(&self, member: &ApiClient<'_>, role: &str) {
        let path = self.path(&format!("/members/{}", user_id(member).await));
        let member = self.owner.put(&path, &json!({ "team_role": role })).await.expect_json(200);
        assert_eq!(member["team_role"], role);
    }

    async fn invite(&self, email: &str) -> Value {
        let body = json!({ "tenant": format!("guests-{}", self.name), "email": email });
        self.owner.post(&self.path("/invitations"), &body).await.expect_json(201)
    }

    async fn accept_only_invitation(&self, guest: &ApiClient<'_>) {
        let listed = guest.get("/v1/invitations").await.expect_json(200);
        let pending: Vec<_> =
            listed["data"].as_array().expect("a list").iter().filter(|one| one["status"] == "pending").collect();
        assert_eq!(pending.len(), 1, "{listed}");
        assert_eq!(pending[0]["team"]["name"], "Turnaround");
        let accept = format!("/v1/invitations/{}/accept", text(&pending[0]["id"]));
        assert_eq!(guest.post(&accept, &json!({})).await.expect_json(200)["status"], "accepted");
    }

    /// Tokens of the tests have no email address.
    async fn set_email(&self, user: &ApiClient<'_>, email: &str) {
        let id = user_id(user).await;
        let mut db = SuperuserDb::connect(self.app).await;
        db.execute("UPDATE users SET email = $1 WHERE id = $2::uuid", &[email, &id]).await;
    }

    async fn upload_to_team(&self, uploader: &ApiClient<'_>, subject: &str, fields: &[(&str, &str)]) -> String {
        let fields = [&[("team_id", self.team.as_str())], fields].concat();
        let answer = uploader.upload("team.md", &files::note(subject), &fields).await.expect_json(202);
        let id = text(&answer["document_id"]);
        assert_eq!(uploader.wait_until_ingested(&id).await["status"], "ready");
        id
    }

    async fn team_conversation(&self, member: &ApiClient<'_>) -> String {
        member.create_conversation_with(&json!({ "title": "Shared", "team_id": self.team })).await
    }
}

/// A world in the app that tests share.
async fn world(name: &str) -> World<'static> {
    World::create_in(TestApp::shared().await, name).await
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

async fn user_id(user: &ApiClient<'_>) -> String {
    text(&user.get("/v1/me").await.expect_json(200)["id"])
}

async fn send(caller: &ApiClient<'_>, method: &Method, path: &str, body: &Value) -> ApiResponse {
    let request = caller.request(method.clone(), path);
    let has_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    ApiResponse::send(if has_body { request.json(body) } else { request }).await
}

/// A request of the walk.
struct Call<'a> {
    method: &'a Method,
    path: &'a str,
    body: &'a Value,
}

/// The answer has this status and nothing of the home space.
async fn assert_shown(caller: &ApiClient<'_>, call: &Call<'_>, status: u16) {
    let Call { method, path, body } = call;
    let answer = send(caller, method, path, body).await;
    assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    let shown = answer.body.to_vec();
    assert!(!String::from_utf8_lossy(&shown).contains("SECRET-HOME"), "{method} {path}: {answer:?}");
    if status == 404 {
        answer.expect_problem(404, "not_found");
    }
}

/// Lists and searches without a team show nothing of it, to its members either.
async fn assert_nothing_at_home(caller: &ApiClient<'_>, ids: &[&str]) {
    for path in ["/v1/documents?limit=200", "/v1/conversations?limit=200&archived=all"] {
        let listed = caller.get(path).await.expect_json(200).to_string();
        assert!(!ids.iter().any(|id| listed.contains(id)), "{path}: {listed}");
    }
    let found = caller.post("/v1/search", &json!({ "query": "strainer of SECRET-TEAM" })).await.expect_json(200);
    assert!(!found.to_string().contains("SECRET-TEAM"), "{found}");
}

/// What each kind of caller may do in the team: statuses in the order owner, member, viewer, guest member, guest
/// viewer. Everybody else gets 404 on each of these routes.
#[tokio::test]
async fn every_kind_of_caller_reaches_what_the_lower_role_allows_and_nobody_else_anything() {
    let world = world("walk").await;
    let document = world.upload_to_team(&world.member, "SECRET-TEAM of the walk", &[]).await;
    let conversation = world.team_conversation(&world.member).await;
    let answer = world.member.chat(&conversation, "How often is the strainer of SECRET-TEAM cleaned?").await;
    let run = text(&answer["run_id"]);
    let home_document = world.colleague.upload("home.md", &files::note("SECRET-HOME of the walk"), &[]).await;
    world.colleague.wait_until_ingested(&text(&home_document.json()["document_id"])).await;
    let (get, post, patch, put, delete) = (Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE);
    let search = json!({ "query": "strainer", "filters": { "team_ids": [world.team] } });
    let message = json!({ "message": "And who cleans it?", "stream": false });
    let invitation = json!({ "tenant": "nowhere", "email": "nobody@example.com" });
    let role = json!({ "team_role": "viewer" });
    let viewer = world.path(&format!("/members/{}", user_id(&world.viewer).await));
    let conversations = format!("/v1/conversations?team_id={}", world.team);
    let documents = format!("/v1/documents?team_id={}", world.team);
    let new_conversation = json!({ "title": "T", "team_id": world.team });
    let (title, name) = (json!({ "title": "T" }), json!({ "name": "Turnaround" }));
    let of = |kind: &str, id: &str, rest: &str| format!("/v1/{kind}/{id}{rest}");
    let routes: Vec<(&Method, String, &Value, [u16; 5])> = vec![
        (&get, world.path(""), &Value::Null, [200, 200, 200, 200, 200]),
        (&get, world.path("/members"), &Value::Null, [200, 200, 200, 200, 200]),
        (&patch, world.path(""), &name, [200, 403, 403, 403, 403]),
        (&put, viewer, &role, [200, 403, 403, 403, 403]),
        (&post, world.path("/invitations"), &invitation, [201, 403, 403, 403, 403]),
        (&get, conversations, &Value::Null, [200, 200, 200, 200, 200]),
        (&post, "/v1/conversations".to_owned(), &new_conversation, [201, 201, 403, 201, 403]),
        (&get, of("conversations", &conversation, ""), &Value::Null, [200, 200, 200, 200, 200]),
        (&get, of("conversations", &conversation, "/export"), &Value::Null, [200, 200, 200, 200, 200]),
        (&post, of("conversations", &conversation, "/chat"), &message, [200, 200, 403, 200, 403]),
        (&patch, of("conversations", &conversation, ""), &title, [200, 200, 403, 403, 403]),
        (&get, of("runs", &run, "/events"), &Value::Null, [200, 200, 200, 200, 200]),
        (&post, of("runs", &run, "/cancel"), &Value::Null, [202, 202, 403, 403, 403]),
        (&get, documents, &Value::Null, [200, 200, 200, 200, 200]),
        (&get, of("documents", &document, ""), &Value::Null, [200, 200, 200, 200, 200]),
        (&get, of("documents", &document, "/content"), &Value::Null, [200, 200, 200, 200, 200]),
        (&patch, of("documents", &document, ""), &title, [403, 200, 403, 403, 403]),
        (&post, "/v1/search".to_owned(), &search, [200, 200, 200, 200, 200]),
        (&delete, of("documents", &document, ""), &Value::Null, [403, 0, 403, 403, 403]),
        (&delete, of("conversations", &conversation, ""), &Value::Null, [0, 0, 403, 403, 403]),
        (&delete, world.path(""), &Value::Null, [0, 403, 403, 403, 403]),
    ];
    for (method, path, body, statuses) in &routes {
        let call = Call { method, path, body };
        for (caller, status) in world.members().into_iter().zip(statuses) {
            // What would end the walk is left out.
            if *status != 0 {
                assert_shown(caller, &call, *status).await;
            }
        }
        for caller in world.others() {
            assert_shown(caller, &call, 404).await;
        }
    }
    for caller in world.members().into_iter().chain(world.others()) {
        assert_nothing_at_home(caller, &[&document, &conversation]).await;
    }
    let found = world.guest.post("/v1/search", &search).await.expect_json(200).to_string();
    assert!(found.contains("SECRET-TEAM") && !found.contains("SECRET-HOME"), "{found}");
}

#[tokio::test]
async fn a_teams_conversation_has_authors_and_searches_its_documents_alone() {
    let world = world("authors").await;
    world.upload_to_team(&world.owner, "pump AUTH-1", &[]).await;
    let home = world.member.upload("home.md", &files::note("pump AUTH-2 at home"), &[]).await.expect_json(202);
    world.member.wait_until_ingested(&text(&home["document_id"])).await;
    let memory = json!({ "content": "The strainer of pump AUTH-3 is blue." });
    world.member.post("/v1/memories", &memory).await.expect_json(201);
    let conversation = world.team_conversation(&world.owner).await;
    let answer = world.member.chat(&conversation, "How often is the strainer of pump AUTH-1 cleaned?").await;
    assert!(answer.to_string().contains("AUTH-1") && !answer.to_string().contains("AUTH-2"), "{answer}");
    assert!(!answer.to_string().contains("AUTH-3"), "a memory was read: {answer}");
    world.guest.chat(&conversation, "How often is the strainer of pump AUTH-2 cleaned?").await;
    let path = format!("/v1/conversations/{conversation}");
    let shown = world.viewer.get(&path).await.expect_json(200);
    assert_eq!(shown["team_id"], json!(world.team));
    let messages = shown["messages"].as_array().expect("messages");
    let authors: Vec<_> = messages.iter().map(|message| message["author"]["id"].clone()).collect();
    let (member, guest) = (user_id(&world.member).await, user_id(&world.guest).await);
    assert_eq!(authors, [json!(member), Value::Null, json!(guest), Value::Null], "{shown}");
    assert!(!shown.to_string().contains("AUTH-2 is cleaned"), "{shown}");
    let exported = world.member.get(&format!("{path}/export")).await.text();
    let headings: Vec<_> = exported.lines().filter(|line| line.starts_with("## ")).collect();
    assert!(headings[0].starts_with("## You,") && !headings[2].starts_with("## You,"), "{headings:?}");
    // The member's own conversation is as it was.
    let own = world.member.create_conversation().await;
    world.member.chat(&own, "How often is the strainer of pump AUTH-2 cleaned?").await;
    let own = world.member.get(&format!("/v1/conversations/{own}")).await.expect_json(200);
    assert_eq!((&own["team_id"], &own["messages"][0]["author"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_guest_sees_up_to_the_guests_classification() {
    let world = world("classes").await;
    let open = world.upload_to_team(&world.owner, "pump CLASS-1", &[("classification", "internal")]).await;
    let closed = world.upload_to_team(&world.owner, "pump CLASS-2", &[("classification", "confidential")]).await;
    let document = |id: &str| format!("/v1/documents/{id}");
    world.guest.get(&document(&open)).await.expect_json(200);
    world.guest.get(&document(&closed)).await.expect_problem(404, "not_found");
    world.member.get(&document(&closed)).await.expect_json(200);
    let search = json!({ "query": "strainer of pump CLASS-2", "filters": { "team_ids": [world.team] } });
    let found = world.guest.post("/v1/search", &search).await.expect_json(200).to_string();
    assert!(found.contains("CLASS-1") && !found.contains("CLASS-2"), "{found}");
    let conversation = world.team_conversation(&world.owner).await;
    world.owner.chat(&conversation, "How often is the strainer of pump CLASS-2 cleaned?").await;
    let shown = world.guest.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    assert_eq!(shown["messages"][1]["withheld"], true, "{shown}");
    let raise = json!({ "teams": { "guest_classification": "confidential" } });
    world.admin.patch("/v1/admin/settings", &raise).await.expect_json(200);
    world.guest.get(&document(&closed)).await.expect_json(200);
}

#[tokio::test]
async fn questions_and_titles_above_a_guests_clearance_are_withheld() {
    let world = world("questions").await;
    let conversation =
        world.member.create_conversation_with(&json!({ "title": "ASKED-0", "team_id": world.team })).await;
    world.member.chat(&conversation, "Who cleans the strainer of pump ASKED-1?").await;
    world.guest.chat(&conversation, "And who cleans that of pump ASKED-2?").await;
    let (path, list) =
        (format!("/v1/conversations/{conversation}"), format!("/v1/conversations?team_id={}", world.team));
    let shown = world.guest.get(&path).await.expect_json(200);
    assert_eq!((&shown["title"], &shown["messages"][0]["withheld"]), (&json!("ASKED-0"), &json!(false)), "{shown}");
    let lower = json!({ "teams": { "guest_classification": "public" } });
    world.admin.patch("/v1/admin/settings", &lower).await.expect_json(200);
    let shown = world.guest.get(&path).await.expect_json(200);
    assert_eq!((&shown["title"], &shown["messages"][0]["withheld"]), (&Value::Null, &json!(true)), "{shown}");
    assert!(shown.to_string().contains("ASKED-2"), "the guest's own question: {shown}");
    for read in
        [path.clone(), format!("{path}/export"), list.clone(), format!("{list}&q=ASKED-1"), format!("{list}&q=ASKED-0")]
    {
        let read = world.guest.get(&read).await;
        assert_eq!(read.status, 200);
        assert!(!read.text().contains("ASKED-0") && !read.text().contains("ASKED-1"), "{read:?}");
    }
    for (text, count) in [("ASKED-0", 0), ("ASKED-1", 0), ("ASKED-2", 1)] {
        let found = world.guest.get(&format!("{list}&q={text}")).await.expect_json(200);
        assert_eq!(found["data"].as_array().map(Vec::len), Some(count), "{text}: {found}");
        let found = world.viewer.get(&format!("{list}&q={text}")).await.expect_json(200);
        assert_eq!(found["data"].as_array().map(Vec::len), Some(1), "{text}: {found}");
    }
}

#[tokio::test]
async fn access_ends_when_a_membership_or_a_permission_does() {
    let world = world("leaving").await;
    let document = world.upload_to_team(&world.owner, "pump LEAVE-1", &[]).await;
    let path = format!("/v1/documents/{document}");
    let is_gone = |caller: ApiClient<'static>, path: String| async move {
        eventually_within(IN_FORCE, "access ended", || async { (caller.get(&path).await.status == 404).then_some(()) })
            .await;
    };
    for (admin, key) in [(&world.admin, "host_guests"), (&world.guests_admin, "join_others")] {
        world.guest.get(&path).await.expect_json(200);
        admin.patch("/v1/admin/settings", &json!({ "teams": { key: false } })).await.expect_json(200);
        is_gone(world.guest.clone(), path.clone()).await;
        world.member.get(&path).await.expect_json(200);
        admin.patch("/v1/admin/settings", &json!({ "teams": { key: true } })).await.expect_json(200);
    }
    world.guest.get(&path).await.expect_json(200);
    let membership = world.path(&format!("/members/{}", user_id(&world.guest).await));
    assert_eq!(world.guest.delete(&membership).await.status, 204);
    is_gone(world.guest.clone(), path.clone()).await;
    assert!(!world.guest.get("/v1/teams").await.expect_json(200).to_string().contains(&world.team));
    let membership = world.path(&format!("/members/{}", user_id(&world.member).await));
    assert_eq!(world.owner.delete(&membership).await.status, 204);
    is_gone(world.member.clone(), path.clone()).await;
    let last_owner = world.path(&format!("/members/{}", user_id(&world.owner).await));
    assert_eq!(world.owner.delete(&last_owner).await.status, 409);
    assert_eq!(world.owner.put(&last_owner, &json!({ "team_role": "member" })).await.status, 409);
}

#[tokio::test]
async fn invitations_tell_nothing_of_another_tenant_and_are_bound_to_their_user() {
    let world = world("inviting").await;
    let invite = |tenant: &str, email: &str| json!({ "tenant": tenant, "email": email });
    let path = world.path("/invitations");
    let shape = |answer: &Value| {
        let mut keys: Vec<_> = answer.as_object().expect("an object").keys().cloned().collect();
        keys.sort();
        (keys, answer["status"].clone(), answer["team"].clone())
    };
    world.set_email(&world.stranger, "sam@guests.example").await;
    let known = world.invite("sam@guests.example").await;
    for (tenant, email) in [("no-such-tenant", "sam@guests.example"), ("guests-inviting", "nobody@guests.example")] {
        let answer = world.owner.post(&path, &invite(tenant, email)).await.expect_json(201);
        assert_eq!(shape(&answer), shape(&known), "{tenant} {email}");
    }
    let unwilling = json!({ "teams": { "join_others": false } });
    world.guests_admin.patch("/v1/admin/settings", &unwilling).await.expect_json(200);
    let answer = world.owner.post(&path, &invite("guests-inviting", "sam@guests.example")).await.expect_json(201);
    assert_eq!(shape(&answer), shape(&known));
    assert_eq!(world.stranger.get("/v1/invitations").await.expect_json(200)["data"], json!([]));
    let willing = json!({ "teams": { "join_others": true } });
    world.guests_admin.patch("/v1/admin/settings", &willing).await.expect_json(200);
    // Nobody else can accept it, and the address of somebody else finds nothing any more.
    let accept = format!("/v1/invitations/{}/accept", text(&known["id"]));
    for other in [&world.colleague, &world.guest, &world.guests_admin] {
        other.post(&accept, &json!({})).await.expect_problem(404, "not_found");
    }
    world.accept_only_invitation(&world.stranger).await;
    world.stranger.get(&world.path("")).await.expect_json(200);
    world.stranger.post(&accept, &json!({})).await.expect_problem(409, "conflict");
    // Both tenants' logs have it.
    let host_log = world.admin.get("/v1/audit?event_type=team.invitation_answered").await.expect_json(200);
    assert!(host_log.to_string().contains(&text(&known["id"])), "{host_log}");
    let guests_log = world.guests_admin.get("/v1/audit?event_type=team.invitation_delivered").await.expect_json(200);
    assert!(guests_log.to_string().contains(&text(&known["id"])), "{guests_log}");
}

#[tokio::test]
async fn a_removal_voids_whatever_still_leads_to_the_team() {
    let world = world("voiding").await;
    // These are bound to nobody at the host: the user has no address yet.
    let (first, second) = (world.invite("sam@guests.example").await, world.invite("sam@guests.example").await);
    world.set_email(&world.stranger, "sam@guests.example").await;
    let accept = |invitation: &Value| format!("/v1/invitations/{}/accept", text(&invitation["id"]));
    world.stranger.post(&accept(&first), &json!({})).await.expect_json(200);
    world.stranger.get(&world.path("")).await.expect_json(200);
    let membership = world.path(&format!("/members/{}", user_id(&world.stranger).await));
    assert_eq!(world.owner.delete(&membership).await.status, 204);
    for invitation in [&first, &second] {
        world.stranger.post(&accept(invitation), &json!({})).await.expect_problem(409, "conflict");
    }
    let mut db = SuperuserDb::connect(world.app).await;
    for (table, key) in [("team_invitations", "id"), ("team_links", "invitation_id")] {
        let open = format!("SELECT count(*) FROM {table} WHERE {key} = $1::uuid AND status <> 'voided'");
        for invitation in [&first, &second] {
            assert_eq!(db.count(&open, &[&text(&invitation["id"])]).await, 0, "{table}");
        }
    }
    // As if the guest's tenant had not got to know: the invitation is answered again, or the link is left over.
    let reset = "UPDATE team_links SET status = $2 WHERE invitation_id = $1::uuid";
    db.execute(reset, &[&text(&first["id"]), "pending"]).await;
    world.stranger.post(&accept(&first), &json!({})).await.expect_problem(404, "not_found");
    world.stranger.get(&world.path("")).await.expect_problem(404, "not_found");
    db.execute(reset, &[&text(&first["id"]), "accepted"]).await;
    assert_eq!(world.owner.delete(&membership).await.status, 204);
    world.owner.delete(&membership).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_deleted_team_is_closed_until_an_owner_restores_it() {
    let world = world("deleting").await;
    let document = world.upload_to_team(&world.owner, "pump DELETE-1", &[]).await;
    assert_eq!(world.owner.delete(&world.path("")).await.status, 204);
    for caller in [&world.owner, &world.member, &world.guest] {
        caller.get(&format!("/v1/documents/{document}")).await.expect_problem(404, "not_found");
        caller.get(&world.path("")).await.expect_problem(404, "not_found");
    }
    let listed = world.owner.get("/v1/teams").await.expect_json(200);
    assert!(listed["data"][0]["deleted_at"].is_string(), "{listed}");
    let restore = world.path("/restore");
    for caller in [&world.member, &world.colleague, &world.stranger] {
        caller.post(&restore, &json!({})).await.expect_problem(404, "not_found");
    }
    assert_eq!(world.admin.post(&restore, &json!({})).await.status, 204);
    world.guest.get(&format!("/v1/documents/{document}")).await.expect_json(200);
}

#[tokio::test]
async fn an_admin_names_a_new_owner_when_the_last_one_is_deactivated() {
    let world = world("orphaned").await;
    let (owner, member) = (user_id(&world.owner).await, user_id(&world.member).await);
    let path = world.path(&format!("/members/{member}"));
    let role = json!({ "team_role": "owner" });
    world.admin.put(&path, &role).await.expect_problem(404, "not_found");
    let off = json!({ "is_active": false });
    world.admin.patch(&format!("/v1/admin/users/{owner}"), &off).await.expect_json(200);
    world.colleague.put(&path, &role).await.expect_problem(404, "not_found");
    assert_eq!(world.admin.put(&path, &role).await.expect_json(200)["team_role"], "owner");
    world.member.patch(&world.path(""), &json!({ "name": "Turnaround B" })).await.expect_json(200);
    world.admin.get(&world.path("")).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn an_admin_who_is_a_plain_member_names_the_new_owner_too() {
    let world = world("members-admin").await;
    world.put_member(&world.admin, "member").await;
    let (owner, member) = (user_id(&world.owner).await, user_id(&world.member).await);
    let path = world.path(&format!("/members/{member}"));
    let role = json!({ "team_role": "owner" });
    assert_eq!(world.admin.put(&path, &role).await.status, 403, "the team has an active owner");
    let off = json!({ "is_active": false });
    world.admin.patch(&format!("/v1/admin/users/{owner}"), &off).await.expect_json(200);
    assert_eq!(world.member.put(&path, &role).await.status, 403);
    assert_eq!(world.admin.put(&path, &role).await.expect_json(200)["team_role"], "owner");
}

#[tokio::test]
async fn the_same_bytes_are_one_document_in_each_space() {
    let world = world("duplicates").await;
    let bytes = files::note("pump TWICE-1");
    let fields = [("team_id", world.team.as_str())];
    let home = text(&world.member.upload("a.md", &bytes, &[]).await.expect_json(202)["document_id"]);
    let in_team = world.member.upload("a.md", &bytes, &fields).await.expect_json(202);
    assert_ne!(in_team["document_id"], json!(home));
    let again = world.owner.upload("b.md", &bytes, &fields).await.expect_json(200);
    assert_eq!(again["document_id"], in_team["document_id"]);
    let at_home = world.member.upload("a.md", &bytes, &[]).await.expect_json(200);
    assert_eq!(at_home["document_id"], json!(home));
    // By a parameter of the query as well, and not by a field that comes too late.
    let path = format!("/v1/documents/upload?team_id={}", world.team);
    let post = |path: &str, body: Vec<u8>| {
        let request = world.member.request(Method::POST, path).header("content-type", multipart_content_type());
        ApiResponse::send(request.body(body))
    };
    let field = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"team_id\"\r\n\r\n{}", world.team);
    let late = String::from_utf8(multipart_body("c.md", &bytes, &[])).expect("text");
    let late = late.replace(&format!("\r\n--{BOUNDARY}--"), &format!("\r\n{field}\r\n--{BOUNDARY}--"));
    let late = post("/v1/documents/upload", late.into_bytes()).await.expect_problem(422, "validation");
    assert_eq!(late["errors"][0]["pointer"], "/team_id");
    let named = post(&path, multipart_body("d.md", &bytes, &[])).await.expect_json(200);
    assert_eq!(named["document_id"], in_team["document_id"]);
}

#[tokio::test]
async fn an_answer_at_home_from_a_teams_documents_is_shown_to_members_only() {
    let world = world("asking").await;
    let document = world.upload_to_team(&world.owner, "pump ASK-1", &[]).await;
    let conversation = world.member.create_conversation().await;
    let chat = format!("/v1/conversations/{conversation}/chat");
    let ask = json!({
        "message": "How often is the strainer of pump ASK-1 cleaned?", "stream": false, "retrieval": "always",
        "team_ids": [world.team],
    });
    let answer = world.member.post(&chat, &ask).await.expect_json(200);
    assert_eq!(answer["citations"][0]["document_id"], json!(document), "{answer}");
    let path = format!("/v1/conversations/{conversation}");
    let shown = world.member.get(&path).await.expect_json(200);
    assert_eq!(shown["messages"][1]["citations"][0]["document_id"], json!(document), "{shown}");
    let found = world.member.get("/v1/conversations?q=14%20days").await.expect_json(200);
    assert_eq!(found["data"], json!([]), "an answer from a team's documents was searched");
    // Documents to search are looked for in the searched teams.
    let only = |id: &str| {
        let mut ask = ask.clone();
        ask["document_ids"] = json!([id]);
        ask
    };
    let narrowed = world.member.create_conversation().await;
    let narrowed = format!("/v1/conversations/{narrowed}/chat");
    let answer = world.member.post(&narrowed, &only(&document)).await.expect_json(200);
    assert_eq!(answer["citations"][0]["document_id"], json!(document), "{answer}");
    let home =
        text(&world.member.upload("h.md", &files::note("pump ASK-2"), &[]).await.expect_json(202)["document_id"]);
    world.member.wait_until_ingested(&home).await;
    world.member.post(&narrowed, &only(&home)).await.expect_problem(404, "not_found");
    // Who is no member may not ask the team; a guest may.
    let others = world.colleague.create_conversation().await;
    let refused = world.colleague.post(&format!("/v1/conversations/{others}/chat"), &ask).await;
    refused.expect_problem(404, "not_found");
    let guests = world.guest.create_conversation().await;
    let answer = world.guest.post(&format!("/v1/conversations/{guests}/chat"), &ask).await.expect_json(200);
    assert_eq!(answer["citations"][0]["document_id"], json!(document), "{answer}");
    let membership = world.path(&format!("/members/{}", user_id(&world.member).await));
    assert_eq!(world.member.delete(&membership).await.status, 204);
    let shown = world.member.get(&path).await.expect_json(200);
    assert_eq!(shown["messages"][1]["withheld"], true, "{shown}");
    assert!(!shown.to_string().contains("14 days"), "{shown}");
}

#[tokio::test]
async fn a_guests_running_answer_ends_with_the_membership_and_its_model_sees_no_more_than_the_guest() {
    let model = ModelServer::start_with_default(Reply::PauseUntilResumed("First open ", "never said")).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let world = World::create_in(&app, "running").await;
    world.upload_to_team(&world.owner, "pump OPEN-1", &[]).await;
    world.upload_to_team(&world.owner, "pump CLOSED-1", &[("classification", "confidential")]).await;
    let home = world.member.upload("home.md", &files::note("pump HOME-1"), &[]).await.expect_json(202);
    world.member.wait_until_ingested(&text(&home["document_id"])).await;
    let conversation = world.team_conversation(&world.guest).await;
    let ask = json!({ "message": "How often is the strainer of the pump cleaned?", "retrieval": "always" });
    let mut stream = world.guest.start_stream(&conversation, &ask).await;
    stream.read_until("message.delta").await;
    let seen = model.requests().iter().map(ToString::to_string).collect::<String>();
    assert!(seen.contains("OPEN-1") && !seen.contains("CLOSED-1") && !seen.contains("HOME-1"), "{seen}");
    let membership = world.path(&format!("/members/{}", user_id(&world.guest).await));
    assert_eq!(world.owner.delete(&membership).await.status, 204);
    let ended = tokio::time::timeout(STREAM_TIMEOUT, stream.read_to_end()).await.expect("the stream ends");
    let problem = ended.iter().find(|event| event.name == "error").expect("an error");
    assert_eq!(problem.data["problem"]["code"], "not_team_member", "{ended:?}");
}

#[tokio::test]
async fn an_answer_at_home_that_builds_on_a_teams_documents_ends_with_the_membership() {
    let replies = [Reply::Text(vec!["Every 14 days."]), Reply::PauseUntilResumed("First open ", "never said")];
    let model = ModelServer::start(replies).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let world = World::create_in(&app, "building").await;
    world.upload_to_team(&world.owner, "pump BUILD-1", &[]).await;
    let conversation = world.member.create_conversation().await;
    let ask = json!({
        "message": "How often is the strainer of pump BUILD-1 cleaned?", "stream": false, "retrieval": "always",
        "team_ids": [world.team],
    });
    world.member.post(&format!("/v1/conversations/{conversation}/chat"), &ask).await.expect_json(200);
    let follow_up = json!({ "message": "And how?", "retrieval": "never" });
    let mut stream = world.member.start_stream(&conversation, &follow_up).await;
    stream.read_until("message.delta").await;
    let membership = world.path(&format!("/members/{}", user_id(&world.member).await));
    assert_eq!(world.owner.delete(&membership).await.status, 204);
    let ended = tokio::time::timeout(STREAM_TIMEOUT, stream.read_to_end()).await.expect("the stream ends");
    let problem = ended.iter().find(|event| event.name == "error").expect("an error");
    assert_eq!(problem.data["problem"]["code"], "not_team_member", "{ended:?}");
}

/// The owner's run goes on; each of the others stops reading it for another reason.
#[tokio::test]
async fn a_second_reader_of_a_running_answer_loses_it_with_the_right_to_see_it() {
    let model = ModelServer::start_with_default(Reply::PauseUntilResumed("First open ", "never said")).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let world = World::create_in(&app, "following").await;
    let other_process = app.start_replica(&[("LITELLM_BASE_URL", &model.url), ("SERVICE_TYPE", "api")]).await;
    world.upload_to_team(&world.owner, "pump OPEN-1", &[]).await;
    let conversation = world.team_conversation(&world.owner).await;
    let ask = json!({ "message": "How often is the strainer of the pump cleaned?", "retrieval": "always" });
    let mut owners = world.owner.start_stream(&conversation, &ask).await;
    let run = text(&owners.read_until("message.delta").await[0].data["run_id"]);
    let guests = world.guest.at(&other_process.base_url);
    let begun = |mut stream: SseStream| async move {
        stream.read_until("message.delta").await;
        stream
    };
    let ended = |stream: SseStream| async move {
        let events = tokio::time::timeout(STREAM_TIMEOUT, stream.read_to_end()).await.expect("the stream ends");
        let problem = events.iter().find(|event| event.name == "error").expect("an error");
        assert!(!format!("{events:?}").contains("never said"), "{events:?}");
        text(&problem.data["problem"]["code"])
    };
    let removed = begun(world.viewer.stream_run_events(&run, 0).await).await;
    let (lowered, lowered_elsewhere) = (
        begun(world.guest.stream_run_events(&run, 0).await).await,
        begun(guests.stream_run_events(&run, 0).await).await,
    );
    let membership = world.path(&format!("/members/{}", user_id(&world.viewer).await));
    assert_eq!(world.owner.delete(&membership).await.status, 204);
    assert_eq!(ended(removed).await, "not_team_member");
    let class = |class: &str| json!({ "teams": { "guest_classification": class } });
    world.admin.patch("/v1/admin/settings", &class("public")).await.expect_json(200);
    assert_eq!(ended(lowered).await, "above_clearance");
    assert_eq!(ended(lowered_elsewhere).await, "above_clearance");
    world.admin.patch("/v1/admin/settings", &class("internal")).await.expect_json(200);
    let suspended = begun(world.guest_viewer.stream_run_events(&run, 0).await).await;
    let off = json!({ "teams": { "host_guests": false } });
    world.admin.patch("/v1/admin/settings", &off).await.expect_json(200);
    assert_eq!(ended(suspended).await, "not_team_member");
    model.resume_one_reply();
    let rest = tokio::time::timeout(STREAM_TIMEOUT, owners.read_to_end()).await.expect("the owner's stream ends");
    assert!(format!("{rest:?}").contains("never said"), "{rest:?}");
}

#[tokio::test]
async fn the_content_of_a_deleted_team_goes_when_its_days_are_over() {
    let app = TestApp::start(&[]).await;
    let world = World::create_in(&app, "purged").await;
    let document = world.upload_to_team(&world.guest, "pump GONE-1", &[]).await;
    let conversation = world.team_conversation(&world.guest).await;
    world.member.chat(&conversation, "How often is the strainer of pump GONE-1 cleaned?").await;
    let home = world.member.upload("home.md", &files::note("pump KEPT-1"), &[]).await.expect_json(202);
    let home = text(&home["document_id"]);
    world.member.wait_until_ingested(&home).await;
    let mut db = SuperuserDb::connect(&app).await;
    let file = "SELECT tenant_id || '/' || storage_path AS file FROM documents WHERE id = $1::uuid";
    let file = app.storage_dir.join(text(&db.rows(file, &[&document]).await[0]["file"]));
    assert!(file.exists());
    assert_eq!(world.owner.delete(&world.path("")).await.status, 204);

    // One day is left. A server that starts looks for what is to go.
    let age = "UPDATE teams SET deleted_at = now() - make_interval(days => $2::integer) WHERE id = $1::uuid";
    db.execute(age, &[&world.team, "6"]).await;
    app.start_replica(&[]).await.stop();
    let tables = ["documents", "document_chunks", "document_terms", "conversations", "messages", "run_events"];
    for table in tables {
        let rows = format!("SELECT count(*) FROM {table} WHERE team_id = $1::uuid");
        assert!(db.count(&rows, &[&world.team]).await > 0, "{table}");
    }
    db.execute(age, &[&world.team, "8"]).await;
    for caller in [&world.owner, &world.admin] {
        caller.post(&world.path("/restore"), &json!({})).await.expect_problem(404, "not_found");
    }
    let _replica = app.start_replica(&[]).await;
    eventually_within(Duration::from_secs(30), "the team is gone", || async {
        let mut db = SuperuserDb::connect(&app).await;
        let rows = db.count("SELECT count(*) FROM teams WHERE id = $1::uuid", &[&world.team]).await;
        (rows == 0).then_some(())
    })
    .await;
    for table in tables.into_iter().chain(["jobs", "team_memberships", "team_invitations"]) {
        let rows = format!("SELECT count(*) FROM {table} WHERE team_id = $1::uuid");
        assert_eq!(db.count(&rows, &[&world.team]).await, 0, "{table}");
    }
    assert!(!file.exists(), "the file must be deleted");
    let links = "SELECT count(*) FROM team_links WHERE team_id = $1::uuid AND status <> 'voided'";
    assert_eq!(db.count(links, &[&world.team]).await, 0, "what leads guests to the team");
    let proof = "SELECT metadata FROM audit_logs WHERE event_type = 'team.content_deleted' AND resource_id = $1::uuid";
    let proof = db.rows(proof, &[&world.team]).await;
    assert_eq!(proof.len(), 1);
    assert_eq!((&proof[0]["metadata"]["documents"], &proof[0]["metadata"]["conversations"]), (&json!(1), &json!(1)));
    world.member.get(&format!("/v1/documents/{home}")).await.expect_json(200);
    world.owner.post(&world.path("/restore"), &json!({})).await.expect_problem(404, "not_found");
}
