//! The sample plant: a tenant, its users, its documents, each through the gate as its user.

use super::Desk;
use super::issuer::{Person, Shown};
use anyhow::{Context as _, Result};
use domain::command::{UploadDocument, UploadForm};
use domain::role::{Classification, Role};
use domain::text::Label;
use domain::upload::{Accepted, Upload};
use futures::FutureExt as _;
use policy::caller::Caller;
use serde::Deserialize;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

#[derive(Deserialize)]
struct Plant {
    tenant: PlantTenant,
    users: Vec<PlantUser>,
    documents: Vec<PlantDocument>,
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

#[derive(Deserialize)]
struct PlantDocument {
    file: String,
    doc_type: String,
    tags: Vec<String>,
    classification: Classification,
}

/// Seeds the plant of a directory, into the tenant of `slug` if that is given.
pub(super) async fn run(desk: &Desk, dir: &Path, slug: Option<String>) -> Result<()> {
    let description = dir.join("plant.json");
    let text = tokio::fs::read_to_string(&description).await;
    let text = text.with_context(|| format!("{} cannot be read", description.display()))?;
    let plant: Plant =
        serde_json::from_str(&text).with_context(|| format!("{} is not valid", description.display()))?;
    let (slug, name) = match slug {
        Some(slug) if slug != plant.tenant.slug => (slug.clone(), format!("{} ({slug})", plant.tenant.name)),
        _ => (plant.tenant.slug.clone(), plant.tenant.name.clone()),
    };
    desk.tenant(&slug, &name).await?;
    let mut admin = None;
    for user in &plant.users {
        let caller = sign_in(desk, &slug, user).await?;
        if user.role == Role::Admin {
            admin = Some(caller);
        }
    }
    let admin = admin.context("the plant has no admin to upload its documents")?;
    let mut added = 0;
    for document in &plant.documents {
        added += usize::from(upload(desk, &admin, &dir.join("documents"), document).await?);
    }
    let (users, documents) = (plant.users.len(), plant.documents.len());
    crate::print(&format!("tenant {slug}: {users} users, {documents} documents, {added} of them new"))?;
    Ok(())
}

async fn sign_in(desk: &Desk, slug: &str, user: &PlantUser) -> Result<Caller> {
    let person = Person {
        subject: user.name.clone(),
        role: user.role,
        shown: Some(Shown { name: user.display_name.clone(), email: user.email.clone() }),
    };
    let token = desk.token(slug, &person, Duration::from_secs(600)).await?;
    desk.sign_in(&token).await
}

/// Uploads a document; `false` where the tenant has it already.
async fn upload(desk: &Desk, admin: &Caller, dir: &Path, document: &PlantDocument) -> Result<bool> {
    let path = dir.join(&document.file);
    let bytes = tokio::fs::read(&path).await.with_context(|| format!("{} cannot be read", path.display()))?;
    let announced_bytes = Some(bytes.len() as u64);
    let labels = document.tags.iter().map(|tag| Label::parse(tag)).collect::<Result<Vec<_>, _>>();
    let form = UploadForm {
        filename: document.file.clone(),
        tags: labels.with_context(|| format!("a tag of {} is not valid", document.file))?,
        doc_type: Some(Label::parse(&document.doc_type)?),
        classification: Some(document.classification),
        revision: None,
        effective_from: None,
        supersedes: None,
        metadata: json!({}),
    };
    let upload =
        Upload { bytes: Box::pin(futures::stream::iter([Ok(bytes.into())])), form: async move { Ok(form) }.boxed() };
    let accepted = desk.platform.gate.upload_document(admin, UploadDocument { announced_bytes }, upload).await;
    let accepted = accepted.with_context(|| format!("{} was not accepted", document.file))?;
    Ok(matches!(accepted, Accepted::New(_)))
}
