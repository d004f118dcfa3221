//! Any bytes in pieces of any size: the same parts come out as of all of them at once.
#![no_main]

use isapi::events::{Part, SplitError};
use isapi::parse::Splitter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (piece, bytes) = input;
    assert_eq!(
        split(&bytes, usize::from(piece) + 1),
        split(&bytes, bytes.len().max(1))
    );
});

fn split(bytes: &[u8], piece: usize) -> (Vec<Part>, Option<SplitError>) {
    // Larger than any input: which piece trips a limit depends on the pieces, what the parts are does not.
    let mut splitter = Splitter::new("b", 1 << 24);
    let mut parts = Vec::new();
    for piece in bytes.chunks(piece) {
        splitter.push(piece);
        loop {
            match splitter.next_part() {
                Ok(Some(Part::End)) => return (parts, None),
                Ok(Some(part)) => parts.push(part),
                Ok(None) => break,
                Err(error) => return (parts, Some(error)),
            }
        }
    }
    (parts, None)
}
