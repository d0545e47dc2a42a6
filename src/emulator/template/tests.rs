//! Evaluation of templates and expressions.

use super::expression::Text;
use super::*;

fn place() -> Place {
    let group = Json::object()
        .with("id", "/subscriptions/s/resourceGroups/g")
        .with("name", "g")
        .with("location", "eastus");
    Place {
        subscription: "s".to_owned(),
        group: Some(group),
        deployment: Json::object().with("name", "d"),
        now: 1_700_000_000,
        seed: "seed".to_owned(),
        ..Place::default()
    }
}

/// The value of an expression in a template with a few variables and functions, or the error.
fn value(text: &str) -> Result<String, String> {
    let template = relaxed::parse(
        r#"{
            variables: {
                greeting: "[concat(parameters('p'), '-two')]", loop: "[variables('loop')]", list: [3, 1, 2],
                copy: [{name: 'squares', count: 3, input: "[mul(copyIndex('squares'), copyIndex('squares', 1))]"}],
                nested: {copy: [{name: 'inner', count: 2, input: {i: "[copyIndex('inner')]"}}], other: 1}
            },
            functions: [{namespace: 'own', members: {
                twice: {parameters: [{name: 't', type: 'string'}], output: {type: 'string', value: "[concat(parameters('t'), parameters('t'))]"}},
                peeks: {parameters: [], output: {type: 'string', value: "[variables('greeting')]"}}
            }}]
        }"#,
    )
    .unwrap();
    let (place, bounds) = (place(), Bounds::default());
    let mut scope = Scope::new(&place, &template, &bounds);
    scope.set_parameter("p", Json::from("one"));
    scope.set_parameter("o", Json::parse(br#"{"a":{"b":[10,20]},"n":null}"#).unwrap());
    match expression::read(&format!("[{text}]"))? {
        Text::Expression(read) => scope.evaluate(&read).map(|value| value.compact()),
        Text::Plain(_) => panic!(),
    }
}

#[test]
fn expressions_have_the_same_values_as_in_the_service() {
    for (text, wanted) in [
        ("parameters('P')", r#""one""#),
        ("variables('greeting')", r#""one-two""#),
        ("variables('squares')", "[0,2,6]"),
        ("variables('nested')", r#"{"inner":[{"i":0},{"i":1}],"other":1}"#),
        ("parameters('o').A.b[1]", "20"),
        ("parameters('o')['a']['b'][0]", "10"),
        ("resourceGroup().location", r#""eastus""#),
        ("subscription().subscriptionId", r#""s""#),
        ("deployment().name", r#""d""#),
        ("resourceId('N.A/b', 'x')", r#""/subscriptions/s/resourceGroups/g/providers/N.A/b/x""#),
        ("own.twice('ab')", r#""abab""#),
        ("if(true(), 'yes', parameters('none'))", r#""yes""#),
        ("and(false(), parameters('none'))", "false"),
        ("or(not(true()), equals(1, 1))", "true"),
        ("format('{0}-{1:D3}-{{x}}-{0}', 'a', 7)", r#""a-007-{x}-a""#),
        ("format('{0}/{1}', 'g', true())", r#""g/True""#),
        ("concat('a', 1, 'b')", r#""a1b""#),
        ("concat(createArray(1), createArray('x'))", r#"[1,"x"]"#),
        ("toLower(toUpper('aB'))", r#""ab""#),
        ("substring('abcdef', 1, 3)", r#""bcd""#),
        ("replace('a-b-c', '-', '')", r#""abc""#),
        ("split('a,b;c', createArray(',', ';'))", r#"["a","b","c"]"#),
        ("join(createArray('a', 'b'), '/')", r#""a/b""#),
        ("padLeft('7', 3, '0')", r#""007""#),
        ("base64ToString(base64('héllo'))", r#""héllo""#),
        ("uriComponentToString(uriComponent('a b&c=d+é'))", r#""a b&c=d+é""#),
        ("uri('http://h/a/', 'b')", r#""http://h/a/b""#),
        ("json('{\"a\":[1]}').a[0]", "1"),
        ("string(createObject('a', 1))", r#""{\"a\":1}""#),
        ("int('12')", "12"),
        ("bool('TRUE')", "true"),
        ("add(mul(3, 4), div(7, 2))", "15"),
        ("sub(mod(7, 4), 5)", "-2"),
        ("min(createArray(3, 1, 2))", "1"),
        ("max(3, 9)", "9"),
        ("less('a', 'b')", "true"),
        ("greaterOrEquals(2, 3)", "false"),
        ("coalesce(null(), parameters('o').n, 'c')", r#""c""#),
        ("contains(createObject('Key', 1), 'key')", "true"),
        ("contains('abc', 'b')", "true"),
        ("contains(variables('list'), 2)", "true"),
        ("empty('')", "true"),
        ("length(parameters('o'))", "2"),
        ("first('abc')", r#""a""#),
        ("last(variables('list'))", "2"),
        ("indexOf('abcB', 'b')", "1"),
        ("lastIndexOf('abcB', 'b')", "3"),
        ("take(variables('list'), 2)", "[3,1]"),
        ("skip('abc', 5)", r#""""#),
        ("range(2, 3)", "[2,3,4]"),
        ("flatten(createArray(createArray(1), createArray(2, 3)))", "[1,2,3]"),
        (
            "union(createObject('a', 1, 'x', createObject('p', 1)), createObject('A', 2, 'x', createObject('q', 2)))",
            r#"{"a":2,"x":{"p":1,"q":2}}"#,
        ),
        ("union(createArray(1, 2), createArray(2, 3))", "[1,2,3]"),
        ("intersection(createArray(1, 2), createArray(2, 3))", "[2]"),
        ("shallowMerge(createArray(createObject('a', 1), createObject('b', 2)))", r#"{"a":1,"b":2}"#),
        ("items(createObject('b', 1, 'a', 2))", r#"[{"key":"a","value":2},{"key":"b","value":1}]"#),
        ("objectKeys(createObject('b', 1, 'a', 2))", r#"["a","b"]"#),
        ("tryGet(parameters('o'), 'a', 'nope')", "null"),
        ("tryGet(parameters('o'), 'a', 'b', 1)", "20"),
        ("map(variables('list'), lambda('x', mul(lambdaVariables('x'), 2)))", "[6,2,4]"),
        ("map(variables('list'), lambda('x', 'i', lambdaVariables('i')))", "[0,1,2]"),
        ("filter(variables('list'), lambda('x', greater(lambdaVariables('x'), 1)))", "[3,2]"),
        (
            "reduce(variables('list'), 0, lambda('sum', 'x', add(lambdaVariables('sum'), lambdaVariables('x'))))",
            "6",
        ),
        (
            "sort(variables('list'), lambda('a', 'b', less(lambdaVariables('a'), lambdaVariables('b'))))",
            "[1,2,3]",
        ),
        ("toObject(variables('list'), lambda('x', string(lambdaVariables('x'))))", r#"{"3":3,"1":1,"2":2}"#),
        (
            "groupBy(createArray('ab', 'ac', 'b'), lambda('x', first(lambdaVariables('x'))))",
            r#"{"a":["ab","ac"],"b":["b"]}"#,
        ),
        ("mapValues(createObject('a', 1), lambda('x', add(lambdaVariables('x'), 1)))", r#"{"a":2}"#),
        ("dateTimeAdd('2024-01-31T00:00:00Z', 'P1M')", r#""2024-02-29T00:00:00Z""#),
        ("dateTimeToEpoch('2024-01-01T00:00:00Z')", "1704067200"),
        ("pickZones('N.A', 'b', 'eastus', 2)", r#"["1","2"]"#),
        // Published by others: the version 5 UUID of 'a-b' in the service's namespace has these marks.
        ("substring(guid('a', 'b'), 14, 1)", r#""5""#),
        ("equals(guid('a', 'b'), guid('a-b'))", "true"),
        ("uniqueString('hello', 'world')", r#""a7wkljktk6wne""#),
    ] {
        assert_eq!(value(text).unwrap(), wanted, "{text}");
    }
}

#[test]
fn errors_explain_why_an_expression_cannot_be_evaluated() {
    for (text, why) in [
        ("nope('x')", "'nope'"),
        ("parameters('none')", "parameter 'none' is not found"),
        ("variables('none')", "variable 'none' is not found"),
        ("variables('loop')", "refer to themselves"),
        ("own.peeks()", "function that the template defines"),
        ("own.twice()", "takes 1 argument"),
        ("own.none('x')", "not defined"),
        ("copyIndex()", "outside of a copy loop"),
        ("utcNow()", "default value of a parameter"),
        ("reference('x')", "properties of resources and in outputs only"),
        ("parameters('o').zzz", "available properties are 'a, n'"),
        ("variables('list')[7]", "out of bounds"),
        ("parameters('p').x", "its object is a string"),
        ("if('true', 1, 2)", "boolean"),
        ("toLower(1)", "argument 1 must be a string"),
        ("add(1)", "takes 2 argument"),
        ("add(9223372036854775807, 1)", "64-bit"),
        ("div(1, 0)", "64-bit"),
        ("substring('abc', 2, 5)", "within the string"),
        ("range(0, 99999)", "10000"),
        ("format('{1}', 'a')", "no argument"),
        ("format('{0:C}', 1)", "does not know the format"),
        ("map(variables('list'), 'x')", "not valid"),
        ("map(1, lambda('x', 1))", "not valid"),
        ("managementGroup()", "does not support"),
        ("int('x')", "not an integer"),
        ("createObject('a')", "pairs"),
        ("json('{')", "json"),
    ] {
        let error = value(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
}

/// The resources of a template in order of creation: type, name, dependencies, and whether it is created.
fn items(text: &str, given: &str) -> Result<Vec<String>, String> {
    let template = relaxed::parse(&format!("{{$schema: 's', contentVersion: '1.0.0.0', {text}}}")).unwrap();
    let (place, bounds) = (place(), Bounds::default());
    let given = relaxed::parse(given).unwrap();
    let reading = read(&template, &given, &place, &bounds)?;
    let show = |at: &usize| {
        let item = &reading.items[*at];
        let sign = if item.deployed { "" } else { "-" };
        format!("{sign}{}:{}", item.kind.trim_start_matches("N.A/"), item.name)
    };
    Ok(reading.order.iter().map(show).collect())
}

#[test]
fn expands_and_orders_resources() {
    for (text, wanted) in [
        ("resources: [{type: 'N.A/b', apiVersion: '1', name: 'x'}]", &["b:x"][..]),
        (
            "resources: [{type: 'N.A/b', apiVersion: '1', name: 'x', dependsOn: ['y']}, {type: 'N.A/b', apiVersion: '1', name: 'y'}]",
            &["b:y", "b:x"],
        ),
        (
            "resources: [{type: 'N.A/b', apiVersion: '1', name: 'x', properties: {of: \"[reference(resourceId('N.A/b', 'y')).z]\"}}, {type: 'N.A/b', apiVersion: '1', name: 'y'}]",
            &["b:y", "b:x"],
        ),
        (
            "resources: [{type: 'N.A/b', apiVersion: '1', name: 'x', resources: [{type: 'c', apiVersion: '1', name: 'k', dependsOn: ['x']}]}]",
            &["b:x", "b/c:x/k"],
        ),
        (
            "resources: [{type: 'N.A/c', apiVersion: '1', name: 'z', dependsOn: ['loop']}, {type: 'N.A/b', apiVersion: '1', name: \"[concat('x', copyIndex(1))]\", copy: {name: 'loop', count: 2}}]",
            &["b:x1", "b:x2", "c:z"],
        ),
        (
            "languageVersion: '2.0', resources: {one: {type: 'N.A/b', apiVersion: '1', name: 'x', dependsOn: ['two[1]']}, two: {type: 'N.A/b', apiVersion: '1', name: \"[format('y{0}', copyIndex())]\", copy: {name: 'two', count: 2}, dependsOn: ['three']}, three: {existing: true, type: 'N.A/b', apiVersion: '1', name: 'e'}}",
            &["-b:e", "b:y0", "b:y1", "b:x"],
        ),
        (
            "parameters: {on: {type: 'bool', defaultValue: false}}, resources: [{condition: \"[parameters('on')]\", type: 'N.A/b', apiVersion: '1', name: 'x'}]",
            &["-b:x"],
        ),
    ] {
        assert_eq!(items(text, "{}").unwrap(), wanted, "{text}");
    }
    const ONE: &str = "type: 'N.A/b', apiVersion: '1'";
    for (text, why) in [
        ("", "'resources' not found"),
        ("resources: 1", "array or an object"),
        ("resources: [], extra: 1", "member 'extra'"),
        ("languageVersion: '3.0', resources: []", "language version"),
        (&format!("resources: [{{{ONE}}}]"), "must have the property 'name'"),
        ("resources: [{type: 'N.A/b', name: 'x'}]", "apiVersion"),
        (&format!("resources: [{{{ONE}, name: 'x/y'}}]"), "incorrect segment lengths"),
        (&format!("resources: [{{{ONE}, name: 'x'}}, {{{ONE}, name: 'X'}}]"), "multiple times"),
        (&format!("resources: [{{{ONE}, name: 'x', dependsOn: ['none']}}]"), "'none' is not defined"),
        (
            &format!(
                "resources: [{{{ONE}, name: 'x', dependsOn: ['y']}}, {{{ONE}, name: 'y', dependsOn: ['x']}}]"
            ),
            "Circular dependency",
        ),
        (&format!("resources: [{{{ONE}, name: 'x', copy: {{name: 'l', count: 9999}}}}]"), "800"),
        (&format!("resources: [{{{ONE}, name: 'x', condition: 'yes'}}]"), "must be a boolean"),
        (&format!("resources: [{{{ONE}, name: 'x', import: 'k8s'}}]"), "does not support"),
    ] {
        let error = items(text, "{}").unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn checks_parameters() {
    let with = |declaration: &str, given: &str| {
        items(&format!("parameters: {{p: {{{declaration}}}}}, resources: []"), given)
            .err()
            .unwrap_or_default()
    };
    for (declaration, given, why) in [
        ("type: 'string'", "{p: {value: 'a'}}", ""),
        ("type: 'string'", "{P: {value: 'a'}}", ""),
        ("type: 'string', defaultValue: \"[utcNow('yyyy')]\"", "{}", ""),
        ("type: 'string', defaultValue: \"[newGuid()]\", minLength: 36", "{}", ""),
        ("type: 'string', nullable: true", "{}", ""),
        ("type: 'array', allowedValues: [1, 2]", "{p: {value: [2]}}", ""),
        ("type: 'string'", "{}", "'p' is not provided"),
        ("type: 'string'", "{p: {value: 1}}", "Expected 'string'"),
        ("type: 'int'", "{p: {value: '1'}}", "Expected 'int'"),
        ("type: 'bool'", "{p: {value: 'true'}}", "Expected 'bool'"),
        ("type: 'secureObject'", "{p: {value: []}}", "Expected 'secureobject'"),
        ("type: 'number'", "{p: {value: 1}}", "not valid"),
        ("type: 'string'", "{p: {value: 'a'}, q: {value: 1}}", "'q'"),
        ("type: 'string'", "{p: {reference: {}}}", "key vault"),
        ("type: 'string'", "{p: 'a'}", "neither a value"),
        ("type: 'string', allowedValues: ['a', 'b']", "{p: {value: 'c'}}", "allowed value(s): 'a,b'"),
        ("type: 'string', maxLength: 2", "{p: {value: 'abc'}}", "Length"),
        ("type: 'int', minValue: 3", "{p: {value: 2}}", "between"),
    ] {
        let error = with(declaration, given);
        assert!(
            if why.is_empty() { error.is_empty() } else { error.contains(why) },
            "{declaration} {given}: {error}"
        );
    }
}
