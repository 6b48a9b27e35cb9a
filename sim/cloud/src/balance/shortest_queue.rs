//! The least loaded of all, ties uniformly at random.

use engine::Draw;

pub(super) fn choose(endpoints: u32, draw: &mut Draw, load: impl Fn(u32) -> u32) -> u32 {
    let least = (0..endpoints).map(&load).min().unwrap_or(0);
    let ties = (0..endpoints)
        .filter(|&endpoint| load(endpoint) == least)
        .count() as u32;
    let chosen = draw.below(ties) as usize;
    (0..endpoints)
        .filter(|&endpoint| load(endpoint) == least)
        .nth(chosen)
        .expect("the draw lies below the number of ties")
}
