//! `chaos-backup-check`: would the backups restore?

fn main() {}
