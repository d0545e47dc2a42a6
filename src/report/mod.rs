//! The `report` command: lists image versions with their regions, users and costs.

pub mod cli;
mod collect;
mod html;
mod markdown;
mod model;

pub use model::Report;
