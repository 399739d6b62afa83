//! Waits until a tenant's documents are ingested, and says how far they are.

use super::{DEMO_ADMIN, Desk};
use crate::dev::issuer::Person;
use anyhow::{Context as _, Result};
use domain::command::ListDocuments;
use domain::document::{Document, DocumentFilter, DocumentStatus};
use domain::page::PageRequest;
use domain::role::Role;
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(700);

/// Prints `ingested 7/12` whenever the number changes, and at the end what failed.
pub(super) async fn run(desk: &Desk, tenant: &str) -> Result<()> {
    let token = desk.token(tenant, &Person::named(DEMO_ADMIN, Role::Admin), Duration::from_secs(3_600)).await?;
    let caller = desk.sign_in(&token).await?;
    let mut told = None;
    loop {
        let page = PageRequest::new(PageRequest::MAX_LIMIT, None).context("the page size is not valid")?;
        let command = ListDocuments { filter: DocumentFilter::default(), page };
        let documents = desk.platform.gate.execute(&caller, command).await?.items;
        let done = documents.iter().filter(|document| is_done(document)).count();
        if told != Some(done) {
            crate::print(&format!("ingested {done}/{}", documents.len()))?;
            told = Some(done);
        }
        if done == documents.len() {
            return report(&documents);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn is_done(document: &Document) -> bool {
    matches!(document.status, DocumentStatus::Ready | DocumentStatus::Failed)
}

fn report(documents: &[Document]) -> Result<()> {
    for document in documents {
        if let Some(failure) = &document.failure {
            crate::print(&format!("failed: {} ({}): {}", document.filename, failure.code, failure.detail))?;
        }
    }
    Ok(())
}
