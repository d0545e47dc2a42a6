//! The Terraform code blocks in Markdown, grouped so that each can be validated in its context.

use std::collections::BTreeSet;

/// A ```terraform block.
#[derive(Clone, Debug)]
pub struct Fence {
    /// The guide that contains it.
    pub guide: String,
    /// The number of its first line, starting at one.
    pub line: usize,
    pub text: String,
}

impl Fence {
    /// `guide/line.tf`, or `.tftest.hcl` for tests.
    pub fn file_name(&self) -> String {
        let extension = if self.is_test() { "tftest.hcl" } else { "tf" };
        format!("docs/guides/{}/{:04}.{extension}", self.guide, self.line)
    }

    /// Whether it is a file of `terraform test`.
    fn is_test(&self) -> bool {
        self.text.lines().any(|line| line.starts_with("run \""))
    }

    /// Whether it needs a provider that is not available in tests.
    fn is_foreign(&self) -> bool {
        ["azurerm", "azapi"].iter().any(|name| self.text.contains(name))
    }

    /// Its declarations, with their preceding comments.
    fn declarations(&self) -> Vec<Declaration> {
        let mut found: Vec<Declaration> = Vec::new();
        let mut text = String::new();
        for line in self.text.lines() {
            text.push_str(line);
            text.push('\n');
            // a top-level block ends with a brace at the margin, or on the line that it begins on
            let one_line = line.starts_with(|c: char| c.is_alphabetic()) && line.ends_with('}');
            if line == "}" || one_line {
                let text = std::mem::take(&mut text);
                found.push(Declaration {
                    file: format!("line_{:04}_{}", self.line, found.len() + 1),
                    names: names(&text),
                    text,
                });
            }
        }
        assert!(
            text.trim().is_empty(),
            "{}.md, line {}: {text:?} is not a declaration",
            self.guide,
            self.line
        );
        found
    }
}

/// A top-level block of Terraform.
#[derive(Clone, Debug)]
struct Declaration {
    file: String,
    names: BTreeSet<String>,
    text: String,
}

/// The names that a top-level block declares: a later block with the same name replaces it.
fn names(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut outer = "";
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with(|c: char| c.is_alphabetic()) {
            outer = words[0];
            if !matches!(outer, "import" | "moved" | "locals") {
                let header = line.split('{').next().unwrap_or_default();
                found.insert(header.trim().to_owned());
            }
        } else if line.starts_with("  ") && !line.starts_with("   ") && words.get(1) == Some(&"=") {
            match (outer, words[0]) {
                ("locals", name) => found.insert(format!("local {name}")),
                ("import", "to") | ("moved", "from") => found.insert(format!("{outer} {}", words[2])),
                _ => false,
            };
        }
    }
    found
}

/// The blocks of one guide, in order.
pub fn fences(guide: &str, text: &str) -> Vec<Fence> {
    let mut found = Vec::new();
    let mut open: Option<Fence> = None;
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            Some(_) if line == "```" => found.extend(open.take()),
            Some(fence) => {
                fence.text.push_str(line);
                fence.text.push('\n');
            }
            None if line == "```terraform" => {
                open = Some(Fence { guide: guide.to_owned(), line: number + 2, text: String::new() });
            }
            None => {}
        }
    }
    found
}

/// A folder to validate.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub files: Vec<(String, String)>,
}

impl Case {
    pub fn new(name: &str) -> Case {
        Case { name: name.to_owned(), files: Vec::new() }
    }

    /// Adds a file; the provider's source is added if no file declares it.
    pub fn add(&mut self, file: &str, text: &str) {
        const SOURCE: &str = "terraform {\n  required_providers {\n    azimage = {\n      source = \"azimage/azimage\"\n    }\n  }\n}\n";
        const FILE: &str = "source.tf";
        self.files.retain(|(name, _)| name != FILE);
        self.files.push((file.to_owned(), text.to_owned()));
        if !self.files.iter().any(|(_, text)| text.contains("required_providers")) {
            self.files.push((FILE.to_owned(), SOURCE.to_owned()));
        }
    }

    /// Whether it has a file whose name ends in `end`.
    pub fn has_file(&self, end: &str) -> bool {
        self.files.iter().any(|(file, _)| file.ends_with(end))
    }

    /// Writes its files to a temporary folder.
    pub fn write(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in &self.files {
            let file = folder.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        folder
    }
}

/// A guide is cumulative: each block is added to the previous ones, and a repeated declaration replaces the earlier one, which
/// is already part of an earlier case. Tests are separate cases of `terraform test`.
pub fn cases(fences: Vec<Fence>) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut together: Vec<Declaration> = Vec::new();
    let mut last: Option<Fence> = None;
    for fence in fences.into_iter().filter(|fence| !fence.is_foreign()) {
        let other = last.as_ref().is_some_and(|last| last.guide != fence.guide);
        let declares: BTreeSet<String> = if fence.is_test() {
            BTreeSet::new()
        } else {
            fence.declarations().into_iter().flat_map(|declaration| declaration.names).collect()
        };
        if other || together.iter().any(|earlier| !earlier.names.is_disjoint(&declares)) {
            cases.extend(last.as_ref().map(|last| case(last, &together)));
        }
        together.retain(|earlier| !other && earlier.names.is_disjoint(&declares));
        if fence.is_test() {
            let file = format!("tests/line_{:04}.tftest.hcl", fence.line);
            together.push(Declaration { file, names: BTreeSet::new(), text: fence.text.clone() });
        } else {
            together.extend(fence.declarations());
        }
        last = Some(fence);
    }
    cases.extend(last.as_ref().map(|last| case(last, &together)));
    cases
}

fn case(last: &Fence, together: &[Declaration]) -> Case {
    let mut case =
        Case::new(&format!("docs/guides/{}.md, up to the block at line {}", last.guide, last.line));
    for declaration in together {
        let file = if declaration.file.contains('.') {
            declaration.file.clone()
        } else {
            format!("{}.tf", declaration.file)
        };
        case.add(&file, &declaration.text);
    }
    case
}

#[test]
fn repeated_declaration_replaces_only_the_earlier_one() {
    let guide = "```terraform\nvariable \"a\" {\n}\n\n# b\nvariable \"b\" {}\n```\ntext\n```terraform\nresource \"x\" \"y\" {\n}\n```\n\
                 ```shell\nno\n```\n```terraform\nvariable \"a\" {\n  default = 1\n}\n```\n\
                 ```terraform\nresource \"azurerm_image\" \"y\" {\n}\n```\n";
    let found = fences("g", guide);
    assert_eq!(found.iter().map(|fence| fence.line).collect::<Vec<_>>(), [2, 10, 17, 22]);
    let cases = cases(found);
    let files: Vec<Vec<&str>> =
        cases.iter().map(|case| case.files.iter().map(|(name, _)| name.as_str()).collect()).collect();
    assert_eq!(
        files,
        [
            ["line_0002_1.tf", "line_0002_2.tf", "line_0010_1.tf", "source.tf"],
            ["line_0002_2.tf", "line_0010_1.tf", "line_0017_1.tf", "source.tf"]
        ]
    );
}
