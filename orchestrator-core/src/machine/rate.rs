//! What has begun under a rate, and is not of the past yet: so many within any such time, and no more.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Into how many parts its time is divided: what begins within one of them is written down as one.
const PARTS: i64 = 64;

/// The beginnings that count, the oldest first: how many at which moment. What begins within one 64th of the rate's time is
/// written down as having begun at the end of it, so the list stays short, and nothing is forgotten too early.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spent(Vec<(i64, u32)>);

impl Spent {
    /// How many have begun within the time that ends now.
    #[must_use]
    pub fn within(&self, per: Duration, now: Timestamp) -> u32 {
        self.counted(per, now).fold(0, |sum, (_, many)| sum.saturating_add(many))
    }

    /// When so many of those that count now, at least one, will have become of the past; `None`, if there are not so many.
    #[must_use]
    pub fn past(&self, many: u32, per: Duration, now: Timestamp) -> Option<Timestamp> {
        let mut left = many;
        let mut counted = self.counted(per, now);
        let (at, _) = counted.find(|(_, many)| {
            let is_among = left <= *many;
            left = left.saturating_sub(*many);
            is_among
        })?;
        Some(at + per)
    }

    /// So many begin now.
    pub fn spend(&mut self, many: u32, per: Duration, now: Timestamp) {
        self.0.retain(|(at, _)| now < Timestamp::from_millis(*at) + per);
        let at = self.written(per, now);
        match self.0.last_mut() {
            Some((last, sum)) if *last == at => *sum = sum.saturating_add(many),
            _ => self.0.push((at, many)),
        }
    }

    /// When what begins now will be of the past.
    #[must_use]
    pub fn past_of_now(&self, per: Duration, now: Timestamp) -> Timestamp {
        Timestamp::from_millis(self.written(per, now)) + per
    }

    /// As when it is written down that something begins now. One whose clock is behind begins when the last did.
    fn written(&self, per: Duration, now: Timestamp) -> i64 {
        let (now, part) = (now.as_millis(), (millis(per) / PARTS).max(1));
        let is_between = now.rem_euclid(part) > 0;
        let end = (now.div_euclid(part) + i64::from(is_between)).saturating_mul(part);
        self.0.last().map_or(end, |(last, _)| end.max(*last))
    }

    /// When all of it will be of the past; `None` if there is nothing.
    #[must_use]
    pub fn until(&self, per: Duration) -> Option<Timestamp> {
        self.0.last().map(|(at, _)| Timestamp::from_millis(*at) + per)
    }

    fn counted(&self, per: Duration, now: Timestamp) -> impl Iterator<Item = (Timestamp, u32)> {
        let all = self.0.iter().map(|(at, many)| (Timestamp::from_millis(*at), *many));
        all.filter(move |(at, _)| now < *at + per)
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
