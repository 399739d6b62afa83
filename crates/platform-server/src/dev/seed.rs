//! `dev seed`: creates a tenant with sample users, and uploads sample documents through the gate.

use super::DevelopmentPlatform;
use super::issuer::{DisplayInfo, Person};
use crate::files::FileEntry;
use anyhow::{Context as _, Result};
use domain::role::Role;
use domain::upload::UploadOutcome;
use policy::caller::Caller;
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// Content of `plant.json`.
#[derive(Deserialize)]
struct Plant {
    tenant: PlantTenant,
    users: Vec<PlantUser>,
    documents: Vec<FileEntry>,
}

#[derive(Deserialize)]
struct PlantTenant {
    slug: String,
    name: String,
}

#[derive(Deserialize)]
struct PlantUser {
    name: String,
    display_name: String,
    email: String,
    role: Role,
}

/// Seeds the plant described in `dir`, into the tenant `slug` if given, otherwise into the plant's own tenant.
pub(super) async fn run(development: &DevelopmentPlatform, dir: &Path, slug: Option<String>) -> Result<()> {
    let description = dir.join("plant.json");
    let text = tokio::fs::read_to_string(&description).await;
    let text = text.with_context(|| format!("{} cannot be read", description.display()))?;
    let plant: Plant =
        serde_json::from_str(&text).with_context(|| format!("{} is not valid", description.display()))?;
    let (slug, name) = match slug {
        Some(slug) if slug != plant.tenant.slug => (slug.clone(), format!("{} ({slug})", plant.tenant.name)),
        _ => (plant.tenant.slug.clone(), plant.tenant.name.clone()),
    };
    development.tenant(&slug, &name).await?;
    let mut admin = None;
    for user in &plant.users {
        let caller = sign_in(development, &slug, user).await?;
        if user.role == Role::Admin {
            admin = Some(caller);
        }
    }
    let admin = admin.context("the plant has no admin to upload its documents")?;
    let mut added = 0;
    for document in &plant.documents {
        let accepted = document.in_dir(dir)?.upload(&*development.platform.gate, &admin).await?;
        added += usize::from(matches!(accepted, UploadOutcome::Created(_)));
    }
    let (users, documents) = (plant.users.len(), plant.documents.len());
    crate::print(&format!("tenant {slug}: {users} users, {documents} documents, {added} of them new"))?;
    Ok(())
}

async fn sign_in(development: &DevelopmentPlatform, slug: &str, user: &PlantUser) -> Result<Caller> {
    let person = Person {
        subject: user.name.clone(),
        role: user.role,
        display: Some(DisplayInfo { name: user.display_name.clone(), email: user.email.clone() }),
    };
    let token = development.token(slug, &person, Duration::from_secs(600)).await?;
    development.sign_in(&token).await
}
