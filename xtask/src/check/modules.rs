//! The modules of a crate, and how paths resolve to files, as far as the check for import cycles needs it: module
//! declarations, imports, re-exports and globs, but neither types nor macros of other crates.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

use super::syntax::{self, ParsedFile};

/// Segments of a path from the crate's root, without `crate`.
pub type ModulePath = Vec<String>;

/// Maximum number of re-exports to follow for a name.
const MAX_REEXPORTS: usize = 16;

/// A module: a file, or an inline `mod x { … }` in one.
pub struct Module<'a> {
    /// Path of the file that contains the module.
    pub file: &'a str,
    /// The module's items except for imports and modules.
    pub items: Vec<&'a Item>,
    /// Imports from this crate, by their local name.
    pub imports: BTreeMap<String, Import>,
    /// Glob imports (`use x::*`) from this crate.
    pub globs: Vec<Import>,
    uses: Vec<&'a ItemUse>,
    item_names: BTreeSet<String>,
    children: BTreeSet<String>,
}

/// An import of a module.
#[derive(Clone, Debug)]
pub struct Import {
    /// Path of the imported item or module.
    pub target: ModulePath,
    /// Whether it is a re-export: a `use` with a visibility.
    pub is_reexport: bool,
}

/// What a path resolves to.
#[derive(Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The file that defines the item.
    pub file: &'a str,
    /// The item's name; `None` if the path ends at the module itself.
    pub name: Option<String>,
}

/// The modules of a crate by their path.
pub struct Modules<'a>(pub BTreeMap<ModulePath, Module<'a>>);

impl<'a> Modules<'a> {
    /// Collects the modules, starting at the crate's root file (`…/src/lib.rs` or `…/src/main.rs`). Test modules are
    /// ignored.
    pub fn of_crate(root: &'a ParsedFile, files: &BTreeMap<&str, &'a ParsedFile>) -> Self {
        let mut modules = Self(BTreeMap::new());
        let dir = root.path.rsplit_once('/').map_or("", |(dir, _)| dir);
        modules.add(&Vec::new(), root, &root.file.items, &Dir { path: dir.to_owned(), files });
        modules.resolve_uses();
        modules
    }

    fn add(&mut self, path: &ModulePath, source: &'a ParsedFile, items: &'a [Item], dir: &Dir<'_, 'a>) {
        let mut module = Module {
            file: &source.path,
            items: Vec::new(),
            imports: BTreeMap::new(),
            globs: Vec::new(),
            uses: Vec::new(),
            item_names: BTreeSet::new(),
            children: BTreeSet::new(),
        };
        for item in items.iter().filter(|item| !attributes(item).is_some_and(syntax::is_cfg_test)) {
            match item {
                Item::Use(import) => module.uses.push(import),
                Item::Mod(child) => {
                    let name = child.ident.to_string();
                    let child_dir = dir.child(&name);
                    match &child.content {
                        Some((_, items)) => self.add(&join_path(path, &name), source, items, &child_dir),
                        None => match dir.file_of(&name) {
                            Some(file) => self.add(&join_path(path, &name), file, &file.file.items, &child_dir),
                            None => continue,
                        },
                    }
                    module.children.insert(name);
                }
                other => {
                    module.item_names.extend(name_of(other));
                    module.items.push(other);
                }
            }
        }
        self.0.insert(path.clone(), module);
    }

    fn resolve_uses(&mut self) {
        let mut imports = Vec::new();
        for (path, module) in &self.0 {
            for item in &module.uses {
                if item.leading_colon.is_none() {
                    let is_reexport = !matches!(item.vis, Visibility::Inherited);
                    for_each_import(&item.tree, &mut Vec::new(), &mut |segments, name| {
                        imports.push((path.clone(), segments.to_vec(), name.to_owned(), is_reexport));
                    });
                }
            }
        }
        // Resolved twice, because an import may start with a name that another import introduces (`use crate::a; use
        // a::B;`).
        for (path, segments, name, is_reexport) in imports.iter().chain(&imports) {
            let Some(target) = self.absolute(path, segments) else { continue };
            let Some(module) = self.0.get_mut(path) else { continue };
            let import = Import { target, is_reexport: *is_reexport };
            if name == "*" {
                if !module.globs.iter().any(|glob| glob.target == import.target) {
                    module.globs.push(import);
                }
            } else if name != "_" {
                module.imports.insert(name.clone(), import);
            }
        }
    }

    /// Converts a path written in a module to a path from the crate's root. `None` if its first segment is not `crate`,
    /// `self`, `super`, a child module or an import from this crate, or if `super` goes above the root.
    pub fn absolute(&self, module: &[String], segments: &[String]) -> Option<ModulePath> {
        let (first, rest) = segments.split_first()?;
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => module.split_last()?.1.to_vec(),
            name => {
                let current = self.0.get(module)?;
                if current.children.contains(name) {
                    join_path(module, name)
                } else {
                    current.imports.get(name)?.target.clone()
                }
            }
        };
        for segment in rest {
            match segment.as_str() {
                "super" => drop(base.pop()?),
                "self" => {}
                name => base.push(name.to_owned()),
            }
        }
        Some(base)
    }

    /// Finds the file that defines what an absolute path names. Follows re-exports; a name that cannot be found counts
    /// as an item of the last module on the path.
    pub fn resolve(&self, path: &[String]) -> Option<Target<'a>> {
        let mut path = path.to_vec();
        for _ in 0..MAX_REEXPORTS {
            let depth = (0..=path.len()).rev().find(|depth| self.0.contains_key(&path[..*depth]))?;
            let module = self.0.get(&path[..depth])?;
            let Some(name) = path.get(depth) else { return Some(Target { file: module.file, name: None }) };
            let next = match module.imports.get(name) {
                _ if module.item_names.contains(name) => None,
                Some(import) => Some(import.target.clone()),
                None => self.resolve_glob(module, name, MAX_REEXPORTS),
            };
            let Some(mut next) = next else { return Some(Target { file: module.file, name: Some(name.clone()) }) };
            next.extend_from_slice(&path[depth + 1..]);
            path = next;
        }
        None
    }

    /// The path of a name that a module imports through a glob.
    fn resolve_glob(&self, module: &Module<'a>, name: &str, depth: usize) -> Option<ModulePath> {
        let depth = depth.checked_sub(1)?;
        module.globs.iter().find_map(|glob| {
            let target = self.0.get(&glob.target)?;
            let has_name =
                target.item_names.contains(name) || target.children.contains(name) || target.imports.contains_key(name);
            if has_name { Some(join_path(&glob.target, name)) } else { self.resolve_glob(target, name, depth) }
        })
    }
}

/// A directory that contains the files of child modules.
struct Dir<'s, 'a> {
    path: String,
    files: &'s BTreeMap<&'s str, &'a ParsedFile>,
}

impl<'a> Dir<'_, 'a> {
    fn file_of(&self, name: &str) -> Option<&'a ParsedFile> {
        let candidates = [format!("{}/{name}.rs", self.path), format!("{}/{name}/mod.rs", self.path)];
        candidates.iter().find_map(|path| self.files.get(path.as_str()).copied())
    }

    fn child(&self, name: &str) -> Self {
        Self { path: format!("{}/{name}", self.path), files: self.files }
    }
}

fn join_path(path: &[String], name: &str) -> ModulePath {
    path.iter().cloned().chain([name.to_owned()]).collect()
}

/// Calls `on_import` with the path and the local name of each import of a tree.
fn for_each_import(tree: &UseTree, prefix: &mut Vec<String>, on_import: &mut impl FnMut(&[String], &str)) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            for_each_import(&path.tree, prefix, on_import);
            prefix.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            let local = prefix.last().cloned().unwrap_or_default();
            on_import(prefix, &local);
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            on_import(&join_path(prefix, &name), &name);
        }
        UseTree::Rename(rename) => {
            let target = rename.ident.to_string();
            let path = if target == "self" { prefix.clone() } else { join_path(prefix, &target) };
            on_import(&path, &rename.rename.to_string());
        }
        UseTree::Glob(_) => on_import(prefix, "*"),
        UseTree::Group(group) => group.items.iter().for_each(|tree| for_each_import(tree, prefix, on_import)),
    }
}

fn name_of(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

fn attributes(item: &Item) -> Option<&[Attribute]> {
    Some(match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return None,
    })
}

#[cfg(test)]
pub mod tests {
    use super::super::syntax::samples::source;
    use super::*;

    fn resolved(files: &[(&str, &str)], module: &[&str], path: &str) -> Option<String> {
        let sources: Vec<_> = files.iter().map(|(path, content)| source(path, content)).collect();
        let by_path = sources.iter().map(|source| (source.path.as_str(), source)).collect();
        let modules = Modules::of_crate(&sources[0], &by_path);
        let module: Vec<_> = module.iter().map(ToString::to_string).collect();
        let segments: Vec<_> = path.split("::").map(ToOwned::to_owned).collect();
        let target = modules.resolve(&modules.absolute(&module, &segments)?)?;
        Some(match target.name {
            Some(name) => format!("{} {name}", target.file),
            None => target.file.to_owned(),
        })
    }

    const CRATE: &[(&str, &str)] = &[
        (
            "src/lib.rs",
            "mod a; mod b; mod prelude; pub use a::inner::Thing as Renamed; pub mod inline { pub fn f() {} }",
        ),
        ("src/a/mod.rs", "pub mod inner; pub use inner::Thing; pub fn own() {}"),
        ("src/a/inner.rs", "pub struct Thing; pub fn helper() {}"),
        ("src/b.rs", "use crate::a; use super::a::Thing; use crate::prelude::*; use serde::Serialize;"),
        ("src/prelude.rs", "pub use crate::a::own; pub use crate::a::inner::*;"),
    ];

    #[test]
    fn paths_from_the_root_the_module_and_its_parent_resolve() {
        assert_eq!(resolved(CRATE, &["b"], "crate::a::own").as_deref(), Some("src/a/mod.rs own"));
        assert_eq!(resolved(CRATE, &["a", "inner"], "super::own").as_deref(), Some("src/a/mod.rs own"));
        assert_eq!(resolved(CRATE, &["a", "inner"], "super::super::b").as_deref(), Some("src/b.rs"));
        assert_eq!(resolved(CRATE, &["a"], "inner::helper").as_deref(), Some("src/a/inner.rs helper"));
        assert_eq!(resolved(CRATE, &[], "self::inline::f").as_deref(), Some("src/lib.rs f"));
    }

    #[test]
    fn re_exports_resolve_to_the_file_that_defines_the_item() {
        assert_eq!(resolved(CRATE, &["b"], "crate::a::Thing").as_deref(), Some("src/a/inner.rs Thing"));
        assert_eq!(resolved(CRATE, &["b"], "crate::Renamed").as_deref(), Some("src/a/inner.rs Thing"));
        assert_eq!(resolved(CRATE, &["b"], "crate::prelude::own").as_deref(), Some("src/a/mod.rs own"));
        assert_eq!(resolved(CRATE, &["b"], "crate::prelude::helper").as_deref(), Some("src/a/inner.rs helper"));
    }

    #[test]
    fn names_that_the_module_imports_resolve_and_other_crates_do_not() {
        assert_eq!(resolved(CRATE, &["b"], "a::own").as_deref(), Some("src/a/mod.rs own"));
        assert_eq!(resolved(CRATE, &["b"], "Thing::new").as_deref(), Some("src/a/inner.rs Thing"));
        assert_eq!(resolved(CRATE, &["b"], "Serialize"), None);
        assert_eq!(resolved(CRATE, &["b"], "serde::Serialize"), None);
    }
}
