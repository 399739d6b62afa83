//! A tenant's own glossary over HTTP: its versions, its audit rows, and what a search says of it.

use crate::support::api_client::{ApiClient, ApiResponse};
use crate::support::app::TestApp;
use reqwest::Method;
use serde_json::{Value, json};

const PATH: &str = "/v1/admin/glossary";
const NOTE: &str = "# Pumpe P-101A\n\nVor jeder Arbeit an P-101A wird eine Steckscheibe gesetzt.\n";
const CSV: &str = "concept,language,term\nisolation,de,Steckscheibe\n";

async fn import(admin: &ApiClient<'_>, csv: &'static str) -> ApiResponse {
    let request = admin.request(Method::POST, &format!("{PATH}/import")).header("content-type", "text/csv");
    ApiResponse::send(request.body(csv)).await
}

/// The synonyms by which the only document answers the question.
async fn synonyms(user: &ApiClient<'_>) -> Value {
    let question = json!({ "query": "How do I isolate P-101A?", "explain": true });
    let found = user.post("/v1/search", &question).await.expect_json(200);
    found["results"][0]["explain"]["synonyms"].clone()
}

#[tokio::test]
async fn a_tenants_own_words_are_named_in_the_explanation_of_its_searches_alone() {
    let app = TestApp::shared().await;
    for tenant in ["glossary-own", "glossary-none"] {
        app.create_tenant(tenant).await;
        app.as_user(tenant).ingest("p-101.md", NOTE.as_bytes(), &[]).await;
    }
    let (admin, user) = (app.as_admin("glossary-own"), app.as_user("glossary-own"));
    assert_eq!(synonyms(&user).await, json!([]), "the built-in glossary does not know the word");

    let imported = import(&admin, CSV).await.expect_json(200);
    assert_eq!(imported, json!({ "imported": 1, "concepts": 1, "version": 1 }));
    let expected = json!([{ "words": "isolate", "synonym": "Steckscheibe", "source": "tenant" }]);
    assert_eq!(synonyms(&user).await, expected);
    assert_eq!(synonyms(&app.as_user("glossary-none")).await, json!([]));

    admin.put(PATH, &json!({ "concepts": [] })).await.expect_json(200);
    assert_eq!(synonyms(&user).await, json!([]), "the next search uses the new version");
}

#[tokio::test]
async fn versions_are_kept_and_compared_and_audit_rows_hold_no_words() {
    let app = TestApp::shared().await;
    app.create_tenant("glossary-versions").await;
    let admin = app.as_admin("glossary-versions");
    let empty = admin.get(PATH).await;
    assert_eq!((empty.status, empty.header("etag")), (200, Some("\"0\"")));
    import(&admin, CSV).await.expect_json(200);
    let put = |etag: &str| {
        let body = json!({ "concepts": [{ "name": "flare", "terms": { "en": ["Big Bertha"], "es": ["antorcha"] } }] });
        ApiResponse::send(admin.request(Method::PUT, PATH).header("if-match", etag.to_owned()).json(&body))
    };
    put("\"0\"").await.expect_problem(409, "stale_version");
    let changed = put("\"1\"").await.expect_json(200);
    assert_eq!(changed["version"], 2);
    let first = admin.get(&format!("{PATH}?version=1")).await.expect_json(200);
    assert_eq!(first["concepts"], json!([{ "name": "isolation", "terms": { "de": ["Steckscheibe"] } }]));
    admin.get(&format!("{PATH}?version=3")).await.expect_problem(404, "not_found");
    let exported = admin.get(&format!("{PATH}/export")).await;
    assert_eq!(exported.header("content-type"), Some("text/csv; charset=utf-8"));
    app.as_user("glossary-versions").get(PATH).await.expect_problem(403, "policy_denied");

    let audit = admin.get("/v1/audit?event_type=admin.glossary_changed").await.expect_json(200);
    let rows = audit["data"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["metadata"]["after"]["version"] == 2).expect("the change");
    assert_eq!(row["metadata"]["after"], json!({ "version": 2, "concepts": 1, "terms": 2 }));
    assert!(!audit.to_string().contains("Bertha"), "{audit}");
}
