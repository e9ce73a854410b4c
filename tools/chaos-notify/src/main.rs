//! `chaos-notify`: does everyone concerned know?

fn main() {}
