//! The Schema section of a page: required, optional and read-only attributes, then nested blocks with anchors.

use std::fmt::Write as _;
use std::time::Duration;

use super::duration_text;
use crate::schema::spec::Mode;
use crate::schema::{Attribute, Block, Body, Nesting, Type, Value};

/// The default of each operation's timeout, by its name in the `timeouts` block.
pub struct Timeouts<'t>(pub &'t [(&'static str, Duration)]);

const TIMEOUTS: &str = "timeouts";

/// The whole section, from its heading.
pub fn section(body: &Body, timeouts: &Timeouts<'_>) -> String {
    let mut page = String::from("\n## Schema\n");
    listed(&mut page, body, &[], "###", timeouts);
    nested(&mut page, body, &[], timeouts);
    page
}

// The three lists of a body. `heading` is empty in nested blocks, where tfplugindocs writes plain lines too.
fn listed(page: &mut String, body: &Body, path: &[&str], heading: &str, timeouts: &Timeouts<'_>) {
    for (title, of) in
        [("Required", Input::Required), ("Optional", Input::Optional), ("Read-Only", Input::ReadOnly)]
    {
        let attributes = body.attributes.iter().filter(|attribute| input_of(attribute) == of);
        let mut lines: Vec<String> = attributes.map(|a| line(a, path, timeouts)).collect();
        lines.extend(
            body.blocks.iter().filter(|block| input_of_block(block) == of).map(|b| block_line(b, path)),
        );
        if lines.is_empty() {
            continue;
        }
        let title = if heading.is_empty() { format!("{title}:") } else { format!("{heading} {title}") };
        let _ = write!(page, "\n{title}\n\n{}\n", lines.join("\n"));
    }
}

// The nested blocks, each before the blocks inside it.
fn nested(page: &mut String, body: &Body, path: &[&str], timeouts: &Timeouts<'_>) {
    for attribute in &body.attributes {
        objects(page, &attribute.ty, &[path, &[attribute.name]].concat());
    }
    for block in &body.blocks {
        let path = [path, &[block.name]].concat();
        let _ = write!(
            page,
            "\n<a id=\"nestedblock--{}\"></a>\n### Nested Schema for `{}`\n",
            path.join("--"),
            path.join(".")
        );
        if !block.body.doc.is_empty() && block.name != TIMEOUTS {
            let _ = write!(page, "\n{}\n", one_line(&block.body.doc));
        }
        if block.force_new {
            *page += "\nChanging anything in this block forces a new resource.\n";
        }
        listed(page, &block.body, &path, "", timeouts);
        nested(page, &block.body, &path, timeouts);
    }
}

// The fields of an attribute that is an object or a collection of objects, and of the objects in it.
fn objects(page: &mut String, ty: &Type, path: &[&str]) {
    let Some(fields) = object(ty) else { return };
    let _ = write!(
        page,
        "\n<a id=\"nestedatt--{}\"></a>\n### Nested Schema for `{}`\n\nRead-Only:\n\n",
        path.join("--"),
        path.join(".")
    );
    for (name, ty) in fields {
        let below = match object(ty) {
            Some(_) => format!(" (see [below for nested schema](#nestedatt--{}--{name}))", path.join("--")),
            None => String::new(),
        };
        let _ = writeln!(page, "- `{name}` ({}){below}", ty.friendly());
    }
    for (name, ty) in fields {
        objects(page, ty, &[path, &[name.as_str()]].concat());
    }
}

#[derive(PartialEq)]
enum Input {
    Required,
    Optional,
    ReadOnly,
}

impl Input {
    fn word(&self) -> Option<&'static str> {
        match self {
            Input::Required => Some("Required"),
            Input::Optional => Some("Optional"),
            Input::ReadOnly => None,
        }
    }
}

fn input_of(attribute: &Attribute) -> Input {
    match attribute.mode {
        Mode::Required => Input::Required,
        Mode::Optional | Mode::OptionalComputed => Input::Optional,
        Mode::Computed => Input::ReadOnly,
    }
}

fn input_of_block(block: &Block) -> Input {
    let body = &block.body;
    if block.min > 0 {
        Input::Required
    } else if body.blocks.is_empty() && body.attributes.iter().all(|attribute| !attribute.is_configurable()) {
        Input::ReadOnly
    } else {
        Input::Optional
    }
}

fn line(attribute: &Attribute, path: &[&str], timeouts: &Timeouts<'_>) -> String {
    let mut kind: Vec<String> = input_of(attribute).word().into_iter().map(str::to_owned).collect();
    kind.push(attribute.ty.friendly());
    if attribute.sensitive {
        kind.push("Sensitive".to_owned());
    }
    if attribute.deprecated.is_some() {
        kind.push("Deprecated".to_owned());
    }
    let mut line = format!("- `{}` ({})", attribute.name, kind.join(", "));
    let mut say = |text: &str| {
        if !text.is_empty() {
            line.push(' ');
            line.push_str(text);
        }
    };
    say(&one_line(&attribute.doc));
    if let Some(why) = attribute.deprecated {
        say(why);
    }
    // the description may explain each value already
    let explained = |text: &&str| attribute.doc.contains(&format!("`{text}`"));
    if !attribute.one_of.iter().all(explained) {
        let texts: Vec<String> = attribute.one_of.iter().map(|text| format!("`{text}`")).collect();
        let values = if matches!(attribute.ty, Type::String) {
            "Possible values are"
        } else {
            "Possible elements are"
        };
        say(&format!("{values} {}.", joined(&texts)));
    }
    if let Some(range) = range(attribute) {
        say(&format!("{range}."));
    }
    if let Some(default) = attribute.default.as_ref().filter(|default| !default.is_unset()) {
        say(&format!("Defaults to `{}`.", literal(default)));
    }
    if path == [TIMEOUTS]
        && let Some((_, duration)) = timeouts.0.iter().find(|(name, _)| *name == attribute.name)
    {
        say(&format!("Defaults to `{}`.", duration_text(*duration)));
    }
    if attribute.force_new {
        say("Changing this forces a new resource.");
    }
    if object(&attribute.ty).is_some() {
        let anchor = [path, &[attribute.name]].concat().join("--");
        say(&format!("(see [below for nested schema](#nestedatt--{anchor}))"));
    }
    line
}

fn block_line(block: &Block, path: &[&str]) -> String {
    let mut kind: Vec<String> = input_of_block(block).word().into_iter().map(str::to_owned).collect();
    let nesting = match block.nesting {
        Nesting::Single | Nesting::Group => "Block",
        Nesting::List => "Block List",
        Nesting::Set => "Block Set",
    };
    kind.push(nesting.to_owned());
    if !matches!(block.nesting, Nesting::Single | Nesting::Group) {
        if block.min > 0 {
            kind.push(format!("min: {}", block.min));
        }
        if block.max > 0 {
            kind.push(format!("max: {}", block.max));
        }
    }
    let anchor = [path, &[block.name]].concat().join("--");
    let mut doc = one_line(&block.body.doc);
    if block.force_new {
        doc += " Changing this forces a new resource.";
    }
    let space = if doc.is_empty() { "" } else { " " };
    format!(
        "- `{}` ({}){space}{doc} (see [below for nested schema](#nestedblock--{anchor}))",
        block.name,
        kind.join(", ")
    )
}

// A range is part of a check, which can only be called: a value outside every range makes the check name its bounds.
fn range(attribute: &Attribute) -> Option<String> {
    if attribute.ty != Type::Number {
        return None;
    }
    let refused = attribute.checks.iter().filter_map(|check| check(&Value::int(i64::MIN)).err());
    refused.into_iter().find_map(|why| {
        why.strip_prefix("must be between ").map(|bounds| format!("Must be between {bounds}"))
    })
}

fn object(ty: &Type) -> Option<&std::collections::BTreeMap<String, Type>> {
    match ty {
        Type::Object(fields) => Some(fields),
        Type::List(element) | Type::Set(element) | Type::Map(element) => object(element),
        _ => None,
    }
}

/// `a`, `b` and `c`, in English.
fn joined(texts: &[String]) -> String {
    match texts {
        [] => String::new(),
        [only] => only.clone(),
        [start @ .., last] => format!("{} and {last}", start.join(", ")),
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(bool) => bool.to_string(),
        other => format!("{other:?}"),
    }
}

/// `doc` on one line.
pub fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;
    use crate::schema::spec::{block, computed, optional, required};
    use crate::schema::{Model, Set};

    model! {
        /// A plan.
        pub struct Plan {
            /// Its name.
            pub name: String = computed(),
        }
    }
    model! {
        /// A disk.
        pub struct Disk {
            /// Its number.
            pub lun: i64 = required().between(0, 63),
            /// How it is cached.
            pub caching: Option<String> = optional().one_of(&["None", "ReadOnly"]),
        }
    }
    model! {
        /// How long.
        pub struct Long {
            /// How long creating may take.
            pub create: Option<String> = optional(),
        }
    }
    model! {
        /// A thing.
        pub struct Thing {
            /// Its
            /// name.
            pub name: String = required().force_new(),
            /// `a` or `b`.
            pub kind: Option<String> = optional().default("a").one_of(&["a", "b"]),
            /// Hidden.
            pub key: Option<String> = optional().sensitive().deprecated("Use `kind`."),
            /// What to buy.
            pub plan: Option<Plan> = computed(),
            /// Its disks.
            pub disk: Set<Disk> = block().force_new(),
            /// How long.
            pub timeouts: Option<Long> = block(),
        }
    }

    #[test]
    fn renders_every_property_of_a_schema() {
        let page = section(&<Thing as Model>::body(), &Timeouts(&[("create", Duration::from_secs(1800))]));
        let expected = "
## Schema

### Required

- `name` (Required, String) Its name. Changing this forces a new resource.

### Optional

- `kind` (Optional, String) `a` or `b`. Defaults to `a`.
- `key` (Optional, String, Sensitive, Deprecated) Hidden. Use `kind`.
- `disk` (Optional, Block Set) Its disks. Changing this forces a new resource. (see [below for nested schema](#nestedblock--disk))
- `timeouts` (Optional, Block) How long. (see [below for nested schema](#nestedblock--timeouts))

### Read-Only

- `plan` (Object) What to buy. (see [below for nested schema](#nestedatt--plan))

<a id=\"nestedatt--plan\"></a>
### Nested Schema for `plan`

Read-Only:

- `name` (String)

<a id=\"nestedblock--disk\"></a>
### Nested Schema for `disk`

Its disks.

Changing anything in this block forces a new resource.

Required:

- `lun` (Required, Number) Its number. Must be between 0 and 63.

Optional:

- `caching` (Optional, String) How it is cached. Possible values are `None` and `ReadOnly`.

<a id=\"nestedblock--timeouts\"></a>
### Nested Schema for `timeouts`

Optional:

- `create` (Optional, String) How long creating may take. Defaults to `30m`.
";
        assert_eq!(page, expected);
    }
}
