//! The routes of channels: what reaches the gate, what is shown, and where a wrong field is.

use crate::support::*;
use domain::channel::{
    Channel, ChannelConfig, ChannelKind, ChannelSecret, ChannelTest, ChannelUpdate, DeliveryError, EmailConfig,
    EmailTls, UrlConfig,
};
use domain::command::{CreateChannel, TestChannel, UpdateChannel};
use domain::ids::ChannelId;
use domain::role::Role;
use serde_json::json;

const SECRET: &str = "a password that nobody must see";

fn channel(config: ChannelConfig) -> Channel {
    Channel {
        id: ChannelId::from_uuid(uuid(3)),
        name: "Shift".into(),
        config,
        sealed: Some(SECRET.into()),
        created_at: fixed_time(),
        updated_at: fixed_time(),
    }
}

fn email() -> EmailConfig {
    EmailConfig {
        host: "mail.plant.example".into(),
        port: 465,
        from: "platform@plant.example".into(),
        to: vec!["shift@plant.example".into()],
        tls: EmailTls::Implicit,
        username: None,
    }
}

#[tokio::test]
async fn a_channel_is_created_and_its_secret_is_not_shown() {
    let mut gate = gate_for(Role::Admin);
    gate.on::<CreateChannel>(|_, command| {
        let login = ChannelSecret::Login { username: "bot".into(), password: SECRET.into() };
        assert_eq!((command.kind, command.secret), (ChannelKind::Email, Some(login)));
        assert_eq!((command.config.port, command.config.tls), (Some(465), Some(EmailTls::Implicit)));
        Ok(channel(ChannelConfig::Email(email())))
    });
    let router = router(gate, settings());
    let body = json!({
        "name": "Shift", "kind": "email", "secret": { "username": "bot", "password": SECRET },
        "config": {
            "host": "mail.plant.example", "port": 465, "from": "platform@plant.example", "to": ["shift@plant.example"],
            "tls": true,
        },
    });
    let reply = send(&router, json_request("POST", "/v1/admin/channels", &body.to_string())).await;
    assert_eq!(reply.status.as_u16(), 201, "{}", reply.text);
    assert_eq!(
        reply.json(),
        json!({
            "id": "00000000-0000-0000-0000-00000000f003", "name": "Shift", "kind": "email", "has_secret": true,
            "config": {
                "host": "mail.plant.example", "port": 465, "from": "platform@plant.example",
                "to": ["shift@plant.example"], "tls": "tls",
            },
            "created_at": "2026-01-01T00:00:00.123456Z", "updated_at": "2026-01-01T00:00:00.123456Z",
        })
    );
}

#[tokio::test]
async fn null_removes_a_secret_and_a_missing_one_stays() {
    for (body, expected) in [
        (json!({ "secret": null }), Some(None)),
        (json!({ "name": "Night" }), None),
        (json!({ "secret": SECRET }), Some(Some(ChannelSecret::Text(SECRET.into())))),
    ] {
        let mut gate = gate_for(Role::Admin);
        gate.on::<UpdateChannel>(move |_, command| {
            assert_eq!(command.secret, expected);
            let after = channel(ChannelConfig::Webhook(UrlConfig { url: "https://hooks.example/".into() }));
            Ok(ChannelUpdate { before: after.clone(), after, changed: Vec::new() })
        });
        let path = format!("/v1/admin/channels/{}", uuid(3));
        let reply = send(&router(gate, settings()), json_request("PATCH", &path, &body.to_string())).await;
        assert_eq!(reply.status.as_u16(), 200, "{}", reply.text);
        assert!(!reply.text.contains(SECRET), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_test_says_in_words_what_failed() {
    let mut gate = gate_for(Role::Admin);
    gate.on::<TestChannel>(|_, _| {
        let detail = "The receiver answered 500.".to_owned();
        Ok(ChannelTest { error: Some(DeliveryError { code: "http_status".to_owned(), detail }) })
    });
    let path = format!("/v1/admin/channels/{}/test", uuid(3));
    let reply = send(&router(gate, settings()), json_request("POST", &path, "{}")).await;
    let expected = json!({ "ok": false, "code": "http_status", "detail": "The receiver answered 500." });
    assert_eq!((reply.status.as_u16(), reply.json()), (200, expected));
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let router = router(gate_for(Role::Admin), settings());
    for (change, pointer) in [
        (json!({ "name": " " }), "/name"),
        (json!({ "kind": "pager" }), "/kind"),
        (json!({ "config": { "tls": "maybe" } }), "/config/tls"),
        (json!({ "config": { "sig": "x" } }), "/config/sig"),
        (json!({ "secret": 7 }), "/secret"),
        (json!({ "secret": "" }), "/secret"),
    ] {
        let mut body = json!({ "name": "Shift", "kind": "webhook", "config": {} });
        for (name, value) in change.as_object().expect("fields") {
            body[name] = value.clone();
        }
        let reply = send(&router, json_request("POST", "/v1/admin/channels", &body.to_string())).await;
        assert_eq!(reply.problem(), (422, "validation".to_owned(), Some(pointer.to_owned())), "{body}");
    }
}
