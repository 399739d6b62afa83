//! The result of an administrator's test of a connector.

use domain::plant::{ConnectorCheck, ConnectorError, Sample, TagMapping};

/// Suffixes of the quality codes of tags that the source has not sent yet.
const NOTHING_YET: [&str; 2] = [":no_message", ":no_birth"];

/// The result if the connection works.
pub fn succeeded(connection: &str, sample: Option<(&TagMapping, &Sample)>) -> ConnectorCheck {
    let Some((mapping, sample)) = sample else {
        return ConnectorCheck {
            ok: true,
            detail: format!("{connection}; there is no tag to read yet"),
            untrusted_certificate: None,
        };
    };
    let address = &mapping.address.0;
    let code = sample.quality_code.as_deref().unwrap_or("no code");
    let nothing_yet = NOTHING_YET.iter().any(|end| code.ends_with(end));
    let found = match &sample.value {
        Some(_) => format!("{address} was read, with quality {}", sample.quality),
        None if nothing_yet => format!("nothing has come for {address} yet"),
        None => format!("{address} has no value ({code}): is the address right, and may the account read it?"),
    };
    ConnectorCheck {
        ok: sample.value.is_some() || nothing_yet,
        detail: format!("{connection}; {found}"),
        untrusted_certificate: None,
    }
}

/// The result if the connection failed.
pub fn failed(error: &ConnectorError) -> ConnectorCheck {
    let remedy = match error {
        ConnectorError::UntrustedCertificate { .. } => {
            "; compare it with what the server itself shows, then trust it, or find out who answers in its place"
        }
        ConnectorError::TimedOut { .. } => "; is the server busy, or does a firewall drop the connection?",
        ConnectorError::AccessDenied { .. } => "; check the connector's secret and the account's rights",
        ConnectorError::Configuration { .. }
        | ConnectorError::Unreachable { .. }
        | ConnectorError::InvalidResponse { .. } => "",
    };
    let untrusted_certificate = match error {
        ConnectorError::UntrustedCertificate { thumbprint } => Some(thumbprint.clone()),
        _ => None,
    };
    ConnectorCheck { ok: false, detail: format!("{error}{remedy}"), untrusted_certificate }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{failure, sample};
    use domain::plant::{Quality, TagAddress, TagValue};

    #[test]
    fn a_check_says_what_was_found() {
        let mapping = TagMapping { address: TagAddress("holding:1".into()), data_type: None, scale: None };
        let mut sample = sample::without_value("modbus:2", chrono::DateTime::UNIX_EPOCH);
        let check = succeeded("connected", Some((&mapping, &sample)));
        assert!(!check.ok && check.detail.contains("modbus:2"), "{check:?}");
        sample.quality_code = Some("mqtt:no_message".into());
        assert!(succeeded("connected", Some((&mapping, &sample))).ok);
        sample.value = Some(TagValue::Bool(true));
        sample.quality = Quality::Good;
        assert_eq!(
            succeeded("connected", Some((&mapping, &sample))).detail,
            "connected; holding:1 was read, with quality good"
        );
        assert!(succeeded("connected", None).ok);
    }

    #[test]
    fn an_untrusted_certificate_is_named() {
        let check = failed(&failure::untrusted("ab".repeat(32)));
        assert_eq!(check.untrusted_certificate.unwrap().0, "ab".repeat(32));
        assert!(!check.ok && check.detail.contains(&"ab".repeat(32)));
    }
}
