//! Pictures of pages that need text recognition, in formats that recognizers open.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many pictures of pages a reader hands out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanLimits {
    /// Most pages; the rest is only named in [`super::Warning::NeedsOcr`].
    pub max_pages: u32,
    /// Most bytes of pictures over all pages.
    pub max_bytes: u64,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self { max_pages: 100, max_bytes: 64 << 20 }
    }
}

/// How a picture is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScanFormat {
    /// JPEG, as it stands in the file.
    Jpeg,
    /// JPEG 2000, as it stands in the file.
    Jpeg2000,
    /// TIFF around the fax data of the file.
    Tiff,
    /// A grey portable anymap.
    Pnm,
}

impl ScanFormat {
    /// The usual ending of a file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Jpeg2000 => "jp2",
            Self::Tiff => "tif",
            Self::Pnm => "pnm",
        }
    }
}

/// The picture of a page, or of a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// How `bytes` are encoded.
    pub format: ScanFormat,
    /// The picture.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub bytes: Vec<u8>,
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_survives_the_way_between_processes() {
        let scan = Scan { format: ScanFormat::Tiff, bytes: vec![0, 255, 7] };
        let json = serde_json::to_string(&scan).unwrap();
        assert_eq!(json, r#"{"format":"Tiff","bytes":"AP8H"}"#);
        assert_eq!(serde_json::from_str::<Scan>(&json).unwrap(), scan);
    }
}
