//! Are the structs that kernels take by value laid out the same in both languages?
//!
//! With the same fields in the same order and Rust's `repr(C)` they are, since both follow the rules
//! of C; what either aligns more than that has to be said on both sides.

use super::lex::{Token, closing, parts};
use super::types::{Aliases, Type, of_cpp, of_rust};
use std::collections::BTreeMap;

/// A field by its name.
type Field = (String, Type);

/// A struct as one side has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Struct {
    /// None if one of them is nothing that a kernel could be given.
    pub(super) fields: Option<Vec<Field>>,
    /// What its alignment was raised to.
    pub(super) align: Option<String>,
    /// Laid out by the rules of C: always true of C++.
    pub(super) plain: bool,
}

/// Structs and named numbers of one side.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    pub(super) structs: BTreeMap<String, Struct>,
    pub(super) numbers: BTreeMap<String, String>,
}

/// What a unit of C++ defines.
pub(super) fn of_unit(code: &str, tokens: &[Token<'_>], aliases: &Aliases<'_>) -> Definitions {
    let mut found = Definitions::default();
    for line in code.lines() {
        let definition = line.strip_prefix("#define ").and_then(|line| line.split_once(' '));
        if let Some((name, value)) = definition {
            found.numbers.insert(name.to_owned(), value.trim().to_owned());
        }
    }
    for i in 0..tokens.len() {
        match tokens[i] {
            Token::Word("constexpr") => found.numbers.extend(constant(&tokens[i + 1..])),
            Token::Word("struct") => {
                let Some((name, align, length)) = heading(&tokens[i + 1..]) else { continue };
                let open = i + 1 + length;
                let inside = tokens.get(open + 1..closing(tokens, open)).unwrap_or_default();
                let of = Struct { fields: members(inside, aliases), align, plain: true };
                found.structs.insert(name.to_owned(), of);
            }
            _ => {}
        }
    }
    found
}

/// `int NAME = 4;` after a `constexpr`, or `NAME: usize = 4;` after a `const`.
fn constant(tokens: &[Token<'_>]) -> Option<(String, String)> {
    const LONGEST: usize = 6;
    let equals = tokens.iter().take(LONGEST).position(|token| token.is('='))?;
    let [Token::Word(value), Token::Mark(';')] = *tokens.get(equals + 1..equals + 3)? else {
        return None;
    };
    let name = match &tokens[..equals] {
        [Token::Word(name), Token::Mark(':'), ..] => *name,
        [.., Token::Word(name)] => *name,
        _ => return None,
    };
    Some((name.to_owned(), value.to_owned()))
}

/// The name between `struct` and its body, the alignment in front of it, and the length of both;
/// none where the struct is only named.
fn heading<'a>(tokens: &[Token<'a>]) -> Option<(&'a str, Option<String>, usize)> {
    use Token::{Mark, Word};
    match tokens {
        [Word("__align__" | "alignas"), Mark('('), Word(align), _, Word(name), Mark('{'), ..] => {
            Some((name, Some((*align).to_owned()), 5))
        }
        [Word(name), Mark('{'), ..] => Some((name, None, 1)),
        _ => None,
    }
}

/// The fields of a struct of C++: functions, constants and aliases are none.
fn members(tokens: &[Token<'_>], aliases: &Aliases<'_>) -> Option<Vec<Field>> {
    const NONE: [&str; 7] =
        ["static", "using", "typedef", "template", "enum", "friend", "static_assert"];
    let (mut fields, mut i) = (Vec::new(), 0);
    while i < tokens.len() {
        if let [Token::Word("public" | "private"), Token::Mark(':'), ..] = tokens[i..] {
            i += 2;
            continue;
        }
        let ends = |token: &Token<'_>| token.is(';') || token.is('{');
        let end = i + tokens[i..].iter().position(ends)?;
        let statement = &tokens[i..end];
        let is_function = statement.iter().any(|token| token.is('('));
        let is_none = statement.first().and_then(|t| t.word()).is_some_and(|w| NONE.contains(&w));
        if !(is_function || is_none || statement.is_empty()) {
            fields.extend(declarators(statement, aliases)?);
        }
        i = if tokens[end].is('{') { closing(tokens, end) + 1 } else { end + 1 };
    }
    Some(fields)
}

/// `int n, h = 0, strides[4]`: each with the type that the first part begins with.
fn declarators(statement: &[Token<'_>], aliases: &Aliases<'_>) -> Option<Vec<Field>> {
    let parts = parts(statement);
    let first = value_cut(parts.first()?);
    let end = first.iter().position(|token| token.is('[')).unwrap_or(first.len());
    let is_own = |token: &Token<'_>| token.is('*');
    let base = first[..end].iter().position(is_own).unwrap_or(end.checked_sub(1)?);
    let mut fields = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let part = value_cut(part);
        let whole = if i == 0 { part.to_vec() } else { [&first[..base], part].concat() };
        let (name, ty) = of_cpp(&whole, aliases)?;
        fields.push((name.to_owned(), ty));
    }
    Some(fields)
}

/// A declarator without the value that it is given.
fn value_cut<'t, 'a>(part: &'t [Token<'a>]) -> &'t [Token<'a>] {
    let end = part.iter().position(|token| token.is('=')).unwrap_or(part.len());
    &part[..end]
}

/// What a Rust file defines. Generic and tuple structs are left out.
pub(super) fn of_rust_file(tokens: &[Token<'_>]) -> Definitions {
    let mut found = Definitions::default();
    for i in 0..tokens.len() {
        match &tokens[i..] {
            [Token::Word("const"), rest @ ..] => found.numbers.extend(constant(rest)),
            [Token::Word("struct"), Token::Word(name), Token::Mark('{'), ..] => {
                let inside = tokens.get(i + 3..closing(tokens, i + 2)).unwrap_or_default();
                let fields = parts(inside).into_iter().map(field).collect();
                let (plain, align) = representation(&tokens[..i]);
                found.structs.insert((*name).to_owned(), Struct { fields, align, plain });
            }
            _ => {}
        }
    }
    found
}

/// `#[…] pub(crate) name: Type`.
fn field(tokens: &[Token<'_>]) -> Option<Field> {
    let mut rest = tokens;
    loop {
        rest = match rest {
            [Token::Mark('#'), ..] => rest.get(closing(rest, 1) + 1..)?,
            [Token::Word("pub"), Token::Mark('('), ..] => rest.get(closing(rest, 1) + 1..)?,
            [Token::Word("pub"), after @ ..] => after,
            [Token::Word(name), Token::Mark(':'), ty @ ..] => {
                return Some(((*name).to_owned(), of_rust(ty)?));
            }
            _ => return None,
        };
    }
}

/// Whether `repr(C)` is among the attributes that end there, and the alignment that they ask for.
fn representation(before: &[Token<'_>]) -> (bool, Option<String>) {
    // Whatever stands before the attributes ends in one of these.
    let ends = |token: &Token<'_>| token.is(';') || token.is('}') || token.is('{');
    let start = before.iter().rposition(ends).map_or(0, |i| i + 1);
    let attributes = &before[start..];
    let Some(i) = attributes.iter().position(|token| *token == Token::Word("repr")) else {
        return (false, None);
    };
    let inside = attributes.get(i + 2..closing(attributes, i + 1)).unwrap_or_default();
    let align = parts(inside).into_iter().find_map(|part| match part {
        [Token::Word("align"), Token::Mark('('), Token::Word(align), _] => {
            Some((*align).to_owned())
        }
        _ => None,
    });
    (inside.contains(&Token::Word("C")), align)
}

impl Definitions {
    /// Takes from others what is not there yet, and of several with one name that which is `plain`.
    /// Where more than one is, nobody can tell which is meant, and none is taken.
    pub(super) fn fill(&mut self, others: Vec<Definitions>) {
        let mut new: BTreeMap<String, Vec<Struct>> = BTreeMap::new();
        for other in others {
            for (name, one) in other.structs {
                new.entry(name).or_default().push(one);
            }
            for (name, number) in other.numbers {
                self.numbers.entry(name).or_insert(number);
            }
        }
        for (name, mut all) in new {
            all.dedup();
            if all.len() > 1 {
                all.retain(|one| one.plain);
            }
            if let ([one], false) = (&all[..], self.structs.contains_key(&name)) {
                self.structs.insert(name, one.clone());
            }
        }
    }
}

/// How a struct differs between the two sides, with the structs that it holds. A side that does
/// not have it says nothing.
pub(super) fn differences(name: &str, cpp: &Definitions, rust: &Definitions) -> Vec<String> {
    let (Some(there), Some(here)) = (cpp.structs.get(name), rust.structs.get(name)) else {
        return Vec::new();
    };
    let mut differences = layout(name, there, here);
    let (Some(fields), Some(others)) = (&there.fields, &here.fields) else {
        let side = if there.fields.is_none() { "C++" } else { "Rust" };
        differences.push(format!(
            "struct {name} has a field in {side} that is no number, pointer, array or struct"
        ));
        return differences;
    };
    let of = |(name, ty): &Field, side| format!("{name}: {}", known(ty, side));
    let these = fields.iter().map(|field| of(field, cpp)).collect();
    let those = others.iter().map(|field| of(field, rust)).collect();
    differences.extend(first_other(these, those).map(|other| format!("struct {name} has {other}")));
    for (_, ty) in fields {
        if let Some(inner) = inner(ty).filter(|inner| *inner != name) {
            differences.extend(self::differences(inner, cpp, rust));
        }
    }
    differences
}

/// What fields do not say of how a struct lies in memory.
fn layout(name: &str, there: &Struct, here: &Struct) -> Vec<String> {
    let mut differences = Vec::new();
    if !here.plain {
        differences.push(format!("struct {name} goes to a kernel and lacks #[repr(C)]"));
    }
    if there.align != here.align {
        let of = |align: &Option<String>| align.clone().unwrap_or("its fields".to_owned());
        let (there, here) = (of(&there.align), of(&here.align));
        differences.push(format!("struct {name} is aligned to {there} in C++, to {here} in Rust"));
    }
    differences
}

/// In what the fields of C++ and of Rust differ first.
fn first_other(these: Vec<String>, those: Vec<String>) -> Option<String> {
    if let Some((a, b)) = these.iter().zip(&those).find(|(a, b)| a != b) {
        return Some(format!("{a} in C++ where Rust has {b}"));
    }
    let (these, those) = (these.len(), those.len());
    (these != those).then(|| format!("{these} fields in C++ and {those} in Rust"))
}

/// The type with numbers in place of their names.
fn known(ty: &Type, side: &Definitions) -> Type {
    match ty {
        Type::Array(item, length) => {
            let length = side.numbers.get(length).unwrap_or(length).clone();
            Type::Array(Box::new(known(item, side)), length)
        }
        other => other.clone(),
    }
}

/// The name of what stands in the struct itself.
fn inner(ty: &Type) -> Option<&str> {
    match ty {
        Type::Value(name) => Some(name),
        Type::Array(item, _) => inner(item),
        Type::Const(_) | Type::Mut(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::lex::{tokens, without_comments};
    use super::super::types::aliases;
    use super::*;

    const CPP: &str = "
#define RANK 4
typedef unsigned short bf16_bits;
struct Later;
template <class T> struct Moments { T count; __device__ static Moments none() { return {T(0)}; } };
struct Inner { float scale = 1.f; bf16_bits bits; };
struct __align__(16) Geometry {
    static constexpr int LANES = 32;
    int n, h = 0, w; // batch and picture
    int strides[RANK], pads[2];
    __device__ int size() const { return n > 0 ? h * w : 0; }
    const float* table;
    Inner inner;
};
";
    const RUST: &str = "
const RANK: usize = 4;
#[repr(C)]
#[derive(Clone, Copy)]
struct Inner { scale: f32, bits: u16 }
/// What a kernel knows of a convolution.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub(crate) struct Geometry {
    /// Images.
    pub n: i32,
    pub(crate) h: i32,
    w: i32,
    strides: [i32; RANK],
    pads: [i32; 2],
    table: In<f32>,
    inner: Inner,
}
";

    fn both(rust: &str) -> Vec<String> {
        let (cpp, rust) = (without_comments(CPP), without_comments(rust));
        let unit = tokens(&cpp);
        let unit = of_unit(&cpp, &unit, &aliases(&unit));
        assert_eq!(unit.structs["Geometry"].fields.as_ref().unwrap().len(), 7);
        differences("Geometry", &unit, &of_rust_file(&tokens(&rust)))
    }

    #[test]
    fn what_agrees_has_no_differences() {
        assert!(both(RUST).is_empty(), "{:?}", both(RUST));
        assert!(both("struct Other { n: i32 }").is_empty(), "not found is not compared");
    }

    #[test]
    fn every_kind_of_drift_is_found() {
        for (from, to, expected) in [
            ("pub n: i32", "pub n: u32", "has n: i32 in C++ where Rust has n: u32"),
            (
                "pub(crate) h: i32,\n    w: i32",
                "w: i32, h: i32",
                "has h: i32 in C++ where Rust has w",
            ),
            ("w: i32,", "width: i32,", "has w: i32 in C++ where Rust has width: i32"),
            ("    inner: Inner,\n", "", "has 7 fields in C++ and 6 in Rust"),
            ("= 4", "= 5", "has strides: [i32; 4] in C++ where Rust has strides: [i32; 5]"),
            ("In<f32>", "Out<f32>", "has table: *const f32 in C++ where Rust has table: *mut f32"),
            ("C, align(16)", "C", "aligned to 16 in C++, to its fields in Rust"),
            ("#[repr(C)]\n", "", "struct Inner goes to a kernel and lacks #[repr(C)]"),
            (
                "bits: u16",
                "bits: Option<u16>",
                "struct Inner has a field in Rust that is no number",
            ),
            ("bits: u16", "bits: i16", "struct Inner has bits: u16 in C++"),
        ] {
            let found = both(&RUST.replacen(from, to, 1));
            assert!(found.iter().any(|found| found.contains(expected)), "{to}: {found:?}");
        }
    }
}
