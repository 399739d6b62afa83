//! Documents where uploads race.

use crate::store::world;
use data::testing::TestError;
use domain::document::{NewDocument, Revision};
use domain::ports::{InsertedDocument, StoreError};
use domain::role::Classification;
use futures::future::join_all;

#[tokio::test]
async fn of_uploads_that_supersede_the_same_document_at_once_one_gets_in() -> Result<(), TestError> {
    let (world, _alive) = world().await?;
    let plant = world.plant("a").await?;
    let old = world.document(&plant.ada, 'a').await?;
    let owner = plant.ada.user().ok_or("a user")?;
    let revisions: Vec<NewDocument> = ('b'..='f')
        .map(|sha| {
            let revision = Revision { supersedes: Some(old.id), ..Revision::default() };
            NewDocument { revision, ..world.new_document(owner, sha) }
        })
        .collect();
    let (world, ada) = (&world, &plant.ada);
    let upload = |new: NewDocument| async move {
        let mut tx = world.begin(ada).await.map_err(|error| error.to_string())?;
        match tx.documents().insert(&new, Classification::Restricted, world.now()).await {
            Ok(InsertedDocument::New(_)) => tx.commit().await.map(|()| true).map_err(|error| error.to_string()),
            Err(StoreError::Conflict { what }) => {
                assert!(what.contains("supersedes"), "{what}");
                Ok(false)
            }
            other => Err(format!("{other:?}")),
        }
    };
    let ends: Result<Vec<bool>, String> = join_all(revisions.into_iter().map(upload)).await.into_iter().collect();
    assert_eq!(ends?.into_iter().filter(|got_in| *got_in).count(), 1);
    Ok(())
}

#[tokio::test]
async fn of_copies_of_hidden_bytes_at_once_one_is_stored() -> Result<(), TestError> {
    let (world, _alive) = world().await?;
    let plant = world.plant("a").await?;
    let owner = plant.ada.user().ok_or("a user")?;
    let secret = NewDocument { classification: Classification::Restricted, ..world.new_document(owner, 'a') };
    let mut tx = world.begin(&plant.ada).await?;
    tx.documents().insert(&secret, Classification::Restricted, world.now()).await?;
    tx.commit().await?;
    let (world, ada) = (&world, &plant.ada);
    let upload = |new: NewDocument| async move {
        let mut tx = world.begin(ada).await.map_err(|error| error.to_string())?;
        let inserted = tx.documents().insert(&new, Classification::Internal, world.now()).await;
        tx.commit().await.map_err(|error| error.to_string())?;
        match inserted {
            Ok(InsertedDocument::New(document)) => Ok((true, document.id)),
            Ok(InsertedDocument::Duplicate(document)) => Ok((false, document.id)),
            Err(error) => Err(error.to_string()),
        }
    };
    let copies: Vec<NewDocument> = (0..5).map(|_| world.new_document(owner, 'a')).collect();
    let ends: Result<Vec<_>, String> = join_all(copies.into_iter().map(upload)).await.into_iter().collect();
    let ends = ends?;
    assert_eq!(ends.iter().filter(|(new, _)| *new).count(), 1, "{ends:?}");
    assert!(ends.iter().all(|(_, id)| *id == ends[0].1 && *id != secret.id), "{ends:?}");
    Ok(())
}
