//! What the files hold: bytes of which each place in each file is known, so that a lost, torn or
//! misplaced block is seen.
//!
//! Every page of 4 KiB begins with a word made of the file and the page; the rest are pseudo-random
//! bytes that repeat after 64 KiB. Making and checking bytes is a copy and a comparison in the
//! cache.

use std::sync::LazyLock;

const PAGE: usize = 4096;
const PERIOD: usize = 64 << 10;
const WORD: usize = 8;

static BASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let words = (0..PERIOD as u64 / 8).flat_map(|word| mix(word).to_le_bytes());
    words.collect()
});

/// Spreads the bits of a number over all of it (the finalizer of splitmix64).
pub fn mix(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Fills `bytes` with what file number `file` holds at `offset`, which begins a page.
pub fn fill(file: u64, offset: u64, bytes: &mut [u8]) {
    debug_assert_eq!(offset % PAGE as u64, 0, "a page begins here");
    for (index, page) in bytes.chunks_mut(PAGE).enumerate() {
        let at = offset + (index * PAGE) as u64;
        let base = at as usize % PERIOD;
        page.copy_from_slice(&BASE[base..base + page.len()]);
        page[..WORD].copy_from_slice(&head(file, at));
    }
}

/// Whether `bytes` are what file number `file` holds at `offset`.
pub fn check(file: u64, mut offset: u64, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let within = offset as usize % PAGE;
        let (part, rest) = bytes.split_at(bytes.len().min(PAGE - within));
        let base = offset as usize % PERIOD;
        let in_head = WORD.saturating_sub(within).min(part.len());
        let head = head(file, offset - within as u64);
        if part[..in_head] != head[within.min(WORD)..][..in_head]
            || part[in_head..] != BASE[base + in_head..base + part.len()]
        {
            return false;
        }
        offset += part.len() as u64;
        bytes = rest;
    }
    true
}

fn head(file: u64, page: u64) -> [u8; WORD] {
    mix((file << 40) | (page / PAGE as u64)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_is_found_in_any_pieces() {
        let mut bytes = vec![0; 200_000];
        fill(3, 8192, &mut bytes);
        for piece in [1, 3, 511, 4096, 70_000, 200_000] {
            let mut offset = 8192;
            for part in bytes.chunks(piece) {
                assert!(check(3, offset, part), "pieces of {piece} at {offset}");
                offset += part.len() as u64;
            }
        }
    }

    #[test]
    fn another_file_place_or_byte_is_noticed() {
        let mut bytes = vec![0; 4096];
        fill(3, 8192, &mut bytes);
        assert!(!check(4, 8192, &bytes));
        assert!(!check(3, 8192 + PERIOD as u64, &bytes));
        bytes[4095] ^= 1;
        assert!(!check(3, 8192, &bytes));
    }
}
