//! Access of users to the rows of the audit log.

use crate::support::{Fixture, auditor_rights, rights};
use domain::audit::AuditFilter;
use domain::command::ListAudit;
use domain::ids::UserId;
use domain::page::PageRequest;
use domain::rights::Rights;
use domain::role::Role;
use fakes::access;
use runtime::audit_trail::AuditTrailService;
use runtime::use_case::UseCase as _;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The rows that Ada asks for.
#[derive(Clone, Copy)]
enum RequestedRows {
    All,
    OfBob,
}

/// Returns the users whose rows Ada gets with these rights, followed by Ada and Bob. The log has one row of each.
async fn users_of_readable_rows(
    rights: Rights,
    requested: RequestedRows,
) -> (BTreeSet<Option<UserId>>, [Option<UserId>; 2]) {
    let fixture = Fixture::new().await;
    let (ada, bob) = (fixture.ada.user(), fixture.bob.user());
    let user_id = match requested {
        RequestedRows::All => None,
        RequestedRows::OfBob => bob,
    };
    let filter = AuditFilter { user_id, ..AuditFilter::default() };
    let command = ListAudit { filter, page: PageRequest::default() };
    fixture.authorize(&fixture.bob, Role::User, command.clone()).await;
    let granted = fixture.authorize(&fixture.ada, Role::User, command.clone()).await;
    let receipt = granted.permit().receipt();
    let granted = access::authorized(fixture.ada.clone(), access::access_grant(rights), receipt, command);
    let page = AuditTrailService::new(Arc::new(fixture.store.clone())).execute(granted).await.expect("in memory");
    (page.items.iter().map(|row| row.user_id).collect(), [ada, bob])
}

#[tokio::test]
async fn admins_and_auditors_read_the_tenants_log_and_others_their_own_rows() {
    for (rights, sees_all) in [
        (rights(Role::Admin), true),
        (auditor_rights(), true),
        (rights(Role::User), false),
        (rights(Role::Viewer), false),
    ] {
        let (users, [ada, bob]) = users_of_readable_rows(rights, RequestedRows::All).await;
        assert_eq!(users, if sees_all { BTreeSet::from([ada, bob]) } else { BTreeSet::from([ada]) });
    }
}

#[tokio::test]
async fn filtering_by_a_colleague_finds_nothing_without_the_right_to_the_tenants_log() {
    let (users, _) = users_of_readable_rows(rights(Role::User), RequestedRows::OfBob).await;
    assert!(users.is_empty(), "{users:?}");
    let (users, [_, bob]) = users_of_readable_rows(rights(Role::Admin), RequestedRows::OfBob).await;
    assert_eq!(users, BTreeSet::from([bob]));
}
