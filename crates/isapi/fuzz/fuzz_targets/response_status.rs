//! Any answer: a status found in it can be shown, and its words stay short.
#![no_main]

use isapi::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(answer) = parse::json(bytes) else { return };
    if let Some(status) = parse::response_status(&answer) {
        assert!(status.error_msg.chars().count() <= 200);
        assert!(!status.to_string().contains('\n'));
    }
    let _ = (parse::channels(&answer), parse::stream_url(&answer));
});
