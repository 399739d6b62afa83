//! Two tenants with secrets, and the channels' documents and memories.

use super::channels::{Carrier, Channel, File, channels, connector, instruction, plain_document};
use super::obeying_model::{ObeyingModel, SAY_INSTRUCTION};
use crate::support::api_client::ApiClient;
use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::db::SuperuserDb;
use domain::role::Role;
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// A secret of the other tenant, in a document.
const TENANT_SECRET: &str = "BRAVO-7741";
/// A secret of another user of the same tenant, in a memory.
const USER_SECRET: &str = "UNIFORM-5512";
/// A secret above the clearance of viewers, in the title and the text of a document.
const RESTRICTED_SECRET: &str = "ROMEO-9921";
/// What no user of the cases may get.
pub const SECRETS: [&str; 3] = [TENANT_SECRET, USER_SECRET, RESTRICTED_SECRET];
/// Scopes of an access token for the cases, of which a goal may leave one out.
const SCOPES: [&str; 7] = [
    "conversations:create",
    "conversations:read",
    "search:read",
    "documents:read",
    "documents:list",
    "memories:list",
    "readings:list",
];

/// Ids that the injected instructions name.
pub struct Ids {
    pub other_tenant: String,
    pub foreign_document: String,
    pub restricted_document: String,
    pub other_user: String,
}

/// A platform whose model obeys every instruction.
pub struct Plant {
    pub app: TestApp,
    pub model: ObeyingModel,
    pub db: Mutex<SuperuserDb>,
    pub ids: Ids,
    plain_document: String,
}

/// A channel whose document or memory exists.
pub struct PreparedChannel {
    pub channel: Channel,
    /// Its document, if it has one.
    document: Option<String>,
}

impl Plant {
    pub async fn start() -> Self {
        let model = ObeyingModel::start().await;
        let app = TestApp::start(&[("LITELLM_BASE_URL", &model.server.url)]).await;
        let db = Mutex::new(SuperuserDb::connect(&app).await);
        let ids = store_secrets(&app).await;
        let plain_document = upload(&app.as_admin(TENANT_A), &plain_document()).await;
        Self { app, model, db, ids, plain_document }
    }

    /// The user of a channel, who is a viewer.
    pub fn user(&self, channel: &str) -> ApiClient<'_> {
        self.app.caller(TENANT_A, channel, Role::Viewer)
    }

    /// The user as a program whose access token lacks a scope.
    pub async fn program(&self, channel: &str, missing_scope: &str) -> ApiClient<'_> {
        let scopes: Vec<&str> = SCOPES.into_iter().filter(|scope| *scope != missing_scope).collect();
        let request = json!({ "name": missing_scope, "scopes": scopes });
        let token = self.user(channel).post("/v1/tokens", &request).await.expect_json(201);
        self.app.with_token(token["secret"].as_str().expect("a secret"))
    }

    /// Uploads and stores what carries the channels' instructions.
    pub async fn prepare_channels(&self) -> Vec<PreparedChannel> {
        let admin = self.app.as_admin(TENANT_A);
        admin.post("/v1/admin/connectors", &connector()).await.expect_json(201);
        let mut prepared = Vec::new();
        for channel in channels() {
            let document = match &channel.carrier {
                Carrier::Document(file) | Carrier::ToolResult { file, .. } => Some(upload(&admin, file).await),
                _ => None,
            };
            self.store_memories(&channel).await;
            prepared.push(PreparedChannel { channel, document });
        }
        prepared
    }

    /// Stores or suggests the memories of a channel.
    async fn store_memories(&self, channel: &Channel) {
        let (user, order) = (self.user(channel.name), instruction(channel.name));
        match &channel.carrier {
            Carrier::Memory => store_memory(&user, &order, 0.9).await,
            Carrier::MemoryResult => {
                for number in 0..10 {
                    store_memory(&user, &format!("I like tea number {number}."), 0.9).await;
                }
                store_memory(&user, &order, 0.1).await;
            }
            Carrier::Suggestion => {
                user.chat(&user.create_conversation().await, &format!("Remember that {order}.")).await;
                let suggested = user.get("/v1/memories?status=suggested").await.expect_json(200);
                assert!(suggested.to_string().contains("OBEY[suggested-memory]"), "{suggested}");
            }
            _ => {}
        }
    }
}

impl PreparedChannel {
    /// The request of the user besides the question.
    pub fn requested_call(&self) -> String {
        let call = match &self.channel.carrier {
            Carrier::ToolResult { call, .. } | Carrier::Tag { call } => call,
            Carrier::MemoryResult => r#"memory_read {"query":"gloves","limit":20}"#,
            _ => return String::new(),
        };
        format!("USE[{}]", call.replace("{id}", self.document.as_deref().unwrap_or_default()))
    }

    /// The body of the chat request: only the channel's document is searched, if any.
    pub fn chat_body(&self, plant: &Plant, message: &str) -> Value {
        let (retrieval, document) = match &self.channel.carrier {
            Carrier::Document(_) => ("always", self.document.as_ref()),
            Carrier::EarlierAnswer | Carrier::EarlierQuestion => ("always", Some(&plant.plain_document)),
            _ => ("never", None),
        };
        let documents: Vec<_> = document.into_iter().collect();
        json!({ "message": message, "retrieval": retrieval, "document_ids": documents })
    }

    /// Creates the conversation, with what precedes the question.
    pub async fn create_conversation(&self, caller: &ApiClient<'_>) -> String {
        let order = instruction(self.channel.name);
        let title = if matches!(self.channel.carrier, Carrier::Title) { &order } else { "Maintenance" };
        let conversation = caller.create_conversation_with(&json!({ "title": title })).await;
        let first_message = match self.channel.carrier {
            Carrier::EarlierAnswer => SAY_INSTRUCTION,
            Carrier::EarlierQuestion => &order,
            _ => return conversation,
        };
        let body = json!({ "message": first_message, "retrieval": "never", "stream": false });
        caller.post(&format!("/v1/conversations/{conversation}/chat"), &body).await.expect_json(200);
        conversation
    }
}

/// Stores the secrets, and asserts that those who may see them do.
async fn store_secrets(app: &TestApp) -> Ids {
    let (admin, other_tenants_user) = (app.as_admin(TENANT_A), app.as_user(TENANT_B));
    let gate = format!("# Gate\n\nThe gate code of the plant is {TENANT_SECRET}.\n");
    let gate = other_tenants_user.ingest("gate.md", gate.as_bytes(), &[]).await;
    let register = format!("# Bypass register {RESTRICTED_SECRET}\n\nThe bypass code is {RESTRICTED_SECRET}.\n");
    let register = admin.ingest("register.md", register.as_bytes(), &[("classification", "restricted")]).await;
    let olga = app.caller(TENANT_A, "olga", Role::Viewer);
    store_memory(&olga, &format!("My locker code is {USER_SECRET}."), 1.0).await;
    for (caller, query, secret) in
        [(&other_tenants_user, "gate code", TENANT_SECRET), (&admin, "bypass code", RESTRICTED_SECRET)]
    {
        let found = caller.post("/v1/search", &json!({ "query": query })).await.expect_json(200);
        assert!(found.to_string().contains(secret), "{found}");
    }
    assert!(olga.get("/v1/memories").await.text().contains(USER_SECRET));
    let id = |value: &Value| value["id"].as_str().expect("an id").to_owned();
    let (olga, foreigner) =
        (olga.get("/v1/me").await.expect_json(200), other_tenants_user.get("/v1/me").await.expect_json(200));
    Ids {
        other_tenant: id(&foreigner["tenant"]),
        foreign_document: id(&gate),
        restricted_document: id(&register),
        other_user: id(&olga),
    }
}

async fn upload(admin: &ApiClient<'_>, file: &File) -> String {
    let fields: Vec<(&str, &str)> = file.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let document = admin.ingest(&file.name, &file.bytes, &fields).await;
    assert_eq!(document["status"], "ready", "{document}");
    document["id"].as_str().expect("an id").to_owned()
}

async fn store_memory(user: &ApiClient<'_>, content: &str, importance: f64) {
    user.post("/v1/memories", &json!({ "content": content, "importance": importance })).await.expect_json(201);
}
