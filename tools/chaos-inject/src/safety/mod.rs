//! What keeps a fault from outliving its run.

pub mod active_runs;
pub mod claims;
pub mod guardian;
pub mod intent;
pub mod journal;
pub mod journal_entry;
pub mod leases;
pub mod leftovers;
pub mod lock;
pub mod presence;
pub mod replay;
pub mod rollback;
pub mod signs_of_life;
