//! Bringing in what exists: imports by id or identity, moves from other providers' types, upgrades of old state, generated configuration.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Private;
use super::provider::{Entry, Provider, Server};
use super::resource::{ImportFrom, MoveSource};
use crate::schema::{Body, Diagnostic, Diagnostics, Nesting, Value, json};

/// The state, private bytes and identity that an import or a move yields.
pub struct Brought {
    /// The state; for an import only what is needed to read the rest.
    pub state: Value,
    /// The identity, as far as it is known.
    pub identity: Value,
    /// What the read that follows is to know.
    pub private: Private,
}

/// Key in the private state of an object that was imported or moved here and has not been read yet: the service decides how
/// its values are spelt.
pub(super) const UNREAD: &str = "unwritten";

impl<P: Provider> Server<P> {
    /// The stub of an object to import; core reads the rest.
    pub fn import(
        &self,
        entry: &Entry<P::Context>,
        id: &str,
        identity: Option<&Value>,
    ) -> Result<Brought, Diagnostics> {
        let from = match identity {
            Some(identity) if id.is_empty() => ImportFrom::Identity(identity_texts(entry, identity)?),
            _ => ImportFrom::Id(id.to_owned()),
        };
        let context = self.context();
        let state = entry.resource.import(context.as_deref(), &from)?;
        let state = empty_blocks(entry.body(), state);
        let identity = entry.resource.identify(&state);
        let mut private = Private::default();
        private.set(UNREAD, &true);
        Ok(Brought { state, identity, private })
    }

    /// Takes over an object of another type.
    pub fn move_from(&self, entry: &Entry<P::Context>, source: &MoveSource) -> Result<Brought, Diagnostics> {
        let target = entry.resource.type_name();
        let mut private = Private::default();
        // a mere change of the provider's address arrives as a move from the same type
        let state = if source.type_name == target {
            json::decode(&source.state, entry.ty()).map_err(|error| {
                Diagnostic::error(format!("Moving {target}: its state cannot be read"), error.to_string())
            })?
        } else {
            private.set(UNREAD, &true);
            entry.resource.move_from(source).unwrap_or_else(|| {
                Err(Diagnostic::error(
                    format!("Cannot move {} into {target}", source.type_name),
                    format!(
                        "The moved block names {} of {} (schema version {}), which {target} cannot take over. \
                         Import the object instead: import {{ to = …, id = \"…\" }}.",
                        source.type_name, source.provider, source.schema_version
                    ),
                ))
            })?
        };
        let state = empty_blocks(entry.body(), state);
        let identity = entry.resource.identify(&state);
        Ok(Brought { state, identity, private })
    }

    /// A stored state in the current schema.
    pub fn upgrade(&self, entry: &Entry<P::Context>, version: i64, raw: &[u8]) -> Result<Value, Diagnostics> {
        let name = entry.resource.type_name();
        let failed = |why: String| {
            Diagnostics::from(Diagnostic::error(format!("Reading the stored state of {name} failed"), why))
        };
        if version != SCHEMA_VERSION {
            return Err(failed(format!(
                "It was written with schema version {version}; this provider knows version {SCHEMA_VERSION}. \
                 Use the provider version that wrote it."
            )));
        }
        let state: Json = serde_json::from_slice(raw).map_err(|error| failed(error.to_string()))?;
        let state = json::decode(&state, entry.ty()).map_err(|error| failed(error.to_string()))?;
        if state.is_null() {
            return Err(failed("It is null.".to_owned()));
        }
        let state = empty_blocks(entry.body(), state);
        if let Some(id) = entry.resource.object_id(&state) {
            self.run_ids().found_in_state(&id);
        }
        Ok(state)
    }

    /// A configuration of which `state` would be the result.
    pub fn generate(&self, entry: &Entry<P::Context>, state: &Value) -> Value {
        let mut config = generated(entry.body(), state);
        config.set("timeouts", Value::Null);
        entry.resource.generate(&mut config);
        config
    }
}

/// Every schema of ours is still at its first version.
pub const SCHEMA_VERSION: i64 = 0;

fn identity_texts<C: Send + Sync>(
    entry: &Entry<C>,
    identity: &Value,
) -> Result<BTreeMap<String, String>, Diagnostics> {
    let mut texts = BTreeMap::new();
    for field in entry.resource.identity() {
        match identity.get(field.name).as_str().filter(|text| !text.is_empty()) {
            Some(text) => {
                texts.insert(field.name.to_owned(), text.to_owned());
            }
            None if field.required => {
                return Err(Diagnostic::error(
                    format!("Importing {}: the identity lacks {}", entry.resource.type_name(), field.name),
                    format!("{}: {}", field.name, field.doc),
                )
                .into());
            }
            None => {}
        }
    }
    Ok(texts)
}

/// Collections of blocks are empty, never null.
pub fn empty_blocks(body: &Body, mut value: Value) -> Value {
    if !value.is_known() {
        return value;
    }
    for block in &body.blocks {
        let inner = value.get(block.name).clone();
        let inner = match (block.nesting, inner) {
            (Nesting::List, Value::Null) => Value::List(Vec::new()),
            (Nesting::Set, Value::Null) => Value::Set(Vec::new()),
            (Nesting::Single, inner) => empty_blocks(&block.body, inner),
            (Nesting::List, Value::List(elements)) => {
                Value::List(elements.into_iter().map(|e| empty_blocks(&block.body, e)).collect())
            }
            (Nesting::Set, Value::Set(elements)) => {
                Value::Set(elements.into_iter().map(|e| empty_blocks(&block.body, e)).collect())
            }
            (_, inner) => inner,
        };
        value.set(block.name, inner);
    }
    value
}

// What the provider gives by itself is left out: computed values, defaults, empty optional collections.
fn generated(body: &Body, state: &Value) -> Value {
    if !state.is_known() {
        return Value::Null;
    }
    let attributes = body.attributes.iter().map(|attribute| {
        let value = state.get(attribute.name);
        let silent = !attribute.is_configurable()
            || attribute.deprecated.is_some()
            || attribute.default.as_ref() == Some(value)
            || attribute.mode != crate::schema::spec::Mode::Required && value.is_empty();
        (attribute.name, if silent { Value::Null } else { value.clone() })
    });
    let blocks = body.blocks.iter().map(|block| {
        let value = match state.get(block.name) {
            Value::List(elements) => {
                Value::List(elements.iter().map(|e| generated(&block.body, e)).collect())
            }
            Value::Set(elements) => Value::Set(elements.iter().map(|e| generated(&block.body, e)).collect()),
            other => generated(&block.body, other),
        };
        (block.name, value)
    });
    empty_blocks(body, Value::object(attributes.chain(blocks)))
}
