//! The syntax tree of a query, and the errors of queries.

use super::super::json::Json;

/// A query: a table and the operators that are applied to its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The table's name in lower case; `resources` if the query begins with an operator.
    pub table: String,
    /// The operators in order.
    pub operators: Vec<Operator>,
}

/// One operator of the pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Operator {
    /// Keeps the rows for which the expression is true.
    Where(Expression),
    /// Adds or replaces columns.
    Extend(Vec<(String, Expression)>),
    /// Keeps exactly these columns.
    Project(Vec<(String, Expression)>),
    /// Removes columns.
    ProjectAway(Vec<String>),
    /// Sorts.
    Order(Vec<SortKey>),
    /// Keeps the first rows.
    Limit(usize),
    /// One row with the number of rows.
    Count,
    /// One row for each distinct combination.
    Distinct(Vec<(String, Expression)>),
    /// One row for each group: aggregates, then the columns to group by.
    Summarize(Vec<(String, Aggregate)>, Vec<(String, Expression)>),
}

/// One key of a sort.
#[derive(Clone, Debug, PartialEq)]
pub struct SortKey {
    /// The expression to sort by.
    pub expression: Expression,
    /// Descending, which is the language's default.
    pub descending: bool,
}

/// An aggregate function of `summarize`.
#[derive(Clone, Debug, PartialEq)]
pub enum Aggregate {
    /// The number of rows.
    Count,
    /// The number of rows for which the expression is true.
    CountIf(Expression),
    /// The number of distinct values.
    DistinctCount(Expression),
    /// The smallest value.
    Min(Expression),
    /// The largest value.
    Max(Expression),
    /// The sum of the numbers.
    Sum(Expression),
}

/// A scalar expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A constant.
    Literal(Json),
    /// A column.
    Column(String),
    /// A member of a dynamic value.
    Member(Box<Expression>, String),
    /// An element of a dynamic array; negative numbers count from the end.
    Element(Box<Expression>, i64),
    /// A comparison, or a test of a string.
    Compare(Box<Expression>, Comparison, Box<Expression>),
    /// Membership in a list; `ignore_case` for `in~`, `negated` for `!in`.
    In {
        /// The value.
        value: Box<Expression>,
        /// The list.
        list: Vec<Expression>,
        /// Whether case is ignored.
        ignore_case: bool,
        /// Whether the test is inverted.
        negated: bool,
    },
    /// Both.
    And(Box<Expression>, Box<Expression>),
    /// Either.
    Or(Box<Expression>, Box<Expression>),
    /// A function call; the parser has checked name and number of arguments.
    Call(Function, Vec<Expression>),
}

/// A binary comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==` and `!=`.
    Equal {
        /// Whether the result is inverted.
        negated: bool,
    },
    /// `=~` and `!~`.
    EqualIgnoreCase {
        /// Whether the result is inverted.
        negated: bool,
    },
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
    /// A test of the left string against the right one.
    Text {
        /// The test.
        test: TextTest,
        /// Whether case matters (`contains_cs`).
        case_sensitive: bool,
        /// Whether the result is inverted.
        negated: bool,
    },
}

/// A test of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TextTest {
    Contains,
    StartsWith,
    EndsWith,
    /// `has`: contains the text as whole words.
    HasWord,
}

/// The functions that the emulator knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Function {
    ToLower,
    ToUpper,
    ToString,
    ToLong,
    ToBool,
    Coalesce,
    If,
    Case,
    Not,
    IsNull,
    IsNotNull,
    IsEmpty,
    IsNotEmpty,
    Split,
    Concatenate,
    Length,
    ArrayLength,
    ParseJson,
    Substring,
    ReplaceText,
}

/// Name, function, and minimum and maximum number of arguments.
pub const FUNCTIONS: &[(&str, Function, usize, usize)] = &[
    ("tolower", Function::ToLower, 1, 1),
    ("toupper", Function::ToUpper, 1, 1),
    ("tostring", Function::ToString, 1, 1),
    ("toint", Function::ToLong, 1, 1),
    ("tolong", Function::ToLong, 1, 1),
    ("tobool", Function::ToBool, 1, 1),
    ("coalesce", Function::Coalesce, 1, 64),
    ("iff", Function::If, 3, 3),
    ("iif", Function::If, 3, 3),
    ("case", Function::Case, 3, 63),
    ("not", Function::Not, 1, 1),
    ("isnull", Function::IsNull, 1, 1),
    ("isnotnull", Function::IsNotNull, 1, 1),
    ("isempty", Function::IsEmpty, 1, 1),
    ("isnotempty", Function::IsNotEmpty, 1, 1),
    ("notempty", Function::IsNotEmpty, 1, 1),
    ("split", Function::Split, 2, 2),
    ("strcat", Function::Concatenate, 1, 64),
    ("strlen", Function::Length, 1, 1),
    ("array_length", Function::ArrayLength, 1, 1),
    ("parse_json", Function::ParseJson, 1, 1),
    ("todynamic", Function::ParseJson, 1, 1),
    ("substring", Function::Substring, 2, 3),
    ("replace_string", Function::ReplaceText, 3, 3),
];

/// Why a query fails.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryError {
    /// The text is not a query. The position is that of the unexpected token, counted like the service does.
    Syntax {
        /// From 1.
        line: usize,
        /// From 0.
        column: usize,
        /// The token, `<EOF>` at the end.
        token: String,
    },
    /// The query uses something that the emulator does not support, but the service may.
    NotEmulated(String),
    /// A column that does not exist at that point.
    UnknownColumn {
        /// The operator that uses it.
        operator: &'static str,
        /// The column.
        column: String,
    },
    /// A table that does not exist.
    UnknownTable(String),
}
