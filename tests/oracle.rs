//! Tests of the oracle of the lifecycle tests: it rejects what Terraform Core rejects.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/oracle.rs"]
mod oracle;

use azimage::rpc::proto::tfplugin5::schema::nested_block::NestingMode;
use azimage::rpc::proto::tfplugin5::schema::{Attribute, Block, NestedBlock};
use azimage::schema::{Type, Value};
use oracle::*;

fn attribute(name: &str, ty: Type, [required, optional, computed]: [bool; 3]) -> Attribute {
    Attribute { name: name.into(), r#type: ty.to_bytes(), required, optional, computed, ..Default::default() }
}

fn nested(name: &str, nesting: NestingMode, [min, max]: [i64; 2], block: Block) -> NestedBlock {
    NestedBlock {
        type_name: name.into(),
        nesting: nesting as i32,
        min_items: min,
        max_items: max,
        block: Some(block),
    }
}

const REQUIRED: [bool; 3] = [true, false, false];
const OPTIONAL: [bool; 3] = [false, true, false];
const COMPUTED: [bool; 3] = [false, false, true];
const EITHER: [bool; 3] = [false, true, true];

fn inner() -> Block {
    Block {
        attributes: vec![attribute("key", Type::String, REQUIRED), attribute("made", Type::String, EITHER)],
        ..Default::default()
    }
}

fn schema() -> Block {
    Block {
        attributes: vec![
            attribute("name", Type::String, REQUIRED),
            attribute("note", Type::String, OPTIONAL),
            attribute("id", Type::String, COMPUTED),
            attribute("place", Type::String, EITHER),
            attribute("tags", Type::map(Type::String), OPTIONAL),
            attribute("words", Type::set(Type::String), OPTIONAL),
        ],
        block_types: vec![
            nested("one", NestingMode::Single, [0, 0], inner()),
            nested("list", NestingMode::List, [0, 0], inner()),
            nested("set", NestingMode::Set, [0, 0], inner()),
        ],
        ..Default::default()
    }
}

fn object(fields: &[(&str, Value)]) -> Value {
    let mut value = nothing(&schema());
    value.set("name", "n".into());
    for (name, field) in fields {
        value.set(name, field.clone());
    }
    value
}

fn element(key: &str, made: Value) -> Value {
    Value::object([("key", key.into()), ("made", made)])
}

fn set(elements: &[Value]) -> Value {
    Value::Set(elements.to_vec())
}

fn list(elements: &[Value]) -> Value {
    Value::List(elements.to_vec())
}

#[test]
fn the_proposed_state_combines_configuration_and_computed_values() {
    let prior = object(&[
        ("note", "old".into()),
        ("id", "1".into()),
        ("place", "west".into()),
        ("one", element("a", "x".into())),
        ("list", list(&[element("a", "x".into()), element("b", "y".into())])),
        ("set", set(&[element("a", "x".into()), element("b", "y".into())])),
    ]);
    let config = object(&[
        ("one", element("c", Value::Null)),
        ("list", list(&[element("b", Value::Null), element("b", "z".into()), element("c", Value::Null)])),
        ("set", set(&[element("b", Value::Null), element("c", Value::Null)])),
    ]);
    let proposed = proposed_new(&schema(), &prior, &config);
    assert!(proposed.get("note").is_null(), "an optional value is removed with its configuration");
    assert_eq!(proposed.get("id").as_str(), Some("1"));
    assert_eq!(proposed.get("place").as_str(), Some("west"));
    assert_eq!(proposed.get("one"), &element("c", "x".into()));
    assert_eq!(
        proposed.get("list"),
        &list(&[element("b", "x".into()), element("b", "z".into()), element("c", Value::Null)]),
        "lists pair by position"
    );
    assert_eq!(
        proposed.get("set").elements(),
        [element("b", "y".into()), element("c", Value::Null)],
        "sets pair by the configured values"
    );
    let created = proposed_new(&schema(), &Value::Null, &config);
    assert!(created.get("id").is_null(), "on create, computed values are null, not unknown");
    let open = object(&[("set", Value::Unknown), ("one", Value::Unknown)]);
    assert!(proposed_new(&schema(), &prior, &open).get("set").is_unknown());
}

#[test]
fn rejects_plans_that_differ_from_the_configuration() {
    let prior = object(&[("note", "old".into()), ("id", "1".into()), ("place", "west".into())]);
    // planned, configured, and whether core accepts it
    let rows: &[(&[(&str, Value)], &[(&str, Value)], bool)] = &[
        (&[("note", "old".into())], &[("note", "OLD".into())], true),
        (&[("note", "new".into())], &[("note", "OLD".into())], false),
        (&[("note", "old".into())], &[], false),
        (&[("note", Value::Unknown)], &[("note", "x".into())], false),
        (&[("note", "x".into())], &[("note", Value::Unknown)], false),
        (&[("note", Value::Unknown)], &[("note", Value::Unknown)], true),
        (&[("id", Value::Unknown)], &[], true),
        (&[("place", Value::Unknown)], &[], true),
        (&[("place", "east".into())], &[], true),
        (&[("place", "west".into())], &[("place", "WEST".into())], true),
        (&[("place", "east".into())], &[("place", "WEST".into())], false),
        (&[("one", element("a", Value::Unknown))], &[("one", element("a", Value::Null))], true),
        (&[("one", element("b", Value::Null))], &[("one", element("a", Value::Null))], false),
        (&[("one", element("a", Value::Null))], &[], false),
        (&[], &[("one", element("a", Value::Null))], false),
        (&[("one", Value::Unknown)], &[("one", element("a", Value::Null))], false),
        (&[("one", element("a", Value::Null))], &[("one", Value::Unknown)], false),
        (&[("list", Value::Null)], &[], false),
        (&[("list", list(&[]))], &[("list", list(&[element("a", Value::Null)]))], false),
        (&[("list", list(&[Value::Unknown]))], &[("list", list(&[element("a", Value::Null)]))], false),
        (
            &[("list", list(&[element("a", "x".into())]))],
            &[("list", list(&[element("a", Value::Null)]))],
            true,
        ),
        (&[("set", Value::Null)], &[], false),
        (&[("set", set(&[element("a", "x".into())]))], &[("set", set(&[element("a", Value::Null)]))], true),
        (&[("set", set(&[element("b", "x".into())]))], &[("set", set(&[element("a", Value::Null)]))], false),
        (&[("set", set(&[]))], &[("set", set(&[element("a", Value::Null)]))], false),
    ];
    for (planned, config, fine) in rows {
        let complaints = plan_complaints(&schema(), &prior, &object(config), &object(planned));
        assert_eq!(complaints.is_empty(), *fine, "{planned:?} for {config:?}: {complaints:?}");
    }
    assert!(!plan_complaints(&schema(), &prior, &object(&[]), &Value::Null).is_empty());
    assert!(!plan_complaints(&schema(), &prior, &Value::Null, &object(&[])).is_empty());
    assert!(plan_complaints(&schema(), &prior, &Value::Null, &Value::Null).is_empty());
    // without a prior value, there is no old spelling to keep
    let (planned, config) = (object(&[("note", "old".into())]), object(&[("note", "OLD".into())]));
    assert!(!plan_complaints(&schema(), &Value::Null, &config, &planned).is_empty());
}

#[test]
fn rejects_results_that_differ_from_the_plan() {
    let map = |entries: &[(&str, &str)]| {
        Value::Map(entries.iter().map(|(k, v)| (k.to_string(), (*v).into())).collect())
    };
    let rows: &[(&[(&str, Value)], &[(&str, Value)], bool)] = &[
        (&[("id", Value::Unknown)], &[("id", "1".into())], true),
        (&[("id", Value::Unknown)], &[], true),
        (&[], &[("note", "x".into())], false),
        (&[("note", "x".into())], &[], false),
        (&[("note", "x".into())], &[("note", "X".into())], false),
        (&[("note", "x".into())], &[("note", Value::Unknown)], false),
        (&[("tags", map(&[("a", "1")]))], &[("tags", map(&[("a", "1"), ("b", "2")]))], false),
        (&[("tags", map(&[("a", "1")]))], &[("tags", map(&[]))], false),
        (&[("tags", map(&[]))], &[], false),
        (&[("words", set(&["a".into(), "b".into()]))], &[("words", set(&["b".into(), "a".into()]))], true),
        (&[("words", set(&["a".into(), "b".into()]))], &[("words", set(&["a".into()]))], false),
        (&[("words", set(&["a".into(), Value::Unknown]))], &[("words", set(&["a".into()]))], true),
        (&[("words", set(&[Value::Unknown]))], &[("words", set(&["a".into(), "b".into()]))], false),
        (&[("one", element("a", Value::Unknown))], &[("one", element("a", "x".into()))], true),
        (&[("one", element("a", Value::Unknown))], &[], false),
        (&[], &[("one", element("a", "x".into()))], false),
        (&[("list", list(&[element("a", Value::Unknown)]))], &[("list", list(&[]))], false),
        (&[("list", Value::Unknown)], &[("list", list(&[element("a", Value::Null)]))], true),
        (
            &[("set", set(&[element("a", Value::Unknown)]))],
            &[("set", set(&[element("a", "x".into())]))],
            true,
        ),
        (
            &[("set", set(&[element("a", Value::Unknown)]))],
            &[("set", set(&[element("b", "x".into())]))],
            false,
        ),
        (
            &[("set", set(&[element("a", Value::Unknown)]))],
            &[("set", set(&[element("a", "x".into()), element("a", "y".into())]))],
            false,
        ),
    ];
    for (planned, actual, fine) in rows {
        let complaints = object_complaints(&schema(), &object(planned), &object(actual));
        assert_eq!(complaints.is_empty(), *fine, "{planned:?} became {actual:?}: {complaints:?}");
    }
    assert!(!object_complaints(&schema(), &object(&[]), &Value::Null).is_empty());
    assert!(!object_complaints(&schema(), &Value::Null, &object(&[])).is_empty());
}

#[test]
fn rejects_invalid_schemas() {
    let of = |attribute: Attribute| Block { attributes: vec![attribute], ..Default::default() };
    let block = |nested: NestedBlock| Block { block_types: vec![nested], ..Default::default() };
    let text = || attribute("a", Type::String, OPTIONAL);
    let dynamic =
        || Block { attributes: vec![attribute("d", Type::Dynamic, OPTIONAL)], ..Default::default() };
    let wrong: Vec<(&str, Block)> = vec![
        ("neither required, optional nor computed", of(attribute("a", Type::String, [false; 3]))),
        ("required and optional", of(attribute("a", Type::String, [true, true, false]))),
        ("required and computed", of(attribute("a", Type::String, [true, false, true]))),
        ("upper case", of(attribute("A", Type::String, OPTIONAL))),
        ("no type", of(Attribute { r#type: b"\"text\"".to_vec(), ..text() })),
        ("broken type", of(Attribute { r#type: b"{".to_vec(), ..text() })),
        ("list(dynamic)", of(attribute("a", Type::list(Type::Dynamic), OPTIONAL))),
        ("reserved", of(attribute("count", Type::Number, OPTIONAL))),
        ("computed write-only", of(Attribute { write_only: true, computed: true, ..text() })),
        ("message alone", of(Attribute { deprecation_message: "x".into(), ..text() })),
        ("twice", Block { attributes: vec![text(), text()], ..Default::default() }),
        (
            "attribute and block",
            Block {
                attributes: vec![text()],
                block_types: vec![nested("a", NestingMode::List, [0, 0], inner())],
                ..Default::default()
            },
        ),
        ("single with two", block(nested("b", NestingMode::Single, [0, 2], inner()))),
        ("single with different bounds", block(nested("b", NestingMode::Single, [0, 1], inner()))),
        ("map with bounds", block(nested("b", NestingMode::Map, [1, 0], inner()))),
        ("min above max", block(nested("b", NestingMode::Set, [3, 2], inner()))),
        ("dynamic in a set", block(nested("b", NestingMode::Set, [0, 0], dynamic()))),
        (
            "dynamic deeper in a set",
            block(nested(
                "b",
                NestingMode::Set,
                [0, 0],
                block(nested("c", NestingMode::Single, [0, 0], dynamic())),
            )),
        ),
        ("no nesting", block(nested("b", NestingMode::Invalid, [0, 0], inner()))),
        ("no block", block(NestedBlock { block: None, ..nested("b", NestingMode::Set, [0, 0], inner()) })),
        (
            "wrong inside",
            block(nested("b", NestingMode::Set, [0, 0], of(attribute("a", Type::String, [false; 3])))),
        ),
    ];
    for (what, schema) in wrong {
        assert_eq!(
            schema_complaints(&schema, RESERVED).len(),
            1,
            "{what}: {:?}",
            schema_complaints(&schema, RESERVED)
        );
    }
    assert_eq!(schema_complaints(&schema(), RESERVED), []);
    assert_eq!(schema_complaints(&block(nested("b", NestingMode::Single, [1, 1], inner())), RESERVED), []);
}
