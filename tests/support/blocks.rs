//! The Terraform in Markdown: which blocks of a guide belong together, so that each can be validated where it stands.

use std::collections::BTreeSet;

/// A ```terraform block.
#[derive(Clone, Debug)]
pub struct Fence {
    /// The guide that it stands in.
    pub guide: String,
    /// The line of its first line, counted from one.
    pub line: usize,
    pub text: String,
}

impl Fence {
    /// `guide/line.tf`, or `.tftest.hcl` for tests.
    pub fn file_name(&self) -> String {
        let extension = if self.is_test() { "tftest.hcl" } else { "tf" };
        format!("docs/guides/{}/{:04}.{extension}", self.guide, self.line)
    }

    /// Whether it is for `terraform test`.
    fn is_test(&self) -> bool {
        self.text.lines().any(|line| line.starts_with("run \""))
    }

    /// Whether it needs a provider that is not at hand.
    fn is_foreign(&self) -> bool {
        ["azurerm", "azapi"].iter().any(|name| self.text.contains(name))
    }

    /// What it declares, by which a later block of the same replaces it.
    fn declares(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut outer = "";
        for line in self.text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if line.starts_with(|c: char| c.is_alphabetic()) {
                outer = words[0];
                if !matches!(outer, "import" | "moved" | "locals") {
                    found.insert(words.join(" ").trim_end_matches(['{', '}', ' ']).to_owned());
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

    /// Adds a file; the provider's source is added when no file tells it.
    pub fn add(&mut self, file: &str, text: &str) {
        const SOURCE: &str = "terraform {\n  required_providers {\n    azimage = {\n      source = \"azimage/azimage\"\n    }\n  }\n}\n";
        const FILE: &str = "source.tf";
        self.files.retain(|(name, _)| name != FILE);
        self.files.push((file.to_owned(), text.to_owned()));
        if !self.files.iter().any(|(_, text)| text.contains("required_providers")) {
            self.files.push((FILE.to_owned(), SOURCE.to_owned()));
        }
    }
}

/// A guide tells one story: each block is added to those before it, and replaces those that declare the same. What is
/// replaced was validated before.
pub fn cases(fences: Vec<Fence>) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut together: Vec<Fence> = Vec::new();
    let mut close = |together: &[Fence]| {
        if let Some(last) = together.last() {
            let mut case =
                Case::new(&format!("docs/guides/{}.md, up to the block at line {}", last.guide, last.line));
            for fence in together {
                let folder = if fence.is_test() { "tests/" } else { "" };
                let extension = if fence.is_test() { "tftest.hcl" } else { "tf" };
                case.add(&format!("{folder}line_{:04}.{extension}", fence.line), &fence.text);
            }
            cases.push(case);
        }
    };
    for fence in fences.into_iter().filter(|fence| !fence.is_foreign()) {
        let declares = fence.declares();
        let other = together.last().is_some_and(|last| last.guide != fence.guide);
        let again = together.iter().any(|earlier| !earlier.declares().is_disjoint(&declares));
        if other || again {
            close(&together);
        }
        together.retain(|earlier| !other && earlier.declares().is_disjoint(&declares));
        together.push(fence);
    }
    close(&together);
    cases
}

#[test]
fn blocks_that_belong_together_are_kept_together() {
    let guide = "```terraform\nvariable \"a\" {\n}\n```\ntext\n```terraform\nresource \"x\" \"y\" {\n}\n```\n\
                 ```shell\nno\n```\n```terraform\nvariable \"a\" {\n  default = 1\n}\n```\n\
                 ```terraform\nresource \"azurerm_image\" \"y\" {\n}\n```\n";
    let found = fences("g", guide);
    assert_eq!(found.iter().map(|fence| fence.line).collect::<Vec<_>>(), [2, 7, 14, 19]);
    let cases = cases(found);
    let files: Vec<Vec<&str>> =
        cases.iter().map(|case| case.files.iter().map(|(name, _)| name.as_str()).collect()).collect();
    assert_eq!(
        files,
        [["line_0002.tf", "line_0007.tf", "source.tf"], ["line_0007.tf", "line_0014.tf", "source.tf"]]
    );
}
