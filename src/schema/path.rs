//! Paths: the steps from the root of a configuration to a value in it.

use std::borrow::Cow;
use std::fmt;

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// An attribute or a block by name.
    Attribute(Cow<'static, str>),
    /// A map element.
    Key(String),
    /// A list element.
    Index(i64),
    /// An element of a set. The protocol cannot address it, so the path that is sent ends before it.
    Element,
}

/// A path from the root of a resource, data source or provider configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The configuration itself.
    pub fn root() -> Path {
        Path::default()
    }

    /// The root attribute or block `name`.
    pub fn attribute(name: impl Into<Cow<'static, str>>) -> Path {
        Path::root().then(name)
    }

    /// The path of an attribute or block in this one.
    pub fn then(&self, name: impl Into<Cow<'static, str>>) -> Path {
        self.with(Step::Attribute(name.into()))
    }

    /// The path of a list element.
    pub fn index(&self, index: usize) -> Path {
        self.with(Step::Index(index as i64))
    }

    /// The path of a map element.
    pub fn key(&self, key: impl Into<String>) -> Path {
        self.with(Step::Key(key.into()))
    }

    /// The path of an unspecified element of a set.
    pub fn element(&self) -> Path {
        self.with(Step::Element)
    }

    /// The steps that the protocol can address: all before the first set element.
    pub fn addressable(&self) -> &[Step] {
        let end = self.0.iter().position(|step| *step == Step::Element).unwrap_or(self.0.len());
        &self.0[..end]
    }

    fn with(&self, step: Step) -> Path {
        let mut steps = self.0.clone();
        steps.push(step);
        Path(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Attribute(name) if i == 0 => write!(f, "{name}")?,
                Step::Attribute(name) => write!(f, ".{name}")?,
                Step::Key(key) => write!(f, "[{key:?}]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Element => write!(f, "[*]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_as_hcl_and_is_addressable_up_to_a_set() {
        let path = Path::attribute("target_region").element().then("encryption").then("x");
        assert_eq!(path.to_string(), "target_region[*].encryption.x");
        assert_eq!(path.addressable().len(), 1);
        assert_eq!(Path::attribute("a").index(2).key("k").to_string(), "a[2][\"k\"]");
    }
}
