//! The modules of a crate as they stand in its files: what each defines, imports and names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::Visit as _;
use syn::{Item, ItemMod, ItemUse, UseTree, Visibility};

use super::attributes::{attributes, is_for_tests};
use super::paths::Paths;

/// The modules of one crate; the first is its root.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) modules: Vec<Module>,
}

/// One module, in a file of its own or inside another one's.
#[derive(Debug, Default)]
pub(super) struct Module {
    pub(super) file: PathBuf,
    pub(super) parent: Option<usize>,
    pub(super) children: BTreeMap<String, usize>,
    /// The names that it defines.
    pub(super) items: BTreeSet<String>,
    /// The names that it imports, passed on or not, with the path of each.
    pub(super) imports: BTreeMap<String, Vec<String>>,
    /// Paths of which it imports everything.
    pub(super) globs: BTreeSet<Vec<String>>,
    /// The paths that it uses.
    pub(super) uses: BTreeSet<Vec<String>>,
}

impl Tree {
    /// Reads a crate from its root file on. A file that is missing or is no Rust has nothing in it:
    /// the compiler says so.
    pub(super) fn read(root: &Path, read: &impl Fn(&Path) -> Option<String>) -> Self {
        let mut tree = Self::default();
        let folder = root.parent().unwrap_or(root);
        tree.add_file(root, folder, None, read);
        tree
    }

    /// Adds the module of a file whose children lie in `folder`.
    fn add_file(
        &mut self,
        file: &Path,
        folder: &Path,
        parent: Option<usize>,
        read: &impl Fn(&Path) -> Option<String>,
    ) -> usize {
        let items = read(file)
            .and_then(|text| syn::parse_file(&text).ok())
            .map_or_else(Vec::new, |parsed| parsed.items);
        self.add_module(file, folder, parent, &items, read)
    }

    fn add_module(
        &mut self,
        file: &Path,
        folder: &Path,
        parent: Option<usize>,
        items: &[Item],
        read: &impl Fn(&Path) -> Option<String>,
    ) -> usize {
        let here = self.modules.len();
        self.modules.push(Module::default());
        let mut module = Module {
            file: file.to_path_buf(),
            parent,
            ..Module::default()
        };
        for item in items.iter().filter(|item| !is_for_tests(attributes(item))) {
            match item {
                Item::Mod(child) => {
                    let id = self.add_child(child, file, folder, here, read);
                    module.children.insert(child.ident.to_string(), id);
                }
                item => module.add(item),
            }
        }
        if let Some(place) = self.modules.get_mut(here) {
            *place = module;
        }
        here
    }

    fn add_child(
        &mut self,
        child: &ItemMod,
        file: &Path,
        folder: &Path,
        here: usize,
        read: &impl Fn(&Path) -> Option<String>,
    ) -> usize {
        let name = child.ident.to_string();
        let below = folder.join(&name);
        if let Some((_, items)) = &child.content {
            return self.add_module(file, &below, Some(here), items, read);
        }
        let alone = folder.join(format!("{name}.rs"));
        let child = if read(&alone).is_some() {
            alone
        } else {
            below.join("mod.rs")
        };
        self.add_file(&child, &below, Some(here), read)
    }
}

impl Module {
    fn add(&mut self, item: &Item) {
        self.items.extend(defined(item));
        let mut paths = Paths::default();
        paths.visit_item(item);
        for import in &paths.imports {
            self.import(import);
        }
        self.uses.extend(paths.found);
    }

    fn import(&mut self, import: &ItemUse) {
        // A name that is passed on is not used by that alone.
        let private = matches!(import.vis, Visibility::Inherited);
        for (path, name) in leaves(&import.tree, Vec::new()) {
            match name {
                None => {
                    self.globs.insert(path);
                }
                Some(name) => {
                    if private {
                        self.uses.insert(path.clone());
                    }
                    if name != "_" {
                        self.imports.insert(name, path);
                    }
                }
            }
        }
    }
}

/// The paths of an import, each with its name here, or none for everything below it.
fn leaves(tree: &UseTree, mut path: Vec<String>) -> Vec<(Vec<String>, Option<String>)> {
    match tree {
        UseTree::Path(part) => {
            path.push(part.ident.to_string());
            leaves(&part.tree, path)
        }
        UseTree::Group(group) => group
            .items
            .iter()
            .flat_map(|part| leaves(part, path.clone()))
            .collect(),
        UseTree::Glob(_) => vec![(path, None)],
        UseTree::Name(name) => {
            let named = name.ident.to_string();
            if named == "self" {
                let last = path.last().cloned();
                return vec![(path, last)];
            }
            path.push(named.clone());
            vec![(path, Some(named))]
        }
        UseTree::Rename(name) => {
            let named = name.ident.to_string();
            if named != "self" {
                path.push(named);
            }
            vec![(path, Some(name.rename.to_string()))]
        }
    }
}

/// The name that an item defines.
fn defined(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Macro(item) => item.ident.as_ref()?.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Union(item) => item.ident.to_string(),
        _ => return None,
    })
}
