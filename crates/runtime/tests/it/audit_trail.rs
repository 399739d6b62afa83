//! Access of users to the rows of the audit log.

use crate::support::{Plant, auditor, rights};
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
async fn read_rows(rights: Rights, filter: AuditFilter) -> (BTreeSet<Option<UserId>>, [Option<UserId>; 2]) {
    let plant = Plant::new().await;
    let (ada, bob) = (plant.ada.user(), plant.bob.user());
    let filter = AuditFilter { user_id: filter.user_id.and(bob), ..filter };
    let command = ListAudit { filter, page: PageRequest::default() };
    plant.authorized(&plant.bob, Role::User, command.clone()).await;
    let granted = plant.authorized(&plant.ada, Role::User, command.clone()).await;
    let receipt = granted.permit().receipt();
    let granted = access::authorized(plant.ada.clone(), access::granted(rights), receipt, command);
    let page = AuditTrailService::new(Arc::new(plant.store.clone())).execute(granted).await.expect("in memory");
    (page.items.iter().map(|row| row.user_id).collect(), [ada, bob])
}

#[tokio::test]
async fn admins_and_auditors_read_the_tenants_log_and_others_their_own_rows() {
    for (rights, all) in
        [(rights(Role::Admin), true), (auditor(), true), (rights(Role::User), false), (rights(Role::Viewer), false)]
    {
        let (seen, [ada, bob]) = read_rows(rights, AuditFilter::default()).await;
        assert_eq!(seen, if all { BTreeSet::from([ada, bob]) } else { BTreeSet::from([ada]) });
    }
}

#[tokio::test]
async fn filtering_by_a_colleague_finds_nothing_without_the_right_to_the_tenants_log() {
    let a_colleagues = AuditFilter { user_id: Some(uuid::Uuid::nil().into()), ..AuditFilter::default() };
    let (seen, _) = read_rows(rights(Role::User), a_colleagues.clone()).await;
    assert!(seen.is_empty(), "{seen:?}");
    let (seen, [_, bob]) = read_rows(rights(Role::Admin), a_colleagues).await;
    assert_eq!(seen, BTreeSet::from([bob]));
}
