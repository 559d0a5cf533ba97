use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::{
    types::{Outcome, Score},
    vote::{proposer_verdict, voter_verdict},
};

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    name: String,
    outcome: Outcome,
    pool: Amount,
    total_rounds: u32,
    round: u32,
    slashed_per_stake: String,
    bonus_ratio: u16,
    participants: Vec<Row>,
    slashed_total: Amount,
    bonus: Amount,
    pot: Amount,
    rewarded_total: Amount,
    pool_after: Amount,
}

#[derive(Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Row {
    Proposer {
        contributed: bool,
        included: bool,
        #[serde(flatten)]
        common: Common,
    },
    Voter {
        revealed: bool,
        winning: bool,
        score: i8,
        #[serde(flatten)]
        common: Common,
    },
}

#[derive(Deserialize)]
struct Common {
    stake: Amount,
    left: Amount,
    verdict: String,
    slashed: Amount,
    rewarded: Amount,
}

impl Row {
    fn common(&self) -> &Common {
        match self {
            Self::Proposer { common, .. } | Self::Voter { common, .. } => common,
        }
    }

    fn verdict(&self, outcome: Outcome) -> Verdict {
        match *self {
            Self::Proposer {
                contributed, included, ..
            } => proposer_verdict(outcome, contributed, included),
            Self::Voter {
                revealed,
                winning,
                score,
                ..
            } => voter_verdict(outcome, revealed.then(|| (Score::try_from(score).unwrap(), winning))),
        }
    }
}

#[test]
fn every_row_of_the_outcome_table_moves_the_money_that_the_contract_moves() {
    let vectors: Vectors = serde_json::from_str(include_str!("../../../contracts/test/vectors/money.json")).unwrap();
    assert!(vectors.cases.len() >= 9);
    for case in vectors.cases {
        let name = &case.name;
        let verdicts: Vec<Verdict> = case.participants.iter().map(|row| row.verdict(case.outcome)).collect();
        let named = verdicts.iter().map(|v| format!("{v:?}").to_lowercase());
        assert!(
            named.eq(case.participants.iter().map(|row| row.common().verdict.clone())),
            "{name}: {verdicts:?}"
        );

        let entries: Vec<Entry> = case
            .participants
            .iter()
            .zip(&verdicts)
            .map(|(row, &verdict)| Entry {
                verdict,
                voter: matches!(row, Row::Voter { .. }),
                stake: row.common().stake,
                left: row.common().left,
            })
            .collect();
        let terms = Terms {
            pool: case.pool,
            rounds_left: case.total_rounds - case.round,
            slashed_per_stake: case.slashed_per_stake.parse().unwrap(),
            bonus_ratio: case.bonus_ratio,
            rejected: case.outcome == Outcome::Rejected,
        };
        let expected = Settlement {
            slashed: case.participants.iter().map(|row| row.common().slashed).collect(),
            rewarded: case.participants.iter().map(|row| row.common().rewarded).collect(),
            slashed_total: case.slashed_total,
            bonus: case.bonus,
            pot: case.pot,
            rewarded_total: case.rewarded_total,
            pool: case.pool_after,
        };
        assert_eq!(settle(&terms, &entries), expected, "{name}");
    }
}

fn entry() -> impl Strategy<Value = Entry> {
    let verdict = prop_oneof![Just(Verdict::None), Just(Verdict::Good), Just(Verdict::Bad)];
    (verdict, any::<bool>(), any::<u128>(), any::<u128>()).prop_map(|(verdict, voter, stake, left)| Entry {
        verdict,
        voter,
        stake: (stake >> 8).into(),
        left: (left >> 8).into(),
    })
}

proptest! {
    #[test]
    fn no_settlement_makes_or_loses_a_unit(
        entries in prop::collection::vec(entry(), 0..100),
        pool in any::<u128>(),
        rounds_left in 0u32..10_001,
        slashed_per_stake in 0u64..=RATE_ONE,
        bonus_ratio in 0u16..=2000,
        rejected in any::<bool>(),
    ) {
        let terms = Terms { pool: pool.into(), rounds_left, slashed_per_stake, bonus_ratio, rejected };
        let s = settle(&terms, &entries);
        prop_assert_eq!(terms.pool.0 + s.slashed_total.0, s.pool.0 + s.bonus.0 + s.rewarded_total.0);
        prop_assert!(s.rewarded_total <= s.pot);
        for (entry, slashed) in entries.iter().zip(&s.slashed) {
            prop_assert!(*slashed <= entry.left);
        }
    }
}
