//! Every text that shipped code shows a person, as one list, so that each is read when it changes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, Item, Lit, LitStr, Macro};

use crate::failure::Failure;
use crate::floors::circles::attributes::{attributes, is_for_tests};
use crate::floors::circles::shipped_files;
use crate::workspace::Workspace;
use crate::{files, kept};

/// The list.
const KEPT: &str = "docs/messages.txt";

/// The crates whose texts a person reads, each by its root file.
const ROOTS: &[&str] = &[
    "crates/fourfold/src/lib.rs",
    "crates/fourfold-client/src/lib.rs",
    "crates/fourfold-server/src/lib.rs",
    "crates/fourfold-cli/src/main.rs",
];

/// The lane: the list is up to date.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let again = "cargo xtask messages --write";
    Failure::from_findings(kept::compare(workspace, KEPT, &text(workspace), again)?)
}

/// `cargo xtask messages --write`: writes the list anew.
pub(crate) fn write(workspace: &Workspace) -> Result<(), Failure> {
    kept::write(workspace, KEPT, &text(workspace))
}

/// The list: each file with its texts, in their order.
fn text(workspace: &Workspace) -> String {
    let read = |file: &Path| files::read_text(&workspace.root.join(file)).ok();
    let mut text = String::new();
    let shipped: BTreeSet<_> = ROOTS
        .iter()
        .flat_map(|root| shipped_files(Path::new(root), read))
        .collect();
    for file in shipped {
        let texts = read(&file).map_or_else(Vec::new, |source| of_source(&source));
        if !texts.is_empty() {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "\n{}", file.display());
        }
        for one in texts {
            let _ = writeln!(text, "  {}", one.replace('\n', "\\n"));
        }
    }
    text.trim_start().to_owned()
}

/// The texts of one file.
fn of_source(source: &str) -> Vec<String> {
    let mut texts = Texts::default();
    if let Ok(file) = syn::parse_file(source) {
        for item in &file.items {
            texts.visit_item(item);
        }
    }
    texts.0
}

#[derive(Default)]
struct Texts(Vec<String>);

impl Texts {
    fn add(&mut self, text: &str) {
        if is_words(text) {
            self.0.push(text.to_owned());
        }
    }

    fn add_tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                // A doc comment of what a macro makes.
                TokenTree::Group(group) if begins_with_doc(&group.stream()) => {}
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    if let Lit::Str(text) = Lit::new(literal) {
                        self.add(&text.value());
                    }
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Texts {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    /// Of attributes, what errors say; not what documentation, lints and other derived code say.
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("error")
            && let Ok(list) = attribute.meta.require_list()
        {
            self.add_tokens(list.tokens.clone());
        }
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.add_tokens(called.tokens.clone());
    }

    fn visit_lit_str(&mut self, text: &'ast LitStr) {
        self.add(&text.value());
    }
}

fn begins_with_doc(tokens: &TokenStream) -> bool {
    let first = tokens.clone().into_iter().next();
    matches!(first, Some(TokenTree::Ident(name)) if name == "doc")
}

/// Returns `true` if a text consists of words and is not a statement, JSON or the head of a request.
fn is_words(text: &str) -> bool {
    let is_statement = STATEMENTS
        .iter()
        .any(|word| text.trim_start().starts_with(word));
    let has_words =
        text.trim().contains(' ') && text.contains(|letter: char| letter.is_lowercase());
    has_words && !is_statement
}

/// The beginnings of texts that programs read.
const STATEMENTS: &[&str] = &[
    "{\"",
    "[",
    "ALTER ",
    "BEGIN",
    "CREATE ",
    "DELETE FROM ",
    "DROP ",
    "HTTP/",
    "INSERT ",
    "PRAGMA ",
    "SELECT ",
    "UPDATE ",
    "WITH ",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_person_reads_and_nothing_else() {
        let source = r#"
            /// A doc comment is in the documentation.
            #[derive(thiserror::Error)]
            enum Error {
                #[error("the key is wrong: {0}")]
                Wrong(u8),
            }
            #[expect(lint, reason = "not for everybody")]
            fn shown() {
                say(format_args!("made {} of {}", 1, f("two words")));
                ask("m.secret");
                query("SELECT a FROM b");
            }
            macro_rules! made {
                () => { /** Of what it makes. */ fn f() { say("three words here"); } };
            }
            struct S;
            impl S {
                #[cfg(test)]
                fn of_tests() { say("only in tests"); }
            }
            #[cfg(test)]
            mod tests { fn f() { say("only in tests"); } }
        "#;
        let texts = of_source(source);
        let expected = [
            "the key is wrong: {0}",
            "made {} of {}",
            "two words",
            "three words here",
        ];
        assert_eq!(texts, expected);
    }
}
