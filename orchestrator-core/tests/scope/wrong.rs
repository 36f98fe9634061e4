//! Wrong rules: each is planted once, and must be noticed as the breach of a promise.

/// A rule that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// The store compares no sequence numbers.
    NoSequence,
    /// The store compares the driver's owner, not its epoch.
    NoEpoch,
    /// Taking a run gives the first epoch again.
    EpochReset,
    /// Who is dead is renewed.
    DeadRenewed,
    /// A commit whose answer was lost is written again unseen.
    BlindRetry,
    /// A lost attempt does not count as one.
    LossNotCounted,
    /// An attempt is dispatched before its beginning is committed.
    EarlyDispatch,
    /// What has begun is not dispatched.
    Undispatched,
    /// Who may count as dead dispatches what it has begun.
    DeadDispatch,
    /// Nobody takes over from a driver that is dead.
    NoTakeOver,
    /// A result counts though the attempt was lost.
    LateResult,
    /// The store gives a second claim of what is claimed.
    TwoClaims,
    /// The store does not compare the right of a claim with the one that is offered.
    StaleClaim,
    /// The store lets an offer be withdrawn that is claimed.
    BlindWithdrawal,
    /// Nobody withdraws anything.
    NoWithdrawal,
    /// What a dead owner had claimed is lost with it, whatever it has delivered.
    LostThoughDelivered,
    /// The store does not look whether there is a place.
    NoRoom,
    /// A place that is given back is given to nobody.
    NotGivenOn,
    /// What begins does not ask whether the run has its place.
    NoDoor,
}

impl Wrong {
    /// Whether it is a rule about places under keys.
    pub(crate) const fn is_of_places(self) -> bool {
        matches!(self, Self::NoRoom | Self::NotGivenOn)
    }

    /// Whether it is a rule about what others execute.
    pub(crate) const fn is_of_offers(self) -> bool {
        matches!(
            self,
            Self::TwoClaims
                | Self::StaleClaim
                | Self::BlindWithdrawal
                | Self::NoWithdrawal
                | Self::LostThoughDelivered
        )
    }

    /// All of them, each with the promise that it breaks and with how few actions.
    pub(crate) const ALL: [(Self, &'static str, usize); 19] = [
        (Self::NoSequence, "I10: the driver's epoch is 1 after 1", 4),
        (Self::NoEpoch, "I10: written under", 7),
        (Self::EpochReset, "I10: the driver's epoch is 1 after 1", 5),
        (Self::DeadRenewed, "G6: 1 was dead and lives again", 4),
        (Self::BlindRetry, "G2: written twice", 3),
        (Self::LossNotCounted, "I6: begins after 0 failures and 1 losses", 11),
        (Self::EarlyDispatch, "G5: attempt 1 of a", 3),
        (Self::Undispatched, "I2: attempt 1 of a", 4),
        (Self::DeadDispatch, "G5: begin a is to be executed", 11),
        (Self::NoTakeOver, "I2: what is due is refused", 5),
        (Self::LateResult, "I10: `step.succeeded` in Open", 11),
        (Self::TwoClaims, "G5: attempt 1 of a", 6),
        (Self::StaleClaim, "G5: 1 executes a under epoch 1, which is void", 7),
        (Self::BlindWithdrawal, "I7: attempt 1 of a", 8),
        (Self::NoWithdrawal, "I2: what is due is refused", 6),
        (Self::LostThoughDelivered, "I10: `step.lost` in Claimed", 11),
        (Self::NoRoom, "I14: 2 hold the only place", 6),
        (Self::NotGivenOn, "I2: it waits for a place that nobody holds", 4),
        (Self::NoDoor, "I9: begins before the run has its place", 3),
    ];
}
