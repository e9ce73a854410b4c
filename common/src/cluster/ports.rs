//! Ports of Services and pods, which go by number or by name.

use k8s_openapi::api::core::v1::{Container, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The port of the pods that a Service's port leads to.
pub fn target(port: &ServicePort) -> IntOrString {
    let same = IntOrString::Int(port.port);
    port.target_port.clone().unwrap_or(same)
}

/// The number of a port, which may be named by one of these containers.
pub fn number(port: &IntOrString, containers: &[Container]) -> Option<i32> {
    match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => containers.iter().find_map(|container| {
            let mut ports = container.ports.iter().flatten();
            let port = ports.find(|port| port.name.as_ref() == Some(name))?;
            Some(port.container_port)
        }),
    }
}
