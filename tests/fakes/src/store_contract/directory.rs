//! Test cases for the directory of tenants.

use super::{CaseResult, TestContext, require};
use domain::audit::AuditFilter;
use domain::command::{Command as _, CreateMapping, DeleteMapping, UpdateTenant, UpdateTenantSettings};
use domain::error::{Classify, ErrorKind};
use domain::ids::{AuditId, TenantId};
use domain::mapping::NewMapping;
use domain::page::PageRequest;
use domain::ports::{NewTenant, TenantPatch};
use domain::tenant::TenantSettings;
use domain::tenant_change::{ChangeAuditRow, ChangedBy};
use serde_json::json;

/// Other values, such as its name or a part of its slug, do not find it.
pub async fn a_tenant_is_found_by_id_or_slug(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("plant-a").await?;
    let by_slug = require(context.directory.tenant("plant-a").await?)?;
    let by_id = require(context.directory.tenant(&tenant_a.id.to_string()).await?)?;
    assert_eq!((by_slug.id, &by_slug), (tenant_a.id, &by_id));
    for other in ["plant", "PLANT-A ", "%", "", "Plant plant-a", "\0"] {
        assert_eq!(context.directory.tenant(other).await?, None, "{other:?}");
    }
    Ok(())
}

/// Keyset pagination returns each tenant exactly once.
pub async fn tenants_are_listed_newest_first(context: &TestContext) -> CaseResult {
    for slug in ["a", "b", "c"] {
        context.create_tenant(slug).await?;
    }
    let first_page = context.directory.list_tenants(&require(PageRequest::new(2, None))?).await?;
    let second_page = context.directory.list_tenants(&require(PageRequest::new(2, first_page.next))?).await?;
    let slugs: Vec<_> = first_page.items.iter().chain(&second_page.items).map(|tenant| tenant.slug.as_str()).collect();
    assert_eq!((slugs, second_page.next), (vec!["c", "b", "a"], None));
    Ok(())
}

/// A name or slug that another tenant has is a conflict.
pub async fn tenant_names_and_slugs_are_unique(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    context.create_tenant("b").await?;
    for (name, slug) in [("Plant a", "c"), ("Plant c", "a")] {
        let new = NewTenant { id: context.new_id(), name: name.to_owned(), slug: slug.to_owned() };
        let result = context.directory.create_tenant(new).await;
        assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::Conflict), "{name} {slug}");
    }
    let rename = TenantPatch { name: Some("Plant b".to_owned()), is_active: None };
    let result = context.directory.update_tenant(tenant_a.id, rename, &ChangedBy::default()).await;
    assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    assert_eq!(
        context.directory.update_tenant(context.new_id(), TenantPatch::default(), &ChangedBy::default()).await?,
        None
    );
    let deactivation = TenantPatch { name: None, is_active: Some(false) };
    let changed = require(context.directory.update_tenant(tenant_a.id, deactivation, &ChangedBy::default()).await?)?;
    assert_eq!((changed.name.as_str(), changed.is_active), ("Plant a", false));
    Ok(())
}

/// A change that expects an outdated version has no effect.
pub async fn settings_are_versioned_and_changed_conditionally(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let by = ChangedBy { user: tenant_a.ada.user(), audit_row: None };
    let first = require(context.directory.tenant("a").await?)?;
    assert_eq!((first.settings_version, &first.settings), (1, &TenantSettings::default()));
    let german_settings = TenantSettings { language: Some("german".to_owned()), ..TenantSettings::default() };
    let changed = require(context.directory.replace_settings(tenant_a.id, &german_settings, 1, &by).await?)?;
    assert_eq!((changed.settings_version, &changed.settings), (2, &german_settings));
    let default_settings = TenantSettings::default();
    assert_eq!(
        context.directory.replace_settings(tenant_a.id, &default_settings, 1, &by).await?,
        None,
        "the expected version is stale"
    );
    assert_eq!(
        context.directory.replace_settings(context.new_id(), &default_settings, 1, &by).await?,
        None,
        "no such tenant"
    );
    let unchanged = require(context.directory.replace_settings(tenant_a.id, &german_settings, 2, &by).await?)?;
    assert_eq!(unchanged.settings_version, 2, "nothing changed");
    assert_eq!(require(context.directory.tenant("a").await?)?.settings, german_settings);

    let first_page = context.directory.settings_versions(tenant_a.id, &require(PageRequest::new(1, None))?).await?;
    assert_eq!(first_page.items.iter().map(|v| (v.version, v.changed_by)).collect::<Vec<_>>(), [(2, by.user)]);
    let second_page =
        context.directory.settings_versions(tenant_a.id, &require(PageRequest::new(5, first_page.next))?).await?;
    assert_eq!(second_page.items.iter().map(|v| (v.version, v.changed_by)).collect::<Vec<_>>(), [(1, None)]);
    assert_eq!(
        (&first_page.items[0].settings, &second_page.items[0].settings),
        (&german_settings, &TenantSettings::default())
    );
    Ok(())
}

/// The first mapping of a claim value blocks others until it is deleted.
pub async fn a_claim_value_maps_to_one_tenant(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let mapping = |tenant, issuer: &str, claim: &str| NewMapping {
        id: context.new_id(),
        tenant,
        issuer: issuer.to_owned(),
        claim: claim.to_owned(),
    };
    let new_mapping =
        require(context.directory.create_mapping(mapping(tenant_a.id, "i", "c"), &ChangedBy::default()).await?)?;
    assert_eq!((new_mapping.tenant, new_mapping.issuer.as_str(), new_mapping.claim.as_str()), (tenant_a.id, "i", "c"));
    let mapped_tenant_id = async |issuer: &str, claim: &str| {
        context.directory.mapped_tenant(issuer, claim).await.map(|tenant| tenant.map(|tenant| tenant.id))
    };
    assert_eq!(mapped_tenant_id("i", "c").await?, Some(tenant_a.id));
    for (issuer, claim) in [("i", "C"), ("I", "c"), ("i", ""), ("i", "c\0"), ("j", "c")] {
        assert_eq!(mapped_tenant_id(issuer, claim).await?, None, "{issuer} {claim:?}");
    }
    for tenant in [tenant_a.id, tenant_b.id] {
        let result = context.directory.create_mapping(mapping(tenant, "i", "c"), &ChangedBy::default()).await;
        assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    }
    require(context.directory.create_mapping(mapping(tenant_b.id, "j", "c"), &ChangedBy::default()).await?)?;
    assert_eq!(mapped_tenant_id("j", "c").await?, Some(tenant_b.id), "the same claim of another issuer is independent");
    assert_eq!(
        context.directory.create_mapping(mapping(context.new_id(), "k", "c"), &ChangedBy::default()).await?,
        None,
        "no such tenant"
    );

    let page = PageRequest::default();
    assert_eq!(context.directory.list_mappings(tenant_a.id, &page).await?.items, std::slice::from_ref(&new_mapping));
    assert_eq!(
        context.directory.delete_mapping(tenant_b.id, new_mapping.id, &ChangedBy::default()).await?,
        None,
        "a mapping cannot be deleted through another tenant"
    );
    assert_eq!(
        context.directory.delete_mapping(tenant_a.id, new_mapping.id, &ChangedBy::default()).await?,
        Some(new_mapping)
    );
    assert_eq!(mapped_tenant_id("i", "c").await?, None);
    Ok(())
}

/// A change by a platform administrator inserts a row into the changed tenant's log that refers to the intent in the
/// administrator's log; if the row cannot be inserted, nothing changes.
pub async fn a_platform_admins_change_is_in_the_tenants_log(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let (correlation, user) = (AuditId::from_uuid(context.new_id::<TenantId>().as_uuid()), tenant_b.ada.user());
    let directory = &context.directory;
    let mut ids = Vec::new();
    let mut changed_by = |event| {
        let id = AuditId::from_uuid(context.new_id::<TenantId>().as_uuid());
        ids.push(id);
        let row = ChangeAuditRow {
            id,
            correlation_id: correlation,
            request_id: tenant_b.ada.request().clone(),
            event,
            at: context.advance_clock(),
        };
        ChangedBy { user, audit_row: Some(row) }
    };
    let deactivation = TenantPatch { name: Some("Plant z".to_owned()), is_active: Some(false) };
    let tenant_change = changed_by(UpdateTenant::EVENT);
    require(directory.update_tenant(tenant_a.id, deactivation, &tenant_change).await?)?;
    let german_settings = TenantSettings { language: Some("german".to_owned()), ..TenantSettings::default() };
    require(
        directory.replace_settings(tenant_a.id, &german_settings, 1, &changed_by(UpdateTenantSettings::EVENT)).await?,
    )?;
    let mapping = |claim: &str| NewMapping {
        id: context.new_id(),
        tenant: tenant_a.id,
        issuer: "i".to_owned(),
        claim: claim.to_owned(),
    };
    let new_mapping = require(directory.create_mapping(mapping("c"), &changed_by(CreateMapping::EVENT)).await?)?;
    require(directory.delete_mapping(tenant_a.id, new_mapping.id, &changed_by(DeleteMapping::EVENT)).await?)?;
    let rows = context.audit.read(&tenant_a.ada, &AuditFilter::default(), &PageRequest::default()).await?.items;
    assert_eq!(rows.iter().rev().map(|row| row.id).collect::<Vec<_>>(), ids);
    assert!(rows.iter().all(|row| row.correlation_id == correlation.as_uuid() && row.user_id == user));
    assert!(rows.iter().all(|row| row.metadata["by"] == "platform_admin" && row.phase == "event"));
    let before_and_after: Vec<_> =
        rows.iter().rev().map(|row| (&row.metadata["before"], &row.metadata["after"])).collect();
    assert_eq!(
        (&before_and_after[0].0["is_active"], &before_and_after[0].1["is_active"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&before_and_after[1].0["language"], &before_and_after[1].1["language"]),
        (&json!(null), &json!("german"))
    );
    assert_eq!((&before_and_after[2].1["claim"], &before_and_after[3].0["claim"]), (&json!("c"), &json!("c")));
    assert!(
        !rows.iter().any(|row| row.metadata.to_string().contains("Plant z")),
        "the audit log must not contain the name"
    );

    // The row's id is already in use, so nothing changes.
    let (tenant_id, reactivation) = (tenant_a.id, TenantPatch { name: None, is_active: Some(true) });
    assert!(directory.update_tenant(tenant_id, reactivation, &tenant_change).await.is_err());
    assert!(directory.replace_settings(tenant_id, &TenantSettings::default(), 2, &tenant_change).await.is_err());
    assert!(directory.create_mapping(mapping("d"), &tenant_change).await.is_err());
    let tenant = require(directory.tenant(&tenant_id.to_string()).await?)?;
    assert_eq!((tenant.is_active, tenant.settings), (false, german_settings));
    assert_eq!(directory.mapped_tenant("i", "d").await?, None);
    Ok(())
}
