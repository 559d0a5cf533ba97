#![forbid(unsafe_code)]
//! The controller's reconciles, sender and ledger against a simulated API server, chain, gateway, trainer and clock.
//!
//! One seed decides everything: what goes wrong, when, and in which order things happen. The same seed gives the same run.

mod api;
mod blocks;
mod calls;
mod chain;
mod checks;
mod contract;
mod deletion;
mod endpoint;
mod faults;
mod foreign;
mod gateway;
mod keys;
mod manifests;
mod others;
mod plan;
mod port;
mod ports;
mod process;
mod random;
mod reorgs;
pub mod report;
mod round;
mod run;
mod sent;
mod settlement;
mod time;
mod trace;
mod trainer;
mod view;
mod wire;
mod world;

pub use plan::Bug;
pub use run::{Report, run};

#[cfg(test)]
mod tests {
    use super::{Bug, run};

    #[test]
    fn the_same_seed_gives_the_same_run_and_another_seed_another() {
        let runs: Vec<(u64, u64)> = [3, 3, 5]
            .map(|seed| run(seed, None, false))
            .map(|r| (r.hash, r.calls))
            .to_vec();
        assert_eq!(runs[0], runs[1]);
        assert_ne!(runs[0], runs[2]);
    }

    #[test]
    fn a_planted_bug_is_found_where_the_code_without_it_passes() {
        for bug in [Bug::SaltNotStored, Bug::ResultOfOtherInput] {
            let found = (0..20).find(|&seed| !run(seed, Some(bug), false).violations.is_empty());
            let seed = found.unwrap_or_else(|| panic!("{bug:?} was not found"));
            assert_eq!(run(seed, None, false).violations, [""; 0]);
        }
    }
}
