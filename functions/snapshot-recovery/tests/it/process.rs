//! Single rounds, seen from outside.

mod office;
mod rig;
