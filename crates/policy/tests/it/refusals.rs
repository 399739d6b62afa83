//! Repeated authentication failures are aggregated: the audit log gets one row for the first in a minute and one with
//! the count of the rest, so nobody can flood it.

use crate::support::{Fixture, authenticate, request_id, with_claim};
use chrono::TimeDelta;
use domain::error::{Classify as _, ErrorKind};
use domain::ids::TenantId;
use policy::authn::Authenticator;
use policy::caller::RequestOrigin;
use policy::error::GateError;
use serde_json::json;

async fn authenticate_without_token(authenticator: &Authenticator, last_octet: u8) -> GateError {
    let origin = RequestOrigin { request: request_id(), peer: Some([10, 0, 0, last_octet].into()) };
    authenticator.authenticate(None, origin).await.expect_err("no token")
}

#[tokio::test]
async fn repeated_refusals_write_one_row_and_then_a_count() {
    let fixture = Fixture::new().await;
    let authenticator = fixture.authenticator();
    for _ in 0..1_000 {
        authenticate_without_token(&authenticator, 1).await;
    }
    authenticate_without_token(&authenticator, 2).await;
    assert_eq!(
        fixture.audit_rows_of(TenantId::PLATFORM).len(),
        2,
        "the first refusal of each peer is recorded at once"
    );
    authenticator.record_refusals_of_ended_minutes().await;
    assert_eq!(fixture.audit_rows_of(TenantId::PLATFORM).len(), 2, "the minute has not ended");
    fixture.clock.advance(TimeDelta::minutes(1));
    authenticator.record_refusals_of_ended_minutes().await;
    authenticator.record_refusals_of_ended_minutes().await;
    let rows = fixture.audit_rows_of(TenantId::PLATFORM);
    assert_eq!(rows.len(), 3);
    let (first, counted) = (&rows[0], &rows[2]);
    assert_eq!((&first.metadata["reason"], &first.metadata["peer"]), (&json!("token_missing"), &json!("10.0.0.1")));
    assert_eq!((&counted.metadata["count"], &counted.metadata["total"]), (&json!(999), &json!(1_000)));
    assert_eq!((&counted.metadata["peer"], &counted.metadata["first"]), (&json!("10.0.0.1"), &json!(first.id)));
    assert_eq!(counted.event_type, "auth.denied");
    authenticate_without_token(&authenticator, 1).await;
    assert_eq!(fixture.audit_rows_of(TenantId::PLATFORM).len(), 4, "a new minute");
}

#[tokio::test]
async fn any_number_of_peers_writes_a_bounded_number_of_rows() {
    let fixture = Fixture::new().await;
    let authenticator = fixture.authenticator();
    for number in 0..2_000_u16 {
        let [high, low] = number.to_be_bytes();
        let origin = RequestOrigin { request: request_id(), peer: Some([10, 1, high, low].into()) };
        authenticator.authenticate(None, origin).await.expect_err("no token");
    }
    authenticator.record_all_refusals().await;
    let filter = domain::audit::AuditFilter::default();
    let scope = fakes::store_contract::scope(TenantId::PLATFORM, domain::scope::Actor::System);
    let (mut counted, mut rows, mut after) = (0, 0, None);
    loop {
        let page = domain::page::PageRequest::new(200, after).expect("within bounds");
        let result =
            domain::ports::AuditReader::read(&fixture.store, &scope, &filter, &page).await.expect("in-memory store");
        rows += result.items.len();
        counted += result.items.iter().map(|row| row.metadata["count"].as_u64().unwrap_or(1)).sum::<u64>();
        after = result.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(counted, 2_000, "no refusal is lost");
    assert!(rows <= 260, "{rows}");
}

#[tokio::test]
async fn an_inactive_user_causes_two_rows_per_minute_and_is_rate_limited() {
    let fixture = Fixture::new().await;
    let authenticator = fixture.authenticator();
    let ada =
        authenticate(&authenticator, &fixture.signer.sign(&fixture.claims("ada", "user"))).await.expect("valid token");
    fixture.deactivate(ada.user()).await;
    let new_token = fixture.signer.sign(&with_claim(fixture.claims("ada", "user"), "jti", json!("2")));
    let mut decisions = Vec::new();
    for _ in 0..60 {
        let error = authenticate(&authenticator, &new_token).await.expect_err("inactive");
        assert_eq!(error.code(), "user_disabled");
        decisions.push(error.decision_id());
    }
    assert!(
        decisions[0].is_some() && decisions.iter().all(|id| *id == decisions[0]),
        "all have the decision id of the first one"
    );
    for _ in 0..20 {
        let error = authenticate(&authenticator, &new_token).await.expect_err("too often");
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert!(error.retry_after().is_some_and(|after| after.as_secs() <= 60));
    }
    authenticator.record_all_refusals().await;
    let denied: Vec<_> = fixture.audit_rows().into_iter().filter(|row| row.event_type == "auth.denied").collect();
    assert_eq!(denied.iter().map(|row| row.metadata["count"].as_u64().unwrap_or(1)).collect::<Vec<_>>(), [1, 79]);
    assert!(denied.iter().all(|row| row.user_id == Some(ada.user().id)));
    fixture.clock.advance(TimeDelta::minutes(1));
    assert_eq!(authenticate(&authenticator, &new_token).await.expect_err("still inactive").code(), "user_disabled");
}
