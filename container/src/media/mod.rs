//! From frames to files: clock, transform, segmenter, MP4, spool.
//!
//! ```text
//! source ──Frame──▶ Pipeline { clock ─ transform? ─ segmenter ─ mux } ──▶ spool ──Pending──▶ uploader
//! ```
//!
//! The caller owns one `pipeline::Pipeline` per channel and one `spool::Spool` per process:
//!
//! ```text
//! let spool = Spool::open(root, &task)?;                    // takes the lock of our folder
//! let report = salvage::salvage(&spool).await;              // dead recorders' open files become pending ones
//! let mut pipeline = Pipeline::new(spool.channel(key, generation), settings, recorded_until);
//! pipeline.begin(params).await?;                            // a new RTSP session; also after a reconnect
//! loop { select! {                                          // all of these are cancel-safe
//!     item  = source.next()   => { pipeline.push(frame).await?; }   // or .reconfigure(params).await?
//!     event = pipeline.next() => { .. }                     // Event::{Started, Closed, Still, TransformRestarted, Down, Up}
//! } }
//! pipeline.finish().await?;                                 // at a break, at a stop: closes the open segment
//! pipeline.recorded_until();                                // the end of the last frame that is on disk
//! spool.pending()?;                                         // oldest first: key, file, meta, size; after the upload: spool.remove(&pending)
//! ```

pub mod clock;
pub mod codec;
pub mod demux;
pub mod frame;
pub mod movie;
pub mod mux;
pub mod pipeline;
pub mod salvage;
pub mod segmenter;
pub mod spool;
pub mod transform;
