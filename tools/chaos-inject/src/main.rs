//! `chaos-inject`: what happens when this breaks, and is it whole again?

fn main() {}
