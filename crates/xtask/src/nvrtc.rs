//! The kernels compiled from their sources by NVRTC, as `GRADUS_KERNELS=source` has them compiled.
//!
//! It needs no GPU and no driver. What nvcc accepts NVRTC may not: it has no standard headers.

use crate::python::environment;
use anyhow::Result;

/// 45 MB.
const WHEEL: &str = "nvidia-cuda-nvrtc==13.0.88";

/// Runs the test of the gpu crate, where NVRTC can be had.
pub(crate) fn check() -> Result<()> {
    let folder = std::path::absolute(crate::target().join("cuda-nvrtc"))?;
    match environment(&folder, WHEEL, &[&["--no-deps", WHEEL]]) {
        Ok(_) => crate::cargo(
            &["test", "--package=gradus-gpu", "--lib", "--", "every_kernel_compiles"],
            &[("VIRTUAL_ENV", &folder.display().to_string()), ("GRADUS_REQUIRE_NVRTC", "1")],
        ),
        Err(error) => {
            crate::say(&format!(
                "nvrtc: NOT CHECKED: that NVRTC compiles the sources of the kernels, as \
                 GRADUS_KERNELS=source has it do; it cannot be had: {error:#}"
            ));
            Ok(())
        }
    }
}
