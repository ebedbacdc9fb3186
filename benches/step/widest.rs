//! Vectors for what is not the crate's.

/// With the widest vectors of this CPU.
pub(crate) fn widest(body: impl FnOnce()) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f")]
        fn avx512(body: impl FnOnce()) {
            body();
        }
        #[target_feature(enable = "avx2")]
        fn avx2(body: impl FnOnce()) {
            body();
        }
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature has just been detected.
            return unsafe { avx512(body) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature has just been detected.
            return unsafe { avx2(body) };
        }
    }
    body();
}
