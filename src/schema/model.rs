//! Typed models: [`model!`](crate::model!) declares each field once; schema, decoding, encoding and docs are derived from it.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use super::spec::{Body, Nesting, Spec};
use super::{Number, Type, Value};

/// A struct with a field for each attribute and block of a body. [`model!`](crate::model!) implements it.
pub trait Model: Slot + Clone + PartialEq + Send + Sync {
    /// The schema, derived from the fields.
    fn body() -> Body;
    /// The schema, built once and cached.
    fn schema() -> &'static Body;
}

/// A Rust type that holds one value. Decoding never fails: Terraform Core has checked the type, and null or unknown becomes
/// the default.
pub trait Slot: Sized + Default {
    /// The Terraform type.
    fn ty() -> Type;
    /// Decodes a value; null and unknown become the default.
    fn decode(value: &Value) -> Self;
    /// Encodes the value.
    fn encode(&self) -> Value;
    /// For models and collections of models: the nested body and its nesting.
    fn body() -> Option<(Body, Nesting)> {
        None
    }
    /// A check that every known value of this type must pass.
    fn check(_value: &Value) -> Result<(), String> {
        Ok(())
    }
}

/// A set of strings, or of repeatable blocks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Set<T>(pub Vec<T>);

impl<T> Deref for Set<T> {
    type Target = Vec<T>;
    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T> DerefMut for Set<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

impl<T> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Set<T> {
        Set(iter.into_iter().collect())
    }
}

impl Slot for String {
    fn ty() -> Type {
        Type::String
    }
    fn decode(value: &Value) -> String {
        value.as_str().unwrap_or_default().to_owned()
    }
    fn encode(&self) -> Value {
        Value::string(self.as_str())
    }
}

impl Slot for bool {
    fn ty() -> Type {
        Type::Bool
    }
    fn decode(value: &Value) -> bool {
        value.as_bool().unwrap_or_default()
    }
    fn encode(&self) -> Value {
        Value::Bool(*self)
    }
}

impl Slot for i64 {
    fn ty() -> Type {
        Type::Number
    }
    fn decode(value: &Value) -> i64 {
        value.as_i64().unwrap_or_default()
    }
    fn encode(&self) -> Value {
        Value::int(*self)
    }
    fn check(value: &Value) -> Result<(), String> {
        match value {
            Value::Number(Number::Int(_)) => Ok(()),
            Value::Number(_) => Err("must be a whole number".to_owned()),
            _ => Ok(()),
        }
    }
}

impl Slot for Number {
    fn ty() -> Type {
        Type::Number
    }
    fn decode(value: &Value) -> Number {
        match value {
            Value::Number(number) => number.clone(),
            _ => Number::default(),
        }
    }
    fn encode(&self) -> Value {
        Value::Number(self.clone())
    }
}

impl<T: Slot> Slot for Option<T> {
    fn ty() -> Type {
        T::ty()
    }
    fn decode(value: &Value) -> Option<T> {
        // resources treat null and empty alike, so that both send the same request
        (value.is_known() && !value.is_unset()).then(|| T::decode(value))
    }
    fn encode(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::encode)
    }
    fn body() -> Option<(Body, Nesting)> {
        T::body()
    }
    fn check(value: &Value) -> Result<(), String> {
        T::check(value)
    }
}

impl<T: Slot> Slot for Set<T> {
    fn ty() -> Type {
        Type::set(T::ty())
    }
    fn decode(value: &Value) -> Set<T> {
        value.elements().iter().map(T::decode).collect()
    }
    fn encode(&self) -> Value {
        Value::Set(self.iter().map(T::encode).collect())
    }
    fn body() -> Option<(Body, Nesting)> {
        T::body().map(|(body, _)| (body, Nesting::Set))
    }
}

impl<T: Slot> Slot for Vec<T> {
    fn ty() -> Type {
        Type::list(T::ty())
    }
    fn decode(value: &Value) -> Vec<T> {
        value.elements().iter().map(T::decode).collect()
    }
    fn encode(&self) -> Value {
        Value::List(self.iter().map(T::encode).collect())
    }
    fn body() -> Option<(Body, Nesting)> {
        T::body().map(|(body, _)| (body, Nesting::List))
    }
}

impl<T: Slot> Slot for BTreeMap<String, T> {
    fn ty() -> Type {
        Type::map(T::ty())
    }
    fn decode(value: &Value) -> BTreeMap<String, T> {
        value.entries().filter(|(_, v)| v.is_known()).map(|(k, v)| (k.clone(), T::decode(v))).collect()
    }
    fn encode(&self) -> Value {
        Value::Map(self.iter().map(|(k, v)| (k.clone(), v.encode())).collect())
    }
}

impl Spec {
    /// Adds the attribute or block to `body`, with the name and doc comment of a field of type `T`.
    pub fn add_to<T: Slot + 'static>(self, name: &'static str, doc: &str, body: &mut Body) {
        // a field whose name is a keyword is written as r#type
        let name = name.strip_prefix("r#").unwrap_or(name);
        let doc = doc_text(doc);
        match self {
            Spec::Attribute(mut attribute) => {
                attribute.name = name;
                attribute.ty = T::ty();
                attribute.doc = doc;
                if attribute.empty_default {
                    attribute.default = Some(Value::empty(&attribute.ty));
                }
                attribute.checks.insert(0, std::sync::Arc::new(T::check));
                body.attributes.push(*attribute);
            }
            Spec::Block(mut block) => {
                let (mut inner, nesting) = T::body().unwrap_or_default();
                inner.checks.append(&mut block.body.checks);
                if !doc.is_empty() {
                    inner.doc = doc;
                }
                block.name = name;
                block.nesting = if block.group { Nesting::Group } else { nesting };
                block.body = inner;
                body.blocks.push(*block);
            }
        }
    }
}

/// The text of doc comments: lines without their leading space, paragraphs kept.
pub fn doc_text(doc: &str) -> String {
    doc.lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
        .collect::<Vec<_>>()
        .join("\n")
        .trim()
        .to_owned()
}

/// Declares a struct whose fields are the attributes and blocks of a body.
///
/// The doc comment of a field is its documentation, its Rust type determines the Terraform type, and the expression after
/// `=` sets its flags. With `block()`, `Option<M>` of another model is a single block, and `Set<M>` and `Vec<M>` are
/// repeatable blocks. With an attribute such as `computed()`, a model is an object attribute.
///
/// ```
/// use azimage::model;
/// use azimage::schema::{Model, spec::*};
/// model! {
///     /// A thing.
///     pub struct Thing {
///         /// Its name.
///         pub name: String = required().force_new(),
///         /// How many.
///         pub count: Option<i64> = optional().between(1, 9),
///     }
/// }
/// assert_eq!(Thing::body().attribute("name").unwrap().doc, "Its name.");
/// ```
#[macro_export]
macro_rules! model {
    (
        $(#[doc = $about:literal])*
        $vis:vis struct $name:ident {
            $( $(#[doc = $doc:literal])* $fvis:vis $field:ident : $ty:ty = $spec:expr ),* $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, Default, PartialEq)]
        $vis struct $name {
            $( $(#[doc = $doc])* $fvis $field: $ty, )*
        }

        impl $crate::schema::model::Model for $name {
            fn body() -> $crate::schema::spec::Body {
                let mut body = $crate::schema::spec::Body {
                    doc: $crate::schema::model::doc_text(concat!($($about, "\n"),*)),
                    ..Default::default()
                };
                $(
                    $crate::schema::spec::Spec::from($spec)
                        .add_to::<$ty>(stringify!($field), concat!($($doc, "\n"),*), &mut body);
                )*
                body
            }

            fn schema() -> &'static $crate::schema::spec::Body {
                static BODY: ::std::sync::OnceLock<$crate::schema::spec::Body> = ::std::sync::OnceLock::new();
                BODY.get_or_init(<$name as $crate::schema::model::Model>::body)
            }
        }

        impl $crate::schema::model::Slot for $name {
            fn ty() -> $crate::schema::Type {
                <$name as $crate::schema::model::Model>::body().ty()
            }
            fn decode(value: &$crate::schema::Value) -> Self {
                Self {
                    $( $field: $crate::schema::model::Slot::decode(
                        value.get($crate::schema::model::field_name(stringify!($field)))
                    ), )*
                }
            }
            fn encode(&self) -> $crate::schema::Value {
                $crate::schema::Value::object([
                    $( (
                        $crate::schema::model::field_name(stringify!($field)),
                        $crate::schema::model::Slot::encode(&self.$field),
                    ), )*
                ])
            }
            fn body() -> Option<($crate::schema::spec::Body, $crate::schema::spec::Nesting)> {
                Some((<$name as $crate::schema::model::Model>::body(), $crate::schema::spec::Nesting::Single))
            }
        }
    };
}

/// The HCL name of a Rust field, without the `r#` prefix of keywords.
pub fn field_name(name: &'static str) -> &'static str {
    name.strip_prefix("r#").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::spec::*;
    use crate::schema::{Diagnostics, Path};

    model! {
        /// An inner thing.
        pub struct Inner {
            /// Its key.
            pub lun: i64 = required().between(0, 3),
            /// Its kind.
            pub r#type: Option<String> = optional().default("a").one_of(&["a", "b"]),
        }
    }
    model! {
        /// A thing.
        ///
        /// With a second paragraph.
        pub struct Outer {
            /// Its name.
            pub name: String = required().force_new(),
            /// Tags.
            pub tags: Option<BTreeMap<String, String>> = optional(),
            /// Disks.
            pub disk: Set<Inner> = block(),
            /// At most one.
            pub single: Option<Inner> = block().required(),
        }
    }

    #[test]
    fn fields_determine_schema_docs_and_encoding() {
        let body = <Outer as Model>::body();
        assert_eq!(body.doc, "A thing.\n\nWith a second paragraph.");
        assert_eq!(body.attribute("name").unwrap().doc, "Its name.");
        assert_eq!(body.block("disk").unwrap().nesting, Nesting::Set);
        assert_eq!(body.block("single").unwrap().nesting, Nesting::Single);
        assert!(body.block("disk").unwrap().body.attribute("type").is_some());
        let model = Outer {
            name: "n".into(),
            tags: None,
            disk: Set(vec![Inner { lun: 1, r#type: Some("b".into()) }]),
            single: None,
        };
        let value = model.encode();
        assert_eq!(Outer::decode(&value), model);
        assert_eq!(value.get("disk").elements()[0].get("type").as_str(), Some("b"));
        assert!(matches!(Outer::ty(), Type::Object(fields) if fields.len() == 4));
    }

    #[test]
    fn unknown_and_null_decode_to_the_default() {
        let value = Value::object([("name", Value::Unknown), ("disk", Value::Unknown)]);
        assert_eq!(Outer::decode(&value), Outer::default());
    }

    #[test]
    fn validation_errors_have_the_attribute_path() {
        let mut value = Outer {
            name: "n".into(),
            disk: Set(vec![Inner { lun: 9, r#type: Some("A".into()) }]),
            ..Default::default()
        }
        .encode();
        value.set("name", Value::Unknown);
        let mut found = Diagnostics::new();
        <Outer as Model>::body().validate(&value, &Path::root(), &mut found);
        let text: Vec<String> = found.into_iter().map(|d| d.to_string()).collect();
        assert_eq!(
            text,
            [
                "error: Invalid value for disk[*].lun (at disk[*].lun): 9 must be between 0 and 3.",
                "error: Invalid value for disk[*].type (at disk[*].type): \"A\" is not one of \"a\", \"b\". Did you mean \"a\"?",
            ]
        );
    }
}
