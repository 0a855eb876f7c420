//! The source of everything that is random.

use fourfold::rand_core::UnwrapErr;
use getrandom::SysRng;

/// The random numbers of the operating system. When there are none, the process ends.
pub(crate) fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}
