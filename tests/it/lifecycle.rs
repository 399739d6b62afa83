//! The end of a platform: what runs is finished or kept, and nothing takes longer than it must.

use crate::support::app::{A, App};
use crate::support::db::Sight;
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn an_idle_platform_stops_at_once() {
    let mut app = App::start(&[]).await;
    let document = app.as_user(A).ingest("last.md", &files::note("Z-1"), &[]).await;
    assert_eq!(document["status"], "ready");
    let took = app.stop();
    // The grace period of these tests is a second; a part that is not let go of costs five more.
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn an_answer_that_the_end_cuts_off_is_stored_as_cancelled_with_its_words() {
    let model = ModelServer::start([Reply::Waits("As far as ", "it never got")]).await;
    let mut app = App::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    let mut stream = user.begin_stream(&conversation, &json!({ "message": "How often?" })).await;
    stream.until("message.delta").await;
    app.stop();
    let answer = "SELECT content, status FROM messages WHERE role = 'assistant'";
    let stored = Sight::of(&app).await.rows(answer, &[]).await;
    assert_eq!(stored, [json!({ "content": "As far as ", "status": "cancelled" })]);
    let open = "SELECT count(*) FROM audit_logs i WHERE phase = 'intent' AND NOT EXISTS
                (SELECT FROM audit_logs o WHERE o.phase = 'outcome' AND o.correlation_id = i.correlation_id)";
    assert_eq!(Sight::of(&app).await.count(open, &[]).await, 0, "an intent without an outcome");
}
