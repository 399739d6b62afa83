//! An export in progress ends when its reader loses the permission.

use crate::support::Fixture;
use domain::audit::chain::{AuditHash, ChainPage};
use domain::command::ExportAudit;
use domain::role::Role;
use domain::user::UserPatch;
use futures::{StreamExt as _, stream};
use policy::caller::Caller;
use policy::gate::{Execute as _, PolicyGate, UseCases};
use runtime::use_case::MockUseCases;
use uuid::Uuid;

fn page() -> ChainPage {
    let previous_hash = AuditHash::genesis(Uuid::nil());
    ChainPage { previous_hash, entries: Vec::new(), checkpoints: Vec::new(), purges: Vec::new(), has_more: true }
}

fn gate(fixture: &Fixture) -> PolicyGate {
    let mut use_cases = MockUseCases::new();
    use_cases.on::<ExportAudit>(|_| Ok(stream::repeat_with(|| Ok(page())).take(4).boxed()));
    fixture.gate(UseCases::new(use_cases))
}

/// Applies `patch` to the admin after two pages of an export. Returns the number of pages, whether the export
/// succeeded, and the fixture.
async fn export_with_change(patch: UserPatch) -> (usize, bool, Fixture) {
    let fixture = Fixture::new().await;
    let admin: Caller = fixture.user("ada", Role::Admin).await;
    let mut pages = gate(&fixture).execute(&admin, ExportAudit { after: 0 }).await.expect("an export");
    let mut count = 0;
    let mut succeeded = true;
    while let Some(page) = pages.next().await {
        succeeded = page.is_ok();
        count += usize::from(succeeded);
        if count == 2 {
            fixture.patch(admin.user(), patch.clone()).await;
        }
        if !succeeded {
            break;
        }
    }
    (count, succeeded, fixture)
}

#[tokio::test]
async fn an_export_ends_when_its_reader_is_demoted_or_deactivated() {
    let (count, succeeded, _) = export_with_change(UserPatch::default()).await;
    assert_eq!((count, succeeded), (4, true), "without a change");
    let demotion = UserPatch { role: Some(Role::User), ..UserPatch::default() };
    let deactivation = UserPatch { is_active: Some(false), ..UserPatch::default() };
    for (patch, reason) in [(demotion, "matrix"), (deactivation, "user_disabled")] {
        let (count, succeeded, fixture) = export_with_change(patch).await;
        assert_eq!((count, succeeded), (2, false));
        let denied = fixture.audit_rows().into_iter().rfind(|row| row.event_type == "policy.denied").expect("recorded");
        assert_eq!(
            (&denied.metadata["reason"], &denied.metadata["attempted"]),
            (&reason.into(), &"audit.export".into())
        );
    }
}
