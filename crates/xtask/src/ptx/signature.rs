//! Does the `kernels!` of a room declare what its `.cu` defines?
//!
//! The driver knows nothing of the types of a kernel: a pointer in the place of a number is a wrong
//! result or a broken context at run time. So both sides are read as text and compared.

use super::lex::{Token, closing, parts};
use super::types::{Aliases, Type, of_cpp, of_rust};
use anyhow::{Context, Result, bail};

/// A kernel as one side has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) name: String,
    pub(super) parameters: Vec<(String, Type)>,
}

/// One `kernels!`: the path that it names, and what it declares.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Declared {
    /// From the crate's `src`, without extension.
    pub(super) path: String,
    pub(super) kernels: Vec<Signature>,
}

/// Words with brackets that stand between `__global__` and a kernel's name.
const BOUNDS: [&str; 5] =
    ["__launch_bounds__", "__cluster_dims__", "__maxnreg__", "__block_size__", "__attribute__"];

/// The kernels that a unit of C++ defines.
pub(super) fn defined(tokens: &[Token<'_>], aliases: &Aliases<'_>) -> Result<Vec<Signature>> {
    let mut kernels = Vec::new();
    let globals = tokens.iter().enumerate().filter(|(_, t)| **t == Token::Word("__global__"));
    for (global, _) in globals {
        let open =
            list(tokens, global).context("after a __global__ comes no list of parameters")?;
        let name = tokens[open - 1].word().context("a __global__ function without a name")?;
        let end = closing(tokens, open);
        // A declaration in front of the definition says nothing new.
        if !tokens.get(end + 1).is_some_and(|token| token.is('{')) {
            continue;
        }
        let mut parameters = Vec::new();
        for part in parts(tokens.get(open + 1..end).unwrap_or_default()) {
            let read = of_cpp(part, aliases).map(|(name, ty)| (name.to_owned(), ty));
            parameters.push(read.with_context(|| {
                format!("{name}: a parameter is not a number, a pointer or a struct: {part:?}")
            })?);
        }
        kernels.push(Signature { name: name.to_owned(), parameters });
    }
    Ok(kernels)
}

/// Where the list of parameters opens of the function that is `__global__`.
fn list(tokens: &[Token<'_>], global: usize) -> Option<usize> {
    let mut i = global + 1;
    loop {
        let open = i + tokens.get(i..)?.iter().position(|token| token.is('('))?;
        match tokens[open - 1] {
            Token::Word(word) if BOUNDS.contains(&word) => i = closing(tokens, open) + 1,
            _ => return Some(open),
        }
    }
}

/// Every `kernels!` of a Rust file.
pub(super) fn declared(tokens: &[Token<'_>]) -> Result<Vec<Declared>> {
    const CALL: [Token<'_>; 3] = [Token::Word("kernels"), Token::Mark('!'), Token::Mark('{')];
    let mut all = Vec::new();
    for i in 0..tokens.len() {
        if tokens[i..].starts_with(&CALL) {
            let open = i + CALL.len() - 1;
            let inside = tokens.get(open + 1..closing(tokens, open));
            all.extend(paths(inside.context("a kernels! does not end")?)?);
        }
    }
    Ok(all)
}

/// `"path"; fn …; fn …;`, once or several times.
fn paths(tokens: &[Token<'_>]) -> Result<Vec<Declared>> {
    let mut all: Vec<Declared> = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        match (tokens[i], tokens.get(i + 1)) {
            (Token::Text(path), Some(Token::Mark(';'))) => {
                all.push(Declared { path: path.to_owned(), kernels: Vec::new() });
                i += 2;
            }
            // Attributes, such as those that documentation is.
            (Token::Mark('#'), Some(Token::Mark('['))) => i = closing(tokens, i + 1) + 1,
            (Token::Word("fn"), Some(Token::Word(name))) => {
                let open = i + 2;
                let end = closing(tokens, open);
                let list = tokens.get(open + 1..end).context("a list does not end")?;
                let last = all.last_mut();
                let last = last.with_context(|| format!("fn {name} stands before the path"))?;
                last.kernels.push(signature(name, list)?);
                i = end + 1;
            }
            _ => i += 1,
        }
    }
    if all.is_empty() {
        bail!("a kernels! names no path");
    }
    Ok(all)
}

fn signature(name: &str, list: &[Token<'_>]) -> Result<Signature> {
    let mut parameters = Vec::new();
    for part in parts(list) {
        let read = match part {
            [Token::Word(name), Token::Mark(':'), ty @ ..] => {
                of_rust(ty).map(|ty| ((*name).to_owned(), ty))
            }
            _ => None,
        };
        parameters.push(read.with_context(|| {
            format!("fn {name}: a parameter is not `name: Type` with In, Out or a value: {part:?}")
        })?);
    }
    Ok(Signature { name: name.to_owned(), parameters })
}

/// How the declarations differ from the definitions.
pub(super) fn differences(defined: &[Signature], declared: &[Signature]) -> Vec<String> {
    let mut differences = Vec::new();
    for kernel in defined {
        if !declared.iter().any(|other| other.name == kernel.name) {
            differences.push(format!("{} is declared in no kernels!", kernel.name));
        }
    }
    for kernel in declared {
        match defined.iter().find(|other| other.name == kernel.name) {
            None => differences.push(format!("{} is declared and not defined", kernel.name)),
            Some(other) => differences.extend(difference(other, kernel)),
        }
    }
    differences
}

/// The first parameter that is not the same.
fn difference(defined: &Signature, declared: &Signature) -> Option<String> {
    let name = &defined.name;
    let (there, here) = (&defined.parameters, &declared.parameters);
    for (i, (a, b)) in there.iter().zip(here).enumerate() {
        if a != b {
            let of = |(name, ty): &(String, Type)| format!("{name}: {ty}");
            let number = i + 1;
            return Some(format!(
                "{name}: parameter {number} is {} in C++ and {} in Rust",
                of(a),
                of(b)
            ));
        }
    }
    (there.len() != here.len())
        .then(|| format!("{name} has {} parameters in C++ and {} in Rust", there.len(), here.len()))
}

#[cfg(test)]
mod tests {
    use super::super::lex::{tokens, without_comments};
    use super::super::types::aliases;
    use super::*;

    const CPP: &str = r#"
typedef unsigned short bf16_bits;
__device__ float half(float v) { return v / 2 > 1 ? v : 0; }
extern "C" __global__ void scale(const float* __restrict__ x, float* y, unsigned n);
extern "C" __global__ void __launch_bounds__(128) scale(const float* __restrict__ x, float* y,
                                                        unsigned n) { y[n] = half(x[n]); }
extern "C" __global__ void
pack(const Geometry g, const bf16_bits* a, unsigned long long* sums) {}
"#;
    const RUST: &str = r#"
gradus_gpu::kernels! {
    "dense/scale";
    /// Halves what is large.
    #[doc = "fn x()"]
    fn scale(x: In<f32>, y: Out<f32>, n: u32);
    pub(super) fn pack(g: Geometry, a: In<u16>, sums: InOut<u64>,);
}
"#;

    fn both(cpp: &str, rust: &str) -> Vec<String> {
        let (cpp, rust) = (without_comments(cpp), without_comments(rust));
        let cpp = tokens(&cpp);
        let defined = defined(&cpp, &aliases(&cpp)).unwrap();
        let declared = declared(&tokens(&rust)).unwrap();
        assert_eq!(declared.len(), 1);
        assert_eq!(declared[0].path, "dense/scale");
        differences(&defined, &declared[0].kernels)
    }

    #[test]
    fn what_agrees_has_no_differences() {
        assert!(both(CPP, RUST).is_empty(), "{:?}", both(CPP, RUST));
    }

    #[test]
    fn every_kind_of_drift_is_found() {
        for (from, to, expected) in [
            ("fn scale", "fn scales", "scale is declared in no kernels!"),
            ("fn scale", "fn scales", "scales is declared and not defined"),
            ("x: In<f32>", "x: Out<f32>", "parameter 1 is x: *const f32 in C++ and x: *mut f32"),
            ("y: Out<f32>", "y: In<f32>", "parameter 2 is y: *mut f32 in C++ and y: *const f32"),
            ("y: Out<f32>, n: u32", "n: u32, y: Out<f32>", "parameter 2 is y: *mut f32"),
            ("n: u32", "n: i32", "parameter 3 is n: u32 in C++ and n: i32 in Rust"),
            ("n: u32", "m: u32", "parameter 3 is n: u32 in C++ and m: u32 in Rust"),
            (", n: u32", "", "scale has 3 parameters in C++ and 2 in Rust"),
            ("g: Geometry", "g: Shape", "pack: parameter 1 is g: Geometry in C++ and g: Shape"),
            ("a: In<u16>", "a: In<f32>", "pack: parameter 2"),
            ("InOut<u64>", "InOut<u32>", "pack: parameter 3"),
        ] {
            let found = both(CPP, &RUST.replacen(from, to, 1));
            assert!(found.iter().any(|found| found.contains(expected)), "{to}: {found:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_the_kernels_name() {
        let cpp = tokens("__global__ void k(const float& x) {}");
        let error = defined(&cpp, &Aliases::new()).unwrap_err().to_string();
        assert!(error.contains("k: a parameter"), "{error}");
        for rust in ["kernels! { fn k(); }", "kernels! { }", "kernels! { \"a\"; fn k(x: &f32); }"] {
            assert!(declared(&tokens(rust)).is_err(), "{rust}");
        }
        let other = tokens("macro_rules! kernels { () => {} } let s = \"kernels! { }\";");
        assert!(declared(&other).unwrap().is_empty());
    }
}
