//! Calls to a cloud that has only older API versions.

use super::*;

/// The response of a cloud that has only `versions` of a type.
fn lacks(versions: &str) -> Answer {
    let message =
        format!("The supported api-versions are '{versions}'. The supported locations are 'chinaeast'.");
    let body = json!({"error": {"code": "NoRegisteredProviderFound", "message": message}});
    Ok(answer(400, &[], &body.to_string()))
}

fn found() -> Answer {
    Ok(answer(200, &[], &json!({"id": PATH, "value": []}).to_string()))
}

fn versions_asked(script: &Script) -> Vec<String> {
    script.urls().iter().map(|url| url.rsplit('=').next().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn falls_back_once_to_the_newest_version_that_the_cloud_has() {
    let script = Script::new(vec![lacks("2021-07-01, 2022-03-03"), found(), found(), found()]);
    let client = client(&script);
    let before = client.api_version_of(&target());
    assert_eq!((before.version, before.is_confirmed), ("2026-03-03", false));
    client.list(&scope(1).0, &target()).await.unwrap();
    let after = client.api_version_of(&target());
    assert_eq!((after.version, after.is_confirmed), ("2022-03-03", true));
    client.put(&scope(1).0, &target(), &json!({})).await.unwrap();
    client.list(&scope(1).0, &Target::at(format!("{PATH}/images"))).await.unwrap();
    assert_eq!(versions_asked(&script), ["2026-03-03", "2022-03-03", "2022-03-03", "2022-03-03"]);
}

/// Every resource provider has older versions to fall back to.
#[tokio::test(start_paused = true)]
async fn every_type_falls_back() {
    let compute = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute";
    for (path, has) in [
        (format!("{compute}/galleries/g/images/i/versions/1.0.0"), "2021-10-01"),
        (format!("{compute}/images/i"), "2021-07-01"),
        (format!("{compute}/virtualMachines/v"), "2021-07-01"),
        (format!("{compute}/disks/d"), "2021-04-01"),
        (format!("{compute}/snapshots/s"), "2021-04-01"),
        (format!("{compute}/diskEncryptionSets/d"), "2021-04-01"),
        (
            "/subscriptions/s/providers/Microsoft.Compute/locations/l/communityGalleries/g".into(),
            "2022-03-03",
        ),
        ("/subscriptions/s/providers/Microsoft.Compute/locations/l/publishers/p".into(), "2021-07-01"),
        (
            "/subscriptions/s/providers/Microsoft.MarketplaceOrdering/agreements/a/offers/o/plans/p".into(),
            "2015-06-01",
        ),
        ("/subscriptions/s/locations".into(), "2021-01-01"),
    ] {
        let body = json!({"id": path, "value": []}).to_string();
        let script = Script::new(vec![lacks(has), Ok(answer(200, &[], &body))]);
        client(&script).get(&scope(1).0, &Target::at(path.clone())).await.unwrap();
        assert_eq!(versions_asked(&script)[1], has, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn refuses_a_request_that_needs_a_newer_version_than_the_cloud_has() {
    let script = Script::new(vec![lacks("2021-07-01, 2022-03-03")]);
    let client = client(&script);
    let needy = target().needs("2025-03-03", "identity");
    for _ in 0..2 {
        let error = client.put(&scope(1).0, &needy, &json!({})).await.unwrap_err();
        let text = error.to_string();
        assert!(error.kind == Kind::Refused && !error.may_have_acted(), "{text}");
        for part in ["identity", "2025-03-03", "2022-03-03"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
    assert_eq!(script.urls().len(), 1, "only the attempt with the newest version was sent");
}

#[tokio::test(start_paused = true)]
async fn an_absence_confirms_the_version() {
    let script = Script::new(vec![fault(404, "ResourceNotFound")]);
    let client = client(&script);
    assert_eq!(client.get_opt(&scope(1).0, &target()).await.unwrap(), None);
    assert!(client.api_version_of(&target()).is_confirmed);
}
