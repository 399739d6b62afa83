//! Splits content streams and CMaps into operators with their operands.
//!
//! Replaces lopdf's lexer, because most of the reading time is spent on page content. This lexer allocates only for
//! strings, names, arrays and dictionaries, does not recurse, and continues after invalid bytes, as viewers do.

/// An operand of an operator.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Number(f32),
    Name(Vec<u8>),
    String(Vec<u8>),
    /// An array; nested arrays are flattened.
    Array(Vec<Operand>),
    /// The raw bytes of a dictionary between `<<` and `>>`.
    Dictionary(Vec<u8>),
}

impl Operand {
    pub fn number(&self) -> Option<f32> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    pub fn name(&self) -> Option<&[u8]> {
        if let Self::Name(name) = self { Some(name) } else { None }
    }

    pub fn string(&self) -> Option<&[u8]> {
        if let Self::String(string) = self { Some(string) } else { None }
    }
}

/// Maximum number of operands kept per operator, and of items per array; no real operator has as many.
const MAX_OPERANDS: usize = 1 << 17;

/// Reads operators and their operands from bytes.
pub(super) struct Lexer<'a> {
    data: &'a [u8],
    /// Current offset in `data`.
    offset: usize,
}

impl<'a> Lexer<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, offset: 0 }
    }

    /// Reads the next operator, and its operands into `operands`; `None` at the end. An inline image is skipped and
    /// returned as the operator `BI` without operands.
    pub fn next(&mut self, operands: &mut Vec<Operand>) -> Option<&'a [u8]> {
        operands.clear();
        loop {
            self.skip_white_space();
            let byte = *self.data.get(self.offset)?;
            let operand = match byte {
                b'[' => self.array(),
                b']' | b'{' | b'}' | b')' => {
                    self.offset += 1;
                    continue;
                }
                b'>' => {
                    self.offset += if self.data.get(self.offset + 1) == Some(&b'>') { 2 } else { 1 };
                    continue;
                }
                _ => match self.non_array_object(byte) {
                    Ok(operand) => operand,
                    Err(b"BI") => {
                        self.skip_inline_image();
                        return Some(b"BI");
                    }
                    Err(operator) => return Some(operator),
                },
            };
            if operands.len() < MAX_OPERANDS {
                operands.push(operand);
            }
        }
    }

    fn skip_white_space(&mut self) {
        while let Some(&byte) = self.data.get(self.offset) {
            match byte {
                0 | b'\t' | b'\n' | 0xC | b'\r' | b' ' => self.offset += 1,
                b'%' => {
                    while self.data.get(self.offset).is_some_and(|byte| !matches!(byte, b'\n' | b'\r')) {
                        self.offset += 1;
                    }
                }
                _ => break,
            }
        }
    }

    /// Reads any object except an array. A word that is not a number is an operator and is returned as the error.
    fn non_array_object(&mut self, first: u8) -> Result<Operand, &'a [u8]> {
        match first {
            b'/' => Ok(Operand::Name(self.name())),
            b'(' => Ok(Operand::String(self.literal_string())),
            b'<' if self.data.get(self.offset + 1) == Some(&b'<') => Ok(Operand::Dictionary(self.dictionary())),
            b'<' => Ok(Operand::String(self.hex_string())),
            _ => {
                let start = self.offset;
                self.offset += 1;
                while self.data.get(self.offset).is_some_and(|byte| is_regular(*byte)) {
                    self.offset += 1;
                }
                let word = &self.data[start..self.offset];
                parse_number(word).map(Operand::Number).ok_or(word)
            }
        }
    }

    fn array(&mut self) -> Operand {
        self.offset += 1;
        let mut items = Vec::new();
        let mut depth = 1_u32;
        loop {
            self.skip_white_space();
            let Some(&byte) = self.data.get(self.offset) else { break };
            match byte {
                b'[' => {
                    self.offset += 1;
                    depth += 1;
                }
                b']' => {
                    self.offset += 1;
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                b')' | b'{' | b'}' | b'>' => self.offset += 1,
                // Ignore words inside an array (`true`, `null`, garbage); no caller uses them.
                _ => match self.non_array_object(byte) {
                    Ok(item) if items.len() < MAX_OPERANDS => items.push(item),
                    Ok(_) | Err(_) => {}
                },
            }
        }
        Operand::Array(items)
    }

    fn name(&mut self) -> Vec<u8> {
        self.offset += 1;
        let mut name = Vec::new();
        while let Some(&byte) = self.data.get(self.offset).filter(|byte| is_regular(**byte)) {
            self.offset += 1;
            let escaped = (byte == b'#')
                .then(|| self.data.get(self.offset..self.offset + 2))
                .flatten()
                .and_then(|pair| Some((hex_digit(pair[0])? << 4) | hex_digit(pair[1])?));
            if escaped.is_some() {
                self.offset += 2;
            }
            name.push(escaped.unwrap_or(byte));
        }
        name
    }

    fn literal_string(&mut self) -> Vec<u8> {
        self.offset += 1;
        let mut out = Vec::new();
        let mut depth = 1_u32;
        while let Some(&byte) = self.data.get(self.offset) {
            self.offset += 1;
            match byte {
                b'(' => depth += 1,
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                b'\\' => {
                    self.escape(&mut out);
                    continue;
                }
                _ => {}
            }
            out.push(byte);
        }
        out
    }

    fn escape(&mut self, out: &mut Vec<u8>) {
        let Some(&byte) = self.data.get(self.offset) else { return };
        self.offset += 1;
        match byte {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'\r' => self.offset += usize::from(self.data.get(self.offset) == Some(&b'\n')),
            b'\n' => {}
            b'0'..=b'7' => {
                let mut code = u32::from(byte - b'0');
                for _ in 0..2 {
                    match self.data.get(self.offset) {
                        Some(digit @ b'0'..=b'7') => code = code * 8 + u32::from(digit - b'0'),
                        _ => break,
                    }
                    self.offset += 1;
                }
                out.push((code & 0xFF) as u8);
            }
            other => out.push(other),
        }
    }

    fn hex_string(&mut self) -> Vec<u8> {
        self.offset += 1;
        let mut out = Vec::new();
        let mut high = None;
        while let Some(&byte) = self.data.get(self.offset) {
            self.offset += 1;
            if byte == b'>' {
                break;
            }
            let Some(digit) = hex_digit(byte) else { continue };
            match high.take() {
                Some(first) => out.push((first << 4) | digit),
                None => high = Some(digit),
            }
        }
        out.extend(high.map(|first| first << 4));
        out
    }

    /// Reads over a dictionary, including nested dictionaries and strings, and returns its raw bytes.
    fn dictionary(&mut self) -> Vec<u8> {
        self.offset += 2;
        let start = self.offset;
        let mut depth = 1_u32;
        while let Some(&byte) = self.data.get(self.offset) {
            let is_doubled = self.data.get(self.offset + 1) == Some(&byte);
            match byte {
                b'<' if is_doubled => {
                    depth += 1;
                    self.offset += 2;
                }
                b'>' if is_doubled => {
                    depth -= 1;
                    self.offset += 2;
                    if depth == 0 {
                        return self.data[start..self.offset - 2].to_vec();
                    }
                }
                b'(' => {
                    self.literal_string();
                }
                _ => self.offset += 1,
            }
        }
        self.data[start.min(self.data.len())..].to_vec()
    }

    /// Skips an inline image, from after `BI` to after `EI`. Its data may contain any bytes, so `EI` only counts if it
    /// is between white space and followed by printable bytes.
    fn skip_inline_image(&mut self) {
        let rest = &self.data[self.offset..];
        let Some(data_start) = rest.windows(2).position(|pair| pair == b"ID") else {
            self.offset = self.data.len();
            return;
        };
        let mut search_start = data_start + 2;
        loop {
            let Some(end) = rest[search_start..].windows(2).position(|pair| pair == b"EI").map(|at| search_start + at)
            else {
                self.offset = self.data.len();
                return;
            };
            let after = &rest[end + 2..rest.len().min(end + 14)];
            let is_delimited =
                rest[end - 1].is_ascii_whitespace() && after.first().is_none_or(|byte| byte.is_ascii_whitespace());
            let is_text = after.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'));
            if is_delimited && is_text {
                self.offset += end + 2;
                return;
            }
            search_start = end + 2;
        }
    }
}

/// Whether a byte is a regular character, neither white space nor a delimiter (ISO 32000-1, 7.2.2).
fn is_regular(byte: u8) -> bool {
    !matches!(
        byte,
        0 | b'\t' | b'\n' | 0xC | b'\r' | b' ' | b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%'
    )
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Parses a number: sign, digits and at most one decimal point, no exponent. Repeated signs are accepted, and a minus
/// sign after digits ends the number.
fn parse_number(word: &[u8]) -> Option<f32> {
    let unsigned = word.iter().position(|byte| !matches!(byte, b'+' | b'-'))?;
    let negative = unsigned > 0 && word[0] == b'-';
    let (mut value, mut scale, mut has_digits) = (0.0_f64, 0.0_f64, false);
    for &byte in &word[unsigned..] {
        match byte {
            b'0'..=b'9' => {
                has_digits = true;
                if scale == 0.0 {
                    value = value * 10.0 + f64::from(byte - b'0');
                } else {
                    value += f64::from(byte - b'0') * scale;
                    scale /= 10.0;
                }
            }
            b'.' if scale == 0.0 => scale = 0.1,
            b'-' if has_digits => break,
            _ => return None,
        }
    }
    (has_digits || scale != 0.0).then_some(if negative { -value } else { value } as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lex(data: &[u8]) -> Vec<(String, Vec<Operand>)> {
        let (mut lexer, mut operands, mut out) = (Lexer::new(data), Vec::new(), Vec::new());
        while let Some(operator) = lexer.next(&mut operands) {
            out.push((String::from_utf8_lossy(operator).into_owned(), operands.clone()));
        }
        out
    }

    #[test]
    fn operators_are_returned_with_their_operands() {
        let operations = lex(b"BT /F1 12 Tf 1 0 0 -1 .5 -3. Tm [(A\\)b) -120 <4142>] TJ ET");
        assert_eq!(operations[1], ("Tf".into(), vec![Operand::Name(b"F1".to_vec()), Operand::Number(12.0)]));
        assert_eq!(operations[2].1[4..], [Operand::Number(0.5), Operand::Number(-3.0)]);
        let expected = vec![Operand::String(b"A)b".to_vec()), Operand::Number(-120.0), Operand::String(b"AB".to_vec())];
        assert_eq!(operations[3], ("TJ".into(), vec![Operand::Array(expected)]));
    }

    #[test]
    fn escapes_and_nested_parentheses_in_strings_are_decoded() {
        let operations = lex(b"(a(b)\\053\\\n\\q) Tj");
        assert_eq!(operations[0].1, [Operand::String(b"a(b)+q".to_vec())]);
    }

    #[test]
    fn an_inline_image_is_skipped_with_its_data() {
        let operations = lex(b"q BI /W 2 /H 2 ID \x01EI\x02 EI\x80 \nEI Q (x) Tj");
        let names: Vec<_> = operations.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["q", "BI", "Q", "Tj"]);
    }

    #[test]
    fn lexing_garbage_terminates() {
        for data in [b"((((((".as_slice(), b"[[[[[[", b"<<<<<<", b"<41", b"/", b")]}>", b"BI ID", b"\\", b"1 2 3"] {
            lex(data);
        }
    }
}
