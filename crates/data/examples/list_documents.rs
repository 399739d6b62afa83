//! Lists a tenant's documents, connected as the application's database role.
//!
//! ```text
//! DATABASE_URL=postgres://platform_app:…@127.0.0.1:5432/platform cargo run -p data --example list_documents -- demo
//! ```
//! (`cargo xtask up` writes the URL to `platform.env` in its data directory.)
#![expect(clippy::print_stdout, reason = "an example prints to standard output")]
#![expect(
    clippy::disallowed_methods,
    reason = "an example reads its own environment and plays the part of authentication"
)]

use data::{Database, PgStore, PgTenantDirectory, PoolSettings};
use domain::document::DocumentFilter;
use domain::ids::RequestId;
use domain::page::PageRequest;
use domain::ports::{Store, TenantDirectory};
use domain::role::Classification;
use domain::scope::{Actor, TenantScope};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let slug = std::env::args().nth(1).ok_or("usage: list_documents <tenant slug>")?;
    let database = Database::new(&url, &PoolSettings::default())?;
    let tenant = PgTenantDirectory::new(database.clone()).tenant(&slug).await?.ok_or("there is no such tenant")?;
    let request = RequestId::parse("example").ok_or("not a request id")?;
    let scope = TenantScope::mint(tenant.id, Actor::System, request);

    let mut tx = PgStore::new(database).begin(&scope).await?;
    let page = PageRequest::default();
    let documents = tx.documents().list(&DocumentFilter::default(), Classification::Internal, &page).await?;
    for document in documents.items {
        println!("{}  {:10}  {}", document.id, document.status, document.filename);
    }
    Ok(())
}
