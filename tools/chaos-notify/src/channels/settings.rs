//! What the settings of every channel have in common, written once.

use std::path::{Path, PathBuf};

use chaos_common::config::Secret;

/// The settings of a channel, as the whole table needs them.
pub(crate) trait ChannelSettings {
    /// The name that the channel was given.
    fn name(&self) -> Option<&str>;

    /// The file of its own certificates, if it has one.
    fn ca(&mut self) -> Option<&mut PathBuf>;

    /// The secrets that it names.
    fn secrets(&mut self) -> Vec<&mut Secret>;

    /// Makes relative paths count from a folder.
    fn anchor(&mut self, folder: &Path) {
        if let Some(path) = self.ca() {
            *path = folder.join(&*path);
        }
        for path in self.secrets().into_iter().filter_map(Secret::file_mut) {
            *path = folder.join(&*path);
        }
    }
}

/// A key that names a secret, or may be left out.
pub(super) trait SecretKey {
    fn secret(&mut self) -> Option<&mut Secret>;
}

impl SecretKey for Secret {
    fn secret(&mut self) -> Option<&mut Secret> {
        Some(self)
    }
}

impl SecretKey for Option<Secret> {
    fn secret(&mut self) -> Option<&mut Secret> {
        self.as_mut()
    }
}

/// Defines `Settings` of a channel that is reached by HTTP: its own keys, and those that all such
/// channels have. (Of a flattened struct, serde would not refuse an unknown key.)
macro_rules! http_settings {
    (
        $(#[$about:meta])*
        { $($own:tt)* }
        secrets: $($secret:ident),+
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct Settings {
            /// Its name in routes and records; that of its table if left out, with a number from
            /// the second on.
            #[serde(default)]
            pub(crate) name: Option<String>,
            $($own)*
            /// Certificates that are trusted instead of the system's (PEM).
            #[serde(default)]
            pub(crate) ca: Option<std::path::PathBuf>,
            /// The proxy, if not the one that `HTTPS_PROXY` names.
            #[serde(default)]
            pub(crate) proxy: Option<String>,
        }

        impl Settings {
            /// How the service is reached.
            fn reach(&self) -> crate::channels::http::Reach<'_> {
                crate::channels::http::Reach {
                    ca: self.ca.as_ref(),
                    proxy: self.proxy.as_deref(),
                }
            }
        }

        impl crate::channels::ChannelSettings for Settings {
            fn name(&self) -> Option<&str> {
                self.name.as_deref()
            }

            fn ca(&mut self) -> Option<&mut std::path::PathBuf> {
                self.ca.as_mut()
            }

            fn secrets(&mut self) -> Vec<&mut chaos_common::config::Secret> {
                use crate::channels::settings::SecretKey as _;
                [$(self.$secret.secret()),+].into_iter().flatten().collect()
            }
        }
    };
}

pub(super) use http_settings;
