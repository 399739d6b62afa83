//! Addresses of OPC UA nodes: `ns=2;s=…`, or `nsu=URI;s=…`, whose namespace index the server chooses.

use crate::failure;
use domain::plant::ConnectorError;
use opcua::types::{Identifier, NodeId};
use std::borrow::Cow;
use std::str::FromStr as _;

/// Namespaces of a server, by their index.
pub type Namespaces = [String];

/// The address of a node.
#[derive(Clone, PartialEq, Debug)]
pub enum Address {
    /// It names the index of its namespace.
    Indexed(NodeId),
    /// It names the URI of its namespace, whose index must be looked up at the server.
    ByUri {
        /// URI of the namespace.
        namespace: String,
        /// The identifier within the namespace.
        identifier: Identifier,
    },
}

impl Address {
    /// # Errors
    /// [`ConnectorError::Configuration`] if the address cannot be used.
    pub fn parse(text: &str) -> Result<Self, ConnectorError> {
        let unusable = || {
            let text = failure::foreign(text);
            failure::configuration(format!(
                "{text:?} is no OPC UA node: use ns=2;s=NAME or nsu=URI;s=NAME (or i=, g=, b=)"
            ))
        };
        let text = text.trim();
        let Some(rest) = text.strip_prefix("nsu=") else {
            return NodeId::from_str(text).map(Self::Indexed).map_err(|_| unusable());
        };
        // A semicolon within the URI is escaped (OPC 10000-6, 5.3.1.11).
        let (namespace, identifier) = rest.split_once(';').ok_or_else(unusable)?;
        // Identifiers are read by slices of bytes; the first two must be ASCII.
        let is_known = ["i=", "s=", "g=", "b="].iter().any(|prefix| identifier.starts_with(prefix));
        let identifier =
            if is_known { Identifier::from_str(identifier).map_err(|()| unusable())? } else { return Err(unusable()) };
        let namespace = unescape(namespace).into_owned();
        if namespace.is_empty() {
            return Err(unusable());
        }
        Ok(Self::ByUri { namespace, identifier })
    }

    /// The node at a server with these namespaces; `None` if the server lacks the namespace.
    pub fn resolve(&self, namespaces: &Namespaces) -> Option<NodeId> {
        match self {
            Self::Indexed(node) => Some(node.clone()),
            Self::ByUri { namespace, identifier } => {
                let index = namespaces.iter().position(|known| known == namespace)?;
                Some(NodeId { namespace: u16::try_from(index).ok()?, identifier: identifier.clone() })
            }
        }
    }
}

/// The address of a node by the URI of its namespace, which stays valid when the server restarts.
pub fn stable(node: &NodeId, namespaces: &Namespaces) -> String {
    match namespaces.get(usize::from(node.namespace)) {
        Some(namespace) if node.namespace != 0 => format!("nsu={};{}", escape(namespace), node.identifier),
        _ => node.to_string(),
    }
}

fn escape(namespace: &str) -> String {
    namespace.replace('%', "%25").replace(';', "%3B")
}

fn unescape(namespace: &str) -> Cow<'_, str> {
    if namespace.contains('%') {
        namespace.replace("%3B", ";").replace("%3b", ";").replace("%25", "%").into()
    } else {
        namespace.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespaces() -> Vec<String> {
        ["http://opcfoundation.org/UA/", "urn:server", "http://plant;a/"].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_namespace_is_found_wherever_it_is() {
        let address = Address::parse("nsu=http://plant%3Ba/;s=PIT;1001=x").unwrap();
        assert_eq!(address.resolve(&namespaces()).unwrap(), NodeId::new(2, "PIT;1001=x"));
        let mut moved = namespaces();
        moved.insert(1, "urn:new".into());
        assert_eq!(address.resolve(&moved).unwrap().namespace, 3);
        assert_eq!(address.resolve(&[]), None);
        assert_eq!(stable(&NodeId::new(2, "PIT;1001=x"), &namespaces()), "nsu=http://plant%3Ba/;s=PIT;1001=x");
    }

    #[test]
    fn indexes_are_taken_as_they_are() {
        assert_eq!(Address::parse("ns=2;s=PIT-1001").unwrap().resolve(&[]).unwrap(), NodeId::new(2, "PIT-1001"));
        assert_eq!(Address::parse("i=2258").unwrap().resolve(&[]).unwrap(), NodeId::new(0, 2258));
        assert_eq!(stable(&NodeId::new(0, 2258), &namespaces()), "i=2258");
    }

    #[test]
    fn unusable_addresses_are_refused() {
        for text in [
            "",
            "PIT-1001",
            "ns=x;s=a",
            "ns=2;q=a",
            "nsu=urn:x",
            "nsu=;s=a",
            "nsu=urn:x;ä",
            "nsu=urn:x;i=a",
            "ns=99999;i=1",
        ] {
            assert!(Address::parse(text).unwrap_err().to_string().contains("nsu=URI"), "{text}");
        }
    }
}
