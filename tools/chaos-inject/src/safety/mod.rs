//! What keeps a fault from outliving its run: intent, journal, guardian, rollback, replay.

pub mod guardian;
pub mod intent;
pub mod journal;
pub mod replay;
pub mod rollback;
