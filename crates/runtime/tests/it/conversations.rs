//! Reading conversations.

use crate::support::Fixture;
use crate::support::model::Step::{Finish, Text};
use crate::support::tools::ScriptedTools;
use domain::command::{Branches, GetConversation, RetrievalMode};
use domain::conversation::Citation;
use domain::role::{Classification, Role};
use runtime::conversations::ConversationService;
use runtime::use_case::UseCase as _;
use std::sync::Arc;

#[tokio::test(start_paused = true)]
async fn an_answer_with_a_citation_above_a_lowered_clearance_is_withheld() {
    let fixture = Fixture::new().await;
    let internal_hit = fixture.create_document(Classification::Internal, "Close FV-2003 first.").await.1;
    let confidential_hit = fixture.create_document(Classification::Confidential, "The bypass code is 7.").await.1;
    let model = fixture.model([vec![Text("Close FV-2003 first [1]. The bypass code is 7 [2]."), Finish]]);
    let tools = ScriptedTools::returning_hits(vec![internal_hit.clone(), confidential_hit.clone()]);
    fixture.ask(&fixture.chat(&model, &tools), "Which valve?", RetrievalMode::Always).await;

    let service = ConversationService::new(Arc::new(fixture.store.clone()), fixture.clock.clone(), fixture.ids.clone());
    let mut cited = Vec::new();
    for role in [Role::User, Role::Viewer] {
        let command = fixture
            .authorize(&fixture.ada, role, GetConversation { id: fixture.conversation, branches: Branches::Active })
            .await;
        let messages = service.execute(command).await.expect("her own").messages;
        let passages = messages[1].citations.iter().filter_map(Citation::document);
        cited.push(passages.map(|citation| citation.chunk_id).collect::<Vec<_>>());
    }
    assert_eq!(
        cited,
        [vec![internal_hit.passage.chunk_id, confidential_hit.passage.chunk_id], vec![]],
        "the whole answer is withheld"
    );
}
