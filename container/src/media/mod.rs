//! From frames to files: clock, transform, segmenter, MP4, spool.
//!
//! ```text
//! source ──Frame──▶ Pipeline { clock ─ transform? ─ segmenter ─ mux } ──▶ spool ──Pending──▶ uploader
//! ```
//!
//! The caller owns one [`pipeline::Pipeline`] per channel and one [`spool::Spool`] per process:
//!
//! ```text
//! let spool = Spool::open(root, &task)?;                    // takes the lock of our folder
//! let salvaged = salvage(&spool)?;                          // what was open when we died is pending now
//! let mut pipeline = Pipeline::new(spool.channel(key, generation), settings, recorded_until);
//! pipeline.begin(params).await?;                            // a new RTSP session; also after a reconnect
//! loop { select! {                                          // all of these are cancel-safe
//!     frame = source.next()   => pipeline.push(frame).await?,   // or pipeline.reconfigure(params), .apply(settings)
//!     event = pipeline.next() => { .. }                     // Started, Stopped, Closed, Still, TransformFailed
//! } }
//! pipeline.finish().await?;                                 // at a break, at a stop: closes what is open
//! while let Some(event) = pipeline.ready_event() { .. }     // the last ones
//! spool.pending()?;                                         // oldest first; after the upload: Spool::remove(&pending)
//! ```

pub mod clock;
pub mod codec;
pub mod demux;
pub mod frame;
pub(crate) mod mark;
pub mod movie;
pub mod mux;
pub mod pipeline;
pub mod salvage;
pub mod segmenter;
pub mod spool;
pub mod transform;
