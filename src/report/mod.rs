//! The `report` command: which image versions exist, where they are, who uses them and what they cost.

pub mod cli;
mod collect;
mod html;
mod markdown;
mod model;

pub use model::Report;
