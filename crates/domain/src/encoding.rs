//! Text as a part of a key: percent-encoding (RFC 3986, section 2.1). What stays depends on the place, and an escape that
//! is none is an error, which the crate of that name does not do.

/// The text with a percent-escape for each byte that does not stay as it is; `stays` is asked with its place.
pub fn percent_encoded(text: &str, stays: impl Fn(usize, u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (place, byte) in text.bytes().enumerate() {
        if byte.is_ascii() && stays(place, byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Undoes [`percent_encoded`]; `None` for an escape without two digits, and for bytes that are no text.
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(out).ok()
}
