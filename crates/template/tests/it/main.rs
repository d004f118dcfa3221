//! The template and the code say the same.

mod alarms;
mod alerts;
mod environment;
mod limits;
mod network;
mod parameters;
mod permissions;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use template::Template;

/// The workspace's template.
fn template() -> Template {
    Template::of_this_workspace().expect("template.yaml is a template")
}

/// A file or folder of the workspace.
fn in_workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The text of a file of the workspace, or of all Rust files in a folder.
fn source(path: &str) -> String {
    let path = in_workspace(path);
    if path.is_file() {
        return std::fs::read_to_string(&path).expect("a file of the workspace can be read");
    }
    let entries =
        std::fs::read_dir(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()));
    let mut text = String::new();
    for entry in entries {
        let entry = entry.expect("a folder of the workspace can be listed").path();
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "rs") {
            text += &source(&entry.to_string_lossy());
        }
    }
    text
}

/// What stands between `before` and the next `after`, everywhere in `text`.
fn between<'a>(text: &'a str, before: &str, after: &str) -> BTreeSet<&'a str> {
    let pieces = text.split(before).skip(1);
    pieces
        .filter_map(|piece| Some(piece.split_once(after)?.0))
        .collect()
}
