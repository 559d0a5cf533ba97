//! The element types of model files: how their bits are read, ordered and written.

use protocol::half;

use crate::simd::{GROUP, Registers};

/// Elements are worked on in strips of so many: a few vector registers of any width.
pub(crate) const STRIP: usize = 64;

/// A type of element. Everything here works without branches, so that loops over it become vector instructions.
pub(crate) trait Element: Copy + Send + Sync + 'static {
    /// The little-endian bytes.
    type Raw: Copy + Default + Send + Sync + 'static;
    /// An integer that orders finite values as their numbers are ordered, -0 before +0.
    type Key: Copy + Default + Ord + Send + Sync + 'static;
    const SIZE: usize;
    /// Whether there is an instruction for `loads` that the compiler does not make of `load`.
    const CONVERTED: bool = false;

    fn raw(bytes: &[u8]) -> &[Self::Raw];
    fn bytes(strip: &[Self::Raw; STRIP]) -> &[u8];
    /// Exact. Bits that are infinite or NaN may become any number: validity keeps them out.
    fn load(raw: Self::Raw) -> f32;
    /// The same, a group at a time.
    #[inline(always)]
    fn loads<R: Registers>(_: R, raw: &[Self::Raw; GROUP]) -> [f32; GROUP] {
        raw.map(Self::load)
    }
    /// Rounded to nearest, ties to even.
    fn store(value: f32) -> Self::Raw;
    fn key(raw: Self::Raw) -> Self::Key;
    fn value(key: Self::Key) -> f32;
    fn is_finite(raw: Self::Raw) -> bool;
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct F32;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Bf16;

#[derive(Debug, Clone, Copy)]
pub(crate) struct F16;

impl Element for F32 {
    type Raw = [u8; 4];
    type Key = i32;
    const SIZE: usize = 4;

    #[inline(always)]
    fn raw(bytes: &[u8]) -> &[[u8; 4]] {
        bytes.as_chunks().0
    }

    #[inline(always)]
    fn bytes(strip: &[[u8; 4]; STRIP]) -> &[u8] {
        strip.as_flattened()
    }

    #[inline(always)]
    fn load(raw: [u8; 4]) -> f32 {
        f32::from_le_bytes(raw)
    }

    #[inline(always)]
    fn store(value: f32) -> [u8; 4] {
        value.to_le_bytes()
    }

    #[inline(always)]
    fn key(raw: [u8; 4]) -> i32 {
        let bits = i32::from_le_bytes(raw);
        bits ^ ((bits >> 31) & i32::MAX)
    }

    #[inline(always)]
    fn value(key: i32) -> f32 {
        f32::from_bits((key ^ ((key >> 31) & i32::MAX)) as u32)
    }

    #[inline(always)]
    fn is_finite(raw: [u8; 4]) -> bool {
        const EXPONENT: u32 = 0x7f80_0000;
        u32::from_le_bytes(raw) & EXPONENT != EXPONENT
    }
}

/// Values as binary64. `N` is a multiple of a group.
#[inline(always)]
pub(crate) fn load<E: Element, R: Registers, const N: usize>(registers: R, raw: &[E::Raw; N]) -> [f64; N] {
    let mut values = [0.0; N];
    for (values, raw) in values.as_chunks_mut::<GROUP>().0.iter_mut().zip(raw.as_chunks().0) {
        *values = E::loads(registers, raw).map(f64::from);
    }
    values
}

#[inline(always)]
fn key16(raw: [u8; 2]) -> i16 {
    let bits = i16::from_le_bytes(raw);
    bits ^ ((bits >> 15) & i16::MAX)
}

#[inline(always)]
fn raw16(key: i16) -> [u8; 2] {
    (key ^ ((key >> 15) & i16::MAX)).to_le_bytes()
}

impl Element for Bf16 {
    type Raw = [u8; 2];
    type Key = i16;
    const SIZE: usize = 2;

    #[inline(always)]
    fn raw(bytes: &[u8]) -> &[[u8; 2]] {
        bytes.as_chunks().0
    }

    #[inline(always)]
    fn bytes(strip: &[[u8; 2]; STRIP]) -> &[u8] {
        strip.as_flattened()
    }

    #[inline(always)]
    fn load(raw: [u8; 2]) -> f32 {
        f32::from_bits(u32::from(u16::from_le_bytes(raw)) << 16)
    }

    #[inline(always)]
    fn store(value: f32) -> [u8; 2] {
        half::bf16(value)
    }

    #[inline(always)]
    fn key(raw: [u8; 2]) -> i16 {
        key16(raw)
    }

    #[inline(always)]
    fn value(key: i16) -> f32 {
        Self::load(raw16(key))
    }

    #[inline(always)]
    fn is_finite(raw: [u8; 2]) -> bool {
        const EXPONENT: u16 = 0x7f80;
        u16::from_le_bytes(raw) & EXPONENT != EXPONENT
    }
}

/// In integers, for registers without an instruction for it.
#[inline(always)]
pub(crate) fn half_to_single(raw: [u8; 2]) -> f32 {
    const SMALLEST_NORMAL: u32 = 113 << 23;
    let bits = u32::from(u16::from_le_bytes(raw));
    let magnitude = (bits & 0x7fff) << 13;
    // Exponents are biased by 15 there and by 127 here. A subnormal is made normal with a hidden bit, which is
    // subtracted again: exact, and no subnormal is ever computed with.
    let normal = magnitude + ((127 - 15) << 23);
    let subnormal = f32::from_bits(magnitude + SMALLEST_NORMAL) - f32::from_bits(SMALLEST_NORMAL);
    let chosen = if magnitude < 1 << 23 {
        subnormal.to_bits()
    } else {
        normal
    };
    f32::from_bits(chosen | (bits & 0x8000) << 16)
}

impl Element for F16 {
    type Raw = [u8; 2];
    type Key = i16;
    const SIZE: usize = 2;
    const CONVERTED: bool = true;

    #[inline(always)]
    fn raw(bytes: &[u8]) -> &[[u8; 2]] {
        bytes.as_chunks().0
    }

    #[inline(always)]
    fn bytes(strip: &[[u8; 2]; STRIP]) -> &[u8] {
        strip.as_flattened()
    }

    #[inline(always)]
    fn load(raw: [u8; 2]) -> f32 {
        half_to_single(raw)
    }

    #[inline(always)]
    fn loads<R: Registers>(registers: R, raw: &[[u8; 2]; GROUP]) -> [f32; GROUP] {
        registers.halves(raw)
    }

    #[inline(always)]
    fn store(value: f32) -> [u8; 2] {
        half::f16(value)
    }

    #[inline(always)]
    fn key(raw: [u8; 2]) -> i16 {
        key16(raw)
    }

    #[inline(always)]
    fn value(key: i16) -> f32 {
        Self::load(raw16(key))
    }

    #[inline(always)]
    fn is_finite(raw: [u8; 2]) -> bool {
        const EXPONENT: u16 = 0x7c00;
        u16::from_le_bytes(raw) & EXPONENT != EXPONENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a binary16, from its definition.
    fn half(bits: u16) -> f64 {
        let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
        let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
        sign * match exponent {
            0 => mantissa * (-24f64).exp2(),
            _ => (1.0 + mantissa / 1024.0) * f64::from(exponent - 15).exp2(),
        }
    }

    fn all16<E: Element<Raw = [u8; 2]>>() -> Vec<[u8; 2]> {
        (0..=u16::MAX)
            .map(u16::to_le_bytes)
            .filter(|raw| E::is_finite(*raw))
            .collect()
    }

    #[test]
    fn every_half_is_read_as_the_number_it_is_and_written_back_as_the_same_bits() {
        let all = all16::<F16>();
        assert_eq!(all.len(), 65_536 - 2 * 1024);
        for raw in all {
            let value = F16::load(raw);
            assert_eq!(f64::from(value), half(u16::from_le_bytes(raw)));
            assert_eq!(value.is_sign_negative(), raw[1] >= 0x80);
            assert_eq!(F16::store(value), raw);
        }
        for raw in all16::<Bf16>() {
            assert_eq!(Bf16::load(raw).to_bits() >> 16, u32::from(u16::from_le_bytes(raw)));
            assert_eq!(Bf16::store(Bf16::load(raw)), raw);
        }
    }

    /// Between two neighbours the nearer one, in the middle the one with an even last bit.
    fn rounds_to_nearest_even<E: Element<Raw = [u8; 2]>>() {
        let mut all = all16::<E>();
        all.retain(|raw| raw[1] < 0x80);
        all.sort_by(|a, b| E::load(*a).total_cmp(&E::load(*b)));
        for pair in all.windows(2) {
            let [low, high] = [pair[0], pair[1]];
            let middle = ((f64::from(E::load(low)) + f64::from(E::load(high))) / 2.0) as f32;
            let even = if u16::from_le_bytes(low).is_multiple_of(2) {
                low
            } else {
                high
            };
            assert_eq!(E::store(middle), even);
            assert_eq!(E::store(middle.next_down()), low);
            assert_eq!(E::store(middle.next_up()), high);
            let negative = |raw: [u8; 2]| [raw[0], raw[1] | 0x80];
            assert_eq!(E::store(-middle), negative(even));
            assert_eq!(E::store(-middle.next_up()), negative(high));
        }
    }

    #[test]
    fn halves_and_bfloats_are_rounded_to_nearest_even() {
        rounds_to_nearest_even::<F16>();
        rounds_to_nearest_even::<Bf16>();
        assert_eq!(F16::store(65_519.996), 0x7bff_u16.to_le_bytes());
        assert_eq!(F16::store(65_520.0), 0x7c00_u16.to_le_bytes());
        assert_eq!(F16::store(-1e30), 0xfc00_u16.to_le_bytes());
        assert_eq!(F16::store(1e-30), [0, 0]);
        assert_eq!(Bf16::store(f32::MAX), 0x7f80_u16.to_le_bytes());
    }

    fn keys_order<E: Element>(values: &[f32]) {
        let mut keys: Vec<E::Key> = values.iter().rev().map(|&v| E::key(E::store(v))).collect();
        keys.sort_unstable();
        let sorted: Vec<u32> = keys.into_iter().map(|key| E::value(key).to_bits()).collect();
        assert_eq!(sorted, values.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
    }

    #[test]
    fn keys_order_as_numbers_do_and_minus_zero_comes_before_zero() {
        let values = [-65_280.0, -2.0, -1.0, -0.5, -0.0, 0.0, 0.25, 1.0, 1.5, 65_280.0];
        keys_order::<F32>(&values);
        keys_order::<Bf16>(&values);
        keys_order::<F16>(&values);
    }
}
