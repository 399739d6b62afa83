//! The tenant's own glossary: versions, imports, and changes that come too late.

use crate::support::Fixture;
use domain::command::{Command, ImportGlossary, ReadGlossary, ReplaceGlossary};
use domain::error::{Classify as _, ErrorKind};
use domain::glossary::{Concept, Concepts, GlossaryLanguage};
use domain::role::Role;
use runtime::error::RuntimeError;
use runtime::glossary::GlossaryService;
use runtime::use_case::UseCase;
use std::collections::BTreeMap;
use std::sync::Arc;

fn concepts(names: &[&str], term: &str) -> Concepts {
    let terms = BTreeMap::from([(GlossaryLanguage::German, vec![term.to_owned()])]);
    let concept = |name: &&str| Concept { name: (*name).to_owned(), terms: terms.clone() };
    Concepts::parse(names.iter().map(concept).collect()).expect("valid")
}

/// Executes a command as an admin and, as the gate does, commits what succeeds.
async fn execute<C: Command>(fixture: &Fixture, command: C) -> Result<C::Output, RuntimeError>
where
    GlossaryService: UseCase<C>,
{
    let service = GlossaryService::new(Arc::new(fixture.store.clone()), fixture.clock.clone());
    let command = fixture.authorize(&fixture.ada, Role::Admin, command).await;
    let transaction = command.transaction().clone();
    let output = service.execute(command).await?;
    if let Some(tx) = transaction.take() {
        tx.commit().await.expect("in memory");
    }
    Ok(output)
}

#[tokio::test]
async fn each_change_is_a_version_and_none_applies_to_an_earlier_one() {
    let fixture = Fixture::new().await;
    let empty = execute(&fixture, ReadGlossary { version: None }).await.expect("none yet");
    assert!(empty.version == 0 && empty.concepts.as_slice().is_empty(), "{empty:?}");

    let replace = |names: &[&str]| ReplaceGlossary { concepts: concepts(names, "x"), expected: Some(0) };
    let first = execute(&fixture, replace(&["a", "b"])).await.expect("stored");
    assert_eq!((first.before.version, first.after.version, first.after.changed_by), (0, 1, fixture.ada.user()));
    let stale = execute(&fixture, replace(&["c"])).await.expect_err("version 0 is no longer current");
    assert_eq!(stale.kind(), ErrorKind::Conflict);

    let import = ImportGlossary { concepts: concepts(&["B", "c"], "y"), expected: None };
    let imported = execute(&fixture, import).await.expect("imported");
    let names: Vec<&str> = imported.after.concepts.as_slice().iter().map(|concept| concept.name.as_str()).collect();
    assert_eq!((imported.after.version, names), (2, vec!["a", "B", "c"]));

    let found = execute(&fixture, ReadGlossary { version: Some(1) }).await.expect("the first version");
    assert_eq!(found, first.after);
    let missing = execute(&fixture, ReadGlossary { version: Some(3) }).await.expect_err("never stored");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}
