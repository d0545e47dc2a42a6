//! Data sources and functions.

use super::garbage::garbage;
use crate::cases;
use crate::core::{self, Core, Json, UNKNOWN, decode, dynamic, json, patched, pb, serve};
use azimage::schema::Type;
use pb::provider_server::Provider as Wire;
use tonic::Request;

#[tokio::test(start_paused = true)]
async fn a_data_source_keeps_configured_values_unchanged() {
    const NAME: &str = "azimage_marketplace_image";
    let core = Core::new().await;
    let parts = json!({"location": "East US", "publisher": "kinvolk", "offer": "flatcar-container-linux-free", "sku": "stable-gen2"});
    let latest = core.data(NAME, &parts).await.unwrap();
    assert_eq!(latest.get("location").as_str(), Some("East US"));
    let constrained = core.data(NAME, &patched(&parts, &json!({"version": "~> 4081.2"}))).await.unwrap();
    assert_eq!(
        constrained.get("version").as_str(),
        Some("4081.2.1"),
        "documented to be resolved to an exact version"
    );
    assert_eq!(constrained.get("exact_version").as_str(), Some("4081.2.1"));
    let urn = constrained.get("exact_urn").as_str().unwrap().to_owned();
    assert_eq!(urn, cases::URN.replace("3374.2.5", "4081.2.1"));
    let exact = core.data(NAME, &json!({"location": "eastus", "urn": urn})).await.unwrap();
    assert_eq!(exact.get("urn").as_str(), Some(urn.as_str()));
    assert_eq!(exact.get("id"), constrained.get("id"));
    // reading twice gives the same result
    assert_eq!(core.data(NAME, &parts).await.unwrap(), latest);
    // a configuration with unknown values is read at apply
    assert!(core.data(NAME, &patched(&parts, &json!({"sku": UNKNOWN}))).await.unwrap().is_unknown());
    // a missing object is an error, not null
    for (patch, says) in [
        (json!({"version": "9.9.9"}), "9.9.9"),
        (json!({"version": "~> 9.9"}), "~> 9.9"),
        (json!({"sku": "unstable"}), "unstable"),
        (json!({"publisher": "nobody"}), "nobody"),
        (json!({"version": "one"}), "one"),
        (json!({"urn": "a:b:c:1.0.0"}), "urn"),
    ] {
        let diagnostics = core.data(NAME, &patched(&parts, &patch)).await.unwrap_err();
        diagnostics.assert_error(&[says]);
    }
    core.fault(json!({"path": "publishers", "count": 0, "status": 403, "code": "AuthorizationFailed", "message": "No."}));
    let fresh = core.new_run(json!({})).await;
    fresh.data(NAME, &parts).await.unwrap_err().assert_error(&["AuthorizationFailed"]);
}

#[tokio::test]
async fn functions_work_without_a_provider_configuration_and_point_at_the_wrong_argument() {
    let (_, rpc) = serve();
    let signatures =
        rpc.get_functions(Request::new(Default::default())).await.unwrap().into_inner().functions;
    let call = async |name: &str, arguments: &[Json]| {
        let signature = &signatures[name];
        let types = signature.parameters.iter().map(|parameter| type_of(&parameter.r#type));
        let arguments =
            types.zip(arguments).map(|(ty, json)| dynamic(&core::typed(json, &ty), &ty).unwrap()).collect();
        let request = pb::call_function::Request { name: name.into(), arguments };
        let answer = rpc.call_function(Request::new(request)).await.unwrap().into_inner();
        match answer.error {
            Some(error) => {
                assert!(answer.result.is_none() && !error.text.is_empty());
                assert!(!error.text.contains("bug"), "{}", error.text);
                Err((error.function_argument, error.text))
            }
            None => {
                let ty = type_of(&signature.r#return.as_ref().unwrap().r#type);
                Ok(azimage::schema::json::encode(&decode(&answer.result, &ty)))
            }
        }
    };
    type Row = (&'static str, Vec<Json>, Result<Json, i64>);
    let rows: Vec<Row> = vec![
        ("format_urn", vec![json!("a"), json!("b"), json!("c"), json!("1.0.0")], Ok(json!("a:b:c:1.0.0"))),
        ("format_urn", vec![json!("a"), json!("b"), json!(""), json!("1.0.0")], Err(2)),
        (
            "parse_urn",
            vec![json!("a:b:c:1.0.0")],
            Ok(json!({"publisher": "a", "offer": "b", "sku": "c", "version": "1.0.0"})),
        ),
        ("parse_urn", vec![json!("a:b")], Err(0)),
        ("version_bump", vec![json!("1.2.3"), json!("minor")], Ok(json!("1.3.0"))),
        ("version_bump", vec![json!("1.2.3"), json!("huge")], Err(1)),
        ("version_bump", vec![json!("x"), json!("minor")], Err(0)),
        ("version_satisfies", vec![json!("1.10.0"), json!("~> 1.9")], Ok(json!(true))),
        ("version_satisfies", vec![json!("1.10.0"), json!("~~ 1")], Err(1)),
        ("version_sort", vec![json!(["1.10.0", "1.9.0"])], Ok(json!(["1.9.0", "1.10.0"]))),
        ("version_sort", vec![json!(["1.10.0", null])], Err(0)),
        ("version_sort", vec![json!(["1.10.0", "x"])], Err(0)),
        ("version_latest", vec![json!(["1.10.0", "1.9.0", "2.0.0"]), json!("< 2")], Ok(json!("1.10.0"))),
        ("version_latest", vec![json!(["1.10.0"]), json!("> ")], Err(1)),
        ("parse_image_id", vec![json!("no id")], Err(0)),
    ];
    for (name, arguments, expected) in rows {
        let first = call(name, &arguments).await;
        assert_eq!(first, call(name, &arguments).await, "{name} returns the same result every time");
        match (first, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{name} {arguments:?}"),
            (Err((argument, _)), Err(expected)) => {
                assert_eq!(argument, Some(expected), "{name} {arguments:?}")
            }
            (found, expected) => panic!("{name} {arguments:?}: {found:?}, not {expected:?}"),
        }
    }
    for (name, signature) in &signatures {
        assert!(
            signature.parameters.iter().all(|p| !p.allow_null_value && !p.allow_unknown_values),
            "{name}"
        );
        // Terraform Core never sends these arguments, but they are errors rather than panics
        let good = || {
            vec![
                Some(pb::DynamicValue { msgpack: b"\xc0".to_vec(), json: vec![] });
                signature.parameters.len()
            ]
        };
        for arguments in [
            vec![],
            good(),
            vec![Some(pb::DynamicValue::default()); signature.parameters.len()],
            [good(), good(), good()].concat(),
        ] {
            let request = pb::call_function::Request {
                name: name.clone(),
                arguments: arguments.into_iter().flatten().collect(),
            };
            let answer = rpc.call_function(Request::new(request)).await.unwrap().into_inner();
            assert!(answer.error.is_some() && answer.result.is_none(), "{name}");
        }
        for dv in garbage(11) {
            let arguments = vec![dv.unwrap(); signature.parameters.len()];
            let request = pb::call_function::Request { name: name.clone(), arguments };
            let answer = rpc.call_function(Request::new(request)).await.unwrap().into_inner();
            let text = answer.error.map(|error| error.text).unwrap_or_default();
            assert!(!text.contains(azimage::rpc::BUG), "{name}: {text}");
        }
    }
    let request = pb::call_function::Request { name: "unicorn".into(), arguments: vec![] };
    let answer = rpc.call_function(Request::new(request)).await.unwrap().into_inner();
    assert!(answer.error.unwrap().text.contains("unicorn"));
}

fn type_of(bytes: &[u8]) -> Type {
    Type::from_json(&serde_json::from_slice(bytes).unwrap()).unwrap()
}
