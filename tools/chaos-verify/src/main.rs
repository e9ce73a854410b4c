//! `chaos-verify`: is everything as it was: pods, data, speed?

fn main() {}
