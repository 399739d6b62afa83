//! Access of users to the rows of the audit log.

use crate::support::{Plant, auditor_rights, rights};
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

/// Returns the users whose rows Ada can read with these rights, followed by Ada and Bob. The log has one row of each.
/// If the filter has a `user_id`, it is replaced by Bob's.
async fn users_of_readable_rows(
    rights: Rights,
    filter: AuditFilter,
) -> (BTreeSet<Option<UserId>>, [Option<UserId>; 2]) {
    let plant = Plant::new().await;
    let (ada, bob) = (plant.ada.user(), plant.bob.user());
    let filter = AuditFilter { user_id: filter.user_id.and(bob), ..filter };
    let command = ListAudit { filter, page: PageRequest::default() };
    plant.authorize(&plant.bob, Role::User, command.clone()).await;
    let granted = plant.authorize(&plant.ada, Role::User, command.clone()).await;
    let receipt = granted.permit().receipt();
    let granted = access::authorized(plant.ada.clone(), access::access_grant(rights), receipt, command);
    let page = AuditTrailService::new(Arc::new(plant.store.clone())).execute(granted).await.expect("in memory");
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
        let (users, [ada, bob]) = users_of_readable_rows(rights, AuditFilter::default()).await;
        assert_eq!(users, if sees_all { BTreeSet::from([ada, bob]) } else { BTreeSet::from([ada]) });
    }
}

#[tokio::test]
async fn filtering_by_a_colleague_finds_nothing_without_the_right_to_the_tenants_log() {
    let colleague_filter = AuditFilter { user_id: Some(uuid::Uuid::nil().into()), ..AuditFilter::default() };
    let (users, _) = users_of_readable_rows(rights(Role::User), colleague_filter.clone()).await;
    assert!(users.is_empty(), "{users:?}");
    let (users, [_, bob]) = users_of_readable_rows(rights(Role::Admin), colleague_filter).await;
    assert_eq!(users, BTreeSet::from([bob]));
}
