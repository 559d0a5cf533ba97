//! Tokens, coin for gas and its price: what is missing is said, and nothing is sent until it is there.

use std::time::Duration;

use crds::conditions::{reason, types};
use protocol::{job::Step, types::Amount};

use super::bad_input::{held, recovers};
use crate::testing::{World, checked};

#[tokio::test]
async fn a_stake_below_the_entry_and_too_few_tokens() {
    let world = World::new();
    world
        .chain
        .edit(|state| state.now.parameters.entry_stake = Amount::from(u128::MAX));
    world.reconcile().await.unwrap();
    assert_eq!(held(&world, None), reason::STAKE_BELOW_ENTRY);
    assert!(world.condition(types::STALLED, "True").is_some());
    world.chain.edit(|state| {
        state.now.parameters.entry_stake = Amount::from(1);
        state.now.accounts[0].token_balance = Amount::from(1);
    });
    world.reconcile().await.unwrap();
    assert_eq!(held(&world, Some(types::FUNDED)), reason::NOT_ENOUGH_TOKENS);
    world
        .chain
        .edit(|state| state.now.accounts[0].token_balance = Amount::from(u128::MAX));
    recovers(&world).await;
}

#[tokio::test]
async fn a_key_without_funds() {
    let world = World::new();
    // A little less than a round costs: once drawn, a call that cannot be paid would cost stake.
    world
        .chain
        .edit(|state| state.now.accounts[0].native_balance = Amount::from(1_500_000 * state.price - 1));
    world.reconcile().await.unwrap();
    world.succeed(Step::Check, checked());
    world.reconcile().await.unwrap();
    assert_eq!(held(&world, Some(types::FUNDED)), reason::LOW_FUNDS);
    world
        .chain
        .edit(|state| state.now.accounts[0].native_balance = Amount::from(u128::MAX));
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["approve", "stake", "joinRound"]);
}

#[tokio::test]
async fn a_chain_that_asks_for_more_than_the_cap() {
    let world = World::new();
    world.reconcile().await.unwrap();
    world.succeed(Step::Check, checked());
    world.chain.edit(|state| state.fee_cap = state.price - 1);
    let next = world.reconcile().await.unwrap();
    assert!(next.is_some_and(|next| next <= Duration::from_secs(12)), "{next:?}");
    assert_eq!(held(&world, None), reason::FEE_CAP_REACHED);
    world.chain.edit(|state| state.fee_cap = state.price);
    world.reconcile().await.unwrap();
    assert_eq!(world.chain.sent(), ["approve", "stake", "joinRound"]);
}
