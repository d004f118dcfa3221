//! Emulated AWS with what a recorder uses of a stack: tables and a bucket.

#![cfg(feature = "aws")]

use aws::dynamodb::Tables;
use aws::harness::{Emulator, create_bucket, create_tables, tables_of, unused_name};
use aws::s3::S3Archive;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use domain::SegmentKey;
use std::path::Path;

/// One stack's part of the emulator.
pub(crate) struct Cloud {
    pub(crate) tables: Tables,
    /// For the bucket of this name.
    s3: Client,
    stack: String,
    emulator: &'static Emulator,
}

impl Cloud {
    /// A new stack with nothing in it.
    pub(crate) async fn start() -> Self {
        let (emulator, stack) = (Emulator::ministack(), unused_name());
        let sdk = emulator.sdk_config();
        create_tables(&sdk, &tables_of(&stack)).await;
        Self {
            tables: Tables::new(&sdk, tables_of(&stack)),
            s3: create_bucket(&sdk, &stack).await,
            stack,
            emulator,
        }
    }

    /// The environment of a recorder that is to live here.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let emulator = self.emulator.environment();
        let emulator = emulator.map(|(name, value)| (name, value.to_owned()));
        let stack = [
            ("MILLRACE_STATE", tables_of(&self.stack).to_string()),
            ("MILLRACE_ARCHIVE", format!("s3://{}", self.stack)),
        ];
        emulator.into_iter().chain(stack).collect()
    }

    pub(crate) fn archive(&self) -> S3Archive {
        S3Archive::new(self.s3.clone(), &self.stack, "")
    }

    /// Has something in the archive under this key, which nobody decodes.
    pub(crate) async fn put(&self, segment: &SegmentKey) {
        let put = self
            .s3
            .put_object()
            .bucket(&self.stack)
            .key(segment.object_key().0);
        put.body(ByteStream::from_static(b"video")).send().await.unwrap();
    }

    /// Copies these segments into a folder, under their keys.
    pub(crate) async fn download(&self, segments: &[SegmentKey], into: &Path) {
        for segment in segments {
            let key = segment.object_key().0;
            let get = self.s3.get_object().bucket(&self.stack).key(&key);
            let object = get.send().await.unwrap();
            let path = into.join(&key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let content = object.body.collect().await.unwrap().into_bytes();
            std::fs::write(path, content).unwrap();
        }
    }
}
