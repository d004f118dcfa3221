//! The files that commands make: none replaces another.

use anyhow::{Context, ensure};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Refuses a file that is there, before anything is done for it.
pub(crate) fn ensure_new(file: &Path) -> anyhow::Result<()> {
    // A link to nothing is there, too.
    ensure!(
        std::fs::symlink_metadata(file).is_err(),
        "{} is there already",
        file.display()
    );
    Ok(())
}

/// Makes a file that is not there.
pub(crate) fn write_new(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    let writing = || format!("writing {}", file.display());
    let mut made = std::fs::File::create_new(file).with_context(writing)?;
    made.write_all(content).with_context(writing)
}

/// The folder that a file lies in, by the name that no other folder has.
pub(crate) fn folder_of(file: &Path) -> anyhow::Result<PathBuf> {
    let parent = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    parent
        .canonicalize()
        .with_context(|| format!("looking for {}", parent.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_name_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().canonicalize().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for written in ["a", "./a", "sub/../a"] {
            assert_eq!(folder_of(&folder.path().join(written)).unwrap(), own, "{written}");
        }
        assert_ne!(folder_of(&folder.path().join("sub/a")).unwrap(), own);
        assert_eq!(
            folder_of(Path::new("a")).unwrap(),
            folder_of(Path::new("./a")).unwrap()
        );
        assert!(folder_of(Path::new("no-such-folder/a")).is_err());
    }

    #[test]
    fn what_is_there_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        ensure_new(&file).unwrap();
        write_new(&file, b"first").unwrap();
        assert!(ensure_new(&file).is_err() && write_new(&file, b"second").is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"first");
    }
}
