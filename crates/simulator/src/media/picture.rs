//! Draws the frames of a loop: the frame code, a pattern that glides, and noise that costs bits.
//!
//! Everything below the code is copied row by row from two tables made once, so that drawing keeps up with
//! any encoder. The noise differs in every frame; without it an encoder would need a hundredth of the bit
//! rate that was asked for, and tests of load would measure nothing.

use super::code;

/// Pixels from one crest of the gliding pattern to the next.
const WAVE: usize = 128;
/// Pixels the pattern glides per frame.
const GLIDE: usize = 2;
/// Values in the table of noise, rows start anywhere in it.
const NOISE: usize = 1 << 16;
/// The noise fills this part of the height, at the bottom.
const NOISE_PART: usize = 6;

/// A picture that is drawn over and over.
pub(super) struct Picture {
    width: usize,
    height: usize,
    wave: Vec<u8>,
    noise: Vec<u8>,
    planes: Vec<u8>,
}

impl Picture {
    /// An empty picture of even width and height.
    pub(super) fn new(width: usize, height: usize) -> Self {
        let mut random = Random(0x9e37_79b9);
        let noise = (0..NOISE + width)
            .map(|_| 96 + (random.next() >> 26) as u8)
            .collect();
        let wave = (0..width + 2 * WAVE).map(|x| luma_of_wave(x % WAVE)).collect();
        Self {
            width,
            height,
            wave,
            noise,
            // Chroma stays at 128: grey.
            planes: vec![128; width * height * 3 / 2],
        }
    }

    /// Draws a frame and returns its planes, as planar YUV 4:2:0.
    pub(super) fn draw(&mut self, index: u16) -> &[u8] {
        let (width, height) = (self.width, self.height);
        let mut random = Random(u32::from(index) + 1);
        let noise_from = height - height / NOISE_PART;
        for y in code::height_of_code(height)..height {
            let source = if y < noise_from {
                let shift = (y / 2 + usize::from(index) * GLIDE) % WAVE;
                &self.wave[shift..shift + width]
            } else {
                let shift = random.next() as usize % NOISE;
                &self.noise[shift..shift + width]
            };
            self.planes[y * width..(y + 1) * width].copy_from_slice(source);
        }
        code::draw(&mut self.planes[..width * height], width, height, index);
        &self.planes
    }
}

/// A triangle between dark and light grey.
fn luma_of_wave(x: usize) -> u8 {
    let height = x.min(WAVE - x);
    48 + (height * 2) as u8
}

/// Xorshift (Marsaglia 2003): the same noise on every machine, as the cache of encoded loops wants it.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_carries_its_index_and_differs_from_the_one_before() {
        let mut picture = Picture::new(320, 180);
        let mut before = Vec::new();
        for index in 0..50 {
            let planes = picture.draw(index).to_vec();
            assert_eq!(planes.len(), 320 * 180 * 3 / 2);
            assert_eq!(code::read(&planes, 320, 180), Some(index));
            assert_ne!(planes, before);
            before = planes;
        }
    }
}
