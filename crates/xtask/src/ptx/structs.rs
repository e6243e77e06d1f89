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
#[derive(Clone, Debug, Default)]
pub(super) struct Definitions {
    /// Several of one name where files have their own.
    pub(super) structs: BTreeMap<String, Vec<Struct>>,
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
                found.structs.entry(name.to_owned()).or_default().push(of);
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
                let of = Struct { fields, align, plain };
                found.structs.entry((*name).to_owned()).or_default().push(of);
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
    /// Takes from others the names that are not there yet. Of several structs with one name those
    /// count that are `plain`, if there is one.
    pub(super) fn fill(&mut self, others: Vec<Definitions>) {
        let mut new: BTreeMap<String, Vec<Struct>> = BTreeMap::new();
        for other in others {
            for (name, some) in other.structs {
                new.entry(name).or_default().extend(some);
            }
            for (name, number) in other.numbers {
                self.numbers.entry(name).or_insert(number);
            }
        }
        for (name, mut some) in new {
            if some.iter().any(|one| one.plain) {
                some.retain(|one| one.plain);
            }
            self.structs.entry(name).or_insert(some);
        }
    }

    /// Without the structs that are not `plain`.
    pub(super) fn plain(&self) -> Definitions {
        let mut structs = self.structs.clone();
        structs.values_mut().for_each(|some| some.retain(|one| one.plain));
        structs.retain(|_, some| !some.is_empty());
        Definitions { structs, numbers: self.numbers.clone() }
    }
}

/// How structs differ between the two sides, and those that they hold or point to. A side that does
/// not have one says nothing; of several in Rust it is enough that one agrees.
pub(super) fn differences(names: Vec<&str>, cpp: &Definitions, rust: &Definitions) -> Vec<String> {
    let (mut names, mut differences) = (names, Vec::new());
    let mut i = 0;
    while let Some(&name) = names.get(i) {
        i += 1;
        let (Some(there), Some(here)) = (cpp.structs.get(name), rust.structs.get(name)) else {
            continue;
        };
        // C++ that compiles has one, or several in scopes of their own.
        let pairs = there.iter().flat_map(|there| here.iter().map(move |here| (there, here)));
        let mut found: Vec<Vec<String>> =
            pairs.map(|(there, here)| difference((there, cpp), (here, rust))).collect();
        if found.iter().all(|found| !found.is_empty()) {
            let first = found.swap_remove(0);
            differences.extend(first.iter().map(|other| format!("struct {name} {other}")));
        }
        for (_, ty) in there.iter().filter_map(|one| one.fields.as_ref()).flatten() {
            if !names.contains(&ty.name()) {
                names.push(ty.name());
            }
        }
    }
    differences
}

/// How one struct of C++ differs from one of Rust, each beside what else its side defines.
fn difference(
    (there, cpp): (&Struct, &Definitions),
    (here, rust): (&Struct, &Definitions),
) -> Vec<String> {
    let mut differences = layout(there, here);
    let (Some(fields), Some(others)) = (&there.fields, &here.fields) else {
        let side = if there.fields.is_none() { "C++" } else { "Rust" };
        differences
            .push(format!("has a field in {side} that is no number, pointer, array or struct"));
        return differences;
    };
    let these: Vec<Field> = fields.iter().map(|field| known(field, cpp)).collect();
    let those: Vec<Field> = others.iter().map(|field| known(field, rust)).collect();
    differences.extend(first_other(&these, &those).map(|other| format!("has {other}")));
    differences
}

/// What fields do not say of how a struct lies in memory.
fn layout(there: &Struct, here: &Struct) -> Vec<String> {
    let mut differences = Vec::new();
    if !here.plain {
        differences.push("goes to a kernel and lacks #[repr(C)]".to_owned());
    }
    if there.align != here.align {
        let of = |align: &Option<String>| align.clone().unwrap_or("its fields".to_owned());
        let (there, here) = (of(&there.align), of(&here.align));
        differences.push(format!("is aligned to {there} in C++, to {here} in Rust"));
    }
    differences
}

/// In what the fields of C++ and of Rust differ first.
fn first_other(these: &[Field], those: &[Field]) -> Option<String> {
    if let Some((a, b)) = these.iter().zip(those).find(|(a, b)| !agree(a, b)) {
        let of = |(name, ty): &Field| format!("{name}: {ty}");
        return Some(format!("{} in C++ where Rust has {}", of(a), of(b)));
    }
    let (these, those) = (these.len(), those.len());
    (these != those).then(|| format!("{these} fields in C++ and {those} in Rust"))
}

/// The same name and type.
fn agree((name, there): &Field, (other, here): &Field) -> bool {
    name == other && alike(there, here)
}

/// The same, or an address of the device, which is a pointer in C++ and may be a u64 in Rust.
fn alike(there: &Type, here: &Type) -> bool {
    match (there, here) {
        (Type::Array(a, n), Type::Array(b, m)) => n == m && alike(a, b),
        (Type::Const(_) | Type::Mut(_), Type::Value(number)) => number == "u64",
        _ => there == here,
    }
}

/// The field with numbers in place of their names.
fn known((name, ty): &Field, side: &Definitions) -> Field {
    fn numbered(ty: &Type, side: &Definitions) -> Type {
        match ty {
            Type::Array(item, length) => {
                let length = side.numbers.get(length).unwrap_or(length).clone();
                Type::Array(Box::new(numbered(item, side)), length)
            }
            other => other.clone(),
        }
    }
    (name.clone(), numbered(ty, side))
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
        assert_eq!(unit.structs["Geometry"][0].fields.as_ref().unwrap().len(), 7);
        differences(vec!["Geometry"], &unit, &of_rust_file(&tokens(&rust)))
    }

    #[test]
    fn what_agrees_has_no_differences() {
        assert!(both(RUST).is_empty(), "{:?}", both(RUST));
        let address = RUST.replace("In<f32>", "u64");
        assert!(both(&address).is_empty(), "an address may be a number: {:?}", both(&address));
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
            ("In<f32>", "u32", "has table: *const f32 in C++ where Rust has table: u32"),
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
