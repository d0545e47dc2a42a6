//! Diagnostics as tests check them, and the paths that they refer to.

use super::pb;
use pb::schema::Block;
use pb::schema::nested_block::NestingMode;

/// Diagnostics.
#[derive(Clone, Default)]
pub struct Diagnostics(pub Vec<pb::Diagnostic>);

impl std::fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for diagnostic in &self.0 {
            let word = if diagnostic.severity == 1 { "error" } else { "warning" };
            let path = path_text(diagnostic.attribute.as_ref());
            writeln!(f, "\n  {word} at [{path}] {}: {}", diagnostic.summary, diagnostic.detail)?;
        }
        Ok(())
    }
}

impl Diagnostics {
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == 1)
    }

    /// All texts of one severity (1 error, 2 warning).
    fn text(&self, severity: i32) -> String {
        let these = self.0.iter().filter(|diagnostic| diagnostic.severity == severity);
        these.map(|diagnostic| format!("{}\n{}\n", diagnostic.summary, diagnostic.detail)).collect()
    }

    pub fn errors(&self) -> String {
        self.text(1)
    }

    pub fn warnings(&self) -> String {
        self.text(2)
    }

    /// The paths of the errors.
    pub fn error_paths(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|diagnostic| diagnostic.severity == 1)
            .map(|diagnostic| path_text(diagnostic.attribute.as_ref()))
            .collect()
    }

    /// Fails unless the errors contain all of `parts`.
    #[track_caller]
    pub fn assert_error(&self, parts: &[&str]) {
        let text = self.errors();
        for part in parts {
            assert!(text.contains(part), "no error contains {part:?}: {self:?}");
        }
    }

    #[track_caller]
    pub fn assert_warning(&self, parts: &[&str]) {
        let text = self.warnings();
        for part in parts {
            assert!(text.contains(part), "no warning contains {part:?}: {self:?}");
        }
    }
}

/// A path in HCL notation.
pub fn path_text(path: Option<&pb::AttributePath>) -> String {
    use pb::attribute_path::step::Selector;
    let mut text = String::new();
    for step in path.iter().flat_map(|path| &path.steps) {
        match step.selector.as_ref().expect("every step of a path has a selector") {
            Selector::AttributeName(name) if text.is_empty() => text += name,
            Selector::AttributeName(name) => text += &format!(".{name}"),
            Selector::ElementKeyString(key) => text += &format!("[{key:?}]"),
            Selector::ElementKeyInt(index) => text += &format!("[{index}]"),
        }
    }
    text
}

/// Checks that core can show the diagnostics: each has a severity, a summary and an existing path; and none reports an internal
/// error.
#[track_caller]
pub fn checked(block: &Block, diagnostics: Vec<pb::Diagnostic>) -> Diagnostics {
    for diagnostic in &diagnostics {
        assert!(matches!(diagnostic.severity, 1 | 2), "{diagnostic:?}");
        assert!(!diagnostic.summary.is_empty(), "{diagnostic:?}");
        assert!(
            !diagnostic.summary.contains(azimage::rpc::BUG),
            "{}: {}",
            diagnostic.summary,
            diagnostic.detail
        );
        if let Some(path) = &diagnostic.attribute {
            resolve(block, path);
        }
    }
    Diagnostics(diagnostics)
}

/// Checks that the path exists in the schema and does not lead into an element of a set.
#[track_caller]
pub fn resolve(block: &Block, path: &pb::AttributePath) {
    use pb::attribute_path::step::Selector;
    let text = path_text(Some(path));
    let mut steps = path.steps.iter().map(|step| step.selector.as_ref().unwrap()).peekable();
    let mut here = block;
    while let Some(step) = steps.next() {
        let Selector::AttributeName(name) = step else { panic!("{text} lacks an attribute name") };
        if here.attributes.iter().any(|attribute| attribute.name == *name) {
            // later steps are inside a value
            return;
        }
        let nested = here.block_types.iter().find(|nested| nested.type_name == *name);
        let nested = nested.unwrap_or_else(|| panic!("{text}: there is no {name}"));
        match (nested.nesting(), steps.peek()) {
            (NestingMode::Set, next) => {
                assert!(next.is_none(), "{text} points into a set");
                return;
            }
            (NestingMode::List, Some(Selector::ElementKeyInt(_))) => drop(steps.next()),
            (NestingMode::List, Some(_)) => panic!("{text} points into a list without an index"),
            _ => {}
        }
        here = nested.block.as_ref().unwrap();
    }
}
