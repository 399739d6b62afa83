//! An export that is under way, whose reader may not go on.

use crate::support::World;
use domain::audit::sealed::{ChainHash, SealedPage};
use domain::command::ExportAudit;
use domain::role::Role;
use domain::user::UserPatch;
use futures::{StreamExt as _, stream};
use policy::caller::Caller;
use policy::gate::{Execute as _, PolicyGate, UseCases};
use runtime::use_case::MockUseCases;
use uuid::Uuid;

fn page() -> SealedPage {
    let anchor = ChainHash::genesis(Uuid::nil());
    SealedPage { anchor, entries: Vec::new(), checkpoints: Vec::new(), retirements: Vec::new(), more: true }
}

fn gate(world: &World) -> PolicyGate {
    let mut use_cases = MockUseCases::new();
    use_cases.on::<ExportAudit>(|_| Ok(stream::repeat_with(|| Ok(page())).take(4).boxed()));
    world.gate(UseCases::of(use_cases))
}

/// How many pages come, and whether the export ends well, if the admin is changed after two of them.
async fn pages_until(patch: UserPatch) -> (usize, bool, World) {
    let world = World::new().await;
    let admin: Caller = world.user("ada", Role::Admin).await;
    let mut pages = gate(&world).execute(&admin, ExportAudit { after: 0 }).await.expect("an export");
    let mut come = 0;
    let mut ends_well = true;
    while let Some(page) = pages.next().await {
        ends_well = page.is_ok();
        come += usize::from(ends_well);
        if come == 2 {
            world.patch(admin.user(), patch.clone()).await;
        }
        if !ends_well {
            break;
        }
    }
    (come, ends_well, world)
}

#[tokio::test]
async fn an_export_ends_when_its_reader_is_demoted_or_switched_off() {
    let (come, ends_well, _) = pages_until(UserPatch::default()).await;
    assert_eq!((come, ends_well), (4, true), "control");
    let demoted = UserPatch { role: Some(Role::User), ..UserPatch::default() };
    let switched_off = UserPatch { is_active: Some(false), ..UserPatch::default() };
    for (patch, reason) in [(demoted, "matrix"), (switched_off, "user_disabled")] {
        let (come, ends_well, world) = pages_until(patch).await;
        assert_eq!((come, ends_well), (2, false));
        let denied = world.audit().into_iter().rfind(|row| row.event_type == "policy.denied").expect("recorded");
        assert_eq!(
            (&denied.metadata["reason"], &denied.metadata["attempted"]),
            (&reason.into(), &"audit.export".into())
        );
    }
}
