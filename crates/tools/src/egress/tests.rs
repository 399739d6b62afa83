//! Tests of which addresses are connected to, and that the checked address is the one that is used.

use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn url(text: &str) -> Url {
    text.parse().expect("a URL")
}

fn everything() -> EgressPolicy {
    let networks = ["0.0.0.0/0", "::/0"].map(|network| network.parse().expect("a network"));
    EgressPolicy { allow_networks: networks.to_vec(), development: true }
}

#[test]
fn only_public_addresses_are_allowed_by_default() {
    let policy = EgressPolicy::default();
    for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "::ffff:0:8.8.8.8"] {
        assert!(policy.allows(address(public)), "{public}");
    }
    let refused = [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "::ffff:0:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "64:ff9b:1::808:808",
        "2002:7f00:1::",
        "::7f00:1",
        "fec0::1",
        "198.18.0.1",
        "2001::1",
    ];
    for refused in refused {
        assert!(!policy.allows(address(refused)), "{refused}");
        assert!(everything().allows(address(refused)), "{refused}");
    }
}

#[test]
fn link_local_and_metadata_addresses_are_never_allowed() {
    let refused = [
        "169.254.169.254",
        "169.254.1.1",
        "::ffff:169.254.169.254",
        "::ffff:0:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "fe80::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "224.0.0.1",
        "ff02::1",
        "::ffff:0.0.0.0",
    ];
    for refused in refused {
        assert!(!everything().allows(address(refused)), "{refused}");
    }
}

#[test]
fn networks_of_the_setting_and_loopback_in_development_are_allowed() {
    let site = EgressPolicy { allow_networks: vec!["10.20.0.0/16".parse().expect("a network")], development: false };
    assert!(site.allows(address("10.20.3.4")) && site.allows(address("::ffff:10.20.3.4")));
    assert!(!site.allows(address("10.21.0.1")) && !site.allows(address("127.0.0.1")));
    let development = EgressPolicy { development: true, ..EgressPolicy::default() };
    assert!(development.allows(address("127.0.0.1")) && development.allows(address("::1")));
    assert!(!development.allows(address("10.0.0.1")));
}

#[test]
fn urls_are_checked_in_every_spelling_of_an_address() {
    let policy = EgressPolicy::default();
    for refused in [
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::1]:80/",
        "https://[::ffff:a9fe:a9fe]/",
        "ftp://example.com/",
        "https://user@example.com/",
        "https://:pass@example.com/",
    ] {
        assert!(policy.check_url(&url(refused)).is_err(), "{refused}");
    }
    assert!(policy.check_url(&url("https://example.com/hook")).is_ok());
}

#[tokio::test]
async fn a_name_that_resolves_to_a_refused_address_is_refused() {
    let error = EgressPolicy::default().resolve("localhost", 80).await.expect_err("loopback");
    assert!(matches!(error, EgressError::RefusedAddress { kind: AddressKind::Loopback, .. }), "{error}");
    assert!(error.to_string().contains("notifications.allow_networks"), "{error}");
    let error = EgressPolicy::default().checked_client(&url("http://localhost:9/")).await.expect_err("loopback");
    assert!(matches!(error, EgressError::RefusedAddress { .. }), "{error}");
    let development = EgressPolicy { development: true, ..EgressPolicy::default() };
    assert!(development.resolve("localhost", 80).await.is_ok());
}

#[tokio::test]
async fn plain_http_stays_within_the_site() {
    let error = EgressPolicy::default().checked_client(&url("http://8.8.8.8/")).await.expect_err("plain HTTP");
    assert!(matches!(error, EgressError::PlainHttp { .. }), "{error}");
}

#[tokio::test]
async fn a_client_connects_to_its_host_alone_and_follows_no_redirect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = [0; 1024];
        let length = stream.read(&mut request).await.expect("a request");
        assert!(length > 0);
        let response = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 4\r\n\r\nmore";
        stream.write_all(response.as_bytes()).await.expect("sent");
        stream
    };
    let development = EgressPolicy { development: true, ..EgressPolicy::default() };
    let target = url(&format!("http://localhost:{port}/"));
    let client = development.checked_client(&target).await.expect("a client");
    let (response, _open) = tokio::join!(client.get(target).send(), server);
    let response = response.expect("a response");
    assert_eq!(response.status().as_u16(), 302);
    assert!(matches!(read_bounded(response, 3).await, Err(EgressError::TooLarge { limit: 3 })));
    assert!(client.get("http://example.invalid/").send().await.is_err());
}
