//! Administration of users.

use crate::support::Plant;
use domain::command::UpdateUser;
use domain::error::{Classify as _, ErrorKind};
use domain::role::Role;
use runtime::administration::AdministrationService;
use runtime::use_case::UseCase as _;
use std::sync::Arc;

#[tokio::test]
async fn an_admin_changes_others_and_not_themselves() {
    let plant = Plant::new().await;
    let store = Arc::new(plant.store.clone());
    let issuer = "https://issuer.test".to_owned();
    let service = AdministrationService::new(store.clone(), store, plant.clock.clone(), plant.ids.clone(), issuer);
    let demote = |user: Option<domain::ids::UserId>| UpdateUser {
        id: user.expect("a user's scope"),
        role: Some(Role::Viewer),
        role_pinned: None,
        grants: None,
        is_active: None,
    };
    let others = plant.authorized(&plant.ada, Role::Admin, demote(plant.bob.user())).await;
    assert_eq!(service.execute(others).await.map(|changed| changed.after.role).ok(), Some(Role::Viewer));
    let own = plant.authorized(&plant.ada, Role::Admin, demote(plant.ada.user())).await;
    assert_eq!(service.execute(own).await.err().map(|error| error.kind()), Some(ErrorKind::Conflict));
}
