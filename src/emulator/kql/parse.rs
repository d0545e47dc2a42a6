//! Parses the text of a query into its syntax tree.

use super::super::json::Json;
use super::syntax::{
    Aggregate, Comparison, Expression, FUNCTIONS, Function, Operator, Query, QueryError, SortKey, TextTest,
};

/// The Resource Graph tables that the emulator supports.
pub const TABLES: &[&str] = &[
    "resources",
    "computeresources",
    "resourcecontainers",
    "authorizationresources",
    "communitygalleryresources",
];

const OPERATORS: &[&str] = &[
    "where",
    "filter",
    "extend",
    "project",
    "project-away",
    "order",
    "sort",
    "limit",
    "take",
    "top",
    "count",
    "distinct",
    "summarize",
];

/// Operators of the language that are not emulated, to distinguish them from spelling mistakes.
const OTHER_OPERATORS: &[&str] = &[
    "join",
    "union",
    "mv-expand",
    "mv-apply",
    "parse",
    "project-rename",
    "project-reorder",
    "project-keep",
    "render",
    "sample",
    "sample-distinct",
    "lookup",
    "make-series",
    "evaluate",
    "let",
    "invoke",
    "serialize",
    "parse-where",
    "search",
    "find",
    "print",
    "range",
    "datatable",
];

/// Parses a query.
pub fn parse(text: &str) -> Result<Query, QueryError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens, at: 0 };
    parser.query()
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Word(String),
    Text(String),
    Number(serde_json::Number),
    Sign(&'static str),
    End,
}

#[derive(Clone, Debug, PartialEq)]
struct Token {
    kind: Kind,
    text: String,
    line: usize,
    column: usize,
}

const SIGNS: &[&str] = &[
    "==", "!=", "=~", "!~", "<=", ">=", "<", ">", "=", "(", ")", "[", "]", ",", ".", "|", "-", "!", "~", ";",
    "*", "+", "/", "%", "{", "}", ":",
];

fn tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    let mut found = Vec::new();
    let (mut line, mut line_start, mut at) = (1, 0, 0);
    while at < text.len() {
        let rest = &text[at..];
        let first = rest.chars().next().unwrap_or_default();
        if first == '\n' {
            (line, line_start) = (line + 1, at + 1);
            at += 1;
            continue;
        }
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        let column = text[line_start..at].chars().count();
        let unexpected = || QueryError::Syntax { line, column, token: first.to_string() };
        let (kind, length) = if matches!(first, '\'' | '"' | '@') {
            quoted(rest).ok_or_else(unexpected)?
        } else if first.is_ascii_digit() {
            let length = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            (Kind::Number(rest[..length].parse().map_err(|_| unexpected())?), length)
        } else if first.is_alphabetic() || matches!(first, '_' | '$') {
            let length =
                rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '$')).unwrap_or(rest.len());
            (Kind::Word(rest[..length].to_owned()), length)
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign)).ok_or_else(unexpected)?;
            (Kind::Sign(sign), sign.len())
        };
        found.push(Token { kind, text: rest[..length].to_owned(), line, column });
        at += length;
    }
    let column = text[line_start..].chars().count();
    found.push(Token { kind: Kind::End, text: "<EOF>".to_owned(), line, column });
    Ok(found)
}

/// A string literal and its length; `None` if it is not terminated.
fn quoted(text: &str) -> Option<(Kind, usize)> {
    let verbatim = text.starts_with('@');
    let body = text.strip_prefix('@').unwrap_or(text);
    let quote = body.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let mut value = String::new();
    let mut characters = body.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character == quote {
            if verbatim && characters.peek().is_some_and(|(_, next)| *next == quote) {
                characters.next();
                value.push(quote);
                continue;
            }
            return Some((Kind::Text(value), at + 1 + usize::from(verbatim)));
        }
        if character == '\\' && !verbatim {
            let (_, escaped) = characters.next()?;
            value.push(match escaped {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            });
            continue;
        }
        value.push(character);
    }
    None
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).or(self.tokens.last()).unwrap_or_else(|| unreachable!("there is an end"))
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(&self.peek().kind, Kind::Sign(have) if *have == sign);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(&self.peek().kind, Kind::Word(have) if have.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), QueryError> {
        if self.sign(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> QueryError {
        let token = self.peek();
        QueryError::Syntax { line: token.line, column: token.column, token: token.text.clone() }
    }

    /// The name of an operator, hyphens included, without taking it.
    fn operator_name(&self) -> Option<(String, usize)> {
        let Kind::Word(first) = &self.peek().kind else { return None };
        let mut name = first.to_ascii_lowercase();
        let mut length = 1;
        while let (Some(Token { kind: Kind::Sign("-"), .. }), Some(Token { kind: Kind::Word(more), .. })) =
            (self.tokens.get(self.at + length), self.tokens.get(self.at + length + 1))
        {
            name = format!("{name}-{}", more.to_ascii_lowercase());
            length += 2;
        }
        Some((name, length))
    }

    fn query(&mut self) -> Result<Query, QueryError> {
        let mut query = Query { table: "resources".to_owned(), operators: Vec::new() };
        let (name, length) = self.operator_name().ok_or_else(|| self.unexpected())?;
        if OPERATORS.contains(&name.as_str()) || OTHER_OPERATORS.contains(&name.as_str()) {
            query.operators.push(self.operator()?);
        } else if TABLES.contains(&name.as_str()) {
            self.at += length;
            query.table = name;
        } else {
            return Err(QueryError::UnknownTable(self.peek().text.clone()));
        }
        while !matches!(self.peek().kind, Kind::End) {
            self.sign(";");
            if matches!(self.peek().kind, Kind::End) {
                break;
            }
            self.expect("|")?;
            query.operators.push(self.operator()?);
        }
        Ok(query)
    }

    fn operator(&mut self) -> Result<Operator, QueryError> {
        let (name, length) = self.operator_name().ok_or_else(|| self.unexpected())?;
        if OTHER_OPERATORS.contains(&name.as_str()) {
            return Err(QueryError::NotEmulated(format!("operator '{name}'")));
        }
        if !OPERATORS.contains(&name.as_str()) {
            return Err(self.unexpected());
        }
        self.at += length;
        Ok(match name.as_str() {
            "where" | "filter" => Operator::Where(self.expression()?),
            "extend" => Operator::Extend(self.columns()?),
            "project" => Operator::Project(self.columns()?),
            "distinct" => Operator::Distinct(self.columns()?),
            "project-away" => {
                let mut names = vec![self.name()?];
                while self.sign(",") {
                    names.push(self.name()?);
                }
                Operator::ProjectAway(names)
            }
            "order" | "sort" => {
                if !self.word("by") {
                    return Err(self.unexpected());
                }
                Operator::Order(self.sort_keys()?)
            }
            "limit" | "take" => Operator::Limit(self.count()?),
            "top" => {
                return Err(QueryError::NotEmulated("operator 'top'; use order by and limit".to_owned()));
            }
            "count" => Operator::Count,
            _ => self.summarize()?,
        })
    }

    fn count(&mut self) -> Result<usize, QueryError> {
        let error = self.unexpected();
        match self.next().kind {
            Kind::Number(number) => number.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or(error),
            _ => Err(error),
        }
    }

    fn name(&mut self) -> Result<String, QueryError> {
        let error = self.unexpected();
        match self.next().kind {
            Kind::Word(word) => Ok(word),
            _ => Err(error),
        }
    }

    fn sort_keys(&mut self) -> Result<Vec<SortKey>, QueryError> {
        let mut keys = Vec::new();
        loop {
            let expression = self.expression()?;
            let ascending = self.word("asc");
            if !ascending {
                self.word("desc");
            }
            if self.word("nulls") && !self.word("first") && !self.word("last") {
                return Err(self.unexpected());
            }
            keys.push(SortKey { expression, descending: !ascending });
            if !self.sign(",") {
                return Ok(keys);
            }
        }
    }

    /// `name = expression, expression, …`. An expression without a name is named after its path.
    fn columns(&mut self) -> Result<Vec<(String, Expression)>, QueryError> {
        let mut columns = Vec::new();
        loop {
            let named = matches!(self.peek().kind, Kind::Word(_))
                && matches!(self.tokens.get(self.at + 1), Some(Token { kind: Kind::Sign("="), .. }));
            let name = if named { Some(self.name()?) } else { None };
            if named {
                self.expect("=")?;
            }
            let expression = self.expression()?;
            let number = columns.len() + 1;
            let name = name.unwrap_or_else(|| column_name(&expression, number));
            columns.push((name, expression));
            if !self.sign(",") {
                return Ok(columns);
            }
        }
    }

    fn summarize(&mut self) -> Result<Operator, QueryError> {
        let mut aggregates = Vec::new();
        while !matches!(&self.peek().kind, Kind::Word(word) if word.eq_ignore_ascii_case("by")) {
            let named = matches!(self.tokens.get(self.at + 1), Some(Token { kind: Kind::Sign("="), .. }));
            let name = if named { Some(self.name()?) } else { None };
            if named {
                self.expect("=")?;
            }
            let function = self.name()?.to_ascii_lowercase();
            self.expect("(")?;
            let argument = if self.sign(")") { None } else { Some(self.expression()?) };
            if argument.is_some() {
                self.expect(")")?;
            }
            let default = format!(
                "{function}_{}",
                argument.as_ref().map(|argument| column_name(argument, 1)).unwrap_or_default()
            );
            let aggregate = match (function.as_str(), argument) {
                ("count", None) => Aggregate::Count,
                ("countif", Some(argument)) => Aggregate::CountIf(argument),
                ("dcount", Some(argument)) => Aggregate::DistinctCount(argument),
                ("min", Some(argument)) => Aggregate::Min(argument),
                ("max", Some(argument)) => Aggregate::Max(argument),
                ("sum", Some(argument)) => Aggregate::Sum(argument),
                _ => return Err(QueryError::NotEmulated(format!("aggregate function '{function}'"))),
            };
            aggregates.push((name.unwrap_or(default), aggregate));
            if !self.sign(",") {
                break;
            }
        }
        let by = if self.word("by") { self.columns()? } else { Vec::new() };
        Ok(Operator::Summarize(aggregates, by))
    }

    fn expression(&mut self) -> Result<Expression, QueryError> {
        let mut left = self.conjunction()?;
        while self.word("or") {
            left = Expression::Or(Box::new(left), Box::new(self.conjunction()?));
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Expression, QueryError> {
        let mut left = self.comparison()?;
        while self.word("and") {
            left = Expression::And(Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expression, QueryError> {
        let left = self.path()?;
        let comparison = match &self.peek().kind {
            Kind::Sign("==") => Comparison::Equal { negated: false },
            Kind::Sign("!=") => Comparison::Equal { negated: true },
            Kind::Sign("=~") => Comparison::EqualIgnoreCase { negated: false },
            Kind::Sign("!~") => Comparison::EqualIgnoreCase { negated: true },
            Kind::Sign("<") => Comparison::Less,
            Kind::Sign("<=") => Comparison::LessOrEqual,
            Kind::Sign(">") => Comparison::Greater,
            Kind::Sign(">=") => Comparison::GreaterOrEqual,
            Kind::Sign(sign @ ("+" | "-" | "*" | "/" | "%")) => {
                return Err(QueryError::NotEmulated(format!("arithmetic with '{sign}'")));
            }
            Kind::Sign("!") => {
                self.at += 1;
                return self.word_comparison(left, true);
            }
            Kind::Word(word) if !is_boundary(word) => return self.word_comparison(left, false),
            _ => return Ok(left),
        };
        self.at += 1;
        Ok(Expression::Compare(Box::new(left), comparison, Box::new(self.path()?)))
    }

    fn word_comparison(&mut self, left: Expression, negated: bool) -> Result<Expression, QueryError> {
        let error = self.unexpected();
        let word = self.name()?.to_ascii_lowercase();
        if word == "in" {
            let ignore_case = self.sign("~");
            self.expect("(")?;
            let mut list = vec![self.path()?];
            while self.sign(",") {
                list.push(self.path()?);
            }
            self.expect(")")?;
            return Ok(Expression::In { value: Box::new(left), list, ignore_case, negated });
        }
        let (stem, case_sensitive) = match word.strip_suffix("_cs") {
            Some(stem) => (stem, true),
            None => (word.as_str(), false),
        };
        let test = match stem {
            "contains" => TextTest::Contains,
            "startswith" => TextTest::StartsWith,
            "endswith" => TextTest::EndsWith,
            "has" => TextTest::HasWord,
            "between" | "matches" | "hasprefix" | "hassuffix" | "has_any" | "has_all" => {
                return Err(QueryError::NotEmulated(format!("comparison '{word}'")));
            }
            _ => return Err(error),
        };
        let comparison = Comparison::Text { test, case_sensitive, negated };
        Ok(Expression::Compare(Box::new(left), comparison, Box::new(self.path()?)))
    }

    fn path(&mut self) -> Result<Expression, QueryError> {
        let mut value = self.primary()?;
        loop {
            if self.sign(".") {
                value = Expression::Member(Box::new(value), self.name()?);
            } else if self.sign("[") {
                let error = self.unexpected();
                let negative = self.sign("-");
                value = match self.next().kind {
                    Kind::Text(name) if !negative => Expression::Member(Box::new(value), name),
                    Kind::Number(number) => {
                        let index = number.as_i64().ok_or(error)?;
                        Expression::Element(Box::new(value), if negative { -index } else { index })
                    }
                    _ => return Err(error),
                };
                self.expect("]")?;
            } else {
                return Ok(value);
            }
        }
    }

    fn primary(&mut self) -> Result<Expression, QueryError> {
        let error = self.unexpected();
        let token = self.next();
        match token.kind {
            Kind::Text(text) => Ok(Expression::Literal(Json::String(text))),
            Kind::Number(number) => Ok(Expression::Literal(Json::Number(number))),
            Kind::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Kind::Sign("-") => match self.next().kind {
                Kind::Number(number) => {
                    number.as_i64().map(|number| Expression::Literal((-number).into())).ok_or(error)
                }
                _ => Err(error),
            },
            Kind::Word(word) => {
                if self.sign("(") {
                    return self.call(&word);
                }
                match word.to_ascii_lowercase().as_str() {
                    "true" => Ok(Expression::Literal(Json::Bool(true))),
                    "false" => Ok(Expression::Literal(Json::Bool(false))),
                    // The service reports `where where` in the same way: at the end of the text.
                    "where" | "project" | "extend" | "by" => Err(self.unexpected()),
                    _ => Ok(Expression::Column(word)),
                }
            }
            _ => Err(error),
        }
    }

    fn call(&mut self, name: &str) -> Result<Expression, QueryError> {
        let lower = name.to_ascii_lowercase();
        let known = FUNCTIONS.iter().find(|(known, ..)| *known == lower);
        let Some((_, function, least, most)) = known else {
            return Err(QueryError::NotEmulated(format!("function '{name}'")));
        };
        let mut arguments = Vec::new();
        if !self.sign(")") {
            loop {
                arguments.push(self.expression()?);
                if !self.sign(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        let even_case = *function == Function::Case && arguments.len().is_multiple_of(2);
        if arguments.len() < *least || arguments.len() > *most || even_case {
            self.at -= 1;
            return Err(self.unexpected());
        }
        Ok(Expression::Call(*function, arguments))
    }
}

/// Words that end an expression.
fn is_boundary(word: &str) -> bool {
    ["and", "or", "asc", "desc", "by", "nulls"].iter().any(|end| word.eq_ignore_ascii_case(end))
}

fn column_name(expression: &Expression, number: usize) -> String {
    match expression {
        Expression::Column(name) => name.clone(),
        Expression::Member(inner, name) => format!("{}_{name}", column_name(inner, number)),
        Expression::Element(inner, index) => format!("{}_{index}", column_name(inner, number)),
        Expression::Call(Function::ToString | Function::ToLower, arguments) if arguments.len() == 1 => {
            column_name(&arguments[0], number)
        }
        _ => format!("Column{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_position_of_the_unexpected_token() {
        for (text, line, column, token) in [
            ("where where", 1, 11, "<EOF>"),
            ("resources | where type = 'x'", 1, 23, "="),
            ("resources\n| where (type == 'x'", 2, 20, "<EOF>"),
            ("resources | where name == 'x", 1, 26, "'"),
            ("resources | wher name", 1, 12, "wher"),
            ("", 1, 0, "<EOF>"),
            ("resources where name == 'x'", 1, 10, "where"),
        ] {
            let expected = QueryError::Syntax { line, column, token: token.to_owned() };
            assert_eq!(parse(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn errors_name_unsupported_operators_and_functions() {
        for (text, what) in [
            ("resources | join kind=inner (x) on id", "operator 'join'"),
            ("resources | mv-expand x", "operator 'mv-expand'"),
            ("resources | extend a = extract('x', 1, name)", "function 'extract'"),
            ("resources | summarize make_list(name) by type", "aggregate function 'make_list'"),
            ("resources | extend a = 1 + 1", "arithmetic with '+'"),
        ] {
            assert_eq!(parse(text).unwrap_err(), QueryError::NotEmulated(what.to_owned()), "{text}");
        }
        assert_eq!(parse("nothing | count").unwrap_err(), QueryError::UnknownTable("nothing".to_owned()));
    }

    #[test]
    fn reads_strings_with_escapes_and_verbatim() {
        for (text, value) in [
            (r"'a\'b'", "a'b"),
            ("@'a''b'", "a'b"),
            (r#""x""#, "x"),
            (r"'a\\b'", r"a\b"),
            ("@'a\\b'", r"a\b"),
        ] {
            let query = parse(&format!("where name == {text}")).unwrap();
            let Operator::Where(Expression::Compare(_, _, right)) = &query.operators[0] else { panic!() };
            assert_eq!(**right, Expression::Literal(value.into()), "{text}");
        }
    }
}
