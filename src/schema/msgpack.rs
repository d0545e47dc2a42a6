//! The msgpack encoding of DynamicValue: typed decoding of values from Terraform Core, canonical encoding of responses.
//!
//! Unknown is `d4 00 00`, refined unknown is extension 12. Any extension is decoded as unknown; only plain unknown is written.

use std::collections::BTreeMap;
use std::fmt;

use rmp::Marker;
use unicode_normalization::UnicodeNormalization;

use super::{Number, Path, Type, Value};

/// Why decoding failed, and at which path.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodeError {
    /// The path in the value.
    pub path: Path,
    /// What is error_at with the value at that path.
    pub reason: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.0.is_empty() {
            write!(f, "{}", self.reason)
        } else {
            write!(f, "{}: {}", self.path, self.reason)
        }
    }
}

impl std::error::Error for DecodeError {}

/// Decodes one value of type `ty`. No bytes mean null; bytes after the value are ignored.
pub fn decode(bytes: &[u8], ty: &Type) -> Result<Value, DecodeError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    Reader { rest: bytes, depth: 0 }.value(ty, &mut Vec::new())
}

/// Encodes `value`, which is of type `ty`.
pub fn encode(value: &Value, ty: &Type) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write(&mut out, value, ty);
    out
}

/// The maximum nesting depth. Schemas stay far below it, but dynamic values, which carry their own types, have no limit.
const MAXIMUM_DEPTH: usize = 256;

struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
}

// The position of the reader, which becomes a path only when there is an error.
type Position<'t> = Vec<Segment<'t>>;

enum Segment<'t> {
    Name(&'t str),
    Key(String),
    Index(usize),
    Element,
}

fn error_at(position: &Position<'_>, reason: impl Into<String>) -> DecodeError {
    let path = position.iter().fold(Path::root(), |path, segment| match segment {
        Segment::Name(name) => path.then(name.to_string()),
        Segment::Key(key) => path.key(key.clone()),
        Segment::Index(index) => path.index(*index),
        Segment::Element => path.element(),
    });
    DecodeError { path, reason: reason.into() }
}

impl<'a> Reader<'a> {
    fn value<'t>(&mut self, ty: &'t Type, position: &mut Position<'t>) -> Result<Value, DecodeError> {
        if self.depth == MAXIMUM_DEPTH {
            return Err(error_at(position, "the value is nested too deep"));
        }
        self.depth += 1;
        let value = self.value_at_depth(ty, position);
        self.depth -= 1;
        value
    }

    fn value_at_depth<'t>(
        &mut self,
        ty: &'t Type,
        position: &mut Position<'t>,
    ) -> Result<Value, DecodeError> {
        let marker = Marker::from_u8(self.byte(position)?);
        if marker == Marker::Null {
            return Ok(Value::Null);
        }
        if let Some(length) = self.extension(marker, position)? {
            // one type byte, then the payload
            self.take(length + 1, position)?;
            return Ok(Value::Unknown);
        }
        match ty {
            Type::Bool => match marker {
                Marker::True => Ok(Value::Bool(true)),
                Marker::False => Ok(Value::Bool(false)),
                _ => Err(error_at(position, "a bool is required")),
            },
            Type::String => Ok(Value::String(self.text(marker, position)?)),
            Type::Number => self.number(marker, position).map(Value::Number),
            Type::List(element) => self.sequence(marker, element, position, Segment::Index).map(Value::List),
            Type::Set(element) => {
                self.sequence(marker, element, position, |_| Segment::Element).map(Value::Set)
            }
            Type::Tuple(elements) => {
                let length = self.array(marker, position)?;
                if length != elements.len() {
                    let reason =
                        format!("a tuple of {} elements is required ({length} given)", elements.len());
                    return Err(error_at(position, reason));
                }
                let mut values = Vec::with_capacity(length);
                for (index, element) in elements.iter().enumerate() {
                    position.push(Segment::Index(index));
                    values.push(self.value(element, position)?);
                    position.pop();
                }
                Ok(Value::List(values))
            }
            Type::Map(element) => {
                let length = self.map(marker, position)?;
                let mut entries = BTreeMap::new();
                for _ in 0..length {
                    let key = self.key(position)?;
                    position.push(Segment::Key(key.clone()));
                    let value = self.value(element, position)?;
                    position.pop();
                    entries.insert(key, value);
                }
                Ok(Value::Map(entries))
            }
            Type::Object(attributes) => {
                let length = self.map(marker, position)?;
                if length != attributes.len() {
                    let reason = format!(
                        "an object with {} attributes is required ({length} given)",
                        attributes.len()
                    );
                    return Err(error_at(position, reason));
                }
                let mut fields = BTreeMap::new();
                for _ in 0..length {
                    let key = self.key(position)?;
                    let Some((name, ty)) = attributes.get_key_value(&key) else {
                        return Err(error_at(position, format!("unsupported attribute {key:?}")));
                    };
                    position.push(Segment::Name(name));
                    let value = self.value(ty, position)?;
                    position.pop();
                    if fields.insert(key, value).is_some() {
                        return Err(error_at(position, format!("attribute {name:?} is given twice")));
                    }
                }
                Ok(Value::Object(fields))
            }
            Type::Dynamic => {
                if self.array(marker, position)? != 2 {
                    return Err(error_at(
                        position,
                        "a dynamic value must be an array of its type and its value",
                    ));
                }
                let marker = Marker::from_u8(self.byte(position)?);
                let bytes = self.binary(marker, position)?;
                let ty = serde_json::from_slice(bytes)
                    .ok()
                    .and_then(|json| Type::from_json(&json))
                    .ok_or_else(|| error_at(position, "the type of a dynamic value cannot be read"))?;
                // the type does not outlive this call, so errors inside point at the dynamic value
                let inner = self.value(&ty, &mut Vec::new()).map_err(|e| error_at(position, e.reason))?;
                Ok(Value::Dynamic(ty, Box::new(inner)))
            }
        }
    }

    fn sequence<'t>(
        &mut self,
        marker: Marker,
        element: &'t Type,
        position: &mut Position<'t>,
        segment: impl Fn(usize) -> Segment<'t>,
    ) -> Result<Vec<Value>, DecodeError> {
        let length = self.array(marker, position)?;
        // do not allocate more than the bytes that are there could fill
        let mut values = Vec::with_capacity(length.min(self.rest.len()));
        for index in 0..length {
            position.push(segment(index));
            values.push(self.value(element, position)?);
            position.pop();
        }
        Ok(values)
    }

    fn number(&mut self, marker: Marker, position: &Position<'_>) -> Result<Number, DecodeError> {
        let none = || error_at(position, "a number is required");
        match marker {
            Marker::FixPos(int) => Ok(Number::Int(i64::from(int))),
            Marker::FixNeg(int) => Ok(Number::Int(i64::from(int))),
            Marker::U8 => Ok(Number::Int(i64::from(self.array_of::<1>(position)?[0]))),
            Marker::U16 => Ok(Number::Int(i64::from(u16::from_be_bytes(self.array_of(position)?)))),
            Marker::U32 => Ok(Number::Int(i64::from(u32::from_be_bytes(self.array_of(position)?)))),
            Marker::U64 => Ok(Number::from_u64(u64::from_be_bytes(self.array_of(position)?))),
            Marker::I8 => Ok(Number::Int(i64::from(i8::from_be_bytes(self.array_of(position)?)))),
            Marker::I16 => Ok(Number::Int(i64::from(i16::from_be_bytes(self.array_of(position)?)))),
            Marker::I32 => Ok(Number::Int(i64::from(i32::from_be_bytes(self.array_of(position)?)))),
            Marker::I64 => Ok(Number::Int(i64::from_be_bytes(self.array_of(position)?))),
            Marker::F32 => {
                Number::from_f64(f64::from(f32::from_be_bytes(self.array_of(position)?))).ok_or_else(none)
            }
            Marker::F64 => Number::from_f64(f64::from_be_bytes(self.array_of(position)?)).ok_or_else(none),
            marker => Number::parse(&self.raw_text(marker, position).map_err(|_| none())?).ok_or_else(none),
        }
    }

    fn key(&mut self, position: &Position<'_>) -> Result<String, DecodeError> {
        let marker = Marker::from_u8(self.byte(position)?);
        self.text(marker, position).map_err(|_| error_at(position, "a key must be a string"))
    }

    fn text(&mut self, marker: Marker, position: &Position<'_>) -> Result<String, DecodeError> {
        let text = self.raw_text(marker, position)?;
        // Terraform Core normalises strings to NFC, so compare them in NFC
        if text.is_ascii() { Ok(text) } else { Ok(text.nfc().collect()) }
    }

    fn raw_text(&mut self, marker: Marker, position: &Position<'_>) -> Result<String, DecodeError> {
        let length = match marker {
            Marker::FixStr(length) => usize::from(length),
            Marker::Str8 => usize::from(self.array_of::<1>(position)?[0]),
            Marker::Str16 => usize::from(u16::from_be_bytes(self.array_of(position)?)),
            Marker::Str32 => u32::from_be_bytes(self.array_of(position)?) as usize,
            _ => return Err(error_at(position, "a string is required")),
        };
        let bytes = self.take(length, position)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| error_at(position, "the string is not UTF-8"))
    }

    fn binary(&mut self, marker: Marker, position: &Position<'_>) -> Result<&'a [u8], DecodeError> {
        let length = match marker {
            Marker::Bin8 | Marker::Str8 => usize::from(self.array_of::<1>(position)?[0]),
            Marker::Bin16 | Marker::Str16 => usize::from(u16::from_be_bytes(self.array_of(position)?)),
            Marker::Bin32 | Marker::Str32 => u32::from_be_bytes(self.array_of(position)?) as usize,
            Marker::FixStr(length) => usize::from(length),
            _ => return Err(error_at(position, "the type of a dynamic value must be bytes")),
        };
        self.take(length, position)
    }

    fn array(&mut self, marker: Marker, position: &Position<'_>) -> Result<usize, DecodeError> {
        match marker {
            Marker::FixArray(length) => Ok(usize::from(length)),
            Marker::Array16 => Ok(usize::from(u16::from_be_bytes(self.array_of(position)?))),
            Marker::Array32 => Ok(u32::from_be_bytes(self.array_of(position)?) as usize),
            _ => Err(error_at(position, "a sequence is required")),
        }
    }

    fn map(&mut self, marker: Marker, position: &Position<'_>) -> Result<usize, DecodeError> {
        match marker {
            Marker::FixMap(length) => Ok(usize::from(length)),
            Marker::Map16 => Ok(usize::from(u16::from_be_bytes(self.array_of(position)?))),
            Marker::Map32 => Ok(u32::from_be_bytes(self.array_of(position)?) as usize),
            _ => Err(error_at(position, "a map is required")),
        }
    }

    // The payload length of an extension; `None` if the marker is not an extension.
    fn extension(&mut self, marker: Marker, position: &Position<'_>) -> Result<Option<usize>, DecodeError> {
        Ok(Some(match marker {
            Marker::FixExt1 => 1,
            Marker::FixExt2 => 2,
            Marker::FixExt4 => 4,
            Marker::FixExt8 => 8,
            Marker::FixExt16 => 16,
            Marker::Ext8 => usize::from(self.array_of::<1>(position)?[0]),
            Marker::Ext16 => usize::from(u16::from_be_bytes(self.array_of(position)?)),
            Marker::Ext32 => u32::from_be_bytes(self.array_of(position)?) as usize,
            _ => return Ok(None),
        }))
    }

    fn byte(&mut self, position: &Position<'_>) -> Result<u8, DecodeError> {
        self.take(1, position).map(|bytes| bytes[0])
    }

    fn array_of<const N: usize>(&mut self, position: &Position<'_>) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, position)?);
        Ok(array)
    }

    fn take(&mut self, length: usize, position: &Position<'_>) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(error_at(position, "the value ends before it is complete")),
        }
    }
}

// Writing to a Vec cannot fail, so the results are ignored.
fn write(out: &mut Vec<u8>, value: &Value, ty: &Type) {
    match (value, ty) {
        (Value::Null, _) => out.push(0xc0),
        (Value::Unknown, _) => out.extend([0xd4, 0, 0]),
        (Value::Dynamic(own, inner), _) => {
            out.push(0x92);
            let _ = rmp::encode::write_bin(out, &own.to_bytes());
            write(out, inner, own);
        }
        (Value::Bool(bool), _) => out.push(if *bool { 0xc3 } else { 0xc2 }),
        (Value::Number(Number::Int(int)), _) => {
            let _ = rmp::encode::write_sint(out, *int);
        }
        (Value::Number(Number::Float(float)), _) => {
            let _ = rmp::encode::write_f64(out, *float);
        }
        (Value::Number(Number::Decimal(text)), _) => {
            let _ = rmp::encode::write_str(out, text);
        }
        (Value::String(text), _) => {
            let _ = rmp::encode::write_str(out, text);
        }
        (Value::List(elements) | Value::Set(elements), ty) => {
            let _ = rmp::encode::write_array_len(out, elements.len() as u32);
            for (index, element) in elements.iter().enumerate() {
                let ty = match ty {
                    Type::List(element) | Type::Set(element) => element,
                    Type::Tuple(types) => types.get(index).unwrap_or(&Type::Dynamic),
                    _ => &Type::Dynamic,
                };
                write(out, element, ty);
            }
        }
        (Value::Map(entries), ty) => {
            let element = match ty {
                Type::Map(element) => element,
                _ => &Type::Dynamic,
            };
            let _ = rmp::encode::write_map_len(out, entries.len() as u32);
            for (key, value) in entries {
                let _ = rmp::encode::write_str(out, key);
                write(out, value, element);
            }
        }
        // Terraform Core requires every attribute: missing ones are written as null
        (Value::Object(fields), Type::Object(attributes)) => {
            let _ = rmp::encode::write_map_len(out, attributes.len() as u32);
            for (name, ty) in attributes {
                let _ = rmp::encode::write_str(out, name);
                write(out, fields.get(name).unwrap_or(&Value::Null), ty);
            }
        }
        (Value::Object(_), _) => out.push(0xc0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_round_trip(value: Value, ty: Type) {
        let bytes = encode(&value, &ty);
        assert_eq!(decode(&bytes, &ty).unwrap(), value, "{ty:?}");
    }

    #[test]
    fn round_trips_every_type_with_null_and_unknown_at_each_depth() {
        let leaf = |ty: Type, value: Value| {
            for value in [value, Value::Null, Value::Unknown] {
                assert_round_trip(value.clone(), ty.clone());
                assert_round_trip(Value::List(vec![value.clone(), value.clone()]), Type::list(ty.clone()));
                assert_round_trip(Value::Set(vec![value.clone()]), Type::set(ty.clone()));
                assert_round_trip(
                    Value::Map([("k".to_owned(), value.clone())].into()),
                    Type::map(ty.clone()),
                );
                assert_round_trip(
                    Value::object([("a", value.clone()), ("b", Value::Null)]),
                    Type::object([("a", ty.clone()), ("b", Type::Bool)]),
                );
                assert_round_trip(Value::List(vec![value.clone()]), Type::Tuple(vec![ty.clone()]));
                assert_round_trip(
                    Value::Set(vec![Value::Set(vec![value])]),
                    Type::set(Type::set(ty.clone())),
                );
            }
            assert_round_trip(Value::List(vec![]), Type::list(ty.clone()));
            assert_round_trip(Value::Set(vec![]), Type::set(ty.clone()));
            assert_round_trip(Value::Map(BTreeMap::new()), Type::map(ty));
        };
        leaf(Type::String, "ä".into());
        leaf(Type::Number, Value::int(-7));
        leaf(Type::Bool, true.into());
        leaf(Type::Dynamic, Value::Dynamic(Type::String, Box::new("x".into())));
    }

    #[test]
    fn encodes_numbers_in_canonical_form() {
        let rows: &[(&str, &[u8])] = &[
            ("5", &[5]),
            ("-1", &[0xff]),
            ("0.5", &[0xcb, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0]),
            ("0.1", b"\xa30.1"),
            ("18446744073709551616", b"\xb418446744073709551616"),
        ];
        for (text, bytes) in rows {
            let value = Value::Number(Number::parse(text).unwrap());
            assert_eq!(encode(&value, &Type::Number), *bytes, "{text}");
            assert_round_trip(value, Type::Number);
        }
    }

    #[test]
    fn decodes_numbers_in_every_form() {
        let rows: &[(&[u8], &str)] = &[
            (&[0xcc, 200], "200"),
            (&[0xcd, 1, 0], "256"),
            (&[0xce, 0, 1, 0, 0], "65536"),
            (&[0xcf, 255, 255, 255, 255, 255, 255, 255, 255], "18446744073709551615"),
            (&[0xd0, 0x80], "-128"),
            (&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], "-9223372036854775808"),
            (&[0xca, 0x3f, 0, 0, 0], "0.5"),
            (b"\xa51e400", &format!("1{}", "0".repeat(400))),
        ];
        for (bytes, text) in rows {
            let value = decode(bytes, &Type::Number).unwrap();
            assert_eq!(value, Value::Number(Number::parse(text).unwrap()), "{text}");
        }
    }

    #[test]
    fn decodes_every_extension_as_unknown() {
        for bytes in [
            &[0xd4, 0, 0][..],
            &[0xd4, 99, 7],
            &[0xc7, 3, 12, 0x81, 1, 0xc2],
            &[0xc7, 0, 0],
            &[0xd5, 0, 1, 2],
            &[0xc8, 0, 1, 12, 0x80],
        ] {
            assert_eq!(decode(bytes, &Type::String), Ok(Value::Unknown), "{bytes:x?}");
        }
        assert_eq!(encode(&Value::Unknown, &Type::String), [0xd4, 0, 0]);
    }

    #[test]
    fn decodes_strings_to_nfc() {
        let decomposed = "u\u{308}";
        let mut bytes = vec![0xa0 | decomposed.len() as u8];
        bytes.extend(decomposed.bytes());
        assert_eq!(decode(&bytes, &Type::String), Ok("ü".into()));
    }

    #[test]
    fn decodes_no_bytes_as_null() {
        assert_eq!(decode(&[], &Type::object([("a", Type::String)])), Ok(Value::Null));
    }

    #[test]
    fn errors_name_the_path_of_malformed_bytes() {
        let ty = Type::object([("a", Type::list(Type::Bool)), ("b", Type::String)]);
        let rows: &[(&[u8], &str)] = &[
            (&[0x81, 0xa1, b'a', 0x90], "an object with 2 attributes is required (1 given)"),
            (&[0x82, 0xa1, b'a', 0x90, 0xa1, b'x', 0xc0], "unsupported attribute \"x\""),
            (&[0x82, 0xa1, b'a', 0x91, 5, 0xa1, b'b', 0xc0], "a[0]: a bool is required"),
            (&[0x82, 0xa1, b'a', 0x92, 0xc3], "a[1]: the value ends before it is complete"),
            (&[0x82, 5, 0xc0], "a key must be a string"),
            (&[0x82, 0xa1, b'a', 0x90, 0xa1, b'a', 0x90], "attribute \"a\" is given twice"),
            (&[0xdf, 255, 255, 255, 255], "an object with 2 attributes is required (4294967295 given)"),
            (&[0x93], "a map is required"),
            (&[0xc7], "the value ends before it is complete"),
        ];
        for (bytes, reason) in rows {
            assert_eq!(decode(bytes, &ty).unwrap_err().to_string(), *reason, "{bytes:x?}");
        }
        assert!(decode(&[0xdd, 255, 255, 255, 255], &Type::list(Type::Bool)).is_err());
        assert!(decode(&[0x92, 0xc4, 1, b'x', 0xc0], &Type::Dynamic).is_err());
        // endlessly nested dynamic values must not overflow the stack
        let endless = b"\x92\xc4\x09\"dynamic\"".repeat(100_000);
        assert_eq!(decode(&endless, &Type::Dynamic).unwrap_err().reason, "the value is nested too deep");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let ty = Type::object([("a", Type::Dynamic), ("b", Type::set(Type::map(Type::Number)))]);
            let _ = decode(&bytes, &ty);
            let _ = decode(&bytes, &Type::Dynamic);
        }
    }
}
