//! Checks that there is no import cycle between files of different folders of a crate. Folders are a crate's
//! components, and two components that need each other cannot be understood or changed separately. Test modules are
//! ignored.
//!
//! A module `x` (`x.rs` or `x/mod.rs`) with files below `x/` belongs to the folder `x`. Neither declaring a module nor
//! a re-export is an import: an import through a re-export counts as an import from the file that defines the item.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;

use super::modules::{Module, Modules};
use super::syntax::ParsedFile;

/// For each file, the files that it imports from, with the imported names.
type Imports<'a> = BTreeMap<&'a str, BTreeMap<&'a str, BTreeSet<String>>>;

/// A message for each cycle, with the imports that connect its folders.
pub fn violations(sources: &[ParsedFile]) -> Vec<String> {
    let by_path: BTreeMap<_, _> = sources.iter().map(|source| (source.path.as_str(), source)).collect();
    let is_root = |source: &&ParsedFile| source.path.ends_with("src/lib.rs") || source.path.ends_with("src/main.rs");
    let cycles = |root: &ParsedFile| {
        let modules = Modules::of_crate(root, &by_path);
        let folders: BTreeSet<_> = modules.0.values().filter_map(|module| parent(module.file)).collect();
        let imports = imports(&modules);
        let cycles = cycles(&imports).into_iter().filter_map(|cycle| message(&cycle, &imports, &folders));
        cycles.collect::<Vec<_>>()
    };
    sources.iter().filter(is_root).flat_map(cycles).collect()
}

fn message(cycle: &BTreeSet<&str>, imports: &Imports<'_>, folders: &BTreeSet<&str>) -> Option<String> {
    let folder_of = |file| folder(file, folders);
    let cycle_folders: BTreeSet<_> = cycle.iter().copied().map(folder_of).collect();
    if cycle_folders.len() < 2 {
        return None;
    }
    let mut text = format!("{} files of {} folders import each other:", cycle.len(), cycle_folders.len());
    for from in cycle {
        let to = imports.get(from).into_iter().flatten().filter(|(to, _)| cycle.contains(*to));
        for (to, names) in to.filter(|(to, _)| folder_of(from) != folder_of(to)) {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            text += &format!("\n  {from} -> {to} ({})", names.join(", "));
        }
    }
    Some(text)
}

fn parent(file: &str) -> Option<&str> {
    file.rsplit_once('/').map(|(dir, _)| dir)
}

/// The folder of a file: its directory, or the directory `x` for a file `x.rs` next to it.
fn folder<'a>(file: &'a str, folders: &BTreeSet<&str>) -> &'a str {
    match file.strip_suffix(".rs") {
        Some(stem) if folders.contains(stem) => stem,
        _ => parent(file).unwrap_or_default(),
    }
}

fn imports<'a>(modules: &Modules<'a>) -> Imports<'a> {
    let mut all = Imports::new();
    for (path, module) in &modules.0 {
        let file_imports = all.entry(module.file).or_default();
        let mut add = |segments: &[String]| {
            let Some(target) = modules.resolve(segments).filter(|target| target.file != module.file) else { return };
            let name = target.name.or_else(|| segments.last().cloned()).unwrap_or_default();
            file_imports.entry(target.file).or_default().insert(name);
        };
        let mut paths = PathCollector { modules, module, module_path: path, found: BTreeSet::new() };
        module.items.iter().for_each(|item| paths.search(item.to_token_stream()));
        let private_imports = module.imports.values().chain(&module.globs).filter(|import| !import.is_reexport);
        // If code uses paths through an imported module, those paths count instead of the import of the module.
        private_imports.filter(|import| !paths.begins_with(&import.target)).for_each(|import| add(&import.target));
        paths.found.iter().for_each(|segments| add(segments));
    }
    all
}

/// Collects the paths in the code of a module, including macros and attributes.
struct PathCollector<'m, 'a> {
    modules: &'m Modules<'a>,
    module: &'m Module<'a>,
    module_path: &'m [String],
    /// The paths found so far, from the crate's root.
    found: BTreeSet<Vec<String>>,
}

impl PathCollector<'_, '_> {
    fn search(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut position = 0;
        while let Some(token) = tokens.get(position) {
            position += 1;
            match token {
                TokenTree::Group(group) => self.search(group.stream()),
                TokenTree::Ident(first) => {
                    let mut segments = vec![first.to_string()];
                    while let Some(next) = next_segment(&tokens[position..]) {
                        segments.push(next);
                        position += 3;
                    }
                    self.add(&segments);
                }
                // A name after a single dot is a field or method and not a path.
                TokenTree::Punct(dot) if dot.as_char() == '.' => {
                    let is_range = position > 1 && is_dot(&tokens[position - 2]);
                    position += usize::from(!is_range && matches!(tokens.get(position), Some(TokenTree::Ident(_))));
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    /// Adds a path if it leads into this crate. A single name counts only if it is imported; if the import is a module,
    /// the name must be a variable.
    fn add(&mut self, segments: &[String]) {
        let is_path = match segments {
            [first] => self.module.imports.contains_key(first),
            _ => true,
        };
        if is_path && let Some(path) = self.modules.absolute(self.module_path, segments) {
            let is_variable = segments.len() == 1 && self.modules.0.contains_key(&path);
            if !is_variable {
                self.found.insert(path);
            }
        }
    }

    fn begins_with(&self, module: &[String]) -> bool {
        self.modules.0.contains_key(module)
            && self.found.iter().any(|path| path.len() > module.len() && path.starts_with(module))
    }
}

fn is_dot(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == '.')
}

/// The identifier after `::`, if the tokens start with `::` and an identifier.
fn next_segment(tokens: &[TokenTree]) -> Option<String> {
    match tokens {
        [TokenTree::Punct(first), TokenTree::Punct(second), TokenTree::Ident(next), ..]
            if first.as_char() == ':' && second.as_char() == ':' =>
        {
            Some(next.to_string())
        }
        _ => None,
    }
}

/// The sets of files that reach each other through imports (strongly connected components).
fn cycles<'a>(imports: &Imports<'a>) -> Vec<BTreeSet<&'a str>> {
    let reachable: BTreeMap<_, _> = imports.keys().map(|file| (*file, reachable_from(file, imports))).collect();
    let mut cycles: Vec<BTreeSet<_>> = Vec::new();
    for (file, to) in &reachable {
        if to.contains(file) && !cycles.iter().any(|cycle| cycle.contains(file)) {
            cycles.push(to.iter().copied().filter(|other| reachable[other].contains(file)).collect());
        }
    }
    cycles
}

fn reachable_from<'a>(file: &str, imports: &Imports<'a>) -> BTreeSet<&'a str> {
    let mut reachable = BTreeSet::new();
    let mut pending = vec![file];
    while let Some(file) = pending.pop() {
        for to in imports.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reachable.insert(*to) {
                pending.push(to);
            }
        }
    }
    reachable
}

#[cfg(test)]
mod tests {
    use super::super::syntax::samples::source;
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> = files.iter().map(|(path, content)| source(path, content)).collect();
        violations(&sources)
    }

    #[test]
    fn a_cycle_of_two_folders_is_found_with_the_imported_names() {
        let files = [
            ("c/src/lib.rs", "mod a; mod b;"),
            ("c/src/a/mod.rs", "mod x; pub use x::X;"),
            ("c/src/a/x.rs", "use crate::b::{Y, self}; pub struct X(Y); fn f() { b::g(); }"),
            ("c/src/b/mod.rs", "pub mod y; pub use y::*; pub fn g() {}"),
            ("c/src/b/y.rs", "use crate::a::X; pub struct Y; fn f(_: X) {}"),
        ];
        let expected = "2 files of 2 folders import each other:\n  c/src/a/x.rs -> c/src/b/y.rs (Y)\n  c/src/b/y.rs -> \
                        c/src/a/x.rs (X)";
        assert_eq!(found(&files), [expected]);
    }

    #[test]
    fn a_cycle_through_paths_in_code_and_macros_is_found() {
        let cycles_with_body = |body: &str| {
            let body = format!("pub fn g() {{ {body} }}");
            let files = [
                ("c/src/lib.rs", "mod a; mod b;"),
                ("c/src/a/mod.rs", "pub fn f() { crate::b::g(); }"),
                ("c/src/b/mod.rs", body.as_str()),
            ];
            found(&files).len()
        };
        assert_eq!(cycles_with_body("crate::a::f();"), 1);
        assert_eq!(cycles_with_body("println!(\"{:?}\", super::a::f());"), 1);
        assert_eq!(cycles_with_body("#[x(with = crate::a::f)] struct S;"), 1);
        assert_eq!(cycles_with_body("let _ = S { ..crate::a::f() };"), 1);
        assert_eq!(cycles_with_body("self.a.f(); a.f(); let s = \"crate::a::f\"; // crate::a::f\n"), 0);
    }

    #[test]
    fn a_file_beside_its_folder_is_in_that_folder() {
        let files = [
            ("c/src/lib.rs", "mod a; mod root;"),
            ("c/src/a.rs", "mod x; pub struct A; use x::X;"),
            ("c/src/a/x.rs", "use super::A; pub struct X;"),
            ("c/src/root.rs", ""),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
        let files = [
            ("c/src/main.rs", "mod a; mod root;"),
            ("c/src/a.rs", "mod x; use crate::root::R; pub struct A;"),
            ("c/src/a/x.rs", ""),
            ("c/src/root.rs", "use crate::a::A; pub struct R;"),
        ];
        assert_eq!(found(&files).len(), 1);
    }

    #[test]
    fn declarations_re_exports_tests_and_cycles_within_a_folder_are_allowed() {
        let files = [
            ("c/src/lib.rs", "mod a; pub use a::inner::Inner; pub struct Root;"),
            ("c/src/a/mod.rs", "pub mod inner; pub use inner::Inner; pub struct A; mod x; mod y;"),
            ("c/src/a/inner/mod.rs", "use super::A; use crate::Root; pub struct Inner;"),
            ("c/src/a/x.rs", "use super::y::Y; pub struct X;"),
            ("c/src/a/y.rs", "use super::x::X; pub struct Y; #[cfg(test)] mod tests { use crate::Root; }"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn a_re_export_that_the_module_itself_uses_is_an_import() {
        let files = [
            ("c/src/lib.rs", "mod a; pub use a::Inner; pub struct Root(Inner);"),
            ("c/src/a/mod.rs", "use crate::Root; pub struct Inner;"),
        ];
        assert_eq!(found(&files).len(), 1);
    }
}
