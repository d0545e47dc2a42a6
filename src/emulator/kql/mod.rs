//! The part of the Kusto query language that Resource Graph clients use: parsed to a tree, then evaluated over rows.

pub mod evaluate;
pub mod parse;
pub mod syntax;
