//! Terraform core's checks of a provider, as pure functions over the wire schema: the proposed new state, and the accepted
//! plans, results and schemas.
#![allow(dead_code, reason = "each test file uses its own part")]

use azimage::rpc::proto::tfplugin5::schema::nested_block::NestingMode;
use azimage::rpc::proto::tfplugin5::schema::{Attribute, Block, NestedBlock};
use azimage::schema::{Path, Type, Value};
use std::collections::BTreeMap;

/// A complaint and its path.
#[derive(Clone, Debug, PartialEq)]
pub struct Complaint {
    pub path: Path,
    pub problem: String,
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

type Complaints = Vec<Complaint>;

fn complain(out: &mut Complaints, path: &Path, problem: impl Into<String>) {
    out.push(Complaint { path: path.clone(), problem: problem.into() });
}

/// The type of an attribute, which is JSON on the wire.
pub fn type_of(attribute: &Attribute) -> Type {
    let json = serde_json::from_slice(&attribute.r#type).expect("the type of an attribute is JSON");
    Type::from_json(&json).expect("the type of an attribute is a type")
}

fn body(nested: &NestedBlock) -> &Block {
    nested.block.as_ref().expect("every nested block has a block")
}

/// The object type that a block implies: all attributes, all nested blocks.
pub fn implied_type(block: &Block) -> Type {
    let attributes = block.attributes.iter().map(|attribute| (attribute.name.clone(), type_of(attribute)));
    let blocks = block.block_types.iter().map(|nested| {
        let inner = implied_type(body(nested));
        let ty = match nested.nesting() {
            NestingMode::List => Type::list(inner),
            NestingMode::Set => Type::set(inner),
            NestingMode::Map => Type::map(inner),
            _ => inner,
        };
        (nested.type_name.clone(), ty)
    });
    Type::object(attributes.chain(blocks))
}

/// An object with null attributes and no blocks.
pub fn nothing(block: &Block) -> Value {
    let attributes = block.attributes.iter().map(|attribute| (attribute.name.clone(), Value::Null));
    let blocks = block.block_types.iter().map(|nested| (nested.type_name.clone(), no_block(nested)));
    Value::object(attributes.chain(blocks))
}

/// The representation of an absent block.
pub fn no_block(nested: &NestedBlock) -> Value {
    match nested.nesting() {
        NestingMode::List => Value::List(Vec::new()),
        NestingMode::Set => Value::Set(Vec::new()),
        NestingMode::Map => Value::Map(BTreeMap::new()),
        NestingMode::Group => nothing(body(nested)),
        _ => Value::Null,
    }
}

/// Core's proposed new state: the configuration, with prior values for computed attributes.
pub fn proposed_new(block: &Block, prior: &Value, config: &Value) -> Value {
    if !config.is_known() {
        return prior.clone();
    }
    let empty;
    let prior = if prior.is_null() {
        empty = nothing(block);
        &empty
    } else {
        prior
    };
    let attributes = block.attributes.iter().map(|attribute| {
        let config = config.get(&attribute.name);
        let kept = attribute.computed && config.is_null();
        let value = if kept { prior.get(&attribute.name) } else { config };
        (attribute.name.clone(), value.clone())
    });
    let blocks = block.block_types.iter().map(|nested| {
        let (prior, config) = (prior.get(&nested.type_name), config.get(&nested.type_name));
        (nested.type_name.clone(), proposed_block(nested, prior, config))
    });
    Value::object(attributes.chain(blocks))
}

fn proposed_block(nested: &NestedBlock, prior: &Value, config: &Value) -> Value {
    if !config.is_known() {
        return config.clone();
    }
    let block = body(nested);
    match (nested.nesting(), config) {
        (NestingMode::List, Value::List(elements)) => Value::List(
            elements
                .iter()
                .enumerate()
                .map(|(at, config)| {
                    proposed_element(block, prior.elements().get(at).unwrap_or(&Value::Null), config)
                })
                .collect(),
        ),
        (NestingMode::Set, Value::Set(elements)) => {
            let mut free: Vec<&Value> = prior.elements().iter().collect();
            let proposed = elements.iter().map(|config| {
                let partner = free.iter().position(|prior| may_result_from(block, prior, config));
                let prior = partner.map_or(&Value::Null, |at| free.remove(at));
                proposed_element(block, prior, config)
            });
            Value::Set(proposed.collect())
        }
        (NestingMode::Map, Value::Map(elements)) => Value::Map(
            elements
                .iter()
                .map(|(key, config)| {
                    let prior = match prior {
                        Value::Map(prior) => prior.get(key).unwrap_or(&Value::Null),
                        _ => &Value::Null,
                    };
                    (key.clone(), proposed_element(block, prior, config))
                })
                .collect(),
        ),
        (_, config) => proposed_new(block, prior, config),
    }
}

fn proposed_element(block: &Block, prior: &Value, config: &Value) -> Value {
    if config.is_unknown() { Value::Unknown } else { proposed_new(block, prior, config) }
}

// Whether an element of the prior state may result from `config`: all values that the provider does not set are
// equal.
fn may_result_from(block: &Block, prior: &Value, config: &Value) -> bool {
    prior == config
        || block.attributes.iter().all(|attribute| {
            let (prior, config) = (prior.get(&attribute.name), config.get(&attribute.name));
            prior == config || attribute.computed && config.is_null()
        }) && block.block_types.iter().all(|nested| {
            let (prior, config) = (prior.get(&nested.type_name), config.get(&nested.type_name));
            match (nested.nesting(), prior, config) {
                (_, prior, config) if prior == config => true,
                (NestingMode::Single | NestingMode::Group, prior, config) => {
                    prior.is_known() && config.is_known() && may_result_from(body(nested), prior, config)
                }
                (NestingMode::List, Value::List(prior), Value::List(config)) => {
                    prior.len() == config.len()
                        && prior
                            .iter()
                            .zip(config)
                            .all(|(prior, config)| may_result_from(body(nested), prior, config))
                }
                _ => false,
            }
        })
}

/// Core's complaints about a plan. `planned` must be non-null if `config` is.
pub fn plan_complaints(block: &Block, prior: &Value, config: &Value, planned: &Value) -> Vec<Complaint> {
    let mut out = Vec::new();
    plan_valid(block, prior, config, planned, &Path::root(), &mut out);
    out
}

fn plan_valid(
    block: &Block,
    prior: &Value,
    config: &Value,
    planned: &Value,
    path: &Path,
    out: &mut Complaints,
) {
    if planned.is_null() && !config.is_null() {
        return complain(out, path, "planned for absence but config wants existence");
    }
    if config.is_null() && !planned.is_null() {
        return complain(out, path, "planned for existence but config wants absence");
    }
    if planned.is_null() {
        return;
    }
    if !planned.is_known() {
        return complain(out, path, "an object with nested blocks must not be unknown itself");
    }
    for attribute in &block.attributes {
        let name = &attribute.name;
        let path = path.then(name.clone());
        attribute_planned(attribute, prior.get(name), config.get(name), planned.get(name), &path, out);
    }
    for nested in &block.block_types {
        let name = &nested.type_name;
        let path = path.then(name.clone());
        block_planned(nested, prior.get(name), config.get(name), planned.get(name), &path, out);
    }
}

fn attribute_planned(
    attribute: &Attribute,
    prior: &Value,
    config: &Value,
    planned: &Value,
    path: &Path,
    out: &mut Complaints,
) {
    if attribute.write_only {
        if !planned.is_null() {
            complain(out, path, "a write-only attribute is planned to have a value");
        }
        return;
    }
    let suppressed = planned == prior && !prior.is_null() && !config.is_null();
    let given = attribute.computed && (!attribute.optional || config.is_null());
    if planned == config || suppressed || given {
        return;
    }
    if config.is_null() {
        return complain(out, path, format!("planned value {planned:?} for a non-computed attribute"));
    }
    complain(
        out,
        path,
        format!("planned value {planned:?} does not match config value {config:?} nor prior value {prior:?}"),
    );
}

/// Sets of blocks that may be planned with their prior blocks although the configuration has a different number. A
/// version in its own region only is the same with and without a `target_region` for that region.
const MAY_KEEP_PRIOR_BLOCKS: &[&str] = &["target_region"];

fn block_planned(
    nested: &NestedBlock,
    prior: &Value,
    config: &Value,
    planned: &Value,
    path: &Path,
    out: &mut Complaints,
) {
    if planned == config {
        return;
    }
    if config.is_unknown() {
        return complain(out, path, "planned value for an unknown dynamic block");
    }
    if planned.is_unknown() {
        return complain(out, path, "a nested block must not be unknown itself");
    }
    let block = body(nested);
    match nested.nesting() {
        NestingMode::List => {
            let (Value::List(planned), Value::List(config)) = (planned, config) else {
                return complain(
                    out,
                    path,
                    "a list of blocks must be empty rather than null if there is none",
                );
            };
            if planned.len() != config.len() {
                let (have, want) = (planned.len(), config.len());
                return complain(
                    out,
                    path,
                    format!("block count in plan ({have}) disagrees with count in config ({want})"),
                );
            }
            for (at, (planned, config)) in planned.iter().zip(config).enumerate() {
                let path = path.index(at);
                if planned.is_unknown() && !config.is_unknown() {
                    complain(out, &path, "an element that is a block must not be unknown itself");
                    continue;
                }
                let prior = prior.elements().get(at).unwrap_or(&Value::Null);
                plan_valid(block, prior, config, planned, &path, out);
            }
        }
        NestingMode::Set => {
            let (Value::Set(planned), Value::Set(config)) = (planned, config) else {
                return complain(
                    out,
                    path,
                    "a set of blocks must be empty rather than null if there is none",
                );
            };
            if planned.iter().any(Value::is_unknown) && !config.iter().any(Value::is_unknown) {
                complain(out, path, "an element that is a block must not be unknown itself");
            }
            // core does not check sets, but this provider follows the same rules for them, except for sets in which
            // no block is equivalent to the block that the service returns
            let may_stay = MAY_KEEP_PRIOR_BLOCKS.iter().any(|name| *path == Path::attribute(*name));
            if may_stay && prior.elements() == planned.as_slice() && !prior.is_null() {
                return;
            }
            if planned.len() != config.len() {
                let (have, want) = (planned.len(), config.len());
                complain(out, path, format!("{have} set elements are planned where the config has {want}"));
            }
            for element in planned.iter().filter(|element| element.is_known()) {
                let mut least: Option<Complaints> = None;
                for config in config {
                    for prior in prior.elements().iter().chain([&Value::Null]) {
                        let mut found = Vec::new();
                        plan_valid(block, prior, config, element, &path.element(), &mut found);
                        if least.as_ref().is_none_or(|least| found.len() < least.len()) {
                            least = Some(found);
                        }
                    }
                }
                out.extend(least.into_iter().flatten());
            }
        }
        NestingMode::Map => {
            let (Value::Map(planned), Value::Map(config)) = (planned, config) else {
                return complain(
                    out,
                    path,
                    "a map of blocks must be empty rather than null if there is none",
                );
            };
            for (key, planned) in planned {
                match config.get(key) {
                    None => {
                        complain(out, path, format!("block key {key:?} from plan is not present in config"))
                    }
                    Some(config) => {
                        plan_valid(block, &Value::Null, config, planned, &path.key(key.clone()), out)
                    }
                }
            }
            for key in config.keys().filter(|key| !planned.contains_key(*key)) {
                complain(out, path, format!("block key {key:?} from config is not present in plan"));
            }
        }
        _ => plan_valid(block, prior, config, planned, path, out),
    }
}

/// Core's complaints about a result, or about a later plan, compared with the plan.
pub fn object_complaints(block: &Block, planned: &Value, actual: &Value) -> Vec<Complaint> {
    let mut out = Vec::new();
    object_compatible(block, planned, actual, &Path::root(), &mut out);
    out
}

fn object_compatible(block: &Block, planned: &Value, actual: &Value, path: &Path, out: &mut Complaints) {
    if planned.is_unknown() {
        return;
    }
    if planned.is_null() || actual.is_null() {
        if planned.is_null() != actual.is_null() {
            let (was, is) = if actual.is_null() { ("present", "absent") } else { ("absent", "present") };
            complain(out, path, format!("was {was}, but now {is}"));
        }
        return;
    }
    for attribute in &block.attributes {
        let (planned, actual) = (planned.get(&attribute.name), actual.get(&attribute.name));
        value_compatible(planned, actual, &path.then(attribute.name.clone()), out);
    }
    for nested in &block.block_types {
        let (planned, actual) = (planned.get(&nested.type_name), actual.get(&nested.type_name));
        let path = path.then(nested.type_name.clone());
        match (nested.nesting(), planned, actual) {
            (_, Value::Unknown, _) => {}
            (NestingMode::List, Value::List(planned), Value::List(actual)) => {
                if planned.len() != actual.len() {
                    let (was, is) = (planned.len(), actual.len());
                    complain(out, &path, format!("block count changed from {was} to {is}"));
                    continue;
                }
                for (at, (planned, actual)) in planned.iter().zip(actual).enumerate() {
                    object_compatible(body(nested), planned, actual, &path.index(at), out);
                }
            }
            (NestingMode::Set, Value::Set(planned), Value::Set(actual)) => {
                if planned.len() < actual.len() {
                    let (was, is) = (planned.len(), actual.len());
                    complain(out, &path, format!("block set length changed from {was} to {is}"));
                }
                set_compatible(planned, actual, &path, out, |planned, actual| {
                    let mut found = Vec::new();
                    object_compatible(body(nested), planned, actual, &Path::root(), &mut found);
                    found.is_empty()
                });
            }
            (NestingMode::Single | NestingMode::Group, planned, actual) => {
                object_compatible(body(nested), planned, actual, &path, out);
            }
            (_, planned, actual) => value_compatible(planned, actual, &path, out),
        }
    }
}

fn value_compatible(planned: &Value, actual: &Value, path: &Path, out: &mut Complaints) {
    if planned.is_unknown() {
        return;
    }
    if actual.is_unknown() {
        return complain(out, path, "was known, but now unknown");
    }
    match (planned, actual) {
        (Value::List(was), Value::List(is)) => {
            for (at, was) in was.iter().enumerate() {
                match is.get(at) {
                    Some(is) => value_compatible(was, is, &path.index(at), out),
                    None => complain(out, path, format!("element {at} has vanished")),
                }
            }
            for at in was.len()..is.len() {
                complain(out, path, format!("new element {at} has appeared"));
            }
        }
        (Value::Map(was), Value::Map(is)) | (Value::Object(was), Value::Object(is)) => {
            for (key, was) in was {
                match is.get(key) {
                    Some(is) => value_compatible(was, is, &path.key(key.clone()), out),
                    None => complain(out, path, format!("element {key:?} has vanished")),
                }
            }
            for key in is.keys().filter(|key| !was.contains_key(*key)) {
                complain(out, path, format!("new element {key:?} has appeared"));
            }
        }
        (Value::Set(was), Value::Set(is)) => {
            let certain = was.iter().all(Value::is_wholly_known);
            if was.len() < is.len() || certain && was.len() != is.len() {
                complain(out, path, format!("length changed from {} to {}", was.len(), is.len()));
            }
            set_compatible(was, is, path, out, |was, is| {
                let mut found = Vec::new();
                value_compatible(was, is, &Path::root(), &mut found);
                found.is_empty()
            });
        }
        (was, is) if was == is => {}
        (was, is) => complain(out, path, format!("was {was:?}, but now {is:?}")),
    }
}

fn set_compatible(
    planned: &[Value],
    actual: &[Value],
    path: &Path,
    out: &mut Complaints,
    fits: impl Fn(&Value, &Value) -> bool,
) {
    for planned in planned {
        if !actual.iter().any(|actual| fits(planned, actual)) {
            complain(
                out,
                path,
                format!("planned set element {planned:?} does not correlate with any element in actual"),
            );
        }
    }
    for actual in actual {
        if !planned.iter().any(|planned| fits(planned, actual)) {
            complain(
                out,
                path,
                format!("actual set element {actual:?} does not correlate with any element in plan"),
            );
        }
    }
}

/// Reserved names at the root of a resource or data source.
pub const RESERVED: &[&str] =
    &["count", "for_each", "depends_on", "lifecycle", "provider", "provisioner", "connection", "locals", "_"];
/// Reserved names at the root of the provider block.
pub const RESERVED_PROVIDER: &[&str] =
    &["alias", "version", "count", "for_each", "depends_on", "source", "lifecycle", "locals"];

/// Core's complaints about a schema when it loads it.
pub fn schema_complaints(block: &Block, reserved: &[&str]) -> Vec<Complaint> {
    let mut out = Vec::new();
    let names =
        block.attributes.iter().map(|a| &a.name).chain(block.block_types.iter().map(|b| &b.type_name));
    for name in names.filter(|name| reserved.contains(&name.as_str())) {
        complain(&mut out, &Path::attribute(name.clone()), "the name is reserved");
    }
    schema_valid(block, &Path::root(), false, &mut out);
    out
}

fn schema_valid(block: &Block, path: &Path, in_set: bool, out: &mut Complaints) {
    let mut seen = Vec::new();
    for attribute in &block.attributes {
        let path = path.then(attribute.name.clone());
        let mut wrong = |problem: &str| complain(out, &path, problem);
        if !is_name(&attribute.name) {
            wrong("a name may only contain lowercase letters, digits and underscores");
        }
        if seen.contains(&&attribute.name) {
            wrong("the name is used twice");
        }
        seen.push(&attribute.name);
        let json = serde_json::from_slice(&attribute.r#type).ok();
        match json.as_ref().and_then(Type::from_json) {
            None => wrong("the type cannot be read"),
            Some(ty) if in_set && has_dynamic(&ty) => {
                wrong("a set of blocks must not contain a dynamic type")
            }
            Some(ty) if has_inner_dynamic(&ty) => wrong("elements of a collection must not be dynamic"),
            Some(_) => {}
        }
        if !attribute.required && !attribute.optional && !attribute.computed {
            wrong("must set Optional, Required or Computed");
        }
        if attribute.required && attribute.optional {
            wrong("cannot set both Optional and Required");
        }
        if attribute.required && attribute.computed {
            wrong("cannot set both Computed and Required");
        }
        if attribute.write_only && (attribute.computed || in_set) {
            wrong("a write-only attribute cannot be computed or in a set of blocks");
        }
        if !attribute.deprecation_message.is_empty() && !attribute.deprecated {
            wrong("a deprecation message needs Deprecated");
        }
    }
    for nested in &block.block_types {
        let path = path.then(nested.type_name.clone());
        let mut wrong = |problem: &str| complain(out, &path, problem);
        if !is_name(&nested.type_name) {
            wrong("a name may only contain lowercase letters, digits and underscores");
        }
        if seen.contains(&&nested.type_name) {
            wrong("the name is used twice");
        }
        seen.push(&nested.type_name);
        let (min, max) = (nested.min_items, nested.max_items);
        if min < 0 || max < 0 {
            wrong("MinItems and MaxItems must not be negative");
        }
        match nested.nesting() {
            NestingMode::Single if min != max || max > 1 => {
                wrong("a single block has MinItems = MaxItems, 0 or 1")
            }
            NestingMode::Group | NestingMode::Map if min != 0 || max != 0 => {
                wrong("MinItems and MaxItems must be 0")
            }
            NestingMode::List | NestingMode::Set if max != 0 && min > max => {
                wrong("MinItems is greater than MaxItems")
            }
            NestingMode::Invalid => wrong("the nesting is not set"),
            _ => {}
        }
        match &nested.block {
            None => wrong("there is no block"),
            Some(block) => schema_valid(block, &path, in_set || nested.nesting() == NestingMode::Set, out),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'))
}

fn has_dynamic(ty: &Type) -> bool {
    matches!(ty, Type::Dynamic) || has_inner_dynamic(ty)
}

fn has_inner_dynamic(ty: &Type) -> bool {
    match ty {
        Type::List(element) | Type::Set(element) | Type::Map(element) => has_dynamic(element),
        Type::Object(attributes) => attributes.values().any(has_dynamic),
        Type::Tuple(elements) => elements.iter().any(has_dynamic),
        _ => false,
    }
}
