//! Memory that nobody uses goes back to the system.
//!
//! glibc keeps free pages that lie below a living block: after 200 clients have left, 7 MB stayed resident. And a program's
//! code stays mapped once it has run: most of what a daemon shows as its own is code that ran once, at its start.
#![expect(unsafe_code, reason = "malloc_trim and madvise have no safe bindings; neither changes what memory holds")]

use std::ffi::c_void;
use std::ptr::from_ref;

use rustix::mm::{Advice, madvise};
use rustix::param::page_size;

unsafe extern "C" {
    // The linker's names for the first byte of the program and for the one after its code.
    static __executable_start: u8;
    static etext: u8;
}

/// Maps all code at once: page by page, as it is first run, takes a good part of the time of a start.
pub(crate) fn map_code() {
    // A kernel before 5.14 does not know it: then pages come as they are needed.
    advise_on_code(Advice::LinuxPopulateRead);
}

/// Gives back the heap's free pages, and the mapping of the code: what runs again is mapped again, from the page cache,
/// sixteen pages a time. Takes a millisecond or less.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: malloc_trim(3) may be called at any time and from any thread.
        unsafe { malloc_trim(0) };
    }
    advise_on_code(Advice::LinuxDontNeed);
}

fn advise_on_code(advice: Advice) {
    // SAFETY: only their addresses are taken.
    let (start, end) = unsafe { (from_ref(&__executable_start), from_ref(&etext)) };
    let length = (end.addr() - start.addr()).next_multiple_of(page_size());
    // Neither advice is needed by anything.
    // SAFETY: these are the program's headers and its code, which are mapped from its file and never written: relocations
    // lie behind them. So a page that is gone comes back as it was.
    let _ = unsafe { madvise(start.cast_mut().cast::<c_void>(), length, advice) };
}
