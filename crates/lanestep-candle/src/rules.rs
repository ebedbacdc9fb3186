//! An optimizer for each rule.

macro_rules! rules {
    ($($Rule:ident),+ $(,)?) => {
        $(
            #[doc = concat!("[`lanestep::", stringify!($Rule), "`] over candle's variables.")]
            pub type $Rule = crate::Optimizer<lanestep::$Rule>;
        )+

        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($Rule)),+];
    };
}

rules! {
    AdaBelief, Adadelta, Adagrad, Adam, Adamax, AdamW, AdamWScheduleFree, Adan, AdEmaMix, Adopt, Asgd, CautiousAdamW,
    CautiousLion, Lamb, Lars, Lion, NAdam, QHAdam, RAdam, RmsProp, Rprop, Sgd, SgdScheduleFree, Signum, Tiger, Yogi,
}

#[test]
fn every_rule_has_its_optimizer() {
    let variant = |rule| format!("{rule:?}").split('(').next().map(str::to_owned);
    let mut expected: Vec<_> = lanestep::AnyRule::all().into_iter().filter_map(variant).collect();
    let mut found = NAMES.to_vec();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}
