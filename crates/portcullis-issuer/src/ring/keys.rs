use crate::time::StoreTime;

/// The times of a key. What is not known yet is said with the key that comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyTimes {
    /// From when on it is in the key set.
    pub published_at: StoreTime,
    /// From when on it signs.
    pub signs_from: StoreTime,
    /// When its successor signs. `None`: it has no successor yet.
    pub signs_until: Option<StoreTime>,
    /// Until when it is in the key set. `None`: it has no successor yet.
    pub verifies_until: Option<StoreTime>,
    /// When it was taken out of the key set before its time: it may be in other hands.
    pub withdrawn_at: Option<StoreTime>,
    /// Whether its private part is still there.
    pub is_private_kept: bool,
}

/// What a key does at one time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// It is not in the key set yet.
    Unpublished,
    /// It is in the key set, and will sign.
    Standby,
    /// It signs.
    Signing,
    /// Its tokens may still pass, and no new ones come.
    Retired,
    /// Its tokens cannot pass any more.
    Gone,
    /// It was taken out of the key set before its time.
    Withdrawn,
}

impl KeyTimes {
    /// A key that is published from now on, and has no successor.
    pub(super) fn new(published_at: StoreTime, signs_from: StoreTime) -> Self {
        Self {
            published_at,
            signs_from,
            signs_until: None,
            verifies_until: None,
            withdrawn_at: None,
            is_private_kept: true,
        }
    }

    /// What the key does at this time.
    pub fn phase(&self, now: StoreTime) -> Phase {
        let is_over = |end: Option<StoreTime>| end.is_some_and(|end| end <= now);
        if self.withdrawn_at.is_some() {
            Phase::Withdrawn
        } else if now < self.published_at {
            Phase::Unpublished
        } else if is_over(self.verifies_until) {
            Phase::Gone
        } else if is_over(self.signs_until) {
            Phase::Retired
        } else if now < self.signs_from {
            Phase::Standby
        } else {
            Phase::Signing
        }
    }

    /// Whether it is in the key set at this time.
    pub fn is_published(&self, now: StoreTime) -> bool {
        matches!(self.phase(now), Phase::Standby | Phase::Signing | Phase::Retired)
    }
}

/// The key that signs at this time, and can.
pub(super) fn signing(keys: &[KeyTimes], now: StoreTime) -> Option<usize> {
    keys.iter().position(|key| key.phase(now) == Phase::Signing && key.is_private_kept)
}
