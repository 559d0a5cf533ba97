//! Loading libtorch's CUDA half at run time.
//!
//! The binary is linked against the CPU libraries only, so one binary serves both images. libtorch registers its CUDA
//! backend in the static initialisers of `libtorch_cuda.so`; that library has to be in the process, with global symbols,
//! before the first question about CUDA.
#![allow(
    unsafe_code,
    reason = "loading a library runs its initialisers, which no compiler can check"
)]

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// Puts the CUDA backend into this process; the error says which library is missing.
pub(crate) fn load() -> Result<(), String> {
    // SAFETY: the initialisers of libtorch_cuda.so are made to run in a process with libtorch_cpu.so of the same
    // version, which this one is linked against; they call nothing of ours. The library is never unloaded.
    let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) }
        .map_err(|error| error.to_string())?;
    std::mem::forget(library);
    Ok(())
}
