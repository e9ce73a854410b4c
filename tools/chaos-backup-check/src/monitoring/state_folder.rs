//! Where this tool keeps what must outlive a run.

use std::path::PathBuf;

/// `chaos` in `$XDG_STATE_HOME`, else in `~/.local/state`.
pub(crate) fn folder() -> Result<PathBuf, String> {
    let env = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let state = env("XDG_STATE_HOME").or_else(|| env("HOME").map(|home| home.join(".local/state")));
    state
        .map(|state| state.join("chaos"))
        .ok_or_else(|| "neither $XDG_STATE_HOME nor $HOME is set".to_owned())
}
