//! Who decides on a role: the provider, in the order in which it spoke, and an admin above it.

use crate::support::issuer::twin;
use crate::support::{World, but, present};
use chrono::TimeDelta;
use domain::ports::{Clock as _, Store as _};
use domain::role::Role;
use domain::user::UserPatch;
use policy::caller::Caller;
use policy::error::GateError;
use serde_json::{Value, json};

/// A token of Ada's that names a role, issued so many seconds ago.
fn token(world: &World, role: &str, seconds_ago: i64) -> String {
    let issued = world.clock.now().timestamp() - seconds_ago;
    world.signer.sign(&but(world.claims("ada", role), "iat", json!(issued)))
}

async fn role_with(world: &World, token: &str) -> Role {
    present(&world.authenticator(), token).await.expect("a good token").entitlements().role
}

async fn set_role(world: &World, caller: &Caller, role: Role) {
    world.patch(caller.user(), UserPatch { role: Some(role), ..UserPatch::default() }).await;
}

#[tokio::test]
async fn a_token_that_was_issued_before_the_role_was_set_does_not_bring_its_role() {
    let world = World::new().await;
    let (kept, used) = (token(&world, "PlatformAdmin", 5), token(&world, "PlatformAdmin", 4));
    let ada = present(&world.authenticator(), &used).await.expect("good");
    assert_eq!(ada.entitlements().role, Role::Admin);
    set_role(&world, &ada, Role::Viewer).await;
    assert_eq!(role_with(&world, &kept).await, Role::Viewer);
    let login = world.audit().into_iter().rfind(|row| row.event_type == "auth.login").expect("recorded");
    assert_eq!(login.metadata["role_ignored"], "issued_before_role_was_set");
}

#[tokio::test]
async fn a_demotion_at_the_provider_holds_against_its_older_tokens() {
    let world = World::new().await;
    let kept = token(&world, "PlatformAdmin", 5);
    assert_eq!(role_with(&world, &token(&world, "PlatformAdmin", 4)).await, Role::Admin);
    assert_eq!(role_with(&world, &token(&world, "PlatformViewer", 2)).await, Role::Viewer);
    assert_eq!(role_with(&world, &kept).await, Role::Viewer);
    assert_eq!(role_with(&world, &token(&world, "PlatformUser", 0)).await, Role::User, "a later one is heard");
}

#[tokio::test]
async fn a_role_that_an_admin_gave_is_pinned_until_it_is_unpinned() {
    let world = World::new().await;
    let ada = present(&world.authenticator(), &token(&world, "PlatformAdmin", 0)).await.expect("good");
    set_role(&world, &ada, Role::User).await;
    world.clock.advance(TimeDelta::seconds(5));
    assert_eq!(role_with(&world, &token(&world, "PlatformAdmin", 0)).await, Role::User);
    assert_eq!(role_with(&world, &token(&world, "PlatformViewer", 0)).await, Role::Viewer);
    world.clock.advance(TimeDelta::seconds(5));
    assert_eq!(role_with(&world, &token(&world, "PlatformUser", 0)).await, Role::Viewer);
}

#[tokio::test]
async fn a_token_that_does_not_say_when_it_was_issued_gives_no_role() {
    let world = World::new().await;
    let undated = world.signer.sign(&but(world.claims("ada", "PlatformAdmin"), "iat", Value::Null));
    assert_eq!(role_with(&world, &undated).await, Role::Viewer);
    let ada = present(&world.authenticator(), &token(&world, "PlatformUser", 0)).await.expect("good");
    assert_eq!(ada.entitlements().role, Role::User);
}

#[tokio::test]
async fn the_other_signature_of_the_same_token_is_not_a_token() {
    let world = World::new().await;
    let good = token(&world, "PlatformAdmin", 0);
    let ada = present(&world.authenticator(), &good).await.expect("good");
    set_role(&world, &ada, Role::Viewer).await;
    let error = present(&world.authenticator(), &twin(&good)).await.expect_err("a high s");
    assert!(matches!(error, GateError::Unauthenticated { reason: "signature_high_s" }), "{error:?}");
}

/// Where an issuer signs with either, neither is a new token once the other was seen.
#[tokio::test]
async fn a_token_is_known_by_what_is_signed_and_not_by_its_signature() {
    let world = World::new().await;
    let good = token(&world, "PlatformAdmin", 0);
    let ada = present(&world.authenticator(), &good).await.expect("good");
    let mut tx = world.store.begin(ada.scope()).await.expect("open");
    let known = tx.users().user_by_token(&world.seen_hash(&good)).await.expect("read");
    assert_eq!(known, Some(ada.user().id));
    drop(tx);
    let mut issuer = world.issuer(world.key_file());
    issuer.accept_high_s = true;
    let lax = world.authenticator_of(vec![issuer]);
    present(&lax, &twin(&good)).await.expect("this issuer signs with either");
    assert_eq!(world.audit().iter().filter(|row| row.event_type == "auth.login").count(), 1);
}
