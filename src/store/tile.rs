//! As many numbers at rest as a lane holds.

use crate::lane::{Vector, Wide};

/// A number that loops fetch and put back in their lanes.
pub(crate) trait Rest: Copy {
    fn load<V: Wide>(proof: V::Proof, tile: &[Self; 16]) -> V;
    fn store<V: Wide>(lane: V, tile: &mut [Self; 16]);
    fn get(self) -> f32;
    fn put(&mut self, x: f32);
}

/// What one lane is fetched from.
pub(crate) trait Tile<V: Vector> {
    fn load(proof: V::Proof, tile: &Self) -> V;
    fn store(lane: V, tile: &mut Self);
}

impl<V: Wide, N: Rest> Tile<V> for [N; 16] {
    #[inline(always)]
    fn load(proof: V::Proof, tile: &Self) -> V {
        N::load(proof, tile)
    }

    #[inline(always)]
    fn store(lane: V, tile: &mut Self) {
        N::store(lane, tile);
    }
}

impl<N: Rest> Tile<f32> for N {
    #[inline(always)]
    fn load((): (), tile: &Self) -> f32 {
        tile.get()
    }

    #[inline(always)]
    fn store(lane: f32, tile: &mut Self) {
        tile.put(lane);
    }
}

impl Rest for f32 {
    #[inline(always)]
    fn load<V: Wide>(proof: V::Proof, tile: &[Self; 16]) -> V {
        V::load(proof, tile)
    }

    #[inline(always)]
    fn store<V: Wide>(lane: V, tile: &mut [Self; 16]) {
        lane.store(tile);
    }

    #[inline(always)]
    fn get(self) -> f32 {
        self
    }

    #[inline(always)]
    fn put(&mut self, x: f32) {
        *self = x;
    }
}

/// Upper halves.
impl Rest for u16 {
    #[inline(always)]
    fn load<V: Wide>(proof: V::Proof, tile: &[Self; 16]) -> V {
        V::load_bf16(proof, tile)
    }

    #[inline(always)]
    fn store<V: Wide>(lane: V, tile: &mut [Self; 16]) {
        lane.store_bf16(tile);
    }

    #[inline(always)]
    fn get(self) -> f32 {
        f32::from_bits(u32::from(self) << 16)
    }

    #[inline(always)]
    fn put(&mut self, x: f32) {
        *self = super::to_bf16(x);
    }
}
