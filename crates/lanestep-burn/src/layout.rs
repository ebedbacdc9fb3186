//! A module's parameters by their paths.

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use lanestep::{Error, Layout};
use std::collections::HashSet;

/// The parameters of a module that are trained, by path and shape in the module's order, for
/// [`Optimizer::with_groups`](lanestep::Optimizer::with_groups) and [`Layout::select`].
///
/// Floats that require no gradient are left out, so they take no state. What is not initialized yet stays so, and is in. A
/// parameter that stands twice in the module, with one [`ParamId`], is in once, at its first place.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
/// let layer = LinearConfig::new(3, 2).init(&Device::flex().autodiff());
/// let layout = lanestep_burn::layout(&layer)?;
/// assert_eq!((layout.range("weight"), layout.shape("weight")), (Some(0..6), Some(&[3, 2][..])));
/// assert_eq!(layout.range("bias"), Some(6..8));
/// # Ok::<(), lanestep::Error>(())
/// ```
///
/// # Errors
/// [`Error::Name`] if two parameters have one path, [`Error::TooManyElements`] if there are more than addresses.
pub fn layout<M: Module>(module: &M) -> Result<Layout, Error> {
    let mut shapes = Shapes::default();
    module.visit(&mut shapes);
    Layout::with_shapes(shapes.found)
}

#[derive(Default)]
struct Shapes {
    path: Vec<String>,
    seen: HashSet<ParamId>,
    found: Vec<(String, Vec<usize>)>,
}

impl ModuleVisitor for Shapes {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // To ask what is lazy whether it requires a gradient would initialize it. Without autodiff, nothing ever does.
        let frozen = param.is_initialized() && param.is_autodiff() && !param.is_require_grad();
        if !frozen && self.seen.insert(param.id) {
            self.found.push((self.path.join("."), param.lazy_shape().to_vec()));
        }
    }
}
