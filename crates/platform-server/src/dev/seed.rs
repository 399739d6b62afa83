//! `dev seed`: creates a tenant with sample users, and uploads sample documents through the gate.

use super::DevelopmentPlatform;
use super::issuer::{Profile, TokenSubject};
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
    let description_path = dir.join("plant.json");
    let text = tokio::fs::read_to_string(&description_path).await;
    let text = text.with_context(|| format!("{} cannot be read", description_path.display()))?;
    let plant: Plant =
        serde_json::from_str(&text).with_context(|| format!("{} is not valid", description_path.display()))?;
    let (slug, name) = match slug {
        Some(slug) if slug != plant.tenant.slug => (slug.clone(), format!("{} ({slug})", plant.tenant.name)),
        _ => (plant.tenant.slug.clone(), plant.tenant.name.clone()),
    };
    development.find_or_create_tenant(&slug, &name).await?;
    let mut admin = None;
    for user in &plant.users {
        let caller = sign_in(development, &slug, user).await?;
        if user.role == Role::Admin {
            admin = Some(caller);
        }
    }
    let admin = admin.context("the plant has no admin to upload its documents")?;
    let mut new_documents = 0;
    for document in &plant.documents {
        let outcome = document.resolve(dir)?.upload(&*development.platform.gate, &admin).await?;
        new_documents += usize::from(matches!(outcome, UploadOutcome::Created(_)));
    }
    let (users, documents) = (plant.users.len(), plant.documents.len());
    crate::print(&format!("tenant {slug}: {users} users, {documents} documents, {new_documents} of them new"))?;
    Ok(())
}

async fn sign_in(development: &DevelopmentPlatform, slug: &str, user: &PlantUser) -> Result<Caller> {
    let token_subject = TokenSubject {
        subject: user.name.clone(),
        role: user.role,
        profile: Some(Profile { name: user.display_name.clone(), email: user.email.clone() }),
    };
    let token = development.token(slug, &token_subject, Duration::from_secs(600)).await?;
    development.sign_in(&token).await
}
