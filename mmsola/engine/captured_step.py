"""A training step that is recorded once and then only played back."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import Tensor, nn
from torch.optim import Adam, AdamW

from mmsola.engine.cuda_graph import CudaGraph, Graph
from mmsola.engine.mixed_precision import BFloat16OptimWrapper
from mmsola.models import SoLaPretrainer

_MOST_SHAPES = 4  # of batches; the last one of an epoch has another
_MOST_CHANGES = 8  # after which it is recorded anew: each recording takes as long as several steps
_OF_GROUPS = ('betas', 'eps', 'weight_decay', 'amsgrad', 'maximize')  # what a recording holds fixed
_FIGURES_WITHIN = 0.01  # relative, between a recorded step and one that is not
_UPDATE_WITHIN = 0.05  # of the length of the update of a weight
_NOISE_WITHIN = 2e-4  # of that of all weights


class CaptureError(RuntimeError):
    """A step that cannot be recorded, or that does something else when it is played back."""


def why_not_captured(model: nn.Module, optim_wrapper: OptimWrapper) -> str:
    """Why steps of this training cannot be recorded; empty where they can."""
    if is_model_wrapper(model):
        return 'several processes exchange gradients in each step'
    if not isinstance(model, SoLaPretrainer):
        return f'{type(model).__name__} is not SoLaPretrainer'
    if model.compiled:
        return 'model.compile records on its own'
    if type(optim_wrapper) not in (OptimWrapper, AmpOptimWrapper, BFloat16OptimWrapper):
        return f'optim_wrapper is {type(optim_wrapper).__name__}'
    if isinstance(optim_wrapper, AmpOptimWrapper) and optim_wrapper.loss_scaler.is_enabled():
        return 'a loss scale is looked for step by step (optim_wrapper.dtype=bfloat16 needs none)'
    if optim_wrapper._accumulative_counts != 1:
        return 'gradients are added up over steps (optim_wrapper.accumulative_counts)'
    optimizer = optim_wrapper.optimizer
    if not isinstance(optimizer, (Adam, AdamW)):
        return f'the optimizer is {type(optimizer).__name__}, not Adam or AdamW'
    if not all(group['fused'] or group['capturable'] for group in optimizer.param_groups):
        return 'the optimizer counts its steps on the CPU (optim_wrapper.optimizer.fused=True)'
    return ''


class CapturedStep:
    """Training steps equal to ``model.train_step``, of which the GPU gets one launch each.

    The first step of each shape of batch is done several times from the same weights, as it is and
    recorded, and both are compared: a recording that does anything else is not used. Weights,
    optimizer and figures are those of one step. A learning rate that a schedule moves is handed to
    the recording before each step; where weights, optimizer or its other settings are
    replaced, it is recorded anew. Gradients are gone after a step (``p.grad`` is None).

    Args:
        model: Its loss depends on ``inputs`` alone.
        optim_wrapper: Of the model's weights, see :func:`why_not_captured`.
        graph_class: What records.

    Attributes:
        failure: Why steps are not recorded any more; empty as long as they are.
    """

    def __init__(
        self,
        model: nn.Module,
        optim_wrapper: OptimWrapper,
        graph_class: Callable[[], Graph] = CudaGraph,
    ) -> None:
        self.model = model
        self.optim_wrapper = optim_wrapper
        self.optimizer = optim_wrapper.optimizer
        self.graph_class = graph_class
        self.failure = ''
        self._recordings: dict[tuple, _Recording] = {}
        self._recorded_of: tuple = ()
        self._num_changes = 0
        self._without_state = 0
        device = next(model.parameters()).device
        self._rates = [_Rate(torch.zeros((), device=device)) for _ in self.optimizer.param_groups]

    def __call__(self, data: dict) -> dict[str, Tensor]:
        """One step; its figures by name."""
        # an optimizer makes its state of a weight in the weight's first step
        if self.failure or not self.optimizer.state or self._num_stateless() > self._without_state:
            outputs = self.model.train_step(data, optim_wrapper=self.optim_wrapper)
            self._without_state = self._num_stateless()  # those that no loss depends on
            return outputs
        inputs = self.model.data_preprocessor(data, True)['inputs']
        recording = self._recording_of(inputs)
        if recording is None:
            return self.model.train_step(data, optim_wrapper=self.optim_wrapper)
        self._set_rates()
        recording.inputs.copy_(inputs)
        recording.graph.replay()
        self.optim_wrapper._inner_count += 1  # as its own step does
        return recording.named_figures()

    def _recording_of(self, inputs: Tensor) -> _Recording | None:
        """That of batches of this shape; None where there are too many shapes, or it failed."""
        state = self._signature()
        if state != self._recorded_of:
            self._num_changes += bool(self._recordings)
            self._recordings.clear()
            self._recorded_of = state
            if self._num_changes > _MOST_CHANGES:
                self.failure = 'weights or settings of the optimizer change too often'
                return None
        key = (inputs.shape, inputs.stride(), inputs.dtype)
        if key not in self._recordings:
            if len(self._recordings) >= _MOST_SHAPES:
                return None
            before: list[Tensor] = []
            try:
                before += [tensor.clone() for tensor in self._tensors()]
                self._recordings[key] = self._record(inputs, before)
            # whatever it is, the training can go on without a recording
            except Exception as error:
                self.failure = _first_line(error)
                self._recordings.clear()
                return None
            finally:
                self._put_back(before)
        return self._recordings[key]

    def _record(self, inputs: Tensor, before: Sequence[Tensor]) -> _Recording:
        """Record a step, and compare it with one that is not recorded.

        Raises:
            CaptureError: They differ.
        """
        graph = self.graph_class()
        # every kernel is loaded, and every library has chosen its way, before anything is recorded
        self._set_rates()
        with _random_numbers_kept(), self._rates_on_device(), warnings.catch_warnings():
            warnings.filterwarnings('ignore', '.*capturable=True')  # of steps not recorded
            graph.warm_up(lambda: self._step(inputs))
        self._put_back(before)
        with _random_numbers_kept():
            figures = graph.warm_up(lambda: self._step(inputs))
        names, values = tuple(figures), torch.stack(list(figures.values()))
        stepped = [tensor.clone() for tensor in self._tensors()]
        self._put_back(before)
        recording = _Recording(graph, torch.empty_like(inputs), torch.empty_like(values), names)
        recording.inputs.copy_(inputs)

        def step() -> None:
            with self._rates_on_device():
                figures = self._step(recording.inputs)
            recording.figures.copy_(torch.stack(list(figures.values())))

        with _random_numbers_kept():
            graph.record(step)
        self._put_back(before)
        recording.figures.fill_(math.nan)  # so that a figure that is not written is seen
        with _random_numbers_kept():
            graph.replay()
        if not torch.allclose(
            recording.figures, values, rtol=_FIGURES_WITHIN, atol=1e-4, equal_nan=True
        ):
            found = dict(zip(names, recording.figures.tolist()))
            raise CaptureError(f'played back, a step gives {found}, not {values.tolist()}')
        self._check_update(before, stepped)
        return recording

    def _check_update(self, before: Sequence[Tensor], stepped: Sequence[Tensor]) -> None:
        """Compare what changed since ``before`` with what a step that is not recorded changed.

        Raises:
            CaptureError: They differ.
        """
        by_kind: dict[str, list[tuple[Tensor, Tensor]]] = {}
        for (kind, now), b, s in zip(self._named_tensors(), before, stepped):
            pair = s.double() - b.double(), s.double() - now.double()
            by_kind.setdefault(kind, []).append(pair)
        for kind, pairs in by_kind.items():
            updates, apart = (_lengths(tensors) for tensors in zip(*pairs))
            # by weight: alone, the gate would not be seen beside millions of others
            allowed = _UPDATE_WITHIN * updates + _NOISE_WITHIN * updates.square().sum().sqrt()
            # weights that are no numbers any more are not for this to judge
            if not (apart <= allowed).logical_or(~allowed.isfinite()).all():
                raise CaptureError(f'played back, a step changes {kind} in another way')

    def _step(self, inputs: Tensor) -> dict[str, Tensor]:
        """What ``train_step`` and ``update_params`` do, without asking the device for anything."""
        self.optimizer.zero_grad(set_to_none=True)
        with self.optim_wrapper.optim_context(self.model):
            losses = self.model(inputs, mode='loss')
        loss, figures = self.model.parse_losses(losses)
        loss.backward()
        if self.optim_wrapper.clip_grad_kwargs:
            weights = [p for p in self._parameters() if p.requires_grad and p.grad is not None]
            norm = self.optim_wrapper.clip_func(weights, **self.optim_wrapper.clip_grad_kwargs)
            if norm is not None:
                figures[self.optim_wrapper.grad_name] = norm
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {name: figure.detach().float() for name, figure in figures.items()}

    def _num_stateless(self) -> int:
        """How many of the weights that learn the optimizer has no state of."""
        return sum(p.requires_grad and p not in self.optimizer.state for p in self._parameters())

    def _parameters(self) -> Iterator[nn.Parameter]:
        for group in self.optimizer.param_groups:
            yield from group['params']

    def _tensors(self) -> list[Tensor]:
        """All that a step changes."""
        return [tensor for _, tensor in self._named_tensors()]

    def _named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """The same, each with its kind."""
        for parameter in self._parameters():
            yield 'weights', parameter.data
        for buffer in self.model.buffers():
            yield 'buffers', buffer
        for state in self.optimizer.state.values():
            for name, value in state.items():
                if isinstance(value, Tensor):
                    yield name, value

    def _put_back(self, before: Sequence[Tensor]) -> None:
        with torch.no_grad():
            for tensor, value in zip(self._tensors(), before):
                tensor.copy_(value)
        self.optimizer.zero_grad(set_to_none=True)

    def _signature(self) -> tuple:
        """All that a recording takes as it is."""
        return (
            self.model.training,
            [tensor.data_ptr() for tensor in self._tensors()],
            [parameter.requires_grad for parameter in self._parameters()],
            [[group.get(key) for key in _OF_GROUPS] for group in self.optimizer.param_groups],
            dict(self.optim_wrapper.clip_grad_kwargs or {}),
        )

    def _set_rates(self) -> None:
        for rate, group in zip(self._rates, self.optimizer.param_groups):
            rate.set(group['lr'])

    @contextmanager
    def _rates_on_device(self) -> Iterator[None]:
        """Let the optimizer read its learning rates from the device, and count steps there."""
        groups = self.optimizer.param_groups
        kept = [{key: group[key] for key in ('lr', 'capturable')} for group in groups]
        for group, rate in zip(groups, self._rates):
            group.update(lr=rate.tensor, capturable=True)
        try:
            yield
        finally:
            for group, settings in zip(groups, kept):
                group.update(settings)


class _Recording:
    """A recorded step: what goes in, and what comes out."""

    def __init__(
        self, graph: Graph, inputs: Tensor, figures: Tensor, names: tuple[str, ...]
    ) -> None:
        self.graph = graph
        self.inputs = inputs
        self.figures = figures
        self.names = names

    def named_figures(self) -> dict[str, Tensor]:
        # a copy: the next step writes into the same memory
        return dict(zip(self.names, self.figures.clone().unbind()))


class _Rate:
    """A learning rate on the device, written where it changes."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self._value: float | None = None

    def set(self, value: float) -> None:
        if value != self._value:
            self.tensor.fill_(value)
            self._value = value


@contextmanager
def _random_numbers_kept() -> Iterator[None]:
    """Let the block draw random numbers that are drawn again after it."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        yield


def _lengths(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([tensor.norm() for tensor in tensors])


def _first_line(error: BaseException) -> str:
    """What went wrong first: a recording that is left early raises an error about that as well."""
    while error.__context__ is not None:
        error = error.__context__
    return f'{type(error).__name__}: {error}'.splitlines()[0]
