//! Runs an allowed and a refused command through the gate with the in-memory store, and prints the audit rows of both.
//! Run it with `cargo run -p policy --example decide`.
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use domain::audit::AuditFilter;
use domain::command::{ListConversations, ListUsers};
use domain::conversation::ConversationFilter;
use domain::page::{Page, PageRequest};
use domain::ports::{AuditReader as _, Clock as _, IdGen as _, NewTenant, Store as _, TenantDirectory as _};
use domain::role::Role;
use domain::scope::Actor;
use fakes::store_contract::{identity, scope};
use fakes::{InMemoryStore, ManualClock, SequentialIds};
use policy::authn::{Authenticator, AuthnSettings};
use policy::caller::Caller;
use policy::gate::{Execute as _, GateDependencies, GateKeys, PolicyGate, UseCases};
use policy::keyed_hash::HashKey;
use runtime::use_case::MockUseCases;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let (clock, ids) = (Arc::new(ManualClock::default()), Arc::new(SequentialIds::default()));
    let store = InMemoryStore::new(clock.clone());
    let ada = create_user(&store, &ids, &clock).await?;
    let shared_store = Arc::new(store.clone());
    // No issuer is trusted: the example creates the caller directly instead of authenticating a token.
    let settings = AuthnSettings {
        issuers: Vec::new(),
        platform_admins: Vec::new(),
        token_key: HashKey::derive(b"an example's secret", "token"),
        key_cache_dir: None,
        login_max_age_days: 30,
        refusals_per_minute: 60,
    };
    let authn = Authenticator::new(settings, shared_store.clone(), shared_store.clone(), clock.clone(), ids.clone())?;
    let dependencies = GateDependencies { store: shared_store, clock, ids, tasks: TaskTracker::new() };
    let gate = PolicyGate::new(authn, use_cases(), GateKeys::derive(b"an example's secret"), dependencies);

    let page = PageRequest::default();
    let allowed_result =
        gate.execute(&ada, ListConversations { filter: ConversationFilter::default(), page, team: None }).await;
    println!("her conversations: {:?}", allowed_result.map(|page| page.items.len()));
    let refused_result = gate.execute(&ada, ListUsers { page }).await;
    println!("the tenant's users: {:?}", refused_result.map(|page| page.items.len()));
    for row in store.read(ada.scope(), &AuditFilter::default(), &page).await?.items.iter().rev() {
        println!("audit {} {:?} {}", row.event_type, row.result_status, row.metadata);
    }
    Ok(())
}

/// Creates Ada, a user without admin rights.
async fn create_user(store: &InMemoryStore, ids: &SequentialIds, clock: &ManualClock) -> Result<Caller> {
    let new_tenant = NewTenant { id: ids.uuid().into(), name: "Plant A".to_owned(), slug: "plant-a".to_owned() };
    let tenant = store.create_tenant(new_tenant).await?;
    let mut tx = store.begin(&scope(tenant.id, Actor::System)).await?;
    let user = tx.users().sign_in(ids.uuid().into(), &identity("ada", Some(Role::User)), clock.now()).await?;
    let member = tx.users().membership(user.id).await?.ok_or("the new user has no membership")?;
    tx.commit().await?;
    Ok(Caller::new(scope(tenant.id, Actor::User(user.id)), tenant, user, member.entitlements(&[])))
}

/// Use cases that only handle the allowed command.
fn use_cases() -> UseCases {
    let mut use_cases = MockUseCases::new();
    use_cases.on::<ListConversations>(|_| Ok(Page { items: Vec::new(), next: None }));
    UseCases::new(use_cases)
}
