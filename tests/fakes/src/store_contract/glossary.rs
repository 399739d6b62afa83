//! Test cases for tenants' own glossaries.

use super::{CaseResult, TestContext, TestTenant, user_id};
use domain::glossary::{Concept, Concepts, GlossaryLanguage, GlossaryVersion};
use std::collections::BTreeMap;

fn concepts(term: &str) -> Concepts {
    let terms = BTreeMap::from([(GlossaryLanguage::German, vec![term.to_owned()])]);
    Concepts::from_stored(vec![Concept { name: "isolation".to_owned(), terms }])
}

/// Each change is a version of its own, a number is stored once, and one tenant's glossary is not another's.
pub async fn a_glossary_is_versioned_per_tenant(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let stranger = context.create_tenant("b").await?.ada;
    let mut tx = context.begin(&ada).await?;
    assert_eq!((tx.glossary().current_version().await?, tx.glossary().get(None).await?), (0, None));
    let changed_by = Some(user_id(&ada)?);
    let version = |version, term| {
        let changed_at = Some(context.advance_clock());
        GlossaryVersion { version, concepts: concepts(term), changed_by, changed_at }
    };
    let (first, second) = (version(1, "Freischaltung"), version(2, "Freischaltschein"));
    assert!(tx.glossary().insert(&first).await?);
    assert!(tx.glossary().insert(&second).await?);
    assert!(!tx.glossary().insert(&version(2, "Erdung")).await?, "version 2 is taken");
    tx.commit().await?;

    let mut tx = context.begin(&ada).await?;
    assert_eq!(tx.glossary().current_version().await?, 2);
    assert_eq!(tx.glossary().get(None).await?, Some(second));
    assert_eq!(tx.glossary().get(Some(1)).await?, Some(first));
    assert_eq!(tx.glossary().get(Some(3)).await?, None);
    drop(tx);

    let mut tx = context.begin(&stranger).await?;
    assert_eq!((tx.glossary().current_version().await?, tx.glossary().get(Some(1)).await?), (0, None));
    assert!(tx.glossary().insert(&GlossaryVersion { changed_by: None, ..version(1, "Sperre") }).await?);
    Ok(())
}

/// The newest versions are kept, those of other tenants too.
pub async fn old_versions_of_a_glossary_are_deleted(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let stranger = context.create_tenant("b").await?.ada;
    let version = |version| {
        let changed_at = Some(context.advance_clock());
        GlossaryVersion { version, concepts: concepts("Sperre"), changed_by: None, changed_at }
    };
    let mut tx = context.begin(&stranger).await?;
    assert!(tx.glossary().insert(&version(1)).await?);
    tx.commit().await?;
    let mut tx = context.begin(&ada).await?;
    for number in 1..=GlossaryVersion::KEPT + 2 {
        assert!(tx.glossary().insert(&version(number)).await?, "{number}");
    }
    assert_eq!(tx.glossary().get(Some(2)).await?, None);
    assert!(tx.glossary().get(Some(3)).await?.is_some());
    tx.commit().await?;
    assert!(context.begin(&stranger).await?.glossary().get(Some(1)).await?.is_some());
    Ok(())
}
