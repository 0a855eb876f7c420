//! One style of imports: a `use` names one module, and braces hold names only.

use std::path::Path;

use syn::UseTree;
use syn::visit::{self, Visit};

/// Fails on braces inside of braces.
pub(super) fn check(file: &Path, text: &str) -> Vec<String> {
    if file.extension().is_none_or(|extension| extension != "rs") {
        return Vec::new();
    }
    let parsed = match syn::parse_file(text) {
        Ok(parsed) => parsed,
        Err(error) => return vec![format!("{}: no Rust: {error}", file.display())],
    };
    let mut nested = Nested::default();
    nested.visit_file(&parsed);
    nested
        .found
        .into_iter()
        .map(|names| {
            format!(
                "{}: `use {names}`: a `use` names one module; give each path its own",
                file.display()
            )
        })
        .collect()
}

/// The imports with a path inside of braces, as far as they have a name.
#[derive(Default)]
struct Nested {
    found: Vec<String>,
}

impl<'ast> Visit<'ast> for Nested {
    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        let mut path = String::new();
        let mut tree = &import.tree;
        while let UseTree::Path(part) = tree {
            path = format!("{path}{}::", part.ident);
            tree = &part.tree;
        }
        if let UseTree::Group(group) = tree {
            let inner = group.items.iter().find_map(|member| match member {
                UseTree::Path(part) => Some(part.ident.to_string()),
                UseTree::Group(_) => Some(String::new()),
                _ => None,
            });
            if let Some(inner) = inner {
                self.found.push(format!("{path}{{{inner}::…}}"));
            }
        }
        visit::visit_item_use(self, import);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(code: &str) -> usize {
        check(Path::new("a.rs"), code).len()
    }

    #[test]
    fn refuses_braces_inside_of_braces() {
        assert_eq!(findings("use std::{fmt, path::{Path, PathBuf}};"), 1);
        assert_eq!(findings("use std::{fmt, path::Path};"), 1);
        assert_eq!(findings("use {std::fmt, std::fs};"), 1);
        assert_eq!(findings("mod tests { fn f() { use a::{b, c::{d}}; } }"), 1);
    }

    #[test]
    fn accepts_one_module_a_use() {
        assert_eq!(
            findings("use std::fmt;\nuse std::path::{self, Path, PathBuf as P};"),
            0
        );
        assert_eq!(check(Path::new("a.md"), "use std::{a::{b}};").len(), 0);
    }
}
