//! Uniformly at random.

use engine::Draw;

pub(super) fn choose(endpoints: u32, draw: &mut Draw) -> u32 {
    draw.below(endpoints)
}
