//! Whole numbers of any size, with just the operations that reading and showing other numbers need.

/// A whole number that is not negative: digits of 32 bits, the lowest first, none of them zero at the high end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Big(Vec<u32>);

impl From<u64> for Big {
    fn from(n: u64) -> Big {
        let mut big = Big(vec![n as u32, (n >> 32) as u32]);
        big.trim();
        big
    }
}

impl Big {
    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of bits, up to the highest that is set.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.0.last().map_or(0, |high| self.0.len() * 32 - high.leading_zeros() as usize)
    }

    #[must_use]
    pub fn bit(&self, at: usize) -> bool {
        self.0.get(at / 32).is_some_and(|digit| digit >> (at % 32) & 1 == 1)
    }

    /// Whether a bit below this one is set.
    #[must_use]
    pub fn has_ones_below(&self, at: usize) -> bool {
        let whole = (at / 32).min(self.0.len());
        self.0[..whole].iter().any(|digit| *digit != 0)
            || self.0.get(at / 32).is_some_and(|digit| digit & ((1 << (at % 32)) - 1) != 0)
    }

    /// The highest 64 bits of a number that has so many.
    #[must_use]
    pub fn high_bits(&self) -> u64 {
        let from = self.bits().saturating_sub(64);
        (0..64).fold(0, |n, i| n | u64::from(self.bit(from + i)) << i)
    }

    /// `self * factor + addend`
    pub fn multiply_add(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for digit in &mut self.0 {
            carry += u64::from(*digit) * u64::from(factor);
            *digit = carry as u32;
            carry >>= 32;
        }
        self.0.push(carry as u32);
        self.trim();
    }

    /// Divides and gives the remainder.
    ///
    /// # Panics
    /// When the divisor is 0.
    pub fn divide(&mut self, divisor: u32) -> u32 {
        let mut rest = 0u64;
        for digit in self.0.iter_mut().rev() {
            rest = rest << 32 | u64::from(*digit);
            *digit = (rest / u64::from(divisor)) as u32;
            rest %= u64::from(divisor);
        }
        self.trim();
        rest as u32
    }

    pub fn shift_left(&mut self, bits: usize) {
        if self.is_zero() {
            return;
        }
        self.multiply_add(1 << (bits % 32), 0);
        self.0.splice(0..0, std::iter::repeat_n(0, bits / 32));
    }

    pub fn add(&mut self, other: &Big) {
        self.0.resize(self.0.len().max(other.0.len()) + 1, 0);
        let mut carry = 0;
        for (i, digit) in self.0.iter_mut().enumerate() {
            carry += u64::from(*digit) + u64::from(other.0.get(i).copied().unwrap_or(0));
            *digit = carry as u32;
            carry >>= 32;
        }
        self.trim();
    }

    /// Takes away a number that is not larger.
    pub fn subtract(&mut self, other: &Big) {
        let mut borrow = 0;
        for (i, digit) in self.0.iter_mut().enumerate() {
            let difference = i64::from(*digit) - i64::from(other.0.get(i).copied().unwrap_or(0)) - borrow;
            borrow = i64::from(difference < 0);
            *digit = difference as u32;
        }
        debug_assert_eq!(borrow, 0, "the other number is not larger");
        self.trim();
    }

    #[must_use]
    pub fn to_decimal(&self) -> String {
        const CHUNK: u32 = 1_000_000_000;
        let mut n = self.clone();
        let mut chunks = Vec::new();
        while !n.is_zero() {
            chunks.push(n.divide(CHUNK));
        }
        let Some(first) = chunks.pop() else { return "0".to_owned() };
        chunks.iter().rev().fold(first.to_string(), |text, chunk| format!("{text}{chunk:09}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn big(n: u128) -> Big {
        let mut big = Big::from((n >> 64) as u64);
        big.shift_left(64);
        big.add(&Big::from(n as u64));
        big
    }

    proptest! {
        #[test]
        fn as_machine_integers(a: u128, b: u128, small in 1u32.., shift in 0usize..64) {
            let (a, b) = (a >> 33, b >> 33);
            prop_assert_eq!(big(a).to_decimal(), a.to_string());
            prop_assert_eq!(big(a).bits(), 128 - a.leading_zeros() as usize);
            prop_assert_eq!(big(a).bit(shift), a >> shift & 1 == 1);
            prop_assert_eq!(big(a).has_ones_below(shift), a & ((1 << shift) - 1) != 0);
            let mut sum = big(a);
            sum.add(&big(b));
            prop_assert_eq!(&sum, &big(a + b));
            sum.subtract(&big(b));
            prop_assert_eq!(&sum, &big(a));
            let mut product = big(a);
            product.multiply_add(small, 7);
            prop_assert_eq!(&product, &big(a * u128::from(small) + 7));
            let rest = product.divide(small);
            prop_assert_eq!(product.to_decimal(), ((a * u128::from(small) + 7) / u128::from(small)).to_string());
            prop_assert_eq!(rest, (7 % u64::from(small)) as u32);
            let mut shifted = big(a >> 64);
            shifted.shift_left(shift);
            prop_assert_eq!(shifted, big(a >> 64 << shift));
        }
    }
}
