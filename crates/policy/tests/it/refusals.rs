//! Refusals before authentication are counted, so that nobody writes the audit log full from outside.

use crate::support::{World, but, present, request};
use chrono::TimeDelta;
use domain::error::{Classify as _, ErrorKind};
use domain::ids::TenantId;
use policy::authn::Authenticator;
use policy::caller::Origin;
use policy::error::GateError;
use serde_json::json;

async fn refused(authenticator: &Authenticator, last: u8) -> GateError {
    let origin = Origin { request: request(), peer: Some([10, 0, 0, last].into()) };
    authenticator.authenticate(None, origin).await.expect_err("no token")
}

#[tokio::test]
async fn anonymous_refusals_make_a_first_row_and_one_with_their_number() {
    let world = World::new().await;
    let authenticator = world.authenticator();
    for _ in 0..1_000 {
        refused(&authenticator, 1).await;
    }
    refused(&authenticator, 2).await;
    assert_eq!(world.audit_of(TenantId::PLATFORM).len(), 2, "the first of each peer at once");
    authenticator.record_counted_refusals(false).await;
    assert_eq!(world.audit_of(TenantId::PLATFORM).len(), 2, "the minute is not over");
    world.clock.advance(TimeDelta::minutes(1));
    authenticator.record_counted_refusals(false).await;
    authenticator.record_counted_refusals(false).await;
    let rows = world.audit_of(TenantId::PLATFORM);
    assert_eq!(rows.len(), 3);
    let (first, counted) = (&rows[0], &rows[2]);
    assert_eq!((&first.metadata["reason"], &first.metadata["peer"]), (&json!("token_missing"), &json!("10.0.0.1")));
    assert_eq!((&counted.metadata["count"], &counted.metadata["total"]), (&json!(999), &json!(1_000)));
    assert_eq!((&counted.metadata["peer"], &counted.metadata["first"]), (&json!("10.0.0.1"), &json!(first.id)));
    assert_eq!(counted.event_type, "auth.denied");
    refused(&authenticator, 1).await;
    assert_eq!(world.audit_of(TenantId::PLATFORM).len(), 4, "a new minute");
}

#[tokio::test]
async fn any_number_of_peers_makes_a_bounded_number_of_rows() {
    let world = World::new().await;
    let authenticator = world.authenticator();
    for number in 0..2_000_u16 {
        let [high, low] = number.to_be_bytes();
        let origin = Origin { request: request(), peer: Some([10, 1, high, low].into()) };
        authenticator.authenticate(None, origin).await.expect_err("no token");
    }
    authenticator.record_counted_refusals(true).await;
    let filter = domain::audit::AuditFilter::default();
    let scope = fakes::suite::scope(TenantId::PLATFORM, domain::scope::Actor::System);
    let (mut told, mut rows, mut after) = (0, 0, None);
    loop {
        let page = domain::page::PageRequest::new(200, after).expect("within bounds");
        let read = domain::ports::AuditReader::read(&world.store, &scope, &filter, &page).await.expect("in memory");
        rows += read.items.len();
        told += read.items.iter().map(|row| row.metadata["count"].as_u64().unwrap_or(1)).sum::<u64>();
        after = read.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(told, 2_000, "none is lost");
    assert!(rows <= 260, "{rows}");
}

#[tokio::test]
async fn a_user_who_is_switched_off_writes_two_rows_a_minute_and_is_told_to_come_back_later() {
    let world = World::new().await;
    let authenticator = world.authenticator();
    let ada = present(&authenticator, &world.signer.sign(&world.claims("ada", "user"))).await.expect("good");
    world.switch_off(ada.user()).await;
    let other = world.signer.sign(&but(world.claims("ada", "user"), "jti", json!("2")));
    let mut decisions = Vec::new();
    for _ in 0..60 {
        let error = present(&authenticator, &other).await.expect_err("switched off");
        assert_eq!(error.code(), "user_disabled");
        decisions.push(error.decision());
    }
    assert!(decisions[0].is_some() && decisions.iter().all(|id| *id == decisions[0]), "one row tells of them all");
    for _ in 0..20 {
        let error = present(&authenticator, &other).await.expect_err("too often");
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert!(error.retry_after().is_some_and(|after| after.as_secs() <= 60));
    }
    authenticator.record_counted_refusals(true).await;
    let denied: Vec<_> = world.audit().into_iter().filter(|row| row.event_type == "auth.denied").collect();
    assert_eq!(denied.iter().map(|row| row.metadata["count"].as_u64().unwrap_or(1)).collect::<Vec<_>>(), [1, 79]);
    assert!(denied.iter().all(|row| row.user_id == Some(ada.user().id)));
    world.clock.advance(TimeDelta::minutes(1));
    assert_eq!(present(&authenticator, &other).await.expect_err("still off").code(), "user_disabled");
}
