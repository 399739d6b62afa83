//! Administration of users.

use crate::support::Fixture;
use domain::command::UpdateUser;
use domain::error::{Classify as _, ErrorKind};
use domain::role::Role;
use runtime::administration::AdministrationService;
use runtime::use_case::UseCase as _;
use std::sync::Arc;

#[tokio::test]
async fn an_admin_can_change_other_users_but_not_themselves() {
    let fixture = Fixture::new().await;
    let store = Arc::new(fixture.store.clone());
    let issuer = "https://issuer.test".to_owned();
    let service = AdministrationService::new(store.clone(), store, fixture.clock.clone(), fixture.ids.clone(), issuer);
    let demote = |user: Option<domain::ids::UserId>| UpdateUser {
        id: user.expect("a user's scope"),
        role: Some(Role::Viewer),
        role_pinned: None,
        grants: None,
        is_active: None,
    };
    let demote_other = fixture.authorize(&fixture.ada, Role::Admin, demote(fixture.bob.user())).await;
    assert_eq!(service.execute(demote_other).await.map(|changed| changed.after.role).ok(), Some(Role::Viewer));
    let demote_self = fixture.authorize(&fixture.ada, Role::Admin, demote(fixture.ada.user())).await;
    assert_eq!(service.execute(demote_self).await.err().map(|error| error.kind()), Some(ErrorKind::Conflict));
}
