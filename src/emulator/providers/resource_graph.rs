//! `POST /providers/Microsoft.ResourceGraph/resources`: queries over all resources.
//!
//! Recorded with 2021-03-01: the keys of the response, paging by `$skipToken` (an offset, not a snapshot), the quota headers,
//! and the error of a query that cannot be parsed. Not recorded: the details of other errors, and `resultFormat: table`, which
//! follows the published description.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::kql::evaluate::{self, Source};
use super::super::kql::parse::parse;
use super::super::kql::syntax::{Comparison, Expression, Operator, Query, QueryError};
use super::super::resource::Resource;
use super::super::settings::Work;
use super::super::throttle::RESOURCE_GRAPH;
use super::{access, subscriptions};

/// The most rows in one page, and the number of rows when `$top` is left out.
const MOST: usize = 1_000;

/// Answers a query.
pub fn query(call: &mut Call<'_, '_>) -> Outcome {
    if call.method != Method::Post {
        return Err(ArmError::no_method(call.method.name(), "Microsoft.ResourceGraph/resources"));
    }
    call.meter = Some(RESOURCE_GRAPH);
    match answer(call) {
        Ok(answer) => Ok(answer),
        Err(details) => {
            let message = format!(
                "Please provide below info when asking for support: timestamp = {}, correlationId = {}.",
                clock::format_z(call.now),
                call.state.guid()
            );
            // A failed query changes nothing; only a new identifier for the message was staged.
            call.state.undo();
            let error =
                Json::object().with("code", "BadRequest").with("message", message).with("details", details);
            Ok(Answer::compact(400, Json::object().with("error", error)))
        }
    }
}

type Details = Vec<Json>;

fn detail(code: &str, message: impl Into<String>) -> Json {
    Json::object().with("code", code).with("message", message.into())
}

fn invalid(more: Json) -> Details {
    vec![
        detail(
            "InvalidQuery",
            "Query is invalid. Please refer to the documentation for the Azure Resource Graph service and fix the error before retrying.",
        ),
        more,
    ]
}

fn of_query(error: QueryError) -> Details {
    match error {
        // Recorded: the service always reports "Ǐ" as the expected token.
        QueryError::Syntax { line, column, token } => invalid(
            detail("ParserFailure", "ParserFailure")
                .with("line", line as i64)
                .with("characterPositionInLine", column as i64)
                .with("token", token)
                .with("expectedToken", "\u{1cf}"),
        ),
        QueryError::NotEmulated(what) => {
            invalid(detail("NotEmulated", format!("The emulator's Resource Graph does not have the {what}.")))
        }
        QueryError::UnknownColumn { operator, column } => invalid(detail(
            "UnresolvedColumn",
            format!("'{operator}' operator: Failed to resolve scalar expression named '{column}'"),
        )),
        QueryError::UnknownTable(table) => {
            let message = format!("Table {table} is invalid, unsupported or disallowed.");
            invalid(detail("DisallowedLogicalTableName", message))
        }
    }
}

fn answer(call: &mut Call<'_, '_>) -> Result<Answer, Details> {
    let text = call.body.text("query").unwrap_or_default().to_owned();
    let query = parse(&text).map_err(of_query)?;
    if !call.body.list("facets").is_empty() {
        return Err(vec![detail("NotEmulated", "The emulator's Resource Graph does not have facets.")]);
    }
    let number = |key: &str| call.body.int(&format!("options.{key}"));
    let (mut top, mut skip) = (number("$top").unwrap_or(MOST as i64), number("$skip").unwrap_or(0));
    if let Some(token) = call.body.text("options.$skipToken") {
        (top, skip) = read_token(token)
            .ok_or_else(|| vec![detail("InvalidSkipToken", "The provided skip token is not valid.")])?;
    }
    let (Ok(top), Ok(skip)) = (usize::try_from(top), usize::try_from(skip)) else {
        return Err(vec![detail("InvalidOptions", "$top and $skip cannot be negative.")]);
    };
    if top == 0 || top > MOST {
        let message = format!("The value of $top must be between 1 and {MOST}.");
        return Err(vec![detail("InvalidOptions", message)]);
    }
    let rows = rows(call, &query);
    let sources: Vec<&dyn Source> = rows.iter().map(|row| row as &dyn Source).collect();
    let found = evaluate::run(&query.operators, &sources, skip, top).map_err(of_query)?;
    let next = skip + found.page.len();
    let more = found.total > next;
    // A result without IDs, or with a limit in the query, cannot be paged and is truncated.
    let limited = query.operators.iter().any(|operator| matches!(operator, Operator::Limit(_)));
    let cut = more && (limited || !found.has_id);
    let count = found.page.len() as i64;
    let data = match call.body.text("options.resultFormat") {
        Some(format) if format.eq_ignore_ascii_case("table") => table(found.page),
        _ => found.page.into(),
    };
    let answer = Json::object()
        .with("totalRecords", found.total as i64)
        .with("count", count)
        .with("data", data)
        .with("facets", Vec::new())
        .with("resultTruncated", if cut { "true" } else { "false" })
        .maybe("$skipToken", (more && !cut).then(|| token(top, next)));
    Ok(Answer::compact(200, answer))
}

/// The recorded token: base64 of JSON in several lines.
fn token(top: usize, skip: usize) -> String {
    STANDARD.encode(format!(
        "{{\r\n  \"$id\": \"1\",\r\n  \"MaxRows\": {top},\r\n  \"RowsToSkip\": {skip},\r\n  \"KustoClusterUrl\": \"https://arg-weu-four-sf.arg.core.windows.net\"\r\n}}"
    ))
}

fn read_token(token: &str) -> Option<(i64, i64)> {
    let token = Json::parse(&STANDARD.decode(token).ok()?).ok()?;
    Some((token.int("MaxRows")?, token.int("RowsToSkip")?))
}

/// Rows as `resultFormat: table` has them.
fn table(page: Vec<Json>) -> Json {
    let first = page.first().cloned().unwrap_or_default();
    let columns: Vec<Json> = first
        .pairs()
        .iter()
        .map(|(name, value)| {
            let kind = match value {
                Json::Bool(_) => "boolean",
                Json::Number(number) if number.is_f64() => "number",
                Json::Number(_) => "integer",
                Json::Object(_) | Json::Array(_) => "object",
                _ => "string",
            };
            Json::object().with("name", name.as_str()).with("type", kind)
        })
        .collect();
    let rows: Vec<Json> = page
        .iter()
        .map(|row| row.pairs().iter().map(|(_, value)| value.clone()).collect::<Vec<_>>().into())
        .collect();
    Json::object().with("columns", columns).with("rows", rows)
}

/// One resource as a row.
struct ResourceRow {
    doc: Arc<Json>,
    kind: Json,
    group: Json,
    subscription: Json,
    tenant: Json,
    /// The properties with the current state, if the stored state differs.
    properties: Option<Json>,
}

const COLUMNS: &[&str] = &[
    "id",
    "name",
    "type",
    "tenantId",
    "kind",
    "location",
    "resourceGroup",
    "subscriptionId",
    "managedBy",
    "sku",
    "plan",
    "properties",
    "tags",
    "identity",
    "zones",
    "extendedLocation",
];

impl Source for ResourceRow {
    fn column(&self, name: &str) -> Option<Cow<'_, Json>> {
        if !COLUMNS.contains(&name) {
            return None;
        }
        let own = match name {
            "type" => Some(&self.kind),
            "resourceGroup" => Some(&self.group),
            "subscriptionId" => Some(&self.subscription),
            "tenantId" => Some(&self.tenant),
            "properties" if self.properties.is_some() => self.properties.as_ref(),
            _ => self.doc.get(name),
        };
        Some(match (own, name) {
            (Some(value), _) => Cow::Borrowed(value),
            // These three columns are strings, which are empty instead of null.
            (None, "kind" | "managedBy" | "location") => Cow::Owned(Json::from("")),
            (None, _) => Cow::Owned(Json::Null),
        })
    }

    fn names(&self) -> &'static [&'static str] {
        COLUMNS
    }
}

/// The types whose rows are in `computeresources`.
const COMPUTE_RESOURCES: &[&str] = &["microsoft.compute/virtualmachinescalesets/virtualmachines"];

/// Whether a type has its rows in a table.
fn in_table(table: &str, kind: &str) -> bool {
    let container = matches!(
        kind,
        "microsoft.resources/resourcegroups" | "microsoft.resources/subscriptions/resourcegroups"
    );
    match table {
        "resourcecontainers" => container,
        "authorizationresources" => kind.starts_with("microsoft.authorization/"),
        "computeresources" => COMPUTE_RESOURCES.contains(&kind),
        "resources" => {
            !container
                && !COMPUTE_RESOURCES.contains(&kind)
                && !kind.starts_with("microsoft.authorization/")
                && !kind.starts_with("microsoft.resources/")
                && kind.contains('/')
        }
        _ => false,
    }
}

fn rows(call: &Call<'_, '_>, query: &Query) -> Vec<ResourceRow> {
    let wanted: Vec<String> = call
        .body
        .list("subscriptions")
        .iter()
        .filter_map(|id| id.as_str().map(str::to_ascii_lowercase))
        .collect();
    let types = types(&query.operators);
    let lag = call.duration(Work::GraphLag);
    let mut found = Vec::new();
    for subscription in subscriptions::known(call) {
        if !wanted.is_empty() && !wanted.contains(&subscription) {
            continue;
        }
        if query.table == "resourcecontainers"
            && access::allows(
                call,
                &format!("/subscriptions/{subscription}"),
                "Microsoft.Resources/subscriptions/read",
            )
        {
            found.push(container(call, &subscription));
        }
        let mut add = |record: &Arc<Json>| {
            let resource = Resource::from_record(record);
            let kind = resource.doc.text("type").unwrap_or_default().to_ascii_lowercase();
            if in_table(&query.table, &kind)
                && visible(call, &resource, lag)
                && access::allows(call, resource.id(), &format!("{kind}/read"))
            {
                found.push(row(call, record, &resource, &kind));
            }
        };
        match &types {
            Some(types) => {
                for kind in types {
                    call.state.of_type(&subscription, kind).iter().for_each(&mut add);
                }
            }
            None => call.state.scan(&format!("r|/subscriptions/{subscription}/"), None, |_, record| {
                add(record);
                true
            }),
        }
    }
    found
}

/// With eventual consistency, the index lags behind changes.
fn visible(call: &Call<'_, '_>, resource: &Resource, lag: i64) -> bool {
    if !call.settings.eventual_consistency {
        return resource.exists(call.now);
    }
    let creating = resource.hidden("operation.verb").and_then(Json::as_str) == Some("create");
    let known = !creating || resource.started().is_none_or(|start| start + lag <= call.now);
    known && resource.exists(call.now - lag)
}

fn row(call: &Call<'_, '_>, record: &Arc<Json>, resource: &Resource, kind: &str) -> ResourceRow {
    let segments: Vec<&str> = resource.id().split('/').collect();
    let at = |index: usize| segments.get(index).copied().unwrap_or_default().to_ascii_lowercase();
    let state = resource.state(call.now);
    let stored = resource.property_text("provisioningState");
    let differs = stored.is_some_and(|stored| stored != state) || stored.is_none() && state != "Succeeded";
    let properties = differs.then(|| {
        let mut properties = resource.doc.get("properties").cloned().unwrap_or_default();
        properties.set("provisioningState", state);
        properties
    });
    let kind = match kind {
        "microsoft.resources/resourcegroups" => "microsoft.resources/subscriptions/resourcegroups",
        kind => kind,
    };
    ResourceRow {
        doc: Arc::clone(record),
        kind: kind.into(),
        group: at(4).into(),
        subscription: at(2).into(),
        tenant: call.tenant.as_str().into(),
        properties,
    }
}

fn container(call: &Call<'_, '_>, subscription: &str) -> ResourceRow {
    let properties = Json::object()
        .with("managedByTenants", Vec::new())
        .with("subscriptionPolicies", subscriptions::policies())
        .with("state", "Enabled");
    let doc = Json::object()
        .with("id", format!("/subscriptions/{subscription}"))
        .with("name", subscriptions::NAME)
        .with("properties", properties);
    ResourceRow {
        doc: Arc::new(doc),
        kind: "microsoft.resources/subscriptions".into(),
        group: "".into(),
        subscription: subscription.into(),
        tenant: call.tenant.as_str().into(),
        properties: None,
    }
}

/// The types that pass the first filter of a query, so that only their resources are read.
fn types(operators: &[Operator]) -> Option<Vec<String>> {
    let Some(Operator::Where(condition)) = operators.first() else { return None };
    types_in_filter(condition)
}

fn types_in_filter(condition: &Expression) -> Option<Vec<String>> {
    let literal = |expression: &Expression| match expression {
        Expression::Literal(Json::String(text)) => Some(text.to_ascii_lowercase()),
        _ => None,
    };
    let is_type = |expression: &Expression| matches!(expression, Expression::Column(name) if name == "type");
    match condition {
        Expression::And(left, right) => types_in_filter(left).or_else(|| types_in_filter(right)),
        Expression::Compare(
            left,
            Comparison::Equal { negated: false } | Comparison::EqualIgnoreCase { negated: false },
            right,
        ) if is_type(left) => Some(vec![literal(right)?]),
        Expression::In { value, list, negated: false, .. } if is_type(value) => {
            list.iter().map(literal).collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_the_recorded_one() {
        let recorded = "ew0KICAiJGlkIjogIjEiLA0KICAiTWF4Um93cyI6IDMsDQogICJSb3dzVG9Ta2lwIjogOCwNCiAgIkt1c3RvQ2x1c3RlclVybCI6ICJodHRwczovL2FyZy13ZXUtZm91ci1zZi5hcmcuY29yZS53aW5kb3dzLm5ldCINCn0=";
        assert_eq!(token(3, 8), recorded);
        assert_eq!(read_token(recorded), Some((3, 8)));
        assert_eq!(read_token("x"), None);
    }

    #[test]
    fn reads_only_the_types_that_pass_the_filter() {
        for (query, types_read) in [
            ("where type =~ 'A/b' and name == 'x'", Some(vec!["a/b"])),
            ("where name == 'x' and type in~ ('A/b', 'c/d')", Some(vec!["a/b", "c/d"])),
            ("where type =~ 'a/b' or name == 'x'", None),
            ("where type != 'a/b'", None),
            ("project id", None),
        ] {
            let expected = types_read.map(|types| types.into_iter().map(str::to_owned).collect());
            assert_eq!(types(&parse(query).unwrap().operators), expected, "{query}");
        }
    }
}
