//! What may be written where: attributes, blocks and their flags, the one list that schema, planning, validation and docs read.

use std::fmt;
use std::sync::Arc;

use super::{Diagnostics, Path, Type, Value};

/// A check of one known, non-null value; the error is a sentence without the attribute's name.
pub type Check = Arc<dyn Fn(&Value) -> Result<(), String> + Send + Sync>;

/// A check across the attributes of one body, given the body's value and where it stands. Unknowns must pass.
pub type BodyCheck = fn(&Value, &Path, &mut Diagnostics);

/// Whether two spellings mean the same.
pub type Equivalence = fn(&str, &str) -> bool;

/// Who gives the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The user must.
    Required,
    /// The user may.
    Optional,
    /// The provider does.
    Computed,
    /// The user may, else the provider does.
    OptionalComputed,
}

/// One attribute of a body.
#[derive(Clone)]
pub struct Attribute {
    /// Its name in HCL.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// Who gives it.
    pub mode: Mode,
    /// A change replaces the resource.
    pub force_new: bool,
    /// Redacted in Terraform's output.
    pub sensitive: bool,
    /// Computed, and unknown again whenever the resource changes.
    pub volatile: bool,
    /// The value of a volatile attribute that a change leaves as it is.
    pub steady: Option<&'static str>,
    /// Kept in the state only: a change of it does not reach the service.
    pub local: bool,
    /// In a data source: the result says exactly what the configuration asked for in other words (`latest`, say), so it
    /// replaces the configured value.
    pub resolved: bool,
    /// Planned when the configuration says nothing.
    pub default: Option<Value>,
    /// The empty value of the attribute's type becomes its default.
    pub empty_default: bool,
    /// The only texts allowed; empty = any.
    pub one_of: &'static [&'static str],
    /// Further checks of a known value.
    pub checks: Vec<Check>,
    /// When two spellings mean the same, the old one stays.
    pub equivalence: Option<Equivalence>,
    /// Markdown, from the model's doc comment.
    pub doc: String,
    /// Why not to use it any more.
    pub deprecated: Option<&'static str>,
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attribute({}: {:?} {:?})", self.name, self.mode, self.ty)
    }
}

impl Attribute {
    /// Whether the provider may give the value.
    pub fn is_computed(&self) -> bool {
        matches!(self.mode, Mode::Computed | Mode::OptionalComputed)
    }

    /// Whether the user may give the value.
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

    /// Unknown again whenever the resource changes, unless it has this value, which a successful change leaves as it is.
    pub fn volatile_unless(mut self, steady: &'static str) -> Self {
        self.steady = Some(steady);
        self.volatile()
    }

    /// Kept in the state only: a change of it alone leaves volatile attributes as they are.
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// The result of a data source replaces what was configured.
    pub fn resolved(mut self) -> Self {
        self.resolved = true;
        self
    }

    /// Planned when the configuration says nothing; makes the attribute optional and computed, as Terraform demands.
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self.mode = Mode::OptionalComputed;
        self
    }

    /// Null and empty mean the same: an attribute that is not configured is planned as empty. A module that passes `""` or
    /// `[]` for "not set" then changes nothing, and neither does an import of an object without the value.
    pub fn or_empty(mut self) -> Self {
        self.empty_default = true;
        self.mode = Mode::OptionalComputed;
        self
    }

    /// Only these texts (for a set or list: each element).
    pub fn one_of(mut self, texts: &'static [&'static str]) -> Self {
        self.one_of = texts;
        self
    }

    /// A further check of a known value.
    pub fn check(mut self, check: impl Fn(&Value) -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.checks.push(Arc::new(check));
        self
    }

    /// A further check of a known text, or of each text of a collection.
    pub fn check_text(self, check: fn(&str) -> Result<(), String>) -> Self {
        self.check(move |value| match value {
            Value::String(text) => check(text),
            value => value.elements().iter().filter_map(Value::as_str).try_for_each(check),
        })
    }

    /// An integer between `low` and `high`, both included.
    pub fn between(self, low: i64, high: i64) -> Self {
        self.check(move |value| match value.as_i64() {
            Some(int) if (low..=high).contains(&int) => Ok(()),
            _ => Err(format!("must be between {low} and {high}")),
        })
    }

    /// Spellings that mean the same are no difference.
    pub fn equivalent_if(mut self, equivalence: Equivalence) -> Self {
        self.equivalence = Some(equivalence);
        self
    }

    /// Not to be used any more, and why.
    pub fn deprecated(mut self, why: &'static str) -> Self {
        self.deprecated = Some(why);
        self
    }
}

/// How often a block may stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nesting {
    /// At most once: an object.
    #[default]
    Single,
    /// At most once: an object that is never null. An absent block means one with nothing in it.
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
    /// How often it may stand.
    pub nesting: Nesting,
    /// At least so often (list and set; a single block is required when 1).
    pub min: u64,
    /// At most so often; 0 = any number.
    pub max: u64,
    /// An absent block and one with nothing but defaults mean the same: a single block becomes a [`Nesting::Group`].
    pub group: bool,
    /// A change of whether it stands (and, in a set or list, of anything in it) replaces the resource.
    pub force_new: bool,
    /// What makes two elements of a set the same element.
    pub key: Option<fn(&Value) -> Option<String>>,
    /// What may be written inside.
    pub body: Body,
}

impl Block {
    /// A change replaces the resource.
    pub fn force_new(mut self) -> Self {
        self.force_new = true;
        self
    }

    /// An absent block and one with nothing but defaults mean the same.
    pub fn group(mut self) -> Self {
        self.group = true;
        self
    }

    /// At least one must stand.
    pub fn required(mut self) -> Self {
        self.min = 1;
        self
    }

    /// What makes two elements of the set the same element.
    pub fn key(mut self, key: fn(&Value) -> Option<String>) -> Self {
        self.key = Some(key);
        self
    }

    /// Checks across its attributes.
    pub fn check(mut self, check: BodyCheck) -> Self {
        self.body.checks.push(check);
        self
    }
}

/// What may be written in a resource, a data source, a provider or a block.
#[derive(Clone, Default)]
pub struct Body {
    /// Attributes, in the order of the docs.
    pub attributes: Vec<Attribute>,
    /// Nested blocks, in the order of the docs.
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
    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// The block of that name.
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
                // how often a block stands is enforced by core, from min and max
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
                format!("{path} must not be an empty text. Omit it, or set it to null."),
            );
            return;
        }
        if value.elements().iter().any(Value::is_null) {
            diagnostics.error(
                path.clone(),
                format!("{path} holds a null"),
                "Every element needs a value: leave those out that have none, with compact([…]) say.",
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
                    // a wrong case is the commonest slip: name the right spelling
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
                // a reason that quotes the value itself is a whole sentence already
                let sentence =
                    if reason.starts_with('"') { reason } else { format!("{} {reason}", show(value)) };
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

// A value as the user might have written it, short.
fn show(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Number(number) => number.to_string(),
        Value::Bool(bool) => bool.to_string(),
        _ => "The value".to_owned(),
    }
}

/// What a model's field declares: an attribute or a block, before it knows its name and type.
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

/// An attribute that the user must give.
pub fn required() -> Attribute {
    attribute(Mode::Required)
}

/// An attribute that the user may give.
pub fn optional() -> Attribute {
    attribute(Mode::Optional)
}

/// An attribute that the provider gives.
pub fn computed() -> Attribute {
    attribute(Mode::Computed)
}

/// An attribute that the user may give, else the provider does.
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
