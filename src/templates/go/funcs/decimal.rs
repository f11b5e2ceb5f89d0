//! Decimals of any length, as the library has them that sprig calculates with.

use std::cmp::Ordering;

/// Places after the point of a quotient.
const PLACES: i32 = 16;

/// `digits` × 10^`exponent`, with a sign.
#[derive(Clone)]
pub(super) struct Decimal {
    is_negative: bool,
    /// Decimal digits, the highest one first and not zero.
    digits: Vec<u8>,
    exponent: i32,
}

impl Decimal {
    /// The shortest decimal that reads back as `number`; `None` if it is not finite.
    pub(super) fn from_float(number: f64) -> Option<Self> {
        if !number.is_finite() {
            return None;
        }
        let text = format!("{:e}", number.abs());
        let (mantissa, exponent) = text.split_once('e')?;
        let (_, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent = exponent.parse::<i32>().ok()? - i32::try_from(fraction.len()).ok()?;
        let digits = mantissa.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        Some(Self { is_negative: number < 0.0, digits: trimmed(digits), exponent })
    }

    /// The nearest float64.
    pub(super) fn to_float(&self) -> f64 {
        let mut text = String::from(if self.is_negative { "-" } else { "" });
        text.extend(self.digits.iter().map(|digit| char::from(b'0' + digit)));
        if self.digits.is_empty() {
            return 0.0;
        }
        text.push_str(&format!("e{}", self.exponent));
        text.parse().unwrap_or(0.0)
    }

    /// How many digits a calculation with `other` has to do with.
    pub(super) fn span(&self, other: &Self) -> u64 {
        let digits = self.len() + other.len();
        digits as u64 + u64::from(self.exponent.abs_diff(other.exponent))
    }

    /// How many pairs of digits a product or quotient has to do with.
    pub(super) fn products(&self, other: &Self) -> u64 {
        let zeros = u64::from(self.exponent.abs_diff(other.exponent));
        let (left, right) = (self.len() as u64, other.len() as u64);
        left.saturating_mul(right.saturating_add(zeros)).max(right.saturating_mul(left.saturating_add(zeros)))
    }

    /// How many digits it has.
    pub(super) fn len(&self) -> usize {
        self.digits.len()
    }

    /// The digits with zeros behind them, so that they count from 10^`exponent` on.
    fn scaled(&self, exponent: i32) -> Vec<u8> {
        let mut digits = self.digits.clone();
        if !digits.is_empty() {
            digits.resize(digits.len() + usize::try_from(self.exponent - exponent).unwrap_or(0), 0);
        }
        digits
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        let (left, right) = (self.scaled(exponent), other.scaled(exponent));
        if self.is_negative == other.is_negative {
            return Self { is_negative: self.is_negative, digits: sum(&left, &right), exponent };
        }
        match compare(&left, &right) {
            Ordering::Less => Self { is_negative: other.is_negative, digits: difference(&right, &left), exponent },
            _ => Self { is_negative: self.is_negative, digits: difference(&left, &right), exponent },
        }
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        self.plus(&Self { is_negative: !other.is_negative, ..other.clone() })
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        let mut columns = vec![0u32; self.len() + other.len()];
        for (row, left) in self.digits.iter().rev().enumerate() {
            for (column, right) in other.digits.iter().rev().enumerate() {
                columns[row + column] += u32::from(*left) * u32::from(*right);
            }
        }
        let mut carry = 0;
        let mut digits: Vec<u8> = columns
            .into_iter()
            .map(|column| {
                let total = column + carry;
                carry = total / 10;
                u8::try_from(total % 10).unwrap_or(0)
            })
            .collect();
        digits.reverse();
        let is_negative = self.is_negative != other.is_negative;
        Self { is_negative, digits: trimmed(digits), exponent: self.exponent + other.exponent }
    }

    /// The quotient rounded to 16 places, half away from zero. The divisor is not zero.
    pub(super) fn over(&self, other: &Self) -> Self {
        let shift = self.exponent - other.exponent + PLACES;
        let zeros = usize::try_from(shift.unsigned_abs()).unwrap_or(0);
        let (mut dividend, mut divisor) = (self.digits.clone(), other.digits.clone());
        let longer = if shift >= 0 { &mut dividend } else { &mut divisor };
        if !longer.is_empty() {
            longer.resize(longer.len() + zeros, 0);
        }
        let (mut quotient, mut rest) = (Vec::with_capacity(dividend.len()), Vec::new());
        for digit in dividend {
            rest.push(digit);
            rest = trimmed(rest);
            let mut times = 0;
            while compare(&rest, &divisor).is_ge() {
                rest = difference(&rest, &divisor);
                times += 1;
            }
            quotient.push(times);
        }
        let mut digits = trimmed(quotient);
        if compare(&sum(&rest, &rest), &divisor).is_ge() {
            digits = sum(&digits, &[1]);
        }
        Self { is_negative: self.is_negative != other.is_negative, digits, exponent: -PLACES }
    }
}

fn trimmed(digits: Vec<u8>) -> Vec<u8> {
    match digits.iter().position(|digit| *digit != 0) {
        Some(0) => digits,
        Some(zeros) => digits[zeros..].to_vec(),
        None => Vec::new(),
    }
}

fn compare(left: &[u8], right: &[u8]) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

fn sum(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let (mut lefts, mut rights) = (left.iter().rev(), right.iter().rev());
    let mut digits = Vec::with_capacity(left.len().max(right.len()) + 1);
    for _ in 0..left.len().max(right.len()) {
        let total = lefts.next().unwrap_or(&0) + rights.next().unwrap_or(&0) + carry;
        carry = total / 10;
        digits.push(total % 10);
    }
    digits.push(carry);
    digits.reverse();
    trimmed(digits)
}

/// `left` without `right`, which is not larger.
fn difference(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut borrowed = 0;
    let mut rights = right.iter().rev();
    let mut digits = Vec::with_capacity(left.len());
    for digit in left.iter().rev() {
        let less = rights.next().unwrap_or(&0) + borrowed;
        borrowed = u8::from(*digit < less);
        digits.push(digit + 10 * borrowed - less);
    }
    digits.reverse();
    trimmed(digits)
}

#[cfg(test)]
mod tests {
    use super::Decimal;
    use proptest::prelude::*;

    fn of(number: i64) -> Decimal {
        Decimal::from_float(number as f64).unwrap()
    }

    proptest! {
        #[test]
        fn decimals_calculate_like_integers(left in -1_000_000i64..1_000_000, right in -1_000_000i64..1_000_000) {
            prop_assert_eq!(of(left).plus(&of(right)).to_float(), (left + right) as f64);
            prop_assert_eq!(of(left).minus(&of(right)).to_float(), (left - right) as f64);
            prop_assert_eq!(of(left).times(&of(right)).to_float(), (left * right) as f64);
            if right != 0 {
                prop_assert_eq!(of(left * right).over(&of(right)).to_float(), left as f64);
            }
        }
    }

    #[test]
    fn quotients_have_sixteen_places() {
        let quotient = |left: f64, right: f64| {
            Decimal::from_float(left).unwrap().over(&Decimal::from_float(right).unwrap()).to_float()
        };
        assert_eq!(quotient(0.1, 1e300), 0.0);
        assert_eq!(quotient(1.0, 3.0), 0.333_333_333_333_333_3);
        assert_eq!(quotient(-2.0, 3.0), -0.666_666_666_666_666_7);
        assert_eq!(quotient(1e300, 1e-300), f64::INFINITY);
        assert_eq!(quotient(5e-17, 1.0), 1e-16);
        assert_eq!(quotient(4e-17, 1.0), 0.0);
    }
}
