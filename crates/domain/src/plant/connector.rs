//! What a connector to a plant system is told, and what it answers.

use crate::error::{Classify, ErrorKind};
use crate::role::string_enum;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use thiserror::Error;

string_enum! {
    /// The protocol of a connector.
    ConnectorKind {
        /// OPC UA (IEC 62541), binary over TCP.
        OpcUa = "opcua",
        /// MQTT 3.1.1, plain topics.
        Mqtt = "mqtt",
        /// Sparkplug B 3.0 over MQTT.
        Sparkplug = "sparkplug",
        /// Modbus over TCP, without a gateway's serial side.
        Modbus = "modbus",
        /// AVEVA PI Web API.
        PiWebApi = "pi_web_api",
        /// The platform's own simulated plant, for demonstrations and tests.
        Simulator = "simulator",
    }
}

impl ConnectorKind {
    /// Whether its sources may keep a history that can be read.
    #[must_use]
    pub const fn keeps_history(self) -> bool {
        match self {
            Self::OpcUa | Self::PiWebApi | Self::Simulator => true,
            Self::Mqtt | Self::Sparkplug | Self::Modbus => false,
        }
    }
}

string_enum! {
    /// How registers hold a value (Modbus); other protocols say it themselves.
    DataType {
        /// Two's complement, one register.
        Int16 = "int16",
        /// Unsigned, one register.
        Uint16 = "uint16",
        /// Two's complement, two registers.
        Int32 = "int32",
        /// Unsigned, two registers.
        Uint32 = "uint32",
        /// IEEE 754 single precision, two registers.
        Float32 = "float32",
        /// A coil, a discrete input, or a register that is not zero.
        Bool = "bool",
    }
}

string_enum! {
    /// Order of bytes within a register, and of registers within a value (Modbus).
    ByteOrder {
        /// Most significant first.
        Big = "big",
        /// Least significant first.
        Little = "little",
    }
}

/// Where a tag is found in its source, in the notation of the connector's kind, as in `ns=2;s=PIT-1001`,
/// `plant/area1/pit-1001`, `group/edge/device/metric`, `holding:40` or a WebId.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TagAddress(pub String);

/// How a tag maps to an address in the source, and how its value is converted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TagMapping {
    /// Address in the source.
    pub address: TagAddress,
    /// How registers hold the value; `None` where the protocol defines it.
    pub data_type: Option<DataType>,
    /// Factor that numbers are multiplied by; `None` is 1.
    pub scale: Option<f64>,
}

/// The SHA-256 of a certificate (DER), in 64 hexadecimal digits, by which an administrator trusts it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CertificateThumbprint(pub String);

/// What a test of a connector found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConnectorCheck {
    /// Whether values can be read.
    pub ok: bool,
    /// What was found, or what is wrong and what to do about it, for an administrator; no secret is in it.
    pub detail: String,
    /// The certificate that the server presents, if it is not yet trusted.
    pub untrusted_certificate: Option<CertificateThumbprint>,
}

/// Why a connector could not read. Every text is for an administrator and holds no secret.
#[derive(Clone, PartialEq, Eq, Debug, Error, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum ConnectorError {
    /// The connector's configuration cannot be used.
    #[error("the connector's configuration is not usable: {detail}")]
    Configuration {
        /// What is wrong with it.
        detail: String,
    },
    /// No connection, or it broke.
    #[error("the plant system cannot be reached: {detail}")]
    Unreachable {
        /// What happened, as in `connection refused`.
        detail: String,
    },
    /// The server's certificate is not the pinned one, or none is pinned.
    #[error("the server's certificate (SHA-256 {}) is not trusted", thumbprint.0)]
    UntrustedCertificate {
        /// The certificate that the server presents.
        thumbprint: CertificateThumbprint,
    },
    /// The server refused the connector's credentials, or the account may not read.
    #[error("the plant system refused access: {detail}")]
    AccessDenied {
        /// The server's own word for it.
        detail: String,
    },
    /// No answer within the time allowed.
    #[error("the plant system did not answer within {seconds} s")]
    TimedOut {
        /// The time allowed, in seconds.
        seconds: u64,
    },
    /// An answer that breaks the protocol, or exceeds a bound.
    #[error("the plant system's answer is not usable: {detail}")]
    InvalidResponse {
        /// What is wrong with it.
        detail: String,
    },
}

impl Classify for ConnectorError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }
}

/// All that a connector needs to connect.
#[derive(Clone, PartialEq, Debug)]
pub struct ConnectorSettings {
    /// Protocol that the connector speaks.
    pub kind: ConnectorKind,
    /// URL of the plant system, as in `opc.tcp://10.20.0.7:4840`; empty for the simulator.
    pub endpoint: String,
    /// The kind's own settings, a JSON object: see `docs/operations/plant-systems.md`.
    pub config: Value,
    /// Credential; `None` connects without one.
    pub credential: Option<ConnectorCredential>,
    /// Every tag that may be read. Protocols that subscribe need them all.
    pub tags: Vec<TagMapping>,
    /// Whether connections without encryption are allowed at all: development mode. Even then the endpoint must be a
    /// loopback address and `config.allow_insecure` be set.
    pub development: bool,
}

impl ConnectorSettings {
    /// Seconds for a call, unless `config.timeout_s` says otherwise.
    pub const DEFAULT_TIMEOUT_S: u64 = 5;
}

/// A connector's credential. `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ConnectorCredential {
    /// User name and password.
    Password {
        /// The user's name.
        username: String,
        /// The user's password in plain text.
        password: String,
    },
    /// A bearer token.
    Token {
        /// The token as the plant system issued it.
        token: String,
    },
}

impl fmt::Debug for ConnectorCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectorCredential(hidden)")
    }
}
