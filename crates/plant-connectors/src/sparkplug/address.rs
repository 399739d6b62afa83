//! Addresses of Sparkplug metrics: `group/edge/metric` or `group/edge/device/metric`.

use crate::failure;
use domain::plant::ConnectorError;

/// An edge node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeKey {
    /// Id of its group.
    pub group: String,
    /// Id of the edge node within its group.
    pub edge: String,
}

/// A metric of an edge node or of one of its devices.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MetricKey {
    /// Id of the device; `None` for the node itself.
    pub device: Option<String>,
    /// Name, which may contain slashes.
    pub name: String,
}

/// An address. Names of metrics may contain slashes, so it can be ambiguous; births resolve the ambiguity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// The edge node.
    pub node: NodeKey,
    /// A metric of a device, if the address is long enough for one.
    pub of_device: Option<MetricKey>,
    /// A metric of the node.
    pub of_node: MetricKey,
}

impl Address {
    /// # Errors
    /// [`ConnectorError::Configuration`] if the address cannot be used.
    pub fn parse(text: &str) -> Result<Self, ConnectorError> {
        let unusable = || {
            let text = failure::foreign(text);
            failure::configuration(format!("{text:?} is no Sparkplug address: use group/edge[/device]/metric"))
        };
        let mut parts = text.splitn(3, '/');
        let (Some(group), Some(edge), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(unusable());
        };
        if group.is_empty() || edge.is_empty() || rest.is_empty() || text.contains(['+', '#', '\0']) {
            return Err(unusable());
        }
        let of_device = rest.split_once('/').filter(|(device, name)| !device.is_empty() && !name.is_empty());
        Ok(Self {
            node: NodeKey { group: group.to_owned(), edge: edge.to_owned() },
            of_device: of_device
                .map(|(device, name)| MetricKey { device: Some(device.to_owned()), name: name.to_owned() }),
            of_node: MetricKey { device: None, name: rest.to_owned() },
        })
    }
}

/// The address of a metric.
pub fn address_of(node: &NodeKey, metric: &MetricKey) -> String {
    let NodeKey { group, edge } = node;
    match &metric.device {
        Some(device) => format!("{group}/{edge}/{device}/{}", metric.name),
        None => format!("{group}/{edge}/{}", metric.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_mean_a_device_or_a_name_with_a_slash() {
        let address = Address::parse("plant/edge1/pump/Outputs/A").unwrap();
        let device = address.of_device.unwrap();
        assert_eq!((device.device.as_deref(), device.name.as_str()), (Some("pump"), "Outputs/A"));
        assert_eq!(address.of_node.name, "pump/Outputs/A");
        let short = Address::parse("plant/edge1/Pressure").unwrap();
        assert_eq!((short.of_device, short.of_node.name.as_str()), (None, "Pressure"));
        assert_eq!(address_of(&short.node, &short.of_node), "plant/edge1/Pressure");
    }

    #[test]
    fn unusable_addresses_are_refused() {
        for text in ["", "plant", "plant/edge", "plant//x", "plant/+/x", "/edge/x"] {
            assert!(Address::parse(text).unwrap_err().to_string().contains("group/edge[/device]/metric"), "{text}");
        }
    }
}
