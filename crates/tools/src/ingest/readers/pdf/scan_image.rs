//! Converts the images of scanned pages to files for OCR. JPEG, JPEG 2000 and fax data are copied; everything else is
//! converted to grayscale.

use lopdf::{Dictionary, Document, Object, ObjectId, Stream};

use super::super::{Scan, ScanFormat};
use super::context::MAX_STREAM_BYTES;
use super::dictionary::number;

/// Maximum width and height in pixels; A0 at 600 dpi stays below it.
const MAX_SIDE_PIXELS: f32 = 30_000.0;
/// Maximum number of pixels; A4 at 600 dpi has 35 million.
const MAX_PIXELS: f32 = 64e6;

/// Converts an image object. `None` for unsupported encodings (such as JBIG2), and if the result exceeds `max_bytes`.
pub(super) fn to_scan(document: &Document, image: ObjectId, max_bytes: u64) -> Option<Scan> {
    let stream = document.get_object(image).ok()?.as_stream().ok()?;
    let scan = match filters(document, &stream.dict).as_slice() {
        [b"DCTDecode"] => Scan { format: ScanFormat::Jpeg, bytes: stream.content.clone() },
        [b"JPXDecode"] => Scan { format: ScanFormat::Jpeg2000, bytes: stream.content.clone() },
        [b"CCITTFaxDecode"] => Scan { format: ScanFormat::Tiff, bytes: fax_to_tiff(document, stream)? },
        [] | [b"FlateDecode" | b"LZWDecode" | b"RunLengthDecode"] => {
            Scan { format: ScanFormat::Pnm, bytes: samples_to_pgm(document, stream)? }
        }
        _ => return None,
    };
    (scan.bytes.len() as u64 <= max_bytes).then_some(scan)
}

/// The names of the filters that encode the image, in decoding order.
fn filters<'a>(document: &'a Document, image: &'a Dictionary) -> Vec<&'a [u8]> {
    match image.get_deref(b"Filter", document) {
        Ok(Object::Name(name)) => vec![name],
        Ok(Object::Array(names)) => {
            names.iter().filter_map(|name| document.dereference(name).ok()?.1.as_name().ok()).collect()
        }
        _ => Vec::new(),
    }
}

/// Width and height in pixels; `None` if either is invalid or the image is too large.
fn dimensions(document: &Document, image: &Dictionary) -> Option<(u32, u32)> {
    let side = |key: &[u8]| number(document, image, key).filter(|side| (1.0..=MAX_SIDE_PIXELS).contains(side));
    let (width, height) = (side(b"Width")?, side(b"Height")?);
    (width * height <= MAX_PIXELS).then_some((width as u32, height as u32))
}

/// Whether the `Decode` array inverts the samples.
fn is_inverted(document: &Document, image: &Dictionary) -> bool {
    let decode = image.get_deref(b"Decode", document).and_then(Object::as_array);
    decode.is_ok_and(|decode| decode.first().and_then(|first| first.as_float().ok()).is_some_and(|first| first > 0.5))
}

/// Wraps fax data in a TIFF file with a single strip (TIFF 6.0, sections 10 and 11).
fn fax_to_tiff(document: &Document, stream: &Stream) -> Option<Vec<u8>> {
    let (width, height) = dimensions(document, &stream.dict)?;
    let parameters = match stream.dict.get_deref(b"DecodeParms", document) {
        Ok(Object::Array(list)) => list.first().and_then(|first| document.dereference(first).ok()?.1.as_dict().ok()),
        Ok(Object::Dictionary(parameters)) => Some(parameters),
        _ => None,
    };
    let k = parameters.and_then(|p| number(document, p, b"K")).unwrap_or(0.0);
    let columns = parameters.and_then(|p| number(document, p, b"Columns")).unwrap_or(1728.0);
    let flag = |key: &[u8]| {
        parameters.and_then(|p| p.get_deref(key, document).ok()).is_some_and(|flag| flag.as_bool().unwrap_or(false))
    };
    if columns as u32 != width {
        return None;
    }
    let (compression, options) = match k {
        _ if k < 0.0 => (4, 0),
        _ if k > 0.0 => (3, 1),
        _ if flag(b"EncodedByteAlign") => (2, 0),
        _ => (3, 0),
    };
    let black_is_zero = u32::from(flag(b"BlackIs1") != is_inverted(document, &stream.dict));
    let length = u32::try_from(stream.content.len()).ok()?;
    const SHORT: u16 = 3;
    const LONG: u16 = 4;
    let entries: [(u16, u16, u32); 10] = [
        (256, LONG, width),
        (257, LONG, height),
        (258, SHORT, 1),
        (259, SHORT, compression),
        (262, SHORT, black_is_zero),
        (273, LONG, 8 + 2 + 12 * 10 + 4),
        (277, SHORT, 1),
        (278, LONG, height),
        (279, LONG, length),
        (292, LONG, options),
    ];
    let mut out = b"II*\0\x08\0\0\0".to_vec();
    out.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, value) in entries {
        out.extend([tag.to_le_bytes(), kind.to_le_bytes(), 1_u16.to_le_bytes(), 0_u16.to_le_bytes()].concat());
        out.extend(value.to_le_bytes());
    }
    out.extend(0_u32.to_le_bytes());
    out.extend(&stream.content);
    Some(out)
}

/// How to convert samples to gray.
enum SampleFormat {
    /// Number of components per pixel: 1 (gray), 3 (RGB) or 4 (CMYK).
    Device(usize),
    /// The gray level of each palette entry.
    Palette(Vec<u8>),
}

/// Converts raw samples to a binary PGM file.
fn samples_to_pgm(document: &Document, stream: &Stream) -> Option<Vec<u8>> {
    let image = &stream.dict;
    let (width, height) = dimensions(document, image)?;
    let is_mask = image.get_deref(b"ImageMask", document).and_then(Object::as_bool).unwrap_or(false);
    let bits = if is_mask { 1 } else { number(document, image, b"BitsPerComponent").unwrap_or(8.0) as usize };
    let color_space = image.get_deref(b"ColorSpace", document).ok();
    let samples = if is_mask { SampleFormat::Device(1) } else { sample_format(document, color_space?)? };
    let components = if let SampleFormat::Device(components) = samples { components } else { 1 };
    if !matches!(bits, 1 | 2 | 4 | 8 | 16) {
        return None;
    }
    let row_bytes = (width as usize * components * bits).div_ceil(8);
    let data = stream.get_plain_content_with_limit(MAX_STREAM_BYTES).ok()?;
    let inverted = is_inverted(document, image);
    let mut out = format!("P5\n{width} {height}\n255\n").into_bytes();
    let size = out.len() + width as usize * height as usize;
    out.reserve(size);
    for row in data.chunks_exact(row_bytes).take(height as usize) {
        for x in 0..width as usize {
            let level = gray_level(row, x, bits, &samples);
            out.push(if inverted { 255 - level } else { level });
        }
    }
    // Missing rows become white.
    out.resize(size, 255);
    Some(out)
}

/// The gray level of one pixel of a row, from 0 (black) to 255 (white).
fn gray_level(row: &[u8], x: usize, bits: usize, samples: &SampleFormat) -> u8 {
    let sample = |n: usize| -> usize {
        let at = n * bits;
        let byte = usize::from(row.get(at / 8).copied().unwrap_or(0));
        if bits >= 8 { byte } else { (byte >> (8 - bits - at % 8)) & ((1 << bits) - 1) }
    };
    let max = if bits >= 8 { 255 } else { (1 << bits) - 1 };
    let scaled_sample = |n: usize| sample(n) * 255 / max;
    let level = match samples {
        SampleFormat::Palette(levels) => return levels.get(sample(x)).copied().unwrap_or(255),
        SampleFormat::Device(3) => luminance(scaled_sample(3 * x), scaled_sample(3 * x + 1), scaled_sample(3 * x + 2)),
        SampleFormat::Device(4) => {
            let ink = |n: usize| (255 - scaled_sample(4 * x + n)) * (255 - scaled_sample(4 * x + 3)) / 255;
            luminance(ink(0), ink(1), ink(2))
        }
        SampleFormat::Device(_) => scaled_sample(x),
    };
    level.min(255) as u8
}

fn luminance(red: usize, green: usize, blue: usize) -> usize {
    (299 * red + 587 * green + 114 * blue) / 1000
}

/// How to convert samples of a color space to gray; `None` for unsupported color spaces.
fn sample_format(document: &Document, space: &Object) -> Option<SampleFormat> {
    let device = |name: &[u8]| match name {
        b"DeviceGray" | b"CalGray" | b"G" => Some(1),
        b"DeviceRGB" | b"CalRGB" | b"RGB" => Some(3),
        b"DeviceCMYK" | b"CMYK" => Some(4),
        _ => None,
    };
    let parts = match space {
        Object::Name(name) => return device(name).map(SampleFormat::Device),
        Object::Array(parts) => parts,
        _ => return None,
    };
    let part = |at: usize| document.dereference(parts.get(at)?).ok().map(|(_, part)| part);
    match part(0)?.as_name().ok()? {
        b"ICCBased" => {
            let profile = part(1)?.as_stream().ok()?;
            let components = number(document, &profile.dict, b"N")? as usize;
            matches!(components, 1 | 3 | 4).then_some(SampleFormat::Device(components))
        }
        b"Indexed" | b"I" => {
            // The base of an indexed color space must not itself be indexed; otherwise a crafted file could recurse
            // forever.
            let base = part(1).filter(|base| !is_palette(document, base))?;
            let SampleFormat::Device(components) = sample_format(document, base)? else { return None };
            let table = match part(3)? {
                Object::String(bytes, _) => bytes.clone(),
                Object::Stream(stream) => stream.get_plain_content_with_limit(1 << 16).ok()?,
                _ => return None,
            };
            let device = SampleFormat::Device(components);
            Some(SampleFormat::Palette(
                table.chunks_exact(components).map(|entry| gray_level(entry, 0, 8, &device)).collect(),
            ))
        }
        name => device(name).map(SampleFormat::Device),
    }
}

fn is_palette(document: &Document, space: &Object) -> bool {
    let family = space.as_array().ok().and_then(|parts| document.dereference(parts.first()?).ok());
    family.is_some_and(|(_, family)| matches!(family.as_name(), Ok(b"Indexed" | b"I")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lopdf::dictionary;

    fn scan_of(image: Dictionary, content: &[u8]) -> Option<Scan> {
        let mut document = Document::new();
        let id = document.add_object(Stream::new(image, content.to_vec()));
        to_scan(&document, id, 1 << 20)
    }

    #[test]
    fn samples_are_converted_to_gray() {
        let image = |space: Object, bits: i32| {
            dictionary! {
                "Width" => 2, "Height" => 1, "BitsPerComponent" => bits, "ColorSpace" => space,
            }
        };
        let bytes = |space: Object, bits: i32, content: &[u8]| scan_of(image(space, bits), content).unwrap().bytes;
        assert_eq!(bytes("DeviceGray".into(), 1, &[0b0100_0000]), b"P5\n2 1\n255\n\x00\xFF");
        assert_eq!(bytes("DeviceRGB".into(), 8, &[255, 255, 255, 0, 0, 0]), b"P5\n2 1\n255\n\xFF\x00");
        assert_eq!(bytes("DeviceCMYK".into(), 8, &[0, 0, 0, 255, 0, 0, 0, 0]), b"P5\n2 1\n255\n\x00\xFF");
        assert_eq!(bytes("DeviceGray".into(), 8, &[7]), b"P5\n2 1\n255\n\xFF\xFF", "white where data is missing");
        let table = Object::String(vec![0, 0, 0, 255, 255, 255], lopdf::StringFormat::Literal);
        let palette: Object = vec!["Indexed".into(), "DeviceRGB".into(), 1.into(), table].into();
        assert_eq!(bytes(palette, 4, &[0x10]), b"P5\n2 1\n255\n\xFF\x00");
    }

    #[test]
    fn compressed_images_are_copied_unchanged() {
        let jpeg = scan_of(dictionary! { "Filter" => "DCTDecode" }, b"\xFF\xD8data").unwrap();
        assert_eq!((jpeg.format, jpeg.bytes.as_slice()), (ScanFormat::Jpeg, b"\xFF\xD8data".as_slice()));
        let parameters = dictionary! { "K" => -1, "Columns" => 8 };
        let fax =
            dictionary! { "Filter" => "CCITTFaxDecode", "Width" => 8, "Height" => 1, "DecodeParms" => parameters };
        let fax = scan_of(fax, b"data").unwrap();
        assert!(fax.format == ScanFormat::Tiff && fax.bytes.starts_with(b"II*\0") && fax.bytes.ends_with(b"data"));
        assert_eq!(scan_of(dictionary! { "Filter" => "JBIG2Decode" }, b"x"), None);
    }

    #[test]
    fn excessive_sizes_are_refused() {
        let image = dictionary! { "Width" => 1_000_000, "Height" => 1_000_000, "ColorSpace" => "DeviceGray" };
        assert_eq!(scan_of(image, b""), None);
        let palette: Object = vec!["Indexed".into(), vec![Object::from("Indexed")].into(), 1.into(), "x".into()].into();
        assert_eq!(scan_of(dictionary! { "Width" => 1, "Height" => 1, "ColorSpace" => palette }, b"x"), None);
    }
}
