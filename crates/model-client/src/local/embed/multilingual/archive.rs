//! Reads arrays from a NumPy archive (`.npz`, a zip file of `.npy` files).
//!
//! The archive is pinned by checksum, so the reader knows type and shape of each array and only checks them.

use std::io::{Cursor, Read as _};

use candle_core::{Device, Error, Result, Tensor};
use zip::ZipArchive;

/// The first bytes of an `.npy` file of format version 1.0, whose header has a length of two bytes.
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";

/// An archive in memory.
pub(super) struct Archive<'a>(ZipArchive<Cursor<&'a [u8]>>);

impl<'a> Archive<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self> {
        ZipArchive::new(Cursor::new(bytes)).map(Self).map_err(Error::wrap)
    }

    /// A one-dimensional array of `f32`.
    pub(super) fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>> {
        self.floats(name, &format!("({length},)"), length)
    }

    /// A matrix that is stored as `[inputs, outputs]`, transposed to `[outputs, inputs]`.
    pub(super) fn matrix(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Tensor> {
        let values = self.floats(name, &format!("({inputs}, {outputs})"), inputs * outputs)?;
        Tensor::from_vec(values, (inputs, outputs), &Device::Cpu)?.t()?.contiguous()
    }

    /// A two-dimensional array of bytes, row by row.
    pub(super) fn bytes(&mut self, name: &str, rows: usize, columns: usize) -> Result<Vec<u8>> {
        self.read(name, "|u1", &format!("({rows}, {columns})"), rows * columns)
    }

    fn floats(&mut self, name: &str, shape: &str, count: usize) -> Result<Vec<f32>> {
        let bytes = self.read(name, "<f4", shape, count * size_of::<f32>())?;
        let (values, _) = bytes.as_chunks();
        Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
    }

    /// The values of an array in little-endian bytes, after checking its type and shape.
    fn read(&mut self, name: &str, dtype: &str, shape: &str, length: usize) -> Result<Vec<u8>> {
        let mut file = self.0.by_name(&format!("{name}.npy")).map_err(Error::wrap)?;
        let mut start = [0; MAGIC.len() + 2];
        file.read_exact(&mut start)?;
        let [magic @ .., low, high] = start;
        let mut header = vec![0; usize::from(u16::from_le_bytes([low, high]))];
        file.read_exact(&mut header)?;
        let expected = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}");
        if magic != MAGIC || header.trim_ascii_end() != expected.as_bytes() {
            return Err(Error::Msg(format!("the array {name} is not {expected}")));
        }
        let mut values = Vec::with_capacity(length);
        file.read_to_end(&mut values)?;
        if values.len() != length {
            return Err(Error::Msg(format!("the array {name} has {} bytes instead of {length}", values.len())));
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use zip::write::SimpleFileOptions;

    /// An archive with one array.
    fn archive(name: &str, header: &str, values: &[u8]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        zip.write_all(MAGIC).unwrap();
        zip.write_all(&u16::try_from(header.len()).unwrap().to_le_bytes()).unwrap();
        zip.write_all(header.as_bytes()).unwrap();
        zip.write_all(values).unwrap();
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn a_matrix_is_transposed() {
        let values: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let bytes = archive("w", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }      \n", &values);
        let matrix = Archive::new(&bytes).unwrap().matrix("w", 2, 3).unwrap();
        assert_eq!(matrix.to_vec2::<f32>().unwrap(), [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]);
    }

    #[test]
    fn an_array_of_another_type_shape_or_length_is_refused() {
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), }\n";
        let bytes = archive("q", header, &[1, 2, 3, 4]);
        let mut reader = Archive::new(&bytes).unwrap();
        assert_eq!(reader.bytes("q", 2, 2).unwrap(), [1, 2, 3, 4]);
        assert!(reader.bytes("q", 4, 1).is_err());
        assert!(reader.vector("q", 1).is_err());
        assert!(reader.bytes("missing", 2, 2).is_err());
        let cut = archive("q", header, &[1, 2, 3]);
        assert!(Archive::new(&cut).unwrap().bytes("q", 2, 2).unwrap_err().to_string().contains("3 bytes"));
    }
}
