//! The formats that backups come in, for `chaos-backup-check` and for the fuzz targets.

pub mod formats;
