//! Any sequence of search pages, one to a line: recordings never end before they start, URLs never hold credentials.
#![no_main]

use isapi::parse::{self, RecordingListing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut listing = RecordingListing::default();
    for line in bytes.split(|&byte| byte == b'\n') {
        let page = parse::json(line).and_then(|answer| parse::recording_page(&answer));
        let Ok(page) = page else { return };
        match listing.add(page) {
            Ok(false) => {}
            Ok(true) => break,
            Err(_) => return,
        }
    }
    for recording in listing.into_recordings() {
        assert!(recording.start <= recording.end);
        let (scheme, rest) = recording
            .playback_url
            .split_once("://")
            .expect("a URL has a scheme");
        assert!(matches!(scheme, "rtsp" | "rtsps"));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        assert!(!authority.contains('@'));
    }
});
