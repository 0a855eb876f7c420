//! What every store must decide the same way.

pub mod admission;
