//! A small reader of DER, and of the BER that some programs write instead.
//! <https://www.itu.int/rec/T-REC-X.690>

/// The bytes do not have the expected structure.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// Tags: the first byte of an element.
pub mod tag {
    #![allow(missing_docs)]
    pub const INTEGER: u8 = 0x02;
    pub const OCTETS: u8 = 0x04;
    pub const OID: u8 = 0x06;
    pub const SEQUENCE: u8 = 0x30;
    pub const EXPLICIT_0: u8 = 0xa0;
    pub const IMPLICIT_0: u8 = 0x80;
}

/// The bit of a constructed element, which contains other elements.
const CONSTRUCTED: u8 = 0x20;
/// The maximum nesting depth.
const MAXIMUM_DEPTH: u8 = 32;

/// A sequence of elements that is read from the front.
#[derive(Clone, Copy)]
pub struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Reads `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// True if there are no more elements.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The content of the next element, which must have the tag `tag`.
    pub fn take(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        let next = read(self.0, MAXIMUM_DEPTH)?;
        if next.tag != tag {
            return Err(Malformed);
        }
        self.0 = next.rest;
        Ok(next.content)
    }

    /// The elements in the next element.
    pub fn inside(&mut self, tag: u8) -> Result<Der<'a>, Malformed> {
        self.take(tag).map(Der)
    }

    /// The elements of the next element, a sequence.
    pub fn sequence(&mut self) -> Result<Der<'a>, Malformed> {
        self.inside(tag::SEQUENCE)
    }

    /// The next element with its tag and length.
    pub fn element(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        let before = self.0;
        self.take(tag)?;
        before.get(..before.len() - self.0.len()).ok_or(Malformed)
    }

    /// The next element, an octet string that may be split into pieces.
    pub fn octets(&mut self) -> Result<Vec<u8>, Malformed> {
        self.pieces(tag::OCTETS)
    }

    /// The next element, an octet string with the context-specific tag 0.
    pub fn octets_tagged_0(&mut self) -> Result<Vec<u8>, Malformed> {
        self.pieces(tag::IMPLICIT_0)
    }

    fn pieces(&mut self, tag: u8) -> Result<Vec<u8>, Malformed> {
        if let Ok(content) = self.take(tag) {
            return Ok(content.to_vec());
        }
        let mut pieces = self.inside(tag | CONSTRUCTED)?;
        let mut whole = Vec::new();
        while !pieces.is_empty() {
            whole.extend_from_slice(pieces.take(tag::OCTETS)?);
        }
        Ok(whole)
    }
}

struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

fn read(bytes: &[u8], depth: u8) -> Result<Element<'_>, Malformed> {
    let [tag, length, rest @ ..] = bytes else { return Err(Malformed) };
    let (length, rest) = match *length {
        0x80 => return read_indefinite(*tag, rest, depth),
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f)).ok_or(Malformed)?;
            if digits.len() > 4 {
                return Err(Malformed);
            }
            (digits.iter().fold(0_usize, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
    Ok(Element { tag: *tag, content, rest })
}

/// Reads an element of indefinite length (BER), which two zero bytes end.
fn read_indefinite(tag: u8, bytes: &[u8], depth: u8) -> Result<Element<'_>, Malformed> {
    let depth = depth.checked_sub(1).filter(|_| tag & CONSTRUCTED != 0).ok_or(Malformed)?;
    let mut rest = bytes;
    while !rest.starts_with(&[0, 0]) {
        rest = read(rest, depth)?.rest;
    }
    let content = bytes.get(..bytes.len() - rest.len()).ok_or(Malformed)?;
    Ok(Element { tag, content, rest: rest.get(2..).ok_or(Malformed)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_elements() {
        let long = [&[4, 0x81, 200][..], &[7; 200]].concat();
        for (bytes, content, left) in [
            (&[4, 0][..], &[][..], 0),
            (&[4, 2, 1, 2, 9], &[1, 2], 1),
            (&[4, 0x81, 1, 5], &[5], 0),
            (&[4, 0x84, 0, 0, 0, 1, 5], &[5], 0),
            (&long, &[7; 200], 0),
            (&[0x24, 6, 4, 1, 1, 4, 1, 2], &[1, 2], 0),
            (&[0x24, 0x80, 4, 1, 1, 4, 2, 2, 0, 0, 0, 9], &[1, 2, 0], 1),
        ] {
            let mut der = Der::new(bytes);
            assert_eq!((der.octets().as_deref(), der.0.len()), (Ok(content), left), "{bytes:?}");
        }
    }

    #[test]
    fn refuses_malformed_elements() {
        for bytes in [
            &[][..],
            &[4],
            &[4, 1],
            &[4, 0x81],
            &[4, 0x85, 0, 0, 0, 0, 1, 5],
            &[4, 0x84, 0xff, 0xff, 0xff, 0xff, 5],
            &[4, 0x80, 0, 0],
            &[0x24, 0x80, 4, 1, 1],
            &[0x24, 0x80, 4, 1, 1, 0],
            &[0x24, 0x80].repeat(100_000),
            &[5, 0],
        ] {
            assert_eq!(Der::new(bytes).octets(), Err(Malformed), "{:?}", &bytes[..bytes.len().min(9)]);
        }
    }

    #[test]
    fn element_includes_tag_and_length() {
        let mut der = Der::new(&[0x30, 3, 2, 1, 3, 5, 0]);
        assert_eq!(der.element(tag::SEQUENCE), Ok(&[0x30, 3, 2, 1, 3][..]));
        assert_eq!(der.0, [5, 0]);
    }
}
