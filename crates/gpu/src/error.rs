//! What can go wrong between here and the device.

/// Why a CUDA device was not opened, or what it had to say.
///
/// Errors compare equal if they say the same.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CudaError {
    /// This build cannot drive a GPU at all.
    #[error(
        "CUDA device {ordinal} was not opened: gradus was built without the feature \"cuda\", or \
         for a machine that has no CUDA"
    )]
    NotBuilt {
        /// The device that was asked for.
        ordinal: usize,
    },
    /// There is no driver.
    #[error(
        "the NVIDIA driver was not found: no {library} on the loader's path (install the driver, \
         or set LD_LIBRARY_PATH to the folder that holds the library)"
    )]
    NoDriver {
        /// The file that was looked for.
        library: &'static str,
    },
    /// There is a driver, and it is too old.
    #[error(
        "the NVIDIA driver is for CUDA {found}, and gradus needs one for CUDA {needed} or newer: \
         update the driver"
    )]
    OldDriver {
        /// The version of CUDA that the driver is for.
        found: String,
        /// The oldest that will do.
        needed: &'static str,
    },
    /// There is a driver, and it is not whole.
    #[error(
        "the NVIDIA driver, for CUDA {found}, has no function {function}, which gradus calls: \
         install the driver anew or a newer one, and see that no other libcuda comes before it on \
         the loader's path"
    )]
    NoFunction {
        /// What it lacks.
        function: &'static str,
        /// The version of CUDA that the driver says it is for.
        found: String,
    },
    /// There is a driver, and no such device.
    #[error("there is no CUDA device {ordinal}: the driver sees {found} of them, counted from 0")]
    NoDevice {
        /// The device that was asked for.
        ordinal: usize,
        /// How many there are.
        found: usize,
    },
    /// The device cannot run the kernels.
    #[error(
        "{name} has compute capability {found}, and the kernels of gradus need {needed} or newer"
    )]
    OldDevice {
        /// The device.
        name: String,
        /// Its compute capability.
        found: String,
        /// The lowest that will do.
        needed: &'static str,
    },
    /// The device cannot give memory in the order of the work.
    #[error(
        "{name} has no memory pools, which gradus takes its memory from (its \
         CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED is 0): choose another device, or, if it is a \
         virtual GPU, one with unified memory switched on"
    )]
    NoMemoryPools {
        /// The device.
        name: String,
    },
    /// The device cannot run this kernel.
    #[error("{kernel} needs compute capability {needed} or newer, and {name} has {found}")]
    OldDeviceFor {
        /// What needs it.
        kernel: String,
        /// The device.
        name: String,
        /// Its compute capability.
        found: String,
        /// The lowest that will do.
        needed: &'static str,
    },
    /// The kernel is for devices of one generation, and the device is of another.
    #[error("{kernel} is for compute capability {needed} alone, and {name} has {found}")]
    OtherDeviceFor {
        /// What needs it.
        kernel: String,
        /// The device.
        name: String,
        /// Its compute capability.
        found: String,
        /// The only one that will do.
        needed: &'static str,
    },
    /// A variable of the environment says something that has no meaning.
    #[error("{variable} is {found:?}: leave it unset, or say {allowed}")]
    Variable {
        /// The variable.
        variable: &'static str,
        /// What it says.
        found: String,
        /// What it may say.
        allowed: &'static str,
    },
    /// The device's memory is used up.
    #[error(
        "{bytes} bytes do not fit into the memory of the GPU, where {free} of {total} bytes are \
         free: use smaller batches or images, or a smaller network"
    )]
    OutOfMemory {
        /// What was asked for.
        bytes: usize,
        /// What was left.
        free: usize,
        /// What there is.
        total: usize,
    },
    /// A kernel did not compile, or is not in its module.
    #[error("kernel module {module} was not loaded: {reason}")]
    Module {
        /// The path of the kernel's source in its crate.
        module: String,
        /// What the driver or the compiler said.
        reason: String,
    },
    /// The driver refused or reported something. After an illegal access of memory the process has
    /// to be started anew.
    #[error("while {doing} the driver reported {name} ({code}): {text}")]
    Driver {
        /// What was being done.
        doing: String,
        /// The driver's number of the error.
        code: i32,
        /// The driver's name of the error.
        name: String,
        /// The driver's sentence about it.
        text: String,
    },
}
