//! Kernels are loaded when they are first used, and launched without a word.

use super::{Gpu, said, source};
use crate::{CudaError, Grid, Kernel, Module};
use cudarc::driver::{result, sys};
use std::ffi::{CString, c_void};
use std::sync::PoisonError;

/// A kernel that the driver has loaded.
#[derive(Clone, Copy)]
pub(super) struct Function {
    handle: sys::CUfunction,
    /// Bytes of dynamic shared memory that it was allowed so far.
    shared: u32,
}

// SAFETY: a handle of the driver, which may be used from any thread that has the context.
unsafe impl Send for Function {}

#[derive(Clone, Copy)]
pub(super) struct LoadedModule(sys::CUmodule);

// SAFETY: as for `Function`.
unsafe impl Send for LoadedModule {}

impl LoadedModule {
    /// Unloads it. What goes wrong is of no consequence.
    ///
    /// # Safety
    /// The context is the thread's; no kernel of the module is at work or will be, and it was not
    /// unloaded before.
    pub(super) unsafe fn unload(self) {
        // SAFETY: as the caller promises.
        let _ = unsafe { result::module::unload(self.0) };
    }
}

/// Shared memory, static and dynamic together, that every kernel may have unasked.
const FREE_SHARED: u32 = 48 << 10;

impl Gpu {
    /// Puts a kernel in the stream. After a fault nothing is launched any more: [`Gpu::check`]
    /// tells. `kernels!` calls this; nobody else has to.
    ///
    /// # Safety
    /// `arguments` are the addresses of values of the types that the kernel takes, in its order,
    /// and the kernel touches no memory but that of the views among them, with that grid.
    pub unsafe fn launch(&self, kernel: &'static Kernel, grid: Grid, arguments: &[*const c_void]) {
        if self.fault().is_some() {
            return;
        }
        self.bind();
        let function = match self.function(kernel, grid.shared) {
            Ok(function) => function,
            Err(error) => return self.keep(error),
        };
        let [x, y, z] = grid.blocks;
        // SAFETY: the caller vouches for the arguments; the driver copies them before it returns
        // and writes none of them.
        let launched = unsafe {
            sys::cuLaunchKernel(
                function.handle,
                x,
                y,
                z,
                grid.threads,
                1,
                1,
                grid.shared,
                self.stream(),
                arguments.as_ptr().cast_mut().cast(),
                std::ptr::null_mut(),
            )
            .result()
        };
        if let Err(error) = launched {
            self.keep(said(&format!("launching {}", kernel.name), error));
        }
    }

    /// The kernel, loaded, and allowed that much shared memory.
    fn function(&self, kernel: &'static Kernel, shared: u32) -> Result<Function, CudaError> {
        let key = std::ptr::from_ref(kernel) as usize;
        let mut loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let known = loaded.get(&key).copied();
        if let Some(function) = known.filter(|function| shared <= function.shared) {
            return Ok(function);
        }
        let mut function = known.map_or_else(|| self.load(kernel), Ok)?;
        if shared > function.shared {
            let attribute =
                sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: a function that the driver loaded.
            let set = unsafe {
                result::function::set_function_attribute(function.handle, attribute, shared as i32)
            };
            set.map_err(|e| said(&format!("giving {} shared memory", kernel.name), e))?;
            function.shared = shared;
        }
        loaded.insert(key, function);
        Ok(function)
    }

    fn load(&self, kernel: &Kernel) -> Result<Function, CudaError> {
        let module = self.module(kernel.module)?;
        let name = CString::new(kernel.name).expect("a name of Rust has no zero byte");
        // SAFETY: the module is loaded and stays so while the device is open.
        let found = unsafe { result::module::get_function(module.0, name) };
        let handle = found.map_err(|e| CudaError::Module {
            module: kernel.module.path.to_owned(),
            reason: format!("it has no kernel {}: {}", kernel.name, said("looking for it", e)),
        })?;
        let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES;
        // SAFETY: a function that the driver loaded.
        let fixed = unsafe { result::function::get_function_attribute(handle, attribute) };
        let fixed = fixed.map_err(|e| said(&format!("asking what {} is", kernel.name), e))?;
        Ok(Function { handle, shared: FREE_SHARED.saturating_sub(fixed as u32) })
    }

    fn module(&self, module: &'static Module) -> Result<LoadedModule, CudaError> {
        let key = std::ptr::from_ref(module) as usize;
        let mut modules = self.0.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = modules.get(&key) {
            return Ok(*known);
        }
        let failed = |reason| CudaError::Module { module: module.path.to_owned(), reason };
        let image = match self.0.from_source {
            true => source::compile(module, self.info()).map_err(failed)?,
            false => {
                let text = CString::new(module.ptx).map_err(|e| failed(e.to_string()))?;
                text.into_bytes_with_nul()
            }
        };
        // SAFETY: PTX that ends in a zero byte, or a whole cubin.
        let loaded = unsafe { result::module::load_data(image.as_ptr().cast()) };
        let handle = LoadedModule(
            loaded.map_err(|e| failed(said("compiling it for the device", e).to_string()))?,
        );
        modules.insert(key, handle);
        Ok(handle)
    }
}
