//! The in-memory repositories of connectors, their tags, and requests to plant systems, which nobody answers here.

use super::{InMemoryTx, Row, State, page_of};
use async_trait::async_trait;
use domain::ids::{ConnectorId, PlantRequestId};
use domain::page::{Page, PageKey, PageRequest};
use domain::plant::{Connector, ConnectorDetails, KnownTag, PlantRequest, Tag, TagQuery, normalized_tag_name};
use domain::ports::{AnsweredRequest, ConnectorRepo, PlantRequestRepo, StoreError};
use domain::role::Classification;

/// A tag with its connector.
#[derive(Clone, Debug)]
pub(super) struct StoredTag {
    connector: ConnectorId,
    tag: Tag,
}

impl InMemoryTx {
    fn details(&self, connector: Connector) -> ConnectorDetails {
        let in_tenant = self.tenant_filter();
        let mut tags: Vec<Tag> = self.read(|s| {
            let rows = s.tags.iter().filter(|row| in_tenant(row) && row.value.connector == connector.id);
            rows.map(|row| row.value.tag.clone()).collect()
        });
        tags.sort_by(|a, b| a.name.cmp(&b.name));
        ConnectorDetails { connector, tags }
    }

    fn connector_list(&self) -> Vec<Connector> {
        let in_tenant = self.tenant_filter();
        self.read(|s| s.connectors.iter().filter(|row| in_tenant(row)).map(|row| row.value.clone()).collect())
    }

    /// All tags up to `clearance`.
    fn known_tags(&self, clearance: Classification) -> Vec<KnownTag> {
        let connectors = self.connector_list().into_iter().filter(|connector| connector.classification <= clearance);
        let tags = connectors.map(|connector| self.details(connector)).flat_map(|details| {
            let ConnectorDetails { connector, tags } = details;
            tags.into_iter().map(move |tag| KnownTag {
                tag,
                connector: connector.id,
                source: connector.source(),
                classification: connector.classification,
                stale_after_s: connector.stale_after_s,
                is_enabled: connector.is_enabled,
            })
        });
        let mut tags: Vec<KnownTag> = tags.collect();
        tags.sort_by(|a, b| a.tag.name.cmp(&b.tag.name));
        tags
    }
}

fn name_is_taken(state: &State, row: &Row<Connector>) -> bool {
    state
        .connectors
        .iter()
        .any(|other| other.tenant == row.tenant && other.value.name == row.value.name && other.value.id != row.value.id)
}

const NAME_TAKEN: StoreError = StoreError::Conflict { reason: "A connector with this name already exists." };
const TAG_TAKEN: StoreError = StoreError::Conflict { reason: "A tag with this name belongs to another connector." };

#[async_trait]
impl ConnectorRepo for InMemoryTx {
    async fn insert(&mut self, connector: &Connector) -> Result<(), StoreError> {
        let row = Row { tenant: self.tenant(), user: None, value: connector.clone() };
        let state = self.write().await?;
        if name_is_taken(state, &row) {
            return Err(NAME_TAKEN);
        }
        state.connectors.push(row);
        Ok(())
    }

    async fn get(&mut self, id: ConnectorId) -> Result<Option<ConnectorDetails>, StoreError> {
        let connector = self.connector_list().into_iter().find(|connector| connector.id == id);
        Ok(connector.map(|connector| self.details(connector)))
    }

    async fn lock(&mut self, id: ConnectorId) -> Result<Option<ConnectorDetails>, StoreError> {
        self.write().await?;
        ConnectorRepo::get(self, id).await
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<ConnectorDetails>, StoreError> {
        let key = |row: &Connector| PageKey { created_at: row.created_at, id: row.id.as_uuid() };
        let Page { items, next } = page_of(self.connector_list(), page, key);
        Ok(Page { items: items.into_iter().map(|connector| self.details(connector)).collect(), next })
    }

    async fn count(&mut self) -> Result<u64, StoreError> {
        Ok(self.connector_list().len() as u64)
    }

    async fn update(&mut self, connector: &Connector) -> Result<bool, StoreError> {
        let in_tenant = self.tenant_filter();
        let changed = Row { tenant: self.tenant(), user: None, value: connector.clone() };
        let state = self.write().await?;
        if name_is_taken(state, &changed) {
            return Err(NAME_TAKEN);
        }
        let row = state.connectors.iter_mut().find(|row| in_tenant(row) && row.value.id == connector.id);
        let Some(row) = row else { return Ok(false) };
        let (revision, created_at) = (row.value.revision + 1, row.value.created_at);
        row.value = Connector { revision, created_at, ..connector.clone() };
        Ok(true)
    }

    async fn delete(&mut self, id: ConnectorId) -> Result<bool, StoreError> {
        let (in_tenant, owns_tag) = (self.tenant_filter::<Connector>(), self.tenant_filter::<StoredTag>());
        let state = self.write().await?;
        let count = state.connectors.len();
        state.connectors.retain(|row| !(in_tenant(row) && row.value.id == id));
        state.tags.retain(|row| !(owns_tag(row) && row.value.connector == id));
        Ok(state.connectors.len() < count)
    }

    async fn replace_tags(&mut self, id: ConnectorId, tags: &[Tag]) -> Result<(), StoreError> {
        let (tenant, in_tenant) = (self.tenant(), self.tenant_filter::<StoredTag>());
        let state = self.write().await?;
        let is_own = |row: &Row<StoredTag>| in_tenant(row) && row.value.connector == id;
        let is_taken = |tag: &Tag| {
            state.tags.iter().any(|row| in_tenant(row) && row.value.connector != id && row.value.tag.name == tag.name)
        };
        if tags.iter().any(is_taken) {
            return Err(TAG_TAKEN);
        }
        let before: Vec<Tag> = state.tags.iter().filter(|row| is_own(row)).map(|row| row.value.tag.clone()).collect();
        state.tags.retain(|row| !is_own(row));
        for tag in tags {
            let known = before.iter().find(|known| known.name == tag.name).map_or(tag.id, |known| known.id);
            let tag = Tag { id: known, ..tag.clone() };
            state.tags.push(Row { tenant, user: None, value: StoredTag { connector: id, tag } });
        }
        Ok(())
    }

    async fn search_tags(
        &mut self,
        query: &TagQuery,
        clearance: Classification,
        limit: u32,
    ) -> Result<Vec<KnownTag>, StoreError> {
        let mut tags = self.known_tags(clearance);
        tags.retain(|known| known.is_enabled && query.score(&known.tag) > 0);
        tags.sort_by_key(|known| std::cmp::Reverse(query.score(&known.tag)));
        tags.truncate(limit as usize);
        Ok(tags)
    }

    async fn tags_by_name(&mut self, names: &[String], clearance: Classification) -> Result<Vec<KnownTag>, StoreError> {
        let normalized: Vec<String> = names.iter().map(|name| normalized_tag_name(name)).collect();
        let mut tags = self.known_tags(clearance);
        tags.retain(|known| names.contains(&known.tag.name) || normalized.contains(&known.tag.normalized_name()));
        Ok(tags)
    }
}

#[async_trait]
impl PlantRequestRepo for InMemoryTx {
    async fn insert(&mut self, requests: &[PlantRequest]) -> Result<(), StoreError> {
        let tenant = self.tenant();
        let rows = requests.iter().map(|request| Row { tenant, user: None, value: request.clone() });
        self.write().await?.plant_requests.extend(rows);
        Ok(())
    }

    async fn answers(&mut self, _: &[PlantRequestId]) -> Result<Vec<AnsweredRequest>, StoreError> {
        Ok(Vec::new())
    }

    async fn delete(&mut self, ids: &[PlantRequestId]) -> Result<(), StoreError> {
        let in_tenant = self.tenant_filter();
        self.write().await?.plant_requests.retain(|row| !(in_tenant(row) && ids.contains(&row.value.id)));
        Ok(())
    }
}
