//! The evidence of a drill: a file that says which backup was restored, when, and how that ended.
//!
//! ```json
//! {"schema":"chaos.drill/1","tool":"chaos-backup-check 0.1.0","backup":"database","namespace":"shop","verdict":"pass",
//!  "time":"2026-11-22T16:00:00.123Z","blake3":"9f86d0…","size_bytes":104857600,"restore_ms":1234,
//!  "into":"PostgreSQL 15.18, started for the drill","rows":395,"summary":"…"}
//! ```

use chaos_common::record::RestoreDrill;
use serde::{Deserialize, Serialize};

use crate::formats::error::SidecarError;

/// The kind and major version of a file of evidence.
const SCHEMA: &str = "chaos.drill/1";

/// One drill of one backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrillEvidence {
    schema: String,
    /// Name and version of the tool that made it.
    tool: String,
    /// The backup's name in the configuration: those of one name are made the same way.
    pub backup: String,
    /// The application's namespace.
    pub namespace: String,
    /// What was restored, and how that ended.
    #[serde(flatten)]
    pub drill: RestoreDrill,
}

impl DrillEvidence {
    /// The evidence of a drill that `tool` (name and version) made.
    pub fn new(tool: String, namespace: &str, backup: &str, drill: &RestoreDrill) -> DrillEvidence {
        DrillEvidence {
            schema: SCHEMA.to_owned(),
            tool,
            backup: backup.to_owned(),
            namespace: namespace.to_owned(),
            drill: drill.clone(),
        }
    }

    /// Reads the text of a file of evidence.
    ///
    /// # Errors
    ///
    /// It is no such text, or one of another kind.
    pub fn parse(text: &[u8]) -> Result<DrillEvidence, SidecarError> {
        let evidence: DrillEvidence =
            serde_json::from_slice(text).map_err(SidecarError::Evidence)?;
        SidecarError::check_schema(&evidence.schema, SCHEMA)?;
        Ok(evidence)
    }
}
