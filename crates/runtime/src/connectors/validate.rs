//! Validation of connectors: addresses by protocol, and encryption.

use super::field_error;
use domain::address_kind::AddressKind;
use domain::command::NewTag;
use domain::plant::{ConnectorKind, DataType, MAX_TAGS_OF_CONNECTOR, TagMapping};
use domain::upload::FieldError;
use serde_json::Value;
use std::collections::HashSet;
use url::{Host, Url};
use uuid::Uuid;

/// Maximum length of a URL and of a tag's address, in characters.
const MAX_ADDRESS_CHARS: usize = 512;
/// Maximum length of a topic, in bytes.
const MAX_TOPIC_BYTES: usize = 1_024;
/// Security policies of OPC UA that are considered secure (OPC 10000-7).
const SECURITY_POLICIES: [&str; 3] = ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"];
/// The key of a connector's configuration that allows a connection without encryption.
const ALLOW_INSECURE: &str = "allow_insecure";

/// Whether a connector may be configured to connect without encryption.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InsecureConnections {
    /// Never, whatever its configuration.
    Refused,
    /// If its configuration sets `allow_insecure`: development mode.
    OnRequest,
}

/// Checks endpoint and configuration.
///
/// # Errors
/// Names the field that is not allowed, and what to enter instead.
pub(super) fn connection(
    kind: ConnectorKind,
    endpoint: &str,
    config: &Value,
    insecure: InsecureConnections,
) -> Result<(), FieldError> {
    let is_insecure_wanted = config.get(ALLOW_INSECURE) == Some(&Value::Bool(true));
    if is_insecure_wanted && insecure == InsecureConnections::Refused {
        let detail = "is allowed in development mode only; connect with signing and encryption";
        return Err(field_error("/config/allow_insecure", detail));
    }
    if kind == ConnectorKind::Simulator {
        return match endpoint {
            "" => Ok(()),
            _ => Err(field_error("/endpoint", "must be left out: a simulated plant has none")),
        };
    }
    let url = parse_endpoint(kind, endpoint)?;
    if is_plain(kind, url.scheme()) && !(is_insecure_wanted && is_loopback(&url)) {
        let detail = format!(
            "{}:// is not encrypted: use {}://, or, in development mode with `config.allow_insecure`, a loopback \
             address",
            url.scheme(),
            if kind == ConnectorKind::PiWebApi { "https" } else { "mqtts" },
        );
        return Err(field_error("/endpoint", detail));
    }
    if kind == ConnectorKind::OpcUa && !is_insecure_wanted {
        opc_ua_security(config)?;
    }
    Ok(())
}

/// Whether a scheme stands for a connection without the encryption that its protocol could have. Modbus has none.
fn is_plain(kind: ConnectorKind, scheme: &str) -> bool {
    match kind {
        ConnectorKind::Mqtt | ConnectorKind::Sparkplug => matches!(scheme, "mqtt" | "tcp"),
        ConnectorKind::PiWebApi => scheme == "http",
        ConnectorKind::OpcUa | ConnectorKind::Modbus | ConnectorKind::Simulator => false,
    }
}

fn parse_endpoint(kind: ConnectorKind, endpoint: &str) -> Result<Url, FieldError> {
    let schemes: &[&str] = match kind {
        ConnectorKind::OpcUa => &["opc.tcp"],
        ConnectorKind::Mqtt | ConnectorKind::Sparkplug => &["mqtts", "ssl", "mqtt", "tcp"],
        ConnectorKind::Modbus => &["modbus", "tcp", "modbus+tcp"],
        ConnectorKind::PiWebApi => &["https", "http"],
        ConnectorKind::Simulator => &[],
    };
    let expected = || {
        let schemes: Vec<_> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
        field_error("/endpoint", format!("must be a URL that begins with {}", schemes.join(" or ")))
    };
    if endpoint.chars().count() > MAX_ADDRESS_CHARS {
        return Err(field_error("/endpoint", format!("must be at most {MAX_ADDRESS_CHARS} characters long")));
    }
    // Like in the connectors, the first scheme is the default.
    let endpoint = match schemes.first() {
        Some(scheme) if !endpoint.is_empty() && !endpoint.contains("://") => format!("{scheme}://{endpoint}"),
        _ => endpoint.to_owned(),
    };
    let url = Url::parse(&endpoint).ok().filter(|url| schemes.contains(&url.scheme())).ok_or_else(expected)?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(field_error("/endpoint", "must name a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(field_error("/endpoint", "must not contain a user or password: they belong into `secret`"));
    }
    if is_never_connected_to(&url) {
        return Err(field_error("/endpoint", "must be neither a link-local address nor that of a metadata service"));
    }
    Ok(url)
}

/// The host of a URL as an address. The crate `url` parses addresses only in URLs of the web's own schemes.
fn address(url: &Url) -> Option<std::net::IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(name) => name.parse().ok(),
    }
}

fn is_loopback(url: &Url) -> bool {
    url.host_str() == Some("localhost") || address(url).is_some_and(|address| address.is_loopback())
}

fn is_never_connected_to(url: &Url) -> bool {
    address(url).is_some_and(|address| AddressKind::of(address).is_never_connected_to())
}

/// Checks that a connection signs and encrypts. Omitted settings have safe defaults.
fn opc_ua_security(config: &Value) -> Result<(), FieldError> {
    let refused = |pointer, wanted: &str| {
        let detail = format!(
            "must be {wanted}: OPC UA without signing and encryption is refused, unless `config.allow_insecure` is set \
             in development mode"
        );
        Err(field_error(pointer, detail))
    };
    let text = |key: &str| config.get(key).map(|value| value.as_str().unwrap_or_default());
    let policy = text("security_policy").map(|policy| policy.rsplit('#').next().unwrap_or(policy));
    if policy.is_some_and(|policy| !SECURITY_POLICIES.contains(&policy)) {
        return refused("/config/security_policy", &SECURITY_POLICIES.join(", or "));
    }
    let mode = text("security_mode").map(|mode| mode.replace('_', "").to_lowercase());
    if mode.is_some_and(|mode| mode != "signandencrypt") {
        return refused("/config/security_mode", "SignAndEncrypt");
    }
    Ok(())
}

/// Checks the tags of a connector.
///
/// # Errors
/// Names the first tag that is not allowed.
pub(super) fn tags(kind: ConnectorKind, tags: &[NewTag]) -> Result<(), FieldError> {
    tag_count(tags.len())?;
    let mut names = HashSet::new();
    for (index, tag) in tags.iter().enumerate() {
        let at = |field: &str| format!("/tags/{index}/{field}");
        if !names.insert(tag.name.as_str()) {
            return Err(field_error(&at("tag"), "is the name of an earlier tag, too"));
        }
        check_address(kind, &tag.mapping).map_err(|detail| field_error(&at("address"), detail))?;
        if is_bit(kind, &tag.mapping) && !matches!(tag.mapping.data_type, None | Some(DataType::Bool)) {
            return Err(field_error(&at("data_type"), "must be bool, or left out: coils and discrete inputs are bits"));
        }
        if tag.mapping.scale.is_some_and(|scale| !scale.is_finite() || scale == 0.0) {
            return Err(field_error(&at("scale"), "must be a number other than 0"));
        }
    }
    Ok(())
}

pub(super) fn tag_count(count: usize) -> Result<(), FieldError> {
    if count > MAX_TAGS_OF_CONNECTOR {
        return Err(field_error("/tags", format!("must be at most {MAX_TAGS_OF_CONNECTOR} tags")));
    }
    Ok(())
}

/// Checks an address as strictly as the connectors do, because they do not open with an invalid one.
fn check_address(kind: ConnectorKind, mapping: &TagMapping) -> Result<(), &'static str> {
    let address = mapping.address.0.as_str();
    let is_of_kind = match kind {
        ConnectorKind::OpcUa => is_node_id(address),
        ConnectorKind::Modbus => is_entry(mapping),
        ConnectorKind::Mqtt => is_topic(address),
        ConnectorKind::Sparkplug => is_metric(address),
        ConnectorKind::PiWebApi => address.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
        ConnectorKind::Simulator => true,
    };
    match kind {
        _ if address.is_empty() => Err("must not be empty"),
        _ if address.chars().count() > MAX_ADDRESS_CHARS => Err("must be at most 512 characters long"),
        _ if is_of_kind => Ok(()),
        ConnectorKind::OpcUa => Err("must be a node id such as ns=2;s=PIT-1001 or nsu=urn:plant;s=PIT-1001"),
        ConnectorKind::Modbus => Err(
            "must be holding:N, input:N, coil:N or discrete:N, with N from 0 to 65535, for all registers of the value",
        ),
        ConnectorKind::Mqtt => Err("must be a topic without wildcards that does not begin with $"),
        ConnectorKind::PiWebApi => Err("must be a WebId: letters, digits, - and _"),
        _ => Err("must be group/edge/metric or group/edge/device/metric, without + and #"),
    }
}

/// `ns=2;s=NAME`, `nsu=URI;s=NAME`, or without a namespace; instead of `s=` also `i=`, `g=`, `b=` (OPC 10000-6,
/// 5.3.1.10).
fn is_node_id(address: &str) -> bool {
    let (namespace, identifier) = match address.split_once(';') {
        Some((namespace, identifier)) if namespace.starts_with("ns") => (Some(namespace), identifier),
        _ => (None, address),
    };
    let is_namespace = |text: &str| match text.split_once('=') {
        Some(("ns", index)) => index.bytes().all(|byte| byte.is_ascii_digit()) && index.parse::<u16>().is_ok(),
        Some(("nsu", uri)) => !uri.is_empty(),
        _ => false,
    };
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    let is_identifier = match identifier.split_once('=') {
        Some(("i", number)) => number.parse::<u32>().is_ok(),
        Some(("s", name)) => !name.is_empty() && !name.contains('\n'),
        Some(("g", guid)) => Uuid::parse_str(guid).is_ok(),
        Some(("b", bytes)) => !bytes.is_empty() && bytes.len().is_multiple_of(4) && bytes.bytes().all(is_base64),
        _ => false,
    };
    is_identifier && namespace.is_none_or(is_namespace)
}

/// An entry of one of the four tables of a Modbus device, with room for the whole value.
fn is_entry(mapping: &TagMapping) -> bool {
    let Some((table, number)) = mapping.address.0.split_once(':') else { return false };
    let takes_two = matches!(mapping.data_type, Some(DataType::Int32 | DataType::Uint32 | DataType::Float32));
    let is_last_there = |start: u16| !takes_two || start < u16::MAX;
    ["holding", "input", "coil", "discrete"].contains(&table) && number.parse().is_ok_and(is_last_there)
}

/// Whether the tag is a single bit, according to its protocol.
fn is_bit(kind: ConnectorKind, mapping: &TagMapping) -> bool {
    let table = mapping.address.0.split(':').next().unwrap_or_default();
    kind == ConnectorKind::Modbus && ["coil", "discrete"].contains(&table)
}

fn is_topic(address: &str) -> bool {
    address.len() <= MAX_TOPIC_BYTES && !address.contains(['#', '+', '\0']) && !address.starts_with('$')
}

/// The name of a metric may contain slashes.
fn is_metric(address: &str) -> bool {
    let parts: Vec<&str> = address.splitn(3, '/').collect();
    parts.len() == 3 && parts.iter().all(|part| !part.is_empty()) && !address.contains(['#', '+', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::plant::{TagAddress, TagLimits};
    use domain::text::ShortText;
    use serde_json::json;

    fn pointer(kind: ConnectorKind, endpoint: &str, config: &Value, insecure: InsecureConnections) -> String {
        connection(kind, endpoint, config, insecure).map_or_else(|error| error.pointer, |()| "ok".to_owned())
    }

    #[test]
    fn unencrypted_connections_need_development_mode_and_a_word() {
        use ConnectorKind::{Modbus, Mqtt, OpcUa, PiWebApi};
        use InsecureConnections::{OnRequest, Refused};
        let (none, insecure) = (json!({}), json!({ "allow_insecure": true }));
        let without_security = json!({ "security_policy": "None", "security_mode": "None" });
        let allowed = json!({ "security_policy": "None", "security_mode": "None", "allow_insecure": true });
        for (kind, endpoint, config, mode, expected) in [
            (OpcUa, "opc.tcp://plc:4840", &none, Refused, "ok"),
            (OpcUa, "opc.tcp://plc:4840", &without_security, OnRequest, "/config/security_policy"),
            (OpcUa, "opc.tcp://plc:4840", &json!({ "security_mode": "Sign" }), OnRequest, "/config/security_mode"),
            (OpcUa, "opc.tcp://plc:4840", &allowed, OnRequest, "ok"),
            (OpcUa, "opc.tcp://plc:4840", &allowed, Refused, "/config/allow_insecure"),
            (OpcUa, "https://plc", &none, OnRequest, "/endpoint"),
            (Mqtt, "mqtts://broker:8883", &none, Refused, "ok"),
            (Mqtt, "mqtt://127.0.0.1:1883", &none, OnRequest, "/endpoint"),
            (Mqtt, "mqtt://127.0.0.1:1883", &insecure, OnRequest, "ok"),
            (Mqtt, "mqtt://10.0.0.7:1883", &insecure, OnRequest, "/endpoint"),
            (PiWebApi, "http://localhost:8080/piwebapi", &insecure, OnRequest, "ok"),
            (PiWebApi, "http://pi.example/piwebapi", &insecure, OnRequest, "/endpoint"),
            (PiWebApi, "https://user:secret@pi.example/piwebapi", &none, Refused, "/endpoint"),
            (PiWebApi, "https://169.254.169.254/", &none, Refused, "/endpoint"),
            (Modbus, "modbus://10.0.0.9:502", &none, Refused, "ok"),
            (Modbus, "modbus://169.254.1.1:502", &none, Refused, "/endpoint"),
            (Modbus, "modbus://[::ffff:169.254.1.1]:502", &none, Refused, "/endpoint"),
            (Modbus, "10.0.0.9:502", &none, Refused, "ok"),
            (Modbus, "", &none, Refused, "/endpoint"),
            (Mqtt, "tcp://127.0.0.1:1883", &none, OnRequest, "/endpoint"),
            (ConnectorKind::Simulator, "", &none, Refused, "ok"),
            (ConnectorKind::Simulator, "x", &none, Refused, "/endpoint"),
        ] {
            assert_eq!(pointer(kind, endpoint, config, mode), expected, "{kind} {endpoint} {config} {mode:?}");
        }
    }

    fn mapping(address: &str, data_type: Option<DataType>) -> TagMapping {
        TagMapping { address: TagAddress(address.to_owned()), data_type, scale: None }
    }

    #[test]
    fn addresses_follow_the_notation_of_their_protocol() {
        use ConnectorKind::{Modbus, Mqtt, OpcUa, PiWebApi, Sparkplug};
        for (kind, address) in [
            (OpcUa, "ns=2;s=A"),
            (OpcUa, "nsu=urn:x;s=A;B=c"),
            (OpcUa, "i=2258"),
            (OpcUa, "s=ns;x"),
            (OpcUa, "ns=1;g=09087e75-8e5e-499b-954f-f2a9603db28a"),
            (OpcUa, "ns=1;b=aGVsbG8="),
            (Modbus, "holding:0"),
            (Modbus, "coil:65535"),
            (Mqtt, "a/b"),
            (Sparkplug, "g/e/m"),
            (Sparkplug, "g/e/d/Outputs/A"),
            (PiWebApi, "F1AbE-_9"),
        ] {
            assert_eq!(check_address(kind, &mapping(address, None)), Ok(()), "{address}");
        }
        for (kind, address) in [
            (OpcUa, "PIT-1001"),
            (OpcUa, "ns=x;s=A"),
            (OpcUa, "ns=99999;i=1"),
            (OpcUa, "ns=2;q=A"),
            (OpcUa, "ns=2;i=A"),
            (OpcUa, "ns=2;g=A"),
            (OpcUa, "ns=2"),
            (OpcUa, "nsu=;s=A"),
            (Modbus, "40001"),
            (Modbus, "coil:-1"),
            (Modbus, "holding:65536"),
            (Mqtt, "a/#"),
            (Mqtt, "$SYS/broker"),
            (Mqtt, ""),
            (Sparkplug, "g/m"),
            (Sparkplug, "g//m"),
            (Sparkplug, "g/+/m"),
            (PiWebApi, "../dataservers"),
        ] {
            assert!(check_address(kind, &mapping(address, None)).is_err(), "{address}");
        }
        let long = "ä".repeat(512);
        assert!(check_address(Mqtt, &mapping(&long, None)).is_ok());
        assert!(check_address(Mqtt, &mapping(&format!("{long}x"), None)).is_err());
        for (address, expected) in [("holding:65534", true), ("holding:65535", false)] {
            let result = check_address(Modbus, &mapping(address, Some(DataType::Float32)));
            assert_eq!(result.is_ok(), expected, "{address}");
        }
    }

    #[test]
    fn a_bit_has_no_other_data_type() {
        let tag = |address: &str, data_type| NewTag {
            name: ShortText::parse("A").expect("a name"),
            mapping: mapping(address, Some(data_type)),
            unit: None,
            description: None,
            equipment: None,
            limits: TagLimits::default(),
        };
        let error = tags(ConnectorKind::Modbus, &[tag("coil:1", DataType::Float32)]).expect_err("a bit");
        assert_eq!(error.pointer, "/tags/0/data_type");
        assert!(tags(ConnectorKind::Modbus, &[tag("coil:1", DataType::Bool)]).is_ok());
        assert!(tags(ConnectorKind::Modbus, &[tag("holding:1", DataType::Float32)]).is_ok());
    }

    #[test]
    fn a_wrong_tag_is_named_by_its_pointer() {
        let tag = |name: &str, scale| NewTag {
            name: ShortText::parse(name).expect("a name"),
            mapping: TagMapping { address: TagAddress("a".to_owned()), data_type: None, scale },
            unit: None,
            description: None,
            equipment: None,
            limits: TagLimits::default(),
        };
        let error = tags(ConnectorKind::Mqtt, &[tag("A", None), tag("A", None)]).expect_err("twice");
        assert_eq!(error.pointer, "/tags/1/tag");
        let error = tags(ConnectorKind::Mqtt, &[tag("A", Some(0.0))]).expect_err("zero");
        assert_eq!(error.pointer, "/tags/0/scale");
        assert!(tags(ConnectorKind::Mqtt, &[tag("A", Some(0.1)), tag("B", None)]).is_ok());
    }
}
