//! Administration over HTTP: why something was refused, settings, grants, quotas, and what is switched off.

use crate::support::app::{A, App, B};
use crate::support::caller::Caller;
use crate::support::files;
use domain::role::Role;
use serde_json::{Value, json};

async fn id_of(caller: &Caller<'_>) -> String {
    caller.get("/v1/me").await.expect(200)["id"].as_str().expect("an id").to_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

#[tokio::test]
async fn an_admin_asks_why_and_what_if() {
    let app = App::shared().await;
    let (admin, user) = (app.as_admin(A), app.as_user(A));
    let theirs = app.caller(A, "owner-of-why", Role::User);
    let uploaded = theirs.upload("why.md", &files::note("why"), &[]).await.expect(202);
    let document = text(&uploaded["document_id"]).to_owned();
    let refusal = user.delete(&format!("/v1/documents/{document}")).await.problem(403, "policy_denied");
    let address = format!("/v1/admin/decisions/{}", text(&refusal["decision_id"]));

    let told = admin.get(&address).await.expect(200);
    assert_eq!(told["rule"], "ownership", "{told}");
    assert_eq!((&told["resource"], &told["operation"]), (&json!("documents"), &json!("delete")));
    assert_eq!(told["resource_id"], json!(document));
    assert_eq!(told["user_id"], json!(id_of(&user).await));
    assert_eq!(told["standing"]["role"], "user");
    assert_eq!(
        told["steps"].as_array().and_then(|steps| steps.last()).map(|step| &step["passed"]),
        Some(&json!(false))
    );
    user.get(&address).await.problem(403, "policy_denied");
    app.as_admin(B).get(&address).await.problem(404, "not_found");

    let ask = |operation: &str| {
        let (user, document) = (told["user_id"].clone(), document.clone());
        json!({ "user_id": user, "resource": "documents", "operation": operation, "resource_id": document })
    };
    let simulate = "/v1/admin/decisions/simulate";
    let told = admin.post(simulate, &ask("delete")).await.expect(200);
    assert_eq!(
        (&told["allowed"], &told["rule"], &told["code"]),
        (&json!(false), &json!("ownership"), &json!("policy_denied"))
    );
    assert_eq!(admin.post(simulate, &ask("read")).await.expect(200)["allowed"], true);
    assert_eq!(theirs.get(&format!("/v1/documents/{document}")).await.status, 200, "nothing was deleted");
    let odd =
        json!({ "user_id": id_of(&user).await, "resource": "search", "operation": "read", "resource_id": document });
    let problem = admin.post(simulate, &odd).await.problem(422, "validation");
    assert_eq!(problem["errors"][0]["pointer"], "/resource_id");
}

#[tokio::test]
async fn every_403_has_a_decision_and_no_404_does() {
    let app = App::shared().await;
    let user = app.as_user(A);
    for path in ["/v1/admin/users", "/v1/admin/tenants"] {
        assert!(user.get(path).await.problem(403, "policy_denied")["decision_id"].is_string(), "{path}");
    }
    let unmapped = app.caller("no-such-plant", "stranger", Role::Admin).get("/v1/me").await;
    assert!(unmapped.problem(403, "tenant_unmapped")["decision_id"].is_string());
    let absent = "/v1/documents/00000000-0000-7000-8000-00000000dead";
    assert_eq!(user.get(absent).await.problem(404, "not_found").get("decision_id"), None);
}
