//! r
fn main() {}
