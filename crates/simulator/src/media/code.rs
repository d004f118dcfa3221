//! The frame code: an index drawn as big blocks of luma, made to survive cameras' bit rates.
//!
//! The top third of a picture is a grid of 4 rows of 8 blocks, black for 0 and white for 1: a fixed marker,
//! the index (16 bits, high byte first) and a CRC-8. Positions are relative, so a resized picture reads the
//! same; the marker and the CRC turn a damaged picture into "unreadable" instead of into a wrong index.
//!
//! ```text
//!   ┌─ 8 blocks across the whole width ─┐
//!   │ marker  1 0 1 0 0 1 0 1           │  each row 1/12 of the height
//!   │ index, high byte                  │
//!   │ index, low byte                   │
//!   │ CRC-8 of the index                │
//!   └───────────────────────────────────┘
//! ```

/// Bits in a row: one byte.
const COLUMNS: usize = 8;
/// Rows of blocks: marker, index (2), CRC.
const ROWS: usize = 4;
/// Rows of blocks a picture's height would hold.
const ROWS_OF_HEIGHT: usize = 12;
/// The first row, which a picture of ours always has.
const MARKER: u8 = 0b1010_0101;
/// Luma of a 0 and of a 1: black and white in the video range (ITU-R BT.709, 16 to 235).
const BLACK: u8 = 16;
const WHITE: u8 = 235;
/// A block darker than this is a 0, one brighter than [`LIGHT_FROM`] a 1; between them it is unreadable.
const DARK_BELOW: u32 = 88;
const LIGHT_FROM: u32 = 168;

/// How many rows of pixels at the top of a picture of this height belong to the code.
pub(crate) fn height_of_code(height: usize) -> usize {
    height * ROWS / ROWS_OF_HEIGHT
}

/// Draws `index` into a luma plane of `width` x `height` pixels.
pub(crate) fn draw(luma: &mut [u8], width: usize, height: usize, index: u16) {
    for (row, byte) in bytes_of(index).into_iter().enumerate() {
        let top = row * height / ROWS_OF_HEIGHT;
        let bottom = (row + 1) * height / ROWS_OF_HEIGHT;
        for line in luma[top * width..bottom * width].chunks_exact_mut(width) {
            for column in 0..COLUMNS {
                let lit = byte & (0x80 >> column) != 0;
                line[column * width / COLUMNS..(column + 1) * width / COLUMNS].fill(if lit {
                    WHITE
                } else {
                    BLACK
                });
            }
        }
    }
}

/// Reads the index from a luma plane of `width` x `height` pixels; `None` when it is damaged.
pub(crate) fn read(luma: &[u8], width: usize, height: usize) -> Option<u16> {
    let mut bytes = [0_u8; ROWS];
    for (row, byte) in bytes.iter_mut().enumerate() {
        for column in 0..COLUMNS {
            *byte = (*byte << 1) | u8::from(read_block(luma, width, height, row, column)?);
        }
    }
    let index = u16::from_be_bytes([bytes[1], bytes[2]]);
    (bytes == bytes_of(index)).then_some(index)
}

/// Reads one block from its middle half, where neighbours do not bleed into it.
fn read_block(luma: &[u8], width: usize, height: usize, row: usize, column: usize) -> Option<bool> {
    let middle = |position: usize, size: usize, blocks: usize| {
        let quarter = size / (4 * blocks);
        (position * size / blocks + quarter)..((position + 1) * size / blocks - quarter)
    };
    let (mut sum, mut count) = (0_u32, 0_u32);
    for y in middle(row, height, ROWS_OF_HEIGHT) {
        for x in middle(column, width, COLUMNS) {
            sum += u32::from(*luma.get(y * width + x)?);
            count += 1;
        }
    }
    let mean = sum.checked_div(count)?;
    if mean < DARK_BELOW {
        return Some(false);
    }
    (mean >= LIGHT_FROM).then_some(true)
}

fn bytes_of(index: u16) -> [u8; ROWS] {
    let [high, low] = index.to_be_bytes();
    [MARKER, high, low, crc8([high, low])]
}

/// CRC-8 with polynomial x^8 + x^2 + x + 1 (ITU-T I.432.1), started at all ones: any one or two wrong bits,
/// and any burst of up to 8, are found.
fn crc8(bytes: [u8; 2]) -> u8 {
    bytes.into_iter().fold(0xff, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| {
            if crc & 0x80 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x07
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_reads_as_it_was_drawn() {
        let mut luma = vec![0; 64 * 48];
        for index in 0..=u16::MAX {
            draw(&mut luma, 64, 48, index);
            assert_eq!(read(&luma, 64, 48), Some(index));
        }
    }

    #[test]
    fn a_flipped_block_is_never_another_index() {
        let mut luma = vec![0; 64 * 48];
        for index in (0..=u16::MAX).step_by(97) {
            for block in 0..ROWS * COLUMNS {
                draw(&mut luma, 64, 48, index);
                for y in 0..4 {
                    let at = (block / COLUMNS * 4 + y) * 64 + block % COLUMNS * 8;
                    luma[at..at + 8]
                        .iter_mut()
                        .for_each(|pixel| *pixel = 251 - *pixel);
                }
                assert_eq!(read(&luma, 64, 48), None, "block {block} of {index}");
            }
        }
    }

    #[test]
    fn a_picture_without_contrast_is_unreadable() {
        for shade in [0, 16, 128, 235, 255] {
            assert_eq!(read(&vec![shade; 64 * 48], 64, 48), None);
        }
    }

    #[test]
    fn a_cut_plane_is_unreadable() {
        let mut luma = vec![0; 64 * 48];
        draw(&mut luma, 64, 48, 7);
        assert_eq!(read(&luma[..64 * 10], 64, 48), None);
    }
}
