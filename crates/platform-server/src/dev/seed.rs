//! `dev seed`: creates a tenant with sample users, and uploads sample documents through the gate.

use super::DevelopmentPlatform;
use super::issuer::{Profile, TokenSubject};
use crate::files::FileEntry;
use anyhow::{Context as _, Result};
use domain::approval::PolicyTerms;
use domain::command::{
    CreateConnector, GetApprovalPolicy, ListConnectors, NewConnector, PutApprovalPolicy, UpdateUser,
};
use domain::ids::UserId;
use domain::page::PageRequest;
use domain::plant::ConnectorKind;
use domain::role::{Classification, Grant, Role};
use domain::text::ShortText;
use domain::tool::ToolName;
use domain::upload::UploadOutcome;
use policy::caller::Caller;
use policy::gate::Execute;
use serde::Deserialize;
use serde_json::json;
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
    /// Privileges in addition to the role.
    #[serde(default)]
    grants: Vec<Grant>,
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
    let (mut admin, mut approvers) = (None, Vec::new());
    for user in &plant.users {
        let caller = sign_in(development, &slug, user).await?;
        if user.grants.contains(&Grant::Approver) {
            approvers.push(caller.user().id);
        }
        if user.role == Role::Admin {
            admin = Some(caller);
        }
    }
    let admin = admin.context("the plant has no admin to upload its documents")?;
    appoint_approvers(development, &admin, &approvers).await?;
    connect_simulated_plant(development, &admin).await?;
    let mut new_documents = 0;
    for document in &plant.documents {
        let outcome = document.resolve(dir)?.upload(&*development.platform.gate, &admin).await?;
        new_documents += usize::from(matches!(outcome, UploadOutcome::Created(_)));
    }
    let (users, documents) = (plant.users.len(), plant.documents.len());
    crate::print(&format!("tenant {slug}: {users} users, {documents} documents, {new_documents} of them new"))?;
    Ok(())
}

/// Gives the approvers their grant, and sets the policy on writes to the maintenance system, unless it is set already.
async fn appoint_approvers(development: &DevelopmentPlatform, admin: &Caller, approvers: &[UserId]) -> Result<()> {
    let gate = &*development.platform.gate;
    for approver in approvers {
        let grants = Some(vec![Grant::Approver]);
        let update = UpdateUser { id: *approver, role: None, role_pinned: None, grants, is_active: None };
        Execute::<UpdateUser>::execute(gate, admin, update).await?;
    }
    let name = || ShortText::parse(ToolName::PlantSystemWrite.as_str()).context("the tool has no name");
    let policy = Execute::<GetApprovalPolicy>::execute(gate, admin, GetApprovalPolicy { tool: name()? }).await?;
    if policy.version == 0 && !approvers.is_empty() {
        let terms = PolicyTerms { approvers: approvers.to_vec(), ..PolicyTerms::platform_default() };
        Execute::<PutApprovalPolicy>::execute(gate, admin, PutApprovalPolicy { tool: name()?, terms }).await?;
    }
    Ok(())
}

/// Connects the tenant to a simulated plant, unless it has a connector.
async fn connect_simulated_plant(development: &DevelopmentPlatform, admin: &Caller) -> Result<()> {
    let gate = &*development.platform.gate;
    let list = ListConnectors { page: PageRequest::default() };
    if !Execute::<ListConnectors>::execute(gate, admin, list).await?.items.is_empty() {
        return Ok(());
    }
    let connector = NewConnector {
        name: ShortText::parse("simulated-plant").context("the simulated plant has no name")?,
        kind: ConnectorKind::Simulator,
        endpoint: String::new(),
        config: json!({}),
        secret: None,
        classification: Classification::Internal,
        stale_after_s: 300,
        tags: Vec::new(),
        recording: None,
        is_enabled: true,
    };
    Execute::<CreateConnector>::execute(gate, admin, CreateConnector { connector }).await?;
    Ok(())
}

async fn sign_in(development: &DevelopmentPlatform, slug: &str, user: &PlantUser) -> Result<Caller> {
    let profile = Some(Profile { name: user.display_name.clone(), email: user.email.clone() });
    let token_subject = TokenSubject { profile, ..TokenSubject::new(&user.name, user.role) };
    let token = development.token(slug, &token_subject, Duration::from_secs(600)).await?;
    development.sign_in(&token).await
}
