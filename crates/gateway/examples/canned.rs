//! Serves the gateway on port 8080 with a mocked gate that accepts every token and returns a fixed answer.
//!
//! ```text
//! cargo run -p gateway --example canned
//! curl -N -H 'authorization: Bearer any' -H 'content-type: application/json' \
//!      -d '{"message":"How do I isolate P-101?"}' \
//!      http://127.0.0.1:8080/v1/conversations/0197b2c0-7c1e-7000-8000-000000000001/chat
//! ```
//! The OpenAPI page is at <http://127.0.0.1:8080/docs>.

use domain::command::{ReadAccount, SendMessage};
use domain::ids::{MessageId, RequestId, RunId, TenantId, UserId};
use domain::model::ModelTier;
use domain::plant::PlantMode;
use domain::role::{Classification, Role};
use domain::run::{EventStream, FinishReason, NumberedEvent, RunEvent, RunSummary, TokenUsage};
use domain::scope::{Actor, TenantScope};
use domain::tenant::{Tenant, TenantSettings};
use domain::user::{Account, Entitlements, User};
use fakes::SequentialIds;
use futures::StreamExt;
use gateway::console::ConsolePorts;
use gateway::{AlwaysReady, GatewaySettings, InProcessLimiter, Ports};
use policy::caller::Caller;
use policy::gate::MockGate;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut gate = MockGate::new();
    gate.on_authenticate(|_, origin| Ok(caller(origin.request)));
    gate.on::<ReadAccount>(|caller, _| Ok(account(caller)));
    gate.on::<SendMessage>(|_, _| Ok(canned_answer()));
    let ports = Ports {
        ids: Arc::new(SequentialIds::default()),
        readiness: Arc::new(AlwaysReady),
        limiter: Arc::new(InProcessLimiter::default()),
        metrics: None,
        tasks: TaskTracker::new(),
        console: ConsolePorts::default(),
    };
    let router = gateway::router(Arc::new(gate), ports, GatewaySettings::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await
}

#[expect(clippy::disallowed_methods, reason = "the example has no authentication that could mint a scope")]
fn caller(request: RequestId) -> Caller {
    let tenant = Tenant {
        id: TenantId::from_uuid(Uuid::from_u128(1)),
        name: "Example plant".to_owned(),
        slug: "example".to_owned(),
        settings: TenantSettings::default(),
        settings_version: 1,
        is_active: true,
        created_at: Default::default(),
        updated_at: Default::default(),
    };
    let user = User {
        id: UserId::from_uuid(Uuid::from_u128(2)),
        issuer: "https://issuer.example".to_owned(),
        external_id: "everybody".to_owned(),
        email: "everybody@plant.example".to_owned(),
        display_name: None,
        role: Role::Admin,
        role_from_token: true,
        role_pinned: false,
        role_set_at: None,
        grants: Vec::new(),
        is_active: true,
        last_login: None,
        created_at: Default::default(),
    };
    let entitlements = Entitlements {
        role: Role::Admin,
        grants: Vec::new(),
        clearance: Classification::Restricted,
        may_request_writes: false,
        team: None,
    };
    Caller::new(TenantScope::mint(tenant.id, Actor::User(user.id), request), tenant, user, entitlements)
}

fn account(caller: &Caller) -> Account {
    let settings = caller.tenant().settings.clone();
    let plant_mode = PlantMode::Normal;
    Account { user: caller.user().clone(), entitlements: caller.entitlements().clone(), settings, plant_mode }
}

fn canned_answer() -> EventStream {
    let message_id = MessageId::from_uuid(Uuid::from_u128(4));
    let events = [
        RunEvent::Started {
            run_id: RunId::from_uuid(Uuid::from_u128(3)),
            message_id,
            model: ModelTier::Fast,
            escalation: None,
            privacy_warnings: Vec::new(),
        },
        RunEvent::Delta { text: "Close the suction valve first.".to_owned() },
        RunEvent::Finished(RunSummary {
            fallback: false,
            finish_reason: FinishReason::Stop,
            usage: TokenUsage::default(),
            model: "canned".to_owned(),
            degraded: false,
            omitted_count: 0,
            message_id,
            unsupported_statements: Vec::new(),
        }),
    ];
    let numbered = (1..).zip(events).map(|(seq, event)| NumberedEvent { seq, event });
    futures::stream::iter(numbered.collect::<Vec<_>>()).boxed()
}
