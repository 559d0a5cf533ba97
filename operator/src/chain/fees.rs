//! What to offer per unit of gas.

/// A price in wei per gas, of either kind of chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fees {
    Legacy { gas_price: u128 },
    Dynamic { max_fee: u128, tip: u128 },
}

/// What the chain asks at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Market {
    Legacy {
        gas_price: u128,
    },
    /// `base_fee` of the newest block.
    Dynamic {
        base_fee: u128,
        tip: u128,
    },
}

impl Market {
    /// What a transaction must offer at the least to be in the next block, give or take.
    pub fn least(self) -> u128 {
        match self {
            Self::Legacy { gas_price } => gas_price,
            Self::Dynamic { base_fee, .. } => base_fee,
        }
    }
}

/// The chain wants more than we may pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverCap {
    pub needed: u128,
    pub cap: u128,
}

/// Nodes take a replacement only if it offers at least this much more.
const LEAST_BUMP_PERCENT: u128 = 10;

impl Fees {
    /// The most this can cost per gas.
    pub fn most(self) -> u128 {
        match self {
            Self::Legacy { gas_price } => gas_price,
            Self::Dynamic { max_fee, .. } => max_fee,
        }
    }

    /// A first offer: room for the base fee to double, within the cap.
    pub fn offer(market: Market, cap: Option<u128>) -> Result<Self, OverCap> {
        let cap = cap.unwrap_or(u128::MAX);
        match market {
            Market::Legacy { gas_price } if gas_price > cap => Err(OverCap { needed: gas_price, cap }),
            Market::Legacy { gas_price } => Ok(Self::Legacy {
                gas_price: gas_price.max(1),
            }),
            Market::Dynamic { base_fee, tip } => {
                let needed = base_fee.saturating_add(tip);
                if needed > cap {
                    return Err(OverCap { needed, cap });
                }
                let max_fee = base_fee.saturating_mul(2).saturating_add(tip).min(cap).max(1);
                Ok(Self::Dynamic {
                    max_fee,
                    tip: tip.min(max_fee),
                })
            }
        }
    }

    /// An offer that replaces `self`: higher by `percent` at least, and no lower than the market asks. At the cap the
    /// least rise that nodes accept is tried; `None` if not even that fits.
    pub fn bump(self, market: Market, percent: u32, cap: Option<u128>) -> Option<Self> {
        let cap = cap.unwrap_or(u128::MAX);
        let percent = u128::from(percent).max(LEAST_BUMP_PERCENT);
        // A chain whose kind of fees changed under us: an offer of the new kind, no lower than the old one.
        let fresh = Self::offer(market, Some(cap)).ok();
        let raise = |old: u128, asked: u128| {
            let least = raised(old, LEAST_BUMP_PERCENT);
            let wanted = raised(old, percent).max(asked);
            (least <= cap).then(|| wanted.min(cap))
        };
        match (self, fresh) {
            (Self::Dynamic { max_fee, tip }, fresh) => {
                let (asked, asked_tip) = match fresh {
                    Some(Self::Dynamic { max_fee, tip }) => (max_fee, tip),
                    _ => (0, 0),
                };
                let max_fee = raise(max_fee, asked)?;
                let tip = raise(tip, asked_tip)?;
                Some(Self::Dynamic {
                    max_fee,
                    tip: tip.min(max_fee),
                })
            }
            (Self::Legacy { gas_price }, fresh) => {
                let asked = fresh.map_or(0, Self::most);
                Some(Self::Legacy {
                    gas_price: raise(gas_price, asked)?,
                })
            }
        }
    }
}

/// Rounded up, and more than before even for tiny prices.
fn raised(old: u128, percent: u128) -> u128 {
    old.saturating_add(old.saturating_mul(percent).div_ceil(100).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GWEI: u128 = 1_000_000_000;

    #[test]
    fn a_first_offer_leaves_room_for_the_base_fee_and_stays_below_the_cap() {
        let market = Market::Dynamic {
            base_fee: 10 * GWEI,
            tip: GWEI,
        };
        assert_eq!(
            Fees::offer(market, None),
            Ok(Fees::Dynamic {
                max_fee: 21 * GWEI,
                tip: GWEI
            })
        );
        assert_eq!(
            Fees::offer(market, Some(15 * GWEI)),
            Ok(Fees::Dynamic {
                max_fee: 15 * GWEI,
                tip: GWEI
            })
        );
        assert_eq!(
            Fees::offer(market, Some(10 * GWEI)),
            Err(OverCap {
                needed: 11 * GWEI,
                cap: 10 * GWEI
            })
        );
        let legacy = Market::Legacy { gas_price: 5 * GWEI };
        assert_eq!(
            Fees::offer(legacy, Some(5 * GWEI)),
            Ok(Fees::Legacy { gas_price: 5 * GWEI })
        );
        assert_eq!(
            Fees::offer(legacy, Some(GWEI)),
            Err(OverCap {
                needed: 5 * GWEI,
                cap: GWEI
            })
        );
    }

    #[test]
    fn every_bump_is_one_that_nodes_accept() {
        let market = Market::Dynamic { base_fee: 1, tip: 0 };
        for start in [0, 1, 7, 10, 99, 12_345, 30 * GWEI] {
            let old = Fees::Dynamic {
                max_fee: start,
                tip: start / 3,
            };
            let Some(Fees::Dynamic { max_fee, tip }) = old.bump(market, 1, None) else {
                panic!("{start}")
            };
            assert!(max_fee * 10 >= start * 11 && max_fee > start, "{start} -> {max_fee}");
            assert!(tip * 10 >= start / 3 * 11 && tip > start / 3, "{start}");
        }
    }

    #[test]
    fn a_bump_follows_the_market_and_ends_at_the_cap() {
        let spike = Market::Dynamic {
            base_fee: 100 * GWEI,
            tip: 2 * GWEI,
        };
        let old = Fees::Dynamic {
            max_fee: 21 * GWEI,
            tip: GWEI,
        };
        assert_eq!(
            old.bump(spike, 20, None),
            Some(Fees::Dynamic {
                max_fee: 202 * GWEI,
                tip: 2 * GWEI
            })
        );
        assert_eq!(
            old.bump(spike, 20, Some(50 * GWEI)).map(Fees::most),
            Some(21 * GWEI + 21 * GWEI / 5)
        );
        let calm = Market::Dynamic {
            base_fee: GWEI,
            tip: GWEI,
        };
        assert_eq!(old.bump(calm, 20, Some(24 * GWEI)).map(Fees::most), Some(24 * GWEI));
        assert_eq!(old.bump(calm, 20, Some(22 * GWEI)), None);
        let legacy = Fees::Legacy { gas_price: 10 };
        assert_eq!(
            legacy.bump(Market::Legacy { gas_price: 50 }, 20, None),
            Some(Fees::Legacy { gas_price: 50 })
        );
        assert_eq!(
            legacy.bump(Market::Legacy { gas_price: 1 }, 20, None),
            Some(Fees::Legacy { gas_price: 12 })
        );
    }
}
