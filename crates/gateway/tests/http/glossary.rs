//! The routes of the tenant's own glossary: what reaches the gate, and how versions are compared.

use crate::support::*;
use axum::body::Body;
use domain::audit::Change;
use domain::command::{ExportGlossary, ImportGlossary, ReadGlossary, ReplaceGlossary};
use domain::glossary::{Concept, Concepts, GlossaryLanguage, GlossaryVersion};
use domain::ids::UserId;
use domain::role::Role;
use serde_json::json;
use std::collections::BTreeMap;

const PATH: &str = "/v1/admin/glossary";

fn version(version: i64) -> GlossaryVersion {
    let terms = BTreeMap::from([(GlossaryLanguage::German, vec!["=Steckscheibe".to_owned()])]);
    GlossaryVersion {
        version,
        concepts: Concepts::from_stored(vec![Concept { name: "blind".to_owned(), terms }]),
        changed_by: Some(UserId::from_uuid(uuid(1))),
        changed_at: Some(fixed_time()),
    }
}

fn change() -> Change<GlossaryVersion> {
    Change { before: GlossaryVersion::default(), after: version(3) }
}

#[tokio::test]
async fn the_glossary_is_read_with_its_version() {
    let mut gate = gate_for(Role::Admin);
    gate.on::<ReadGlossary>(|_, command| Ok(version(command.version.unwrap_or(7))));
    let router = router(gate, settings());
    let current = send(&router, request("GET", PATH, Body::empty())).await;
    assert_eq!(current.header("etag"), Some("\"7\""));
    assert_eq!(
        current.json(),
        json!({
            "version": 7, "concepts": [{ "name": "blind", "terms": { "de": ["=Steckscheibe"] } }],
            "changed_by": uuid(1), "changed_at": current.json()["changed_at"],
        })
    );
    let earlier = send(&router, request("GET", &format!("{PATH}?version=2"), Body::empty())).await;
    assert_eq!(earlier.json()["version"], 2);
    let wrong = send(&router, request("GET", &format!("{PATH}?version=0"), Body::empty())).await;
    assert_eq!(wrong.problem(), (422, "validation".to_owned(), Some("/version".to_owned())));
}

#[tokio::test]
async fn a_new_glossary_reaches_the_gate_with_the_expected_version() {
    let mut gate = gate_for(Role::Admin);
    gate.on::<ReplaceGlossary>(|_, command| {
        assert_eq!(command.expected, Some(2));
        let concept = &command.concepts.as_slice()[0];
        assert_eq!(concept.name, "blind");
        assert_eq!(concept.terms, BTreeMap::from([(GlossaryLanguage::German, vec!["Steckscheibe".to_owned()])]));
        Ok(change())
    });
    let router = router(gate, settings());
    let body = json!({ "concepts": [{ "name": " blind ", "terms": { "de": [" Steckscheibe "], "en": [] } }] });
    let put = with_header(json_request("PUT", PATH, &body.to_string()), "if-match", "\"2\"");
    let changed = send(&router, put).await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, Some("\"3\"")));
}

#[tokio::test]
async fn each_wrong_field_is_named() {
    let router = router(gate_for(Role::Admin), settings());
    for (concept, pointer) in [
        (json!({ "name": "", "terms": { "de": ["a"] } }), "/concepts/0/name"),
        (json!({ "name": "a", "terms": {} }), "/concepts/0/terms"),
        (json!({ "name": "a", "terms": { "de": ["a", "A"] } }), "/concepts/0/terms/de/1"),
        (json!({ "name": "a", "terms": { "de": ["a"], "en": ["-"] } }), "/concepts/0/terms/en/0"),
    ] {
        let body = json!({ "concepts": [concept] }).to_string();
        let reply = send(&router, json_request("PUT", PATH, &body)).await;
        assert_eq!(reply.problem(), (422, "validation".to_owned(), Some(pointer.to_owned())), "{body}");
    }
    let unknown = send(&router, json_request("PUT", PATH, r#"{"concepts":[{"name":"a","terms":{"xx":["a"]}}]}"#)).await;
    assert_eq!(unknown.status, 422);
    let put = with_header(json_request("PUT", PATH, r#"{"concepts":[]}"#), "if-match", "\"x\"");
    assert_eq!(send(&router, put).await.problem().2.as_deref(), Some("/If-Match"));
}

#[tokio::test]
async fn a_csv_file_is_imported_and_exported() {
    let mut gate = gate_for(Role::Admin);
    gate.on::<ImportGlossary>(|_, command| {
        assert_eq!((command.concepts.as_slice().len(), command.expected), (2, None));
        Ok(change())
    });
    gate.on::<ExportGlossary>(|_, _| Ok(version(3)));
    let router = router(gate, settings());
    let import = |content_type: &'static str, body: &'static str| {
        with_header(request("POST", &format!("{PATH}/import"), Body::from(body)), "content-type", content_type)
    };
    let csv = "concept,language,term\nblind,de,Steckscheibe\nflare,de,Fackel\nblind,en,spade\n";
    let imported = send(&router, import("text/csv; charset=utf-8", csv)).await;
    assert_eq!(imported.json(), json!({ "imported": 2, "concepts": 1, "version": 3 }));
    assert_eq!(imported.header("etag"), Some("\"3\""));
    let wrong = send(&router, import("text/csv", "concept,language,term\nblind,deutsch,a\n")).await;
    assert_eq!(wrong.problem(), (422, "validation".to_owned(), Some("/lines/2/language".to_owned())));
    assert_eq!(send(&router, import("application/json", "{}")).await.status, 415);

    let exported = send(&router, request("GET", &format!("{PATH}/export"), Body::empty())).await;
    assert_eq!(exported.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(
        exported.text, "\"concept\",\"language\",\"term\"\r\n\"blind\",\"de\",\"'=Steckscheibe\"\r\n",
        "no cell is a formula"
    );
}
