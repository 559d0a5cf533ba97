//! How much privacy a private training has spent: Rényi differential privacy of the Poisson-subsampled Gaussian mechanism
//! (Mironov, Talwar, Zhang 2019), added up over steps, turned into (epsilon, delta) as in Mironov 2017, proposition 3.
//!
//! Whole orders alone are tried, so what it says is an upper bound, a little above what a search over fractions finds.

/// Orders that are tried.
const ORDERS: std::ops::RangeInclusive<u32> = 2..=256;

/// The epsilon that `steps` steps cost at this delta, each of which takes every record with probability `rate` and adds
/// noise of `noise` times the clipping norm.
pub fn epsilon(rate: f64, noise: f64, steps: u64, delta: f64) -> f64 {
    ORDERS
        .map(|order| {
            let spent = steps as f64 * per_step(rate, noise, order);
            spent + (1.0 / delta).ln() / f64::from(order - 1)
        })
        .fold(f64::INFINITY, f64::min)
}

/// Rényi divergence of one step at a whole order: log(sum over k of binomial(order, k) (1 - q)^(order - k) q^k
/// exp((k^2 - k) / (2 noise^2))) / (order - 1), with logarithms throughout.
fn per_step(rate: f64, noise: f64, order: u32) -> f64 {
    let a = f64::from(order);
    if rate >= 1.0 {
        return a / (2.0 * noise * noise);
    }
    let mut binomial = 0.0f64;
    let mut terms = Vec::with_capacity(order as usize + 1);
    for k in 0..=order {
        let n = f64::from(k);
        terms.push(binomial + (a - n) * (-rate).ln_1p() + n * rate.ln() + (n * n - n) / (2.0 * noise * noise));
        binomial += ((a - n) / (n + 1.0)).ln();
    }
    let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = terms.iter().map(|term| (term - largest).exp()).sum();
    (largest + sum.ln()) / (a - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moments_accountants_published_value_is_met() {
        // Abadi et al. 2016, section 3.1: q = 0.01, sigma = 4, 10^4 steps, delta = 10^-5 give epsilon 1.26.
        assert!((epsilon(0.01, 4.0, 10_000, 1e-5) - 1.26).abs() < 0.005);
    }

    #[test]
    fn the_values_of_tensorflow_privacys_mnist_tutorial_are_met() {
        // Its README: batches of 256 of 60000 records, delta 10^-5; noise 1.3 for 15 epochs gives 1.19, 1.1 for 60
        // epochs 3.01, 0.7 for 45 epochs 7.10 (at a fractional order; whole ones give 7.12).
        let spent = |noise, epochs: u64| epsilon(256.0 / 60_000.0, noise, (epochs * 60_000).div_ceil(256), 1e-5);
        assert!((spent(1.3, 15) - 1.19).abs() < 0.005, "{}", spent(1.3, 15));
        assert!((spent(1.1, 60) - 3.01).abs() < 0.005, "{}", spent(1.1, 60));
        assert!((7.10..7.13).contains(&spent(0.7, 45)), "{}", spent(0.7, 45));
    }

    #[test]
    fn without_sampling_it_is_the_plain_gaussian_mechanism() {
        // order / (2 sigma^2) per step.
        assert_eq!(per_step(1.0, 2.0, 8), 1.0);
        assert!((per_step(1.0 - 1e-12, 2.0, 8) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn more_noise_fewer_steps_and_rarer_records_cost_less() {
        let base = epsilon(0.01, 1.0, 1000, 1e-5);
        assert!(epsilon(0.01, 1.2, 1000, 1e-5) < base);
        assert!(epsilon(0.01, 1.0, 900, 1e-5) < base);
        assert!(epsilon(0.009, 1.0, 1000, 1e-5) < base);
        assert!(epsilon(0.01, 1.0, 1000, 1e-6) > base);
    }
}
