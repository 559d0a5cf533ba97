//! The table: one kind of weather a row.

use alloy::primitives::U256;

use super::{
    Row, fails_as, mined_once, raised_at_one_nonce,
    stage::{Broadcast, GWEI, HEAD, NONCE, Trouble},
};

#[rustfmt::skip]
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            says: "a call is one transaction at the chain's nonce",
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert_eq!((chain.offers.len(), chain.offers[0].nonce), (1, NONCE));
                assert!(!chain.offers[0].legacy);
            },
            ..Row::default()
        },
        Row {
            says: "five calls of one key are never two transactions at once",
            calls: 5,
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert_eq!(chain.most_pending, 1);
                let nonces: Vec<u64> = chain.offers.iter().map(|tx| tx.nonce).collect();
                assert_eq!(nonces, [5, 6, 7, 8, 9]);
            },
            ..Row::default()
        },
        Row {
            says: "what blocks pass over is offered for more, at the same nonce, until one takes it",
            each: |chain, block| chain.full = block < 10,
            holds: |chain, answers| { mined_once(chain, answers); raised_at_one_nonce(chain); },
            ..Row::default()
        },
        Row {
            says: "a base fee that rises above the offer is followed up to the cap and no further, and paid when it falls",
            fee_cap: Some(50 * GWEI),
            each: |chain, block| chain.base_fee = Some(if block < 30 { 200 * GWEI } else { 40 * GWEI }),
            holds: |chain, answers| {
                mined_once(chain, answers);
                raised_at_one_nonce(chain);
                let highest = chain.offers.iter().map(|tx| tx.most).max().unwrap();
                assert!((45 * GWEI..=50 * GWEI).contains(&highest), "{highest}");
            },
            ..Row::default()
        },
        Row {
            says: "an offer at the cap that the node refuses is made again when the chain asks for less",
            fee_cap: Some(21 * GWEI),
            deadline: Some(600),
            given: |chain| chain.next_broadcasts.push_back(Broadcast::Refused("max fee per gas less than block base fee")),
            each: |chain, block| chain.base_fee = Some(if block < 8 { 30 * GWEI } else { 15 * GWEI }),
            ..Row::default()
        },
        Row {
            says: "without a cap of its own an offer stops at ten times what the chain asked at first",
            each: |chain, _| chain.base_fee = Some(1_000 * GWEI),
            deadline: Some(12 * 60),
            holds: |chain, answers| {
                fails_as(answers, "not-mined");
                assert!(chain.offers.iter().all(|tx| tx.most <= 110 * GWEI), "{:?}", chain.offers);
            },
            ..Row::default()
        },
        Row {
            says: "where a chain asks for more than the cap from the start, that is said in the same block and nothing is sent",
            fee_cap: Some(5 * GWEI),
            deadline: Some(60),
            each: |_, _| panic!("nothing is waited for"),
            holds: |chain, answers| { fails_as(answers, "fee-cap"); assert!(chain.offers.is_empty()); },
            ..Row::default()
        },
        Row {
            says: "a chain without EIP-1559 is offered a gas price, and a higher one after some blocks",
            given: |chain| chain.base_fee = None,
            each: |chain, block| chain.full = block < 6,
            holds: |chain, answers| {
                mined_once(chain, answers);
                raised_at_one_nonce(chain);
                assert!(chain.offers.iter().all(|tx| tx.legacy));
                assert_eq!(chain.offers[0].most, 7 * GWEI);
            },
            ..Row::default()
        },
        Row {
            says: "a transaction that the node's pool dropped is sent again",
            each: |chain, block| match block {
                1 => { chain.full = true; chain.pool.clear(); }
                2 => chain.full = false,
                _ => {}
            },
            ..Row::default()
        },
        Row {
            says: "at the cap a dropped transaction is sent again as it was",
            fee_cap: Some(21 * GWEI),
            each: |chain, block| if block == 1 { chain.pool.clear() },
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert_eq!(chain.offers[0].hash, chain.offers[1].hash, "the very same");
            },
            ..Row::default()
        },
        Row {
            says: "a transaction replaced by somebody else's is sent anew at the next nonce",
            each: |chain, block| if block == 1 { chain.foreign(NONCE, 500 * GWEI) },
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert!(!chain.mined[0].0.ours);
                assert_eq!(chain.mined[1].0.nonce, NONCE + 1);
            },
            ..Row::default()
        },
        Row {
            says: "somebody else's pending transaction is waited for",
            given: |chain| chain.foreign(NONCE, 100 * GWEI),
            each: |chain, block| chain.full = block < 2,
            deadline: Some(600),
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert_eq!(chain.offers.iter().map(|tx| tx.nonce).collect::<Vec<_>>(), [NONCE + 1]);
            },
            ..Row::default()
        },
        Row {
            says: "somebody else's transaction that stays pending is said to who can wait",
            given: |chain| { chain.foreign(NONCE, 100 * GWEI); chain.full = true; },
            holds: |chain, answers| { fails_as(answers, "foreign-pending"); assert!(chain.offers.is_empty()); },
            ..Row::default()
        },
        Row {
            says: "a duty takes the nonce of a foreign transaction that no block takes",
            given: |chain| chain.foreign(NONCE, 5 * GWEI),
            deadline: Some(3600),
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert_eq!(chain.mined.len(), 1, "theirs is gone");
                assert!(chain.mined[0].1 >= HEAD + 6, "not before it was stuck");
            },
            ..Row::default()
        },
        Row {
            says: "an answer that got lost makes no second transaction",
            given: |chain| chain.next_broadcasts.push_back(Broadcast::AnswerLost),
            holds: |chain, answers| { mined_once(chain, answers); assert_eq!(chain.offers.len(), 1); },
            ..Row::default()
        },
        Row {
            says: "a broadcast that got lost is made again, with the same transaction",
            given: |chain| chain.next_broadcasts.extend([Broadcast::Lost, Broadcast::Lost]),
            holds: |chain, answers| { mined_once(chain, answers); assert_eq!(chain.offers.len(), 1); },
            ..Row::default()
        },
        Row {
            says: "an offer that the node finds too low is raised at once",
            given: |chain| chain.next_broadcasts.push_back(Broadcast::Refused("max fee per gas less than block base fee")),
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert!(chain.offers[0].most > 21 * GWEI && chain.mined[0].1 == HEAD + 1);
            },
            ..Row::default()
        },
        Row {
            says: "a nonce that somebody else used while we signed is found out and the next one taken",
            given: |chain| chain.next_broadcasts.push_back(Broadcast::Refused("nonce too low")),
            each: |chain, block| if block == 1 { chain.foreign(NONCE, 100 * GWEI) },
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert_eq!(chain.mined.last().unwrap().0.nonce, NONCE + 1);
            },
            ..Row::default()
        },
        Row {
            says: "a reorg that takes our transaction out again is waited out, and nothing is reported that is not there",
            given: |chain| chain.at_receipt = Some(|chain| { chain.reorg(1); chain.full = true; }),
            each: |chain, block| if block == 5 { chain.full = false },
            holds: |chain, answers| {
                mined_once(chain, answers);
                let told = answers[0].as_ref().unwrap();
                assert_eq!((told.transaction, told.block), (chain.mined[0].0.hash, chain.mined[0].1));
                assert!(told.block >= HEAD + 5);
            },
            ..Row::default()
        },
        Row {
            says: "a reorg that takes an earlier nonce away has the call sent at that one",
            given: |chain| { chain.foreign(NONCE, 100 * GWEI); chain.mine(); },
            each: |chain, block| match block {
                2 => { chain.reorg(2); chain.pool.clear(); chain.full = true; }
                3.. => chain.full = false,
                _ => chain.full = true,
            },
            holds: |chain, answers| {
                assert!(answers[0].is_ok(), "{answers:?}");
                assert_eq!((chain.mined[0].0.nonce, chain.mined[0].0.ours), (NONCE, true));
            },
            ..Row::default()
        },
        Row {
            says: "an endpoint that lies about the nonce for a block or two changes nothing",
            each: |chain, block| {
                chain.full = block < 4;
                match block {
                    1 => { chain.trouble.insert(0, Trouble::Lying(3)); }
                    2 => { chain.trouble.insert(0, Trouble::Lying(-2)); }
                    _ => { chain.trouble.clear(); }
                }
            },
            holds: |chain, answers| {
                mined_once(chain, answers);
                assert!(chain.offers.iter().all(|tx| tx.nonce == NONCE), "{:?}", chain.offers);
            },
            ..Row::default()
        },
        Row {
            says: "a head that goes back is not believed, and the transaction is followed when it comes on",
            each: |chain, block| match block {
                1..4 => { chain.full = true; chain.trouble.extend([(0, Trouble::Behind(20)), (1, Trouble::Behind(20))]); }
                _ => { chain.full = false; chain.trouble.clear(); }
            },
            ..Row::default()
        },
        Row {
            says: "an endpoint that lags is left for one that does not",
            each: |chain, block| if block >= 1 { chain.trouble.insert(0, Trouble::Behind(20)); },
            ..Row::default()
        },
        Row {
            says: "a rate limit sends us to the other endpoint",
            given: |chain| { chain.trouble.insert(0, Trouble::RateLimited); },
            ..Row::default()
        },
        Row {
            says: "an endpoint that pruned the block it announced is left for one that has it",
            given: |chain| { chain.trouble.insert(0, Trouble::Pruned); },
            ..Row::default()
        },
        Row {
            says: "endpoints that are all away after the broadcast are waited for",
            each: |chain, block| match block {
                1..10 => { chain.trouble.extend([(0, Trouble::Down), (1, Trouble::RateLimited)]); }
                _ => chain.trouble.clear(),
            },
            ..Row::default()
        },
        Row {
            says: "endpoints that are all away before the broadcast are told at once",
            given: |chain| { chain.trouble.extend([(0, Trouble::Down), (1, Trouble::Down)]); },
            holds: |chain, answers| { fails_as(answers, "unreachable"); assert_eq!(chain.head, HEAD); },
            ..Row::default()
        },
        Row {
            says: "a call that would revert is not sent",
            given: |chain| chain.reverts = true,
            holds: |chain, answers| { fails_as(answers, "reverted"); assert!(chain.offers.is_empty()); },
            ..Row::default()
        },
        Row {
            says: "a key that cannot pay for the whole limit is told before anything is sent",
            given: |chain| chain.balance = U256::from(1000),
            holds: |chain, answers| { fails_as(answers, "low-funds"); assert!(chain.offers.is_empty()); },
            ..Row::default()
        },
        Row {
            says: "nothing is broadcast without the lease, and all is with it",
            given: |chain| chain.leader = false,
            each: |chain, block| if block == 5 { chain.leader = true },
            holds: |chain, answers| { mined_once(chain, answers); assert!(chain.mined[0].1 > HEAD + 5); },
            ..Row::default()
        },
        Row {
            says: "a lease that is lost after the broadcast raises nothing, and what is mined is still told",
            each: |chain, block| { chain.leader = block < 1; chain.full = block < 12; },
            holds: |chain, answers| { mined_once(chain, answers); assert_eq!(chain.offers.len(), 1); },
            ..Row::default()
        },
        Row {
            says: "a deadline that passes ends it and names what was left behind",
            each: |chain, _| chain.full = true,
            deadline: Some(120),
            holds: |chain, answers| {
                fails_as(answers, "not-mined");
                let last = chain.offers.last().unwrap().hash.to_string();
                assert!(answers[0].as_ref().unwrap_err().to_string().contains(&last));
            },
            ..Row::default()
        },
    ]
}
