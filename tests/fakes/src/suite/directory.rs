//! Cases on the directory of tenants.

use super::{CaseResult, World, some};
use domain::audit::AuditFilter;
use domain::command::{Command as _, CreateMapping, DeleteMapping, UpdateTenant, UpdateTenantSettings};
use domain::error::{Classify, ErrorKind};
use domain::ids::{AuditId, TenantId};
use domain::mapping::NewMapping;
use domain::page::PageRequest;
use domain::ports::{NewTenant, TenantPatch};
use domain::tenant::TenantSettings;
use domain::tenant_change::{ChangeRow, ChangedBy};
use serde_json::json;

/// No other value finds a tenant.
pub async fn a_tenant_is_found_by_id_or_slug(world: &World) -> CaseResult {
    let plant = world.plant("plant-a").await?;
    let by_slug = some(world.directory.tenant("plant-a").await?)?;
    let by_id = some(world.directory.tenant(&plant.tenant.to_string()).await?)?;
    assert_eq!((by_slug.id, &by_slug), (plant.tenant, &by_id));
    for other in ["plant", "PLANT-A ", "%", "", "Plant plant-a", "\0"] {
        assert_eq!(world.directory.tenant(other).await?, None, "{other:?}");
    }
    Ok(())
}

/// Keyset pagination over all tenants.
pub async fn tenants_are_listed_newest_first(world: &World) -> CaseResult {
    for slug in ["a", "b", "c"] {
        world.plant(slug).await?;
    }
    let first = world.directory.list_tenants(&some(PageRequest::new(2, None))?).await?;
    let rest = world.directory.list_tenants(&some(PageRequest::new(2, first.next))?).await?;
    let slugs: Vec<_> = first.items.iter().chain(&rest.items).map(|tenant| tenant.slug.as_str()).collect();
    assert_eq!((slugs, rest.next), (vec!["c", "b", "a"], None));
    Ok(())
}

/// The conflict error names the field.
pub async fn tenant_names_and_slugs_are_unique(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    world.plant("b").await?;
    for (name, slug) in [("Plant a", "c"), ("Plant c", "a")] {
        let new = NewTenant { id: world.id(), name: name.to_owned(), slug: slug.to_owned() };
        let clash = world.directory.create_tenant(new).await;
        assert_eq!(clash.map_err(|error| error.kind()), Err(ErrorKind::Conflict), "{name} {slug}");
    }
    let rename = TenantPatch { name: Some("Plant b".to_owned()), is_active: None };
    let clash = world.directory.update_tenant(plant.tenant, rename, &ChangedBy::default()).await;
    assert_eq!(clash.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    assert_eq!(world.directory.update_tenant(world.id(), TenantPatch::default(), &ChangedBy::default()).await?, None);
    let off = TenantPatch { name: None, is_active: Some(false) };
    let changed = some(world.directory.update_tenant(plant.tenant, off, &ChangedBy::default()).await?)?;
    assert_eq!((changed.name.as_str(), changed.is_active), ("Plant a", false));
    Ok(())
}

/// A change based on an outdated version has no effect.
pub async fn settings_are_versioned_and_changed_conditionally(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let by = ChangedBy { user: plant.ada.user(), row: None };
    let first = some(world.directory.tenant("a").await?)?;
    assert_eq!((first.settings_version, &first.settings), (1, &TenantSettings::default()));
    let german = TenantSettings { language: Some("german".to_owned()), ..TenantSettings::default() };
    let changed = some(world.directory.configure(plant.tenant, &german, 1, &by).await?)?;
    assert_eq!((changed.settings_version, &changed.settings), (2, &german));
    let late = TenantSettings::default();
    assert_eq!(world.directory.configure(plant.tenant, &late, 1, &by).await?, None, "stale");
    assert_eq!(world.directory.configure(world.id(), &late, 1, &by).await?, None, "no such tenant");
    let same = some(world.directory.configure(plant.tenant, &german, 2, &by).await?)?;
    assert_eq!(same.settings_version, 2, "nothing changed");
    assert_eq!(some(world.directory.tenant("a").await?)?.settings, german);

    let newest = world.directory.settings_versions(plant.tenant, &some(PageRequest::new(1, None))?).await?;
    assert_eq!(newest.items.iter().map(|v| (v.version, v.changed_by)).collect::<Vec<_>>(), [(2, by.user)]);
    let rest = world.directory.settings_versions(plant.tenant, &some(PageRequest::new(5, newest.next))?).await?;
    assert_eq!(rest.items.iter().map(|v| (v.version, v.changed_by)).collect::<Vec<_>>(), [(1, None)]);
    assert_eq!((&newest.items[0].settings, &rest.items[0].settings), (&german, &TenantSettings::default()));
    Ok(())
}

/// The first mapping of a claim value blocks others until it is deleted.
pub async fn a_claim_value_maps_to_one_tenant(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let mapping = |tenant, issuer: &str, claim: &str| NewMapping {
        id: world.id(),
        tenant,
        issuer: issuer.to_owned(),
        claim: claim.to_owned(),
    };
    let made = some(world.directory.create_mapping(mapping(here.tenant, "i", "c"), &ChangedBy::default()).await?)?;
    assert_eq!((made.tenant, made.issuer.as_str(), made.claim.as_str()), (here.tenant, "i", "c"));
    let found = async |issuer: &str, claim: &str| {
        world.directory.mapped_tenant(issuer, claim).await.map(|tenant| tenant.map(|tenant| tenant.id))
    };
    assert_eq!(found("i", "c").await?, Some(here.tenant));
    for (issuer, claim) in [("i", "C"), ("I", "c"), ("i", ""), ("i", "c\0"), ("j", "c")] {
        assert_eq!(found(issuer, claim).await?, None, "{issuer} {claim:?}");
    }
    for tenant in [here.tenant, there.tenant] {
        let clash = world.directory.create_mapping(mapping(tenant, "i", "c"), &ChangedBy::default()).await;
        assert_eq!(clash.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    }
    some(world.directory.create_mapping(mapping(there.tenant, "j", "c"), &ChangedBy::default()).await?)?;
    assert_eq!(found("j", "c").await?, Some(there.tenant), "the same claim of another issuer is independent");
    assert_eq!(
        world.directory.create_mapping(mapping(world.id(), "k", "c"), &ChangedBy::default()).await?,
        None,
        "no such tenant"
    );

    let page = PageRequest::default();
    assert_eq!(world.directory.list_mappings(here.tenant, &page).await?.items, std::slice::from_ref(&made));
    assert_eq!(
        world.directory.delete_mapping(there.tenant, made.id, &ChangedBy::default()).await?,
        None,
        "not through another tenant"
    );
    assert_eq!(world.directory.delete_mapping(here.tenant, made.id, &ChangedBy::default()).await?, Some(made));
    assert_eq!(found("i", "c").await?, None);
    Ok(())
}

/// A change by a platform administrator inserts a row into the changed tenant's log that refers to the intent in the
/// administrator's log; if the row cannot be inserted, nothing changes.
pub async fn a_change_from_outside_is_in_the_tenants_own_log(world: &World) -> CaseResult {
    let (plant, other) = (world.plant("a").await?, world.plant("b").await?);
    let (correlation, user) = (AuditId::from_uuid(world.id::<TenantId>().as_uuid()), other.ada.user());
    let mut ids = Vec::new();
    let mut by = |event| {
        let id = AuditId::from_uuid(world.id::<TenantId>().as_uuid());
        ids.push(id);
        let row = ChangeRow { id, correlation, request: other.ada.request().clone(), event, at: world.later() };
        ChangedBy { user, row: Some(row) }
    };
    let off = TenantPatch { name: Some("Plant z".to_owned()), is_active: Some(false) };
    let by_tenant = by(UpdateTenant::EVENT);
    some(world.directory.update_tenant(plant.tenant, off, &by_tenant).await?)?;
    let german = TenantSettings { language: Some("german".to_owned()), ..TenantSettings::default() };
    some(world.directory.configure(plant.tenant, &german, 1, &by(UpdateTenantSettings::EVENT)).await?)?;
    let mapping = |claim: &str| NewMapping {
        id: world.id(),
        tenant: plant.tenant,
        issuer: "i".to_owned(),
        claim: claim.to_owned(),
    };
    let made = some(world.directory.create_mapping(mapping("c"), &by(CreateMapping::EVENT)).await?)?;
    some(world.directory.delete_mapping(plant.tenant, made.id, &by(DeleteMapping::EVENT)).await?)?;
    let rows = world.audit.read(&plant.ada, &AuditFilter::default(), &PageRequest::default()).await?.items;
    assert_eq!(rows.iter().rev().map(|row| row.id).collect::<Vec<_>>(), ids);
    assert!(rows.iter().all(|row| row.correlation_id == correlation.as_uuid() && row.user_id == user));
    assert!(rows.iter().all(|row| row.metadata["by"] == "platform_admin" && row.phase == "event"));
    let facts: Vec<_> = rows.iter().rev().map(|row| (&row.metadata["before"], &row.metadata["after"])).collect();
    assert_eq!((&facts[0].0["is_active"], &facts[0].1["is_active"]), (&json!(true), &json!(false)));
    assert_eq!((&facts[1].0["language"], &facts[1].1["language"]), (&json!(null), &json!("german")));
    assert_eq!((&facts[2].1["claim"], &facts[3].0["claim"]), (&json!("c"), &json!("c")));
    assert!(!rows.iter().any(|row| row.metadata.to_string().contains("Plant z")), "the name is content");

    // The row's id is already in use, so nothing changes.
    let (id, on) = (plant.tenant, TenantPatch { name: None, is_active: Some(true) });
    assert!(world.directory.update_tenant(id, on, &by_tenant).await.is_err());
    assert!(world.directory.configure(id, &TenantSettings::default(), 2, &by_tenant).await.is_err());
    assert!(world.directory.create_mapping(mapping("d"), &by_tenant).await.is_err());
    let tenant = some(world.directory.tenant(&id.to_string()).await?)?;
    assert_eq!((tenant.is_active, tenant.settings), (false, german));
    assert_eq!(world.directory.mapped_tenant("i", "d").await?, None);
    Ok(())
}
