//! `chaos-report`: what did we learn, and are we getting better?

fn main() {}
