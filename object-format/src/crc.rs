//! CRC32C of bytes laid end to end, from the CRCs of the parts and without reading the bytes again.

/// The Castagnoli polynomial, least significant bit first.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// x^0, in that order of bits.
const ONE: u32 = 1 << 31;
/// x^(2^n) modulo the polynomial, for n from 0 to 31. The powers repeat after that.
const POWERS: [u32; 32] = powers();

/// CRC32C of the bytes with CRC `first` followed by the `second_len` bytes with CRC `second`.
pub(crate) fn combine(first: u32, second: u32, second_len: usize) -> u32 {
    // Appending a byte multiplies by x^8, so the lowest bit of the length stands for x^(2^3).
    let mut factor = ONE;
    let mut len = second_len;
    let mut at = 3;
    while len > 0 {
        if len & 1 == 1 {
            factor = multiply(POWERS[at & 31], factor);
        }
        len >>= 1;
        at += 1;
    }
    multiply(factor, first) ^ second
}

/// Product of two polynomials modulo the polynomial.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = ONE;
    while bit != 0 {
        // Without branches: which bits are set is as good as random.
        product ^= b & ((a & bit != 0) as u32).wrapping_neg();
        b = (b >> 1) ^ (POLYNOMIAL & (b & 1).wrapping_neg());
        bit >>= 1;
    }
    product
}

const fn powers() -> [u32; 32] {
    let mut powers = [0; 32];
    powers[0] = ONE >> 1;
    let mut at = 1;
    while at < 32 {
        powers[at] = multiply(powers[at - 1], powers[at - 1]);
        at += 1;
    }
    powers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::combine;

    proptest! {
        #[test]
        fn combining_equals_reading_all(bytes: Vec<u8>, at: prop::sample::Index) {
            let (first, second) = bytes.split_at(at.index(bytes.len() + 1));
            let combined = combine(crc32c::crc32c(first), crc32c::crc32c(second), second.len());
            prop_assert_eq!(combined, crc32c::crc32c(&bytes));
        }
    }

    #[test]
    fn combining_holds_for_long_parts() {
        let bytes: Vec<u8> = (0..5_000_000u32).map(|n| (n ^ (n >> 7)) as u8).collect();
        for at in [1, 21, 4096, 1 << 20, 4_999_999] {
            let (first, second) = bytes.split_at(at);
            let combined = combine(crc32c::crc32c(first), crc32c::crc32c(second), second.len());
            assert_eq!(combined, crc32c::crc32c(&bytes));
        }
    }
}
