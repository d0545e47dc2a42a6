//! The Schema section of a page: attributes by who gives them, nested blocks below with anchors.

use std::fmt::Write as _;
use std::time::Duration;

use super::spelt;
use crate::schema::spec::Mode;
use crate::schema::{Attribute, Block, Body, Nesting, Type, Value};

/// What each operation is allowed when the user says nothing, under its name in the `timeouts` block.
pub struct Timeouts<'t>(pub &'t [(&'static str, Duration)]);

const TIMEOUTS: &str = "timeouts";

/// The whole section, from its heading.
pub fn section(body: &Body, timeouts: &Timeouts<'_>) -> String {
    let mut page = String::from("\n## Schema\n");
    listed(&mut page, body, &[], "###", timeouts);
    nested(&mut page, body, &[], timeouts);
    page
}

// The three lists of a body; `heading` is empty below the top, where tfplugindocs too writes mere lines.
fn listed(page: &mut String, body: &Body, path: &[&str], heading: &str, timeouts: &Timeouts<'_>) {
    for (title, of) in [("Required", Give::Must), ("Optional", Give::May), ("Read-Only", Give::Not)] {
        let attributes = body.attributes.iter().filter(|attribute| give(attribute) == of);
        let mut lines: Vec<String> = attributes.map(|a| line(a, path, timeouts)).collect();
        lines.extend(body.blocks.iter().filter(|block| give_block(block) == of).map(|b| block_line(b, path)));
        if lines.is_empty() {
            continue;
        }
        let title = if heading.is_empty() { format!("{title}:") } else { format!("{heading} {title}") };
        let _ = write!(page, "\n{title}\n\n{}\n", lines.join("\n"));
    }
}

// Everything below the top, each block before what is inside it.
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
            let _ = write!(page, "\n{}\n", whole(&block.body.doc));
        }
        if block.force_new {
            *page += "\nAny change in it forces replacement.\n";
        }
        listed(page, &block.body, &path, "", timeouts);
        nested(page, &block.body, &path, timeouts);
    }
}

// What is inside an attribute that is an object, or a collection of them, and inside its own objects.
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
enum Give {
    Must,
    May,
    Not,
}

fn give(attribute: &Attribute) -> Give {
    match attribute.mode {
        Mode::Required => Give::Must,
        Mode::Optional | Mode::OptionalComputed => Give::May,
        Mode::Computed => Give::Not,
    }
}

fn give_block(block: &Block) -> Give {
    let body = &block.body;
    if block.min > 0 {
        Give::Must
    } else if body.blocks.is_empty() && body.attributes.iter().all(|attribute| !attribute.is_configurable()) {
        Give::Not
    } else {
        Give::May
    }
}

fn line(attribute: &Attribute, path: &[&str], timeouts: &Timeouts<'_>) -> String {
    let mut kind = vec![attribute.ty.friendly()];
    if attribute.force_new {
        kind.push("forces replacement".to_owned());
    }
    if attribute.sensitive {
        kind.push("sensitive".to_owned());
    }
    if attribute.deprecated.is_some() {
        kind.push("deprecated".to_owned());
    }
    let mut line = format!("- `{}` ({})", attribute.name, kind.join(", "));
    let mut say = |text: &str| {
        if !text.is_empty() {
            line.push(' ');
            line.push_str(text);
        }
    };
    say(&whole(&attribute.doc));
    if let Some(why) = attribute.deprecated {
        say(why);
    }
    // where the words explain each value already, a bare list of them says nothing new
    let explained = |text: &&str| attribute.doc.contains(&format!("`{text}`"));
    if !attribute.one_of.iter().all(explained) {
        let texts: Vec<String> = attribute.one_of.iter().map(|text| format!("`{text}`")).collect();
        let among = if matches!(attribute.ty, Type::String) { "One of" } else { "Each is one of" };
        say(&format!("{among} {}.", texts.join(", ")));
    }
    if let Some(range) = range(attribute) {
        say(&format!("{range}."));
    }
    if let Some(default) = &attribute.default {
        say(&format!("Default: `{}`.", shown(default)));
    }
    if path == [TIMEOUTS]
        && let Some((_, duration)) = timeouts.0.iter().find(|(name, _)| *name == attribute.name)
    {
        say(&format!("Default: `{}`.", spelt(*duration)));
    }
    if object(&attribute.ty).is_some() {
        let anchor = [path, &[attribute.name]].concat().join("--");
        say(&format!("(see [below for nested schema](#nestedatt--{anchor}))"));
    }
    line
}

fn block_line(block: &Block, path: &[&str]) -> String {
    let mut kind = vec![
        match block.nesting {
            Nesting::Single => "Block",
            Nesting::List => "Block List",
            Nesting::Set => "Block Set",
        }
        .to_owned(),
    ];
    if block.nesting != Nesting::Single {
        if block.min > 0 {
            kind.push(format!("min: {}", block.min));
        }
        if block.max > 0 {
            kind.push(format!("max: {}", block.max));
        }
    }
    if block.force_new {
        kind.push("forces replacement".to_owned());
    }
    let anchor = [path, &[block.name]].concat().join("--");
    let doc = whole(&block.body.doc);
    let space = if doc.is_empty() { "" } else { " " };
    format!(
        "- `{}` ({}){space}{doc} (see [below for nested schema](#nestedblock--{anchor}))",
        block.name,
        kind.join(", ")
    )
}

// Ranges stand in checks, which can only be asked: what no range holds makes the check name its bounds.
fn range(attribute: &Attribute) -> Option<String> {
    if attribute.ty != Type::Number {
        return None;
    }
    let refused = attribute.checks.iter().filter_map(|check| check(&Value::int(i64::MIN)).err());
    refused
        .into_iter()
        .find_map(|why| why.strip_prefix("must be between ").map(|bounds| format!("Between {bounds}")))
}

fn object(ty: &Type) -> Option<&std::collections::BTreeMap<String, Type>> {
    match ty {
        Type::Object(fields) => Some(fields),
        Type::List(element) | Type::Set(element) | Type::Map(element) => object(element),
        _ => None,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(bool) => bool.to_string(),
        other => format!("{other:?}"),
    }
}

/// `doc` on one line.
pub fn whole(doc: &str) -> String {
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
    fn everything_that_a_schema_knows_is_told() {
        let page = section(&<Thing as Model>::body(), &Timeouts(&[("create", Duration::from_secs(1800))]));
        let expected = "
## Schema

### Required

- `name` (String, forces replacement) Its name.

### Optional

- `kind` (String) `a` or `b`. Default: `a`.
- `key` (String, sensitive, deprecated) Hidden. Use `kind`.
- `disk` (Block Set, forces replacement) Its disks. (see [below for nested schema](#nestedblock--disk))
- `timeouts` (Block) How long. (see [below for nested schema](#nestedblock--timeouts))

### Read-Only

- `plan` (Object) What to buy. (see [below for nested schema](#nestedatt--plan))

<a id=\"nestedatt--plan\"></a>
### Nested Schema for `plan`

Read-Only:

- `name` (String)

<a id=\"nestedblock--disk\"></a>
### Nested Schema for `disk`

Its disks.

Any change in it forces replacement.

Required:

- `lun` (Number) Its number. Between 0 and 63.

Optional:

- `caching` (String) How it is cached. One of `None`, `ReadOnly`.

<a id=\"nestedblock--timeouts\"></a>
### Nested Schema for `timeouts`

Optional:

- `create` (String) How long creating may take. Default: `30m`.
";
        assert_eq!(page, expected);
    }
}
