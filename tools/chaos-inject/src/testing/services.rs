//! How Services and pods answer through the API server's proxy.

/// How a Service answers.
struct ServiceAnswer {
    service: String,
    /// Only this path; any other if `None`.
    path: Option<String>,
    status: u16,
    body: String,
}

/// How the Services answer that do.
#[derive(Default)]
pub struct ServiceAnswers(Vec<ServiceAnswer>);

impl ServiceAnswers {
    /// Nobody is behind a Service any more.
    pub fn unset(&mut self, service: &str) {
        self.0.retain(|one| one.service != service);
    }

    /// A Service answers so from now on, to one path or to all others.
    pub fn set(&mut self, service: &str, path: Option<&str>, (status, body): (u16, &str)) {
        let is_other = |one: &ServiceAnswer| one.service != service || one.path.as_deref() != path;
        self.0.retain(is_other);
        self.0.push(ServiceAnswer {
            service: service.to_owned(),
            path: path.map(str::to_owned),
            status,
            body: body.to_owned(),
        });
    }

    /// Status and body of its answer, if it answers. `pod/*` stands for every pod that is not told
    /// apart.
    pub fn answer(&self, service: &str, path: &str) -> Option<(u16, &str)> {
        let any_pod = match service.strip_prefix("pod/") {
            Some(name) if name.starts_with("https:") => "pod/https:*",
            Some(_) => "pod/*",
            None => return self.answer_of(service, path),
        };
        let own = self.answer_of(service, path);
        own.or_else(|| self.answer_of(any_pod, path))
    }

    fn answer_of(&self, service: &str, path: &str) -> Option<(u16, &str)> {
        let mut ours = self.0.iter().filter(|one| one.service == service);
        let found = ours.clone().find(|one| one.path.as_deref() == Some(path));
        let found = found.or_else(|| ours.find(|one| one.path.is_none()));
        found.map(|one| (one.status, one.body.as_str()))
    }
}

/// Who is asked through the API server's proxy, and for which path: a Service by its name, whatever
/// it speaks, and a pod as `pod/NAME`, over TLS as `pod/https:NAME`.
pub fn proxied(path: &str) -> Option<(String, &str)> {
    let is_service = path.contains("/services/");
    let (_, rest) = path.split_once(if is_service { "/services/" } else { "/pods/" })?;
    let (name, path) = rest.split_once("/proxy")?;
    let (tls, named) = match name.strip_prefix("https:") {
        Some(named) => ("https:", named),
        None => ("", name),
    };
    let named = named.split(':').next().unwrap_or(named);
    let name = if is_service {
        named.to_owned()
    } else {
        format!("pod/{tls}{named}")
    };
    Some((name, path))
}
