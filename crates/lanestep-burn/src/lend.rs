//! A module's parameters, out of their tensors for one call, and back in them.
//!
//! burn shows the tensors of a module one at a time, each of a rank that only the compiler knows. So there are three walks: the
//! first checks, so that the second, which takes the data out, cannot fail half way, and the third puts it back.

use crate::context::Context;
use crate::{Error, Refused};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Shape, Tensor, TensorData};
use lanestep::Layout;
use std::any::Any;
use std::collections::HashMap;
use std::iter::Peekable;

/// Which parameters of a module are to be lent.
pub(crate) struct Plan {
    wanted: HashMap<ParamId, Wanted>,
}

struct Wanted {
    /// Until it is taken.
    path: Option<String>,
    shape: Shape,
    dtype: DType,
}

impl Plan {
    /// The parameters of a layout, if the module has them all, and there is a gradient for no other one.
    pub(crate) fn new<M: Module>(
        module: &M,
        layout: &Layout,
        grads: &GradientsParams,
    ) -> Result<Self, Error> {
        let names = layout.iter().map(|(name, _)| name).peekable();
        let mut check = Check { path: vec![], names, grads, wanted: HashMap::new(), error: None };
        module.visit(&mut check);
        match (check.error, check.names.next()) {
            (Some(error), _) => Err(error),
            (None, Some(path)) => Err(Error::Missing { path: path.to_owned() }),
            (None, None) => Ok(Self { wanted: check.wanted }),
        }
    }

    /// Calls `with` with the parameters, in the layout's order, and their gradients. What has none comes alone.
    pub(crate) fn lend<M: Module, T>(
        self,
        module: M,
        grads: GradientsParams,
        with: impl FnOnce(&mut [lanestep::Tensor<'_>]) -> Result<T, lanestep::Error>,
    ) -> Result<(M, T), Refused<M>> {
        let mut take = Take { wanted: self.wanted, grads, taken: vec![] };
        let module = module.map(&mut take);
        let mut lent: Vec<_> = take.taken.into_iter().map(Taken::read).collect();
        let tensors: Result<Vec<_>, _> = lent.iter_mut().map(Lent::tensor).collect();
        let result = tensors.and_then(|mut tensors| Ok(with(&mut tensors)?));
        let lent = lent.into_iter().map(|lent| (lent.id, lent)).collect();
        let module = module.map(&mut Put { lent, put: HashMap::new() });
        match result {
            Ok(value) => Ok((module, value)),
            Err(error) => Err(Refused { module, error }),
        }
    }
}

struct Check<'a, N: Iterator<Item = &'a str>> {
    path: Vec<String>,
    names: Peekable<N>,
    grads: &'a GradientsParams,
    wanted: HashMap<ParamId, Wanted>,
    error: Option<Error>,
}

impl<'a, N: Iterator<Item = &'a str>> Check<'a, N> {
    fn check<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Result<(), Error> {
        let path = self.path.join(".");
        if let Some(first) = self.wanted.get(&param.id) {
            check_shape(&path, "second place", &param.lazy_shape(), &first.shape)?;
            return check_dtype(&path, "second place", param.dtype(), &[first.dtype]);
        }
        let grad = self.grads.get::<D>(param.id);
        if self.names.next_if(|name| *name == path).is_none() {
            return if grad.is_some() { Err(Error::Unknown { path }) } else { Ok(()) };
        }
        let (shape, dtype) = (param.lazy_shape(), param.dtype());
        check_dtype(&path, "parameter", dtype, &FORMATS)?;
        if let Some(grad) = grad {
            check_shape(&path, "gradient", &grad.shape(), &shape)?;
            check_dtype(&path, "gradient", grad.dtype(), &FORMATS)?;
        }
        self.wanted.insert(param.id, Wanted { path: Some(path), shape, dtype });
        Ok(())
    }
}

impl<'a, N: Iterator<Item = &'a str>> ModuleVisitor for Check<'a, N> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.error.is_none() {
            self.error = self.check(param).err();
        }
    }
}

/// Those that lanestep has too.
const FORMATS: [DType; 3] = [DType::F32, DType::BF16, DType::F16];

fn check_dtype(path: &str, what: &'static str, found: DType, allowed: &[DType]) -> Result<(), Error> {
    if allowed.contains(&found) {
        return Ok(());
    }
    Err(Error::DType { path: path.to_owned(), what, allowed: allowed.to_vec(), found })
}

fn check_shape(path: &str, what: &'static str, found: &Shape, expected: &Shape) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Shape { path: path.to_owned(), what, expected: expected.to_vec(), found: found.to_vec() })
}

/// Takes tensors out of a module, and leaves holes.
struct Take {
    wanted: HashMap<ParamId, Wanted>,
    grads: GradientsParams,
    taken: Vec<Taken>,
}

/// A parameter without its rank.
struct Taken {
    id: ParamId,
    path: String,
    context: Context,
    params: Box<dyn FnOnce() -> TensorData>,
    grads: Option<TensorData>,
}

impl ModuleMapper for Take {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(wanted) = self.wanted.get_mut(&param.id) else { return param };
        let (id, tensor, mapper) = param.consume();
        let (context, tensor) = Context::split(tensor);
        let hole = context.hole();
        if let Some(path) = wanted.path.take() {
            let grads = self.grads.remove::<D>(id).map(Tensor::into_data);
            self.taken.push(Taken { id, path, context, params: Box::new(|| tensor.into_data()), grads });
        }
        Param::from_mapped_value(id, hole, mapper)
    }
}

impl Taken {
    /// Data that nobody else holds is not copied. That is only known now, when the module does not hold it at a second place.
    fn read(self) -> Lent {
        let Self { id, path, context, params, grads } = self;
        Lent { id, path, context, params: params(), grads }
    }
}

/// A parameter's data.
struct Lent {
    id: ParamId,
    path: String,
    context: Context,
    params: TensorData,
    grads: Option<TensorData>,
}

impl Lent {
    fn tensor(&mut self) -> Result<lanestep::Tensor<'_>, Error> {
        let Self { params, grads, path, .. } = self;
        crate::numbers::tensor(params, grads.as_ref())
            .map_err(|error| Error::Data { path: path.clone(), error })
    }
}

/// Puts tensors into the holes.
struct Put {
    lent: HashMap<ParamId, Lent>,
    /// What has been put back, for its second place: the same leaf of the graph.
    put: HashMap<ParamId, Box<dyn Any>>,
}

impl ModuleMapper for Put {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = param.id;
        let tensor = if let Some(Lent { context, params, .. }) = self.lent.remove(&id) {
            context.join(id, params)
        } else if let Some(tensor) = self.put.get(&id).and_then(|tensor| tensor.downcast_ref()) {
            Tensor::clone(tensor)
        } else {
            return param;
        };
        self.put.insert(id, Box::new(Tensor::<D>::clone(&tensor)));
        let (_, _, mapper) = param.consume();
        Param::from_mapped_value(id, tensor, mapper)
    }
}
