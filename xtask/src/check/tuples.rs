//! Checks that no function takes a tuple: values that belong together should be a struct with named fields, and others
//! separate arguments. Closures may take tuples, because iterators over pairs require it.

use super::syntax::ParsedFile;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{FnArg, Signature, Type};

/// A message for each parameter that is a tuple.
pub fn violations(sources: &[ParsedFile]) -> Vec<String> {
    sources.iter().flat_map(check_source).collect()
}

fn check_source(source: &ParsedFile) -> Vec<String> {
    let mut visitor = TupleVisitor { path: &source.path, found: Vec::new() };
    visitor.visit_file(&source.file);
    visitor.found
}

struct TupleVisitor<'a> {
    path: &'a str,
    found: Vec<String>,
}

impl<'ast> Visit<'ast> for TupleVisitor<'_> {
    /// Called for functions, methods, trait methods and nested functions alike.
    fn visit_signature(&mut self, signature: &'ast Signature) {
        for input in &signature.inputs {
            if let FnArg::Typed(parameter) = input
                && is_tuple(&parameter.ty)
            {
                let line = parameter.span().start().line;
                let function = &signature.ident;
                self.found.push(format!(
                    "{}:{line}: fn {function} takes a tuple: make it a struct or separate arguments",
                    self.path
                ));
            }
        }
        visit::visit_signature(self, signature);
    }
}

/// Whether a type is a tuple of at least one element, looking through references and parentheses.
fn is_tuple(ty: &Type) -> bool {
    match ty {
        Type::Tuple(tuple) => !tuple.elems.is_empty(),
        Type::Reference(reference) => is_tuple(&reference.elem),
        Type::Paren(inner) => is_tuple(&inner.elem),
        Type::Group(inner) => is_tuple(&inner.elem),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::syntax::samples::source;
    use super::*;

    fn found(content: &str) -> Vec<String> {
        violations(&[source("x.rs", content)])
    }

    #[test]
    fn a_tuple_parameter_is_found_with_its_line() {
        let content = "fn first() {}\n\nfn second(a: u8,\n    (b, c): (u8, u8)) {}\n";
        assert_eq!(found(content), ["x.rs:4: fn second takes a tuple: make it a struct or separate arguments"]);
    }

    #[test]
    fn methods_trait_methods_and_nested_functions_are_checked() {
        for content in [
            "impl X { async fn f(&self, pair: (u8, u8)) {} }",
            "trait X { fn f(&self, pair: &(u8, u8)); }",
            "fn outer() { fn f(pair: &mut (u8, u8)) {} }",
            "mod tests { fn f((a,): (u8,)) {} }",
        ] {
            assert_eq!(found(content).len(), 1, "{content}");
        }
    }

    #[test]
    fn closures_lists_of_pairs_results_and_the_unit_are_allowed() {
        for content in [
            "fn f() { let _ = |(a, b): (u8, u8)| a + b; }",
            "fn f(pairs: &[(u8, u8)], call: impl Fn((u8, u8))) -> (u8, u8) { (1, 2) }",
            "fn f(unit: ()) {}",
        ] {
            assert!(found(content).is_empty(), "{content}");
        }
    }
}
