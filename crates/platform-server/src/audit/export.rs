//! `audit export`: writes the log to standard output in the order of its hash chain.

use super::Format;
use crate::config::Settings;
use crate::databases;
use anyhow::{Context as _, Result};
use data::audit::AuditExport;
use domain::audit::chain::ChainPageEntry;
use domain::audit::export::ExportLine;
use domain::audit::ocsf;
use domain::ports::TenantDirectory as _;
use std::io::{BufWriter, Write as _};
use uuid::Uuid;

/// Maximum number of rows per query.
const PAGE_SIZE: u32 = 1_000;

/// Writes the log of one tenant, or of all tenants.
///
/// # Errors
/// If the tenant is unknown, the database fails, or standard output is closed.
pub(super) async fn run(settings: &Settings, tenant: Option<&str>, format: Format, after: i64) -> Result<()> {
    let log = AuditExport::new(databases::auditor(settings)?);
    let chains = match tenant {
        Some(id_or_slug) => vec![chain_id(settings, id_or_slug).await?],
        None => log.list_tenants().await.context("the audit log cannot be read")?,
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    for chain in chains {
        // Only the first page starts with a line that says where an earlier export ended.
        let (mut cursor, mut resumed_after) = (after, after);
        loop {
            let page = log.page(chain, cursor, PAGE_SIZE).await.context("the audit log cannot be read")?;
            let next = page.entries.last().filter(|_| page.has_more).map(ChainPageEntry::seq);
            for line in ExportLine::from_page(chain, std::mem::take(&mut resumed_after), page) {
                match (format, &line) {
                    (Format::Ndjson, line) => writeln!(out, "{}", line.to_json()?)?,
                    (Format::Ocsf, ExportLine::Event(event)) => writeln!(out, "{}", ocsf::to_ocsf(event))?,
                    (Format::Ocsf, _) => {}
                }
            }
            let Some(next) = next else { break };
            cursor = next;
        }
    }
    out.flush().context("cannot print")
}

async fn chain_id(settings: &Settings, id_or_slug: &str) -> Result<Uuid> {
    if id_or_slug == "platform" {
        return Ok(Uuid::nil());
    }
    let tenant = databases::directory(settings)?.tenant(id_or_slug).await.context("the tenant cannot be looked up")?;
    Ok(tenant.with_context(|| format!("there is no tenant {id_or_slug:?}"))?.id.as_uuid())
}
