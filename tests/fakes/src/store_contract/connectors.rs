//! Cases on connectors to plant systems and the catalogue of their tags.

use super::{CaseResult, TestContext, require};
use domain::ids::ConnectorId;
use domain::page::PageRequest;
use domain::plant::{
    Connector, ConnectorKind, Recording, SealedSecret, Tag, TagAddress, TagLimits, TagMapping, TagQuery,
};
use domain::ports::StoreError;
use domain::role::Classification;
use domain::scope::TenantScope;
use serde_json::json;

fn connector(context: &TestContext, name: &str) -> Connector {
    let now = context.advance_clock();
    Connector {
        id: context.new_id(),
        name: name.to_owned(),
        kind: ConnectorKind::Simulator,
        endpoint: String::new(),
        config: json!({ "unit_id": 1 }),
        secret: Some(SealedSecret(vec![1, 2, 3])),
        classification: Classification::Internal,
        stale_after_s: 60,
        recording: Some(Recording { interval_s: 5, keep_days: 2 }),
        is_enabled: true,
        trusted_certificate: None,
        revision: 1,
        created_at: now,
        updated_at: now,
    }
}

fn tag(context: &TestContext, name: &str, description: &str, equipment: &str) -> Tag {
    Tag {
        id: context.new_id(),
        name: name.to_owned(),
        mapping: TagMapping { address: TagAddress(name.to_lowercase()), data_type: None, scale: Some(0.5) },
        unit: Some("bar".to_owned()),
        description: Some(description.to_owned()),
        equipment: Some(equipment.to_owned()),
        limits: TagLimits { normal_high: Some(20.8), ..TagLimits::default() },
    }
}

async fn store(context: &TestContext, scope: &TenantScope, connector: &Connector, tags: &[Tag]) -> CaseResult {
    let mut tx = context.begin(scope).await?;
    tx.connectors().insert(connector).await?;
    tx.connectors().replace_tags(connector.id, tags).await?;
    tx.commit().await?;
    Ok(())
}

/// Another tenant neither reads nor deletes it, and its tags go with it.
pub async fn a_connector_is_read_as_it_was_stored_and_each_change_raises_its_revision(
    context: &TestContext,
) -> CaseResult {
    let plant = context.create_tenant("connectors-a").await?;
    let other = context.create_tenant("connectors-b").await?;
    let stored = connector(context, "plc7");
    let tags = [tag(context, "PIT-1001", "Header pressure", "Site/Area 1/P-101")];
    store(context, &plant.ada, &stored, &tags).await?;

    let mut tx = context.begin(&plant.ada).await?;
    let read = require(tx.connectors().get(stored.id).await?)?;
    assert_eq!((&read.connector, read.tags.as_slice()), (&stored, tags.as_slice()));
    assert_eq!(tx.connectors().count().await?, 1);
    let changed = Connector { name: "plc8".to_owned(), recording: None, secret: None, ..stored.clone() };
    assert!(tx.connectors().update(&changed).await?);
    let read = require(tx.connectors().lock(stored.id).await?)?;
    assert_eq!(read.connector, Connector { revision: 2, ..changed.clone() });
    let absent = Connector { id: context.new_id(), name: "absent".to_owned(), ..changed };
    assert!(!tx.connectors().update(&absent).await?);
    tx.commit().await?;

    let mut foreign = context.begin(&other.ada).await?;
    assert_eq!(foreign.connectors().get(stored.id).await?, None);
    assert_eq!(foreign.connectors().list(&PageRequest::default()).await?.items, Vec::new());
    assert!(!foreign.connectors().delete(stored.id).await?);
    drop(foreign);

    let mut tx = context.begin(&plant.ada).await?;
    assert_eq!(tx.connectors().list(&PageRequest::default()).await?.items.len(), 1);
    assert!(tx.connectors().delete(stored.id).await?);
    assert_eq!(tx.connectors().get(stored.id).await?, None);
    assert_eq!(tx.connectors().tags_by_name(&["PIT-1001".to_owned()], Classification::Restricted).await?, Vec::new());
    Ok(())
}

/// Other tenants may have the same names. A tag that is imported again keeps its id.
pub async fn names_of_connectors_and_tags_are_unique_within_a_tenant(context: &TestContext) -> CaseResult {
    let plant = context.create_tenant("names-a").await?;
    let other = context.create_tenant("names-b").await?;
    let (first, second) = (connector(context, "one"), connector(context, "two"));
    let tags = [tag(context, "TT-1", "Temperature", "P-1")];
    store(context, &plant.ada, &first, &tags).await?;
    store(context, &plant.ada, &second, &[]).await?;
    store(context, &other.ada, &connector(context, "one"), &[tag(context, "TT-1", "", "")]).await?;

    let mut tx = context.begin(&plant.ada).await?;
    let again = tx.connectors().insert(&connector(context, "one")).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    drop(tx);
    let mut tx = context.begin(&plant.ada).await?;
    let taken = tx.connectors().replace_tags(second.id, &tags).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
    drop(tx);

    // The same name again keeps the id, and so what was recorded under it.
    let mut tx = context.begin(&plant.ada).await?;
    let changed = [tag(context, "TT-1", "Bearing", "P-1"), tag(context, "TT-2", "Oil", "P-1")];
    tx.connectors().replace_tags(first.id, &changed).await?;
    let read = require(tx.connectors().get(first.id).await?)?.tags;
    assert_eq!(read.len(), 2);
    assert_eq!((read[0].id, read[0].description.as_deref()), (tags[0].id, Some("Bearing")));
    tx.connectors().replace_tags(first.id, &changed[1..]).await?;
    assert_eq!(require(tx.connectors().get(first.id).await?)?.tags.len(), 1);
    Ok(())
}

/// Tags of connectors that are switched off are not searched.
pub async fn tags_are_found_in_any_spelling_and_within_the_clearance(context: &TestContext) -> CaseResult {
    let plant = context.create_tenant("tag-search").await?;
    let open = connector(context, "open");
    let hidden = Connector { classification: Classification::Restricted, ..connector(context, "hidden") };
    let off = Connector { is_enabled: false, ..connector(context, "off") };
    let ids: Vec<ConnectorId> = vec![open.id, hidden.id, off.id];
    let pressure = tag(context, "PIT-1001", "Discharge pressure", "Site/Area 1/P-101A");
    let tags = [pressure, tag(context, "PIT-2004", "Steam pressure", "Site/Area 2/B-201")];
    store(context, &plant.ada, &open, &tags).await?;
    store(context, &plant.ada, &hidden, &[tag(context, "AT-1", "Secret pressure", "P-101A")]).await?;
    store(context, &plant.ada, &off, &[tag(context, "OFF-1", "Switched off pressure", "P-101A")]).await?;

    let mut tx = context.begin(&plant.ada).await?;
    let found = |tags: &[domain::plant::KnownTag]| tags.iter().map(|known| known.tag.name.clone()).collect::<Vec<_>>();
    for spelling in ["P-101A", "p101a", "10-P-101A"] {
        let query = TagQuery::parse(spelling);
        let internal = tx.connectors().search_tags(&query, Classification::Internal, 10).await?;
        assert_eq!(found(&internal), ["PIT-1001"], "{spelling}");
        let restricted = tx.connectors().search_tags(&query, Classification::Restricted, 10).await?;
        assert_eq!(restricted.len(), 2, "{spelling}");
    }
    let by_word = tx.connectors().search_tags(&TagQuery::parse("pressure P101A"), Classification::Internal, 10).await?;
    assert_eq!(found(&by_word), ["PIT-1001", "PIT-2004"], "the tag of the equipment comes first");
    let all = tx.connectors().search_tags(&TagQuery::parse("*"), Classification::Restricted, 10).await?;
    assert_eq!(found(&all), ["AT-1", "PIT-1001", "PIT-2004"]);
    assert_eq!(tx.connectors().search_tags(&TagQuery::parse("*"), Classification::Internal, 1).await?.len(), 1);

    let names = ["pit1001".to_owned(), "AT-1".to_owned()];
    let known = tx.connectors().tags_by_name(&names, Classification::Internal).await?;
    assert_eq!(found(&known), ["PIT-1001"]);
    assert_eq!((known[0].connector, known[0].source.as_str(), known[0].stale_after_s), (ids[0], "simulator:open", 60));
    Ok(())
}
