//! The private state in responses to PlanResourceChange, and its effect on apply.

use azimage::framework::Private;
use azimage::schema::Value;

use crate::cases;
use crate::core::Core;

#[tokio::test(start_paused = true)]
async fn a_create_starts_with_empty_private_state() {
    let mut old = Private::default();
    old.set("operation", &"https://management.azure.com/operations/of-the-replaced-object");
    for case in cases::all() {
        let core = Core::new().await;
        (case.prepare)(&core);
        let config = core.config(case.type_name, &case.small);
        let (answer, diagnostics) =
            core.plan_once(case.type_name, &Value::Null, &config, &old.to_bytes(), None).await;
        assert!(!diagnostics.has_errors(), "{}: {diagnostics:?}", case.name);
        assert_eq!(answer.planned_private, b"", "{}", case.name);
    }
}
