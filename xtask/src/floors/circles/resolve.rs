//! From the paths that modules use to the files that define what the paths name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::source::{Module, Tree};

/// From a file to a file, with the names that the first takes from the second.
pub(super) type Arrows = BTreeMap<(PathBuf, PathBuf), BTreeSet<String>>;

/// The arrows between the files of a crate.
pub(super) fn arrows(tree: &Tree) -> Arrows {
    let mut arrows = Arrows::new();
    for (id, module) in tree.modules.iter().enumerate() {
        for path in &module.uses {
            for (name, definer) in definers(tree, id, path) {
                if definer.file != module.file {
                    arrows
                        .entry((module.file.clone(), definer.file.clone()))
                        .or_default()
                        .insert(name);
                }
            }
        }
    }
    arrows
}

/// What a path can mean.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Meaning {
    Module(usize),
    /// A name that a module defines.
    Item(usize, String),
}

/// The items that a path names, each with the module that defines it.
fn definers<'a>(tree: &'a Tree, from: usize, path: &[String]) -> Vec<(String, &'a Module)> {
    let mut walk = Walk {
        tree,
        open: BTreeSet::new(),
    };
    walk.path(from, path)
        .into_iter()
        .filter_map(|meaning| match meaning {
            Meaning::Module(_) => None,
            Meaning::Item(module, name) => Some((name, tree.modules.get(module)?)),
        })
        .collect()
}

struct Walk<'a> {
    tree: &'a Tree,
    /// The names that are being resolved, so that imports of each other come to an end.
    open: BTreeSet<(usize, String)>,
}

impl Walk<'_> {
    fn path(&mut self, from: usize, path: &[String]) -> BTreeSet<Meaning> {
        let Some((first, rest)) = path.split_first() else {
            return BTreeSet::new();
        };
        let mut found = match first.as_str() {
            "crate" => BTreeSet::from([Meaning::Module(0)]),
            "self" => BTreeSet::from([Meaning::Module(from)]),
            "super" => self.parent(from),
            name => self.name(from, name),
        };
        for name in rest {
            let modules: Vec<usize> = found
                .iter()
                .filter_map(|meaning| match meaning {
                    Meaning::Module(module) => Some(*module),
                    Meaning::Item(..) => None,
                })
                .collect();
            if modules.is_empty() {
                // What follows belongs to a type: a variant, or an associated function.
                break;
            }
            found = modules
                .into_iter()
                .flat_map(|module| match name.as_str() {
                    "super" => self.parent(module),
                    name => self.name(module, name),
                })
                .collect();
        }
        found
    }

    fn parent(&self, module: usize) -> BTreeSet<Meaning> {
        let module = self.tree.modules.get(module);
        module
            .and_then(|module| module.parent)
            .map(Meaning::Module)
            .into_iter()
            .collect()
    }

    /// What a name means inside a module.
    fn name(&mut self, id: usize, name: &str) -> BTreeSet<Meaning> {
        let mut found = BTreeSet::new();
        let key = (id, name.to_owned());
        let Some(module) = self.tree.modules.get(id) else {
            return found;
        };
        if !self.open.insert(key.clone()) {
            return found;
        }
        found.extend(module.children.get(name).copied().map(Meaning::Module));
        if module.items.contains(name) {
            found.insert(Meaning::Item(id, name.to_owned()));
        }
        if let Some(path) = module.imports.get(name) {
            found.extend(self.path(id, path));
        }
        if found.is_empty() {
            for glob in &module.globs {
                for meaning in self.path(id, glob) {
                    if let Meaning::Module(from) = meaning {
                        found.extend(self.name(from, name));
                    }
                }
            }
        }
        self.open.remove(&key);
        found
    }
}
