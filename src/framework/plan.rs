//! Pure planning: computes the planned state from the configuration and the prior state in a fixed order of steps.
//!
//! 1. the configuration, with defaults and with prior values of computed attributes where it has no value;
//! 2. the prior spelling of values that have not changed in meaning;
//! 3. the resource's own changes ([`Resource::prepare`](super::Resource::prepare) and
//!    [`Resource::resolve`](super::Resource::resolve));
//! 4. the paths whose change replaces the resource;
//! 5. only if anything changed: computed values that may change become unknown.

use super::spelling::{NullAndEmpty, find_match, keep_prior_spelling};
use crate::schema::{Attribute, Block, Body, Diagnostics, Nesting, Path, Value};

/// A plan while the resource may still change it.
pub struct Draft<'a> {
    /// The configuration; may hold unknown values.
    pub config: &'a Value,
    /// The prior state; null when there is no object.
    pub prior: &'a Value,
    /// The planned state; may hold unknown values.
    pub planned: Value,
    /// Paths whose change replaces the resource, in addition to those of the schema.
    pub replace: Vec<Path>,
    /// Whether the change leaves volatile values as they are, although it is sent to the service.
    pub keeps_volatile: bool,
    /// Errors and warnings.
    pub diagnostics: Diagnostics,
}

impl<'a> Draft<'a> {
    /// A draft of `planned` without replacements or diagnostics.
    pub fn new(config: &'a Value, prior: &'a Value, planned: Value) -> Draft<'a> {
        Draft {
            config,
            prior,
            planned,
            replace: Vec::new(),
            keeps_volatile: false,
            diagnostics: Diagnostics::new(),
        }
    }

    /// Whether the plan creates an object.
    pub fn is_create(&self) -> bool {
        self.prior.is_null()
    }

    /// Whether the root attribute or block `name` changes (unknown counts as a change).
    pub fn changes(&self, name: &str) -> bool {
        self.planned.get(name) != self.prior.get(name)
    }
}

/// A finished plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The planned state.
    pub planned: Value,
    /// Paths that force a replacement; empty on create.
    pub replace: Vec<Path>,
}

/// Steps 1 and 2. `config` is not null. Terraform's proposed state is not needed: it equals step 1 without the defaults.
pub fn begin(body: &Body, config: &Value, prior: &Value) -> Value {
    keep_prior_spelling(body, fill(body, config, prior), prior, NullAndEmpty::Distinct)
}

/// Steps 4 and 5, after the resource's own changes.
pub fn finish(body: &Body, draft: &mut Draft<'_>) -> Plan {
    let prior = draft.prior;
    let planned = std::mem::replace(&mut draft.planned, Value::Null);
    if planned == *prior {
        return Plan { planned: prior.clone(), replace: Vec::new() };
    }
    let mut replace = Vec::new();
    if !prior.is_null() {
        replacing(body, &planned, prior, &Path::root(), &mut replace);
        for path in draft.replace.drain(..) {
            if !replace.contains(&path) {
                replace.push(path);
            }
        }
    }
    let is_sent = prior.is_null()
        || !replace.is_empty()
        || !draft.keeps_volatile && changes_the_object(body, &planned, prior);
    let planned = mark_unknown(body, draft.config, planned, prior, is_sent);
    draft.planned = planned.clone();
    Plan { planned, replace }
}

// Step 1.
fn fill(body: &Body, config: &Value, prior: &Value) -> Value {
    let attributes = body.attributes.iter().map(|attribute| {
        let given = config.get(attribute.name);
        let value = match (given, &attribute.default) {
            (Value::Null, Some(default)) => default.clone(),
            (Value::Null, None) if attribute.is_computed() => prior.get(attribute.name).clone(),
            (given, _) => given.clone(),
        };
        (attribute.name, value)
    });
    let blocks = body.blocks.iter().map(|block| {
        let value = fill_block(block, config.get(block.name), prior.get(block.name));
        (block.name, value)
    });
    Value::object(attributes.chain(blocks))
}

fn fill_block(block: &Block, config: &Value, prior: &Value) -> Value {
    match (block.nesting, config) {
        (_, Value::Unknown) => Value::Unknown,
        (Nesting::Single, Value::Null) => Value::Null,
        (Nesting::Single | Nesting::Group, config) => fill(&block.body, config, prior),
        (Nesting::List, config) => Value::List(
            config
                .elements()
                .iter()
                .enumerate()
                .map(|(index, config)| {
                    let prior = prior.elements().get(index).unwrap_or(&Value::Null);
                    fill_element(block, config, prior)
                })
                .collect(),
        ),
        (Nesting::Set, config) => Value::Set(
            config
                .elements()
                .iter()
                .map(|config| {
                    let prior = find_match(block.key, config, prior.elements()).unwrap_or(&Value::Null);
                    fill_element(block, config, prior)
                })
                .collect(),
        ),
    }
}

fn fill_element(block: &Block, config: &Value, prior: &Value) -> Value {
    if config.is_unknown() { Value::Unknown } else { fill(&block.body, config, prior) }
}

// Whether an update sends anything to the service.
fn changes_the_object(body: &Body, planned: &Value, prior: &Value) -> bool {
    let attributes = body.attributes.iter().filter(|attribute| !attribute.local);
    let names = attributes.map(|attribute| attribute.name);
    let blocks = body.blocks.iter().map(|block| block.name).filter(|name| *name != "timeouts");
    names.chain(blocks).any(|name| planned.get(name) != prior.get(name))
}

// Step 5. Volatile values become unknown only where a request that may change them `is_sent`.
fn mark_unknown(body: &Body, config: &Value, planned: Value, prior: &Value, is_sent: bool) -> Value {
    let Value::Object(mut fields) = planned else {
        return planned;
    };
    for attribute in &body.attributes {
        if let Some(value) = fields.get_mut(attribute.name)
            && may_change(attribute, config.get(attribute.name), value, prior.get(attribute.name), is_sent)
        {
            *value = Value::Unknown;
        }
    }
    for block in &body.blocks {
        let Some(slot) = fields.get_mut(block.name) else { continue };
        let config = config.get(block.name);
        let prior = prior.get(block.name);
        let value = std::mem::replace(slot, Value::Null);
        *slot = match (block.nesting, value) {
            (Nesting::Single | Nesting::Group, value @ Value::Object(_)) => {
                mark_unknown(&block.body, config, value, prior, is_sent)
            }
            (Nesting::List, Value::List(elements)) => Value::List(
                elements
                    .into_iter()
                    .enumerate()
                    .map(|(i, element)| {
                        let config = config.elements().get(i).unwrap_or(&Value::Null);
                        let prior = prior.elements().get(i).unwrap_or(&Value::Null);
                        mark_unknown(&block.body, config, element, prior, is_sent)
                    })
                    .collect(),
            ),
            // planned elements are in the configuration's order unless nothing in the set has changed
            (Nesting::Set, Value::Set(elements)) => Value::Set(
                elements
                    .into_iter()
                    .map(|element| {
                        let config = find_match(block.key, &element, config.elements())
                            .unwrap_or(&Value::Null)
                            .clone();
                        let prior =
                            find_match(block.key, &element, prior.elements()).unwrap_or(&Value::Null).clone();
                        mark_unknown(&block.body, &config, element, &prior, is_sent)
                    })
                    .collect(),
            ),
            (_, value) => value,
        };
    }
    Value::Object(fields)
}

// Whether a computed value is not determined yet, or may change with any request.
fn may_change(attribute: &Attribute, config: &Value, planned: &Value, prior: &Value, is_sent: bool) -> bool {
    attribute.is_computed()
        && attribute.default.is_none()
        && config.is_null()
        && (planned.is_null() || is_sent && is_volatile(attribute, planned) && planned == prior)
}

fn is_volatile(attribute: &Attribute, value: &Value) -> bool {
    attribute.volatile && attribute.steady.is_none_or(|steady| value.as_str() != Some(steady))
}

// Step 4.
fn replacing(body: &Body, planned: &Value, prior: &Value, path: &Path, out: &mut Vec<Path>) {
    for attribute in body.attributes.iter().filter(|a| a.force_new) {
        let (planned, prior) = (planned.get(attribute.name), prior.get(attribute.name));
        // a resource may plan another spelling of the same
        let means_same = match (attribute.equivalence, planned.as_str(), prior.as_str()) {
            (Some(same), Some(planned), Some(prior)) => same(planned, prior),
            _ => planned == prior,
        };
        if !means_same {
            out.push(path.then(attribute.name));
        }
    }
    for block in &body.blocks {
        let (planned, prior) = (planned.get(block.name), prior.get(block.name));
        if planned == prior {
            continue;
        }
        let path = path.then(block.name);
        if block.force_new && block.nesting == Nesting::List && !planned.is_unknown() {
            // Terraform marks the elements that are named
            let (planned, prior) = (planned.elements(), prior.elements());
            let indices = 0..planned.len().max(prior.len());
            let differing = indices.filter(|index| planned.get(*index) != prior.get(*index));
            out.extend(differing.map(|index| path.index(index)));
            continue;
        }
        if block.force_new {
            out.push(path);
            continue;
        }
        match block.nesting {
            Nesting::Single | Nesting::Group if planned.is_known() && prior.is_known() => {
                replacing(&block.body, planned, prior, &path, out);
            }
            Nesting::List => {
                for (index, (planned, prior)) in planned.elements().iter().zip(prior.elements()).enumerate() {
                    replacing(&block.body, planned, prior, &path.index(index), out);
                }
            }
            // elements of sets cannot be addressed; a resource adds such paths itself where it needs to
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;
    use crate::schema::spec::*;
    use crate::schema::{Model, Set, Slot};

    model! {
        pub struct Region {
            pub name: String = required().equivalent_if(same),
            pub count: Option<i64> = optional().default(1),
        }
    }
    model! {
        pub struct Inner {
            pub kind: Option<String> = optional().force_new(),
            pub made: Option<String> = computed(),
        }
    }
    model! {
        pub struct Thing {
            pub id: Option<String> = computed(),
            pub etag: Option<String> = computed().volatile(),
            pub state: Option<String> = computed().volatile_unless("Ready"),
            pub name: String = required().force_new(),
            pub location: Option<String> = optional_computed().force_new().equivalent_if(same),
            pub mode: Option<String> = optional().default("full"),
            pub note: Option<String> = optional(),
            pub keep: Option<bool> = optional().default(false).local(),
            pub region: Set<Region> = block().key(key),
            pub inner: Option<Inner> = block(),
            pub source: Option<Inner> = block().force_new(),
            pub step: Vec<Region> = block().force_new(),
        }
    }

    fn same(a: &str, b: &str) -> bool {
        a.eq_ignore_ascii_case(b)
    }

    fn key(value: &Value) -> Option<String> {
        value.get("name").as_str().map(str::to_lowercase)
    }

    fn config(fields: &[(&str, Value)]) -> Value {
        let mut config = Thing { name: "n".into(), ..Default::default() }.encode();
        for (name, value) in fields {
            config.set(name, value.clone());
        }
        config
    }

    fn run(config: &Value, prior: &Value) -> Plan {
        let body = <Thing as Model>::body();
        let mut draft = Draft::new(config, prior, begin(&body, config, prior));
        finish(&body, &mut draft)
    }

    fn state() -> Value {
        Thing {
            id: Some("1".into()),
            etag: Some("e".into()),
            state: Some("Ready".into()),
            name: "n".into(),
            location: Some("West".into()),
            mode: Some("full".into()),
            note: None,
            keep: Some(false),
            region: Set(vec![
                Region { name: "East".into(), count: Some(1) },
                Region { name: "West".into(), count: Some(2) },
            ]),
            inner: Some(Inner { kind: Some("k".into()), made: Some("m".into()) }),
            source: None,
            step: Vec::new(),
        }
        .encode()
    }

    fn regions(rows: &[(&str, Option<i64>)]) -> Value {
        Value::Set(
            rows.iter()
                .map(|(name, count)| Region { name: name.to_string(), count: *count }.encode())
                .collect(),
        )
    }

    fn inner(kind: &str) -> Value {
        Value::object([("kind", kind.into()), ("made", Value::Null)])
    }

    #[test]
    fn create_plans_defaults_and_leaves_other_computed_values_unknown() {
        let plan = run(&config(&[("inner", inner("k"))]), &Value::Null);
        assert_eq!(plan.planned.get("mode").as_str(), Some("full"));
        for unknown in ["id", "etag", "location"] {
            assert!(plan.planned.get(unknown).is_unknown(), "{unknown}");
        }
        assert!(plan.planned.get("inner").get("made").is_unknown());
        assert!(plan.planned.get("note").is_null());
        assert!(plan.replace.is_empty());
    }

    #[test]
    fn a_different_spelling_or_order_plans_no_change() {
        let config = config(&[
            ("location", "WEST".into()),
            ("region", regions(&[("west", Some(2)), ("EAST", None)])),
            ("inner", inner("k")),
        ]);
        let plan = run(&config, &state());
        assert_eq!(plan.planned, state());
        assert!(plan.replace.is_empty());
    }

    #[test]
    fn a_value_missing_from_the_prior_state_does_not_force_replacement() {
        let mut prior = state();
        prior.set("location", Value::Null);
        let plan = run(&config(&[("note", "new".into()), ("inner", inner("k"))]), &prior);
        assert!(plan.planned.get("location").is_unknown());
        assert_eq!(plan.replace, []);
        let plan = run(&config(&[("location", Value::Unknown)]), &prior);
        assert_eq!(plan.replace, [Path::attribute("location")], "a configured value may replace");
    }

    #[test]
    fn a_change_of_local_attributes_keeps_volatile_values() {
        let config = config(&[
            ("keep", true.into()),
            ("region", state().get("region").clone()),
            ("inner", inner("k")),
        ]);
        let plan = run(&config, &state());
        assert_eq!(plan.planned.get("keep").as_bool(), Some(true));
        assert_eq!(plan.planned.get("etag").as_str(), Some("e"));
    }

    #[test]
    fn an_update_keeps_unrelated_values() {
        let config = config(&[
            ("note", "hello".into()),
            ("region", regions(&[("west", Some(3)), ("north", None)])),
            ("inner", inner("k")),
        ]);
        let plan = run(&config, &state());
        assert_eq!(plan.planned.get("id").as_str(), Some("1"));
        assert!(plan.planned.get("etag").is_unknown());
        assert_eq!(plan.planned.get("state").as_str(), Some("Ready"));
        assert_eq!(plan.planned.get("location").as_str(), Some("West"));
        assert_eq!(plan.planned.get("region"), &regions(&[("West", Some(3)), ("north", Some(1))]));
        assert!(plan.replace.is_empty());
    }

    #[test]
    fn lists_the_paths_that_force_a_replacement() {
        let rows: &[(&str, Value, &str)] = &[
            ("name", "other".into(), "name"),
            ("name", Value::Unknown, "name"),
            ("location", "East".into(), "location"),
            ("inner", inner("other"), "inner.kind"),
            ("source", inner("k"), "source"),
        ];
        for (name, value, path) in rows {
            let config = config(&[
                ("region", state().get("region").clone()),
                ("inner", inner("k")),
                (*name, value.clone()),
            ]);
            let plan = run(&config, &state());
            let paths: Vec<String> = plan.replace.iter().map(Path::to_string).collect();
            assert_eq!(paths, [*path]);
        }
    }

    #[test]
    fn lists_the_list_elements_that_force_a_replacement() {
        let steps = |names: &[&str]| {
            let step = |name: &&str| Region { name: name.to_string(), count: Some(1) }.encode();
            Value::List(names.iter().map(step).collect())
        };
        let mut prior = state();
        prior.set("step", steps(&["a", "b"]));
        let rows: &[(Value, &[&str])] = &[
            (steps(&["a", "b"]), &[]),
            (steps(&["a"]), &["step[1]"]),
            (steps(&["c", "b", "d"]), &["step[0]", "step[2]"]),
            (Value::Unknown, &["step"]),
        ];
        for (value, expected) in rows {
            let config = config(&[
                ("region", prior.get("region").clone()),
                ("inner", inner("k")),
                ("step", value.clone()),
            ]);
            let paths: Vec<String> = run(&config, &prior).replace.iter().map(Path::to_string).collect();
            assert_eq!(paths, *expected, "{value:?}");
        }
    }

    #[test]
    fn unknown_blocks_stay_unknown() {
        let config = config(&[("region", Value::Unknown), ("inner", Value::Unknown)]);
        for prior in [Value::Null, state()] {
            let plan = run(&config, &prior);
            assert!(plan.planned.get("region").is_unknown());
            assert!(plan.planned.get("inner").is_unknown());
        }
    }
}
