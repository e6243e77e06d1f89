//! A step on a GPU: passes over a table of all parameters, which only launch.

use super::{Descent, Prepared};
use crate::accumulate::Accumulation;
use crate::ema::Ema;
use crate::formula::cuda::{self, Parts};
use crate::formula::{self, Formula, Update, Variables};
use crate::state::State;
use gradus_tensor::{Context, Device, Fields};

impl<F: Formula<N>, const N: usize> Descent<F, N> {
    /// A step on a GPU.
    pub(super) fn step_on_a_gpu(&mut self, cx: &Context, model: &mut dyn Fields, step: Prepared) {
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

    /// Tells the device, if there is one, what the numbers of the update are.
    pub(super) fn publish(&mut self, update: Update) {
        let Some(table) = &mut self.table else { return };
        let numbers = F::KERNEL
            .map_or([0.0; cuda::NUMBERS], |kernel| (kernel.numbers)(self.rule.numbers(update)));
        let averages = self.ema.as_ref().map_or([0.0; 2], |ema| ema.numbers(update.number));
        table.publish(self.decay.at(update.learning_rate), numbers, averages);
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
