//! Two tenants in one store: a transaction sees only the rows of its scope. Run it with
//! `cargo run -p fakes --example scope`.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use domain::conversation::{Conversation, ConversationFilter};
use domain::ids::{TenantId, UserId};
use domain::page::PageRequest;
use domain::ports::{Clock as _, IdGen as _, Store as _};
use domain::role::Classification;
use domain::scope::Actor;
use fakes::store_contract::scope;
use fakes::{InMemoryStore, ManualClock, SequentialIds};
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (clock, ids) = (Arc::new(ManualClock::default()), SequentialIds::default());
    let store = InMemoryStore::new(clock.clone());
    let user = UserId::from_uuid(ids.uuid());
    let scope_a = scope(TenantId::from_uuid(ids.uuid()), Actor::User(user));
    let scope_b = scope(TenantId::from_uuid(ids.uuid()), Actor::User(user));

    let conversation = Conversation {
        id: ids.uuid().into(),
        user_id: user,
        title: Some("Pump P-101A".to_owned()),
        model: None,
        metadata: serde_json::json!({}),
        classification: Classification::Public,
        archived: false,
        active_message_id: None,
        is_busy: false,
        team_id: None,
        created_at: clock.now(),
        updated_at: clock.now(),
    };
    let mut tx = store.begin(&scope_a).await?;
    tx.conversations().insert(&conversation).await?;
    tx.commit().await?;

    for (name, scope) in [("tenant A", scope_a), ("tenant B", scope_b)] {
        let mut tx = store.begin(&scope).await?;
        let (filter, page) = (ConversationFilter::default(), PageRequest::default());
        let found = tx.conversations().list(&filter, Classification::Restricted, &page).await?;
        println!("{name}: {} conversation(s)", found.items.len());
    }
    Ok(())
}
