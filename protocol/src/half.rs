//! 32-bit floats in 16 bits, rounded to nearest, ties to even. Little-endian bytes, as model files have them; without
//! branches, so that loops become vector instructions.

/// bfloat16: the upper half of a binary32.
#[inline(always)]
pub fn bf16(value: f32) -> [u8; 2] {
    let bits = value.to_bits();
    // Half of the last place kept, less one if that is even: a carry rounds up, into the exponent if need be.
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    ((rounded >> 16) as u16).to_le_bytes()
}

/// IEEE 754 binary16.
#[inline(always)]
pub fn f16(value: f32) -> [u8; 2] {
    // The first that rounds to infinity, and the smallest that rounds to a normal number as such.
    const OVERFLOW: u32 = 0x477f_f000;
    const SMALLEST_NORMAL: u32 = 113 << 23;
    // Adding it leaves a subnormal's bits at the lower end of the mantissa, rounded to nearest even by the addition.
    const SHIFT: u32 = ((127 - 15) + (23 - 10) + 1) << 23;
    let bits = value.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    let subnormal = (f32::from_bits(magnitude) + f32::from_bits(SHIFT))
        .to_bits()
        .wrapping_sub(SHIFT);
    let normal = magnitude
        .wrapping_sub((127 - 15) << 23)
        .wrapping_add(0xfff + ((magnitude >> 13) & 1))
        >> 13;
    let finite = if magnitude < SMALLEST_NORMAL { subnormal } else { normal };
    let rounded = if magnitude >= OVERFLOW { 0x7c00 } else { finite };
    ((rounded | (bits >> 16) & 0x8000) as u16).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_even_neighbour_and_large_values_to_infinity() {
        let of = |value: f32| (u16::from_le_bytes(bf16(value)), u16::from_le_bytes(f16(value)));
        assert_eq!(of(1.0), (0x3f80, 0x3c00));
        assert_eq!(of(-0.0), (0x8000, 0x8000));
        // Half a last place above 1, and above the next.
        assert_eq!(of(1.0 + 1.0 / 256.0).0, 0x3f80);
        assert_eq!(of(1.0 + 3.0 / 256.0).0, 0x3f82);
        assert_eq!(of(1.0 + 1.0 / 2048.0).1, 0x3c00);
        assert_eq!(of(1.0 + 3.0 / 2048.0).1, 0x3c02);
        assert_eq!((of(65_519.0).1, of(65_520.0).1), (0x7bff, 0x7c00));
        // The smallest binary16, and half of it.
        assert_eq!((of(5.960_464_5e-8).1, of(2.980_232_2e-8).1), (1, 0));
        assert_eq!(of(f32::MAX).0, 0x7f80);
    }
}
