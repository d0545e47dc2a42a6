//! Schemas: the attributes and blocks of a body and their flags. Planning, validation and docs are derived from them.

use std::fmt;
use std::sync::Arc;

use super::{Diagnostics, Path, Type, Value};

/// A check of one known, non-null value; the error is a sentence without the attribute's name.
pub type Check = Arc<dyn Fn(&Value) -> Result<(), String> + Send + Sync>;

/// A check across the attributes of one body, given the body's value and its path. Unknown values must pass.
pub type BodyCheck = fn(&Value, &Path, &mut Diagnostics);

/// Whether two spellings have the same meaning.
pub type Equivalence = fn(&str, &str) -> bool;

/// Whether the user or the provider sets the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The user must set it.
    Required,
    /// The user may set it.
    Optional,
    /// The provider sets it.
    Computed,
    /// The user may set it; otherwise the provider does.
    OptionalComputed,
}

/// One attribute of a body.
#[derive(Clone)]
pub struct Attribute {
    /// Its name in HCL.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// Whether the user or the provider sets it.
    pub mode: Mode,
    /// A change replaces the resource.
    pub force_new: bool,
    /// Redacted in Terraform's output.
    pub sensitive: bool,
    /// Computed, and unknown again whenever the resource changes.
    pub volatile: bool,
    /// A volatile attribute with this value keeps it when the resource changes.
    pub steady: Option<&'static str>,
    /// Kept in the state only: a change is not sent to the service.
    pub local: bool,
    /// In a data source: the result replaces the configured value, because it is more specific (for example a version instead
    /// of `latest`).
    pub resolved: bool,
    /// Planned when the attribute is not configured.
    pub default: Option<Value>,
    /// The default is the empty value of the attribute's type.
    pub empty_default: bool,
    /// The allowed strings; empty means that any is allowed.
    pub one_of: &'static [&'static str],
    /// Further checks of a known value.
    pub checks: Vec<Check>,
    /// Spellings that this function considers equal are no change: the prior spelling is kept.
    pub equivalence: Option<Equivalence>,
    /// Markdown, from the model's doc comment.
    pub doc: String,
    /// Why it is deprecated.
    pub deprecated: Option<&'static str>,
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attribute({}: {:?} {:?})", self.name, self.mode, self.ty)
    }
}

impl Attribute {
    /// Whether the provider may set the value.
    pub fn is_computed(&self) -> bool {
        matches!(self.mode, Mode::Computed | Mode::OptionalComputed)
    }

    /// Whether the user may set the value.
    pub fn is_configurable(&self) -> bool {
        self.mode != Mode::Computed
    }

    /// A change replaces the resource.
    pub fn force_new(mut self) -> Self {
        self.force_new = true;
        self
    }

    /// Redacted in Terraform's output.
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// Unknown again whenever the resource changes.
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Unknown again whenever the resource changes, unless it has the value `steady`, which a successful change keeps.
    pub fn volatile_unless(mut self, steady: &'static str) -> Self {
        self.steady = Some(steady);
        self.volatile()
    }

    /// Kept in the state only: a change of it alone does not make volatile attributes unknown.
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// The result of a data source replaces the configured value.
    pub fn resolved(mut self) -> Self {
        self.resolved = true;
        self
    }

    /// Planned when the attribute is not configured. Makes the attribute optional and computed, as Terraform requires.
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self.mode = Mode::OptionalComputed;
        self
    }

    /// Null and empty are equal: an attribute that is not configured is planned as empty. So neither a module that passes `""`
    /// or `[]` for "not set" nor an import of an object without the value plans a change.
    pub fn or_empty(mut self) -> Self {
        self.empty_default = true;
        self.mode = Mode::OptionalComputed;
        self
    }

    /// Allows only these strings (in a set or list: for each element).
    pub fn one_of(mut self, texts: &'static [&'static str]) -> Self {
        self.one_of = texts;
        self
    }

    /// Adds a check of a known value.
    pub fn check(mut self, check: impl Fn(&Value) -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.checks.push(Arc::new(check));
        self
    }

    /// Adds a check of a known string, or of each string of a collection.
    pub fn check_text(self, check: fn(&str) -> Result<(), String>) -> Self {
        self.check(move |value| match value {
            Value::String(text) => check(text),
            value => value.elements().iter().filter_map(Value::as_str).try_for_each(check),
        })
    }

    /// Allows only integers from `low` to `high`, both included.
    pub fn between(self, low: i64, high: i64) -> Self {
        self.check(move |value| match value.as_i64() {
            Some(int) if (low..=high).contains(&int) => Ok(()),
            _ => Err(format!("must be between {low} and {high}")),
        })
    }

    /// Keeps the prior value where `equivalence` considers the new one equal to it.
    pub fn equivalent_if(mut self, equivalence: Equivalence) -> Self {
        self.equivalence = Some(equivalence);
        self
    }

    /// Deprecates the attribute, and says why.
    pub fn deprecated(mut self, why: &'static str) -> Self {
        self.deprecated = Some(why);
        self
    }
}

/// How often a block may occur, and how its occurrences are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nesting {
    /// At most once: an object.
    #[default]
    Single,
    /// At most once: an object that is never null. An absent block is equal to an empty one.
    Group,
    /// In order: a list of objects.
    List,
    /// In any order: a set of objects.
    Set,
}

/// A nested block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its name in HCL.
    pub name: &'static str,
    /// How often it may occur.
    pub nesting: Nesting,
    /// The minimum number of blocks (a single block is required when this is 1).
    pub min: u64,
    /// The maximum number of blocks; 0 means any number.
    pub max: u64,
    /// An absent block is equal to one with nothing but defaults: a single block becomes a [`Nesting::Group`].
    pub group: bool,
    /// Adding or removing the block (and, in a set or list, changing anything in it) replaces the resource.
    pub force_new: bool,
    /// Identifies an element of a set: elements with the same key are the same element.
    pub key: Option<fn(&Value) -> Option<String>>,
    /// The attributes and blocks in it.
    pub body: Body,
}

impl Block {
    /// A change replaces the resource.
    pub fn force_new(mut self) -> Self {
        self.force_new = true;
        self
    }

    /// Makes an absent block equal to one with nothing but defaults.
    pub fn group(mut self) -> Self {
        self.group = true;
        self
    }

    /// At least one block is required.
    pub fn required(mut self) -> Self {
        self.min = 1;
        self
    }

    /// Sets the function that identifies an element of the set.
    pub fn key(mut self, key: fn(&Value) -> Option<String>) -> Self {
        self.key = Some(key);
        self
    }

    /// Adds a check across its attributes.
    pub fn check(mut self, check: BodyCheck) -> Self {
        self.body.checks.push(check);
        self
    }
}

/// The attributes and blocks of a resource, data source, provider or block.
#[derive(Clone, Default)]
pub struct Body {
    /// Attributes, in the order in which the docs list them.
    pub attributes: Vec<Attribute>,
    /// Nested blocks, in the order in which the docs list them.
    pub blocks: Vec<Block>,
    /// Checks across attributes.
    pub checks: Vec<BodyCheck>,
    /// Markdown.
    pub doc: String,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.attributes).entries(&self.blocks).finish()
    }
}

impl Body {
    /// The attribute `name`.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// The block `name`.
    pub fn block(&self, name: &str) -> Option<&Block> {
        self.blocks.iter().find(|b| b.name == name)
    }

    /// The object type of its values: all attributes and all blocks.
    pub fn ty(&self) -> Type {
        let attributes = self.attributes.iter().map(|a| (a.name, a.ty.clone()));
        let blocks = self.blocks.iter().map(|b| {
            let inner = b.body.ty();
            let ty = match b.nesting {
                Nesting::Single | Nesting::Group => inner,
                Nesting::List => Type::list(inner),
                Nesting::Set => Type::set(inner),
            };
            (b.name, ty)
        });
        Type::object(attributes.chain(blocks))
    }

    /// Checks every known value in `value`, a configuration of this body; unknowns pass.
    pub fn validate(&self, value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
        if !value.is_known() {
            return;
        }
        for attribute in &self.attributes {
            let value = value.get(attribute.name);
            if value.is_known() && attribute.is_configurable() {
                attribute.validate(value, &path.then(attribute.name), diagnostics);
            }
        }
        for block in &self.blocks {
            let path = path.then(block.name);
            let value = value.get(block.name);
            match block.nesting {
                // Terraform Core checks the number of blocks against min and max
                Nesting::Single | Nesting::Group => block.body.validate(value, &path, diagnostics),
                Nesting::List => {
                    for (index, element) in value.elements().iter().enumerate() {
                        block.body.validate(element, &path.index(index), diagnostics);
                    }
                }
                Nesting::Set => {
                    for element in value.elements() {
                        block.body.validate(element, &path.element(), diagnostics);
                    }
                }
            }
        }
        for check in &self.checks {
            check(value, path, diagnostics);
        }
    }
}

impl Attribute {
    fn validate(&self, value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
        if let Some(why) = self.deprecated {
            diagnostics.warning(path.clone(), format!("{path} is deprecated"), why);
        }
        if self.default.as_ref() == Some(value) {
            return;
        }
        let is_checked = !self.one_of.is_empty() || self.checks.iter().any(|check| check(value).is_err());
        if self.mode != Mode::Required && value.as_str() == Some("") && is_checked {
            diagnostics.error(
                path.clone(),
                format!("Invalid value for {path}"),
                format!("{path} must not be an empty string. Omit it, or set it to null."),
            );
            return;
        }
        if value.elements().iter().any(Value::is_null) {
            diagnostics.error(
                path.clone(),
                format!("{path} contains a null element"),
                "Every element needs a value. Remove null elements, for example with compact([…]).",
            );
            return;
        }
        let texts: Vec<&str> = match value {
            Value::String(text) => vec![text],
            value => value.elements().iter().filter_map(Value::as_str).collect(),
        };
        if !self.one_of.is_empty() {
            for text in texts {
                if !self.one_of.contains(&text) {
                    let allowed = self.one_of.iter().map(|t| format!("{t:?}")).collect::<Vec<_>>().join(", ");
                    // wrong case is the most common mistake: suggest the right spelling
                    let hint = self
                        .one_of
                        .iter()
                        .find(|t| t.eq_ignore_ascii_case(text))
                        .map(|t| format!(" Did you mean {t:?}?"))
                        .unwrap_or_default();
                    diagnostics.error(
                        path.clone(),
                        format!("Invalid value for {path}"),
                        format!("{text:?} is not one of {allowed}.{hint}"),
                    );
                }
            }
        }
        for check in &self.checks {
            if let Err(reason) = check(value) {
                // a reason that begins with the quoted value is already a complete sentence
                let subject = if self.sensitive { "The value".to_owned() } else { show(value) };
                let sentence = if reason.starts_with('"') { reason } else { format!("{subject} {reason}") };
                let stop = if sentence.ends_with(['.', '?', '!']) { "" } else { "." };
                diagnostics.error(
                    path.clone(),
                    format!("Invalid value for {path}"),
                    format!("{sentence}{stop}"),
                );
            }
        }
    }
}

// A value as the user would have written it.
fn show(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Number(number) => number.to_string(),
        Value::Bool(bool) => bool.to_string(),
        _ => "The value".to_owned(),
    }
}

/// The declaration of a model's field: an attribute or a block whose name and type are not set yet.
pub enum Spec {
    /// An attribute.
    Attribute(Box<Attribute>),
    /// A block.
    Block(Box<Block>),
}

impl From<Attribute> for Spec {
    fn from(attribute: Attribute) -> Spec {
        Spec::Attribute(Box::new(attribute))
    }
}

impl From<Block> for Spec {
    fn from(block: Block) -> Spec {
        Spec::Block(Box::new(block))
    }
}

fn attribute(mode: Mode) -> Attribute {
    Attribute {
        name: "",
        ty: Type::Dynamic,
        mode,
        force_new: false,
        sensitive: false,
        volatile: false,
        steady: None,
        local: false,
        resolved: false,
        default: None,
        empty_default: false,
        one_of: &[],
        checks: Vec::new(),
        equivalence: None,
        doc: String::new(),
        deprecated: None,
    }
}

/// An attribute that the user must set.
pub fn required() -> Attribute {
    attribute(Mode::Required)
}

/// An attribute that the user may set.
pub fn optional() -> Attribute {
    attribute(Mode::Optional)
}

/// An attribute that the provider sets.
pub fn computed() -> Attribute {
    attribute(Mode::Computed)
}

/// An attribute that the user may set; otherwise the provider does.
pub fn optional_computed() -> Attribute {
    attribute(Mode::OptionalComputed)
}

/// A block; its nesting follows from the field's type.
pub fn block() -> Block {
    Block {
        name: "",
        nesting: Nesting::Single,
        min: 0,
        max: 0,
        group: false,
        force_new: false,
        key: None,
        body: Body::default(),
    }
}
