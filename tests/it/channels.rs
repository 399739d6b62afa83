//! Telling people of approvals: webhooks, mail and cards in Teams, what they say and what they never say.

use crate::support::api_client::ApiClient;
use crate::support::app::{TENANT_A, TestApp, free_port};
use crate::support::db::SuperuserDb;
use crate::support::receiver::{Answer, Received, Receiver};
use crate::support::smtp::{self, SmtpServer};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::role::Role;
use fakes::eventually_within;
use serde_json::{Value, json};
use std::time::Duration;

const CHANNELS: &str = "/v1/admin/channels";
const POLICY: &str = "/v1/admin/approval-policies/plant_system_write";
const INVOKE: &str = "/v1/tools/plant_system_write/invoke";
/// A signing key of 32 bytes.
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TIMEOUT: Duration = Duration::from_secs(20);

/// Words of the request that no message may contain.
const WORDS: [&str; 4] = ["Replace the seal", "P-101A", "It leaks.", "A drip."];

/// A tenant with an admin (`founder`), who asks, and an approver (`ines`).
struct Plant<'a> {
    app: &'a TestApp,
    tenant: &'static str,
}

impl<'a> Plant<'a> {
    async fn new(app: &'a TestApp, tenant: &'static str) -> Self {
        app.create_tenant(tenant).await;
        let plant = Self { app, tenant };
        let ines = plant.approver().get("/v1/me").await.expect_json(200);
        let grants = json!({ "grants": ["approver"] });
        plant.admin().patch(&format!("/v1/admin/users/{}", text(&ines["id"])), &grants).await.expect_json(200);
        plant
    }

    fn admin(&self) -> ApiClient<'a> {
        self.app.caller(self.tenant, "founder", Role::Admin)
    }

    fn approver(&self) -> ApiClient<'a> {
        self.app.caller(self.tenant, "ines", Role::User)
    }

    /// Creates a channel and returns it as the API shows it.
    async fn channel(&self, body: &Value) -> Value {
        self.admin().post(CHANNELS, body).await.expect_json(201)
    }

    async fn webhook(&self, name: &str, receiver: &Receiver) -> Value {
        let config = json!({ "url": receiver.url });
        self.channel(&json!({ "name": name, "kind": "webhook", "config": config, "secret": SECRET })).await
    }

    async fn set_channels(&self, channels: &[&Value]) -> Value {
        let ids: Vec<_> = channels.iter().map(|channel| &channel["id"]).collect();
        self.admin().put(POLICY, &json!({ "channels": ids })).await.expect_json(200)
    }

    async fn request(&self) -> Value {
        let data = json!({ "title": WORDS[0], "description": WORDS[2], "priority": 2 });
        let arguments = json!({ "action": "create_work_order", "target": WORDS[1], "data": data });
        let pending = self.admin().post(INVOKE, &json!({ "arguments": arguments, "reason": WORDS[3] })).await;
        let id = text(&pending.expect_json(202)["approval_id"]);
        self.admin().get(&format!("/v1/approvals/{id}")).await.expect_json(200)
    }

    async fn approve(&self, approval: &Value) {
        let body = json!({ "decision": "approve", "digest": approval["digest"] });
        let path = format!("/v1/approvals/{}/decision", text(&approval["id"]));
        self.approver().post(&path, &body).await.expect_json(200);
    }

    async fn test(&self, channel: &Value) -> Value {
        self.admin().post(&format!("{}/test", path(channel)), &json!({})).await.expect_json(200)
    }

    async fn deliveries(&self, channel: &Value) -> Vec<Value> {
        let listed = self.admin().get(&format!("{}/deliveries?limit=200", path(channel))).await.expect_json(200);
        listed["data"].as_array().expect("a list").clone()
    }

    /// Waits until the newest message of this event has this status.
    async fn wait_for_delivery(&self, channel: &Value, event: &str, status: &str) -> Value {
        eventually_within(TIMEOUT, &format!("{event} is {status}"), || async {
            let found = self.deliveries(channel).await.into_iter().find(|delivery| delivery["event"] == event);
            found.filter(|delivery| delivery["status"] == status)
        })
        .await
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn path(channel: &Value) -> String {
    format!("{CHANNELS}/{}", text(&channel["id"]))
}

/// Verifies a message as Standard Webhooks says, without the platform's code.
fn assert_signed(request: &Received) {
    let key = BASE64_STANDARD.decode(SECRET.trim_start_matches("whsec_")).expect("base64");
    let (id, timestamp) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    let content = format!("{id}.{timestamp}.{}", request.body);
    let signatures: Vec<_> = request.header("webhook-signature").split(' ').collect();
    let is_valid = |signature: &&str| {
        let tag = signature.strip_prefix("v1,").and_then(|tag| BASE64_STANDARD.decode(tag).ok()).unwrap_or_default();
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), content.as_bytes(), &tag).is_ok()
    };
    assert!(signatures.iter().any(is_valid), "{request:?}");
}

fn assert_says_nothing_of_the_request(message: &str) {
    for word in WORDS {
        assert!(!message.contains(word), "{word} in {message}");
    }
}

#[tokio::test]
async fn a_webhook_is_told_of_everything_that_happens_to_a_request() {
    let plant = Plant::new(TestApp::shared().await, "channels-webhook").await;
    let receiver = Receiver::start([]).await;
    let channel = plant.webhook("shift", &receiver).await;
    let policy = plant.set_channels(&[&channel]).await;
    assert_eq!(policy["channels"], json!([channel["id"]]));
    let approval = plant.request().await;
    plant.approve(&approval).await;
    let received = receiver.wait_for(4).await;
    for request in &received {
        assert_signed(request);
        assert_says_nothing_of_the_request(&format!("{request:?}"));
    }
    let mut types: Vec<_> = received.iter().map(|request| text(&request.json()["type"])).collect();
    types.sort_unstable();
    assert_eq!(types, ["approval.decided", "approval.executed", "approval.requested", "approval_policy.changed"]);
    let requested = receiver.wait_for_type("approval.requested").await.json();
    let data = &requested["data"];
    assert_eq!((&data["id"], &data["status"]), (&approval["id"], &json!("pending")));
    assert_eq!((&data["tool"], &data["required"]), (&json!("plant_system_write"), &json!(1)));
    assert_eq!(data["requested_by"]["id"], approval["requested_by"], "{requested}");
    let page = format!("{}/ui/approvals/{}", plant.app.base_url, text(&approval["id"]));
    assert_eq!(data["url"], page, "{requested}");
    let delivery = plant.wait_for_delivery(&channel, "approval.executed", "delivered").await;
    assert_eq!((&delivery["attempts"], &delivery["approval_id"]), (&json!(1), &approval["id"]), "{delivery}");
    let ids: std::collections::BTreeSet<_> = received.iter().map(|request| request.header("webhook-id")).collect();
    assert_eq!(ids.len(), received.len(), "each message has an id of its own");
}

#[tokio::test]
async fn a_changed_policy_is_told_to_the_channels_of_the_old_and_the_new_one() {
    let plant = Plant::new(TestApp::shared().await, "channels-policy").await;
    let (old, new) = (Receiver::start([]).await, Receiver::start([]).await);
    let (old_channel, new_channel) = (plant.webhook("old", &old).await, plant.webhook("new", &new).await);
    plant.set_channels(&[&old_channel]).await;
    let approval = plant.request().await;
    old.wait_for_type("approval.requested").await;
    plant.set_channels(&[&new_channel]).await;
    for receiver in [&old, &new] {
        receiver.wait_for_type("approval_policy.changed").await;
        let cancelled = receiver.wait_for_type("approval.cancelled").await.json();
        assert_eq!(cancelled["data"]["id"], approval["id"], "{cancelled}");
    }
    // A deleted channel is in no policy, and nothing is told to it.
    plant.admin().delete(&path(&new_channel)).await;
    plant.admin().get(&path(&new_channel)).await.expect_problem(404, "not_found");
    assert_eq!(plant.admin().get(POLICY).await.expect_json(200)["channels"], json!([]));
    let count = new.received().len();
    plant.request().await;
    plant.set_channels(&[]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((new.received().len(), old.received().len()), (count, 4));
}

/// Sets the address that a user's tokens would have.
async fn set_email(app: &TestApp, user: &str, email: &str) {
    let set = "UPDATE users SET email = $2 WHERE id = $1::uuid";
    assert_eq!(SuperuserDb::connect(app).await.execute(set, &[user, email]).await, 1);
}

/// Waits until each of the addresses has got a mail of its own about the change, and nobody else has.
async fn expect_personal_mails(server: &SmtpServer, addresses: &[&str]) {
    let personal = || {
        let mails = server.mails().into_iter().filter(|mail| mail.data.contains("Subject: Approval policy changed"));
        let mut to: Vec<_> = mails.filter(|mail| mail.to != ["shift@plant.example"]).flat_map(|mail| mail.to).collect();
        to.sort_unstable();
        to
    };
    eventually_within(TIMEOUT, "the approvers are told", || async {
        (personal().len() >= addresses.len()).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(personal(), addresses);
}

#[tokio::test]
async fn a_changed_policy_is_mailed_to_each_approver_of_the_old_and_the_new_one() {
    let app = TestApp::shared().await;
    let plant = Plant::new(app, "channels-approvers").await;
    let server = SmtpServer::start(0).await;
    let config = json!({
        "host": "127.0.0.1", "port": server.port, "from": "platform@plant.example", "to": ["shift@plant.example"],
        "tls": false,
    });
    let login = json!({ "username": smtp::USER, "password": smtp::PASSWORD });
    let channel = plant.channel(&json!({ "name": "mail", "kind": "email", "config": config, "secret": login })).await;
    let mut ids = Vec::new();
    for name in ["ines", "otto", "lead", "off", "none"] {
        let me = app.caller(plant.tenant, name, Role::User).get("/v1/me").await.expect_json(200);
        ids.push(text(&me["id"]));
        if name != "none" {
            let address =
                if name == "lead" { "Shift@plant.example".to_owned() } else { format!("{name}@plant.example") };
            set_email(app, &ids[ids.len() - 1], &address).await;
        }
    }
    let switch_off = json!({ "is_active": false });
    plant.admin().patch(&format!("/v1/admin/users/{}", ids[3]), &switch_off).await.expect_json(200);

    // The old policy asks for the grant, which ines has; the new one names the others. Nobody has named a channel.
    let approval = plant.request().await;
    let approvers = json!({ "user_ids": [ids[1], ids[2], ids[3], ids[4]], "grant": null });
    plant.admin().put(POLICY, &json!({ "approvers": approvers })).await.expect_json(200);
    let personal = ["Shift@plant.example", "ines@plant.example", "otto@plant.example"];
    expect_personal_mails(&server, &personal).await;
    let told = server.mails().into_iter().find(|mail| mail.to == ["ines@plant.example"]).expect("a mail");
    assert!(told.data.contains("Requests cancelled: 1"), "{}", told.data);
    assert_says_nothing_of_the_request(&told.data);
    let path = format!("/v1/approvals/{}", text(&approval["id"]));
    assert_eq!(plant.admin().get(&path).await.expect_json(200)["status"], "cancelled");
    let listed = plant.deliveries(&channel).await;
    assert!(listed.iter().any(|delivery| delivery["recipient_id"] == json!(ids[0])), "{listed:?}");

    // Whoever gets the channel's mail gets no other one.
    let named = json!({ "user_ids": [ids[1], ids[2]], "grant": null });
    plant.admin().put(POLICY, &json!({ "approvers": named, "channels": [channel["id"]] })).await.expect_json(200);
    let twice = ["Shift@plant.example", "ines@plant.example", "otto@plant.example", "otto@plant.example"];
    expect_personal_mails(&server, &twice).await;
    let shared = server.mails().into_iter().filter(|mail| mail.to == ["shift@plant.example"]).count();
    assert_eq!(shared, 1);
}

#[tokio::test]
async fn a_policy_names_channels_of_its_tenant_only() {
    let app = TestApp::shared().await;
    let plant = Plant::new(app, "channels-names").await;
    let stranger = Plant::new(app, "channels-strangers").await;
    let receiver = Receiver::start([]).await;
    let own = plant.webhook("shift", &receiver).await;
    let foreign = stranger.webhook("shift", &receiver).await;
    let missing = json!("0197b2c0-7c1e-7000-8000-000000000001");
    for id in [&foreign["id"], &missing] {
        let problem = plant.admin().put(POLICY, &json!({ "channels": [own["id"], id] })).await;
        let problem = problem.expect_problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], "/channels/1", "{problem}");
    }
    let twice = json!({ "name": "shift", "kind": "webhook", "config": { "url": receiver.url } });
    plant.admin().post(CHANNELS, &twice).await.expect_problem(409, "conflict");
    plant.approver().get(CHANNELS).await.expect_problem(403, "policy_denied");
}

#[tokio::test]
async fn what_fails_is_tried_again_with_the_same_id_and_given_up_in_the_end() {
    let settings = [("PLATFORM__NOTIFICATIONS__RETRY_S", "1"), ("PLATFORM__NOTIFICATIONS__MAX_ATTEMPTS", "2")];
    let app = TestApp::start(&settings).await;
    let plant = Plant { app: &app, tenant: TENANT_A };

    let busy = Answer::status(429).with_header("retry-after", "4");
    let recovering = Receiver::start([busy]).await;
    let channel = plant.webhook("recovering", &recovering).await;
    plant.set_channels(&[&channel]).await;
    let delivered = plant.wait_for_delivery(&channel, "approval_policy.changed", "delivered").await;
    assert_eq!((&delivered["attempts"], &delivered["last_error"]), (&json!(2), &Value::Null), "{delivered}");
    let received = recovering.received();
    assert!(received[1].at - received[0].at >= Duration::from_millis(3_900), "as the receiver asked");
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!(received[0].body, received[1].body);
    received.iter().for_each(assert_signed);

    let broken = Receiver::start([Answer::status(500), Answer::status(503)]).await;
    let channel = plant.webhook("broken", &broken).await;
    plant.set_channels(&[&channel]).await;
    let given_up = plant.wait_for_delivery(&channel, "approval_policy.changed", "failed").await;
    assert_eq!((&given_up["attempts"], &given_up["last_error"]["code"]), (&json!(2), &json!("http_status")));
    assert!(text(&given_up["last_error"]["detail"]).contains("503"), "{given_up}");
    assert_eq!((&given_up["next_attempt_at"], broken.received().len()), (&Value::Null, 2));

    let elsewhere = Receiver::start([]).await;
    let redirect = Answer::status(307).with_header("location", elsewhere.url.clone());
    let moved = Receiver::start([redirect]).await;
    let channel = plant.webhook("moved", &moved).await;
    plant.set_channels(&[&channel]).await;
    let refused = plant.wait_for_delivery(&channel, "approval_policy.changed", "failed").await;
    assert_eq!((&refused["attempts"], &refused["last_error"]["code"]), (&json!(1), &json!("redirected")));
    assert_eq!(elsewhere.received().len(), 0, "redirects are not followed");
}

/// Another version of the platform wrote them, or somebody has changed the database.
#[tokio::test]
async fn what_cannot_be_read_ends_and_does_not_hold_up_other_messages() {
    let settings = [("PLATFORM__NOTIFICATIONS__RETRY_S", "1"), ("PLATFORM__NOTIFICATIONS__MAX_ATTEMPTS", "1")];
    let app = TestApp::start(&settings).await;
    let plant = Plant { app: &app, tenant: TENANT_A };
    let receiver = Receiver::start([]).await;
    let channel = plant.webhook("shift", &receiver).await;
    let broken = plant.webhook("broken", &receiver).await;
    let mut db = SuperuserDb::connect(&app).await;
    db.execute("UPDATE channels SET config = '{}' WHERE id = $1::uuid", &[&text(&broken["id"])]).await;
    let insert = "INSERT INTO channel_deliveries
                      (id, tenant_id, channel_id, event, facts, attempts, next_attempt_at, created_at)
                  SELECT gen_random_uuid(), tenant_id, id, 'unknown', jsonb_build_object('event', 'unknown'), earlier,
                         now(), now()
                  FROM channels, unnest(ARRAY[0, 2]) AS earlier WHERE id = $1::uuid";
    assert_eq!(db.execute(insert, &[&text(&channel["id"])]).await, 2);
    plant.set_channels(&[&channel, &broken]).await;
    plant.wait_for_delivery(&channel, "approval_policy.changed", "delivered").await;
    for (condition, count) in [
        ("event = 'unknown' AND status = 'pending' AND attempts = 1", 1),
        ("event = 'unknown' AND status = 'failed' AND last_error_code = 'unreadable'", 1),
    ] {
        let query = format!("SELECT count(*) FROM channel_deliveries WHERE {condition}");
        assert_eq!(db.count(&query, &[]).await, count, "{condition}");
    }
    let given_up = "SELECT count(*) FROM channel_deliveries
                    WHERE channel_id = $1::uuid AND status = 'failed' AND last_error_code = 'given_up'";
    eventually_within(TIMEOUT, "the message to the broken channel is given up", || async {
        let mut db = SuperuserDb::connect(&app).await;
        (db.count(given_up, &[&text(&broken["id"])]).await == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_mail_says_where_to_decide_and_nothing_of_what_is_asked() {
    let app = TestApp::start(&[("PLATFORM__NOTIFICATIONS__RETRY_S", "1")]).await;
    let plant = Plant { app: &app, tenant: TENANT_A };
    let server = SmtpServer::start(1).await;
    let config = json!({
        "host": "127.0.0.1", "port": server.port, "from": "Platform <platform@plant.example>",
        "to": ["shift@plant.example", "lead@plant.example"], "tls": false,
    });
    let login = json!({ "username": smtp::USER, "password": smtp::PASSWORD });
    let body = json!({ "name": "mail", "kind": "email", "config": config, "secret": login });
    let channel = plant.channel(&body).await;
    assert_eq!((&channel["config"]["tls"], &channel["has_secret"]), (&json!("none"), &json!(true)), "{channel}");
    plant.set_channels(&[&channel]).await;
    let deferred = plant.wait_for_delivery(&channel, "approval_policy.changed", "delivered").await;
    assert_eq!(deferred["attempts"], 2, "the server deferred the first mail: {deferred}");
    let approval = plant.request().await;
    let mail = server.wait_for_subject("Approval needed").await;
    assert_eq!((mail.from.as_str(), mail.login.as_deref()), ("platform@plant.example", Some(smtp::USER)));
    assert_eq!(mail.to, ["shift@plant.example", "lead@plant.example"]);
    assert_says_nothing_of_the_request(&mail.data);
    for part in ["Auto-Submitted: auto-generated", "Message-ID: <", "text/plain", "text/html"] {
        assert!(mail.data.contains(part), "{part} in {}", mail.data);
    }
    // Lines may be broken by the transfer encoding.
    let unwrapped = mail.data.replace("=\r\n", "");
    assert!(unwrapped.contains(&format!("/ui/approvals/{}", text(&approval["id"]))), "{unwrapped}");

    // The password is in no answer and not in the database.
    let mut shown = vec![channel.to_string(), plant.admin().get(CHANNELS).await.expect_json(200).to_string()];
    shown.push(plant.admin().get(&path(&channel)).await.expect_json(200).to_string());
    shown.push(format!("{:?}", plant.deliveries(&channel).await));
    let audit = plant.admin().get("/v1/audit?event_type=admin.channel_created").await.expect_json(200).to_string();
    assert!(audit.contains("admin.channel_created"), "{audit}");
    shown.push(audit);
    for text in shown {
        assert!(!text.contains(smtp::PASSWORD) && !text.contains(smtp::USER), "{text}");
    }
    let sql = "UPDATE channels SET name = name
               WHERE id = $1::uuid AND sealed IS NOT NULL AND strpos(encode(sealed, 'escape'), $2) = 0
                 AND strpos(config::text, $2) = 0";
    let id = text(&channel["id"]);
    assert_eq!(SuperuserDb::connect(&app).await.execute(sql, &[&id, smtp::PASSWORD]).await, 1, "it is encrypted");

    // At another server the secret is gone.
    let moved = json!({ "config": { "port": free_port() } });
    let moved = plant.admin().patch(&path(&channel), &moved).await.expect_json(200);
    assert_eq!(moved["has_secret"], false, "{moved}");
    let failed = plant.test(&moved).await;
    assert_eq!((&failed["ok"], &failed["code"]), (&json!(false), &json!("unreachable")), "{failed}");
    assert!(text(&failed["detail"]).contains("mail server cannot be reached"), "{failed}");
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_starttls_are_told_apart() {
    let plant = Plant::new(TestApp::shared().await, "channels-smtp").await;
    let server = SmtpServer::start(0).await;
    let config = json!({
        "host": "127.0.0.1", "port": server.port, "from": "platform@plant.example", "to": ["shift@plant.example"],
    });
    let channel = plant.channel(&json!({ "name": "mail", "kind": "email", "config": config })).await;
    assert_eq!(plant.test(&channel).await["code"], "no_starttls");
    let login = json!({ "username": smtp::USER, "password": "wrong" });
    let change = json!({ "config": { "tls": "none" }, "secret": login });
    let changed = plant.admin().patch(&path(&channel), &change).await.expect_json(200);
    assert_eq!(plant.test(&changed).await["code"], "sign_in_refused");
    let login = json!({ "username": smtp::USER, "password": smtp::PASSWORD });
    plant.admin().patch(&path(&channel), &json!({ "secret": login })).await.expect_json(200);
    let sent = plant.test(&channel).await;
    assert_eq!((&sent["ok"], &sent["code"]), (&json!(true), &Value::Null), "{sent}");
    server.wait_for_subject("Test message").await;
    let tests = plant.deliveries(&channel).await;
    let statuses: Vec<_> = tests.iter().map(|test| text(&test["status"])).collect();
    assert_eq!(statuses, ["delivered", "failed", "failed"], "newest first");
}

#[tokio::test]
async fn a_card_in_teams_has_a_link_and_its_flow_keeps_its_secret() {
    let plant = Plant::new(TestApp::shared().await, "channels-teams").await;
    let receiver = Receiver::start([]).await;
    let config = json!({ "url": format!("{}?api-version=1&sig=top-secret", receiver.url) });
    let channel = plant.channel(&json!({ "name": "teams", "kind": "teams", "config": config })).await;
    assert_eq!((&channel["config"]["url"], &channel["has_secret"]), (&json!(receiver.url), &json!(true)), "{channel}");
    // What was shown can be written back.
    let same = json!({ "name": "Teams", "config": channel["config"] });
    plant.admin().patch(&path(&channel), &same).await.expect_json(200);
    plant.set_channels(&[&channel]).await;
    let approval = plant.request().await;
    let received = receiver.wait_for(2).await;
    let of_the_request = |received: &&Received| received.body.contains(&text(&approval["id"]));
    let card = received.iter().find(of_the_request).expect("a card");
    assert_eq!(card.uri.query(), Some("api-version=1&sig=top-secret"));
    assert_eq!(card.header("content-type"), "application/json; charset=utf-8");
    assert_says_nothing_of_the_request(&card.body);
    let content = &card.json()["attachments"][0]["content"];
    assert_eq!((&content["type"], &content["version"]), (&json!("AdaptiveCard"), &json!("1.4")));
    let actions = content["actions"].as_array().expect("actions");
    assert_eq!((actions.len(), &actions[0]["type"]), (1, &json!("Action.OpenUrl")), "{content}");
    let shown = plant.admin().get(CHANNELS).await.expect_json(200).to_string();
    assert!(!shown.contains("top-secret") && !format!("{:?}", plant.deliveries(&channel).await).contains("top-secret"));
    let sql = "UPDATE channels SET name = name WHERE id = $1::uuid AND strpos(config::text, 'top-secret') = 0";
    assert_eq!(SuperuserDb::connect(plant.app).await.execute(sql, &[&text(&channel["id"])]).await, 1);
}

#[tokio::test]
async fn messages_go_to_no_address_that_only_the_platform_can_reach() {
    let app = TestApp::start(&[("PLATFORM__NOTIFICATIONS__ALLOW_NETWORKS", "10.0.0.0/8,169.254.0.0/16")]).await;
    let plant = Plant { app: &app, tenant: TENANT_A };
    let refused_urls = [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://192.168.1.1/",
        "http://0.0.0.0/",
        "https://user@hooks.example/",
        "file:///etc/passwd",
        "no url",
    ];
    for url in refused_urls {
        for kind in ["webhook", "teams"] {
            let body = json!({ "name": "refused", "kind": kind, "config": { "url": url } });
            let problem = plant.admin().post(CHANNELS, &body).await.expect_problem(422, "validation");
            assert_eq!(problem["errors"][0]["pointer"], "/config/url", "{url}: {problem}");
        }
    }
    let mail = json!({ "host": "192.168.1.1", "from": "a@plant.example", "to": ["b@plant.example"] });
    let problem = plant.admin().post(CHANNELS, &json!({ "name": "refused", "kind": "email", "config": mail })).await;
    assert_eq!(problem.expect_problem(422, "validation")["errors"][0]["pointer"], "/config/host");
    // The setting allows this network; plain HTTP stays within it.
    let allowed = json!({ "name": "allowed", "kind": "webhook", "config": { "url": "http://10.255.255.1:9/" } });
    plant.channel(&allowed).await;
    let public = json!({ "name": "public", "kind": "webhook", "config": { "url": "http://8.8.8.8/" } });
    let failed = plant.test(&plant.channel(&public).await).await;
    assert_eq!((&failed["ok"], &failed["code"]), (&json!(false), &json!("plain_http")), "{failed}");
}

#[tokio::test]
async fn a_replaced_signing_key_is_used_for_a_day_beside_the_new_one() {
    let plant = Plant::new(TestApp::shared().await, "channels-rotation").await;
    let receiver = Receiver::start([]).await;
    let channel = plant.webhook("shift", &receiver).await;
    let new_secret = format!("whsec_{}", BASE64_STANDARD.encode([7; 32]));
    let changed = plant.admin().patch(&path(&channel), &json!({ "secret": new_secret })).await.expect_json(200);
    assert!(!changed.to_string().contains("whsec_"), "{changed}");
    plant.admin().patch(&path(&channel), &json!({ "name": "night" })).await.expect_json(200);
    let rows = plant.admin().get("/v1/audit?event_type=admin.channel_changed").await.expect_json(200);
    let fields = rows["data"].as_array().expect("a list").iter().map(|row| row["metadata"]["changed"].clone());
    let fields: Vec<Value> = fields.filter(Value::is_array).collect();
    assert_eq!(fields, [json!(["name"]), json!(["secret"])], "newest first: {rows}");
    assert_eq!(plant.test(&channel).await["ok"], true);
    let request = &receiver.wait_for(1).await[0];
    assert_eq!(request.header("webhook-signature").split(' ').count(), 2, "{request:?}");
    assert_signed(request);
    plant.admin().patch(&path(&channel), &json!({ "secret": null })).await.expect_json(200);
    assert_eq!(plant.test(&channel).await["ok"], true);
    assert!(receiver.wait_for(2).await[1].headers.get("webhook-signature").is_none());
    let short = json!({ "secret": "whsec_c2hvcnQ=" });
    let problem = plant.admin().patch(&path(&channel), &short).await.expect_problem(422, "validation");
    assert_eq!(problem["errors"][0]["pointer"], "/secret", "{problem}");
}
