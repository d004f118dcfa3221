//! Where streams get their loops: encoded at most once per process, and kept in a folder for the next one.

use super::{AudioCodec, AudioLoop, Loop, LoopSpec, encode};
use anyhow::{Context, ensure};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

/// Loops made once, by what was asked for. Equal questions asked at the same time wait for one answer.
type Shelf<K, V> = Mutex<HashMap<K, Arc<OnceCell<Arc<V>>>>>;

/// The shelves are the process's, not a library's: several simulators in one process share their loops.
static VIDEO: LazyLock<Shelf<LoopSpec, Loop>> = LazyLock::new(Shelf::default);
static AUDIO: LazyLock<Shelf<AudioCodec, AudioLoop>> = LazyLock::new(Shelf::default);

/// The loops of this process and, when there is a cache folder, of the ones before it.
#[derive(Debug, Clone, Default)]
pub struct Library {
    cache: Option<PathBuf>,
}

impl Library {
    /// A library that keeps encoded loops in `cache`, a folder made when it is missing. Without one, every
    /// process encodes anew.
    pub fn new(cache: Option<PathBuf>) -> Self {
        Self { cache }
    }

    /// The loop for `spec`, encoded now if nobody has asked for it before.
    ///
    /// # Errors
    /// When the spec is out of bounds, or ffmpeg is missing (the message says how to install it) or fails.
    pub async fn video(&self, spec: &LoopSpec) -> anyhow::Result<Arc<Loop>> {
        let (spec, cache) = (spec.clone(), self.cache.clone());
        let key = spec.clone();
        take(&VIDEO, key, move || match cache {
            Some(folder) => cached(&folder, spec),
            None => Loop::from_annexb(spec.clone(), &encode::video(&spec)?),
        })
        .await
    }

    /// The tone for `codec`.
    ///
    /// # Errors
    /// When ffmpeg, needed for AAC, is missing or fails.
    pub async fn audio(&self, codec: AudioCodec) -> anyhow::Result<Arc<AudioLoop>> {
        take(&AUDIO, codec, move || AudioLoop::make(codec)).await
    }
}

async fn take<K: Eq + Hash, V: Send + Sync + 'static>(
    shelf: &Shelf<K, V>,
    key: K,
    make: impl FnOnce() -> anyhow::Result<V> + Send + 'static,
) -> anyhow::Result<Arc<V>> {
    let place = {
        let mut shelf = shelf.lock().expect("nothing panics while holding the shelf");
        shelf.entry(key).or_default().clone()
    };
    let made = place
        .get_or_try_init(|| async { spawn_blocking(make).await?.map(Arc::new) })
        .await?;
    Ok(made.clone())
}

/// Reads a loop from the folder; makes it, and keeps it there, when it is missing or damaged.
fn cached(folder: &Path, spec: LoopSpec) -> anyhow::Result<Loop> {
    let file = folder.join(file_name(&spec)?);
    match fs::read(&file) {
        Ok(bytes) => match open(bytes).and_then(|stream| Loop::from_annexb(spec.clone(), &stream)) {
            Ok(found) => return Ok(found),
            Err(error) => tracing::warn!(file = %file.display(), %error, "a cached loop is damaged"),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(file = %file.display(), %error, "a cached loop is unreadable"),
    }
    let stream = encode::video(&spec)?;
    let made = Loop::from_annexb(spec, &stream)?;
    if let Err(error) = keep(&file, &stream) {
        tracing::warn!(file = %file.display(), %error, "a loop could not be cached");
    }
    Ok(made)
}

/// The SHA-256 of the generator's version and the spec, so that another spec is never taken for this one.
fn file_name(spec: &LoopSpec) -> anyhow::Result<String> {
    let spec = serde_json::to_string(spec).context("writing a spec as JSON")?;
    let hash = Sha256::digest(format!("{} {spec}", encode::GENERATOR));
    Ok(format!("{}.loop", hex::encode(hash)))
}

/// Bytes of SHA-256 in front of the stream.
const DIGEST: usize = 32;

fn open(bytes: Vec<u8>) -> anyhow::Result<Bytes> {
    ensure!(bytes.len() > DIGEST, "it is cut off");
    let mut digest = Bytes::from(bytes);
    let stream = digest.split_off(DIGEST);
    ensure!(Sha256::digest(&stream)[..] == digest[..], "its hash is wrong");
    Ok(stream)
}

/// Writes beside the file and renames, so that a reader never sees half a loop.
fn keep(file: &Path, stream: &Bytes) -> anyhow::Result<()> {
    let folder = file.parent().context("a cached file has a folder")?;
    fs::create_dir_all(folder).context("making the cache folder")?;
    let beside = file.with_extension(format!("{}-{:08x}", std::process::id(), rand::random::<u32>()));
    let content = [&Sha256::digest(stream)[..], stream].concat();
    fs::write(&beside, content)
        .and_then(|()| fs::rename(&beside, file))
        .inspect_err(|_| {
            // The rename's error is the one to report; a leftover is only a leftover.
            let _ = fs::remove_file(&beside);
        })
        .context("writing the file")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> LoopSpec {
        LoopSpec {
            frames: 25,
            ..LoopSpec::default()
        }
    }

    #[test]
    fn a_cached_loop_is_what_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let made = cached(folder.path(), tiny()).unwrap();
        let read = cached(folder.path(), tiny()).unwrap();
        for number in 0..25 {
            assert_eq!(read.unit(number).nals, made.unit(number).nals);
        }
    }

    #[test]
    fn a_damaged_cache_file_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(file_name(&tiny()).unwrap());
        cached(folder.path(), tiny()).unwrap();
        let sound = fs::read(&file).unwrap();
        let mut flipped = sound.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damaged in [&flipped[..], &sound[..sound.len() / 2], b"", b"short"] {
            fs::write(&file, damaged).unwrap();
            cached(folder.path(), tiny()).unwrap();
            open(fs::read(&file).unwrap()).expect("the damaged file is replaced");
        }
    }

    #[test]
    fn a_cached_stream_with_other_key_frames_is_not_this_loop() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(file_name(&tiny()).unwrap());
        let shorter = LoopSpec {
            frames: 25,
            gop_frames: 5,
            ..tiny()
        };
        keep(&file, &encode::video(&shorter).unwrap()).unwrap();
        let made = cached(folder.path(), tiny()).unwrap();
        assert!(!made.unit(5).key);
    }

    #[test]
    fn an_unwritable_cache_costs_time_not_the_loop() {
        let folder = tempfile::tempdir().unwrap();
        let not_a_folder = folder.path().join("file");
        fs::write(&not_a_folder, b"").unwrap();
        cached(&not_a_folder, tiny()).unwrap();
    }

    #[test]
    fn another_spec_is_another_file() {
        let other = LoopSpec {
            bit_rate_kbps: 101,
            ..tiny()
        };
        assert_ne!(file_name(&tiny()).unwrap(), file_name(&other).unwrap());
    }
}
