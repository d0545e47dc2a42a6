//! Imports, moves from other resource types, upgrades of stored states, and generated configuration.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Private;
use super::provider::{Entry, Provider, Server};
use super::resource::{ImportFrom, MoveSource};
use crate::schema::{Body, Diagnostic, Diagnostics, Nesting, Value, json};

/// The result of an import or a move.
pub struct Imported {
    /// The state; after an import only the part that a read needs.
    pub state: Value,
    /// The identity, as far as it is known.
    pub identity: Value,
    /// Private state for the read that follows.
    pub private: Private,
}

/// The key in the private state of an imported or moved object that has not been read yet. Its first read takes the
/// service's spelling of all values.
pub(super) const UNREAD: &str = "unwritten";

impl<P: Provider> Server<P> {
    /// The part of an imported object that is needed to read it. Terraform reads it next.
    pub fn import(
        &self,
        entry: &Entry<P::Context>,
        id: &str,
        identity: Option<&Value>,
    ) -> Result<Imported, Diagnostics> {
        let from = match identity {
            Some(identity) if id.is_empty() => ImportFrom::Identity(identity_texts(entry, identity)?),
            _ => ImportFrom::Id(id.to_owned()),
        };
        let context = self.context();
        let state = entry.resource.import(context.as_deref(), &from)?;
        let state = empty_collections(entry.body(), state);
        let identity = entry.resource.identify(&state);
        let mut private = Private::default();
        private.set(UNREAD, &true);
        Ok(Imported { state, identity, private })
    }

    /// Moves an object of another resource type to this one.
    pub fn move_from(&self, entry: &Entry<P::Context>, source: &MoveSource) -> Result<Imported, Diagnostics> {
        let target = entry.resource.type_name();
        let mut private = Private::default();
        // a change of the provider's address is also a move, from the same type
        let state = if source.type_name == target {
            json::decode(&source.state, entry.ty()).map_err(|error| {
                Diagnostic::error(format!("Moving {target}: its state cannot be read"), error.to_string())
            })?
        } else {
            private.set(UNREAD, &true);
            if !entry.resource.moves_from().iter().any(|from| from.matches(source)) {
                return Err(Diagnostic::error(
                    format!("Cannot move {} into {target}", source.type_name),
                    format!(
                        "The moved block names {} of {} (schema version {}), which cannot become {target}. \
                         Import the object instead: import {{ to = …, id = \"…\" }}.",
                        source.type_name, source.provider, source.schema_version
                    ),
                )
                .into());
            }
            let moved = entry.resource.move_from(source).map_err(|error| {
                let id = source.text("id").unwrap_or_default();
                let summary = format!("Moving {}: {id:?} is not a valid ID", source.type_name);
                Diagnostic { summary, ..error }
            })?;
            with_timeouts(entry, moved, source)
        };
        let state = empty_collections(entry.body(), state);
        let identity = entry.resource.identify(&state);
        Ok(Imported { state, identity, private })
    }

    /// Upgrades a stored state to the current schema.
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
        let state = complete(entry.body(), state);
        if let Some(id) = entry.resource.object_id(&state) {
            self.run_ids().found_in_state(&id);
        }
        Ok(state)
    }

    /// Upgrades a stored identity to the current schema. It is our own, or that of another provider whose object was moved here;
    /// the latter contains the object's ID.
    pub fn upgrade_identity(&self, entry: &Entry<P::Context>, raw: &[u8]) -> Result<Value, Diagnostics> {
        let name = entry.resource.type_name();
        let failed = |why: String| {
            Diagnostics::from(Diagnostic::error(format!("Reading the stored identity of {name} failed"), why))
        };
        let raw: Json = serde_json::from_slice(raw).map_err(|error| failed(error.to_string()))?;
        let is_ours = |name: &str| entry.resource.identity().iter().any(|field| field.name == name);
        if let Some(id) = raw.get("id").and_then(Json::as_str).filter(|_| !is_ours("id")) {
            let context = self.context();
            let stub = entry.resource.import(context.as_deref(), &ImportFrom::Id(id.to_owned()))?;
            return Ok(entry.resource.identify(&stub));
        }
        json::decode(&raw, &entry.identity_ty()).map_err(|error| failed(error.to_string()))
    }

    /// Generates a configuration for `state` that plans no changes.
    pub fn generate(&self, entry: &Entry<P::Context>, state: &Value) -> Value {
        let mut config = generated(entry.body(), state);
        config.set("timeouts", Value::Null);
        entry.resource.generate(&mut config);
        config
    }
}

/// The version of all schemas.
pub const SCHEMA_VERSION: i64 = 0;

/// The version of all identity schemas. It is above those of azapi's resources (0), whose identity OpenTofu keeps after a
/// move: a different version makes it ask for an upgrade instead of reading that identity with our schema.
pub const IDENTITY_VERSION: i64 = 10;

// Copies the timeouts block, which other Azure providers have too: a read cannot restore it.
fn with_timeouts<C: Send + Sync>(entry: &Entry<C>, mut state: Value, source: &MoveSource) -> Value {
    let theirs = source.state.get("timeouts");
    if let (Some(block), Some(theirs)) = (entry.body().block("timeouts"), theirs)
        && let Ok(timeouts) = json::decode(theirs, &block.body.ty())
        && timeouts.is_known()
        && block.body.attributes.iter().any(|attribute| timeouts.get(attribute.name).is_known())
    {
        state.set("timeouts", timeouts);
    }
    state
}

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

/// Replaces null collections of blocks by empty ones.
pub fn empty_collections(body: &Body, mut value: Value) -> Value {
    for block in &body.blocks {
        let inner = match (block.nesting, value.get(block.name)) {
            (Nesting::List, Value::Null) => Value::List(Vec::new()),
            (Nesting::Set, Value::Null) => Value::Set(Vec::new()),
            (Nesting::Group, Value::Null) => empty_collections(&block.body, null_object(&block.body)),
            (Nesting::Single | Nesting::Group, inner) if inner.is_known() => {
                empty_collections(&block.body, inner.clone())
            }
            _ => continue,
        };
        value.set(block.name, inner);
    }
    value
}

/// Completes a state: null collections of blocks become empty, and attributes that the service, an import or an older
/// version of the provider left out get their default.
pub fn complete(body: &Body, mut value: Value) -> Value {
    if !value.is_known() {
        return value;
    }
    for attribute in &body.attributes {
        if let (Some(default), Value::Null) = (&attribute.default, value.get(attribute.name)) {
            value.set(attribute.name, default.clone());
        }
    }
    for block in &body.blocks {
        let inner = value.get(block.name).clone();
        let inner = match (block.nesting, inner) {
            (Nesting::List, Value::Null) => Value::List(Vec::new()),
            (Nesting::Set, Value::Null) => Value::Set(Vec::new()),
            (Nesting::Group, Value::Null) => complete(&block.body, null_object(&block.body)),
            (Nesting::Single | Nesting::Group, inner) => complete(&block.body, inner),
            (Nesting::List, Value::List(elements)) => {
                Value::List(elements.into_iter().map(|e| complete(&block.body, e)).collect())
            }
            (Nesting::Set, Value::Set(elements)) => {
                Value::Set(elements.into_iter().map(|e| complete(&block.body, e)).collect())
            }
            (_, inner) => inner,
        };
        value.set(block.name, inner);
    }
    value
}

// An object of nulls.
fn null_object(body: &Body) -> Value {
    let attributes = body.attributes.iter().map(|attribute| (attribute.name, Value::Null));
    Value::object(attributes.chain(body.blocks.iter().map(|block| (block.name, Value::Null))))
}

// Leaves out computed values, defaults and empty optional collections.
fn generated(body: &Body, state: &Value) -> Value {
    if !state.is_known() {
        return Value::Null;
    }
    let attributes = body.attributes.iter().map(|attribute| {
        let value = state.get(attribute.name);
        let is_omitted = !attribute.is_configurable()
            || attribute.deprecated.is_some()
            || attribute.default.as_ref() == Some(value)
            || attribute.mode != crate::schema::spec::Mode::Required && value.is_unset();
        (attribute.name, if is_omitted { Value::Null } else { value.clone() })
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
    empty_collections(body, Value::object(attributes.chain(blocks)))
}
