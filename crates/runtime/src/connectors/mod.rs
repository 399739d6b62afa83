//! Connectors to plant systems, and the catalogue of their tags, as administrators manage them.

mod validate;

use crate::error::RuntimeError;
use crate::plant_reader::DatabasePlantReader;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::audit::Change;
use domain::authorized::Authorized;
use domain::command::{
    BrowseConnector, CheckConnector, ConnectorPatch, CreateConnector, DeleteConnector, GetConnector, ImportTags,
    ListConnectors, NewConnector, NewTag, TrustCertificate, UpdateConnector,
};
use domain::error::Classify as _;
use domain::ids::{ConnectorId, TagId, TenantId};
use domain::page::Page;
use domain::plant::{
    Connector, ConnectorCheck, ConnectorCredential, ConnectorDetails, ConnectorKind, MAX_CONNECTORS, OfferedTag,
    SealedSecret, Tag,
};
use domain::ports::{Clock, IdGen, PlantReadError, SecretSealer, Store, StoreError, TenantTx};
use domain::role::Classification;
use domain::text::ShortText;
use domain::upload::FieldError;
use std::sync::Arc;

pub use validate::InsecureConnections;

/// Ports of the service.
pub struct ConnectorPorts {
    /// Transactions of tenants.
    pub store: Arc<dyn Store>,
    /// Queries the plant process.
    pub broker: Arc<DatabasePlantReader>,
    /// Encrypts secrets, with the key that the plant process also has.
    pub secrets: Arc<dyn SecretSealer>,
    /// Clock for times of creation and change.
    pub clock: Arc<dyn Clock>,
    /// Source of UUIDv7 ids.
    pub ids: Arc<dyn IdGen>,
}

/// Use cases for connectors.
pub struct ConnectorService {
    ports: ConnectorPorts,
    insecure: InsecureConnections,
    /// Tags of a simulated plant that is created without any.
    simulated_tags: Vec<NewTag>,
}

const NOT_FOUND: RuntimeError = RuntimeError::NotFound { target: "the connector" };

impl ConnectorService {
    /// Creates the service. A simulated plant without tags gets `simulated_tags`.
    #[must_use]
    pub fn new(ports: ConnectorPorts, insecure: InsecureConnections, simulated_tags: Vec<NewTag>) -> Self {
        Self { ports, insecure, simulated_tags }
    }

    fn tag(&self, tag: NewTag) -> Tag {
        let NewTag { name, mapping, unit, description, equipment, limits } = tag;
        let id = TagId::from_uuid(self.ports.ids.uuid());
        Tag { id, name: name.into_string(), mapping, unit, description, equipment, limits }
    }

    /// The tags of the simulated plant. If another connector, such as a first simulated plant, already has a tag of
    /// that name, the connector's name is prepended.
    async fn free_simulated_tags(&self, tx: &mut dyn TenantTx, connector: &str) -> Result<Vec<NewTag>, RuntimeError> {
        let names: Vec<String> = self.simulated_tags.iter().map(|tag| tag.name.as_str().to_owned()).collect();
        let known = tx.connectors().tags_by_name(&names, Classification::Restricted).await?;
        let rename = |tag: &NewTag| {
            let name = tag.name.as_str();
            let is_taken = known.iter().any(|known| known.tag.name == name);
            let name = if is_taken { ShortText::parse(&format!("{connector}.{name}")).ok()? } else { tag.name.clone() };
            Some(NewTag { name, ..tag.clone() })
        };
        Ok(self.simulated_tags.iter().filter_map(rename).collect())
    }

    fn seal(
        &self,
        tenant: TenantId,
        connector: &Connector,
        credential: Option<&ConnectorCredential>,
    ) -> Result<Option<SealedSecret>, RuntimeError> {
        let Some(credential) = credential else { return Ok(None) };
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Failed {
            activity: "encrypting the secret of a connector",
            source,
        };
        let secret = serde_json::to_vec(credential).map_err(|error| failed(error.into()))?;
        let sealed = self.ports.secrets.seal(tenant, &connector.secret_purpose(), &secret);
        Ok(Some(SealedSecret(sealed.map_err(|error| failed(error.into()))?)))
    }

    /// Stores a changed connector and, if they changed, its tags; returns it as it is stored.
    async fn store_change(
        &self,
        tx: &mut dyn TenantTx,
        connector: Connector,
        tags: Option<&[Tag]>,
    ) -> Result<ConnectorDetails, RuntimeError> {
        if let Some(tags) = tags {
            tx.connectors().replace_tags(connector.id, tags).await?;
        }
        let id = connector.id;
        tx.connectors().update(&Connector { updated_at: self.ports.clock.now(), ..connector }).await?;
        tx.connectors().get(id).await?.ok_or(NOT_FOUND)
    }

    fn apply(
        &self,
        tenant: TenantId,
        before: &ConnectorDetails,
        patch: ConnectorPatch,
    ) -> Result<Connector, RuntimeError> {
        let mut connector = before.connector.clone();
        if let Some(name) = patch.name {
            connector.name = name.into_string();
        }
        if let Some(endpoint) = patch.endpoint.filter(|endpoint| *endpoint != before.connector.endpoint) {
            // A secret belongs to one server and must not be sent to another one.
            connector.endpoint = endpoint;
            connector.secret = None;
            connector.trusted_certificate = None;
        }
        connector.config = patch.config.unwrap_or(connector.config);
        connector.classification = patch.classification.unwrap_or(connector.classification);
        connector.stale_after_s = patch.stale_after_s.unwrap_or(connector.stale_after_s);
        connector.recording = patch.recording.unwrap_or(connector.recording);
        connector.is_enabled = patch.is_enabled.unwrap_or(connector.is_enabled);
        if let Some(secret) = patch.secret {
            connector.secret = self.seal(tenant, &connector, secret.as_ref())?;
        }
        Ok(connector)
    }
}

#[async_trait]
impl UseCase<ListConnectors> for ConnectorService {
    async fn execute(&self, command: Authorized<ListConnectors>) -> Result<Page<ConnectorDetails>, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let connectors = tx.connectors().list(&command.command().page).await?;
        tx.defer_commit();
        Ok(connectors)
    }
}

#[async_trait]
impl UseCase<GetConnector> for ConnectorService {
    async fn execute(&self, command: Authorized<GetConnector>) -> Result<ConnectorDetails, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let connector = tx.connectors().get(command.command().id).await?.ok_or(NOT_FOUND)?;
        tx.defer_commit();
        Ok(connector)
    }
}

#[async_trait]
impl UseCase<CreateConnector> for ConnectorService {
    async fn execute(&self, command: Authorized<CreateConnector>) -> Result<ConnectorDetails, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let tenant = command.scope().tenant();
        let (_, CreateConnector { connector: new }) = command.into_parts();
        let NewConnector { name, kind, endpoint, config, secret, mut tags, .. } = new;
        validate::connection(kind, &endpoint, &config, self.insecure)?;
        if kind == ConnectorKind::Simulator && tags.is_empty() {
            tags = self.free_simulated_tags(&mut *tx, name.as_str()).await?;
        }
        validate::tags(kind, &tags)?;
        if tx.connectors().count().await? >= MAX_CONNECTORS {
            return Err(RuntimeError::Conflict { detail: "The tenant has 200 connectors; delete one first." });
        }
        let now = self.ports.clock.now();
        let mut connector = Connector {
            id: ConnectorId::from_uuid(self.ports.ids.uuid()),
            name: name.into_string(),
            kind,
            endpoint,
            config,
            secret: None,
            classification: new.classification,
            stale_after_s: new.stale_after_s,
            recording: new.recording,
            is_enabled: new.is_enabled,
            trusted_certificate: None,
            revision: 1,
            created_at: now,
            updated_at: now,
        };
        connector.secret = self.seal(tenant, &connector, secret.as_ref())?;
        let tags: Vec<Tag> = tags.into_iter().map(|tag| self.tag(tag)).collect();
        tx.connectors().insert(&connector).await?;
        tx.connectors().replace_tags(connector.id, &tags).await?;
        let created = tx.connectors().get(connector.id).await?.ok_or(NOT_FOUND)?;
        tx.defer_commit();
        Ok(created)
    }
}

#[async_trait]
impl UseCase<UpdateConnector> for ConnectorService {
    async fn execute(&self, command: Authorized<UpdateConnector>) -> Result<Change<ConnectorDetails>, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let tenant = command.scope().tenant();
        let (_, UpdateConnector { id, mut patch }) = command.into_parts();
        let before = tx.connectors().lock(id).await?.ok_or(NOT_FOUND)?;
        let tags = patch.tags.take();
        let connector = self.apply(tenant, &before, patch)?;
        validate::connection(connector.kind, &connector.endpoint, &connector.config, self.insecure)?;
        if let Some(tags) = &tags {
            validate::tags(connector.kind, tags)?;
        }
        let tags = tags.map(|tags| tags.into_iter().map(|tag| self.tag(tag)).collect::<Vec<_>>());
        let after = self.store_change(&mut *tx, connector, tags.as_deref()).await?;
        tx.defer_commit();
        Ok(Change { before, after })
    }
}

#[async_trait]
impl UseCase<DeleteConnector> for ConnectorService {
    async fn execute(&self, command: Authorized<DeleteConnector>) -> Result<ConnectorDetails, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let id = command.command().id;
        let connector = tx.connectors().lock(id).await?.ok_or(NOT_FOUND)?;
        tx.connectors().delete(id).await?;
        tx.defer_commit();
        Ok(connector)
    }
}

#[async_trait]
impl UseCase<TrustCertificate> for ConnectorService {
    async fn execute(&self, command: Authorized<TrustCertificate>) -> Result<Change<ConnectorDetails>, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let (_, TrustCertificate { id, thumbprint }) = command.into_parts();
        let before = tx.connectors().lock(id).await?.ok_or(NOT_FOUND)?;
        let connector = Connector { trusted_certificate: Some(thumbprint), ..before.connector.clone() };
        let after = self.store_change(&mut *tx, connector, None).await?;
        tx.defer_commit();
        Ok(Change { before, after })
    }
}

#[async_trait]
impl UseCase<ImportTags> for ConnectorService {
    async fn execute(&self, command: Authorized<ImportTags>) -> Result<Change<ConnectorDetails>, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let (_, ImportTags { id, tags: imported }) = command.into_parts();
        let before = tx.connectors().lock(id).await?.ok_or(NOT_FOUND)?;
        validate::tags(before.connector.kind, &imported)?;
        let imported: Vec<Tag> = imported.into_iter().map(|tag| self.tag(tag)).collect();
        let is_kept = |known: &&Tag| !imported.iter().any(|tag| tag.name == known.name);
        let mut tags: Vec<Tag> = before.tags.iter().filter(is_kept).cloned().collect();
        tags.extend(imported);
        validate::tag_count(tags.len())?;
        let after = self.store_change(&mut *tx, before.connector.clone(), Some(&tags)).await?;
        tx.defer_commit();
        Ok(Change { before, after })
    }
}

#[async_trait]
impl UseCase<CheckConnector> for ConnectorService {
    async fn execute(&self, command: Authorized<CheckConnector>) -> Result<ConnectorCheck, RuntimeError> {
        let id = command.command().id;
        // The result of the check states what is wrong.
        let failed = |detail: String| Ok(ConnectorCheck { ok: false, detail, untrusted_certificate: None });
        match expect_usable(&*self.ports.store, &command, id).await {
            Err(RuntimeError::Conflict { detail }) => return failed(detail.to_owned()),
            other => other?,
        }
        match self.ports.broker.check(command.scope(), id).await {
            Ok(check) => Ok(check),
            Err(PlantReadError::Store(error)) => Err(error.into()),
            Err(error) => failed(error.public_detail().unwrap_or_else(|| error.to_string())),
        }
    }
}

#[async_trait]
impl UseCase<BrowseConnector> for ConnectorService {
    async fn execute(&self, command: Authorized<BrowseConnector>) -> Result<Option<Vec<OfferedTag>>, RuntimeError> {
        let BrowseConnector { id, limit } = *command.command();
        expect_usable(&*self.ports.store, &command, id).await?;
        Ok(self.ports.broker.browse(command.scope(), id, limit).await?)
    }
}

/// Checks that the connector exists and is enabled; a disabled one is never read.
async fn expect_usable<C: Send + Sync>(
    store: &dyn Store,
    command: &Authorized<C>,
    id: ConnectorId,
) -> Result<(), RuntimeError> {
    let mut tx = command.begin(store).await?;
    let connector = tx.connectors().get(id).await?.ok_or(NOT_FOUND)?.connector;
    if !connector.is_enabled {
        return Err(RuntimeError::Conflict { detail: "The connector is switched off: set `enabled` first." });
    }
    Ok(())
}

fn field_error(pointer: &str, detail: impl Into<String>) -> FieldError {
    FieldError { pointer: pointer.to_owned(), detail: detail.into() }
}
