//! Runs a query over rows. Rows are read lazily, so that a filter over thousands of resources copies none of them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::super::json::Json;
use super::syntax::{Aggregate, Comparison, Expression, Function, Operator, QueryError, TextTest};

/// A source of rows' columns, before any operator changes them.
pub trait Source {
    /// The value of a column; `None` when the table has no such column.
    fn column(&self, name: &str) -> Option<Cow<'_, Json>>;
    /// The names of all columns, in the table's order.
    fn names(&self) -> &'static [&'static str];
}

/// A row that passes through the operators.
struct Row<'s> {
    source: Option<&'s dyn Source>,
    columns: Vec<(String, Json)>,
}

impl Row<'_> {
    fn column(&self, name: &str) -> Option<Cow<'_, Json>> {
        match self.columns.iter().find(|(known, _)| known == name) {
            Some((_, value)) => Some(Cow::Borrowed(value)),
            None => self.source.and_then(|source| source.column(name)),
        }
    }

    fn set(&mut self, name: &str, value: Json) {
        match self.columns.iter_mut().find(|(known, _)| known == name) {
            Some((_, slot)) => *slot = value,
            None => self.columns.push((name.to_owned(), value)),
        }
    }

    /// Copies the columns of the source, so that one of them can be removed.
    fn detach(&mut self) {
        if let Some(source) = self.source.take() {
            let own = std::mem::take(&mut self.columns);
            self.columns = source
                .names()
                .iter()
                .map(|name| ((*name).to_owned(), source.column(name).unwrap_or_default().into_owned()))
                .collect();
            for (name, value) in own {
                self.set(&name, value);
            }
        }
    }

    fn into_json(mut self) -> Json {
        self.detach();
        Json::Object(self.columns)
    }
}

/// What a query returns.
pub struct Rows {
    /// The rows of the page.
    pub page: Vec<Json>,
    /// The total number of rows.
    pub total: usize,
    /// Whether the rows have a column `id`, which the service needs for paging.
    pub has_id: bool,
}

/// Runs the operators over the rows and returns those from `skip` on, at most `top` of them.
pub fn run(
    operators: &[Operator],
    sources: &[&dyn Source],
    skip: usize,
    top: usize,
) -> Result<Rows, QueryError> {
    let mut rows: Vec<Row<'_>> =
        sources.iter().map(|source| Row { source: Some(*source), columns: Vec::new() }).collect();
    for operator in operators {
        rows = apply(operator, rows)?;
    }
    let total = rows.len();
    let has_id = rows.first().is_none_or(|row| row.column("id").is_some());
    let page = rows.into_iter().skip(skip).take(top).map(Row::into_json).collect();
    Ok(Rows { page, total, has_id })
}

fn apply<'s>(operator: &Operator, mut rows: Vec<Row<'s>>) -> Result<Vec<Row<'s>>, QueryError> {
    match operator {
        Operator::Where(condition) => {
            let mut kept = Vec::new();
            for row in rows {
                if is_true(&*evaluate(condition, &row, "where")?) {
                    kept.push(row);
                }
            }
            Ok(kept)
        }
        Operator::Extend(columns) => {
            for row in &mut rows {
                for (name, expression) in columns {
                    let value = evaluate(expression, row, "extend")?.into_owned();
                    row.set(name, value);
                }
            }
            Ok(rows)
        }
        Operator::Project(columns) => rows.iter().map(|row| project(columns, row, "project")).collect(),
        Operator::ProjectAway(names) => {
            for row in &mut rows {
                row.detach();
                row.columns.retain(|(name, _)| !names.contains(name));
            }
            Ok(rows)
        }
        Operator::Order(keys) => {
            let mut keyed = Vec::new();
            for row in rows {
                let mut values = Vec::new();
                for key in keys {
                    values.push(evaluate(&key.expression, &row, "order")?.into_owned());
                }
                keyed.push((values, row));
            }
            keyed.sort_by(|(left, _), (right, _)| {
                keys.iter()
                    .zip(left.iter().zip(right))
                    .map(|(key, (a, b))| if key.descending { order(b, a) } else { order(a, b) })
                    .find(|ordering| *ordering != Ordering::Equal)
                    .unwrap_or(Ordering::Equal)
            });
            Ok(keyed.into_iter().map(|(_, row)| row).collect())
        }
        Operator::Limit(count) => {
            rows.truncate(*count);
            Ok(rows)
        }
        Operator::Count => {
            let count = vec![("Count".to_owned(), Json::from(rows.len() as i64))];
            Ok(vec![Row { source: None, columns: count }])
        }
        Operator::Distinct(columns) => {
            let mut seen = BTreeMap::new();
            for row in &rows {
                let row = project(columns, row, "distinct")?;
                seen.entry(Json::Object(row.columns.clone()).compact()).or_insert(row);
            }
            Ok(seen.into_values().collect())
        }
        Operator::Summarize(aggregates, by) => summarize(aggregates, by, &rows),
    }
}

fn project<'s>(
    columns: &[(String, Expression)],
    row: &Row<'_>,
    operator: &'static str,
) -> Result<Row<'s>, QueryError> {
    let mut projected = Row { source: None, columns: Vec::with_capacity(columns.len()) };
    for (name, expression) in columns {
        projected.set(name, evaluate(expression, row, operator)?.into_owned());
    }
    Ok(projected)
}

fn summarize<'s>(
    aggregates: &[(String, Aggregate)],
    by: &[(String, Expression)],
    rows: &[Row<'_>],
) -> Result<Vec<Row<'s>>, QueryError> {
    let mut groups: BTreeMap<String, (Vec<(String, Json)>, Vec<&Row<'_>>)> = BTreeMap::new();
    if by.is_empty() {
        groups.insert(String::new(), (Vec::new(), Vec::new()));
    }
    for row in rows {
        let key = project(by, row, "summarize")?.columns;
        let text = if by.is_empty() { String::new() } else { Json::Object(key.clone()).compact() };
        groups.entry(text).or_insert_with(|| (key, Vec::new())).1.push(row);
    }
    let mut summaries = Vec::new();
    for (_, (key, members)) in groups {
        let mut summary = Row { source: None, columns: key };
        for (name, aggregate) in aggregates {
            summary.set(name, total(aggregate, &members)?);
        }
        summaries.push(summary);
    }
    Ok(summaries)
}

fn total(aggregate: &Aggregate, rows: &[&Row<'_>]) -> Result<Json, QueryError> {
    let values = |expression: &Expression| -> Result<Vec<Json>, QueryError> {
        rows.iter().map(|row| Ok(evaluate(expression, row, "summarize")?.into_owned())).collect()
    };
    Ok(match aggregate {
        Aggregate::Count => Json::from(rows.len() as i64),
        Aggregate::CountIf(condition) => {
            Json::from(values(condition)?.iter().filter(|value| is_true(value)).count() as i64)
        }
        Aggregate::DistinctCount(expression) => {
            let mut texts: Vec<String> = values(expression)?.iter().map(Json::compact).collect();
            texts.sort();
            texts.dedup();
            Json::from(texts.len() as i64)
        }
        Aggregate::Min(expression) => {
            values(expression)?.into_iter().filter(|value| !value.is_null()).min_by(order).unwrap_or_default()
        }
        Aggregate::Max(expression) => {
            values(expression)?.into_iter().filter(|value| !value.is_null()).max_by(order).unwrap_or_default()
        }
        Aggregate::Sum(expression) => {
            let numbers = values(expression)?;
            let whole: Option<i64> = numbers.iter().map(whole_number).sum();
            match whole {
                Some(sum) => Json::from(sum),
                None => Json::from(numbers.iter().filter_map(number).sum::<f64>()),
            }
        }
    })
}

fn evaluate<'r>(
    expression: &'r Expression,
    row: &'r Row<'_>,
    operator: &'static str,
) -> Result<Cow<'r, Json>, QueryError> {
    let value = |expression: &'r Expression| evaluate(expression, row, operator);
    Ok(match expression {
        Expression::Literal(literal) => Cow::Borrowed(literal),
        Expression::Column(name) => {
            row.column(name).ok_or_else(|| QueryError::UnknownColumn { operator, column: name.clone() })?
        }
        Expression::Member(inner, name) => match value(inner)? {
            Cow::Borrowed(object) => Cow::Borrowed(object.get(name).unwrap_or(&Json::Null)),
            Cow::Owned(object) => Cow::Owned(object.get(name).cloned().unwrap_or_default()),
        },
        Expression::Element(inner, index) => {
            let array = value(inner)?;
            let Json::Array(items) = &*array else { return Ok(Cow::Owned(Json::Null)) };
            let at = if *index < 0 { items.len() as i64 + index } else { *index };
            let item = usize::try_from(at).ok().and_then(|at| items.get(at));
            Cow::Owned(item.cloned().unwrap_or_default())
        }
        Expression::And(left, right) => {
            Cow::Owned(Json::Bool(is_true(&*value(left)?) && is_true(&*value(right)?)))
        }
        Expression::Or(left, right) => {
            Cow::Owned(Json::Bool(is_true(&*value(left)?) || is_true(&*value(right)?)))
        }
        Expression::Compare(left, comparison, right) => {
            Cow::Owned(Json::Bool(compare(&*value(left)?, *comparison, &*value(right)?)))
        }
        Expression::In { value: left, list, ignore_case, negated } => {
            let left = value(left)?;
            let comparison = match ignore_case {
                true => Comparison::EqualIgnoreCase { negated: false },
                false => Comparison::Equal { negated: false },
            };
            let mut found = false;
            for item in list {
                found |= compare(&left, comparison, &*value(item)?);
            }
            Cow::Owned(Json::Bool(found != *negated))
        }
        Expression::Call(function, arguments) => call(*function, arguments, row, operator)?,
    })
}

fn call<'r>(
    function: Function,
    arguments: &'r [Expression],
    row: &'r Row<'_>,
    operator: &'static str,
) -> Result<Cow<'r, Json>, QueryError> {
    let value = |index: usize| evaluate(&arguments[index], row, operator);
    let text = |index: usize| Ok(to_string(&*value(index)?).into_owned());
    let owned = |json: Json| Ok(Cow::Owned(json));
    match function {
        Function::ToLower => owned(text(0)?.to_lowercase().into()),
        Function::ToUpper => owned(text(0)?.to_uppercase().into()),
        Function::ToString => owned(text(0)?.into()),
        Function::ToLong => {
            let value = value(0)?;
            let parsed = match &*value {
                Json::String(text) => text.trim().parse::<i64>().ok(),
                other => number(other).map(|number| number as i64),
            };
            owned(parsed.map_or(Json::Null, Json::from))
        }
        Function::ToBool => owned(match &*value(0)? {
            Json::Bool(value) => Json::Bool(*value),
            Json::String(text) if text.eq_ignore_ascii_case("true") => Json::Bool(true),
            Json::String(text) if text.eq_ignore_ascii_case("false") => Json::Bool(false),
            _ => Json::Null,
        }),
        // The first value that is neither null nor an empty string.
        Function::Coalesce => {
            for index in 0..arguments.len() {
                let candidate = value(index)?;
                if !candidate.is_null() && candidate.as_str() != Some("") {
                    return Ok(candidate);
                }
            }
            value(arguments.len() - 1)
        }
        Function::If => value(if is_true(&*value(0)?) { 1 } else { 2 }),
        Function::Case => {
            for pair in 0..arguments.len() / 2 {
                if is_true(&*value(pair * 2)?) {
                    return value(pair * 2 + 1);
                }
            }
            value(arguments.len() - 1)
        }
        Function::Not => owned(Json::Bool(!is_true(&*value(0)?))),
        Function::IsNull => owned(Json::Bool(value(0)?.is_null())),
        Function::IsNotNull => owned(Json::Bool(!value(0)?.is_null())),
        Function::IsEmpty => owned(Json::Bool(to_string(&*value(0)?).is_empty())),
        Function::IsNotEmpty => owned(Json::Bool(!to_string(&*value(0)?).is_empty())),
        Function::Split => {
            let (text, separator) = (text(0)?, text(1)?);
            let parts: Vec<Json> = if separator.is_empty() {
                vec![text.into()]
            } else {
                text.split(&separator).map(Json::from).collect()
            };
            owned(parts.into())
        }
        Function::Concatenate => {
            let mut all = String::new();
            for index in 0..arguments.len() {
                all.push_str(&to_string(&*value(index)?));
            }
            owned(all.into())
        }
        Function::Length => owned((text(0)?.chars().count() as i64).into()),
        Function::ArrayLength => owned(match &*value(0)? {
            Json::Array(items) => Json::from(items.len() as i64),
            _ => Json::Null,
        }),
        Function::ParseJson => match value(0)? {
            parsed if parsed.as_str().is_none() => Ok(parsed),
            text => {
                let text = text.as_str().unwrap_or_default().to_owned();
                owned(Json::parse(text.as_bytes()).unwrap_or(Json::String(text)))
            }
        },
        Function::Substring => {
            let start = whole_number(&*value(1)?).and_then(|start| usize::try_from(start).ok()).unwrap_or(0);
            let length = match arguments.len() {
                3 => whole_number(&*value(2)?).and_then(|length| usize::try_from(length).ok()).unwrap_or(0),
                _ => usize::MAX,
            };
            owned(text(0)?.chars().skip(start).take(length).collect::<String>().into())
        }
        Function::ReplaceText => owned(text(0)?.replace(&text(1)?, &text(2)?).into()),
    }
}

fn compare(left: &Json, comparison: Comparison, right: &Json) -> bool {
    match comparison {
        Comparison::Equal { negated } => equal(left, right) != negated,
        Comparison::EqualIgnoreCase { negated } => {
            (to_string(left).to_lowercase() == to_string(right).to_lowercase()) != negated
        }
        Comparison::Less => comparable(left, right) && order(left, right) == Ordering::Less,
        Comparison::LessOrEqual => comparable(left, right) && order(left, right) != Ordering::Greater,
        Comparison::Greater => comparable(left, right) && order(left, right) == Ordering::Greater,
        Comparison::GreaterOrEqual => comparable(left, right) && order(left, right) != Ordering::Less,
        Comparison::Text { test, case_sensitive, negated } => {
            let (mut text, mut part) = (to_string(left).into_owned(), to_string(right).into_owned());
            if !case_sensitive {
                (text, part) = (text.to_lowercase(), part.to_lowercase());
            }
            let found = match test {
                TextTest::Contains => text.contains(&part),
                TextTest::StartsWith => text.starts_with(&part),
                TextTest::EndsWith => text.ends_with(&part),
                TextTest::HasWord => has_word(&text, &part),
            };
            found != negated
        }
    }
}

fn has_word(text: &str, word: &str) -> bool {
    let inside = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    text.match_indices(word).any(|(at, _)| {
        !inside(text[..at].chars().next_back()) && !inside(text[at + word.len()..].chars().next())
    })
}

/// Null does not equal anything, as in Kusto.
fn equal(left: &Json, right: &Json) -> bool {
    match (number(left), number(right)) {
        (Some(a), Some(b)) => a == b,
        _ => !left.is_null() && left == right,
    }
}

fn comparable(left: &Json, right: &Json) -> bool {
    !left.is_null() && !right.is_null()
}

/// Null first, then numbers, then strings.
fn order(left: &Json, right: &Json) -> Ordering {
    match (number(left), number(right)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => to_string(left).cmp(&to_string(right)),
    }
}

fn number(value: &Json) -> Option<f64> {
    match value {
        Json::Number(number) => number.as_f64(),
        _ => None,
    }
}

fn whole_number(value: &Json) -> Option<i64> {
    match value {
        Json::Number(number) => number.as_i64(),
        _ => None,
    }
}

fn is_true(value: &Json) -> bool {
    *value == Json::Bool(true)
}

/// `tostring`: null becomes an empty string, and a dynamic value its JSON.
fn to_string(value: &Json) -> Cow<'_, str> {
    match value {
        Json::Null => Cow::Borrowed(""),
        Json::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.compact()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    struct Fixture(Json);

    impl Source for Fixture {
        fn column(&self, name: &str) -> Option<Cow<'_, Json>> {
            self.names()
                .contains(&name)
                .then(|| self.0.get(name).map_or(Cow::Owned(Json::Null), Cow::Borrowed))
        }

        fn names(&self) -> &'static [&'static str] {
            &["id", "name", "type", "properties"]
        }
    }

    fn rows() -> Vec<Fixture> {
        [
            r#"{"id":"/b","name":"web2","type":"vm","properties":{"size":2,"ref":{"id":"/Gal/images/web2"},"on":true}}"#,
            r#"{"id":"/a","name":"Web","type":"vm","properties":{"size":10,"ref":{"id":"/gal/images/web/versions/1.0.0"}}}"#,
            r#"{"id":"/c","name":"db","type":"disk","properties":{"ref":{"sharedGalleryImageId":"/sharedGalleries/x"},"list":["p","q"]}}"#,
        ]
        .iter()
        .map(|text| Fixture(Json::parse(text.as_bytes()).unwrap()))
        .collect()
    }

    fn answer(query: &str) -> String {
        let rows = rows();
        let sources: Vec<&dyn Source> = rows.iter().map(|row| row as &dyn Source).collect();
        match run(&parse(query).unwrap().operators, &sources, 0, 100) {
            Ok(found) => Json::Array(found.page).compact(),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn evaluates_the_operators_and_functions() {
        for (query, expected) in [
            ("project name | order by name asc", r#"[{"name":"Web"},{"name":"db"},{"name":"web2"}]"#),
            ("project id | order by id", r#"[{"id":"/c"},{"id":"/b"},{"id":"/a"}]"#),
            ("where properties.size > 2 | project id", r#"[{"id":"/a"}]"#),
            ("where type in~ ('VM') | project id | limit 1", r#"[{"id":"/b"}]"#),
            ("where type !in ('vm') | project id", r#"[{"id":"/c"}]"#),
            ("where name =~ 'WEB' | project id", r#"[{"id":"/a"}]"#),
            ("where name !contains 'web' | project id", r#"[{"id":"/c"}]"#),
            ("where properties.on == true | project id", r#"[{"id":"/b"}]"#),
            (
                "extend r = tolower(coalesce(tostring(properties.ref.id), tostring(properties.ref.sharedGalleryImageId))) | where r startswith '/gal/images/web/' or r == '/gal/images/web' | project id, r",
                r#"[{"id":"/a","r":"/gal/images/web/versions/1.0.0"}]"#,
            ),
            (
                "project x = split(tostring(properties.ref.id), '/')[2], y = properties['size'], properties.list[-1] | limit 1",
                r#"[{"x":"images","y":2,"properties_list_-1":null}]"#,
            ),
            (
                "summarize n = count(), most = max(properties.size) by type | order by type asc",
                r#"[{"type":"disk","n":1,"most":null},{"type":"vm","n":2,"most":10}]"#,
            ),
            ("count", r#"[{"Count":3}]"#),
            ("where isnull(properties.size) | count", r#"[{"Count":1}]"#),
            ("where not(properties.size == 2) | count", r#"[{"Count":2}]"#),
            ("where name has 'web' | count", r#"[{"Count":1}]"#),
            ("distinct type | order by type asc", r#"[{"type":"disk"},{"type":"vm"}]"#),
            ("where id == '/c' | project-away properties, type", r#"[{"id":"/c","name":"db"}]"#),
            (
                "project n = iff(type == 'vm', strcat(name, '!'), case(name == 'db', 'base', '')) | order by n asc",
                r#"[{"n":"Web!"},{"n":"base"},{"n":"web2!"}]"#,
            ),
            ("where nothing == 1", r#"UnknownColumn { operator: "where", column: "nothing" }"#),
        ] {
            assert_eq!(answer(query), expected, "{query}");
        }
    }
}
