//! Gives freed memory back to the system. This is the program's business: an emulator in somebody
//! else's process leaves the allocator alone.
//!
//! glibc has a heap for nearly every thread, and keeps the free end of each for the next time. How
//! much it keeps grows with the largest block that was ever freed, to several MiB a heap after a few
//! large manifests, and nothing of that is ever given back. So the limit is fixed at the start, and
//! free pages between used ones go when the emulator is at rest; so do connections to the database
//! that nobody uses.

use std::convert::Infallible;
use std::time::Duration;

use swr_emulator::Emulator;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How long no request may have been answered for the emulator to be at rest.
const REST: Duration = Duration::from_secs(2);
/// After how long memory is given back without rest, as where somebody asks for the health each
/// second.
const LONGEST_WITHOUT_REST: Duration = Duration::from_mins(1);

/// Gives memory back each time that requests were answered and no more come.
pub(crate) async fn give_back_at_rest(emulator: &Emulator) -> Infallible {
    let mut ticks = interval(REST);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, mut given_back_at, mut given_back) = (0, 0, Instant::now());
    loop {
        ticks.tick().await;
        let answered = emulator.answered();
        let is_at_rest = answered == seen || given_back.elapsed() > LONGEST_WITHOUT_REST;
        seen = answered;
        if is_at_rest && answered != given_back_at {
            emulator.rest().await;
            // It takes a while; it cannot fail.
            let _ = tokio::task::spawn_blocking(glibc::give_back).await;
            (given_back_at, given_back) = (answered, Instant::now());
        }
    }
}

/// Limits how much is kept in each heap. Called before there are threads.
pub(crate) fn limit_kept() {
    glibc::limit_kept();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(
    unsafe_code,
    reason = "there is no other way to say this to glibc, and no maintained crate that says it"
)]
mod glibc {
    /// Larger blocks than this come from the system and go back to it at once, and no heap keeps a
    /// larger free end. A lot of an upload is half of it.
    const MOST_KEPT: libc::c_int = 512 * 1024;

    pub(super) fn limit_kept() {
        // SAFETY: Both take numbers only. A setting that is refused changes nothing.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MOST_KEPT);
            libc::mallopt(libc::M_TRIM_THRESHOLD, MOST_KEPT);
        }
    }

    pub(super) fn give_back() {
        // SAFETY: It takes a number only, may be called at any time from any thread, and leaves
        // alone whatever is in use.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// Other allocators give back by themselves, or not at all.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod glibc {
    pub(super) fn limit_kept() {}

    pub(super) fn give_back() {}
}
