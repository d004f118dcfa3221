//! Splits a multipart stream into its JSON parts while bytes arrive.
//!
//! The end of a part is where its JSON ends, not where the next boundary begins: the gateway writes that one
//! only with the next event, up to a heartbeat later. `Content-Length`, which builds get wrong, is not looked
//! at. Parts that are no JSON (pictures) are passed over.
//!
//! ```text
//!  Boundary ──"--boundary"──▶ Headers ──empty line──▶ Start ──'{'──▶ Json ──its end──▶ Boundary
//!                                                       └──other──▶ Boundary
//! ```

use crate::parse::{self, Malformed};
use serde_json::Value;

/// Longest line of a part's headers, in bytes.
const HEADER_MAX_BYTES: usize = 8 * 1024;

/// Header lines a part may have.
const HEADERS_MAX: usize = 32;

/// What is found in the stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A whole JSON part.
    Json(Value),
    /// The closing boundary: nothing follows.
    End,
}

/// Why the stream cannot be split further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// A part, or what lies between two parts, is too long.
    #[error("a part exceeds {0} bytes")]
    TooLong(usize),
    /// A part's headers are too long or too many.
    #[error("a part's headers are endless")]
    Headers,
    /// A part begins like JSON and is none.
    #[error("a part is no JSON")]
    Json(#[source] Malformed),
}

/// Takes bytes in pieces of any size and gives parts. Holds at most one part and one piece.
#[derive(Debug)]
pub struct Splitter {
    /// `--boundary`, of a boundary that may begin with dashes itself, after two of them: some devices count
    /// the two dashes into the boundary they announce, others do not.
    delimiter: Vec<u8>,
    part_max_bytes: usize,
    buffer: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Looking for the next delimiter, so many bytes after the last part.
    Boundary { passed: usize },
    /// Among a part's headers, so many of which were read.
    Headers { read: usize },
    /// After the headers, before the first byte that is no space.
    Start,
    /// Within JSON that begins the buffer.
    Json(Nesting),
    /// An error was given; nothing that follows has a meaning.
    Broken(SplitError),
}

impl Splitter {
    /// A splitter for this boundary, whose parts have at most so many bytes.
    pub fn new(boundary: &str, part_max_bytes: usize) -> Self {
        let delimiter = format!("--{}", boundary.trim_start_matches('-')).into_bytes();
        Self {
            delimiter,
            part_max_bytes,
            buffer: Vec::new(),
            state: State::Boundary { passed: 0 },
        }
    }

    /// Takes bytes as they arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next part, or `None` until more bytes have arrived.
    ///
    /// # Errors
    /// [`SplitError`], again and again: the stream cannot be read any further.
    pub fn next_part(&mut self) -> Result<Option<Part>, SplitError> {
        let found = self.advance();
        if let Err(error) = &found {
            self.state = State::Broken(error.clone());
            self.buffer = Vec::new();
        }
        found
    }

    fn advance(&mut self) -> Result<Option<Part>, SplitError> {
        // Every turn either consumes bytes, moves to a state that does, or returns.
        loop {
            let next = match &mut self.state {
                State::Boundary { passed } => {
                    let passed = *passed;
                    match self.boundary(passed)? {
                        Step::Next(state) => state,
                        Step::End => return Ok(Some(Part::End)),
                        Step::Wait => return Ok(None),
                    }
                }
                State::Headers { read } => {
                    let read = *read;
                    match self.header(read)? {
                        Some(state) => state,
                        None => return Ok(None),
                    }
                }
                State::Start => match self.start() {
                    Some(state) => state,
                    None => return Ok(None),
                },
                State::Json(nesting) => match nesting.end(&self.buffer) {
                    Some(end) => return self.json(end).map(Some),
                    None if self.buffer.len() > self.part_max_bytes => {
                        return Err(SplitError::TooLong(self.part_max_bytes));
                    }
                    None => return Ok(None),
                },
                State::Broken(error) => return Err(error.clone()),
            };
            self.state = next;
        }
    }

    fn boundary(&mut self, passed: usize) -> Result<Step, SplitError> {
        let Some(at) = find(&self.buffer, &self.delimiter) else {
            // The delimiter may have begun at the very end of what is there.
            let keep = self.buffer.len().min(self.delimiter.len() - 1);
            let skip = self.buffer.len() - keep;
            self.buffer.drain(..skip);
            let passed = passed + skip;
            if passed > self.part_max_bytes {
                return Err(SplitError::TooLong(self.part_max_bytes));
            }
            self.state = State::Boundary { passed };
            return Ok(Step::Wait);
        };
        let after = at + self.delimiter.len();
        match self.buffer.get(after..after + 2) {
            None => {
                self.buffer.drain(..at);
                self.state = State::Boundary { passed };
                Ok(Step::Wait)
            }
            Some(b"--") => {
                self.buffer.drain(..at);
                Ok(Step::End)
            }
            Some(_) => {
                self.buffer.drain(..after);
                Ok(Step::Next(State::Headers { read: 0 }))
            }
        }
    }

    /// Reads one header line; the first is the rest of the delimiter's line.
    fn header(&mut self, read: usize) -> Result<Option<State>, SplitError> {
        let line = self
            .buffer
            .iter()
            .take(HEADER_MAX_BYTES)
            .position(|&byte| byte == b'\n');
        let Some(end) = line else {
            return if self.buffer.len() < HEADER_MAX_BYTES {
                Ok(None)
            } else {
                Err(SplitError::Headers)
            };
        };
        let empty = self.buffer[..end].iter().all(u8::is_ascii_whitespace);
        self.buffer.drain(..=end);
        match read {
            HEADERS_MAX.. => Err(SplitError::Headers),
            1.. if empty => Ok(Some(State::Start)),
            _ => Ok(Some(State::Headers { read: read + 1 })),
        }
    }

    fn start(&mut self) -> Option<State> {
        let spaces = self
            .buffer
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        self.buffer.drain(..spaces);
        match self.buffer.first()? {
            b'{' => Some(State::Json(Nesting::default())),
            _ => Some(State::Boundary { passed: 0 }),
        }
    }

    fn json(&mut self, end: usize) -> Result<Part, SplitError> {
        if end > self.part_max_bytes {
            return Err(SplitError::TooLong(self.part_max_bytes));
        }
        let value = parse::json(&self.buffer[..end]).map_err(SplitError::Json)?;
        self.buffer.drain(..end);
        self.state = State::Boundary { passed: 0 };
        Ok(Part::Json(value))
    }
}

enum Step {
    Next(State),
    End,
    Wait,
}

/// Follows braces, outside of texts, to where an object ends. Looks at every byte once however they arrive.
#[derive(Debug, Default)]
struct Nesting {
    seen: usize,
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Nesting {
    /// The length of the object the buffer begins with, once it is all there.
    fn end(&mut self, buffer: &[u8]) -> Option<usize> {
        for &byte in &buffer[self.seen..] {
            self.seen += 1;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' => self.depth += 1,
                b'}' => self.depth -= 1,
                _ => {}
            }
            if self.depth == 0 {
                return Some(self.seen);
            }
        }
        None
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    const MAX: usize = 1000;

    fn splitter() -> Splitter {
        Splitter::new("MIME_boundary", MAX)
    }

    /// What a splitter gives for bytes in pieces of this size.
    fn split(bytes: &[u8], piece: usize) -> Result<Vec<Part>, SplitError> {
        let mut splitter = splitter();
        let mut parts = Vec::new();
        for piece in bytes.chunks(piece.max(1)) {
            splitter.push(piece);
            while let Some(part) = splitter.next_part()? {
                let end = part == Part::End;
                parts.push(part);
                if end {
                    return Ok(parts);
                }
            }
        }
        Ok(parts)
    }

    fn part(headers: &str, body: &str) -> String {
        format!("--MIME_boundary\r\n{headers}\r\n{body}\r\n")
    }

    #[test]
    fn an_event_is_given_as_soon_as_its_json_is_complete() {
        let mut splitter = splitter();
        splitter
            .push(b"--MIME_boundary\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{\"a\":1");
        assert_eq!(splitter.next_part(), Ok(None));
        splitter.push(b"}");
        assert_eq!(splitter.next_part(), Ok(Some(Part::Json(json!({"a": 1})))));
        assert_eq!(splitter.next_part(), Ok(None));
    }

    #[test]
    fn braces_and_boundaries_within_texts_do_not_end_a_part() {
        let value = json!({"a": "}{\\\" --MIME_boundary", "b": [{"c": "\\"}]});
        let stream = part("Content-Type: application/json\r\n", &value.to_string());
        assert_eq!(split(stream.as_bytes(), 7), Ok(vec![Part::Json(value)]));
    }

    #[test]
    fn a_picture_between_events_is_passed_over() {
        let stream = part("", "{}")
            + &part("Content-Type: image/jpeg\r\n", "\u{fffd}JFIF{\"}")
            + &part("", r#"{"b":2}"#);
        assert_eq!(
            split(stream.as_bytes(), 3),
            Ok(vec![Part::Json(json!({})), Part::Json(json!({"b": 2}))])
        );
    }

    #[test]
    fn bare_line_feeds_and_missing_headers_are_borne() {
        assert_eq!(
            split(b"\n--MIME_boundary\n\n{}\n--MIME_boundary--", 1),
            Ok(vec![Part::Json(json!({})), Part::End])
        );
    }

    #[test]
    fn a_boundary_announced_with_its_dashes_is_found_with_and_without_them() {
        for stream in ["--b\r\n\r\n{}", "----b\r\n\r\n{}"] {
            let mut splitter = Splitter::new("--b", MAX);
            splitter.push(stream.as_bytes());
            assert_eq!(
                splitter.next_part(),
                Ok(Some(Part::Json(json!({})))),
                "{stream:?}"
            );
        }
    }

    #[test]
    fn nothing_grows_without_bound() {
        let endless: [(&str, SplitError); 4] = [
            ("", SplitError::TooLong(MAX)),
            ("--MIME_boundary\r\n\r\n{\"a\":\"", SplitError::TooLong(MAX)),
            ("--MIME_boundary\r\nX: ", SplitError::Headers),
            ("--MIME_boundary\r\n\r\nJFIF", SplitError::TooLong(MAX)),
        ];
        for (beginning, error) in endless {
            let stream = beginning.to_owned() + &"x".repeat(20_000);
            assert_eq!(split(stream.as_bytes(), 100), Err(error), "{beginning:?}");
        }
        let headers = "--MIME_boundary\r\n".to_owned() + &"A: b\r\n".repeat(1000);
        assert_eq!(split(headers.as_bytes(), 100), Err(SplitError::Headers));
    }

    #[test]
    fn an_error_stays() {
        let mut splitter = splitter();
        splitter.push(b"--MIME_boundary\r\n\r\n{nonsense}");
        assert!(matches!(splitter.next_part(), Err(SplitError::Json(_))));
        splitter.push(b"\r\n--MIME_boundary\r\n\r\n{}");
        assert!(matches!(splitter.next_part(), Err(SplitError::Json(_))));
    }

    proptest! {
        #[test]
        fn never_panics_and_never_hoards(pieces in vec(vec(any::<u8>(), 0..300), 0..30)) {
            let mut splitter = splitter();
            for piece in pieces {
                splitter.push(&piece);
                while let Ok(Some(Part::Json(_))) = splitter.next_part() {}
                prop_assert!(splitter.buffer.len() <= HEADER_MAX_BYTES + 300);
            }
        }

        #[test]
        fn the_same_parts_come_out_however_the_bytes_arrive(
            texts in vec(".{0,40}", 0..8), piece in 1usize..50,
        ) {
            let values: Vec<Value> = texts.into_iter().map(|text| json!({"text": text, "n": {"m": []}})).collect();
            let stream: String = values.iter().map(|value| part("Content-Type: application/json\r\n", &value.to_string())).collect();
            let parts: Vec<Part> = values.into_iter().map(Part::Json).collect();
            prop_assert_eq!(split(stream.as_bytes(), piece), Ok(parts));
        }
    }
}
