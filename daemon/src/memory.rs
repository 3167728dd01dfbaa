//! Memory that nobody uses goes back to the system.
//!
//! glibc keeps free pages that lie below a living block: after 200 clients have left, 7 MB stayed resident.
#![expect(unsafe_code, reason = "malloc_trim has no safe binding; it takes no pointer and touches free pages only")]

/// Gives the heap's free pages back. Takes a millisecond or less; does nothing where the allocator is not glibc's.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: malloc_trim(3) may be called at any time and from any thread.
        unsafe { malloc_trim(0) };
    }
}
