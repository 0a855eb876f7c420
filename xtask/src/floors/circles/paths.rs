//! The paths that code names: in types, expressions, patterns and the arguments of macros.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprCall, ExprPath, ImplItem, Item, ItemUse, Macro, PatIdent, Path};

use super::attributes::{attributes, is_for_tests};

/// What was found on a walk through an item.
#[derive(Default)]
pub(super) struct Paths<'ast> {
    /// Paths, each as its segments. A name alone is one only where it cannot be a local variable.
    pub(super) found: BTreeSet<Vec<String>>,
    /// Imports, those inside of functions too.
    pub(super) imports: Vec<&'ast ItemUse>,
}

impl Paths<'_> {
    fn add(&mut self, path: &Path) {
        if path.leading_colon.is_none() {
            let segments = path.segments.iter();
            self.found
                .insert(segments.map(|segment| segment.ident.to_string()).collect());
        }
    }

    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut run = Run::default();
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if let Some(ended) = run.name(name.to_string()) {
                        self.end(ended, false);
                    }
                }
                TokenTree::Punct(mark) => {
                    if let Some(ended) = run.mark(mark.as_char()) {
                        self.end(ended, false);
                    }
                }
                TokenTree::Group(group) => {
                    self.end(run.end(), true);
                    self.add_tokens(group.stream());
                }
                TokenTree::Literal(_) => self.end(run.end(), false),
            }
        }
        self.end(run.end(), false);
    }

    /// Adds a path of a macro's tokens, unless it can be a local variable.
    fn end(&mut self, path: Vec<String>, called: bool) {
        match path.as_slice() {
            [] => {}
            [name] if !called && !is_capital(name) => {}
            _ => {
                self.found.insert(path);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'ast> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => return visit::visit_impl_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        self.imports.push(import);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        self.add(path);
        visit::visit_path(self, path);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(function) = call.func.as_ref() {
            self.add(&function.path);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_path(&mut self, expression: &'ast ExprPath) {
        match expression.path.get_ident() {
            Some(name) if !is_capital(&name.to_string()) => {}
            _ => visit::visit_expr_path(self, expression),
        }
    }

    fn visit_pat_ident(&mut self, pattern: &'ast PatIdent) {
        // A constant in a pattern looks like a new variable.
        let name = pattern.ident.to_string();
        if is_capital(&name) {
            self.found.insert(vec![name]);
        }
        visit::visit_pat_ident(self, pattern);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.add(&called.path);
        self.add_tokens(called.tokens.clone());
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

fn is_capital(name: &str) -> bool {
    name.starts_with(char::is_uppercase)
}

/// A path that is being read from tokens.
#[derive(Debug, Default)]
struct Run {
    path: Vec<String>,
    /// Colons since the last name.
    colons: usize,
    /// After a dot, or after colons without a name before them: no path of this crate.
    foreign: bool,
}

impl Run {
    /// Takes a name, and gives the path that ended before it.
    fn name(&mut self, name: String) -> Option<Vec<String>> {
        let goes_on = self.colons == 2 && !self.path.is_empty();
        let ended = (!goes_on).then(|| {
            let foreign = self.foreign || self.colons == 2;
            let ended = self.end();
            self.foreign = foreign && ended.is_empty();
            ended
        });
        self.colons = 0;
        self.path.push(name);
        ended
    }

    /// Takes a mark, and gives the path that it ends.
    fn mark(&mut self, mark: char) -> Option<Vec<String>> {
        if mark == ':' && self.colons < 2 {
            self.colons += 1;
            return None;
        }
        // Two dots are a range.
        let is_after_dot = self.foreign && self.path.is_empty();
        let ended = self.end();
        self.foreign = mark == '.' && !is_after_dot;
        Some(ended)
    }

    /// What was read, if it is a path of this crate.
    fn end(&mut self) -> Vec<String> {
        let Self { path, foreign, .. } = std::mem::take(self);
        if foreign { Vec::new() } else { path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(code: &str) -> Vec<String> {
        let file = syn::parse_file(code).unwrap();
        let mut paths = Paths::default();
        paths.visit_file(&file);
        paths.found.iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn finds_paths_in_code() {
        assert_eq!(
            paths("fn f(a: a::A) -> b::B { c::c(a); D { e: e::E }; if let g::G(H) = a {} }"),
            ["D", "H", "a::A", "b::B", "c::c", "e::E", "g::G"]
        );
    }

    #[test]
    fn finds_paths_in_macros() {
        assert_eq!(
            paths("fn f() { m!(a::b, C, d.e, f(), ::std::g, h: I::J, &k, 1 .. l::M, $crate::n); }"),
            ["C", "I::J", "a::b", "crate::n", "f", "l::M", "m"]
        );
    }

    #[test]
    fn takes_a_small_name_only_where_it_is_called() {
        assert_eq!(
            paths("fn f(a: usize) { let b = a; c(b, a); }"),
            ["c", "usize"]
        );
    }
}
