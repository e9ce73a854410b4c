//! How Services answer through the API server's proxy.

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

    /// Status and body of its answer, if it answers.
    pub fn answer(&self, service: &str, path: &str) -> Option<(u16, &str)> {
        let mut ours = self.0.iter().filter(|one| one.service == service);
        let found = ours.clone().find(|one| one.path.as_deref() == Some(path));
        let found = found.or_else(|| ours.find(|one| one.path.is_none()));
        found.map(|one| (one.status, one.body.as_str()))
    }
}

/// Service and path of a request through the API server's proxy.
pub fn proxied(path: &str) -> Option<(&str, &str)> {
    let (_, rest) = path.split_once("/services/")?;
    let (service, path) = rest.split_once("/proxy")?;
    Some((service.split(':').next().unwrap_or(service), path))
}
