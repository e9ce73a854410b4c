//! Who runs a tool.

/// User and host. Without `$USER`, as under cron, the user is the one that owns this process.
pub fn executor() -> String {
    let host = rustix::system::uname();
    let uid = rustix::process::geteuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let by_uid = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    let user = std::env::var("USER")
        .ok()
        .filter(|user| !user.is_empty())
        .or(by_uid)
        .unwrap_or(uid);
    format!("{user}@{}", host.nodename().to_string_lossy())
}
