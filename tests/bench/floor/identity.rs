//! Authentication: verifies RS256 tokens, and reads whether user and tenant are active.

use super::FloorArgs;
use anyhow::{Context as _, Result, bail};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use std::collections::HashMap;
use tokio_postgres::Row;
use uuid::Uuid;

/// Verifies tokens and maps their tenant claim to a tenant.
pub struct TokenVerifier {
    key: DecodingKey,
    validation: Validation,
    issuer: String,
    tenants: HashMap<String, Uuid>,
}

/// The identity in a verified token.
pub struct Identity<'a> {
    pub tenant_id: Uuid,
    pub issuer: &'a str,
    pub subject: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(rename = "extension_PlatformTenantId")]
    tenant: String,
}

impl TokenVerifier {
    pub fn new(args: &FloorArgs) -> Result<Self> {
        let key = DecodingKey::from_rsa_components(&args.modulus, &args.exponent)?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[&args.issuer]);
        validation.set_audience(&[&args.audience]);
        let mut tenants = HashMap::new();
        for tenant in &args.tenants {
            let (slug, id) = tenant.split_once('=').context("a tenant must be given as slug=id")?;
            tenants.insert(slug.to_owned(), id.parse()?);
        }
        Ok(Self { key, validation, issuer: args.issuer.clone(), tenants })
    }

    /// Verifies the bearer token.
    pub fn verify(&self, headers: &HeaderMap) -> Result<Identity<'_>> {
        let header = headers.get(AUTHORIZATION).context("no Authorization header")?.to_str()?;
        let token = header.strip_prefix("Bearer ").context("no bearer token")?;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)?.claims;
        let tenant = *self.tenants.get(&claims.tenant).context("unknown tenant")?;
        Ok(Identity { tenant_id: tenant, issuer: &self.issuer, subject: claims.sub })
    }
}

/// Returns the user's id from the rows of the statement `identify_user`. Fails if there is no such user, or the user or
/// the tenant is not active.
pub fn active_user_id(rows: &[Row]) -> Result<Uuid> {
    let row = rows.first().context("no such user")?;
    if !row.get::<_, bool>("active") {
        bail!("the user or the tenant is not active");
    }
    Ok(row.get("id"))
}
