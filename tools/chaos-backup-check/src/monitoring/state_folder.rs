//! Where this tool keeps what must outlive a run.

use std::path::PathBuf;

use etcetera::HomeDirError;
use etcetera::base_strategy::{BaseStrategy as _, Xdg};

/// `chaos` in `$XDG_STATE_HOME`, else in `~/.local/state`.
pub(crate) fn folder() -> Result<PathBuf, HomeDirError> {
    let xdg = Xdg::new()?;
    let state = xdg
        .state_dir()
        .unwrap_or_else(|| xdg.home_dir().join(".local/state"));
    Ok(state.join("chaos"))
}
