//! The OpenAPI document and the documentation page.

use crate::support::*;
use policy::gate::MockGate;
use serde_json::Value;
use std::collections::HashSet;

fn document() -> Value {
    serde_json::to_value(gateway::openapi()).expect("JSON")
}

#[test]
fn the_document_has_all_routes() {
    let document = document();
    assert_eq!(document["openapi"].as_str().map(|v| v.starts_with("3.1")), Some(true));
    let mut routes: Vec<String> = vec![];
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("an item").keys() {
            routes.push(format!("{} {path}", method.to_uppercase()));
        }
    }
    insta::assert_snapshot!(routes.join("\n"));
}

#[test]
fn operation_ids_are_unique() {
    let document = document();
    let items = document["paths"].as_object().expect("paths").values();
    let operations = items.flat_map(|item| item.as_object().expect("an item").values());
    let ids: Vec<_> = operations.map(|operation| operation["operationId"].as_str().expect("an id")).collect();
    let unique_ids: HashSet<_> = ids.iter().collect();
    assert_eq!(unique_ids.len(), ids.len(), "{ids:?}");
    assert!(ids.contains(&"patch_v1_conversations_id"), "{ids:?}");
}

#[test]
fn authenticated_routes_document_the_security_scheme_and_errors() {
    let document = document();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let is_public = ["/health", "/ready", "/v1/health", "/problems/{type}"].contains(&path.as_str())
                || path.starts_with("/v1/development/");
            assert_eq!(operation["security"].is_null(), is_public, "{method} {path}");
            if !is_public {
                let (media_type, schema) = match path.starts_with("/openai/v1/") {
                    true => ("application/json", "#/components/schemas/OpenAiError"),
                    false => ("application/problem+json", "#/components/schemas/Problem"),
                };
                for status in ["401", "403", "429", "503"] {
                    let content = &operation["responses"][status]["content"][media_type];
                    assert_eq!(content["schema"]["$ref"], schema, "{method} {path} {status}");
                }
            }
        }
    }
}

#[test]
fn references_resolve() {
    fn collect_references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|v| collect_references(v, found));
            }
            Value::Array(items) => items.iter().for_each(|v| collect_references(v, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = vec![];
    collect_references(&document, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_documentation_page_loads_nothing_from_other_servers() {
    let router = router(MockGate::new(), settings());
    let page = send(&router, get("/docs/")).await;
    assert_eq!(page.status, 200);
    assert!(!page.text.contains("https://") && !page.text.contains("<script>"), "{}", page.text);
    let policy = page.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"), "{policy}");
    for asset in ["swagger-ui-bundle.js", "swagger-ui.css", "swagger-initializer.js"] {
        assert_eq!(send(&router, get(&format!("/docs/{asset}"))).await.status, 200, "{asset}");
    }
    let served = send(&router, get("/openapi.json")).await;
    assert_eq!(served.json(), document());
}
