//! Measured functions -> what each feature of a scan costs, and how far off that is.
//!
//! Least squares, with each function weighted by the inverse of its time (a
//! function that takes twice as long may be off by twice as much), and with no
//! cost below zero: such a fit would call a larger function a cheaper one.

use crate::clif::timed::TimedFunction;
use stencil::clif::scan::{Feature, Scan};

/// A constant, and one cost a feature.
const TERMS: usize = Feature::COUNT + 1;

/// Far more than are needed: the costs then change in digits that are not shown.
const SWEEPS: usize = 20_000;

/// A linear model: nanoseconds, of a function as such and of each feature in it.
#[derive(Clone, Debug)]
pub struct Fit {
    /// Of a function in which there is nothing.
    pub base_ns: f64,
    /// In the order of [`Feature::ALL`].
    pub costs_ns: [f64; Feature::COUNT],
}

/// How good estimates are on some functions.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// Functions.
    pub functions: usize,
    /// The share of the times' variance that the estimates explain.
    pub r_squared: f64,
    /// Half of the functions are off by less, as a share of their time.
    pub median_error: f64,
    /// Nine of ten functions are off by less, as a share of their time.
    pub ninth_decile_error: f64,
    /// The sum of the estimates, as a share of the sum of the times.
    pub total: f64,
}

fn terms(scan: &Scan) -> [f64; TERMS] {
    let mut terms = [1.0; TERMS];
    for (term, count) in terms.iter_mut().skip(1).zip(scan.counts()) {
        *term = f64::from(*count);
    }
    terms
}

/// Fits the model.
pub fn fit(timed: &[&TimedFunction]) -> Fit {
    let mut products = [[0.0; TERMS]; TERMS];
    let mut targets = [0.0; TERMS];
    for of in timed {
        let (terms, weight) = (terms(&of.scan), of.compile_ns.recip().powi(2));
        for (row, (products, target)) in products.iter_mut().zip(&mut targets).enumerate() {
            *target += weight * terms[row] * of.compile_ns;
            for (product, term) in products.iter_mut().zip(&terms) {
                *product += weight * terms[row] * term;
            }
        }
    }
    let costs = not_negative(&products, &targets);
    let mut costs_ns = [0.0; Feature::COUNT];
    costs_ns.copy_from_slice(&costs[1..]);
    Fit { base_ns: costs[0], costs_ns }
}

/// Minimises over one cost after the other until nothing changes any more.
fn not_negative(products: &[[f64; TERMS]; TERMS], targets: &[f64; TERMS]) -> [f64; TERMS] {
    let mut costs = [0.0; TERMS];
    for _ in 0..SWEEPS {
        for term in 0..TERMS {
            let row = &products[term];
            if row[term] > 0.0 {
                let given: f64 = row.iter().zip(&costs).map(|(product, cost)| product * cost).sum();
                costs[term] = f64::max(0.0, costs[term] + (targets[term] - given) / row[term]);
            }
        }
    }
    costs
}

impl Fit {
    /// The model that is in use.
    pub fn in_use() -> Self {
        let mut costs_ns = [0.0; Feature::COUNT];
        for (cost, feature) in costs_ns.iter_mut().zip(Feature::ALL) {
            *cost = f64::from(feature.compile_ns());
        }
        Self { base_ns: f64::from(Scan::BASE_COMPILE_NS), costs_ns }
    }

    /// Nanoseconds for a function.
    pub fn estimate(&self, scan: &Scan) -> f64 {
        let counts = scan.counts().iter().map(|count| f64::from(*count));
        counts.zip(self.costs_ns).fold(self.base_ns, |sum, (count, cost)| sum + count * cost)
    }

    /// Compares estimates and times; not a number if there are no functions.
    pub fn quality(&self, timed: &[&TimedFunction]) -> Quality {
        let count = timed.len() as f64;
        let sum: f64 = timed.iter().map(|of| of.compile_ns).sum();
        let estimated: f64 = timed.iter().map(|of| self.estimate(&of.scan)).sum();
        let squares = |off: &dyn Fn(&TimedFunction) -> f64| -> f64 {
            timed.iter().map(|of| off(of).powi(2)).sum()
        };
        let unexplained = squares(&|of| of.compile_ns - self.estimate(&of.scan));
        let variance = squares(&|of| of.compile_ns - sum / count);
        let error = |of: &&TimedFunction| (self.estimate(&of.scan) / of.compile_ns - 1.0).abs();
        let mut errors: Vec<f64> = timed.iter().map(error).collect();
        errors.sort_by(f64::total_cmp);
        let at = |share: f64| errors.get((count * share) as usize).copied().unwrap_or(f64::NAN);
        Quality {
            functions: timed.len(),
            r_squared: 1.0 - unexplained / variance,
            median_error: at(0.5),
            ninth_decile_error: at(0.9),
            total: estimated / sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function of so many constants that compiles in this time.
    fn timed(constants: usize, compile_ns: f64) -> TimedFunction {
        let constants: String =
            (0..constants).map(|nth| format!("v{nth} = iconst.i8 1\n")).collect();
        let text = format!("function %f() {{ block0:\n{constants} return }}");
        let scan = Scan::of(&cranelift_reader::parse_functions(&text).unwrap()[0]);
        TimedFunction { scan, compile_ns, first_scan_ns: 1.0, scan_ns: 1.0, key_ns: 1.0 }
    }

    #[test]
    fn times_that_are_linear_are_estimated_exactly() {
        let linear: Vec<_> = [0, 1, 5, 20, 100].map(|n| timed(n, 900.0 + 40.0 * n as f64)).into();
        let model = fit(&linear.iter().collect::<Vec<_>>());
        let unseen = timed(50, 2900.0);
        let quality = model.quality(&linear.iter().chain([&unseen]).collect::<Vec<_>>());
        assert!(quality.ninth_decile_error < 1e-3 && quality.r_squared > 0.999, "{quality:?}");
        let wrong = timed(50, 5800.0);
        assert!(model.quality(&[&wrong]).median_error > 0.4);
    }

    #[test]
    fn no_cost_is_below_zero() {
        let falling: Vec<_> = [0, 1, 5, 20].map(|n| timed(n, 900.0 - 40.0 * n as f64)).into();
        let model = fit(&falling.iter().collect::<Vec<_>>());
        assert!(model.base_ns > 0.0 && model.costs_ns.iter().all(|cost| *cost >= 0.0));
    }
}
