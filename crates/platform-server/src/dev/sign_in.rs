//! Sign-in to the console as a user of the demo tenant, without an external issuer. The development issuer signs the
//! tokens, so only its users are offered.

use super::issuer::{DevelopmentIssuer, Profile, TokenSubject};
use super::{DEMO_ADMIN, DEMO_TENANT};
use crate::compose::Platform;
use crate::config::{DEVELOPMENT_ISSUER, Mode, Settings};
use crate::system::{SystemClock, TimeOrderedIds};
use anyhow::Result;
use async_trait::async_trait;
use domain::command::ListUsers;
use domain::ids::RequestId;
use domain::page::PageRequest;
use domain::ports::{Clock as _, IdGen as _, TenantDirectory};
use domain::role::Role;
use domain::user::User;
use gateway::console::{DevelopmentSignIn, DevelopmentSignInError, DevelopmentToken, DevelopmentUser};
use policy::caller::Caller;
use policy::gate::{Execute, Gate};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Lifetime of a token for the console, which asks for another one before it expires.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);
/// Lifetime of the token with which the users are listed.
const LISTING_TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// Signs in as users of the demo tenant. To list them, it sends a request as the tenant's admin through the gate.
struct DemoTenantSignIn {
    issuer: DevelopmentIssuer,
    gate: Arc<dyn Gate>,
    directory: Arc<dyn TenantDirectory>,
}

/// The development sign-in of a server with these settings; `None` unless it is in development mode and has a
/// development issuer.
///
/// # Errors
/// If the development issuer's key can neither be read nor created.
pub(crate) fn for_platform(settings: &Settings, platform: &Platform) -> Result<Option<Arc<dyn DevelopmentSignIn>>> {
    let Some(dir) = settings.auth.dev_issuer_dir.as_ref().filter(|_| settings.mode == Mode::Development) else {
        return Ok(None);
    };
    let (gate, directory) = (Arc::clone(&platform.gate), Arc::clone(&platform.directory));
    Ok(Some(Arc::new(DemoTenantSignIn { issuer: DevelopmentIssuer::load_or_create(dir)?, gate, directory })))
}

impl DemoTenantSignIn {
    /// The demo tenant's active users whose issuer is the development issuer, sorted by display name.
    async fn active_users(&self) -> Result<Vec<User>> {
        if self.directory.tenant(DEMO_TENANT).await?.is_none() {
            return Ok(Vec::new());
        }
        let caller = self.demo_admin().await?;
        let mut users = Vec::new();
        let mut after = None;
        loop {
            let page = PageRequest::new(PageRequest::MAX_LIMIT, after).unwrap_or_default();
            let listed = Execute::<ListUsers>::execute(&*self.gate, &caller, ListUsers { page }).await?;
            users.extend(listed.items.into_iter().filter(|user| user.is_active && user.issuer == DEVELOPMENT_ISSUER));
            after = listed.next;
            if after.is_none() {
                break;
            }
        }
        users.sort_by(|one, other| display_name(one).cmp(display_name(other)));
        Ok(users)
    }

    async fn demo_admin(&self) -> Result<Caller> {
        let subject = TokenSubject::new(DEMO_ADMIN, Role::Admin);
        let token = self.issuer.token(DEMO_TENANT, &subject, SystemClock.now(), LISTING_TOKEN_LIFETIME)?;
        let request = RequestId::from_uuid(TimeOrderedIds.uuid());
        Ok(self.gate.authenticate(Some(token), request.into()).await?)
    }
}

#[async_trait]
impl DevelopmentSignIn for DemoTenantSignIn {
    async fn users(&self) -> Result<Vec<DevelopmentUser>, DevelopmentSignInError> {
        let users = self.active_users().await.map_err(sign_in_error)?;
        let to_development_user = |user: &User| DevelopmentUser {
            id: user.id.as_uuid(),
            name: display_name(user).to_owned(),
            role: user.role.as_str(),
        };
        Ok(users.iter().map(to_development_user).collect())
    }

    async fn token(&self, user: Uuid) -> Result<Option<DevelopmentToken>, DevelopmentSignInError> {
        let users = self.active_users().await.map_err(sign_in_error)?;
        let Some(user) = users.into_iter().find(|candidate| candidate.id.as_uuid() == user) else { return Ok(None) };
        let profile = user.display_name.clone().map(|name| Profile { name, email: user.email.clone() });
        let subject = TokenSubject { profile, ..TokenSubject::new(&user.external_id, user.role) };
        let token =
            self.issuer.token(DEMO_TENANT, &subject, SystemClock.now(), TOKEN_LIFETIME).map_err(sign_in_error)?;
        Ok(Some(DevelopmentToken { access_token: token, expires_in: TOKEN_LIFETIME }))
    }
}

fn display_name(user: &User) -> &str {
    user.display_name.as_deref().unwrap_or(&user.external_id)
}

fn sign_in_error(error: anyhow::Error) -> DevelopmentSignInError {
    DevelopmentSignInError(format!("{error:#}"))
}
