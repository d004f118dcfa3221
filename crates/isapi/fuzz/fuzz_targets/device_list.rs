//! Any sequence of pages, one to a line: what is accepted as a list is as long as its first page says.
#![no_main]

use isapi::parse::{self, DeviceListing};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;

fuzz_target!(|bytes: &[u8]| {
    let mut listing = DeviceListing::new(2);
    let mut total = None;
    for line in bytes.split(|&byte| byte == b'\n') {
        let page = parse::json(line).and_then(|answer| parse::device_page(&answer));
        let Ok(page) = page else { return };
        let total = *total.get_or_insert(page.total);
        match listing.add(page) {
            Ok(false) => {}
            Ok(true) => {
                let devices = listing.into_devices();
                let names: BTreeSet<_> = devices.iter().map(|device| &device.index).collect();
                assert_eq!((devices.len() as u64, names.len()), (total, devices.len()));
                return;
            }
            Err(_) => return,
        }
    }
});
