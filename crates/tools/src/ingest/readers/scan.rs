//! Images of pages that need OCR, in file formats that OCR programs can open.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Limits on the images that a reader returns for one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanLimits {
    /// Maximum number of pages with images; further pages are only listed in [`super::Warning::NeedsOcr`].
    pub max_pages: u32,
    /// Maximum total size of all images, in bytes.
    pub max_bytes: u64,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self { max_pages: 100, max_bytes: 64 << 20 }
    }
}

/// The file format of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScanFormat {
    /// JPEG, copied unchanged from the PDF.
    Jpeg,
    /// JPEG 2000, copied unchanged from the PDF.
    Jpeg2000,
    /// CCITT fax data from the PDF, wrapped in a TIFF file.
    Tiff,
    /// Grayscale PGM (binary portable graymap), converted from raw samples.
    Pnm,
}

impl ScanFormat {
    /// The usual file name extension, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Jpeg2000 => "jp2",
            Self::Tiff => "tif",
            Self::Pnm => "pnm",
        }
    }
}

/// An image of a page, or of part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// The file format of `bytes`.
    pub format: ScanFormat,
    /// The encoded image; Base64 in JSON.
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
    fn a_scan_round_trips_through_json() {
        let scan = Scan { format: ScanFormat::Tiff, bytes: vec![0, 255, 7] };
        let json = serde_json::to_string(&scan).unwrap();
        assert_eq!(json, r#"{"format":"Tiff","bytes":"AP8H"}"#);
        assert_eq!(serde_json::from_str::<Scan>(&json).unwrap(), scan);
    }
}
