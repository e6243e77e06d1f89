//! The machine code of functions by name, and what their instructions work on.

use anyhow::{Context as _, Result};
use iced_x86::{Decoder, DecoderOptions, Instruction, Register};
use object::read::archive::ArchiveFile;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Instructions on whole registers of floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Packed {
    /// Multiply and add in one.
    pub(super) fma: usize,
    /// Any arithmetic, those included; moves are none.
    pub(super) any: usize,
}

/// A function's instructions by the width of their registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) ymm: Packed,
    pub(super) zmm: Packed,
}

/// Functions by path, `gradus_layers::conv2d::cpu::…::avx512`.
#[derive(Debug, Default)]
pub(super) struct Code(BTreeMap<String, Counts>);

impl Code {
    /// Adds the functions of this project that a library or program holds.
    pub(super) fn read(&mut self, path: &Path) -> Result<()> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let Ok(archive) = ArchiveFile::parse(&*bytes) else {
            return self.object(&bytes).with_context(|| path.display().to_string());
        };
        for member in archive.members() {
            let member = member?;
            if member.name().ends_with(b".o") {
                // A copy, which is aligned as the format wants it.
                let aligned = member.data(&*bytes)?.to_vec();
                self.object(&aligned).with_context(|| path.display().to_string())?;
            }
        }
        Ok(())
    }

    fn object(&mut self, bytes: &[u8]) -> Result<()> {
        let file = object::File::parse(bytes)?;
        for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
            let name = format!("{:#}", rustc_demangle::demangle(symbol.name()?));
            let Some(section) = symbol.section_index().filter(|_| name.starts_with("gradus"))
            else {
                continue;
            };
            let section = file.section_by_index(section)?;
            let start = (symbol.address() - section.address()) as usize;
            let code = section.data()?.get(start..start + symbol.size() as usize);
            let code = code.with_context(|| format!("{name} ends behind its section"))?;
            // A generic function has an instance for each type: the one with the most counts.
            let counts = count(code);
            let known = self.0.entry(name).or_default();
            if counts.zmm.any + counts.ymm.any > known.zmm.any + known.ymm.any {
                *known = counts;
            }
        }
        Ok(())
    }

    /// What was counted in the function whose path ends so.
    pub(super) fn counts(&self, path: &str) -> Option<Counts> {
        let found = self.0.iter().find(|(name, _)| {
            name.strip_suffix(path)
                .is_some_and(|before| before.is_empty() || before.ends_with("::"))
        });
        found.map(|(_, counts)| *counts)
    }
}

/// Disassembles a function.
fn count(code: &[u8]) -> Counts {
    let mut counts = Counts::default();
    for instruction in &mut Decoder::new(64, code, DecoderOptions::NONE) {
        let mnemonic = format!("{:?}", instruction.mnemonic());
        if !arithmetic(&mnemonic) {
            continue;
        }
        let packed = match registers(&instruction) {
            [_, true] => &mut counts.zmm,
            [true, _] => &mut counts.ymm,
            _ => continue,
        };
        packed.any += 1;
        packed.fma += usize::from(["Vfm", "Vfnm"].iter().any(|start| mnemonic.starts_with(start)));
    }
    counts
}

/// Whether it touches a ymm and whether a zmm register.
fn registers(instruction: &Instruction) -> [bool; 2] {
    let operands = 0..instruction.op_count();
    operands.fold([false; 2], |[ymm, zmm], i| {
        let register = instruction.op_register(i);
        let ymm = ymm | (Register::YMM0..=Register::YMM31).contains(&register);
        [ymm, zmm | (Register::ZMM0..=Register::ZMM31).contains(&register)]
    })
}

/// Whether a mnemonic computes with all floats of a register, or multiplies all its whole numbers, as
/// random numbers are made.
fn arithmetic(mnemonic: &str) -> bool {
    const MOVES: [&str; 9] = [
        "Vmov",
        "Vbroadcast",
        "Vperm",
        "Vshuf",
        "Vunpck",
        "Vinsert",
        "Vextract",
        "Vgather",
        "Vblend",
    ];
    let floats = mnemonic.ends_with("ps") || mnemonic.ends_with("pd");
    let computes =
        mnemonic.starts_with('V') && !MOVES.iter().any(|start| mnemonic.starts_with(start));
    floats && computes || mnemonic == "Vpmuludq"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_on_whole_registers_are_counted() {
        let code = [
            &[0x62, 0xF2, 0x75, 0x48, 0xB8, 0xC2][..], // vfmadd231ps zmm0, zmm1, zmm2
            &[0xC4, 0xE2, 0x75, 0xB8, 0xC2],           // vfmadd231ps ymm0, ymm1, ymm2
            &[0xC4, 0xE2, 0x71, 0xB9, 0xC2],           // vfmadd231ss xmm0, xmm1, xmm2: one float
            &[0xC5, 0xF4, 0x58, 0xC2],                 // vaddps ymm0, ymm1, ymm2
            &[0xC5, 0xFC, 0x28, 0xC1],                 // vmovaps ymm0, ymm1: no arithmetic
            &[0xC3],                                   // ret
        ];
        let found = count(&code.concat());
        let expected = [Packed { fma: 1, any: 2 }, Packed { fma: 1, any: 1 }];
        assert_eq!([found.ymm, found.zmm], expected);
    }

    #[test]
    fn a_function_is_found_by_the_end_of_its_path() {
        let code = Code([("gradus_layers::a::avx2".to_owned(), Counts::default())].into());
        assert!(code.counts("a::avx2").is_some());
        assert!(code.counts("b::avx2").is_none() && code.counts("x2").is_none());
    }
}
