//! The least loaded of a few drawn at random with replacement; the first drawn wins a tie.
//! With two draws this is "power of two choices" (Mitzenmacher 1996).

use engine::Draw;

pub(super) fn choose(
    endpoints: u32,
    choices: u32,
    draw: &mut Draw,
    load: impl Fn(u32) -> u32,
) -> u32 {
    let mut best = draw.below(endpoints);
    for _ in 1..choices {
        let other = draw.below(endpoints);
        if load(other) < load(best) {
            best = other;
        }
    }
    best
}
