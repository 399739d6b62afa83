//! Sessions: users list and revoke their own; admins list and revoke those of their tenant's users.
//!
//! Revoking only marks the session. Whoever reads the user's membership in that session next refuses its tokens or ends
//! its running work: authentication, the gate, and the checks of runs in progress.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::authorized::Authorized;
use domain::command::{ListSessions, ListUserSessions, RevokeSession, RevokeUserSession};
use domain::ids::{SessionId, UserId};
use domain::page::Page;
use domain::ports::{Clock, Store, TenantTx};
use domain::session::Session;
use std::sync::Arc;

/// Use cases for sessions.
pub struct SessionService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl SessionService {
    /// Creates the service.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    async fn revoke(&self, tx: &mut dyn TenantTx, id: SessionId, user: UserId) -> Result<(), RuntimeError> {
        let is_revoked = tx.sessions().revoke(id, user, self.clock.now()).await?;
        is_revoked.then_some(()).ok_or(RuntimeError::NotFound { target: "the session" })
    }
}

#[async_trait]
impl UseCase<ListSessions> for SessionService {
    async fn execute(&self, command: Authorized<ListSessions>) -> Result<Page<Session>, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let user = command.permit().scope().user().ok_or(RuntimeError::NotFound { target: "the user" })?;
        let page = tx.sessions().list(user, self.clock.now(), &command.command().page).await?;
        tx.defer_commit();
        Ok(page)
    }
}

#[async_trait]
impl UseCase<RevokeSession> for SessionService {
    async fn execute(&self, command: Authorized<RevokeSession>) -> Result<(), RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let user = command.permit().scope().user().ok_or(RuntimeError::NotFound { target: "the user" })?;
        self.revoke(&mut *tx, command.command().id, user).await?;
        tx.defer_commit();
        Ok(())
    }
}

#[async_trait]
impl UseCase<ListUserSessions> for SessionService {
    async fn execute(&self, command: Authorized<ListUserSessions>) -> Result<Page<Session>, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let ListUserSessions { user, page } = command.command();
        let page = tx.sessions().list(*user, self.clock.now(), page).await?;
        tx.defer_commit();
        Ok(page)
    }
}

#[async_trait]
impl UseCase<RevokeUserSession> for SessionService {
    async fn execute(&self, command: Authorized<RevokeUserSession>) -> Result<(), RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let RevokeUserSession { user, id } = *command.command();
        self.revoke(&mut *tx, id, user).await?;
        tx.defer_commit();
        Ok(())
    }
}
