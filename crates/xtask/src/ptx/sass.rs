//! Instructions in a kernel's machine code, as `cuobjdump -sass` prints it.

use super::table::MATRIX;

/// Each kernel with how often it has each instruction of [`MATRIX`].
pub(super) fn counts(listing: &str) -> Vec<(&str, [u32; 5])> {
    let mut kernels: Vec<(&str, [u32; 5])> = Vec::new();
    for line in listing.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("Function : ") {
            kernels.push((name, [0; 5]));
        } else if let (Some(kind), Some((_, counts))) = (kind(line), kernels.last_mut()) {
            counts[kind] += 1;
        }
    }
    kernels
}

/// Which instruction of [`MATRIX`] stands in a line as `/*18d0*/ @P0 HMMA.16816.F32.BF16 …`.
fn kind(line: &str) -> Option<usize> {
    let (_, code) = line.strip_prefix("/*")?.split_once("*/")?;
    let name = code.split_whitespace().find(|word| !word.starts_with('@'))?;
    let name = name.split(['.', ';']).next()?;
    MATRIX.iter().position(|kind| *kind == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_count_for_the_kernel_that_they_stand_in() {
        let listing = "
	code for sm_80
		Function : tile
	.headerflags	@\"EF_CUDA_SM80\"
        /*18d0*/                   HMMA.16816.F32.BF16 R28, R40, R44.reuse, R28 ;    /* 0x0000002c281c723c */
                                                                                     /* 0x000fce0000011614 */
        /*18e0*/              @!P0 LDGSTS.E.BYPASS.128 [R3], [R4.64] ;               /* 0x0 */
        /*18f0*/                   LDSM.16.M88.4 R4, [R3] ;                          /* 0x0 */
        /*1900*/                   HMMA.1688.F32.TF32 R4, R4, R8, R12 ;              /* 0x0 */
        /*1910*/                   LDG.E R4, [R3] ;                                  /* HMMA */
		Function : hopper
        /*04f0*/                   UTMALDG.2D [UR28], [UR6] ;                        /* 0x0 */
        /*0780*/                   HGMMA.64x64x16.F32.BF16 R24, gdesc[UR12], R24 ;   /* 0x0 */
";
        assert_eq!(counts(listing), [("tile", [2, 0, 1, 1, 0]), ("hopper", [0, 1, 0, 0, 1])]);
    }
}
