use super::*;

const GWEI: u128 = 1_000_000_000;

fn seen(head: u64, nonce: u64) -> Observation {
    Observation {
        head,
        head_time: Timestamp(1000 + head),
        nonce,
        pending_nonce: nonce,
        market: Market::Dynamic {
            base_fee: 10 * GWEI,
            tip: GWEI,
        },
        mined: None,
        own_offer: None,
        foreign_since: None,
        fenced: false,
    }
}

fn hash(n: u8) -> B256 {
    B256::repeat_byte(n)
}

/// A state with one accepted attempt at nonce 5, made at block 10.
fn sent() -> SendState {
    let mut state = SendState::new(Some(Timestamp(2000)));
    let step = state.next(&Policy::default(), &seen(10, 5));
    let Step::Send { nonce: 5, fees } = step else {
        panic!("{step:?}")
    };
    state.signed(hash(1), 5, fees, 10);
    state.accepted(10);
    state
}

fn price(step: Step) -> (u64, u128) {
    match step {
        Step::Send { nonce, fees } => (nonce, fees.most()),
        other => panic!("expected an offer, got {other:?}"),
    }
}

#[test]
fn a_first_offer_is_made_at_the_chains_nonce() {
    let mut state = SendState::new(None);
    assert_eq!(price(state.next(&Policy::default(), &seen(10, 5))), (5, 21 * GWEI));
    assert!(state.untouched());
}

#[test]
fn an_offer_in_the_pool_is_waited_for_and_then_raised_at_the_same_nonce() {
    let mut state = sent();
    let policy = Policy::default();
    for head in 10..13 {
        assert_eq!(
            state.next(&policy, &seen(head, 5)),
            Step::Wait(Waiting::Mining),
            "block {head}"
        );
    }
    let (nonce, most) = price(state.next(&policy, &seen(13, 5)));
    assert_eq!(nonce, 5);
    assert!(most * 10 >= 21 * GWEI * 11, "{most}");
}

#[test]
fn whichever_attempt_is_mined_ends_it() {
    let mut state = sent();
    let (nonce, _) = price(state.next(&Policy::default(), &seen(13, 5)));
    state.signed(
        hash(2),
        nonce,
        Fees::Dynamic {
            max_fee: 30 * GWEI,
            tip: 2 * GWEI,
        },
        13,
    );
    state.accepted(13);
    assert_eq!(state.hashes().collect::<Vec<_>>(), [hash(2), hash(1)]);
    let mined = Observation {
        mined: Some(hash(1)),
        ..seen(14, 6)
    };
    assert_eq!(state.next(&Policy::default(), &mined), Step::Done(hash(1)));
}

#[test]
fn a_mined_attempt_counts_even_after_the_deadline_and_behind_the_fence() {
    let mut state = sent();
    let late = Observation {
        mined: Some(hash(1)),
        head_time: Timestamp(9999),
        fenced: true,
        ..seen(99, 6)
    };
    assert_eq!(state.next(&Policy::default(), &late), Step::Done(hash(1)));
}

#[test]
fn a_lost_answer_is_met_with_the_same_transaction_again() {
    let mut state = SendState::new(None);
    let policy = Policy::default();
    let Step::Send { nonce, fees } = state.next(&policy, &seen(10, 5)) else {
        panic!()
    };
    state.signed(hash(1), nonce, fees, 10);
    assert_eq!(state.next(&policy, &seen(10, 5)), Step::Repeat);
    assert_eq!(state.next(&policy, &seen(11, 5)), Step::Repeat);
    state.accepted(11);
    assert_eq!(state.next(&policy, &seen(11, 5)), Step::Wait(Waiting::Mining));
}

#[test]
fn a_nonce_used_by_somebody_else_is_believed_after_some_blocks_and_begun_anew() {
    let mut state = sent();
    let policy = Policy::default();
    assert_eq!(state.next(&policy, &seen(11, 6)), Step::Wait(Waiting::Settling));
    assert_eq!(state.next(&policy, &seen(12, 6)), Step::Wait(Waiting::Settling));
    assert_eq!(state.next(&policy, &seen(13, 6)), Step::Restart);
    assert!(state.untouched());
    assert_eq!(price(state.next(&policy, &seen(13, 6))).0, 6);
}

#[test]
fn an_endpoint_that_lies_about_the_nonce_for_a_moment_changes_nothing() {
    let mut state = sent();
    let policy = Policy::default();
    assert_eq!(state.next(&policy, &seen(11, 6)), Step::Wait(Waiting::Settling));
    assert_eq!(state.next(&policy, &seen(11, 5)), Step::Wait(Waiting::Mining));
    // The next lie starts its own count.
    assert_eq!(state.next(&policy, &seen(12, 4)), Step::Wait(Waiting::Settling));
    assert_eq!(state.next(&policy, &seen(13, 4)), Step::Wait(Waiting::Settling));
}

#[test]
fn a_reorg_that_takes_earlier_nonces_away_begins_anew_at_the_chains_nonce() {
    let mut state = sent();
    let policy = Policy::default();
    assert_eq!(state.next(&policy, &seen(11, 3)), Step::Wait(Waiting::Settling));
    assert_eq!(state.next(&policy, &seen(13, 3)), Step::Restart);
    assert_eq!(price(state.next(&policy, &seen(13, 3))).0, 3);
}

#[test]
fn an_earlier_offer_of_ours_at_the_nonce_is_outbid_and_not_taken_for_foreign() {
    let mut state = SendState::new(None);
    let own = Fees::Dynamic {
        max_fee: 50 * GWEI,
        tip: 2 * GWEI,
    };
    let o = Observation {
        own_offer: Some(own),
        pending_nonce: 6,
        foreign_since: Some(1),
        ..seen(10, 5)
    };
    let (nonce, most) = price(state.next(&Policy::default(), &o));
    assert_eq!(nonce, 5);
    assert!(most * 10 >= 50 * GWEI * 11, "{most}");
}

#[test]
fn an_offer_of_dearer_times_that_no_pool_holds_any_more_is_not_outbid() {
    let dear = Observation {
        own_offer: Some(Fees::Dynamic {
            max_fee: 500 * GWEI,
            tip: 2 * GWEI,
        }),
        ..seen(10, 5)
    };
    let (nonce, most) = price(SendState::new(None).next(&Policy::default(), &dear));
    assert_eq!((nonce, most), (5, 21 * GWEI));
    let held = Observation {
        pending_nonce: 6,
        ..dear
    };
    let step = SendState::new(None).next(&Policy::default(), &held);
    assert!(matches!(step, Step::Wait(Waiting::FeeCap { .. })), "{step:?}");
}

#[test]
fn a_foreign_pending_transaction_is_waited_for_and_then_said() {
    let policy = Policy::default();
    let mut state = SendState::new(None);
    let foreign = |head| Observation {
        pending_nonce: 6,
        foreign_since: Some(10),
        ..seen(head, 5)
    };
    assert_eq!(
        state.next(&policy, &foreign(10)),
        Step::Wait(Waiting::Foreign { nonce: 5 })
    );
    assert_eq!(
        state.next(&policy, &foreign(11)),
        Step::Wait(Waiting::Foreign { nonce: 5 })
    );
    assert_eq!(
        state.next(&policy, &foreign(12)),
        Step::Fail(GiveUp::Foreign { nonce: 5 })
    );
    // Once it is mined, our turn comes.
    assert_eq!(price(state.next(&policy, &seen(13, 6))).0, 6);
}

#[test]
fn a_duty_with_a_deadline_takes_over_the_nonce_of_a_stuck_foreign_transaction() {
    let policy = Policy::default();
    let mut state = SendState::new(Some(Timestamp(2000)));
    let foreign = |head| Observation {
        pending_nonce: 6,
        foreign_since: Some(10),
        ..seen(head, 5)
    };
    for head in 10..16 {
        assert_eq!(
            state.next(&policy, &foreign(head)),
            Step::Wait(Waiting::Foreign { nonce: 5 }),
            "block {head}"
        );
    }
    let (nonce, most) = price(state.next(&policy, &foreign(16)));
    assert_eq!(nonce, 5);
    assert!(most > 21 * GWEI, "it must outbid an ordinary offer: {most}");
    // The node says that it is still too low: raised at once, not after some blocks.
    state.signed(
        hash(1),
        5,
        Fees::Dynamic {
            max_fee: most,
            tip: 2 * GWEI,
        },
        16,
    );
    state.priced_too_low();
    assert!(price(state.next(&policy, &foreign(16))).1 > most);
}

#[test]
fn nothing_is_broadcast_behind_the_fence() {
    let policy = Policy::default();
    let fenced = |head| Observation {
        fenced: true,
        ..seen(head, 5)
    };
    let mut state = SendState::new(Some(Timestamp(2000)));
    assert_eq!(state.next(&policy, &fenced(10)), Step::Wait(Waiting::Fenced));
    let mut state = sent();
    assert_eq!(
        state.next(&policy, &fenced(30)),
        Step::Wait(Waiting::Fenced),
        "no bump either"
    );
    let mut state = SendState::new(Some(Timestamp(1005)));
    assert_eq!(state.next(&policy, &fenced(10)), Step::Fail(GiveUp::Fenced));
}

#[test]
fn a_price_above_the_cap_is_said_at_once_whether_there_is_a_deadline_or_not() {
    let policy = Policy {
        fee_cap: Some(5 * GWEI),
        ..Policy::default()
    };
    let (needed, cap) = (11 * GWEI, 5 * GWEI);
    for deadline in [None, Some(Timestamp(1020))] {
        let mut state = SendState::new(deadline);
        assert_eq!(
            state.next(&policy, &seen(10, 5)),
            Step::Fail(GiveUp::FeeCap { needed, cap })
        );
    }
}

#[test]
fn at_the_cap_the_last_offer_is_repeated_since_a_node_may_have_dropped_it() {
    let policy = Policy {
        fee_cap: Some(22 * GWEI),
        ..Policy::default()
    };
    let mut state = SendState::new(None);
    let Step::Send { nonce, fees } = state.next(&policy, &seen(10, 5)) else {
        panic!()
    };
    state.signed(hash(1), nonce, fees, 10);
    state.accepted(10);
    assert_eq!(state.next(&policy, &seen(13, 5)), Step::Repeat);
    assert_eq!(state.next(&policy, &seen(14, 5)), Step::Wait(Waiting::Mining));
    assert_eq!(state.next(&policy, &seen(16, 5)), Step::Repeat);
}

#[test]
fn without_a_cap_bumps_stop_at_ten_times_the_first_market() {
    let policy = Policy::default();
    let mut state = sent();
    let mut head = 10;
    let mut offers = 0;
    loop {
        head += policy.bump_after;
        match state.next(&policy, &seen(head, 5)) {
            Step::Send { nonce, fees } => {
                assert!(fees.most() <= 110 * GWEI, "{fees:?}");
                offers += 1;
                assert!(offers < 50);
                state.signed(hash(offers), nonce, fees, head);
                state.accepted(head);
            }
            Step::Repeat => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(offers >= 5, "{offers}");
}

#[test]
fn a_deadline_ends_the_waiting_and_names_the_transaction_left_behind() {
    let mut state = sent();
    let late = Observation {
        head_time: Timestamp(2000),
        ..seen(11, 5)
    };
    assert_eq!(
        state.next(&Policy::default(), &late),
        Step::Fail(GiveUp::NotMined(Some(hash(1))))
    );
    let mut state = SendState::new(Some(Timestamp(2000)));
    assert_eq!(
        state.next(&Policy::default(), &late),
        Step::Fail(GiveUp::NotMined(None))
    );
}

#[test]
fn a_call_without_deadline_is_given_up_after_many_blocks() {
    let policy = Policy {
        bump_after: 100,
        ..Policy::default()
    };
    let mut state = SendState::new(None);
    let Step::Send { nonce, fees } = state.next(&policy, &seen(10, 5)) else {
        panic!()
    };
    state.signed(hash(1), nonce, fees, 10);
    state.accepted(10);
    assert_eq!(state.next(&policy, &seen(59, 5)), Step::Wait(Waiting::Mining));
    assert_eq!(
        state.next(&policy, &seen(60, 5)),
        Step::Fail(GiveUp::NotMined(Some(hash(1))))
    );
}

#[test]
fn a_legacy_chain_is_offered_a_gas_price() {
    let market = Market::Legacy { gas_price: 7 * GWEI };
    let mut state = SendState::new(None);
    let o = Observation { market, ..seen(10, 5) };
    assert_eq!(
        state.next(&Policy::default(), &o),
        Step::Send {
            nonce: 5,
            fees: Fees::Legacy { gas_price: 7 * GWEI }
        }
    );
}
