//! `dev wait`: waits until the newest documents of a tenant are ready or failed, and prints the progress.

use super::{DEMO_ADMIN, DevelopmentPlatform};
use crate::dev::issuer::TokenSubject;
use anyhow::{Context as _, Result};
use domain::command::ListDocuments;
use domain::document::{Document, DocumentFilter, DocumentStatus};
use domain::page::PageRequest;
use domain::role::Role;
use std::time::Duration;

/// Interval at which the documents' status is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(700);

/// Prints `ingested 7/12` when the number changes, and finally the documents that failed.
pub(super) async fn run(development: &DevelopmentPlatform, tenant: &str) -> Result<()> {
    let token =
        development.token(tenant, &TokenSubject::new(DEMO_ADMIN, Role::Admin), Duration::from_secs(3_600)).await?;
    let caller = development.sign_in(&token).await?;
    let mut printed = None;
    loop {
        let page = PageRequest::new(PageRequest::MAX_LIMIT, None).context("the page size is not valid")?;
        let command = ListDocuments { filter: DocumentFilter::default(), page, team: None };
        let documents = development.platform.gate.execute(&caller, command).await?.items;
        let done = documents.iter().filter(|document| is_done(document)).count();
        if printed != Some(done) {
            crate::print(&format!("ingested {done}/{}", documents.len()))?;
            printed = Some(done);
        }
        if done == documents.len() {
            return report(&documents);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
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
