//! Provider functions: pure, offline, the same answer every time.

use crate::schema::{Type, Value};

/// One parameter of a function.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// What it is.
    pub doc: &'static str,
}

/// What a function takes and gives.
#[derive(Clone, Debug)]
pub struct Signature {
    /// One line.
    pub summary: &'static str,
    /// Markdown.
    pub doc: &'static str,
    /// Positional parameters.
    pub parameters: Vec<Parameter>,
    /// What it gives.
    pub returns: Type,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionError {
    /// A plain sentence.
    pub text: String,
    /// The argument it concerns, counted from zero.
    pub argument: Option<i64>,
}

impl FunctionError {
    /// An error of the argument at `index`.
    pub fn argument(index: i64, text: impl Into<String>) -> FunctionError {
        FunctionError { text: text.into(), argument: Some(index) }
    }
}

/// A provider function. Arguments are known, non-null and of the parameters' types.
pub trait Function: Send + Sync {
    /// Its name after `provider::azimage::`.
    fn name(&self) -> &'static str;
    /// What it takes and gives.
    fn signature(&self) -> Signature;
    /// Computes the result.
    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError>;
}
