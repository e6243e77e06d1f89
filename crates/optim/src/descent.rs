//! A formula made into an optimizer, with all that Keras's base class adds.
//!
//! ```text
//! A step       1. accumulate   gather gradients; go on only with every k-th batch
//!              2. clip         shorten what is left of them
//!              3. decay        w ← w − wd · lr · w
//!              4. update       the formula, value by value
//!              5. average      let the moving average of the weights follow
//! Offer        a large parameter may take 3 and 4 within the backward pass, if neither 1 nor 2 nor
//!              a regularizer asks for its gradient: the bits are the same
//! GPU          1, 2 and 5 are a pass each over all parameters, 3 and 4 one together; nothing is
//!              offered. The numbers are published before the step, which only launches
//! Conventions  the order is Keras's. Everything after 1 counts updates, not batches: the t of
//!              Adam, the schedule, the moving average. (Keras asks the schedule for batches, and
//!              lets the average follow after each)
//! ```

use crate::accumulate::{Accumulation, PerUpdate};
use crate::clip::{Clip, Clipping};
use crate::ema::Ema;
use crate::formula::cpu::Tiles;
use crate::formula::cuda::{self, Parts, Table};
use crate::formula::{self, Formula, Update, Variables};
use crate::iterations::Iterations;
use crate::weight_decay::WeightDecay;
use crate::{Constant, Optimizer, Schedule, State};
use gradus_tensor::{Context, Device, Field, FieldMut, Fields, Offer, Param, Path, Tensor};
use std::any::Any;

/// Values from which on a parameter is offered its update: 1 MB, which does not stay in the caches
/// between the backward pass and the update.
const LARGE: usize = 1 << 18;

/// The optimizer that a [`Formula`] describes: `Adam`, `SGD` and the others are this with theirs.
#[derive(Debug)]
pub struct Descent<F: Formula<N>, const N: usize> {
    pub(crate) rule: F,
    schedule: PerUpdate,
    accumulation: Accumulation,
    clipping: Option<Clipping>,
    decay: WeightDecay,
    ema: Option<Ema>,
    iterations: Iterations,
    state: State<N>,
    /// Where everything lies on a GPU; none on the CPU.
    table: Option<Table>,
    /// The step that was prepared and not yet made.
    prepared: Option<Prepared>,
    /// What is lent in a step, kept so that a step allocates nothing.
    lent: Vec<Box<Tiles<F, N>>>,
    /// Kept, so that walking the model in a step allocates nothing.
    path: Path,
}

/// A step that is about to be made.
#[derive(Clone, Copy, Debug)]
struct Prepared {
    /// From 0.
    batch: u64,
    update: Update,
}

impl<F: Formula<N>, const N: usize> Default for Descent<F, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Formula<N>, const N: usize> Descent<F, N> {
    /// With Keras's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            rule: F::default(),
            schedule: PerUpdate::new(Box::new(Constant(F::LEARNING_RATE))),
            accumulation: Accumulation::default(),
            clipping: None,
            decay: WeightDecay::new(F::WEIGHT_DECAY),
            ema: None,
            iterations: Iterations::default(),
            state: State::new(F::SLOTS),
            table: None,
            prepared: None,
            lent: Vec::new(),
            path: Path::default(),
        }
    }

    /// The same learning rate in every update, until someone sets another.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    pub fn learning_rate(self, learning_rate: f32) -> Self {
        formula::not_negative("learning_rate", f64::from(learning_rate));
        self.schedule(Constant(learning_rate))
    }

    /// A learning rate for every update. In Keras: a schedule as `learning_rate`.
    #[must_use]
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedule.set(Box::new(schedule));
        self
    }

    /// Shortens gradients that are too long: Keras's `clipnorm`, `clipvalue` or `global_clipnorm`,
    /// of which there can be one.
    ///
    /// # Panics
    /// If the limit is not above 0 and finite.
    #[must_use]
    pub fn clip(mut self, clip: Clip) -> Self {
        self.clipping = Some(Clipping::new(clip));
        self
    }

    /// Decoupled weight decay: before each update, w ← w − rate · lr · w.
    ///
    /// # Panics
    /// If the rate is negative or not finite.
    #[must_use]
    pub fn weight_decay(mut self, rate: f64) -> Self {
        self.decay.set_rate(rate);
        self
    }

    /// No weight decay for parameters in whose names one of these words appears, such as `bias`.
    #[must_use]
    pub fn exclude_from_weight_decay(mut self, words: &[&str]) -> Self {
        self.decay.exclude(words);
        self
    }

    /// Keeps a moving average of the weights, which the model gets at the end.
    #[must_use]
    pub fn use_ema(mut self, ema: Ema) -> Self {
        self.ema = Some(ema);
        self
    }

    /// One update for that many batches, with the mean of their gradients; 1, which is every
    /// batch, unless said. (Keras takes None for that.)
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn gradient_accumulation_steps(mut self, steps: u64) -> Self {
        assert!(steps > 0, "an update takes at least one batch");
        self.accumulation.steps = steps;
        self.schedule.steps = steps;
        self
    }

    /// The numbers of the formula.
    #[must_use]
    pub fn rule(&self) -> F {
        self.rule
    }

    /// A step on the CPU.
    fn step_on_the_cpu(&mut self, cx: &Context, model: &mut dyn Fields, step: Prepared) {
        let Prepared { batch, update } = step;
        if !self.accumulation.gather(cx, model, batch) {
            return;
        }
        if let Some(clipping) = &mut self.clipping {
            clipping.apply(cx, model, &mut self.path);
        }
        self.update(cx, model, update);
        if let Some(ema) = &mut self.ema {
            ema.follow(cx, model, update.number);
        }
        self.overwrite(model, update.number);
    }

    /// Decay and formula, on every parameter that did not take its offer.
    fn update(&mut self, cx: &Context, model: &mut dyn Fields, update: Update) {
        let Self { state, decay, rule, lent, .. } = self;
        state.each_named(model, |path, param, slots| {
            if end_offer(param, slots, lent) {
                return;
            }
            let decay = decay.fraction(path, update.learning_rate);
            let variables = Variables {
                value: param.value.slice_mut(),
                grad: param.grad.slice(),
                slots: slots.each_mut().map(|slot| slot.slice_mut()),
            };
            formula::cpu::step(&cx.workspace.pool, rule, update, decay, variables);
        });
    }

    /// A step on a GPU.
    fn step_on_a_gpu(&mut self, cx: &Context, model: &mut dyn Fields, step: Prepared) {
        let Prepared { batch, update } = step;
        let Self { table, accumulation, clipping, ema, state, decay, .. } = self;
        let table = table.as_mut().expect("a table on a GPU");
        table.lay(model, parts(state, accumulation, ema), |path| decay.concerns(path));
        if accumulation.steps > 1 {
            cuda::passes::gather(table, accumulation.place(batch), accumulation.steps);
        }
        if !accumulation.is_last(batch) {
            return;
        }
        if let Some(clipping) = clipping {
            cuda::passes::clip(table, clipping.clip());
        }
        match F::KERNEL {
            Some(kernel) => cuda::step(kernel.launch, table),
            None => self.update_over_the_cpu(cx, model, update),
        }
        if let (Some(table), Some(_)) = (&self.table, &self.ema) {
            cuda::passes::follow(table);
        }
        self.overwrite(model, update.number);
    }

    /// Decay and formula of a rule without a kernel.
    fn update_over_the_cpu(&mut self, cx: &Context, model: &mut dyn Fields, update: Update) {
        let Self { state, decay, rule, .. } = self;
        state.each_named(model, |path, param, slots| {
            let [mut value, grad] = [&param.value, &param.grad].map(|t| t.on(&Device::Cpu));
            let mut own = slots.each_ref().map(|slot| slot.on(&Device::Cpu));
            let variables = Variables {
                value: value.slice_mut(),
                grad: grad.slice(),
                slots: own.each_mut().map(|slot| slot.slice_mut()),
            };
            let decay = decay.fraction(path, update.learning_rate);
            formula::cpu::step(&cx.workspace.pool, rule, update, decay, variables);
            param.value.copy_from(&value);
            slots.iter_mut().zip(&own).for_each(|(slot, own)| slot.copy_from(own));
        });
    }

    /// The weights become their average, where that is due.
    fn overwrite(&mut self, model: &mut dyn Fields, number: u64) {
        if let Some(ema) = self.ema.as_mut().filter(|ema| ema.is_due(number)) {
            ema.overwrite(model);
        }
    }

    /// Tells the device, if there is one, what the numbers of the update are.
    fn publish(&mut self, update: Update) {
        let Some(table) = &mut self.table else { return };
        let numbers = F::KERNEL
            .map_or([0.0; cuda::NUMBERS], |kernel| (kernel.numbers)(self.rule.numbers(update)));
        let averages = self.ema.as_ref().map_or([0.0; 2], |ema| ema.numbers(update.number));
        table.publish(self.decay.at(update.learning_rate), numbers, averages);
    }

    /// Whether no update needs the gradients of all parameters, or of several batches.
    fn goes_parameter_by_parameter(&self) -> bool {
        self.accumulation.steps == 1 && self.clipping.is_none()
    }
}

/// What belongs to the parameters, for a table of them.
fn parts<'a, const N: usize>(
    state: &'a mut State<N>,
    accumulation: &'a mut Accumulation,
    ema: &'a mut Option<Ema>,
) -> Parts<'a, N> {
    Parts { state, sums: accumulation.state(), averages: ema.as_mut().map(Ema::state) }
}

/// Ends the offer to a parameter, if there is one: whether it was taken.
fn end_offer<F: Formula<N>, const N: usize>(
    param: &mut Param,
    slots: &mut [Tensor; N],
    lent: &mut Vec<Box<Tiles<F, N>>>,
) -> bool {
    let Some((update, taken)) = param.offer.give_back() else { return false };
    let update: Box<dyn Any> = update;
    let mut tiles = update.downcast::<Tiles<F, N>>().expect("the offer of this optimizer");
    tiles.give_back(slots);
    lent.push(tiles);
    taken
}

impl<F: Formula<N>, const N: usize> Optimizer for Descent<F, N> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn description(&self) -> String {
        let (name, rule, decay) = (F::NAME, &self.rule, &self.decay);
        let (steps, clip) = (self.accumulation.steps, self.clipping.as_ref().map(Clipping::clip));
        let ema = self.ema.as_ref().map(Ema::options);
        format!(
            "{name} {rule:?}, {decay:?}, clip {clip:?}, (momentum, overwrite_frequency) of the \
             moving average {ema:?}, gradient_accumulation_steps {steps}"
        )
    }

    fn state_bytes(&self, model: &dyn Fields) -> u64 {
        let slots = self.rule.used().into_iter().filter(|&used| used).count();
        let tensors =
            slots + usize::from(self.accumulation.steps > 1) + usize::from(self.ema.is_some());
        let mut bytes = 0;
        model.visit(&mut Path::default(), &mut |_, field| {
            if let Field::Param(param) = field
                && !param.frozen
            {
                bytes += (tensors * param.value.spec().bytes()) as u64;
            }
        });
        bytes
    }

    fn schedule(&self) -> &dyn Schedule {
        &self.schedule
    }

    fn build(&mut self, model: &dyn Fields, device: &Device) {
        self.iterations.reset();
        self.prepared = None;
        self.table = match device {
            Device::Cpu => None,
            Device::Cuda(gpu) => Some(Table::new(gpu)),
        };
        self.state.build(model, device, self.rule.used());
        self.state.fill(self.rule.initial());
        self.accumulation.build(model, device);
        if let Some(clipping) = &mut self.clipping {
            clipping.build(model);
        }
        if let Some(ema) = &mut self.ema {
            ema.build(model, device);
        }
    }

    fn offer(&mut self, cx: &Context, model: &mut dyn Fields) {
        let on_the_cpu = cx.device == Device::Cpu;
        if !on_the_cpu || !cx.fused || !self.goes_parameter_by_parameter() {
            return;
        }
        let learning_rate = cx.step.learning_rate;
        let next = Update { number: self.iterations.get() + 1, learning_rate };
        let update = self.prepared.map_or(next, |prepared| prepared.update);
        let numbers = self.rule.numbers(update);
        let Self { state, decay, lent, .. } = self;
        state.each_named(model, |path, param, slots| {
            end_offer(param, slots, lent);
            if param.value.len() < LARGE || param.regularizer.is_some() {
                return;
            }
            let decay = decay.fraction(path, update.learning_rate);
            let mut tiles = lent.pop().unwrap_or_else(|| Box::new(Tiles::new(numbers)));
            tiles.lend(numbers, decay, param.value.len(), slots);
            param.offer = Offer::new(tiles);
        });
    }

    fn prepare(&mut self, cx: &mut Context) {
        let batch = self.iterations.next();
        let number = batch / self.accumulation.steps + 1;
        let update = Update { number, learning_rate: cx.step.learning_rate };
        self.prepared = Some(Prepared { batch, update });
        self.publish(update);
    }

    fn is_capturable(&self) -> bool {
        let overwrites = self.ema.as_ref().is_some_and(|ema| ema.options().1.is_some());
        F::KERNEL.is_some() && self.accumulation.steps == 1 && !overwrites
    }

    fn step(&mut self, cx: &mut Context, model: &mut dyn Fields) {
        if self.prepared.is_none() {
            self.prepare(cx);
        }
        let Some(step) = self.prepared.take() else { return };
        match &cx.device {
            Device::Cpu => self.step_on_the_cpu(cx, model, step),
            Device::Cuda(_) => self.step_on_a_gpu(cx, model, step),
        }
    }

    fn finish(&mut self, model: &mut dyn Fields) {
        let updates = self.iterations.get() / self.accumulation.steps;
        if let (Some(ema), 1..) = (&mut self.ema, updates) {
            ema.overwrite(model);
        }
    }
}

impl<F: Formula<N>, const N: usize> Fields for Descent<F, N> {
    fn visit(&self, path: &mut Path, f: &mut dyn FnMut(&Path, Field<'_>)) {
        self.iterations.visit(path, f);
        self.state.visit(path, f);
        self.accumulation.visit(path, f);
        if let Some(ema) = &self.ema {
            ema.visit(path, f);
        }
    }

    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, FieldMut<'_>)) {
        self.iterations.visit_mut(path, f);
        self.state.visit_mut(path, f);
        self.accumulation.visit_mut(path, f);
        if let Some(ema) = &mut self.ema {
            ema.visit_mut(path, f);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Adam, Clip, Ema, Optimizer, RMSprop, SGD};
    use gradus_tensor::{Device, Param, Path, Shape, fields};

    struct Model {
        w: Param,
        frozen: Param,
    }

    fields! { Model: param w, param frozen }

    fn model() -> Model {
        let zeros = || Param::zeros(Shape::new(&[3, 5]), &Device::Cpu);
        Model { w: zeros(), frozen: Param { frozen: true, ..zeros() } }
    }

    /// What the optimizer says that it needs, and what it makes but for the count of its steps.
    fn bytes(mut optimizer: impl Optimizer) -> [u64; 2] {
        let (model, mut made) = (model(), 0);
        optimizer.build(&model, &Device::Cpu);
        optimizer.visit(&mut Path::default(), &mut |path, field| {
            if path.as_str() != "optim.iterations" {
                made += field.value().spec().bytes() as u64;
            }
        });
        [optimizer.state_bytes(&model), made]
    }

    #[test]
    fn the_state_is_as_large_as_was_said_before() {
        assert_eq!(bytes(SGD::new()), [0; 2]);
        assert_eq!(bytes(RMSprop::new()), [60; 2]);
        assert_eq!(bytes(RMSprop::new().momentum(0.5).centered(true)), [180; 2]);
        let all = Adam::new().use_ema(Ema::new()).gradient_accumulation_steps(2);
        assert_eq!(bytes(all), [240; 2]);
    }

    #[test]
    fn every_option_is_in_the_description() {
        let plain = Adam::new().description();
        assert_eq!(plain, Adam::default().description());
        let others = [
            Adam::new().beta_1(0.8),
            Adam::new().epsilon(1e-6),
            Adam::new().weight_decay(1e-3),
            Adam::new().exclude_from_weight_decay(&["bias"]),
            Adam::new().clip(Clip::Norm(1.0)),
            Adam::new().clip(Clip::GlobalNorm(1.0)),
            Adam::new().use_ema(Ema::new()),
            Adam::new().use_ema(Ema::new().overwrite_frequency(3)),
            Adam::new().gradient_accumulation_steps(2),
        ]
        .map(|optimizer| optimizer.description());
        for (i, description) in others.iter().enumerate() {
            assert!(*description != plain && !others[..i].contains(description), "{description}");
        }
        // The learning rate is told apart by the schedule, and the state is no option.
        let mut built = Adam::new().learning_rate(0.5);
        built.build(&model(), &Device::Cpu);
        assert_eq!(built.description(), plain);
    }
}
