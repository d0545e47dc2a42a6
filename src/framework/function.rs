//! Provider functions: pure, without I/O.

use crate::schema::{Type, Value};

/// One parameter of a function.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// Its documentation.
    pub doc: &'static str,
}

/// The parameters, result and documentation of a function.
#[derive(Clone, Debug)]
pub struct Signature {
    /// A summary in one line.
    pub summary: &'static str,
    /// Its documentation in Markdown.
    pub doc: &'static str,
    /// Positional parameters.
    pub parameters: Vec<Parameter>,
    /// The type of the result.
    pub returns: Type,
}

/// The error of a failed call.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionError {
    /// The message, a complete sentence.
    pub text: String,
    /// The zero-based index of the argument that it concerns, if any.
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
    /// Its parameters, result and documentation.
    fn signature(&self) -> Signature;
    /// Computes the result.
    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError>;
}
