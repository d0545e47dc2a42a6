//! The part of the Kusto query language that Resource Graph clients use: a parser and an evaluator.

pub mod evaluate;
pub mod parse;
pub mod syntax;
